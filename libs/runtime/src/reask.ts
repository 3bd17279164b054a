/**
 * Model replay: each recorded question again, word for word, to a model of today, and its answer held against the recorded one. Performs nothing and
 * records nothing; what the answer proposes is compared and not judged. Bounded by a budget, because every question costs (PROTOCOL §10).
 */
import { type Difference, driftOf } from '@openexec/audit';
import { type Bytes, type Json, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { readAnswer, type StopSignal } from '@openexec/catalogue';
import type { Amount } from '@openexec/protocol';
import { ask, type AskEffect } from './ask.ts';
import { ledgerRefusal, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands } from './hands.ts';
import { recordedRun, type RecordedEffect } from './recorded.ts';

/** What became of one recorded question. */
export interface AskReplay {
  /** Position of its `model.asked`. */
  readonly seq: number;
  readonly stage: string;
  readonly visit: number;
  readonly turn: number;
  /**
   * `same`; `text`: the same calls and the same end, other words; `differs`: other calls, or another end; `failed`: no answer now; `unanswered`: none is
   * recorded, so none is asked for; `budget`: not asked, because it might cost more than is left.
   */
  readonly verdict: 'same' | 'text' | 'differs' | 'failed' | 'unanswered' | 'budget';
  /** Both values of each place in which calls or end differ; `expected` is what is recorded, `recorded` what came now. */
  readonly differs: readonly Difference[];
  /** Why there is no answer, for `failed`. */
  readonly because: { readonly code: string; readonly message: string } | null;
}
/** A model replay, and what it cost. Where a provider tells no usage the whole reservation counts. */
export interface ModelReplay {
  readonly asks: readonly AskReplay[];
  readonly spent: Amount;
  /** Nothing but words differs, each recorded answer came again, and so what follows from them follows again. */
  readonly sameCalls: boolean;
}
/** One model replay. The ledger is only read. */
export interface Reask {
  readonly run: TrajectoryId;
  readonly hands: Pick<Hands, 'ledger' | 'clock' | 'redact' | 'sleep'> & { readonly model: NonNullable<Hands['model']> };
  /** Name of the model as its provider knows it. */
  readonly model: string;
  readonly budget: Amount;
  /** Micro-dollars of so many tokens in and out. */
  costOf(inputTokens: number, outputTokens: number): number;
  readonly stop: StopSignal;
  onAsk?(ask: AskReplay): void;
}

/** Asks them in order. `replay.stopped` after a stop. */
export async function replayModel(order: Reask): Promise<Result<ModelReplay, RuntimeFailure>> {
  const recorded = await recordedRun(order.hands.ledger, order.run);
  if (!recorded.ok) return recorded;
  const asks: AskReplay[] = [];
  let spent: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
  for (const one of recorded.value.effects) {
    const { effect } = one;
    if (effect.do !== 'ask') continue;
    const asked = await again(order, { one, effect, spent });
    if (!asked.ok) return asked;
    spent = asked.value.spent;
    asks.push(asked.value.ask);
    order.onAsk?.(asked.value.ask);
  }
  const sameCalls = asks.length > 0 && asks.every(({ verdict }) => verdict === 'same' || verdict === 'text');
  return ok({ asks, spent, sameCalls });
}

interface Asked {
  readonly ask: AskReplay;
  readonly spent: Amount;
}
interface Question {
  readonly one: RecordedEffect;
  readonly effect: AskEffect;
  readonly spent: Amount;
}

async function again(order: Reask, { one, effect, spent }: Question): Promise<Result<Asked, RuntimeFailure>> {
  const said = { seq: effect.startedSeq, stage: effect.stage, visit: effect.visit, turn: effect.turn, differs: [], because: null };
  const { answer, before } = one;
  if (answer?.kind !== 'model.answered') return ok({ ask: { ...said, verdict: 'unanswered' }, spent });
  if (order.stop.stopped) return stopped();
  const reservation = reservationOf(order, effect, before.stage?.ask?.reservation.tokens ?? 0);
  const after = plus(spent, reservation);
  const { budget } = order;
  if (after.tokens > budget.tokens || after.usdMicros > budget.usdMicros || after.calls > budget.calls)
    return ok({ ask: { ...said, verdict: 'budget' }, spent });
  const driven = { driver: before.driver, epoch: before.epoch };
  // The words of the recorded question; only who is asked, and how soon, is of today.
  const question = { ...effect, backoffMs: 0, model: { ...effect.model, model: order.model } };
  const fact = await ask({ hands: order.hands, driven }, question, order.stop);
  if (!fact.ok) return fact;
  if (fact.value === null) return stopped();
  if (fact.value.kind === 'model.failed')
    return ok({
      ask: { ...said, verdict: 'failed', because: fact.value.body.error },
      spent: plus(spent, { ...reservation, tokens: 0, usdMicros: 0 }),
    });
  const { body, blobs } = fact.value;
  const recorded = await order.hands.ledger.blob(answer.body.answer.digest);
  if (!recorded.ok) return ledgerRefusal(recorded.error);
  const now = blobs.find(({ digest }) => digest === body.answer.digest)?.bytes;
  const cost =
    body.usage === null
      ? reservation
      : {
          tokens: body.usage.inputTokens + body.usage.outputTokens,
          usdMicros: order.costOf(body.usage.inputTokens, body.usage.outputTokens),
          calls: 1,
        };
  return ok({ ask: { ...said, ...compared(recorded.value, now) }, spent: plus(spent, cost) });
}

const stopped = () => refuse('replay.stopped', 'the replay was stopped; nothing was recorded');
const plus = (a: Amount, b: Amount): Amount => ({
  tokens: a.tokens + b.tokens,
  usdMicros: a.usdMicros + b.usdMicros,
  calls: a.calls + b.calls,
});

/** The kernel's own upper bound of the recorded question, at the prices of today. */
function reservationOf(order: Reask, effect: AskEffect, tokens: number): Amount {
  const output = effect.model.maxOutputTokens;
  return { tokens, usdMicros: order.costOf(Math.max(0, tokens - output), output), calls: 1 };
}

/** Calls by name and arguments, in order, and the end; what the model says of itself is text (PROTOCOL §4.2 claims), and ids are the provider's. */
function compared(recorded: Bytes, now: Bytes | undefined): Pick<AskReplay, 'verdict' | 'differs'> {
  const [old, fresh] = [readAnswer(recorded), readAnswer(now)];
  const differs = driftOf(shapeOf(old), shapeOf(fresh));
  if (differs.length > 0) return { verdict: 'differs', differs };
  return { verdict: wordsOf(old) === wordsOf(fresh) ? 'same' : 'text', differs };
}

type Read = ReturnType<typeof readAnswer>;

function shapeOf(answer: Read): Json {
  if (!answer.ok) return { problem: answer.error.code };
  const calls = answer.value.calls.map(
    ({ name, arguments: args, malformed }): Json => ({ name, arguments: args, malformed: malformed?.code ?? null }),
  );
  return { finish: answer.value.finish, calls };
}

function wordsOf(answer: Read): string {
  return answer.ok ? JSON.stringify([answer.value.text, ...answer.value.calls.map(({ claims }) => claims)]) : '';
}
