/**
 * The stage machine, executions and commits: loops that really loop, caps that end them, conditions, skipped commands, several calls of one answer,
 * postconditions, the landing. PROTOCOL §4.3, invariants 7 and 8.
 */
import { describe, expect, test } from '@jest/globals';
import { committedTree, type Judgement, pending, worldRoot } from '@openexec/kernel';
import { blobOf, ONE_AGENT, ONE_CHECK, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { Json } from '@openexec/canon';
import { gitCommitId, gitTreeId } from '@openexec/proof';
import { actionOf, bodiesOf, bundleOf, endOf, isAction, lastOf, oneAction, OPEN, openRun, setOf } from './support.ts';

const TWO = writeFile('src/a.ts', 'export const a = 2;\n');
const NEW = writeFile('src/b.ts', 'export const b = 1;\n');

/** Stages in the order in which they were entered. */
function wayOf(run: RunDriver): readonly string[] {
  return run.judged.flatMap((made: Judgement) => (made.kind === 'stage.entered' ? [`${made.body.stage}#${made.body.visit}`] : []));
}

describe('the fix loop', () => {
  test('really loops: a failing check leads to the fixing stage, which leads to the check again', async () => {
    const run = await openRun();
    await run.play({ answers: [[TWO], 'one', [NEW], 'two'], tests: [false, true] });
    expect(wayOf(run)).toEqual(['implement#1', 'run_tests#1', 'fix#1', 'run_tests#2', 'land#1']);
    expect(endOf(run)).toEqual({ outcome: 'done', code: 'run.done' });
  });

  test('ends at the cap of visits, however long the model would go on', async () => {
    const run = await openRun();
    await run.play({ answers: Array.from({ length: 40 }, () => 'again'), tests: Array.from({ length: 40 }, () => false) });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'visits.exhausted' });
    expect(wayOf(run).filter((entered) => entered.startsWith('run_tests'))).toEqual(['run_tests#1', 'run_tests#2', 'run_tests#3']);
    expect(run.state.closed?.because.message).toContain('run_tests was visited 3 times');
  });

  test('shows the fixing stage the report of the check that failed, and the patch as the runtime saw it', async () => {
    const run = await openRun();
    await run.play({ answers: [[TWO], 'one'], tests: [false] }).catch(() => undefined);
    const inputs = bodiesOf(run, 'stage.entered').find(({ stage }) => stage === 'fix')?.inputs;
    expect(inputs?.map(({ name, version }) => [name, version])).toEqual([
      ['patch', 1],
      ['test_report', 1],
    ]);
  });

  test('enters a stage whose inputs do not exist, listing those that do', async () => {
    const blueprint: Json = {
      version: 1,
      name: 'gaps',
      defaults: { toolset: 'repo_readonly', sandbox: 'workspace_write' },
      stages: [
        { id: 'check', type: 'deterministic', action: 'run_tests', outputs: ['test_report'], on_success: 'done', on_failure: 'look' },
        { id: 'look', type: 'agent', goal: 'Say why.', inputs: ['test_report'], on_success: 'done', on_failure: 'fail' },
      ],
    };
    const run = await openRun({ blueprint });
    await run.fails({ error: { code: 'sandbox.killed', message: 'out of memory' } });
    await run.fails({ error: { code: 'sandbox.killed', message: 'out of memory' } });
    expect(bodiesOf(run, 'stage.entered').at(-1)).toMatchObject({ stage: 'look', inputs: [] });
    await run.play();
    expect(endOf(run).outcome).toBe('done');
  });
});

describe('routes and conditions', () => {
  const withCondition = (when: Json): Json => ({
    version: 1,
    name: 'conditions',
    defaults: { sandbox: 'workspace_write', toolset: 'repo_readonly' },
    stages: [
      { id: 'check', type: 'deterministic', action: 'run_tests', outputs: ['test_report'], on_success: 'maybe', on_failure: 'maybe' },
      { id: 'maybe', type: 'deterministic', action: 'run_tests', when, on_success: 'done', on_failure: 'fail' },
    ],
  });

  test.each<readonly [Json, boolean, boolean]>([
    [{ artifact: 'test_report', exists: true }, true, true],
    [{ artifact: 'test_report', exists: false }, true, false],
    [{ artifact: 'test_report', field: 'passed', eq: true }, true, true],
    [{ artifact: 'test_report', field: 'passed', eq: true }, false, false],
    [{ artifact: 'test_report', field: 'failures', eq: 1 }, false, true],
    [{ artifact: 'test_report', field: 'no.such', eq: null }, true, false],
  ])('%j after a check that passed: %s enters the stage: %s', async (when, passed, entered) => {
    const run = await openRun({ blueprint: withCondition(when) });
    await run.test(passed);
    const left = bodiesOf(run, 'stage.left').find(({ stage }) => stage === 'maybe');
    expect({ due: pending(run.state).map((effect) => effect.do), left: left?.because.code }).toEqual(
      entered ? { due: ['execute'], left: undefined } : { due: [], left: 'condition.false' },
    );
  });

  test('a command that the configuration sets to none skips its stage, says so and goes on by the route of success', async () => {
    const run = await openRun({ blueprint: ONE_CHECK, commands: { test: 'none' } });
    expect(lastOf(run, 'stage.left')).toMatchObject({ outcome: 'skipped', because: { code: 'command.none' }, outputs: [] });
    expect(endOf(run).outcome).toBe('done');
    expect(run.kinds).not.toContain('intent.declared');
  });

  test('a route to paused parks the run; resumed, it visits the stage again, within its cap', async () => {
    const run = await openRun({ blueprint: oneAction('run_tests', { on_failure: 'paused', visit_limit: 2 }) });
    await run.test(false);
    expect([run.state.status, pending(run.state)]).toEqual(['parked', []]);
    await run.resume();
    expect(run.due('execute').action).toBe('run_tests');
    await run.test(false);
    await run.resume();
    expect(run.state.status).toBe('parked');
    expect(run.state.parked?.because.code).toBe('visits.exhausted');
  });

  test('skipped stages in a circle come to an end, without any fact in between', async () => {
    const stages = Array.from({ length: 100 }, (_, at) => ({
      id: `s${at}`,
      type: 'deterministic',
      action: 'run_tests',
      visit_limit: 20,
      on_success: `s${(at + 1) % 100}`,
      on_failure: 'fail',
    }));
    const run = await openRun({
      blueprint: {
        version: 1,
        name: 'circle',
        defaults: { sandbox: 'workspace_write' },
        stages: [...stages.slice(0, 99), { ...stages[99], on_failure: 'done' }],
      },
      commands: { test: 'none' },
    });
    expect(run.state.status).toBe('closed');
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'run.restless' });
  });
});

describe('several calls in one answer', () => {
  test('are declared together and judged one at a time, each after the commit before it', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([
      NEW,
      {
        name: 'apply_patch',
        arguments: {
          format: 'unified',
          patch: '--- a/src/b.ts\n+++ b/src/b.ts\n@@ -1 +1 @@\n-export const b = 1;\n+export const b = 2;\n',
        },
      },
      { name: 'read_file', arguments: { path: 'src/b.ts' } },
    ]);
    expect(bodiesOf(run, 'intent.declared')).toHaveLength(3);
    expect(bodiesOf(run, 'proposal.staged')).toHaveLength(1);
    await run.perform();
    expect(bodiesOf(run, 'proposal.staged')).toHaveLength(2);
    const { change, blob } = run.change('src/b.ts', 'export const b = 2;\n');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    expect(run.due('execute').action).toBe('read_file');
    await run.perform();
    expect(
      run
        .due('ask')
        .parts.filter(({ role }) => role === 'tool')
        .map(({ call }) => call),
    ).toEqual(['call_0', 'call_1', 'call_2']);
  });

  test('of which one is refused: the others go on, and the model hears of each', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([{ name: 'read_file', arguments: { path: '.env' } }, TWO]);
    await run.perform();
    expect(bodiesOf(run, 'proposal.rejected')).toHaveLength(1);
    expect(bodiesOf(run, 'commit.recorded')).toHaveLength(1);
    expect(run.due('ask').parts.filter(({ role }) => role === 'tool')).toHaveLength(2);
  });

  test('behind a suspended one wait until it is resolved', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([writeFile('package.json', '{}\n'), TWO]);
    expect(bodiesOf(run, 'intent.declared')).toHaveLength(2);
    expect(bodiesOf(run, 'policy.decided').filter(({ intent }) => intent !== null)).toHaveLength(1);
    await run.vote('anna', 'deny');
    expect(run.due('execute').arguments).toEqual(TWO.arguments);
  });
});

describe('what was observed', () => {
  test('and not declared is rejected, fails the stage and leaves the world as it was', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([TWO]);
    const { change, blob } = run.change('src/other.ts', 'x');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    expect(lastOf(run, 'proposal.rejected')).toMatchObject({ at: 'postcondition', because: { code: 'effect.undeclared' } });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'effect.undeclared' });
    expect(committedTree(run.state)).toBe(run.opened.body.base.tree);
  });

  test('with other paths than a message can hold is rejected in bounded words', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([TWO]);
    const changes = Array.from({ length: 5 }, (_, at) => ({
      path: `${'d'.repeat(1000)}😀/${at}`,
      before: null,
      after: run.change('x', 'x').change.after,
    }));
    await run.observe({ changes: { inline: changes } });
    expect(lastOf(run, 'proposal.rejected').because.message.length).toBeLessThanOrEqual(2000);
  });

  test('from another pre-image than the committed one is rejected', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([TWO]);
    const { change, blob } = run.change('src/a.ts', 'y');
    await run.observe({ changes: { inline: [{ ...change, before: '0'.repeat(40) }] } }, { blobs: [blob] });
    expect(lastOf(run, 'proposal.rejected').because.code).toBe('postcondition.preImage');
  });

  test('as a file below a file, which no tree can hold, is rejected', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([writeFile('README.md/inner.txt', 'x')]);
    await run.perform();
    expect(lastOf(run, 'proposal.rejected').because.code).toBe('postcondition.treeConflict');
  });

  test('by an action of the blueprint that may leave nothing behind is rejected when it did', async () => {
    const run = await openRun({ blueprint: ONE_CHECK });
    const { change, blob } = run.change('src/a.ts', 'changed by a test');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'effect.undeclared' });
  });

  test('as an undeclared effect fails even a stage whose call the model made', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([TWO, NEW]);
    const { execution } = run.due('execute');
    await run.fact('effect.undeclared', {
      ...run.driving,
      execution,
      paths: ['.git/config'],
      because: { code: 'effect.undeclared', message: 'a protected path was touched' },
    });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'effect.undeclared' });
    expect(bodiesOf(run, 'commit.recorded')).toEqual([]);
  });

  test('is committed with the root of the world that follows, which every later commit builds on', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([TWO]);
    await run.perform();
    const first = worldRoot(run.state.world);
    expect(lastOf(run, 'commit.recorded').worldRoot).toBe(first);
    await run.answer([NEW]);
    await run.perform();
    expect(lastOf(run, 'commit.recorded').worldRoot).toBe(worldRoot(run.state.world));
    expect(worldRoot(run.state.world)).not.toBe(first);
  });
});

describe('the landing', () => {
  async function toLanding(): Promise<RunDriver> {
    const run = await openRun();
    await run.answer([TWO, writeFile('docs/new.md', 'n\n')]);
    await run.perform();
    await run.perform();
    await run.answer('done');
    await run.test(true);
    return run;
  }

  test('is computed from the ledger alone: tree, parent, author, message and commit id', async () => {
    const run = await toLanding();
    const input = run.due('execute').arguments as {
      readonly tree: string;
      readonly parent: string;
      readonly message: string;
      readonly commit: string;
      readonly branch: string;
      readonly author: { readonly name: string; readonly email: string; readonly seconds: number; readonly offset: string };
    };
    const oid = (path: string) => run.change(path, path === 'src/a.ts' ? 'export const a = 2;\n' : 'n\n').change.after?.oid ?? '';
    const base = ['README.md', 'test/a.test.ts'].map((path) => ({
      path,
      mode: '100644' as const,
      oid: run.state.law?.base.get(path)?.oid ?? '',
    }));
    const tree = gitTreeId(
      [...base, ...['src/a.ts', 'docs/new.md'].map((path) => ({ path, mode: '100644' as const, oid: oid(path) }))],
      'sha1',
    );
    expect(input.tree).toBe(tree);
    expect(input.parent).toBe(run.opened.body.base.commit);
    expect(input.commit).toBe(
      gitCommitId({ tree, parents: [input.parent], author: input.author, committer: input.author, message: input.message }, 'sha1'),
    );
    expect(input.message).toContain(`OpenExec-Run: ${run.run}`);
    expect(input.branch).toBe(`openexec/${run.run.slice(4, 16)}`);
    await run.perform();
    expect(run.state.closed?.result).toEqual({ ref: `refs/heads/${input.branch}`, commit: input.commit, tree });
  });

  test('of another commit than was computed is rejected', async () => {
    const run = await toLanding();
    const input = run.due('execute').arguments as { readonly tree: string; readonly branch: string };
    await run.observe({ landed: { ref: `refs/heads/${input.branch}`, commit: 'f'.repeat(40), tree: input.tree } });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'postcondition.commit' });
    expect(run.state.closed?.result).toBeNull();
  });

  test('of a task that holds a NUL or a broken character in its first line still has a commit', async () => {
    const run = await openRun({ task: `${'t'.repeat(71)}😀\0rest` });
    await run.play({ answers: [[TWO], 'done'] });
    expect(endOf(run).outcome).toBe('done');
  });

  test('of files that make no tree, a file where a folder is, is refused before it starts', async () => {
    const run = await openRun();
    await run.play({ answers: [[writeFile('src', 'a file where a folder is')], 'done'] });
    expect(lastOf(run, 'proposal.rejected')).toMatchObject({ at: 'precondition', because: { code: 'precondition.tree' } });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'precondition.tree' });
  });

  test('that policy asks about waits for a person', async () => {
    const run = await openRun({
      policySet: setOf(
        bundleOf('ask-land', [
          {
            when: isAction('commit_changes'),
            decide: { approve: { roles: ['approver'], quorum: 1, ttlMs: 1000, minAssurance: 'file', openerMayApprove: true } },
          },
        ]),
      ),
    });
    await run.play({ answers: [[TWO], 'done'] });
    expect(run.due('awaitApproval')).toBeDefined();
    await run.vote('anna');
    expect(run.due('execute').action).toBe('commit_changes');
  });
});

describe('large values', () => {
  test('travel as blobs and fold to the same world as small ones', async () => {
    const many = actionOf('write_many', {
      writes: 'declared',
      paths: [{ argument: 'paths', as: 'files', access: 'write' }],
      arguments: {
        type: 'object',
        properties: { paths: { type: 'array', items: { type: 'string' } } },
        required: ['paths'],
        additionalProperties: false,
      },
    });
    const paths = Array.from({ length: 200 }, (_, at) => `gen/file-${at}.txt`);
    const run = await openRun({ blueprint: oneAction('write_many', { arguments: { paths } }), actions: [many], policySet: OPEN });
    const changes = paths.map((path) => run.change(path, path).change);
    const held = blobOf(changes);
    await run.observe({ changes: { blob: held.ref } }, { blobs: [held] });
    const { delta } = lastOf(run, 'commit.recorded');
    expect('blob' in delta).toBe(true);
    expect(endOf(run).outcome).toBe('done');
    expect(committedTree(run.state)).not.toBe(run.opened.body.base.tree);
  });
});
