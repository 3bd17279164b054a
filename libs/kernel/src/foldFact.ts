/**
 * What a fact does to the state once it is its turn. A fact that answers nothing open leaves a refusal behind, which the judgement then says
 * (late, or a violation); nothing here looks at the law, the clock or another queued fact (PROTOCOL §4.1).
 */

import { addAmount, BUDGET_DIMENSIONS, subtractAmount, withinAmount } from '@openexec/authority';
import { canonicalText, instantToMs } from '@openexec/canon';
import { readAnswer } from '@openexec/catalogue';
import type { Amount, Body, Reason } from '@openexec/protocol';
import { delegationInHand, delegationTold } from './delegation.ts';
import { bindSkill, readRunLaw } from './open.ts';
import { instructionPart, textPart } from './parts.ts';
import { rewindProblem, takesOver } from './rewind.ts';
import { foldCanary, foldSelfTestOpened, isSelfTest } from './selfTest.ts';
import type { EventOf, IntentState, OpenAsk, OpenExecution, QueuedFact, RunState, StageState } from './state.ts';

const ASSISTANT = 'application/vnd.openexec.answer+json';

/** Leaves the fact without effect and says why. */
function refuse(state: RunState, why: string, message: string, violation: boolean): RunState {
  return { ...state, refusal: { why, message, violation } };
}

/** The driver's own facts must carry the epoch in force. */
function staleDriver(state: RunState, body: { readonly driver: string; readonly epoch: number }): RunState | null {
  if (body.epoch === state.epoch && body.driver === state.driver) return null;
  return refuse(state, 'driver.stale', `driver ${body.driver} of epoch ${body.epoch} wrote while epoch ${state.epoch} was in force`, true);
}

/** The intent that is being worked on: the first that has not ended. */
export function currentIntent(stage: StageState): IntentState | undefined {
  return stage.intents.find((intent) => intent.phase !== 'ended');
}

/** Replaces one intent of the stage. */
export function withIntent(state: RunState, intent: IntentState): RunState {
  if (state.stage === null) return state;
  return {
    ...state,
    stage: { ...state.stage, intents: state.stage.intents.map((other) => (other.intent === intent.intent ? intent : other)) },
  };
}

/** Price of a call, rounded up; a model without a price costs nothing here, and the shell refuses a money budget for it. */
export function priceOf(state: RunState, input: number, output: number): number {
  const model = state.law?.model;
  const price = model === null || model === undefined ? undefined : state.law?.prices.models[`${model.provider}:${model.model}`];
  if (price === undefined) return 0;
  const exact = Math.ceil((input * price.inputUsdMicrosPerMillion + output * price.outputUsdMicrosPerMillion) / 1_000_000);
  return Math.min(exact, Number.MAX_SAFE_INTEGER);
}

function foldOpened(state: RunState, event: EventOf<'run.opened'>): RunState {
  if (state.status !== 'unopened') return refuse(state, 'run.openedTwice', 'the run was opened before', true);
  const law = readRunLaw(event.body, event.blobs);
  const opened: RunState = { ...state, status: 'running', driver: event.body.driver, epoch: event.body.epoch };
  if (!law.ok) return { ...opened, lawProblem: law.error };
  return { ...opened, law: law.value, next: law.value.blueprint.stages[0]?.id ?? 'fail' };
}

function foldResumed(state: RunState, seq: number, body: Body<'run.resumed'>): RunState {
  if (body.epoch <= state.epoch) return refuse(state, 'epoch.notHigher', `epoch ${body.epoch} is not higher than ${state.epoch}`, true);
  const resumed: RunState = {
    ...state,
    driver: body.driver,
    epoch: body.epoch,
    status: state.status === 'parked' ? 'running' : state.status,
    pause: null,
    parked: null,
  };
  const stage = resumed.stage;
  if (stage === null) return resumed;
  const interrupted = { interrupted: true } as const;
  const ask = stage.ask;
  const withAsk =
    ask !== null && ask.ended === null && ask.startedSeq < seq
      ? { ...resumed, stage: { ...stage, ask: { ...ask, ended: interrupted } } }
      : resumed;
  const intent = currentIntent(stage);
  const execution = intent?.execution ?? null;
  if (intent === undefined || execution === null || execution.ended !== null || execution.startedSeq >= seq) return withAsk;
  return withIntent(withAsk, { ...intent, execution: { ...execution, ended: interrupted } });
}

/** Binds the run to one skill more. What the skill says reaches the model of a stage that goes on with the next ask. */
function foldSkillBound(state: RunState, event: EventOf<'skill.bound'>): RunState {
  const { law, stage } = state;
  if (law === null) return refuse(state, 'run.notOpened', 'the run has no law', true);
  const bound = bindSkill(law, event.body, event.blobs);
  if (!bound.ok) return refuse(state, bound.error.code, bound.error.message, true);
  const narrowed: RunState = { ...state, law: { ...law, ...bound.value } };
  const said = bound.value.instructions.slice(law.instructions.length);
  if (stage === null || (stage.lastAsk === null && stage.asked.length === 0)) return narrowed;
  return { ...narrowed, stage: { ...stage, unasked: [...stage.unasked, ...said.map(instructionPart)] } };
}

function openAsk(state: RunState, ask: string): OpenAsk | null {
  const open = state.stage?.ask ?? null;
  return open !== null && open.ended === null && open.id === ask ? open : null;
}

/** Releases a reservation and books what was really spent. A recorded past that releases more than it held folds to nothing held. */
export function settle(state: RunState, reservation: Amount, spent: Amount): RunState {
  const held = state.reserved;
  const released = {
    tokens: Math.min(reservation.tokens, held.tokens),
    usdMicros: Math.min(reservation.usdMicros, held.usdMicros),
    calls: Math.min(reservation.calls, held.calls),
  };
  return { ...state, reserved: subtractAmount(held, released), settled: addAmount(state.settled, spent) };
}

/** Books a call at the truth; where that is more than was reserved, or than was granted, the run ends (PROTOCOL §5). */
function settleAtTruth(state: RunState, reservation: Amount, spent: Amount): RunState {
  const settled = settle(state, reservation, spent);
  const grant = state.law?.writ.budget ?? reservation;
  if (withinAmount(spent, reservation) && withinAmount(settled.settled, grant)) return settled;
  const dimension = BUDGET_DIMENSIONS.find((each) => spent[each] > reservation[each] || settled.settled[each] > grant[each]) ?? 'tokens';
  const message = `${dimension}: the call cost ${spent[dimension]}, ${reservation[dimension]} were reserved for it; ${settled.settled[dimension]} of ${grant[dimension]} are spent`;
  return { ...settled, overspent: { code: 'budget.exceeded', message } };
}

/** What an open ask is settled at: a definite refusal by the provider cost a call, anything else its full reservation (PROTOCOL §4.4). */
function settlementOf(ask: OpenAsk): Amount {
  const status = ask.ended !== null && 'failed' in ask.ended ? ask.ended.failed.status : null;
  return status !== null && status >= 400 && status < 500 ? { tokens: 0, usdMicros: 0, calls: 1 } : ask.reservation;
}

/** Settles an ask that its stage gives up. */
export function settleAsk(state: RunState, stage: StageState): RunState {
  return stage.ask === null ? state : settle(state, stage.ask.reservation, settlementOf(stage.ask));
}

/** The run goes back if it may; what an earlier driver left open is interrupted, and the ask among it is settled here. */
function foldRewound(state: RunState, body: Body<'run.rewound'>): RunState {
  const stale = takesOver(state, body) ? null : staleDriver(state, body);
  if (stale !== null) return stale;
  const problem = rewindProblem(state, body);
  const driven: RunState = { ...state, driver: body.driver, epoch: body.epoch };
  if (problem !== null) return refuse(driven, problem.code, problem.message, true);
  const running: RunState = { ...driven, status: 'running', pause: null, parked: null };
  const stage = running.stage;
  if (stage === null) return running;
  const settled = settleAsk(running, stage);
  const cut: RunState = { ...settled, stage: { ...stage, ask: null, result: null } };
  const intent = currentIntent(stage);
  const execution = intent?.execution ?? null;
  if (intent === undefined || execution === null || execution.ended !== null) return cut;
  return withIntent(cut, { ...intent, execution: { ...execution, ended: { interrupted: true } } });
}

function foldAnswered(state: RunState, event: EventOf<'model.answered'>): RunState {
  const body = event.body;
  const stale = staleDriver(state, body);
  if (stale !== null) return stale;
  const ask = openAsk(state, body.ask);
  const stage = state.stage;
  if (ask === null || stage === null) return refuse(state, 'ask.notOpen', `no open model.asked has the id ${body.ask}`, true);
  const spent: Amount =
    body.usage === null
      ? ask.reservation
      : {
          tokens: Math.min(body.usage.inputTokens + body.usage.outputTokens, Number.MAX_SAFE_INTEGER),
          usdMicros: priceOf(state, body.usage.inputTokens, body.usage.outputTokens),
          calls: 1,
        };
  const settled = settleAtTruth(state, ask.reservation, spent);
  const answer = readAnswer(event.blobs.get(body.answer.digest));
  const asked = [...stage.asked, { role: 'assistant' as const, call: null, body: { ...body.answer, mediaType: ASSISTANT } }];
  const next: StageState = { ...stage, ask: null, asked };
  if (!answer.ok) return { ...settled, stage: { ...next, result: { outcome: 'failed', because: answer.error } } };
  const { text, finish, calls } = answer.value;
  if (calls.length > 0) return { ...settled, stage: { ...next, calls, intents: [] } };
  if (finish === 'length')
    return {
      ...settled,
      stage: {
        ...next,
        result: { outcome: 'failed', because: { code: 'model.truncated', message: 'the answer was cut at its length limit' } },
      },
    };
  if (finish === 'refusal')
    return {
      ...settled,
      stage: { ...next, result: { outcome: 'failed', because: { code: 'model.refused', message: 'the model refused to answer' } } },
    };
  return {
    ...settled,
    stage: {
      ...next,
      finalText: text,
      result: { outcome: 'succeeded', because: { code: 'answer.final', message: 'the model answered without a further call' } },
    },
  };
}

function foldModelFailed(state: RunState, body: Body<'model.failed'>): RunState {
  const stale = staleDriver(state, body);
  if (stale !== null) return stale;
  const ask = openAsk(state, body.ask);
  if (ask === null || state.stage === null) return refuse(state, 'ask.notOpen', `no open model.asked has the id ${body.ask}`, true);
  return { ...state, stage: { ...state.stage, ask: { ...ask, ended: { failed: body } } } };
}

function openExecution(state: RunState, id: string): { readonly intent: IntentState; readonly execution: OpenExecution } | null {
  const intent = state.stage === null ? undefined : currentIntent(state.stage);
  const execution = intent?.execution ?? null;
  return intent !== undefined && execution !== null && execution.ended === null && execution.id === id ? { intent, execution } : null;
}

function foldExecutionEnd(
  state: RunState,
  event: EventOf<'execution.observed'> | EventOf<'execution.failed'> | EventOf<'effect.undeclared'>,
): RunState {
  const stale = staleDriver(state, event.body);
  if (stale !== null) return stale;
  const open = openExecution(state, event.body.execution);
  if (open === null) return refuse(state, 'execution.notOpen', `no open execution has the id ${event.body.execution}`, true);
  const { intent, execution } = open;
  if (event.kind === 'execution.observed')
    return withIntent(state, { ...intent, execution: { ...execution, ended: { observed: event.body } } });
  if (event.kind === 'effect.undeclared') return endFailed(state, intent, event.body.because, true);
  // Of a first attempt that certainly came to nothing, nothing is left outside.
  const reached = state.outside?.seq === execution.startedSeq && execution.attempt === 1 && !event.body.effectUnknown;
  const known = reached ? { ...state, outside: state.outside?.earlier ?? null } : state;
  if (retries(state, intent, event.body))
    return withIntent(known, { ...intent, execution: { ...execution, ended: { failed: event.body } } });
  return endFailed(known, intent, event.body.error, false);
}

/** Whether a failed execution is followed by another judgement on the same proposal: a retry of a check, or its loss. */
function retries(state: RunState, intent: IntentState, failed: Body<'execution.failed'>): boolean {
  const idempotence = state.law?.actions.get(intent.action)?.idempotence ?? 'none';
  if (failed.effectUnknown && idempotence === 'none') return true;
  const stage = state.stage === null ? undefined : state.law?.stages.get(state.stage.id);
  return intent.author === 'blueprint' && idempotence !== 'none' && (state.stage?.failures ?? 0) + 1 < (stage?.retryLimit ?? 1);
}

/** The execution is settled at its reservation, its author is told, and a stage of the blueprint fails with it. */
function endFailed(state: RunState, intent: IntentState, because: Reason, always: boolean): RunState {
  const settled = intent.reservation === null ? state : settle(state, intent.reservation, intent.reservation);
  const ended = withIntent(settled, { ...intent, phase: 'ended', execution: null, reservation: null });
  if (ended.stage === null) return ended;
  if (intent.author === 'blueprint' || always)
    return { ...ended, stage: { ...ended.stage, calls: [], result: { outcome: 'failed', because } } };
  const text = canonicalText({ failed: { code: because.code, message: because.message } });
  return { ...ended, stage: { ...ended.stage, unasked: [...ended.stage.unasked, textPart('tool', intent.call, text)] } };
}

/** The child ended: its grant is settled at what it spent, and whoever delegated is told. Nothing of it enters the world. */
function foldDelegationClosed(state: RunState, event: EventOf<'delegation.closed'>): RunState {
  const { body } = event;
  const stale = staleDriver(state, body);
  if (stale !== null) return stale;
  const hand = delegationInHand(state);
  if (hand === null || hand.open.id !== body.delegation)
    return refuse(state, 'delegation.notOpen', `no open delegation has the id ${body.delegation}`, true);
  const { intent, open } = hand;
  const called = intent.reservation === null ? state : settle(state, intent.reservation, intent.reservation);
  const settled = settleAtTruth(called, open.reservation, body.spend);
  const ended = withIntent(settled, { ...intent, phase: 'ended', delegation: null, reservation: null });
  const stage = ended.stage;
  if (stage === null) return ended;
  if (intent.author !== 'blueprint') {
    const told = delegationTold(open.key, body, body.patch === null ? undefined : event.blobs.get(body.patch.digest));
    return { ...ended, stage: { ...stage, malformedInRow: 0, unasked: [...stage.unasked, textPart('tool', intent.call, told)] } };
  }
  const outcome = body.outcome === 'done' ? 'succeeded' : 'failed';
  const code = outcome === 'succeeded' ? 'action.done' : 'delegation.failed';
  const message = `the child run ${open.key} ended ${body.outcome}: ${body.because.message}`;
  return { ...ended, stage: { ...stage, result: { outcome, because: { code, message } } } };
}

function foldExpired(state: RunState, event: EventOf<'approval.expired'>): RunState {
  const stale = staleDriver(state, event.body);
  if (stale !== null) return stale;
  const request = state.request;
  if (request === null || request.id !== event.body.request)
    return refuse(state, 'approval.late', `no open request has the id ${event.body.request}`, false);
  if (instantToMs(event.at) < instantToMs(request.until))
    return refuse(state, 'approval.notExpired', `request ${request.id} is open until ${request.until}`, true);
  return state;
}

/** Folds the fact whose turn it is. */
export function foldFact(state: RunState, fact: QueuedFact): RunState {
  const event = fact.event;
  if (state.status === 'closed') return refuse(state, 'run.closed', 'the run is closed', true);
  const opens = isSelfTest(state) ? 'selfTest.opened' : 'run.opened';
  if (state.status === 'unopened' && event.kind !== opens) return refuse(state, 'run.notOpened', 'the run was not opened', true);
  switch (event.kind) {
    case 'run.opened':
      return foldOpened(state, event);
    case 'run.resumed':
      return foldResumed(state, fact.seq, event.body);
    case 'run.rewound':
      return foldRewound(state, event.body);
    case 'run.pauseRequested':
      return state.status === 'parked'
        ? refuse(state, 'run.parkedAlready', 'the run is parked already', false)
        : { ...state, pause: event.body.because };
    case 'run.cancelRequested':
      return { ...state, cancel: event.body.because };
    case 'router.planned':
      // Evidence: not even its blob is at hand here.
      return staleDriver(state, event.body) ?? state;
    case 'skill.bound':
      return foldSkillBound(state, event);
    case 'model.answered':
      return foldAnswered(state, event);
    case 'model.failed':
      return foldModelFailed(state, event.body);
    case 'execution.observed':
    case 'execution.failed':
    case 'effect.undeclared':
      return foldExecutionEnd(state, event);
    case 'delegation.closed':
      return foldDelegationClosed(state, event);
    case 'approval.expired':
      return foldExpired(state, event);
    case 'approval.voted':
      // Whether a vote counts depends on the law; `judge` looks at it (approve.ts).
      return state;
    case 'selfTest.opened':
      return state.status === 'unopened'
        ? foldSelfTestOpened(state, event)
        : refuse(state, 'selfTest.openedTwice', 'it was opened before', true);
    case 'intent.submitted': {
      const canary = isSelfTest(state) ? foldCanary(state, event) : null;
      if (canary !== null) return canary.ok ? canary.value : refuse(state, canary.error.code, canary.error.message, true);
      return refuse(state, 'intent.notTaken', 'this run takes intents from its own stages only', false);
    }
    default:
      return refuse(state, 'fact.unexpected', `${event.kind} answers nothing open in this run`, true);
  }
}
