/**
 * The port every store implements: memory here, SQLite and others above. A contract in prose; `@openexec/ledger/contract` is the same in
 * tests. PROTOCOL §3, SEAM.
 */
import type { Bytes, Digest, Result, TrajectoryId } from '@openexec/canon';
import type { AppendFailure, BlobFailure, CheckpointFailure, ProofFailure } from './errors.ts';
import type { AppendBatch, Appended, Head, Row, Stored, StoredCheckpoint, TrajectoryHead } from './types.ts';

/** Thrown out of reading, which has no other way to fail: stored bytes that are no entry, a closed handle, a server that does not answer. */
export class LedgerFault extends Error {
  readonly code: 'store.corrupt' | 'store.closed' | 'store.unreachable';

  constructor(code: LedgerFault['code'], message: string) {
    super(message);
    this.name = 'LedgerFault';
    this.code = code;
  }
}

/** A reading that can be given up while it waits: `return()` ends it at once, also between entries. */
export interface Subscription extends AsyncIterableIterator<Stored> {
  return(): Promise<IteratorResult<Stored>>;
}

/**
 * One ledger. Every method may be called at any time and concurrently; several handles, also of several processes, may be open on the same
 * ledger. Bytes handed out are the caller's to read, never to change.
 */
export interface LedgerStore {
  /**
   * Appends a batch, all or nothing. Resolves after the commit is durable: a power cut afterwards loses nothing of it. Appends are put into
   * one order; of two that expect the same position exactly one is `appended`. A batch that is there already (same `id`s, or same numeric
   * position, kinds and payload bytes) resolves with the first result as `duplicate`, also on a closed trajectory, under newer law or a seal.
   * Never rejects: every refusal is a value. `conflict` and `law.stale`: read on and decide again. `batch.*`, `draft.*`, `payload.*`,
   * `kind.*`, `blob.*`, `cause.*`, `trajectory.*`: the same batch will never be taken. `store.busy`: nothing was stored, try again later.
   * `store.unknownOutcome`, `store.full`, `store.stopped`: this handle appends no more; reopen and look, a repeat is then answered rightly.
   */
  append(batch: AppendBatch): Promise<Result<Appended, AppendFailure>>;

  /** The entries of one trajectory from `from` on, up to and without `to` (default: the end when the reading began), in order, in pages. */
  read(trajectory: TrajectoryId, from?: number, to?: number): AsyncIterable<Stored>;

  /** All entries in tree order from leaf index `from` on, up to and without `to` (default: the size when the reading began). */
  all(from?: bigint, to?: bigint): AsyncIterable<Stored>;

  /** The same, undecoded and in pages: for verification and copying, which trust no decoding but their own. */
  rows(from?: bigint, to?: bigint): AsyncIterable<readonly Row[]>;

  /** The bytes of a blob; they have been hashed again, so what is handed out has that digest. */
  blob(digest: Digest): Promise<Result<Bytes, BlobFailure>>;

  /**
   * All entries from leaf index `from` on, and every later one as it becomes durable: none skipped, none twice, in tree order, appended by
   * whichever process. The next page is read only when it is asked for. Ends when the store is closed or the reader stops.
   */
  follow(from?: bigint): Subscription;

  /** Size, root, fingerprint and origin of one committed moment. */
  head(): Promise<Head>;

  /** Where a trajectory stands, null when it has not begun. */
  trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null>;

  /** The heads of all trajectories whose name begins with `prefix`, by name. */
  trajectories(prefix?: string): AsyncIterable<TrajectoryHead>;

  /** A signed tree head of the present size, which is the end of a transaction; kept. Asking again at the same size gives the same one. */
  checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>>;

  /** All checkpoints kept, smallest first. */
  checkpoints(): AsyncIterable<StoredCheckpoint>;

  /** RFC 6962 audit path of a leaf in the tree of `size`. */
  inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>>;

  /** RFC 6962 consistency proof between two sizes. */
  consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>>;

  /** Ends subscriptions and gives up the handle; what was appended before is answered first. Later calls answer `store.closed`. */
  close(): Promise<void>;
}
