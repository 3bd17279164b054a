/**
 * A few points of the kill matrix (`npm run kill:store` plays a thousand and more), the crash windows that the write path numbers, and writers that
 * break the rules, which the same checks must notice. GOALS §4.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bundled, run } from './children.ts';
import { inspect } from './kill/findings.ts';
import { type Bench, canTrace, makeBench, playPoint } from './kill/matrix.ts';
import { chosen, type Point, pointsOf } from './kill/points.ts';
import { scenarioNamed } from './kill/script.ts';

const TIME_MS = 600_000;
const traced = canTrace() ? test : test.skip;
const reason = canTrace() ? '' : ' (not run: strace is missing or may not trace here)';

let child = '';
let bench: Bench | null = null;
beforeAll(async () => {
  child = await bundled('matrixChild');
  if (canTrace()) bench = await makeBench(child, ['16', '1-file']);
}, TIME_MS);
afterAll(() => {
  bench?.remove();
  rmSync(child, { force: true });
});

function theBench(): Bench {
  if (bench === null) throw new Error('nothing was recorded');
  return bench;
}

const point = (call: string, occurrence: number, fault: Point['fault']): Point => ({
  scenario: '16',
  group: 'database',
  call,
  occurrence,
  fault,
});

describe('the kill matrix', () => {
  traced(
    `SIGKILL, EIO and ENOSPC at calls of every kind lose nothing that was acknowledged and leave no half batch${reason}`,
    async () => {
      const all = pointsOf(theBench().recorded);
      expect(all.length).toBeGreaterThan(500);
      const points = chosen(all, 40, 3);
      expect(new Set(points.map(({ group, call }) => `${group} ${call}`)).size).toBeGreaterThan(10);
      const played = [];
      for (const one of points) played.push(await playPoint(theBench(), one, { lane: 0 }));
      expect(played.filter(({ faults }) => faults.length > 0)).toEqual([]);
      expect(played.filter(({ struck }) => !struck)).toEqual([]);
    },
    TIME_MS,
  );

  traced(
    `a read that fails, or ends too early, is answered by a refusal and harms nothing${reason}`,
    async () => {
      const reads = pointsOf(theBench().recorded).filter(({ call }) => call === 'pread64' || call === 'read');
      expect(new Set(reads.map(({ fault }) => fault))).toEqual(new Set(['EIO', 'SHORT']));
      // The last read of the database is the look for a checkpoint.
      const last = reads.findLast(({ scenario, group, fault }) => scenario === '16' && group === 'database' && fault === 'EIO');
      const played = [];
      for (const one of [...chosen(reads, 12, 5), ...(last === undefined ? [] : [last])])
        played.push(await playPoint(theBench(), one, { lane: 0 }));
      expect(played.filter(({ faults }) => faults.length > 0)).toEqual([]);
      expect(played.filter(({ struck }) => struck).length).toBeGreaterThan(10);
    },
    TIME_MS,
  );

  traced(
    `notices a writer that acknowledges before the commit, one that appends in halves, and one that does not listen${reason}`,
    async () => {
      const found = { early: new Set<string>(), halves: new Set<string>(), deaf: new Set<string>() };
      for (const way of ['early', 'halves', 'deaf'] as const) {
        const count = theBench().recorded[0]?.counts.find(({ group, call }) => group === 'database' && call === 'pwrite64')?.count ?? 0;
        expect(count).toBeGreaterThan(20);
        for (let part = 1; part <= 8 && found[way].size === 0; part++) {
          const at = point('pwrite64', Math.floor((count * part) / 12), way === 'deaf' ? 'EIO' : 'SIGKILL');
          for (const fault of (await playPoint(theBench(), at, { lane: 0, way })).faults) found[way].add(fault.slice(0, 4));
        }
      }
      expect([...found.early]).toEqual(['lost']);
      expect([...found.halves]).toContain('half');
      expect([...found.deaf]).toContain('lost');
    },
    TIME_MS,
  );
});

describe('the crash windows', () => {
  traced(
    `window 3: a death among the frames of a commit leaves them in the log, and nothing of the group is stored${reason}`,
    async () => {
      const played = await playPoint(theBench(), point('pwrite64', 12, 'SIGKILL'), { lane: 1 });
      expect(played).toMatchObject({ struck: true, faults: [], acknowledged: 0, stored: 0 });
    },
    TIME_MS,
  );

  test(
    'window 4: a death between the commit and its answer loses no entry; the repeat is answered as duplicate',
    async () => {
      const folder = join(dirname(child), `window-${process.pid}`);
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      try {
        expect((await run(process.execPath, [child, folder, 'begin'])).lines.at(-1)).toBe('closed');
        const outcome = await run(process.execPath, [child, folder, '16', 'dies']);
        expect(outcome).toMatchObject({ signal: 'SIGKILL', lines: ['opened'] });
        expect(statSync(join(folder, 'ledger.db-wal')).size).toBeGreaterThan(0);
        expect(await inspect(folder, scenarioNamed('16'), 16)).toEqual({ faults: [], stored: 16, repeated: true });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    TIME_MS,
  );

  test('every window that the source numbers has a test of that number, and every such test a window in the source', () => {
    const here = dirname(fileURLToPath(import.meta.url));
    const numbersIn = (folder: string, files: RegExp, pattern: RegExp): string[] => {
      const texts = readdirSync(folder)
        .filter((name) => files.test(name))
        .map((name) => readFileSync(join(folder, name), 'utf8'));
      return [...new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, number = '']) => number)))].toSorted();
    };
    const inSource = /Window (\d+):/g;
    const sqlite = numbersIn(join(here, '../src'), /\.ts$/, inSource);
    expect(sqlite.length).toBeGreaterThanOrEqual(5);
    const testTitles = /(?:^\s*|\()[`']window (\d+):/gm;
    expect(numbersIn(here, /^(kill|sqlite|keeper)\.test\.ts$/, testTitles)).toEqual(sqlite);
    const postgres = numbersIn(join(here, '../src/postgres'), /\.ts$/, inSource);
    expect(postgres.length).toBeGreaterThanOrEqual(2);
    expect(numbersIn(here, /^postgres\.test\.ts$/, testTitles)).toEqual(postgres);
  });
});
