/**
 * What a recorded run asked its hands to do, and what came of it: each ask and each execution with the state it was asked for in, the fact that
 * answered it, and the state after that was judged. For replays, which do it again; reads and never appends (PROTOCOL §10).
 */
import { type Json, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { pending, type PendingEffect, type RunState } from '@openexec/kernel';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { Body } from '@openexec/protocol';
import type { AskEffect } from './ask.ts';
import type { ExecuteEffect } from './execute.ts';
import { reading, refuse, type RuntimeFailure } from './failure.ts';
import { type Folded, foldStored, unopened } from './read.ts';

/** Kinds of the facts that answer an effect. */
export type AnswerKind = 'execution.observed' | 'execution.failed' | 'effect.undeclared' | 'model.answered' | 'model.failed';
/** The fact that answered an effect. */
export type Answer = { readonly [K in AnswerKind]: { readonly kind: K; readonly seq: number; readonly body: Body<K> } }[AnswerKind];
/** One effect of a run. */
export interface RecordedEffect {
  readonly effect: AskEffect | ExecuteEffect;
  readonly before: RunState;
  /** Null where nobody ever said how it went: its driver died, or the run is still open. */
  readonly answer: Answer | null;
  /** As judged after the answer; without one, as it was before. */
  readonly after: RunState;
  /** Whether what it did was committed. */
  readonly committed: boolean;
}
/** All effects of a run, in order, and the state at its end. */
export interface RecordedRun {
  readonly effects: readonly RecordedEffect[];
  readonly end: RunState;
}

const ANSWERS: ReadonlySet<string> = new Set<AnswerKind>([
  'execution.observed',
  'execution.failed',
  'effect.undeclared',
  'model.answered',
  'model.failed',
]);
const STARTS: ReadonlySet<string> = new Set(['execution.started', 'model.asked']);

/** Reads them; `run.unknown` where there is no such run, `run.erased` and `run.unreadable` where it cannot be folded to its end. */
export function recordedRun(ledger: Pick<LedgerStore, 'read' | 'blob'>, run: TrajectoryId): Promise<Result<RecordedRun, RuntimeFailure>> {
  return reading(async () => {
    const effects: Open[] = [];
    let now: Folded = unopened(run);
    /** Position of a start whose effect is not due yet, because others' facts are queued before it. */
    let due: number | null = null;
    for await (const stored of ledger.read(run, 0)) {
      const next = await foldStored(ledger, now, stored);
      if (!next.ok) return next;
      now = next.value.folded;
      const open = effects.at(-1);
      if (open !== undefined) answer(open, stored, next.value.body, now.state);
      if (STARTS.has(stored.entry.kind)) due = stored.entry.seq;
      const todo: PendingEffect | undefined = due === null ? undefined : pending(now.state)[0];
      // What a child run did is in the child's own entries.
      if (todo === undefined || todo.do === 'awaitApproval' || todo.do === 'delegate' || todo.startedSeq !== due) continue;
      effects.push({ effect: todo, before: now.state, answer: null, after: now.state, committed: false });
      due = null;
    }
    return now.state.nextSeq === 0
      ? refuse('run.unknown', `the ledger has no ${run}; list the runs it has`)
      : ok({ effects, end: now.state });
  });
}

/** Filled while the entries go by. */
type Open = { -readonly [K in keyof RecordedEffect]: RecordedEffect[K] };

function answer(open: Open, stored: Stored, body: Json, state: RunState): void {
  const { kind, seq, cause } = stored.entry;
  const id = open.effect.do === 'ask' ? open.effect.ask : open.effect.execution;
  const named = body as { readonly ask?: Json; readonly execution?: Json };
  if (open.answer === null && ANSWERS.has(kind) && (named.ask ?? named.execution) === id) {
    open.answer = { kind, seq, body } as unknown as Answer; // The store admits an entry only with a body of its kind.
    return;
  }
  if (open.answer === null || cause !== open.answer.seq) return;
  open.after = state;
  if (kind === 'commit.recorded' && named.execution === id) open.committed = true;
}
