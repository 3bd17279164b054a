/** Waiting for people: at the keyboard, by the ledger, or not at all. */
import { describe, expect, test } from '@jest/globals';
import type { ApprovalQuestion } from '@openexec/catalogue';
import { castVote, type Hands, loadRun, stopSwitch } from '../src/index.ts';
import { act, ASK_NOTIFY, count, DAY, drive, handsOf, kinds, newWorld, opened, openingOf, type Place, place, voteOn } from './support.ts';

async function suspended() {
  const at = await place();
  const run = await opened(at, openingOf(at, { stages: [act('tell', 'notify', 'done')], rules: [ASK_NOTIFY] }));
  return { at, world: newWorld(), ...run };
}
function approver(
  at: Place,
  run: Parameters<typeof voteOn>[1],
  decision: 'approve' | 'deny',
  asked: ApprovalQuestion[] = [],
): Hands['approver'] {
  return {
    ask: async (question) => {
      asked.push(question);
      return { ...voteOn(at, run, question, decision), assurance: 'file' };
    },
  };
}

describe('a suspended action', () => {
  test('is performed once the person at hand agrees, who is told what and why', async () => {
    const { at, run, world } = await suspended();
    const asked: ApprovalQuestion[] = [];
    const report = await drive(run, handsOf(at, world, { approver: approver(at, run, 'approve', asked) }));
    expect(report.state.closed?.outcome).toBe('done');
    expect(count(world, 'notify')).toBe(1);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ run, action: 'notify', rule: 'shipped/ask-notify', detail: '{}' });
    expect(asked[0]?.because).toContain('speaks to people');
  });

  test('is not performed when the person refuses', async () => {
    const { at, run, world } = await suspended();
    const report = await drive(run, handsOf(at, world, { approver: approver(at, run, 'deny') }));
    expect(report.state.closed?.outcome).toBe('denied');
    expect(count(world, 'notify')).toBe(0);
  });

  test('parks the run where nobody is at hand, and goes on after a vote from elsewhere', async () => {
    const { at, run, world } = await suspended();
    const parked = await drive(run, handsOf(at, world));
    expect(parked.status).toBe('parked');
    expect(parked.state.parked?.because.code).toBe('approval.pending');
    const request = parked.state.request;
    if (request === null) throw new Error('no request is open');
    const signedVote = voteOn(at, run, { request: request.id, digest: request.digest, until: request.until });
    const wrong = await castVote({ ledger: at.ledger, clock: at.clock, run, signedVote, assurance: 'hardware' });
    expect(wrong).toMatchObject({ ok: false, error: { code: 'vote.assurance' } });
    const cast = { ledger: at.ledger, clock: at.clock, run, signedVote, assurance: 'file' as const };
    const first = await castVote(cast);
    expect(await castVote(cast)).toEqual(first);
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    expect((await kinds(at.ledger, run)).filter((kind) => kind === 'approval.voted')).toHaveLength(1);
    expect(count(world, 'notify')).toBe(1);
  });

  test('is waited for by following the ledger', async () => {
    const { at, run, world } = await suspended();
    expect((await drive(run, handsOf(at, newWorld()))).status).toBe('parked');
    const waiting = handsOf(at, world, {
      sleep: async (_ms, stop) => {
        await new Promise<void>((resolve) => void stop.onStop(resolve));
      },
    });
    const driven = drive(run, waiting, { onAwait: 'wait' });
    const request = await openRequest(at, run);
    await castVote({ ledger: at.ledger, clock: at.clock, run, signedVote: voteOn(at, run, request), assurance: 'file' });
    expect((await driven).state.closed?.outcome).toBe('done');
    expect(count(world, 'notify')).toBe(1);
  });

  test('expires, and is then refused by the law', async () => {
    const { at, run, world } = await suspended();
    const report = await drive(run, handsOf(at, world), { onAwait: 'wait' });
    expect(await kinds(at.ledger, run)).toContain('approval.expired');
    expect(report.state.closed?.outcome).toBe('denied');
    expect(count(world, 'notify')).toBe(0);
    const later = await suspended();
    expect((await drive(later.run, handsOf(later.at, later.world))).status).toBe('parked');
    later.at.clock.ms += DAY + 1000;
    expect((await drive(later.run, handsOf(later.at, later.world))).state.closed?.outcome).toBe('denied');
  });

  test('disturbs the person no longer once the run has moved', async () => {
    const { at, run, world } = await suspended();
    let questions = 0;
    const hands = handsOf(at, world, {
      sleep: async (_ms, stop) => {
        await new Promise<void>((resolve) => void stop.onStop(resolve));
      },
      approver: {
        ask: async (question, stop) => {
          questions++;
          await castVote({ ledger: at.ledger, clock: at.clock, run, signedVote: voteOn(at, run, question), assurance: 'file' });
          await new Promise<void>((resolve) => void stop.onStop(resolve));
          return null;
        },
      },
    });
    expect((await drive(run, hands)).state.closed?.outcome).toBe('done');
    expect(questions).toBe(1);
  });

  test('does not keep a driver that is asked to stop', async () => {
    const { at, run, world } = await suspended();
    const stop = stopSwitch();
    const hands = handsOf(at, world, {
      sleep: async (_ms, signal) => {
        const woken = new Promise<void>((resolve) => void signal.onStop(resolve));
        stop.stop();
        await woken;
      },
    });
    expect((await drive(run, hands, { onAwait: 'wait', stop: stop.signal })).status).toBe('stopped');
    expect((await kinds(at.ledger, run)).at(-1)).toBe('run.parked');
  });
});

async function openRequest(at: Place, run: Parameters<typeof voteOn>[1]) {
  const state = await loadRun(at.ledger, run);
  const request = state.ok ? state.value.request : null;
  if (request === null) throw new Error('no request is open');
  return { request: request.id, digest: request.digest, until: request.until };
}
