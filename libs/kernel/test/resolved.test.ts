/**
 * What an action is given beyond its arguments: notes of the world with compare-and-swap, the reach of a formatter, the account of the run. All of it
 * follows from the entries alone. PROTOCOL §§5, 8, 9.
 */
import { describe, expect, test } from '@jest/globals';
import { canonicalText, digestBytes, digestJson, type Json, sha256, utf8Encode } from '@openexec/canon';
import { lookUp, neededBlobs, recordOf, worldRoot } from '@openexec/kernel';
import { ONE_AGENT, type RunDriver, type RunPlan, type ScriptedCall, writeFile } from '@openexec/kernel/fixture';
import { mapProve, mapRoot, verifyMapProof } from '@openexec/proof';
import { type ConfiguredCommand, runAccount } from '@openexec/protocol';
import { bodiesOf, endOf, lastOf, oneAction, openRun } from './support.ts';

const set = (key: string, more: { readonly [name: string]: Json }): ScriptedCall => ({ name: 'kv_set', arguments: { key, ...more } });
const get = (key: string): ScriptedCall => ({ name: 'kv_get', arguments: { key } });

/** One agent stage that makes these calls in one answer, and then ends. */
async function agent(calls: readonly ScriptedCall[], more: RunPlan = {}): Promise<RunDriver> {
  const run = await openRun({ blueprint: ONE_AGENT, ...more });
  await run.play({ answers: [calls, 'done'] });
  return run;
}
/** What each execution of the action was started with. */
function inputs(run: RunDriver, action: string): readonly Json[] {
  return bodiesOf(run, 'execution.started').flatMap(({ action: name, input }) =>
    name === action && 'inline' in input ? [input.inline] : [],
  );
}
function refusals(run: RunDriver): readonly string[] {
  return bodiesOf(run, 'proposal.rejected').map(({ because }) => because.code);
}

describe('notes', () => {
  test('are created, replaced, retracted and created again, with a version that goes on', async () => {
    const run = await agent([
      set('plan', { value: 'one' }),
      set('plan', { value: { two: [2.5, null] } }),
      get('plan'),
      set('plan', { retract: true }),
      get('plan'),
      set('plan', { value: 'three', expectedVersion: 3 }),
      get('plan'),
    ]);
    const deltas = bodiesOf(run, 'commit.recorded').flatMap(({ delta }) => ('inline' in delta ? delta.inline : []));
    expect(deltas).toEqual([
      { op: 'create', kind: 'kv', id: 'plan', version: 0, value: 'one' },
      { op: 'replace', kind: 'kv', id: 'plan', version: 1, value: { two: [2.5, null] } },
      { op: 'retract', kind: 'kv', id: 'plan', version: 2 },
      { op: 'create', kind: 'kv', id: 'plan', version: 3, value: 'three' },
    ]);
    expect(inputs(run, 'kv_get')).toEqual([
      { key: 'plan', found: true, version: 2, value: { two: [2.5, null] } },
      { key: 'plan', found: false, version: 3, value: null },
      { key: 'plan', found: true, version: 4, value: 'three' },
    ]);
    expect(inputs(run, 'kv_set')).toContainEqual({ key: 'plan', op: 'retract', version: 3 });
    expect(endOf(run)).toEqual({ outcome: 'done', code: 'run.done' });
  });

  test('are refused where the version is another, where nothing stands, and where the wish is none', async () => {
    const run = await agent([
      set('a', { value: 1, expectedVersion: 1 }),
      set('a', { retract: true }),
      set('a', { value: 1 }),
      set('a', { value: 2, expectedVersion: 0 }),
      set('a', {}),
      set('a', { value: 'x'.repeat(20_000) }),
      set('b', { value: null }),
      get('b'),
    ]);
    expect(refusals(run)).toEqual([
      'precondition.version',
      'precondition.absent',
      'precondition.version',
      'arguments.invalid',
      'arguments.invalid',
    ]);
    expect(lookUp(run.state.world, 'kv', 'a')).toMatchObject({ version: 1, value: 1, retracted: false });
    // A null is a value like any other.
    expect(inputs(run, 'kv_get')).toEqual([{ key: 'b', found: true, version: 1, value: null }]);
  });

  test('of several kilobytes travel as blobs, and come back whole', async () => {
    const value = 'y'.repeat(16_000);
    const run = await agent([set('long', { value }), get('long')]);
    expect(bodiesOf(run, 'commit.recorded').map(({ delta }) => 'blob' in delta)).toEqual([true, false]);
    expect(bodiesOf(run, 'execution.started').map(({ input }) => 'blob' in input)).toEqual([false, true]);
    expect(lookUp(run.state.world, 'kv', 'long')?.value).toBe(value);
  });

  test('stand under the world root: the record of a note is proved against the root of the run', async () => {
    const run = await agent([set('plan', { value: 'one' }), set('other', { value: 2 }), writeFile('src/a.ts', 'x\n')]);
    const note = lookUp(run.state.world, 'kv', 'plan');
    if (note === undefined) throw new Error('there is no note');
    const key = sha256(utf8Encode(canonicalText(['kv', 'plan'])));
    const closed = lastOf(run, 'run.closed');
    expect(closed.worldRoot).toBe(worldRoot(run.state.world));
    const root = mapRoot(run.state.world);
    expect(`sha256:${Buffer.from(root).toString('hex')}`).toBe(closed.worldRoot);
    const proof = mapProve(run.state.world, key);
    const valueHash = digestBytes(digestJson(recordOf(note)));
    expect(verifyMapProof({ root, key, valueHash, proof }).ok).toBe(true);
    const other = digestBytes(digestJson({ ...(recordOf(note) as object), version: 9 }));
    expect(verifyMapProof({ root, key, valueHash: other, proof }).ok).toBe(false);
  });

  test('are pure: a writ that grants no effect at all still grants them, by their names', async () => {
    const blueprint = oneAction('kv_set', { arguments: { key: 'k', value: 1 }, sandbox: 'read_only' });
    const granted = await openRun({ blueprint, grant: { ceiling: [], actions: ['kv_set'], writePaths: [] } });
    await granted.play();
    expect(endOf(granted)).toEqual({ outcome: 'done', code: 'run.done' });
    const refused = await openRun({ blueprint, grant: { actions: ['kv_get'] } });
    await refused.play();
    expect(endOf(refused)).toEqual({ outcome: 'denied', code: 'writ.scope' });
  });
});

describe('a formatter', () => {
  const commands: Readonly<Record<string, ConfiguredCommand>> = { format: { argv: ['fmt'], timeout: 'fast' } };
  const format = (more: { readonly [name: string]: Json } = {}): Json =>
    oneAction('run_formatter', { sandbox: 'workspace_write', ...more });

  test('that names no folder may change what the writ lets the run write, and is started with those patterns', async () => {
    const run = await openRun({ blueprint: format(), commands, grant: { writePaths: ['src/**', 'README.md'] } });
    expect(run.due('execute')).toMatchObject({ arguments: { writePaths: ['README.md', 'src/**'] }, command: ['fmt'], deadlineMs: 30_000 });
    const { change, blob } = run.change('src/a.ts', 'formatted\n');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    expect(endOf(run)).toEqual({ outcome: 'done', code: 'run.done' });
    expect(lookUp(run.state.world, 'file', 'src/a.ts')?.version).toBe(1);
  });

  test('that changed what lies outside those patterns is rejected after the fact, whatever its host says', async () => {
    const run = await openRun({ blueprint: format({ arguments: { directory: 'src' } }), commands });
    expect(inputs(run, 'run_formatter')).toEqual([{ directory: 'src', writePaths: ['src/**'] }]);
    const { change, blob } = run.change('README.md', 'formatted\n');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'effect.undeclared' });
  });

  test('is refused a folder that the writ does not let the run write, and a writ without writing', async () => {
    const beyond = await openRun({ blueprint: format({ arguments: { directory: 'docs' } }), commands, grant: { writePaths: ['src/**'] } });
    expect(endOf(beyond)).toEqual({ outcome: 'denied', code: 'writ.writePaths' });
    const reading = await openRun({ blueprint: format(), commands, grant: { ceiling: ['read'] } });
    expect(endOf(reading)).toEqual({ outcome: 'denied', code: 'writ.effect' });
  });

  test('without a configured command is refused, and skipped where there is said to be none', async () => {
    const missing = await openRun({ blueprint: format(), commands: { format: 'none' } });
    expect(bodiesOf(missing, 'stage.left')[0]).toMatchObject({ outcome: 'skipped', because: { code: 'command.none' } });
  });
});

describe('a report', () => {
  const blueprint: Json = {
    version: 1,
    name: 'reported',
    defaults: { toolset: 'coding_backend', sandbox: 'workspace_write' },
    stages: [
      { id: 'work', type: 'agent', goal: 'Do it.', outputs: ['patch'], on_success: 'check', on_failure: 'fail' },
      { id: 'check', type: 'deterministic', action: 'run_tests', outputs: ['test_report'], on_success: 'diff', on_failure: 'work' },
      {
        id: 'diff',
        type: 'deterministic',
        action: 'generate_diff_report',
        outputs: ['diff_report'],
        on_success: 'review',
        on_failure: 'fail',
      },
      {
        id: 'review',
        type: 'deterministic',
        action: 'prepare_review_bundle',
        outputs: ['review_bundle'],
        on_success: 'done',
        on_failure: 'fail',
      },
    ],
  };
  /** The check may fail: the review is prepared all the same. */
  const reviewed: Json = {
    version: 1,
    name: 'reviewed',
    defaults: { toolset: 'coding_backend', sandbox: 'workspace_write' },
    stages: [
      { id: 'work', type: 'agent', goal: 'Do it.', outputs: ['patch'], on_success: 'check', on_failure: 'fail' },
      { id: 'check', type: 'deterministic', action: 'run_tests', outputs: ['test_report'], on_success: 'review', on_failure: 'review' },
      {
        id: 'review',
        type: 'deterministic',
        action: 'prepare_review_bundle',
        outputs: ['review_bundle'],
        on_success: 'done',
        on_failure: 'fail',
      },
    ],
  };
  const missing = writeFile('../outside', 'x');

  test('is given base and tree; its account holds stages, checks, refusals and spend as they were recorded', async () => {
    const run = await openRun({ blueprint });
    await run.answer([writeFile('src/a.ts', 'bad\n'), missing]);
    await run.perform();
    await run.answer('tried');
    await run.test(false);
    await run.answer([writeFile('src/a.ts', 'good\n')]);
    await run.perform();
    await run.answer('done');
    await run.test(true);
    const { base } = run.opened.body;
    expect(run.due('execute').arguments).toMatchObject({
      base: base.commit,
      baseTree: base.tree,
      tree: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    await run.observe();
    const due = run.due('execute');
    const account = runAccount.parse((due.arguments as { readonly account: unknown }).account);
    expect(account.stages.map(({ stage, visit, outcome }) => [stage, visit, outcome])).toEqual([
      ['work', 1, 'succeeded'],
      ['check', 1, 'failed'],
      ['work', 2, 'succeeded'],
      ['check', 2, 'succeeded'],
      ['diff', 1, 'succeeded'],
      ['review', 1, null],
    ]);
    expect(account.checks.map(({ action, visit, status, exitCode }) => [action, visit, status, exitCode])).toEqual([
      ['run_tests', 1, 'failed', 1],
      ['run_tests', 2, 'ok', 0],
    ]);
    expect(account.refusals).toMatchObject([
      { action: 'apply_patch', author: 'model', stage: 'work', at: 'compile', because: { code: 'path.segment' } },
    ]);
    expect(account.files).toMatchObject([{ path: 'src/a.ts', status: 'changed', autoRun: false }]);
    expect(account.model).toMatchObject({ asks: 4, answers: 4, failures: 0 });
    expect(account.spend.settled).toEqual({ ...run.state.settled });
    // Nothing of what the model says of itself is in it.
    expect(canonicalText(due.arguments)).not.toContain('tried');
  });

  test('travels as a blob where it is large, and a retry is started with the very same input', async () => {
    const calls = Array.from({ length: 60 }, (_, at) => writeFile(`src/file-${at}.ts`, `${at}\n`));
    const run = await openRun({ blueprint });
    await run.play({ answers: [calls, 'done'] }).catch(() => undefined);
    const started = bodiesOf(run, 'execution.started').find(({ action }) => action === 'prepare_review_bundle');
    if (started === undefined || !('blob' in started.input)) throw new Error('the account is not a blob');
    expect(started.input.blob.bytes).toBeGreaterThan(8 * 1024);
    expect(neededBlobs({ kind: 'execution.started', body: started })).toEqual([started.input.blob]);
    const again = await openRun({ blueprint: oneAction('summarize_run') });
    const first = again.due('execute').arguments;
    await again.resume();
    expect(again.due('execute').arguments).toEqual(first);
    expect(bodiesOf(again, 'execution.started').map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test('of the changes reads what was changed: a writ that does not let the run read there refuses it', async () => {
    const grant = { readPaths: ['docs/**'], writePaths: ['src/**'] };
    const run = await openRun({ blueprint, grant });
    await run.play({ answers: [[writeFile('src/new.ts', 'x\n')], 'done'] });
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'writ.readPaths' });
  });

  test('tells of approvals with the votes that counted, and of effects that nobody had declared', async () => {
    const run = await openRun({ blueprint: reviewed });
    // package.json is an auto-run file: the shipped policy asks.
    await run.answer([writeFile('package.json', '{}\n')]);
    await run.vote('stranger');
    await run.vote('anna');
    await run.perform();
    await run.answer('done');
    const { execution } = run.due('execute');
    const because = { code: 'effect.undeclared', message: 'it touched a protected path' };
    await run.fact('effect.undeclared', { ...run.driving, execution, paths: ['.git/hooks/x'], because });
    const account = runAccount.parse((run.due('execute').arguments as { readonly account: unknown }).account);
    expect(account.approvals).toMatchObject([
      { action: 'apply_patch', stage: 'work', outcome: 'approved', votes: [{ decision: 'approve', assurance: 'passphrase' }] },
    ]);
    expect(account.files).toMatchObject([{ path: 'package.json', status: 'added', autoRun: true }]);
    expect(account.undeclared).toMatchObject([{ action: 'run_tests', stage: 'check', paths: ['.git/hooks/x'], because }]);
    expect(account.checks).toMatchObject([
      { action: 'run_tests', status: 'error', summary: 'effect.undeclared: it touched a protected path' },
    ]);
  });
});
