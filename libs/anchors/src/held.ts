/**
 * What an anchor that remembers holds already, and whether a new checkpoint continues it. The same rule for files and git refs. Must never let a
 * smaller or another tree take the place of the one that is held. PROTOCOL §3 (anchors).
 */
import { equalBytes, err, ok, type Result } from '@openexec/canon';
import { type AnchorError, type AnchorSubmission, type CheckpointBody, parseCheckpointBody, verifyConsistency } from '@openexec/proof';

/** What the new checkpoint is to the one held. */
export type Continuation = 'first' | 'same' | 'later';

/** The body of a note that is kept; its signature is not checked. */
export function bodyOfNote(note: string): Result<CheckpointBody, AnchorError> {
  const body = parseCheckpointBody(note.slice(0, note.indexOf('\n\n') + 1));
  return body.ok ? body : err({ code: 'anchor.conflict', message: `what is held is no checkpoint: ${body.error.message}` });
}

/** Holds a submission against the note held. */
export async function continues(held: string | null, submission: AnchorSubmission): Promise<Result<Continuation, AnchorError>> {
  if (held === null) return ok('first');
  const old = bodyOfNote(held);
  if (!old.ok) return old;
  const { body } = submission;
  if (old.value.origin !== body.origin) return conflict(`it holds a checkpoint of ${old.value.origin}, not of ${body.origin}`);
  if (old.value.size > body.size)
    return conflict(`it holds a tree of ${old.value.size}, more than the ${body.size} of this one: an older copy of the ledger?`);
  if (old.value.size === body.size)
    return equalBytes(old.value.root, body.root) ? ok('same') : conflict(`it holds another tree of ${body.size}`);
  const proof = await submission.prove(old.value.size);
  if (!proof.ok) return err({ code: 'anchor.refused', message: `there is no proof from size ${old.value.size}: ${proof.error.message}` });
  const verified = verifyConsistency({
    oldSize: old.value.size,
    oldRoot: old.value.root,
    newSize: body.size,
    newRoot: body.root,
    proof: proof.value,
  });
  return verified.ok ? ok('later') : conflict(`this tree does not continue the one of ${old.value.size} that it holds`);
}

function conflict(message: string): { readonly ok: false; readonly error: AnchorError } {
  return err({ code: 'anchor.conflict', message });
}
