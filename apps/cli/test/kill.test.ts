/**
 * Whole runs under SIGKILL, a few seeds of `npm run kill`; and that its checks of a ledger find what they are for. GOALS §1 E06.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { type Bundle, buildBundle } from './cli.ts';
import { brokenIn, type RunFact } from './kill/facts.ts';
import { factsOf, killRuns } from './kill/harness.ts';
import { outliving, Scene } from './kill/scene.ts';
import { verifies } from './verifies.ts';

/** About twenty kills; `npm run kill` plays two hundred seeds. */
const SEEDS = 12;
const TIME_MS = 900_000;

let bundle: Bundle;
beforeAll(async () => {
  bundle = await buildBundle();
}, TIME_MS);
afterAll(() => bundle.remove());

verifies(
  'E06',
  'runs that are killed anywhere and resumed end as the undisturbed one does, with every effect at most once',
  async () => {
    const report = await killRuns({ entry: bundle.entry, seeds: Array.from({ length: SEEDS }, (_, at) => at + 1), workers: 2 });
    expect(report.faults).toEqual([]);
    expect(report.doubled).toBe(0);
    expect(report.seeds).toHaveLength(SEEDS);
    expect(report.live).toBeGreaterThanOrEqual(SEEDS / 3);
  },
  TIME_MS,
);

test(
  'a process that died after the close, before it made a tree head, leaves that to resume',
  async () => {
    const scene = await Scene.make(bundle.entry);
    try {
      expect(await scene.drive('run', null)).toMatchObject({ exit: 0 });
      const db = new Database(join(scene.repository, '.openexec/ledger.db'));
      // One at the close, and before it at most one a second while the run is busy.
      expect(db.prepare('DELETE FROM checkpoints').run().changes).toBeGreaterThan(0);
      db.close();
      expect(JSON.parse(await scene.type('verify', '--json'))).toMatchObject({ level: 'chained' });
      expect(await scene.drive('resume', null)).toMatchObject({ exit: 2, stderr: expect.stringContaining('run.closed') });
      expect(JSON.parse(await scene.type('verify', '--json'))).toMatchObject({ level: 'signed' });
    } finally {
      scene.remove();
    }
  },
  TIME_MS,
);

describe('the checks of the kill harness', () => {
  let scene: Scene;
  let facts: readonly RunFact[];
  beforeAll(async () => {
    scene = await Scene.make(bundle.entry);
    const life = await scene.drive('run', null);
    if (life.exit !== 0) throw new Error(life.stderr);
    facts = factsOf(await scene.type('ledger', 'read', '--jsonl'));
  }, TIME_MS);
  afterAll(() => scene.remove());

  const place = (kind: RunFact['kind']): number => facts.findLastIndex((fact) => fact.kind === kind);
  const numbered = (changed: readonly RunFact[]): readonly RunFact[] => changed.map((fact, seq) => ({ ...fact, seq }));
  const twice = (kind: RunFact['kind']): readonly RunFact[] =>
    numbered(facts.flatMap((fact, at) => (at === place(kind) ? [fact, fact] : [fact])));
  const without = (kind: RunFact['kind']): readonly RunFact[] => numbered(facts.filter((_, at) => at !== place(kind)));

  test('find nothing in a run that nobody disturbed', () => {
    expect(facts.length).toBeGreaterThan(50);
    expect(brokenIn(facts, 0)).toEqual([]);
  });

  test.each(['execution.observed', 'commit.recorded', 'model.answered'] as const)(
    'find a second %s of one effect, and call it doubled',
    (kind) => {
      expect(brokenIn(twice(kind), 0).some(({ doubled }) => doubled)).toBe(true);
    },
  );

  test.each(['run.opened', 'execution.started', 'proposal.rejected', 'run.closed'] as const)('find a second %s', (kind) => {
    expect(brokenIn(twice(kind), 0)).not.toEqual([]);
  });

  test.each(['run.opened', 'proposal.rejected', 'commit.recorded', 'model.answered', 'run.closed'] as const)(
    'find a missing %s',
    (kind) => {
      expect(brokenIn(without(kind), 0)).not.toEqual([]);
    },
  );

  test('find a gap, a takeover by nobody, and a fact of a driver that was not in force', () => {
    expect(
      brokenIn(
        facts.filter((_, at) => at !== place('stage.left')),
        0,
      ),
    ).not.toEqual([]);
    const at = place('model.asked');
    const resumed: RunFact = { kind: 'run.resumed', seq: at, body: { driver: 'f'.repeat(32), epoch: 2, because: 'a test' } };
    const messages = brokenIn(numbered([...facts.slice(0, at), resumed, ...facts.slice(at)]), 0).map(({ message }) => message);
    expect(messages).toContain('1 takeovers by 0 processes');
    expect(messages.some((message) => message.includes('not in force'))).toBe(true);
  });

  test(
    'see a process of the sandbox while it lives, and that it is gone after a kill',
    async () => {
      let seen = 0;
      // A busy machine takes longer to start a sandbox, and as much longer to run the tests in it.
      for (const delayMs of [120, 400, 1_200, 4_000, 12_000]) {
        if (seen > 0) break;
        const other = await Scene.make(bundle.entry);
        try {
          expect(other.boxed()).toEqual([]);
          const life = other.drive('run', {
            after: 'event',
            count: facts.findIndex((fact) => fact.kind === 'execution.started' && fact.body.action === 'run_tests'),
            delayMs,
          });
          for (let over = false; !over; ) {
            seen = Math.max(seen, other.boxed().length);
            over = await Promise.race([life.then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 10))]);
          }
          expect(await outliving(other.boxed())).toEqual([]);
        } finally {
          other.remove();
        }
      }
      expect(seen).toBeGreaterThan(0);
    },
    TIME_MS,
  );
});
