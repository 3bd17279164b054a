/**
 * The closed unions of this package's refusals. A code, once published, never changes its meaning. STYLE §11.1.
 */
import type { Instant, TrajectoryId } from '@openexec/canon';

/** Why bytes are no entry of version 1. */
export interface EntryError {
  readonly code: 'entry.malformed' | 'entry.tooLarge' | 'entry.kindUnknown' | 'entry.trajectoryUnknown';
  readonly message: string;
}

/** Refusals that depend only on the batch itself: the same batch is refused everywhere, for ever. */
export type BatchRefusalCode =
  | 'batch.empty'
  | 'batch.tooLarge'
  | 'batch.invalid'
  | 'trajectory.unknown'
  | 'kind.unknown'
  | 'kind.misplaced'
  | 'draft.invalid'
  | 'payload.invalid'
  | 'payload.tooLarge'
  | 'entry.tooLarge'
  | 'blob.mismatch'
  | 'blob.tooLarge';

/** Refusals of the store as a whole. After `store.unknownOutcome`, `store.full` and `store.stopped` reopen it and find out; never retry on the same handle. */
export type StoreRefusalCode =
  | 'store.full'
  | 'store.unknownOutcome'
  | 'store.stopped'
  | 'store.busy'
  | 'store.readOnly'
  | 'store.closed'
  | 'store.corrupt';

/** Why an append was not made. Nothing of the batch is stored, except that `store.unknownOutcome` does not know. */
export type AppendFailure =
  /** Another writer was first, or the position never existed; read from `actual` on. */
  | { readonly code: 'conflict'; readonly message: string; readonly trajectory: TrajectoryId; readonly actual: number | null }
  /** The law moved: fold it to `actual` and judge again. */
  | { readonly code: 'law.stale'; readonly message: string; readonly actual: number | null }
  | { readonly code: 'trajectory.closed'; readonly message: string; readonly trajectory: TrajectoryId }
  | { readonly code: 'ledger.sealed'; readonly message: string; readonly successor: string }
  | { readonly code: 'ledger.unfounded' | 'ledger.alreadyFounded'; readonly message: string }
  /** A judgement names no fact of its trajectory, or another time than that fact's; `at` is the fact's where there is one. */
  | {
      readonly code: 'cause.unknown' | 'cause.otherTime';
      readonly message: string;
      readonly trajectory: TrajectoryId;
      readonly cause: number;
      readonly at: Instant | null;
    }
  | { readonly code: BatchRefusalCode; readonly message: string }
  | { readonly code: StoreRefusalCode; readonly message: string };

/** Why a blob is not handed out. */
export interface BlobFailure {
  readonly code: 'blob.unknown' | 'blob.erased' | 'blob.corrupt' | 'store.closed';
  readonly message: string;
}

/** Why no checkpoint was made. */
export interface CheckpointFailure {
  readonly code: 'checkpoint.noSigner' | 'checkpoint.otherOrigin' | 'checkpoint.signerFailed' | 'ledger.unfounded' | StoreRefusalCode;
  readonly message: string;
}

/** Why a proof was not made. */
export interface ProofFailure {
  readonly code: 'proof.outOfRange' | 'store.closed' | 'store.corrupt';
  readonly message: string;
}
