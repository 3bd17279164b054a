/**
 * The port of snapshots: images of folds that spare a reader the beginning of a long run. Derived data: may be missing, old, torn or another's, and
 * may go at any time. What reads one looks at it first; what forgets payloads takes it along. PROTOCOL §3 "Snapshots".
 */
import { type Bytes, type Digest, digestOf, type LeafHash, type Result, type TrajectoryId } from '@openexec/canon';
import type { StoreRefusalCode } from './errors.ts';

/** Of one run the newest ones are kept: should the last be no good, the one before it may be. */
export const SNAPSHOTS_KEPT = 2;
/** Larger images are not kept: reading one would cost what it spares. */
export const MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024;

/** Which snapshot: the fold of every entry of the run up to and with `seq`. */
export interface SnapshotPlace {
  readonly run: TrajectoryId;
  readonly seq: number;
}
/** One snapshot as it is kept. */
export interface KeptSnapshot extends SnapshotPlace {
  /** Leaf hash of the entry at `seq`: with it the image is bound to the whole chain before it. */
  readonly leaf: LeafHash;
  /** Of `bytes`. */
  readonly digest: Digest;
  /** What its maker knows it again by. */
  readonly tag: Bytes;
  readonly bytes: Bytes;
}
/** Why nothing was kept, read or dropped; the run does not need it. */
export interface SnapshotFailure {
  readonly code: StoreRefusalCode;
  readonly message: string;
}

/** The snapshots of one ledger; lives and ends with its store. No method ever rejects. */
export interface SnapshotShelf {
  /**
   * Keeps a snapshot beside at most {@link SNAPSHOTS_KEPT} − 1 older ones of its run, or does nothing where payloads of that run were forgotten: an image
   * made before would bring them back. After a crash it is there whole or not at all.
   */
  keep(snapshot: KeptSnapshot): Promise<Result<void, SnapshotFailure>>;
  /** Which there are, of one run or of all: by run, the newest first. */
  places(run?: TrajectoryId): Promise<Result<readonly SnapshotPlace[], SnapshotFailure>>;
  /** One of them, exactly as it is stored; null where there is none any more. */
  read(place: SnapshotPlace): Promise<Result<KeptSnapshot | null, SnapshotFailure>>;
  /** Drops these. */
  drop(places: readonly SnapshotPlace[]): Promise<Result<void, SnapshotFailure>>;
}

/** Why a snapshot cannot be what was kept, by itself and by the leaf that the ledger has at its position (null: none); null where it can. */
export function snapshotFault(kept: KeptSnapshot, leaf: LeafHash | null): string | null {
  const named = `the snapshot of ${kept.run} at ${kept.seq}`;
  if (digestOf(kept.bytes) !== kept.digest) return `${named} is not what its digest says`;
  if (leaf === null) return `${named} stands beyond the end of the run`;
  return leaf === kept.leaf ? null : `${named} was made of other entries`;
}
