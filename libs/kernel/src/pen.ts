/**
 * The list of judgements being written for one fact, with the state after each of them. Mutable only inside one call of `judge`.
 */
import type { Instant } from '@openexec/canon';
import type { LawView } from '@openexec/authority';
import type { Judgement } from './emit.ts';
import { foldJudgement } from './foldJudgement.ts';
import type { RunEvent, RunState } from './state.ts';

/** After this many judgements on one fact the run does not come to rest by itself and is closed. Leaves room for one last step. */
export const RESTLESS_JUDGEMENTS = 2000;
/** No single step writes so much more; beyond it a rule of the kernel itself is broken. */
const MAX_JUDGEMENTS = 4000;

/** The judgements made of one fact so far and the state after them. `at` is the fact’s time: a judgement has none of its own. */
export interface Pen {
  readonly law: LawView;
  readonly at: Instant;
  readonly cause: number;
  state: RunState;
  readonly written: Judgement[];
}

/** Appends one judgement and folds it exactly as `evolve` will. */
export function write(pen: Pen, made: Judgement): void {
  if (pen.written.length >= MAX_JUDGEMENTS) throw new Error(`kernel: more than ${MAX_JUDGEMENTS} judgements on one fact`);
  const seq = pen.state.nextSeq;
  // What the fact carried is at hand for its judgements too: they may name its blobs.
  const carried = pen.state.fact?.event.blobs ?? new Map();
  const blobs = made.blobs.length === 0 ? carried : new Map([...carried, ...made.blobs.map((blob) => [blob.digest, blob.bytes] as const)]);
  // Kind and body belong together in a Judgement; the mapped event union cannot be built from them without saying so.
  const event = { kind: made.kind, at: pen.at, cause: pen.cause, law: pen.law.position, body: made.body, blobs } as unknown as RunEvent;
  pen.written.push(made);
  pen.state = { ...foldJudgement(pen.state, seq, event), nextSeq: seq + 1 };
}
