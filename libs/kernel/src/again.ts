/**
 * One decision again, at the point at which it was recorded: what the compiler makes of that very intent on that very state, under the law and the
 * policy given. For whoever explains a decision or asks what another policy would have said; decides nothing of a run (PROTOCOL §4.1).
 */
import type { LawView } from '@openexec/authority';
import type { Digest } from '@openexec/canon';
import { askWish } from './ask.ts';
import { compile, type Decision, type Wish } from './compile.ts';
import { factTime } from './emit.ts';
import { takeFact } from './fold.ts';
import { wishOf } from './intent.ts';
import type { RunState } from './state.ts';

/** Which decision: the fact that it was judged from, and the intent that it is about (null: asking the model). */
export interface RecordedPoint {
  readonly cause: number;
  readonly intent: Digest | null;
}
/** What was asked, and what is decided about it. */
export interface DecidedAgain {
  readonly action: string;
  readonly author: Wish['author'];
  /** Whether people had approved this very action by then. */
  readonly approved: boolean;
  readonly decision: Decision;
}

/**
 * Decides again. `state` is the fold of every entry before the recorded decision. Null where nothing of the kind was due there. With `carry`, what
 * people approved under the recorded policy counts as approved under the one given too, as far as it asks at all.
 */
export function decideAgain(
  state: RunState,
  law: LawView,
  point: RecordedPoint,
  options: { readonly carry: boolean } = { carry: false },
): DecidedAgain | null {
  const taken = takeFact(state, point.cause);
  const wish = taken.fact === null ? null : dueWish(taken, point.intent);
  if (wish === null) return null;
  const at = factTime(taken);
  const { action, author, granted } = wish;
  const first = compile(taken, law, at, wish);
  const carried = options.carry && granted !== null && first.verdict === 'approve';
  const decision = carried ? compile(taken, law, at, { ...wish, granted: { ...granted, digest: first.subject } }) : first;
  return { action, author, approved: granted !== null, decision };
}

function dueWish(state: RunState, intent: Digest | null): Wish | null {
  const { stage, law } = state;
  if (stage === null || law === null) return null;
  if (intent !== null) {
    const found = stage.intents.find((each) => each.intent === intent);
    return found === undefined ? null : wishOf(state, found);
  }
  const contract = law.stages.get(stage.id);
  if (law.model === null || contract?.type !== 'agent') return null;
  return askWish(state, law.model, stage, contract).wish;
}
