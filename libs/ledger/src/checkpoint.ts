/**
 * Making a checkpoint of a head: the C2SP note by the log key, whose name is the origin. Must never sign a size that is not the end of a
 * transaction; the caller read the head from a committed state. PROTOCOL §3.
 */
import { err, ok, type Result } from '@openexec/canon';
import { type Signer, signCheckpoint } from '@openexec/proof';
import type { CheckpointFailure } from './errors.ts';
import type { Head, StoredCheckpoint } from './types.ts';

/** Signs a head as a checkpoint. */
export async function makeCheckpoint(head: Head, signer: Signer | undefined): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
  if (signer === undefined) return refuse('checkpoint.noSigner', 'this store was opened without the log key');
  if (head.origin === null) return refuse('ledger.unfounded', 'there is nothing to sign before ledger.founded');
  if (signer.keyName !== head.origin)
    return refuse('checkpoint.otherOrigin', `the log key is named ${signer.keyName}, the ledger ${head.origin}`);
  try {
    const note = await signCheckpoint({ origin: head.origin, size: head.size, root: head.root }, signer);
    if (!note.ok) return refuse('checkpoint.signerFailed', note.error.message);
    return ok({ size: head.size, note: note.value });
  } catch (error) {
    // A signer may live outside this process; the port lets it fail and be asked again.
    return refuse('checkpoint.signerFailed', `the log key did not sign: ${String(error)}`);
  }
}

function refuse(code: CheckpointFailure['code'], message: string): { readonly ok: false; readonly error: CheckpointFailure } {
  return err({ code, message });
}
