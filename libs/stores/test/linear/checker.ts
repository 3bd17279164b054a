/**
 * Whether a recorded history of concurrent operations could have happened one at a time, each at some moment between its call and its answer: the search of
 * Wing and Gong (1993), with Lowe's memory (2017) of sets of placed operations and states that led nowhere. Knows nothing of ledgers: the model says what
 * an operation does to a state.
 */

/** One operation. Times are of one clock; an operation whose answer never came has `returned` null and may have had its effect at any later time, or never. */
export interface Operation<Asked, Answered> {
  readonly asked: Asked;
  /** Null where it is unknown. */
  readonly answered: Answered | null;
  readonly called: bigint;
  readonly returned: bigint | null;
}

/** What operations do, one at a time. */
export interface Model<State, Asked, Answered> {
  readonly initial: State;
  /** The state after it, or null where it could not have been answered so. With an unknown answer it always has a state after it. */
  step(state: State, asked: Asked, answered: Answered | null): State | null;
  /** Equal states have equal keys. */
  key(state: State): string;
}

/** What the search found: one order that fits, or how far the best attempt came and which operations then fitted nowhere. */
export type Verdict<Asked, Answered> =
  | { readonly linearizable: true; readonly order: readonly Operation<Asked, Answered>[] }
  | { readonly linearizable: false; readonly placed: number; readonly stuck: readonly Operation<Asked, Answered>[] };

/** A call or an answer in order of time; a call knows its answer. */
interface Event {
  readonly at: number;
  answer: Event | null;
  before: Event | null;
  after: Event | null;
}

/** Searches all orders that the times allow. */
export function checkLinearizable<State, Asked, Answered>(
  history: readonly Operation<Asked, Answered>[],
  model: Model<State, Asked, Answered>,
): Verdict<Asked, Answered> {
  const head = eventsOf(history);
  const tried = new Set<string>();
  const placed: { readonly call: Event; readonly state: State }[] = [];
  let best: readonly number[] = [];
  let stuck: readonly number[] = [];
  let state = model.initial;
  let done = 0n;
  for (let event = head.after; head.after !== null; ) {
    if (event === null) throw new Error('every call in the list has its answer behind it');
    if (event.answer === null) {
      // An answer is reached whose call fits nowhere before it: the last choice was wrong.
      if (placed.length >= best.length) {
        best = placed.map(({ call }) => call.at);
        stuck = openCalls(head, event);
      }
      const last = placed.pop();
      if (last === undefined) return refused(history, best, stuck);
      state = last.state;
      done &= ~(1n << BigInt(last.call.at));
      unlift(last.call);
      event = last.call.after;
      continue;
    }
    const operation = history[event.at];
    const next = operation === undefined ? null : model.step(state, operation.asked, operation.answered);
    const with_ = done | (1n << BigInt(event.at));
    const attempt = next === null ? '' : `${with_.toString(36)}|${model.key(next)}`;
    if (next === null || tried.has(attempt)) {
      event = event.after;
      continue;
    }
    tried.add(attempt);
    placed.push({ call: event, state });
    state = next;
    done = with_;
    lift(event);
    event = head.after;
  }
  return { linearizable: true, order: placed.flatMap(({ call }) => history[call.at] ?? []) };
}

function refused<Asked, Answered>(
  history: readonly Operation<Asked, Answered>[],
  best: readonly number[],
  stuck: readonly number[],
): Verdict<Asked, Answered> {
  return { linearizable: false, placed: best.length, stuck: stuck.flatMap((at) => history[at] ?? []) };
}

/** Calls that are not placed and stand before an answer that has been reached. */
function openCalls(head: Event, until: Event): readonly number[] {
  const open: number[] = [];
  for (let event = head.after; event !== null && event !== until; event = event.after) if (event.answer !== null) open.push(event.at);
  return open;
}

/** The list of all calls and answers by time, behind a head. At the same time calls stand first: such operations overlap. */
function eventsOf(history: readonly Operation<unknown, unknown>[]): Event {
  const timed: { readonly time: bigint | null; readonly isAnswer: boolean; readonly event: Event }[] = [];
  for (const [at, { called, returned }] of history.entries()) {
    const answer: Event = { at, answer: null, before: null, after: null };
    timed.push(
      { time: called, isAnswer: false, event: { at, answer, before: null, after: null } },
      { time: returned, isAnswer: true, event: answer },
    );
  }
  timed.sort((a, b) => {
    if (a.time === b.time) return Number(a.isAnswer) - Number(b.isAnswer);
    return a.time === null || (b.time !== null && a.time > b.time) ? 1 : -1;
  });
  const head: Event = { at: -1, answer: null, before: null, after: null };
  let last = head;
  for (const { event } of timed) {
    last.after = event;
    event.before = last;
    last = event;
  }
  return head;
}

/** Takes a call and its answer out of the list. */
function lift(call: Event): void {
  for (const event of [call, call.answer]) {
    if (event === null) continue;
    if (event.before !== null) event.before.after = event.after;
    if (event.after !== null) event.after.before = event.before;
  }
}

/** Puts them back where they were; only ever in the opposite order of taking. */
function unlift(call: Event): void {
  for (const event of [call.answer, call]) {
    if (event === null) continue;
    if (event.before !== null) event.before.after = event;
    if (event.after !== null) event.after.before = event;
  }
}
