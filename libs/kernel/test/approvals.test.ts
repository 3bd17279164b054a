/**
 * Approvals: M of N, denial, expiry, the wrong content, the opener, changed policy. An approval is for this exact action, by a key, once, before it
 * expires, under the same policy. PROTOCOL §6, invariant 9; E04, E21.
 */
import { describe, expect, test } from '@jest/globals';
import { writId } from '@openexec/authority';
import { pending } from '@openexec/kernel';
import { REGULATED, SOLO } from '@openexec/policy';
import { ONE_AGENT, RunDriver, type RunPlan, writeFile } from '@openexec/kernel/fixture';
import { actionOf, ASKS, bodiesOf, bundleOf, endOf, isAction, lastOf, oneAction, OPEN, openRun, setOf, TERMS } from './support.ts';

const PATCH = writeFile('src/a.ts', 'export const a = 2;\n');

/** A run that waits for two approvers. */
async function suspended(plan: RunPlan = {}): Promise<RunDriver> {
  const run = await openRun({ blueprint: ONE_AGENT, policySet: ASKS, opener: 'cleo', ...plan });
  await run.answer([PATCH]);
  expect(run.due('awaitApproval').request).toBe(run.state.request?.id);
  return run;
}

const noted = (run: RunDriver) => lastOf(run, 'fact.noted');
const started = (run: RunDriver): number => run.kinds.filter((kind) => kind === 'execution.started').length;

describe('two of three', () => {
  test('one vote is counted and nothing starts; the second starts exactly what was asked', async () => {
    const run = await suspended();
    await run.vote('anna');
    expect([noted(run).why, started(run)]).toEqual(['vote.counted', 0]);
    await run.vote('ben');
    expect(started(run)).toBe(1);
    expect(lastOf(run, 'approval.resolved')).toMatchObject({ outcome: 'approved', votes: [{}, {}] });
    expect(lastOf(run, 'proposal.staged').approval).toBe(lastOf(run, 'approval.requested').request);
    expect(run.due('execute').arguments).toEqual(PATCH.arguments);
  });

  test('the same key counts once', async () => {
    const run = await suspended();
    await run.vote('anna');
    await run.vote('anna');
    expect([noted(run).why, started(run)]).toEqual(['vote.twice', 0]);
  });

  test('one denial ends it, the model is told and the run goes on', async () => {
    const run = await suspended();
    await run.vote('anna');
    await run.vote('ben', 'deny', (vote) => ({ ...vote, because: 'not on a Friday' }));
    expect(lastOf(run, 'approval.resolved')).toMatchObject({ outcome: 'denied', because: { message: 'not on a Friday' } });
    expect(lastOf(run, 'proposal.rejected')).toMatchObject({ at: 'approval' });
    expect([started(run), run.due('ask').turn]).toEqual([0, 2]);
  });

  test('votes that come queued one behind another are judged one by one', async () => {
    const run = await suspended();
    await run.vote('anna', 'approve', undefined, { queue: true });
    await run.vote('ben', 'approve', undefined, { queue: true });
    await run.vote('stranger', 'approve', undefined, { queue: true });
    await run.settle();
    expect(started(run)).toBe(1);
    expect(noted(run)).toMatchObject({ why: 'approval.late', violation: false });
  });
});

describe('a vote does not count', () => {
  test.each<readonly [string, Parameters<RunDriver['vote']>, string]>([
    ['by a stranger', ['stranger'], 'vote.untrusted'],
    ['by the runtime key', ['runtime'], 'vote.runtimeKey'],
    ['by an issuer, who is no approver', ['issuer'], 'vote.role'],
    ['by whoever opened the run', ['cleo'], 'vote.opener'],
    ['over other content', ['anna', 'approve', (vote) => ({ ...vote, digest: vote.request })], 'vote.digest'],
    ['for another run', ['anna', 'approve', (vote) => ({ ...vote, run: 'run/ffffffffffffffffffffffffffffffff' })], 'vote.run'],
    ['for another ledger', ['anna', 'approve', (vote) => ({ ...vote, ledger: vote.request })], 'vote.ledger'],
    [
      'after its own expiry',
      ['anna', 'approve', (vote) => ({ ...vote, expiry: '2026-03-01T08:00:00.000Z' as typeof vote.expiry })],
      'vote.expired',
    ],
    ['by a key held less well than policy wants', ['anna', 'approve', (vote) => ({ ...vote, assurance: 'file' })], 'vote.assurance'],
  ])('%s', async (_, how, code) => {
    const run = await suspended();
    await run.vote(...how);
    expect(noted(run)).toMatchObject({ why: 'vote.refused', violation: false });
    expect(noted(run).message).toContain(code);
    expect(run.state.request?.votes).toEqual([]);
    expect(started(run)).toBe(0);
  });

  test('on another request than the open one', async () => {
    const run = await suspended();
    await run.vote('anna', 'approve', (vote) => ({ ...vote, request: run.opened.body.task.digest }));
    expect(noted(run)).toMatchObject({ why: 'approval.late', violation: false });
  });

  test('by a key that was retired in between', async () => {
    const run = await suspended();
    await run.house.retire('anna');
    await run.vote('anna');
    expect(noted(run).message).toContain('vote.untrusted');
  });

  test('once the time of the request is over', async () => {
    const run = await suspended();
    run.house.pass(TERMS.ttlMs);
    await run.vote('anna');
    expect(noted(run).message).toContain('vote.late');
  });
});

describe('assurance', () => {
  test('a vote counts exactly where its signed assurance is at least what was asked', async () => {
    const order = ['file', 'passphrase', 'hardware'] as const;
    for (const wanted of order)
      for (const held of order) {
        const terms = { ...TERMS, quorum: 1, minAssurance: wanted };
        const run = await suspended({
          policySet: setOf(bundleOf('held', [{ when: isAction('apply_patch'), decide: { approve: terms } }])),
        });
        await run.vote('anna', 'approve', (vote) => ({ ...vote, assurance: held }));
        expect([wanted, held, started(run)]).toEqual([wanted, held, order.indexOf(held) >= order.indexOf(wanted) ? 1 : 0]);
      }
  });
});

describe('expiry', () => {
  test('is believed only when the time is up', async () => {
    const run = await suspended();
    const request = run.due('awaitApproval').request;
    await run.fact('approval.expired', { ...run.driving, request });
    expect(noted(run)).toMatchObject({ why: 'approval.notExpired', violation: true });
    run.house.pass(TERMS.ttlMs);
    await run.fact('approval.expired', { ...run.driving, request });
    expect(lastOf(run, 'approval.resolved').outcome).toBe('expired');
    expect(lastOf(run, 'proposal.rejected').because.code).toBe('approval.expired');
    expect(started(run)).toBe(0);
  });

  test('of a time to live beyond the calendar ends with the calendar', async () => {
    const run = await suspended({
      policySet: setOf(
        bundleOf('forever', [{ when: isAction('apply_patch'), decide: { approve: { ...TERMS, ttlMs: Number.MAX_SAFE_INTEGER } } }]),
      ),
    });
    expect(run.state.request?.until).toBe('9999-12-31T23:59:59.999Z');
  });
});

describe('an approval is for this exact action under the same policy', () => {
  test('adopted policy in between: the action is asked again, and the first approval starts nothing', async () => {
    const run = await suspended();
    await run.vote('anna');
    await run.house.adopt(bundleOf('newer', []));
    await run.vote('ben');
    expect(bodiesOf(run, 'approval.requested')).toHaveLength(2);
    expect(new Set(bodiesOf(run, 'approval.requested').map(({ request }) => request)).size).toBe(2);
    expect(started(run)).toBe(0);
    await run.vote('anna');
    await run.vote('ben');
    expect(started(run)).toBe(1);
  });

  test('a policy adopted in between that denies is not turned by any approval', async () => {
    const run = await suspended();
    await run.vote('anna');
    await run.house.adopt(bundleOf('freeze', [{ when: isAction('apply_patch'), decide: 'deny' }]));
    await run.vote('ben');
    expect(lastOf(run, 'proposal.rejected')).toMatchObject({ at: 'compile', because: { code: 'policy.denied' } });
    expect(started(run)).toBe(0);
  });

  test('it is used up: the same call asked for again is a request of its own', async () => {
    const run = await suspended();
    await run.vote('anna');
    await run.vote('ben');
    await run.perform();
    await run.answer([PATCH]);
    expect(bodiesOf(run, 'approval.requested')).toHaveLength(2);
    expect(started(run)).toBe(1);
  });

  test('a writ revoked while people decide stops it at the very end', async () => {
    const run = await suspended();
    await run.vote('anna');
    const writ = run.opened.body.writs[0];
    if (writ === undefined) throw new Error('no writ');
    await run.house.revoke(writId(writ.body));
    await run.vote('ben');
    expect(lastOf(run, 'proposal.rejected').because.code).toBe('writ.revoked');
    expect(started(run)).toBe(0);
  });
});

describe('gates and stages', () => {
  const gated = {
    version: 1,
    name: 'gated',
    defaults: { sandbox: 'workspace_write' },
    stages: [{ id: 'check', type: 'deterministic', action: 'run_tests', approval_required: true, on_success: 'done', on_failure: 'fail' }],
  };

  test('risk at the threshold asks although policy permits, and the shipped terms exclude the opener', async () => {
    const risky = actionOf('risky', { risk: 'critical' });
    const run = await openRun({ blueprint: oneAction('risky'), actions: [risky], policySet: OPEN, opener: 'anna' });
    expect(lastOf(run, 'approval.requested')).toMatchObject({
      because: { code: 'gate.risk' },
      terms: { openerMayApprove: false, quorum: 1 },
    });
    await run.vote('anna');
    expect(started(run)).toBe(0);
    await run.vote('ben');
    expect(started(run)).toBe(1);
  });

  const GATE = isAction('approval.gate');
  const risky = (decide: 'deny' | { readonly approve: typeof TERMS }, rules: Parameters<typeof bundleOf>[1] = []): RunPlan => ({
    blueprint: oneAction('risky'),
    actions: [actionOf('risky', { risk: 'critical' })],
    policySet: setOf(bundleOf('gates', [{ when: GATE, decide }, ...rules])),
    opener: 'cleo',
  });

  test('a policy that says who opens gates is asked, and one that opens none denies', async () => {
    const asked = await openRun(risky({ approve: TERMS }));
    expect(lastOf(asked, 'approval.requested')).toMatchObject({ because: { code: 'gate.risk' }, terms: TERMS });
    const shut = await openRun(risky('deny'));
    expect(lastOf(shut, 'policy.decided')).toMatchObject({ verdict: 'deny', by: 'gate', because: { code: 'policy.denied' } });
    expect([bodiesOf(shut, 'approval.requested').length, started(shut)]).toEqual([0, 0]);
  });

  test('where a rule and a gate both ask, the strictest of both counts', async () => {
    const lax = { ...TERMS, quorum: 1, minAssurance: 'file' as const, openerMayApprove: true, ttlMs: 60_000 };
    const run = await openRun(risky({ approve: TERMS }, [{ when: isAction('risky'), decide: { approve: lax } }]));
    expect(lastOf(run, 'approval.requested')).toMatchObject({ because: { code: 'policy.asks' }, terms: { ...TERMS, ttlMs: 60_000 } });
    await run.vote('anna');
    await run.vote('ben');
    expect(started(run)).toBe(1);
  });

  test('where a rule and a gate have no approver role in common, nobody is asked and nothing starts', async () => {
    const policy = { ...TERMS, roles: ['policy' as const] };
    const run = await openRun(risky({ approve: TERMS }, [{ when: isAction('risky'), decide: { approve: policy } }]));
    expect(lastOf(run, 'policy.decided')).toMatchObject({ verdict: 'deny', because: { code: 'approval.impossible' } });
    expect([bodiesOf(run, 'approval.requested').length, started(run)]).toEqual([0, 0]);
  });

  test('the shipped policies answer for gates: solo the person who is there, regulated two others', async () => {
    for (const [bundle, openerMayApprove] of [
      [SOLO, true],
      [REGULATED, false],
    ] as const) {
      const permits = bundleOf('more', []).rules[0];
      const rules = permits === undefined ? [] : [...bundle.rules, permits];
      const run = await openRun({ ...risky('deny'), policySet: setOf({ ...bundle, rules }) });
      expect(lastOf(run, 'approval.requested').terms).toMatchObject({ openerMayApprove, quorum: openerMayApprove ? 1 : 2 });
    }
  });

  test('a gate that policy keeps shut fails the stage that wants its result approved', async () => {
    const run = await openRun({ blueprint: gated, policySet: setOf(bundleOf('shut', [{ when: GATE, decide: 'deny' }])) });
    await run.test(true);
    expect(bodiesOf(run, 'approval.requested')).toEqual([]);
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'policy.denied' });
  });

  test('a blueprint that asks always asks about every write, not about reading', async () => {
    const blueprint = {
      version: 1,
      name: 'careful',
      defaults: { sandbox: 'workspace_write', approval_mode: 'always', toolset: 'coding_backend' },
      stages: [{ id: 'work', type: 'agent', goal: 'g', on_success: 'done', on_failure: 'fail' }],
    };
    const run = await openRun({ blueprint });
    await run.answer([{ name: 'read_file', arguments: { path: 'README.md' } }, PATCH]);
    await run.perform();
    expect(lastOf(run, 'policy.decided')).toMatchObject({ verdict: 'approve', by: 'gate', because: { code: 'gate.blueprint' } });
  });

  test('a stage that wants its result approved waits, and is left when somebody approves', async () => {
    const run = await openRun({ blueprint: gated });
    await run.test(true);
    expect(run.state.request?.subject).toBe('stage');
    await run.vote('ben');
    expect(endOf(run).outcome).toBe('done');
  });

  test('a stage whose result is denied fails; a stage that failed asks nobody', async () => {
    const denied = await openRun({ blueprint: gated });
    await denied.test(true);
    await denied.vote('ben', 'deny');
    expect(endOf(denied)).toEqual({ outcome: 'denied', code: 'approval.denied' });
    const failed = await openRun({ blueprint: gated });
    await failed.test(false);
    expect(bodiesOf(failed, 'approval.requested')).toEqual([]);
    expect(endOf(failed)).toEqual({ outcome: 'failed', code: 'check.failed' });
  });
});

describe('a run that waits', () => {
  test('parks and is still waiting when resumed; a vote meanwhile is enough to go on', async () => {
    const run = await suspended();
    await run.fact('run.pauseRequested', { by: 'driver', because: { code: 'approval.waiting', message: 'nobody is here' } });
    expect([run.state.status, run.state.parked?.request]).toEqual(['parked', run.state.request?.id]);
    expect(pending(run.state)).toEqual([]);
    await run.vote('anna');
    expect(run.state.status).toBe('parked');
    await run.vote('ben');
    expect([run.state.status, started(run)]).toEqual(['running', 1]);
  });

  test('and is cancelled withdraws its request; a later vote meets a closed trajectory', async () => {
    const run = await suspended();
    await run.fact('run.cancelRequested', { because: 'enough' });
    expect(bodiesOf(run, 'approval.resolved').at(-1)?.outcome).toBe('withdrawn');
    expect(endOf(run)).toEqual({ outcome: 'cancelled', code: 'run.cancelled' });
  });
});
