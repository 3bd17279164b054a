/**
 * Rewinding: back to any stage entry the tree is the one of that moment, byte for byte in its git hash, and the stage starts with the same words.
 * Everything that waited has an end, spend and visits stay, and what cannot be put back refuses. PROTOCOL §4.3; E08.
 */
import { describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, type Json } from '@openexec/canon';
import { committedListing, committedTree, evolve, judge, lookUp, pending, rewindTargets, type RunState, worldRoot } from '@openexec/kernel';
import { blobOf, FIX_LOOP, House, ONE_AGENT, RunDriver, type RunPlan, type Watch, writeFile } from '@openexec/kernel/fixture';
import { gitBlobId } from '@openexec/proof';
import type { FileChange } from '@openexec/protocol';
import fc from 'fast-check';
import { actionOf, ASKS, bodiesOf, bundleOf, isAction, lastOf, OPEN, openRun, setOf, TERMS, watch } from './support.ts';

/** Everything is permitted but the landing, before which the run waits: there every entry can be gone back to. */
const GATED = setOf(bundleOf('gated', [{ when: isAction('commit_changes'), decide: { approve: TERMS } }]));
const PATHS = ['README.md', 'src/a.ts', 'test/a.test.ts', 'src/new.ts', 'docs/deep/er.md', 'tool.bin'] as const;

/** Implement, test, fix and land, with room for many visits. */
const LOOSE = {
  ...(FIX_LOOP as { readonly [key: string]: Json }),
  defaults: { toolset: 'coding_backend', sandbox: 'workspace_write', max_stage_visits: 20 },
};

/** What one call of the model does; `odd` is bytes that are no text, `mode` makes the file executable. */
type Op =
  | { readonly do: 'write'; readonly path: string; readonly text: string }
  | { readonly do: 'delete' | 'mode'; readonly path: string }
  | { readonly do: 'read' };
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ do: fc.constant('write' as const), path: fc.constantFrom(...PATHS), text: fc.constantFrom('1\n', '2\n', '', 'ÿ\u0000x') }),
  fc.record({ do: fc.constantFrom('delete' as const, 'mode' as const), path: fc.constantFrom(...PATHS) }),
  fc.record({ do: fc.constant('read' as const) }),
);

interface Moment {
  readonly tree: string;
  readonly world: string;
  readonly inputs: unknown;
  readonly opening: unknown;
}

/** Remembers every stage entry as it was; `opening` is what the model is shown first. */
function remember(moments: Map<string, Moment>): Watch {
  return (before, law, list, after) => {
    watch(before, law, list, after);
    const entered = list.findLast(({ kind }) => kind === 'stage.entered');
    if (entered?.kind !== 'stage.entered' || list.some(({ kind }) => kind === 'run.parked')) return;
    const asked = list.findLast(({ kind }) => kind === 'model.asked');
    moments.set(`${entered.body.stage}#${entered.body.visit}`, {
      tree: committedTree(after),
      world: worldRoot(after.world),
      inputs: entered.body.inputs,
      opening: asked?.kind === 'model.asked' ? asked.body.added : null,
    });
  };
}

function callOf(state: RunState, wish: Op) {
  if (wish.do === 'write') return writeFile(wish.path, wish.text);
  const there = wish.do === 'read' ? undefined : committedListing(state).find(({ path }) => path === wish.path);
  if (wish.do === 'read' || there === undefined) return { name: 'read_file', arguments: { path: 'README.md' } };
  const patch =
    wish.do === 'delete'
      ? `--- a/${wish.path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n`
      : `diff --git a/${wish.path} b/${wish.path}\nold mode ${there.mode}\nnew mode ${there.mode === '100644' ? '100755' : '100644'}\n--- a/${wish.path}\n+++ b/${wish.path}\n@@ -1 +1 @@\n-x\n+x\n`;
  return { name: 'apply_patch', arguments: { format: 'unified', patch } as Json };
}

/** Performs what is due as the tree would have it: writes, deletions and modes; the hands of the shell do the same with real files. */
async function perform(run: RunDriver, passed: () => boolean): Promise<void> {
  const effect = run.due('execute');
  const args = effect.arguments as { readonly [name: string]: string };
  if (effect.action === 'run_tests') return run.test(passed());
  if (effect.action !== 'apply_patch' || args['format'] !== 'unified') return run.perform();
  const path = /^--- a\/(.*)$/m.exec(args['patch'] ?? '')?.[1] ?? '';
  const entry = committedListing(run.state).find((each) => each.path === path);
  const flip = /^new mode (\d+)$/m.exec(args['patch'] ?? '')?.[1];
  const bytes = new TextEncoder().encode(`mode ${flip}`);
  const after =
    flip === undefined
      ? null
      : { blob: digestOf(bytes), bytes: bytes.length, mode: flip as '100644' | '100755', oid: gitBlobId(bytes, 'sha1') };
  const change: FileChange = { path, before: entry?.oid ?? null, after };
  await run.observe({ changes: { inline: [change] } }, { blobs: flip === undefined ? [] : [blobOf(`mode ${flip}`, 'text/plain')] });
}

/** Plays drawn turns until the run waits for an approval, ends, or they are used up in the middle of something. */
async function playDrawn(run: RunDriver, turns: readonly (readonly Op[])[], tests: readonly boolean[]): Promise<void> {
  const left = [...turns];
  const verdicts = [...tests];
  for (let effect = pending(run.state)[0]; effect !== undefined && effect.do !== 'awaitApproval'; effect = pending(run.state)[0]) {
    const turn = left.shift();
    if (effect.do === 'execute') await perform(run, () => verdicts.shift() ?? true);
    else if (turn === undefined) return;
    else await run.answer(turn.length === 0 ? 'Done.' : turn.map((wish) => callOf(run.state, wish)));
  }
}

describe('a rewind', () => {
  test('to any stage of any run gives back the tree and the first words of that stage (E08)', async () => {
    let rewinds = 0;
    let changed = 0;
    const turns = fc.array(fc.array(op, { maxLength: 3 }), { minLength: 1, maxLength: 14 });
    await fc.assert(
      fc.asyncProperty(
        turns,
        fc.array(fc.boolean(), { maxLength: 4 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
        async (...drawn) => {
          const [wishes, tests, choices] = drawn;
          const moments = new Map<string, Moment>();
          const house = await House.found();
          const run = await RunDriver.open(house, { policySet: GATED, blueprint: LOOSE, opener: 'cleo' }, remember(moments));
          await playDrawn(run, wishes, tests);
          for (const choice of choices) {
            const targets = rewindTargets(run.state).filter(({ problem }) => problem === null);
            const target = targets[choice % Math.max(1, targets.length)];
            if (target === undefined) return;
            const was = moments.get(`${target.stage}#${target.visit}`);
            const { settled, visits } = run.state;
            if (committedTree(run.state) !== was?.tree) changed += 1;
            await run.rewind(target.stage, target.visit);
            rewinds += 1;
            expect(committedTree(run.state)).toBe(was?.tree);
            expect([run.state.status, run.state.parked?.because.code, pending(run.state)]).toEqual(['parked', 'run.rewound', []]);
            expect(lastOf(run, 'stage.entered')).toMatchObject({
              stage: target.stage,
              inputs: was?.inputs,
              visit: (visits[target.stage] ?? 0) + 1,
            });
            expect(lastOf(run, 'commit.compensated').worldRoot).toBe(worldRoot(run.state.world));
            for (const dimension of ['tokens', 'calls'] as const)
              expect(run.state.settled[dimension]).toBeGreaterThanOrEqual(settled[dimension]);
            expect(run.state.reserved).toEqual({ tokens: 0, usdMicros: 0, calls: 0 });
            if (was !== undefined) moments.set(`${target.stage}#${(visits[target.stage] ?? 0) + 1}`, was);
            await run.resume();
            const asked = run.judged.at(-1);
            const words =
              asked?.kind === 'model.asked' ? { added: asked.body.added, previous: asked.body.previous } : { added: null, previous: null };
            expect(words).toEqual({ added: was?.opening, previous: null });
            await playDrawn(run, wishes.slice(0, 3), tests);
          }
        },
      ),
      { numRuns: 120 },
    );
    // The property above must not have looked at nothing.
    expect([rewinds > 100, changed > 30]).toEqual([true, true]);
  });
});

/** Two agents, one after the other, with room for many visits. */
const TWO_AGENTS: Json = {
  version: 1,
  name: 'two_agents',
  defaults: { toolset: 'coding_backend', sandbox: 'workspace_write', max_stage_visits: 3 },
  stages: [
    { id: 'first', type: 'agent', goal: 'Begin.', outputs: ['patch'], on_success: 'second', on_failure: 'fail' },
    { id: 'second', type: 'agent', goal: 'End.', inputs: ['patch'], outputs: ['patch'], on_success: 'done', on_failure: 'fail' },
  ],
};
const DELETE_README = {
  name: 'apply_patch',
  arguments: { format: 'unified', patch: '--- a/README.md\n+++ /dev/null\n@@ -1 +0,0 @@\n-hello\n' },
};

/** A run that waits in its second stage after the first wrote one file, changed one and deleted one. */
async function inSecond(plan: RunPlan = {}): Promise<RunDriver> {
  const run = await openRun({ blueprint: TWO_AGENTS, policySet: OPEN, ...plan });
  await run.answer([writeFile('src/a.ts', '2\n'), writeFile('src/new.ts', 'new\n'), DELETE_README]);
  for (let at = 0; at < 3; at++) await perform(run, () => true);
  await run.answer('written');
  return run;
}

describe('what a rewind writes', () => {
  test('puts changed, created and deleted files back in one commit, with versions that go on', async () => {
    const run = await inSecond();
    const made = bodiesOf(run, 'commit.recorded').map(({ commit }) => commit);
    await run.rewind('first', 1);
    expect(run.kinds.slice(-3)).toEqual(['commit.compensated', 'stage.entered', 'run.parked']);
    const base = (path: string): string | undefined => run.state.law?.base.get(path)?.oid;
    expect(lastOf(run, 'commit.compensated')).toMatchObject({
      compensates: made.reverse(),
      delta: {
        inline: [
          { op: 'create', id: 'README.md', version: 2, value: { base: base('README.md') } },
          { op: 'replace', id: 'src/a.ts', version: 1, value: { base: base('src/a.ts') } },
          { op: 'retract', id: 'src/new.ts', version: 1 },
        ],
      },
    });
    expect(committedTree(run.state)).toBe(run.opened.body.base.tree);
    await run.resume();
    await run.answer([writeFile('src/new.ts', 'again\n'), writeFile('src/a.ts', '3\n'), DELETE_README]);
    for (let at = 0; at < 3; at++) await perform(run, () => true);
    const version = (path: string): number | undefined => lookUp(run.state.world, 'file', path)?.version;
    expect([version('src/new.ts'), version('src/a.ts'), version('README.md')]).toEqual([3, 3, 4]);
    await run.answer('written again');
    // The patch of the undone visit was version 1; numbers are not given twice. It says what was there before by the base's own id.
    expect(lastOf(run, 'stage.left').outputs).toMatchObject([{ name: 'patch', version: 2 }]);
    expect(lastOf(run, 'stage.entered').inputs).toMatchObject([{ name: 'patch', version: 2 }]);
  });

  test('keeps what stood before the entry, and undoes nothing but what came after it', async () => {
    const run = await inSecond();
    const [tree, before] = [committedTree(run.state), bodiesOf(run, 'commit.recorded').length];
    await run.answer([writeFile('src/new.ts', 'worse\n')]);
    await run.perform();
    await run.rewind('second', 1);
    expect(committedTree(run.state)).toBe(tree);
    expect(lastOf(run, 'commit.compensated').compensates).toEqual(
      bodiesOf(run, 'commit.recorded')
        .slice(before)
        .map(({ commit }) => commit),
    );
    expect(lastOf(run, 'stage.entered').inputs).toEqual(bodiesOf(run, 'stage.entered')[1]?.inputs);
  });

  test('rejects what is suspended and held back, and withdraws the question', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: ASKS, opener: 'cleo' });
    await run.answer([writeFile('src/a.ts', 'x'), writeFile('src/b.ts', 'y'), { name: 'read_file', arguments: { path: 'README.md' } }]);
    const request = run.due('awaitApproval').request;
    await run.rewind('work', 1);
    expect(lastOf(run, 'approval.resolved')).toMatchObject({ request, outcome: 'withdrawn', votes: [] });
    expect(bodiesOf(run, 'intent.declared')).toHaveLength(3);
    expect(bodiesOf(run, 'proposal.rejected').map(({ at, because }) => [at, because.code])).toEqual(
      Array.from({ length: 3 }, () => ['rewind', 'run.rewound']),
    );
    expect(run.state.request).toBeNull();
    await run.resume();
    expect(run.due('ask').turn).toBe(1);
  });

  test('by a new driver gives up what the dead one left open: the check as lost, the ask at its full reservation', async () => {
    const checking = await openRun({ policySet: OPEN });
    await checking.answer([writeFile('src/a.ts', '2\n')]);
    await checking.perform();
    await checking.answer('written');
    expect(checking.due('execute').action).toBe('run_tests');
    await checking.rewind('implement', 1);
    expect(lastOf(checking, 'execution.lost').because.code).toBe('execution.lost');
    expect(committedTree(checking.state)).toBe(checking.opened.body.base.tree);
    const asking = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    const { reservation } = lastOf(asking, 'model.asked');
    await asking.rewind('work', 1);
    expect([asking.state.settled, asking.state.reserved.calls]).toEqual([reservation, 0]);
  });

  test('can be done again, also back over an earlier rewind; what was undone is no target any more', async () => {
    const run = await inSecond();
    await run.rewind('second', 1);
    expect(rewindTargets(run.state).map(({ stage, visit }) => `${stage}#${visit}`)).toEqual(['second#2', 'first#1']);
    await run.rewind('first', 1);
    expect(rewindTargets(run.state).map(({ stage, visit }) => `${stage}#${visit}`)).toEqual(['first#2']);
    expect(committedTree(run.state)).toBe(run.opened.body.base.tree);
    await run.rewind('second', 2);
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'rewind.unknown', violation: true });
    await run.resume();
    await run.play();
    expect(run.state.closed?.outcome).toBe('done');
  });

  test('queued alone, as a crash may leave it, is judged the same by whoever comes next', async () => {
    const [whole, apart] = [await inSecond(), await inSecond()];
    await whole.rewind('first', 1);
    await apart.rewind('first', 1, { queue: true });
    await apart.resume({ queue: true });
    await apart.settle();
    expect(apart.kinds).toEqual([...whole.kinds, ...apart.kinds.slice(whole.kinds.length)]);
    expect(committedTree(apart.state)).toBe(committedTree(whole.state));
    expect(apart.due('ask').stage).toBe('first');
  });

  test('time in which nobody drove does not count', async () => {
    const run = await inSecond();
    const { activeMs } = run.state;
    run.house.pass(10_000_000);
    await run.rewind('first', 1);
    expect(run.state.activeMs).toBe(activeMs);
  });
});

describe('a rewind is refused and noted as a violation', () => {
  const why = (run: RunDriver): string => lastOf(run, 'fact.noted').why;

  test('by the driver in force while something is open, and by a driver that is not in force', async () => {
    const run = await inSecond();
    const tree = committedTree(run.state);
    await run.fact('run.rewound', { ...run.driving, stage: 'first', visit: 1 });
    expect([why(run), lastOf(run, 'fact.noted').violation]).toEqual(['rewind.busy', true]);
    await run.fact('run.rewound', { driver: 'e'.repeat(32), epoch: run.epoch, stage: 'first', visit: 1 });
    expect(why(run)).toBe('driver.stale');
    expect([committedTree(run.state), run.due('ask').stage]).toEqual([tree, 'second']);
  });

  test('by the driver in force it is done where nothing is open', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: ASKS, opener: 'cleo' });
    await run.answer([writeFile('src/a.ts', 'x')]);
    await run.fact('run.rewound', { ...run.driving, stage: 'work', visit: 1 });
    expect(run.kinds.at(-1)).toBe('run.parked');
  });

  test('to a stage or visit that was never entered', async () => {
    const run = await inSecond();
    await run.rewind('first', 2);
    expect(why(run)).toBe('rewind.unknown');
    await run.rewind('nowhere', 1);
    expect(why(run)).toBe('rewind.unknown');
  });

  test('across an external effect, committed or of unknown outcome; not across one that certainly came to nothing', async () => {
    const actions = [actionOf('tell', { effect: 'external' })];
    const stages = [
      { id: 'only', type: 'deterministic', action: 'tell', on_success: 'then', on_failure: 'paused' },
      { id: 'then', type: 'agent', goal: 'Go on.', on_success: 'done', on_failure: 'fail' },
    ];
    const blueprint = { version: 1, name: 'tells', defaults: { toolset: 'coding_backend', sandbox: 'repo_write' }, stages };
    const plan = { blueprint, actions, policySet: OPEN };
    const committed = await openRun(plan);
    await committed.perform();
    await committed.rewind('only', 1);
    expect(why(committed)).toBe('rewind.external');
    const open = await openRun(plan);
    await open.rewind('only', 1);
    expect(why(open)).toBe('rewind.external');
    const lost = await openRun(plan);
    await lost.resume();
    await lost.rewind('only', 1);
    expect([lost.kinds.includes('execution.lost'), why(lost)]).toEqual([true, 'rewind.external']);
    const failed = await openRun(plan);
    await failed.fails({ effectUnknown: false });
    await failed.rewind('only', 1);
    expect(failed.kinds.at(-1)).toBe('run.parked');
    expect(lastOf(failed, 'commit.compensated')).toMatchObject({ compensates: [], delta: { inline: [] } });
  });

  test('where the visits of the stage are used up, since a rewind is one more', async () => {
    const run = await inSecond();
    await run.rewind('first', 1);
    await run.rewind('first', 2);
    await run.rewind('first', 3);
    expect(why(run)).toBe('rewind.visits');
    expect(run.state.status).toBe('parked');
  });

  test('of a run that is closed, or about to be cancelled', async () => {
    const ending = await inSecond();
    await ending.fact('run.cancelRequested', { because: 'stop' });
    await ending.rewind('first', 1);
    expect(why(ending)).toBe('rewind.ending');
    const closed = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    await closed.play();
    const seq = closed.state.nextSeq;
    const body = { driver: 'e'.repeat(32), epoch: 9, stage: 'work', visit: 1 };
    const state = evolve(closed.state, seq, {
      kind: 'run.rewound',
      at: closed.house.now(),
      cause: null,
      law: null,
      body,
      blobs: new Map<Digest, Uint8Array>(),
    });
    expect(judge(state, closed.house.law)).toMatchObject([{ kind: 'fact.noted', body: { why: 'run.closed', violation: true } }]);
  });
});
