/**
 * What a stage may do beside its routes: the sandbox of each execution is the run's narrowed to the stage, protected names are not written, a
 * blueprint of declared scope needs a writ that declares one, and the approval modes ask for what they say. SECURITY §8, PROTOCOL §§4.3, 6.
 */
import { describe, expect, test } from '@jest/globals';
import { digestJson, type Json } from '@openexec/canon';
import { compileProfile, narrowProfile } from '@openexec/catalogue';
import { ONE_AGENT, type RunDriver, type RunPlan, writeFile } from '@openexec/kernel/fixture';
import { actionOf, bodiesOf, endOf, inMode, lastOf, oneAction, OPEN, openRun } from './support.ts';

const LOOK_AND_TEST: Json = {
  version: 1,
  name: 'look_and_test',
  defaults: { toolset: 'repo_readonly' },
  stages: [
    { id: 'look', type: 'agent', goal: 'Look.', sandbox: 'read_only' },
    { id: 'check', type: 'deterministic', action: 'run_tests', sandbox: 'read_only' },
    { id: 'test', type: 'deterministic', action: 'run_tests', sandbox: 'workspace_write' },
  ],
};

describe('the profile of an execution', () => {
  test("is the run's narrowed to the mode of its stage, named in execution.started, and the same that the hands are given", async () => {
    const run = await openRun({ blueprint: LOOK_AND_TEST });
    await run.answer([{ name: 'search', arguments: { pattern: 'a' } }]);
    const bound = run.state.law?.profile;
    if (bound === undefined) throw new Error('the run has no law');
    expect([bound.mode, bound.workspace]).toEqual(['repo_write', 'rw']);
    const seen: unknown[] = [];
    const see = (): void => {
      const { profile } = run.due('execute');
      const { sandbox } = lastOf(run, 'execution.started');
      expect(sandbox).toEqual({ mode: profile.mode, profile: digestJson({ ...profile }) });
      expect(profile).toEqual({ ...bound, mode: profile.mode, workspace: profile.workspace });
      seen.push([run.due('execute').action, profile.mode, profile.workspace]);
    };
    see();
    await run.perform();
    await run.answer('seen');
    see();
    await run.test(true);
    see();
    expect(seen).toEqual([
      ['search', 'read_only', 'ro'],
      ['run_tests', 'read_only', 'ro'],
      ['run_tests', 'workspace_write', 'rw'],
    ]);
  });

  test('is never wider than the run, whatever the stage says', () => {
    const writ = { ceiling: ['read' as const], writePaths: [] };
    const bound = compileProfile({ writ, mode: 'repo_write', provide: [], toolchain: [], seccompDigest: digestJson('filter') });
    for (const mode of ['read_only', 'workspace_write', 'repo_write'] as const)
      expect(narrowProfile(bound, mode)).toMatchObject({ mode: 'read_only', workspace: 'ro' });
  });

  test('lets no patch through in a stage that may not write, even where the check was evaded', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, alterBlueprint: inMode('read_only') });
    await run.answer([writeFile('src/a.ts', 'x\n')]);
    expect(lastOf(run, 'proposal.rejected').because.code).toBe('sandbox.mode');
    expect(bodiesOf(run, 'execution.started')).toEqual([]);
  });
});

describe('protected names', () => {
  const protecting: Json = {
    version: 1,
    name: 'protecting',
    defaults: { toolset: 'coding_backend', sandbox: 'workspace_write', protect: ['test', '*.test.ts'] },
    stages: [{ id: 'work', type: 'agent', goal: 'Repair it.', protect: ['README*'] }],
  };
  test.each(['test/a.test.ts', 'src/new.TEST.ts', 'src/Test/x.ts', 'README.md'])('keep %s from being written', async (path) => {
    const run = await openRun({ blueprint: protecting });
    await run.answer([writeFile(path, 'weaker\n')]);
    expect(lastOf(run, 'proposal.rejected').because).toMatchObject({ code: 'stage.protected', message: expect.stringContaining(path) });
    expect(bodiesOf(run, 'execution.started')).toEqual([]);
  });
  test('leave everything else alone, reading included', async () => {
    const run = await openRun({ blueprint: protecting });
    await run.answer([{ name: 'read_file', arguments: { path: 'test/a.test.ts' } }, writeFile('src/a.ts', 'x\n')]);
    await run.perform();
    await run.perform();
    expect(bodiesOf(run, 'commit.recorded')).toHaveLength(2);
  });
});

describe('a blueprint of declared scope', () => {
  const scoped: Json = { ...(ONE_AGENT as { readonly [key: string]: Json }), scope: 'declared' };
  test('is denied under a writ for everything, and nothing is asked', async () => {
    const run = await openRun({ blueprint: scoped });
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'scope.undeclared' });
    expect(bodiesOf(run, 'model.asked')).toEqual([]);
  });
  test('runs under a writ that declares its paths, and keeps to them', async () => {
    const run = await openRun({ blueprint: scoped, grant: { writePaths: ['src/**'] } });
    await run.answer([writeFile('docs/x.md', 'x\n'), writeFile('src/a.ts', 'x\n')]);
    expect(bodiesOf(run, 'proposal.rejected').map(({ because }) => because.code)).toEqual(['writ.writePaths']);
    expect(run.due('execute').action).toBe('apply_patch');
  });
});

describe('the approval mode of a blueprint', () => {
  const asked = async (mode: string, risk: 'low' | 'high' | 'critical', effect: 'read' | 'write' = 'write'): Promise<boolean> => {
    const blueprint = oneAction('poke', {});
    const plan: RunPlan = {
      blueprint: { ...(blueprint as { readonly [key: string]: Json }), defaults: { sandbox: 'repo_write', approval_mode: mode } },
      actions: [actionOf('poke', { risk, effect })],
      // Its threshold is critical, so that what is asked below that is the blueprint's wish.
      policySet: { ...OPEN, riskThreshold: 'critical' },
    };
    return bodiesOf(await openRun(plan), 'approval.requested').length > 0;
  };
  test.each<readonly [string, boolean, boolean, boolean]>([
    ['never', false, false, true],
    ['on_critical_actions', false, false, true],
    ['on_risky_actions', false, true, true],
    ['always', true, true, true],
  ])('%s asks about low, high and critical risk: %s, %s, %s', async (mode, low, high, critical) => {
    expect([await asked(mode, 'low'), await asked(mode, 'high'), await asked(mode, 'critical')]).toEqual([low, high, critical]);
  });
  test('asks about no reading, even if always', async () => {
    expect(await asked('always', 'low', 'read')).toBe(false);
  });
});

describe('an approval stage', () => {
  const wanting = (more: { readonly [key: string]: Json } = {}): Json => oneAction('run_tests', { approval_required: true, ...more });
  const voted = async (decision: 'approve' | 'deny', more: { readonly [key: string]: Json } = {}): Promise<RunDriver> => {
    const run = await openRun({ blueprint: wanting(more), opener: 'cleo' });
    await run.test(true);
    expect(lastOf(run, 'approval.requested')).toMatchObject({ subject: 'stage', stage: 'only', action: 'stage.only' });
    await run.vote('anna', decision);
    return run;
  };
  test('asks for its result once it succeeded; a yes leads on, a no takes the route of failure', async () => {
    expect(endOf(await voted('approve'))).toEqual({ outcome: 'done', code: 'run.done' });
    expect(endOf(await voted('deny')).outcome).toBe('denied');
    const parked = await voted('deny', { on_failure: 'paused' });
    expect(parked.state.status).toBe('parked');
  });
  test('asks nobody about a failure or a skipped stage', async () => {
    const failed = await openRun({ blueprint: wanting() });
    await failed.test(false);
    const skipped = await openRun({ blueprint: wanting(), commands: { test: 'none' } });
    for (const run of [failed, skipped]) expect(bodiesOf(run, 'approval.requested')).toEqual([]);
    expect([endOf(failed).outcome, endOf(skipped).outcome]).toEqual(['failed', 'done']);
  });
  test('counts as rejected where the run was opened with approvals switched off', async () => {
    const run = await openRun({ blueprint: wanting(), approvals: 'never' });
    await run.test(true);
    expect(bodiesOf(run, 'approval.requested')).toEqual([]);
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'approval.notAsked' });
  });
});
