/**
 * Crash states of the SQLite store, a few of those that `npm run sim:store` plays: what was acknowledged survives the loss, tearing and reordering of
 * everything that was not synced. Disks that do not sync show that the checks notice. GOALS §4 (simulation).
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bundled, scratch } from './children.ts';
import { Disk } from './disk/crash.ts';
import { drawOf, playState, type StateReport, type Story } from './disk/states.ts';
import { loadStories, recordStories, saveStories, withoutSyncs } from './disk/stories.ts';
import { canTrace } from './kill/matrix.ts';

const TIME_MS = 600_000;
const traced = canTrace() ? test : test.skip;
const reason = canTrace() ? '' : ' (not run: strace is missing or may not trace here)';
let folder = '';
let stories: readonly Story[] = [];
beforeAll(async () => {
  folder = scratch('openexec-disk-');
  const child = await bundled('matrixChild');
  if (canTrace()) {
    const which = [
      ['16', 'honest'],
      ['file-later', 'honest'],
      ['16', 'two'],
      ['group', 'fresh'],
    ] as const;
    saveStories(join(folder, 'stories'), await recordStories(child, which));
    stories = loadStories(join(folder, 'stories'));
  }
  rmSync(child, { force: true });
}, TIME_MS);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function play(from: readonly Story[], count: number): Promise<readonly StateReport[]> {
  const reports: StateReport[] = [];
  for (let seed = 1; seed <= count; seed++) reports.push(await playState(from, seed, join(folder, 'state')));
  return reports;
}

const failed = (reports: readonly StateReport[]): readonly StateReport[] =>
  reports.filter(({ damage, faults }) => damage === null && faults.length > 0);

describe('a power cut', () => {
  traced(
    `at any moment, whatever was not synced, loses nothing that was acknowledged; damage besides is named${reason}`,
    async () => {
      const reports = await play(stories, 300);
      expect(reports.filter(({ faults }) => faults.length > 0)).toEqual([]);
      expect(reports.filter(({ acknowledged }) => acknowledged > 0).length).toBeGreaterThan(50);
      expect(reports.filter(({ inspected, acknowledged }) => inspected.stored > acknowledged).length).toBeGreaterThan(3);
      expect(reports.filter(({ named }) => named).length).toBeGreaterThan(3);
    },
    TIME_MS,
  );

  traced(
    `is noticed to lose what was acknowledged where the log, the blobs or their folders are not synced${reason}`,
    async () => {
      const log = failed(
        await play(
          withoutSyncs(stories, (path) => path.endsWith('-wal')),
          150,
        ),
      );
      expect(log.flatMap(({ faults }) => faults).some((fault) => fault.startsWith('lost: '))).toBe(true);
      const later = stories.filter(({ scenario }) => scenario === 'file-later');
      const isBlob = (path: string): boolean => path.startsWith('blobs/') && path.includes('.unfinished');
      expect(
        failed(await play(withoutSyncs(later, isBlob), 150))
          .flatMap(({ faults }) => faults)
          .join(),
      ).toContain('blob.corrupt');
      expect(
        failed(
          await play(
            withoutSyncs(later, (path) => path === ''),
            150,
          ),
        ).length,
      ).toBeGreaterThan(0);
    },
    TIME_MS,
  );
});

describe('the simulated disk', () => {
  /** The file's content in many crashes, null where it is not there. */
  function outcomes(disk: Disk, path: string): Set<string | null> {
    const to = join(folder, 'disk');
    const seen = new Set<string | null>();
    for (let seed = 0; seed < 200; seed++) seen.add(crashed(disk, to, path, seed));
    return seen;
  }
  const write = (path: string, text: string, at = 0) => ({ op: 'write', path, at, data: Buffer.from(text) }) as const;

  test('keeps what was synced in a synced folder, and may lose what was not, its name included', () => {
    const disk = new Disk(new Map([['kept', Buffer.from('old')]]));
    disk.take(write('kept', 'new'));
    expect(outcomes(disk, 'kept')).toEqual(new Set(['old', 'new']));
    disk.take({ op: 'sync', path: 'kept' });
    expect(outcomes(disk, 'kept')).toEqual(new Set(['new']));
    disk.take({ op: 'make', path: 'made' });
    disk.take(write('made', 'bytes'));
    disk.take({ op: 'sync', path: 'made' });
    expect(outcomes(disk, 'made')).toEqual(new Set([null, 'bytes']));
    disk.take({ op: 'sync', path: '' });
    expect(outcomes(disk, 'made')).toEqual(new Set(['bytes']));
  });

  test('tears a write at a sector, and takes sectors out of order', () => {
    const disk = new Disk(new Map([['file', Buffer.from('a'.repeat(1024))]]));
    disk.take(write('file', 'b'.repeat(1024)));
    const halves = [...outcomes(disk, 'file')].map((text) => `${text?.[0]}${text?.[511]}${text?.[512]}${text?.[1023]}`);
    expect(new Set(halves)).toEqual(new Set(['aaaa', 'bbbb', 'bbaa', 'aabb']));
  });

  test('a file that was moved over another is the old or the new one, never none', () => {
    const disk = new Disk(
      new Map([
        ['head', Buffer.from('old')],
        ['head.unfinished', Buffer.from('new')],
      ]),
    );
    disk.take({ op: 'move', path: 'head.unfinished', to: 'head' });
    expect(outcomes(disk, 'head')).toEqual(new Set(['old', 'new']));
  });
});

function crashed(disk: Disk, to: string, path: string, seed: number): string | null {
  disk.crash(to, drawOf(seed));
  const file = join(to, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}
