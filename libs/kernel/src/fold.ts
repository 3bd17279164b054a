/**
 * `evolve`: how an event extends the state. A fact is only queued; the first judgement with its cause takes it off the queue and folds it.
 * Total on anything recorded: an event that does not fit changes nothing here, the verifier says so (PROTOCOL §4.1).
 */
import { instantToMs, type TrajectoryId } from '@openexec/canon';
import { kindRow } from '@openexec/protocol';
import { foldFact } from './foldFact.ts';
import { foldJudgement } from './foldJudgement.ts';
import { remember } from './resolve.ts';
import { takesOver } from './rewind.ts';
import type { FactEvent, QueuedFact, RunEvent, RunState } from './state.ts';
import { emptyWorld } from './world.ts';

/** Nothing of any kind. */
export const NO_AMOUNT = { tokens: 0, usdMicros: 0, calls: 0 } as const;

/** The state of a run before its first event. */
export function initialState(run: TrajectoryId): RunState {
  return {
    run,
    nextSeq: 0,
    queue: [],
    fact: null,
    ordinals: {},
    status: 'unopened',
    law: null,
    lawProblem: null,
    driver: '',
    epoch: 0,
    lastAt: null,
    activeMs: 0,
    stage: null,
    next: null,
    lastStage: null,
    visits: {},
    artifacts: new Map(),
    versions: {},
    world: emptyWorld,
    marks: null,
    commits: null,
    outside: null,
    settled: NO_AMOUNT,
    reserved: NO_AMOUNT,
    request: null,
    pause: null,
    cancel: null,
    failure: null,
    overspent: null,
    landed: null,
    refusal: null,
    history: null,
    closed: null,
    parked: null,
    selfTest: null,
  };
}

/** Whether an event is a fact by its kind. */
export function isFact(event: RunEvent): event is FactEvent {
  return kindRow(event.kind).class === 'fact';
}

/** Time that counts against `wallMs`: between facts while the run was running; parked and crashed time does not count (PROTOCOL §5). */
function passTime(state: RunState, fact: QueuedFact): RunState {
  const { event } = fact;
  const at = event.at;
  const anew = event.kind === 'run.resumed' || (event.kind === 'run.rewound' && takesOver(state, event.body));
  const counts = state.status === 'running' && state.lastAt !== null && !anew;
  const passed = counts && state.lastAt !== null ? Math.max(0, instantToMs(at) - instantToMs(state.lastAt)) : 0;
  return { ...state, lastAt: at, activeMs: state.activeMs + passed };
}

/** Takes the fact with this seq off the queue and folds it; the ordinals of ids start anew. */
export function takeFact(state: RunState, seq: number): RunState {
  if (state.fact?.seq === seq) return state;
  const fact = state.queue.find((queued) => queued.seq === seq);
  if (fact === undefined) return state;
  const taken: RunState = {
    ...passTime(state, fact),
    queue: state.queue.filter((queued) => queued !== fact),
    fact,
    ordinals: {},
    refusal: null,
  };
  const folded = foldFact(taken, fact);
  // What answers nothing open is no part of what happened.
  return folded.refusal === null ? { ...folded, history: remember(folded.history, fact.seq, fact.event) } : folded;
}

/** state × event → state. `seq` is the event's position in the run's trajectory. */
export function evolve(state: RunState, seq: number, event: RunEvent): RunState {
  // What a self-test came to is its last word and judged by nobody (PROTOCOL §4.2).
  if (event.kind === 'selfTest.recorded') return { ...state, status: 'closed', nextSeq: seq + 1 };
  if (isFact(event)) return { ...state, nextSeq: seq + 1, queue: [...state.queue, { seq, event }] };
  const taken = event.cause === null ? state : takeFact(state, event.cause);
  return { ...foldJudgement(taken, seq, event), nextSeq: seq + 1 };
}
