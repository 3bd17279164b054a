/**
 * What the handle of every store asks its tables for: one moment, one page, one node. Must never hold more than a page. PROTOCOL §3.
 */
import type { Bytes, Digest, Result, TrajectoryId } from '@openexec/canon';
import type { BlobFailure, Row, Stored, StoredCheckpoint } from '@openexec/ledger';
import type { HeadRow, TrajectoryRow } from './view.ts';

/** At once, or over a connection. */
export type Later<T> = T | Promise<T>;

/** Where a trajectory stands, under the number of its rows. */
export type TrajectoryPlace = Omit<TrajectoryRow, 'factAt'>;

/** Readings of committed data. Each throws the driver's error, or `store.corrupt` where what it found cannot be. */
export interface LedgerReading {
  /** The head of a moment after the call. */
  head(): Later<HeadRow>;
  /** The size of the ledger, as far as it has to be known for a proof up to `size`. */
  sizeFor(size: bigint): Later<bigint>;
  trajectory(trajectory: TrajectoryId): Later<TrajectoryPlace | null>;
  /** Those after a name that begin with `prefix`, by name; none behind the last. */
  trajectoriesAfter(after: string, prefix: string): Later<readonly TrajectoryPlace[]>;
  /** Decoded entries of one trajectory from `from` on, below `to`. */
  trajectoryPage(id: bigint, from: number, to: number): Later<readonly Stored[]>;
  /** Decoded entries in tree order. */
  storedPage(from: bigint, to: bigint): Later<readonly Stored[]>;
  /** The same, undecoded. */
  rowPage(from: bigint, to: bigint): Later<readonly Row[]>;
  /** What there is now from `from` on; for whoever follows. */
  newPage(from: bigint): Later<readonly Stored[]>;
  blob(digest: Digest): Later<Result<Bytes, BlobFailure>>;
  checkpoint(size: bigint): Later<StoredCheckpoint | null>;
  /** Those above a size, smallest first; none behind the last. */
  checkpointsAfter(size: bigint): Later<readonly StoredCheckpoint[]>;
  /** Keeps a checkpoint, unless there is one of its size. */
  keep(made: StoredCheckpoint): Later<void>;
  /**
   * The hash of the complete subtree of 2^level leaves at `index`. A `proof` shows by itself whether it is right; a `root` has to speak for the
   * entries as they are stored.
   */
  node(level: number, index: bigint, wanted: 'proof' | 'root'): Later<Bytes>;
}
