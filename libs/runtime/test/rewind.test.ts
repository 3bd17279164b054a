/** Rewinding from the shell: what is appended, what happens to the tree, and a driver that dies around it. PROTOCOL §§4.3, 4.4; E08. */
import { describe, expect, test } from '@jest/globals';
import { ok, type TrajectoryId } from '@openexec/canon';
import type { Workspace } from '@openexec/catalogue';
import { committedTree } from '@openexec/kernel';
import { gitBlobId, gitTreeId } from '@openexec/proof';
import { driveRun, type Hands, loadRun, NEVER, rewindRun } from '../src/index.ts';
import {
  act,
  agent,
  ASK_NOTIFY,
  count,
  drive,
  handsOf,
  kinds,
  newWorld,
  opened,
  openingOf,
  type Place,
  place,
  type World,
} from './support.ts';

const STAGES = [agent('work', 'test'), act('test', 'run_tests', 'tell'), act('tell', 'notify', 'done')];
const BASE_TREE = gitTreeId([{ path: 'src/a.txt', mode: '100644', oid: gitBlobId(new TextEncoder().encode('a\n'), 'sha1') }], 'sha1');

/** A workspace that hashes what it was last rebuilt to. */
function hashing(hands: Hands): Hands {
  const { workspace } = hands;
  let files = new Map<string, string>();
  const hashed: Workspace = {
    ...workspace,
    rebuild: async (list) => {
      files = new Map([['src/a.txt', gitBlobId(new TextEncoder().encode('a\n'), 'sha1')]]);
      for (const { change } of list) if (change.after !== null) files.set(change.path, change.after.oid);
      return workspace.rebuild(list);
    },
    tree: async () =>
      ok(
        gitTreeId(
          [...files].map(([path, oid]) => ({ path, mode: '100644' as const, oid })),
          'sha1',
        ),
      ),
  };
  return { ...hands, workspace: hashed };
}

/** A run that wrote a file, tested, and waits for an approval of what cannot be taken back. */
async function waiting(): Promise<{ at: Place; world: World; run: TrajectoryId }> {
  const at = await place();
  const world = newWorld();
  const { run } = await opened(at, openingOf(at, { stages: STAGES, rules: [ASK_NOTIFY] }));
  const report = await drive(run, handsOf(at, world));
  expect([report.status, report.state.request === null]).toEqual(['parked', false]);
  return { at, world, run };
}

describe('rewindRun', () => {
  test('goes back, says what it put back, leaves the run parked with its tree made again, and it goes on from there', async () => {
    const { at, world, run } = await waiting();
    const done = await rewindRun({ run, hands: hashing(handsOf(at, world)), to: { stage: 'work', visit: null } });
    if (!done.ok) throw new Error(done.error.message);
    expect(done.value).toMatchObject({
      tree: BASE_TREE,
      files: [{ path: 'src/b.txt', how: 'removed' }],
      target: { stage: 'work', visit: 1 },
    });
    expect([done.value.state.status, world.tree.at(-1)]).toEqual(['parked', 'rebuild src/b.txt']);
    const list = await kinds(at.ledger, run);
    expect(list.slice(list.indexOf('run.rewound'))).toEqual([
      'run.rewound',
      'approval.resolved',
      'proposal.rejected',
      'commit.compensated',
      'stage.entered',
      'run.parked',
    ]);
    const asked = world.asked.length;
    const report = await drive(run, handsOf(at, world));
    expect(world.asked[asked]?.messages).toEqual(world.asked[0]?.messages);
    expect([report.status, count(world, 'notify')]).toEqual(['parked', 0]);
  });

  test.each([
    ['work', 2, 'rewind.unknown'],
    ['nowhere', null, 'rewind.unknown'],
  ] as const)('to %s#%s is refused as %s, and nothing is appended', async (stage, visit, code) => {
    const { at, world, run } = await waiting();
    const before = (await kinds(at.ledger, run)).length;
    const refused = await rewindRun({ run, hands: handsOf(at, world), to: { stage, visit } });
    expect(refused).toMatchObject({ ok: false, error: { code } });
    expect(await kinds(at.ledger, run)).toHaveLength(before);
  });

  test('of a closed run, an unknown run and a run that is driven is refused', async () => {
    const at = await place();
    const world = newWorld();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const hands = handsOf(at, world);
    const to = { stage: 'work', visit: 1 };
    const lease = { acquire: async () => null };
    expect(await rewindRun({ run, hands: { ...hands, lease }, to })).toMatchObject({ error: { code: 'run.busy' } });
    await drive(run, hands);
    expect(await rewindRun({ run, hands, to })).toMatchObject({ error: { code: 'run.closed' } });
    expect(await rewindRun({ run: 'run/nobody' as TrajectoryId, hands, to })).toMatchObject({ error: { code: 'run.unknown' } });
  });

  test('across an effect outside the workspace is refused', async () => {
    const at = await place();
    const world = newWorld();
    const { run, driver } = await opened(at, openingOf(at, { stages: [act('tell', 'notify', 'work'), agent('work', 'done')] }));
    const stop = { stopped: false, onStop: () => () => undefined };
    const model: Hands['model'] = { provider: 'test', ask: async () => Promise.reject(new Error('died while asking')) };
    await expect(driveRun({ run, hands: handsOf(at, world, { model }), stop, onAwait: 'park', resume: false, driver })).rejects.toThrow(
      'died',
    );
    const refused = await rewindRun({ run, hands: handsOf(at, world), to: { stage: 'tell', visit: null } });
    expect(refused).toMatchObject({ ok: false, error: { code: 'rewind.external' } });
    const done = await rewindRun({ run, hands: hashing(handsOf(at, world)), to: { stage: 'work', visit: null } });
    expect(done.ok).toBe(true);
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    expect(count(world, 'notify')).toBe(1);
  });

  test.each(['W2.appending', 'W3.appended', 'W9.rewound'] as const)(
    'that dies in window %s is found whole or not at all',
    async (point) => {
      const { at, world, run } = await waiting();
      const crashPoint = (passed: string): void => {
        if (passed === point) throw new Error(`died at ${point}`);
      };
      const to = { stage: 'work', visit: 1 };
      await expect(rewindRun({ run, hands: handsOf(at, world, { crashPoint }), to })).rejects.toThrow('died');
      const state = await loadRun(at.ledger, run);
      if (!state.ok) throw new Error(state.error.message);
      const there = point !== 'W2.appending';
      expect((await kinds(at.ledger, run)).includes('run.rewound')).toBe(there);
      expect(committedTree(state.value) === BASE_TREE).toBe(there);
      if (!there) return;
      // The next driver makes the tree again before it touches it, and writes the file that had been there.
      const before = world.tree.length;
      const report = await driveRun({ run, hands: handsOf(at, world), stop: NEVER, onAwait: 'park', resume: true });
      expect(report).toMatchObject({ ok: true, value: { status: 'parked' } });
      expect(world.tree.slice(before)[0]).toBe('rebuild src/b.txt');
    },
  );

  test('recorded alone, before its judgements, is judged by the next driver', async () => {
    const { at, world, run } = await waiting();
    const state = await loadRun(at.ledger, run);
    if (!state.ok) throw new Error(state.error.message);
    const payload = { driver: 'c'.repeat(32), epoch: state.value.epoch + 1, stage: 'work', visit: 1 };
    const draft = { kind: 'run.rewound' as const, at: at.clock.now(), actor: 'runtime' as const, cause: null, law: null, payload };
    const appended = await at.ledger.append({ to: [{ trajectory: run, expect: 'exists', drafts: [draft] }], blobs: [] });
    expect(appended.ok).toBe(true);
    const report = await drive(run, handsOf(at, world));
    expect(await kinds(at.ledger, run)).toContain('commit.compensated');
    expect(report.state.visits['work']).toBe(2);
    expect(report.state.epoch).toBe(state.value.epoch + 2);
  });
});
