/**
 * What goes wrong and what it costs: failing models, lost executions, new drivers, stale ones, cancellation and pause in flight, time, money and
 * revocation. PROTOCOL §§4.4, 5; invariants 1, 2, 6; E05, E06.
 */
import { describe, expect, test } from '@jest/globals';
import { addAmount, writId } from '@openexec/authority';
import { pending } from '@openexec/kernel';
import { ONE_AGENT, ONE_CHECK, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { Amount } from '@openexec/protocol';
import { actionOf, bodiesOf, endOf, lastOf, oneAction, OPEN, openRun } from './support.ts';

const PATCH = writeFile('src/a.ts', 'export const a = 2;\n');
const READ = { name: 'read_file', arguments: { path: 'README.md' } };
const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
const count = (run: RunDriver, kind: string): number => run.kinds.filter((each) => each === kind).length;
const reservations = (run: RunDriver): Amount =>
  bodiesOf(run, 'model.asked').reduce((sum, { reservation }) => addAmount(sum, reservation), NOTHING);

function writOf(run: RunDriver) {
  const writ = run.opened.body.writs.at(-1);
  if (writ === undefined) throw new Error('a run has a writ');
  return writId(writ.body);
}

describe('a failing model', () => {
  test('is asked three times with a growing pause, each try settled at its full reservation, then the stage fails', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.askFails();
    expect(run.state.reserved).toEqual(lastOf(run, 'model.asked').reservation);
    await run.askFails();
    expect(bodiesOf(run, 'model.asked').map(({ attempt, backoffMs, replaces }) => [attempt, backoffMs, replaces === null])).toEqual([
      [1, 0, true],
      [2, 1000, false],
      [3, 2000, false],
    ]);
    await run.askFails();
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'provider.unavailable' });
    expect(run.state.closed?.spend).toEqual(reservations(run));
  });

  test('that says how long to wait is believed up to a minute', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.askFails({ retryAfterMs: 7000 });
    await run.askFails({ retryAfterMs: 3_600_000 });
    expect(bodiesOf(run, 'model.asked').map(({ backoffMs }) => backoffMs)).toEqual([0, 7000, 60_000]);
  });

  test('that refuses definitely is not asked again and cost one call', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.askFails({ retryable: false, status: 401, error: { code: 'provider.unauthorised', message: 'the key was refused' } });
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'provider.unauthorised' });
    expect(run.state.closed?.spend).toEqual({ tokens: 0, usdMicros: 0, calls: 1 });
  });

  test('whose answer has no usage is settled at the reservation; otherwise at the truth, rounded up', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([READ], { usage: null });
    expect(run.state.settled).toEqual(reservations(run));
    const before = run.state.settled;
    await run.perform();
    await run.answer('done', { usage: { inputTokens: 101, outputTokens: 1 } });
    expect(run.state.closed?.spend).toEqual(addAmount(before, { tokens: 102, usdMicros: Math.ceil(101 * 3 + 15), calls: 2 }));
  });
});

describe('money', () => {
  test('more used than reserved is settled at the truth and closes the run; no call of that answer is taken', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    const { reservation } = lastOf(run, 'model.asked');
    await run.answer([PATCH], { usage: { inputTokens: reservation.tokens, outputTokens: 1 } });
    expect(endOf(run)).toEqual({ outcome: 'exhausted', code: 'budget.exceeded' });
    expect(run.state.closed?.spend.tokens).toBe(reservation.tokens + 1);
    expect(run.kinds).not.toContain('intent.declared');
  });

  test('exactly what was reserved is no excess', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, prices: { version: 'free', models: {} } });
    await run.answer([PATCH], { usage: { inputTokens: lastOf(run, 'model.asked').reservation.tokens, outputTokens: 0 } });
    expect(run.due('execute').action).toBe('apply_patch');
  });

  test('usage beyond every number closes the run and still has bytes', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer('x', { usage: { inputTokens: Number.MAX_SAFE_INTEGER, outputTokens: Number.MAX_SAFE_INTEGER } });
    expect(endOf(run)).toEqual({ outcome: 'exhausted', code: 'budget.exceeded' });
    expect(run.state.closed?.spend.tokens).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('used up ends the run as exhausted with nothing reserved and no more spent than granted', async () => {
    const budget = { tokens: 1_000_000, usdMicros: 10_000_000, calls: 4 };
    const run = await openRun({ blueprint: ONE_AGENT, grant: { budget } });
    await run.answer([READ, READ, READ, READ]);
    await run.perform();
    await run.perform();
    await run.perform();
    expect(endOf(run)).toEqual({ outcome: 'exhausted', code: 'budget.exhausted' });
    expect(run.state.closed?.spend.calls).toBe(4);
    expect(bodiesOf(run, 'proposal.rejected').at(-1)?.because.code).toBe('budget.exhausted');
  });

  test('of a retry must fit beside what the first try may have cost', async () => {
    const probe = await openRun({ blueprint: ONE_AGENT });
    const { tokens } = lastOf(probe, 'model.asked').reservation;
    const run = await openRun({ blueprint: ONE_AGENT, grant: { budget: { tokens: tokens + 10, usdMicros: 10_000_000, calls: 10 } } });
    await run.askFails();
    expect([count(run, 'model.asked'), endOf(run)]).toEqual([1, { outcome: 'exhausted', code: 'budget.exhausted' }]);
    expect(run.state.closed?.spend.tokens).toBe(tokens);
  });
});

describe('an execution that fails', () => {
  test('is told to the model, settled, and the stage goes on', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH]);
    await run.fails({ error: { code: 'patch.conflict', message: 'the context does not match' } });
    expect(run.due('ask').turn).toBe(2);
    expect([run.state.reserved.calls, run.state.settled.calls]).toEqual([1, 2]);
    expect(bodiesOf(run, 'commit.recorded')).toEqual([]);
  });

  test('as a check is tried as often as its stage allows, under the same proposal, key and input', async () => {
    const run = await openRun({ blueprint: ONE_CHECK });
    await run.fails();
    const [first, second] = bodiesOf(run, 'execution.started');
    expect(second).toMatchObject({
      attempt: 2,
      replaces: first?.execution,
      proposal: first?.proposal,
      idempotencyKey: first?.idempotencyKey,
      input: first?.input,
    });
    await run.fails();
    expect([count(run, 'execution.started'), endOf(run)]).toEqual([2, { outcome: 'failed', code: 'sandbox.timeout' }]);
  });

  test('without saying whether it took effect, and may not be repeated, is lost', async () => {
    const run = await openRun({ blueprint: oneAction('once'), actions: [actionOf('once')], policySet: OPEN });
    await run.fails({ effectUnknown: true });
    expect([count(run, 'execution.started'), count(run, 'execution.lost')]).toEqual([1, 1]);
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'execution.lost' });
    expect(run.state.closed?.spend).toEqual({ tokens: 0, usdMicros: 0, calls: 1 });
  });
});

describe('a new driver', () => {
  test('asks again what was asked, settles the first at its full reservation, and the old driver is not heard any more', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    const old = { ask: run.due('ask').ask, ...run.driving };
    await run.resume();
    const [first, second] = bodiesOf(run, 'model.asked');
    expect(second).toMatchObject({ replaces: first?.ask, attempt: 2, backoffMs: 0 });
    expect(run.state.settled).toEqual(first?.reservation);
    const answer = run.opened.body.task;
    await run.fact('model.answered', { ...old, answer, raw: answer, usage: null, durationMs: 1 });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'driver.stale', violation: true });
    expect(run.due('ask').ask).toBe(second?.ask);
  });

  test('gives up a model after three interruptions', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    for (let crash = 0; crash < 3; crash++) await run.resume();
    expect(endOf(run)).toEqual({ outcome: 'failed', code: 'model.interrupted' });
    expect(run.state.closed?.spend).toEqual(reservations(run));
  });

  test('repeats an execution that is confined to the workspace', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH]);
    await run.resume();
    const [first, second] = bodiesOf(run, 'execution.started');
    expect(second).toMatchObject({ attempt: 2, replaces: first?.execution, input: first?.input, idempotencyKey: first?.idempotencyKey });
    await run.perform();
    expect(bodiesOf(run, 'commit.recorded')).toHaveLength(1);
  });

  test('never repeats one that may happen only once', async () => {
    const run = await openRun({ blueprint: oneAction('once'), actions: [actionOf('once')], policySet: OPEN });
    await run.resume();
    expect([count(run, 'execution.started'), count(run, 'execution.lost')]).toEqual([1, 1]);
    expect(endOf(run).code).toBe('execution.lost');
  });

  test('does not repeat under a writ that was revoked meanwhile', async () => {
    const run = await openRun({ blueprint: ONE_CHECK });
    await run.house.revoke(writOf(run));
    await run.resume();
    expect([count(run, 'execution.started'), lastOf(run, 'execution.lost').because.code]).toEqual([1, 'writ.revoked']);
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'writ.revoked' });
  });

  test('judges first what its predecessor left unjudged, then resumes: nothing that was observed is done again', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH]);
    const { change, blob } = run.change('src/a.ts', 'export const a = 2;\n');
    await run.observe({ changes: { inline: [change] } }, { blobs: [blob], queue: true });
    await run.resume();
    expect([count(run, 'execution.started'), count(run, 'commit.recorded'), count(run, 'model.asked')]).toEqual([1, 1, 2]);
    expect(run.due('ask').turn).toBe(2);
  });

  test('touches only what was started before it: what its predecessor’s facts start while the queue is judged stays open', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH], { queue: true });
    await run.resume();
    expect(bodiesOf(run, 'execution.started')).toHaveLength(1);
    expect(run.due('execute').action).toBe('apply_patch');
  });

  test('of an epoch that is not higher changes nothing', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.fact('run.resumed', { driver: 'f'.repeat(32), epoch: 0, because: 'usurper' });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'epoch.notHigher', violation: true });
    await run.answer('done');
    expect(endOf(run).outcome).toBe('done');
  });
});

describe('a fact that answers nothing open', () => {
  test('is a violation and changes nothing: the second answer, the second observation, another ask', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    const { ask } = run.due('ask');
    await run.answer([PATCH]);
    const answer = run.opened.body.task;
    await run.fact('model.answered', { ...run.driving, ask, answer, raw: answer, usage: null, durationMs: 1 });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'ask.notOpen', violation: true });
    const { execution } = run.due('execute');
    await run.perform();
    await run.fact('execution.failed', {
      ...run.driving,
      execution,
      error: { code: 'a.b', message: '' },
      effectUnknown: false,
      output: null,
      durationMs: 1,
    });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'execution.notOpen', violation: true });
    expect(run.due('ask').turn).toBe(2);
  });

  test('an intent submitted from outside is noted, not taken', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.fact('intent.submitted', {
      channel: 'editor',
      action: 'apply_patch',
      arguments: { inline: PATCH.arguments },
      claims: { rationale: null, claimedRisk: null },
    });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'intent.notTaken', violation: false });
    expect(run.kinds).not.toContain('intent.declared');
  });
});

describe('cancelling and pausing', () => {
  test('a cancellation while something runs waits for it, records what it did, then closes', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH, READ]);
    await run.fact('run.cancelRequested', { because: 'enough' });
    expect(run.due('execute').action).toBe('apply_patch');
    await run.perform();
    expect(run.kinds.slice(-3)).toEqual(['commit.recorded', 'proposal.rejected', 'run.closed']);
    expect(endOf(run)).toEqual({ outcome: 'cancelled', code: 'run.cancelled' });
    expect(count(run, 'execution.started')).toBe(1);
  });

  test('a cancellation while the model thinks takes no call of its answer', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.fact('run.cancelRequested', { because: 'enough' });
    await run.answer([PATCH]);
    expect(endOf(run).outcome).toBe('cancelled');
    expect(run.kinds).not.toContain('intent.declared');
    expect(run.state.closed?.spend.tokens).toBe(120);
  });

  test('a cancellation after a crash says what is lost, and what it may have cost is spent', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH]);
    await run.fact('run.cancelRequested', { because: 'enough' });
    await run.resume();
    expect(run.kinds.slice(-2)).toEqual(['execution.lost', 'run.closed']);
    expect(run.state.closed?.spend.calls).toBe(2);
    const asking = await openRun({ blueprint: ONE_AGENT });
    await asking.fact('run.cancelRequested', { because: 'enough' });
    await asking.askFails();
    expect(asking.state.closed?.spend).toEqual(reservations(asking));
  });

  test('a parked run is cancelled where it stands', async () => {
    const run = await openRun({ blueprint: oneAction('run_tests', { on_failure: 'paused' }) });
    await run.test(false);
    expect(run.state.status).toBe('parked');
    await run.fact('run.cancelRequested', { because: 'enough' });
    expect(endOf(run).outcome).toBe('cancelled');
  });

  test('a pause while something runs parks after its commit; the next driver goes on with the next call', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH, READ]);
    await run.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: 'lunch' } });
    await run.perform();
    expect(run.kinds.slice(-2)).toEqual(['commit.recorded', 'run.parked']);
    expect(pending(run.state)).toEqual([]);
    await run.resume();
    expect(run.due('execute').action).toBe('read_file');
  });

  test('pausing twice is remarked upon and nothing more', async () => {
    const run = await openRun({ blueprint: oneAction('run_tests', { on_failure: 'paused' }) });
    await run.test(false);
    await run.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: '' } });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'run.parkedAlready', violation: false });
  });
});

describe('time', () => {
  test('of the run used up closes it as exhausted, after what was seen to happen is recorded', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, grant: { wallMs: 60_000 } });
    await run.answer([PATCH]);
    run.house.pass(120_000);
    await run.perform();
    expect(run.kinds.slice(-2)).toEqual(['commit.recorded', 'run.closed']);
    expect(endOf(run)).toEqual({ outcome: 'exhausted', code: 'wall.exhausted' });
  });

  test('while parked, and between a crash and its recovery, does not count', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, grant: { wallMs: 60_000 } });
    await run.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: '' } });
    await run.askFails({ retryable: true });
    expect(run.state.status).toBe('parked');
    run.house.pass(3_600_000);
    await run.resume();
    run.house.pass(3_600_000);
    await run.resume();
    expect(run.state.status).toBe('running');
    expect(run.state.activeMs).toBeLessThan(10_000);
  });

  test('given to an execution is never more than the run has left', async () => {
    const run = await openRun({ blueprint: ONE_CHECK, grant: { wallMs: 60_000 } });
    expect(run.due('execute').deadlineMs).toBe(60_000);
    const longer = await openRun({ blueprint: ONE_CHECK, grant: { wallMs: 10 ** 9 } });
    expect(longer.due('execute').deadlineMs).toBe(1_800_000);
  });
});

describe('revocation', () => {
  test('stops the next execution; what has started is observed and committed', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.answer([PATCH, READ]);
    await run.house.revoke(writOf(run));
    await run.perform();
    expect(count(run, 'commit.recorded')).toBe(1);
    expect(count(run, 'execution.started')).toBe(1);
    expect(endOf(run)).toEqual({ outcome: 'denied', code: 'writ.revoked' });
  });

  test('lifted again lets the run go on', async () => {
    const run = await openRun({ blueprint: ONE_AGENT });
    await run.house.revoke(writOf(run));
    await run.house.enact('writ.restored', { writ: writOf(run), because: 'it was a mistake' }, 'root');
    await run.answer([PATCH]);
    expect(run.due('execute').action).toBe('apply_patch');
  });
});
