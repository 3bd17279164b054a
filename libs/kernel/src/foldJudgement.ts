/**
 * What a judgement does to the state. Reads nothing but the state and the recorded body, so that a recorded judgement that this kernel would not
 * make is folded all the same and the verifier can go on (PROTOCOL §4.1).
 */

import { addAmount } from '@openexec/authority';
import { canonicalText, type Json, parseJson } from '@openexec/canon';
import type { Amount, ArtifactRef, Body, DeltaStep } from '@openexec/protocol';
import { inlineOrParsed } from './blobs.ts';
import { currentIntent, settle, settleAsk, withIntent } from './foldFact.ts';
import { freshStage } from './freshStage.ts';
import { textPart } from './parts.ts';
import { remember } from './resolve.ts';
import { markOf } from './rewind.ts';
import type { Artifact, EventOf, IntentState, Part, RunEvent, RunState } from './state.ts';
import { applyDelta } from './world.ts';

const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };

function intentOf(state: RunState, id: string): IntentState | undefined {
  return state.stage?.intents.find((intent) => intent.intent === id);
}

/** The answer to a model's call goes into the conversation, unless the blueprint asked. */
function answerCall(state: RunState, intent: IntentState, part: Part): RunState {
  if (state.stage === null || intent.call === null) return state;
  return { ...state, stage: { ...state.stage, unasked: [...state.stage.unasked, { ...part, call: intent.call }] } };
}

function end(state: RunState, intent: IntentState): RunState {
  return withIntent(state, { ...intent, phase: 'ended', execution: null, reservation: null });
}

function jsonOf(ref: ArtifactRef, bytes: Uint8Array | undefined): Json | undefined {
  const parsed = bytes === undefined || !ref.blob.mediaType.endsWith('json') ? undefined : parseJson(bytes, { numbers: 'doubles' });
  return parsed?.ok === true ? parsed.value : undefined;
}

function withArtifacts(state: RunState, refs: readonly ArtifactRef[], blobs: ReadonlyMap<string, Uint8Array>): RunState {
  if (refs.length === 0) return state;
  const artifacts = new Map<string, Artifact>(state.artifacts);
  const versions: Record<string, number> = { ...state.versions };
  for (const ref of refs) {
    versions[ref.name] = Math.max(versions[ref.name] ?? 0, ref.version);
    const bytes = blobs.get(ref.blob.digest);
    const known = state.artifacts.get(ref.name);
    // The same content was read when it first flowed.
    const json = known?.blob.digest === ref.blob.digest ? known.json : jsonOf(ref, bytes);
    artifacts.set(ref.name, { ...ref, json });
  }
  return { ...state, artifacts, versions };
}

function foldStageEntered(state: RunState, seq: number, body: Body<'stage.entered'>): RunState {
  const { stage: id, visit, inputs } = body;
  const stage = freshStage({ id, visit, enteredSeq: seq, worldAtEntry: state.world, inputs });
  const { world, artifacts, failure, lastStage, commits } = state;
  const mark = { stage: body.stage, visit: body.visit, seq, world, artifacts, failure, lastStage, commits, earlier: state.marks };
  return { ...state, stage, next: null, visits: { ...state.visits, [body.stage]: body.visit }, marks: mark };
}

function foldStageLeft(state: RunState, event: EventOf<'stage.left'>): RunState {
  const body = event.body;
  const settled = state.stage === null ? state : settleAsk(state, state.stage);
  const flowing = withArtifacts(settled, body.outputs, event.blobs);
  return { ...flowing, stage: null, next: body.next, lastStage: body.stage, failure: body.outcome === 'failed' ? body.because : null };
}

function foldDeclared(state: RunState, event: EventOf<'intent.declared'>): RunState {
  if (state.stage === null) return state;
  const body = event.body;
  const intent: IntentState = {
    intent: body.intent,
    author: body.author,
    action: body.action,
    arguments: inlineOrParsed(body.arguments, event.blobs),
    malformed: body.malformed,
    claims: body.claims,
    call: body.call,
    phase: 'declared',
    decision: null,
    proposal: null,
    request: null,
    granted: null,
    withheld: null,
    reservation: null,
    execution: null,
    delegation: null,
  };
  return {
    ...state,
    stage: {
      ...state.stage,
      declared: true,
      calls: state.stage.calls.slice(body.call === null ? 0 : 1),
      intents: [...state.stage.intents, intent],
    },
  };
}

function foldDecided(state: RunState, event: EventOf<'policy.decided'>): RunState {
  const body = event.body;
  if (body.intent === null) {
    if (state.stage === null) return state;
    return {
      ...state,
      stage: {
        ...state.stage,
        permission: { decision: body.decision, law: event.law ?? -1, verdict: body.verdict, because: body.because },
      },
    };
  }
  const intent = intentOf(state, body.intent);
  if (intent === undefined) return state;
  return withIntent(state, { ...intent, phase: 'decided', decision: { id: body.decision, verdict: body.verdict, because: body.because } });
}

function foldRejected(state: RunState, body: Body<'proposal.rejected'>): RunState {
  const intent = intentOf(state, body.intent);
  if (intent === undefined || state.stage === null) return state;
  const malformedInRow = intent.malformed === null ? 0 : state.stage.malformedInRow + 1;
  const counted: RunState = { ...state, stage: { ...state.stage, malformedInRow } };
  const settled = intent.reservation === null ? counted : settle(counted, intent.reservation, intent.reservation);
  const told = canonicalText({
    rejected: {
      code: body.because.code,
      message: body.because.message,
      ...(body.rule === null ? {} : { rule: `${body.rule.layer}/${body.rule.rule}` }),
    },
  });
  const answered = answerCall(settled, intent, textPart('tool', intent.call, told));
  const ended = end(answered, intent);
  if (intent.author === 'blueprint' || body.at === 'postcondition') return failStage(ended, body.because);
  if (malformedInRow >= 3)
    return failStage(ended, { code: 'arguments.malformedThrice', message: 'three calls in a row had malformed arguments' });
  return ended;
}

function failStage(state: RunState, because: { readonly code: string; readonly message: string }): RunState {
  if (state.stage === null || state.stage.result !== null) return state;
  return { ...state, stage: { ...state.stage, calls: [], result: { outcome: 'failed', because } } };
}

function foldResolved(state: RunState, body: Body<'approval.resolved'>): RunState {
  const running: RunState = {
    ...state,
    request: null,
    status: state.status === 'parked' ? 'running' : state.status,
    pause: null,
    parked: null,
  };
  const stage = running.stage;
  if (stage === null) return running;
  const granted = body.outcome === 'approved';
  const intent = stage.intents.find((other) => other.request === body.request);
  if (intent !== undefined)
    return withIntent(running, {
      ...intent,
      phase: 'resolved',
      granted: granted ? { request: body.request, digest: state.request?.digest ?? body.request } : null,
      withheld: granted ? null : body.because,
    });
  if (granted) return { ...running, stage: { ...stage, resultApproved: true } };
  return { ...running, stage: { ...stage, resultApproved: true, result: { outcome: 'failed', because: body.because } } };
}

/** What a started execution may not see, as it was recorded; null where that cannot be read. */
function maskedIn(
  masked: Body<'execution.started'>['sandbox']['masked'],
  blobs: EventOf<'execution.started'>['blobs'],
): readonly string[] | null {
  if (masked === undefined) return [];
  const list = inlineOrParsed(masked, blobs);
  return Array.isArray(list) && list.every((path) => typeof path === 'string') ? list : null;
}

function foldStarted(state: RunState, seq: number, event: EventOf<'execution.started'>): RunState {
  const body = event.body;
  const intent = state.stage === null ? undefined : currentIntent(state.stage);
  if (intent === undefined || state.stage === null) return state;
  const retried = body.replaces === null ? state : { ...state, stage: { ...state.stage, failures: state.stage.failures + 1 } };
  const effect = state.law?.actions.get(intent.action)?.effect;
  const reaches = effect === 'external' || effect === 'irreversible';
  const marked = reaches ? { ...retried, outside: { action: intent.action, seq, earlier: retried.outside } } : retried;
  return withIntent(marked, {
    ...intent,
    phase: 'started',
    execution: {
      id: body.execution,
      attempt: body.attempt,
      startedSeq: seq,
      input: inlineOrParsed(body.input, event.blobs),
      command: body.command,
      idempotencyKey: body.idempotencyKey,
      deadlineMs: body.deadlineMs,
      masked: maskedIn(body.sandbox.masked, event.blobs),
      ended: null,
    },
  });
}

function foldDelegated(state: RunState, seq: number, body: Body<'delegation.opened'>): RunState {
  const held = { ...state, reserved: addAmount(state.reserved, body.reservation) };
  const intent = state.stage?.intents.find((other) => other.proposal === body.proposal);
  if (intent === undefined) return held;
  const { delegation: id, key, blueprint, task, writ, base, reservation } = body;
  return withIntent(held, { ...intent, phase: 'delegated', delegation: { id, seq, key, blueprint, task, writ, base, reservation } });
}

function observedOf(intent: IntentState): Body<'execution.observed'> | null {
  const ended = intent.execution?.ended ?? null;
  return ended !== null && 'observed' in ended ? ended.observed : null;
}

function foldCommit(state: RunState, seq: number, event: EventOf<'commit.recorded'>): RunState {
  const body = event.body;
  const stage = state.stage;
  const intent = stage?.intents.find((other) => other.proposal === body.proposal);
  if (stage === null || intent === undefined) return state;
  // The delta's shape was checked when the entry was written; a blob that is gone folds as no change and the verifier names it.
  const delta = (inlineOrParsed(body.delta, event.blobs) ?? []) as unknown as readonly DeltaStep[];
  const applied = applyDelta(state.world, delta, seq);
  const observed = observedOf(intent);
  const settled = settle(state, intent.reservation ?? NOTHING, body.settled);
  const changed: RunState = {
    ...settled,
    world: 'world' in applied ? applied.world : state.world,
    commits: delta.length === 0 ? state.commits : { commit: body.commit, seq, earlier: state.commits },
    landed: body.landed ?? state.landed,
  };
  const flowing = withArtifacts(changed, body.artifacts, event.blobs);
  const answered =
    observed === null ? flowing : answerCall(flowing, intent, { role: 'tool', call: intent.call, body: observed.output, text: null });
  const ended = end({ ...answered, stage: answered.stage === null ? null : { ...answered.stage, malformedInRow: 0 } }, intent);
  if (intent.author !== 'blueprint' || ended.stage === null || observed === null) return ended;
  const outcome = observed.status === 'ok' ? 'succeeded' : 'failed';
  return {
    ...ended,
    stage: {
      ...ended.stage,
      result: { outcome, because: { code: outcome === 'succeeded' ? 'action.done' : 'check.failed', message: observed.summary } },
    },
  };
}

/** The world as it was, and with it what else belonged to that moment; the fact in hand says which. */
function foldCompensated(state: RunState, seq: number, event: EventOf<'commit.compensated'>): RunState {
  const delta = (inlineOrParsed(event.body.delta, event.blobs) ?? []) as unknown as readonly DeltaStep[];
  const applied = applyDelta(state.world, delta, seq);
  const world = 'world' in applied ? applied.world : state.world;
  const fact = state.fact?.event;
  const mark = fact?.kind === 'run.rewound' ? markOf(state, fact.body) : null;
  if (mark === null) return { ...state, world };
  const { artifacts, failure, lastStage, commits, earlier } = mark;
  return { ...state, world, artifacts, failure, lastStage, commits, marks: earlier, stage: null, next: null };
}

function foldLost(state: RunState, body: Body<'execution.lost'>): RunState {
  const stage = state.stage;
  const intent = stage === null ? undefined : currentIntent(stage);
  if (intent === undefined) return state;
  const settled = intent.reservation === null ? state : settle(state, intent.reservation, intent.reservation);
  return failStage(end(settled, intent), body.because);
}

function foldAsked(state: RunState, seq: number, body: Body<'model.asked'>): RunState {
  const stage = state.stage;
  if (stage === null) return state;
  const settled = settleAsk(state, stage);
  const ask = {
    id: body.ask,
    attempt: body.attempt,
    startedSeq: seq,
    reservation: body.reservation,
    turn: body.turn,
    backoffMs: body.backoffMs,
    timeoutMs: body.timeoutMs,
    ended: null,
  };
  return {
    ...settled,
    reserved: addAmount(settled.reserved, body.reservation),
    stage: {
      ...stage,
      ask,
      turn: body.turn,
      asked: [...stage.asked, ...body.added],
      unasked: [],
      lastAsk: body.ask,
      intents: [],
      calls: [],
    },
  };
}

function foldNoted(state: RunState, body: Body<'fact.noted'>): RunState {
  const fact = state.fact;
  if (body.why !== 'vote.counted' || fact === null || fact.event.kind !== 'approval.voted' || state.request === null) return state;
  const vote = fact.event.body.vote;
  const key = vote.signatures[0]?.key;
  if (key === undefined) return state;
  return { ...state, request: { ...state.request, votes: [...state.request.votes, { key, seq: fact.seq, decision: vote.body.decision }] } };
}

function foldRequested(state: RunState, body: Body<'approval.requested'>): RunState {
  const asked: RunState = {
    ...state,
    request: { id: body.request, subject: body.subject, digest: body.digest, terms: body.terms, until: body.until, votes: [] },
  };
  const intent = asked.stage?.intents.find((other) => other.request === body.request);
  return intent === undefined ? asked : withIntent(asked, { ...intent, phase: 'requested' });
}

/** Folds one judgement and remembers it for the account of the run. */
export function foldJudgement(state: RunState, seq: number, event: RunEvent): RunState {
  return { ...foldKind(state, seq, event), history: remember(state.history, seq, event) };
}

/** Each emission counts its noun's ordinal. */
function foldKind(state: RunState, seq: number, event: RunEvent): RunState {
  switch (event.kind) {
    case 'stage.entered':
      return foldStageEntered(state, seq, event.body);
    case 'stage.left':
      return foldStageLeft(state, event);
    case 'intent.declared':
      return foldDeclared(count(state, 'intent'), event);
    case 'policy.decided':
      return foldDecided(count(state, 'decision'), event);
    case 'proposal.staged': {
      const intent = intentOf(state, event.body.intent);
      const held = { ...count(state, 'proposal'), reserved: addAmount(state.reserved, event.body.reservation) };
      return intent === undefined
        ? held
        : withIntent(held, { ...intent, phase: 'staged', proposal: event.body.proposal, reservation: event.body.reservation });
    }
    case 'proposal.suspended': {
      const intent = intentOf(state, event.body.intent);
      const counted = count(state, 'proposal');
      return intent === undefined
        ? counted
        : withIntent(counted, { ...intent, phase: 'suspended', proposal: event.body.proposal, request: event.body.request });
    }
    case 'proposal.rejected':
      return foldRejected(count(state, 'proposal'), event.body);
    case 'approval.requested':
      return foldRequested(count(state, 'request'), event.body);
    case 'approval.resolved':
      return foldResolved(state, event.body);
    case 'execution.started':
      return foldStarted(count(state, 'execution'), seq, event);
    case 'execution.lost':
      return foldLost(state, event.body);
    case 'commit.recorded':
      return foldCommit(count(state, 'commit'), seq, event);
    case 'commit.compensated':
      return foldCompensated(count(state, 'commit'), seq, event);
    case 'model.asked':
      return foldAsked(count(state, 'ask'), seq, event.body);
    case 'delegation.opened':
      return foldDelegated(count(state, 'delegation'), seq, event.body);
    case 'fact.noted':
      return foldNoted(state, event.body);
    case 'run.parked':
      // A run parked by its blueprint goes on, once resumed, where it was.
      return { ...state, status: 'parked', parked: event.body, pause: null, next: state.next === 'paused' ? state.lastStage : state.next };
    case 'run.closed':
      return { ...state, status: 'closed', closed: event.body, stage: null, queue: [] };
    default:
      return state;
  }
}

function count(state: RunState, noun: string): RunState {
  return { ...state, ordinals: { ...state.ordinals, [noun]: (state.ordinals[noun] ?? 0) + 1 } };
}
