/**
 * What follows from a delegation that was let through: the judgement that lets the child open. Must never be written for a call that the compiler has not
 * just permitted on this very state (PROTOCOL §4.3).
 */
import { type Digest, type Instant, instantToMs } from '@openexec/canon';
import { delegable, delegationBase } from './delegation.ts';
import { judgement, nextId, textBlob } from './emit.ts';
import { type Pen, write } from './pen.ts';
import type { IntentState } from './state.ts';
import { committedTreeOf } from './tree.ts';

/** Lets the child open: called right after `proposal.staged`, on the state that the compiler has just let through. */
export function openDelegation(pen: Pen, intent: IntentState, proposal: Digest): void {
  const { state } = pen;
  const made = delegable(state, intent.arguments);
  const tree = committedTreeOf(state);
  if (!made.ok || tree === null) throw new Error('kernel: a delegation was let through that cannot be made');
  const { key, blueprint, writ } = made.value;
  const task = textBlob(made.value.task);
  const seconds = secondsOf(pen.at);
  const { commit } = delegationBase(state, { key, tree, seconds });
  write(
    pen,
    judgement(
      'delegation.opened',
      {
        delegation: nextId(state, 'delegation'),
        proposal,
        key,
        blueprint,
        task: task.ref,
        writ,
        base: { commit, tree, seconds },
        reservation: writ.budget,
      },
      [task.blob],
    ),
  );
}

function secondsOf(at: Instant): number {
  return Math.max(0, Math.floor(instantToMs(at) / 1000));
}
