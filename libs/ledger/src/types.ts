/**
 * What is stored and what is handed in: entries, drafts, batches, heads. Shapes only; must never hold behaviour. SEAM, PROTOCOL §§2-3.
 */
import type { Bytes, Digest, EventId, Instant, Json, KeyId, LeafHash, TrajectoryId } from '@openexec/canon';
import type { TypedSignature } from '@openexec/proof';
import type { Kind } from '@openexec/protocol';

/** Who caused an entry; no personal data (PROTOCOL §2). */
export type Actor = `key:${string}` | 'model' | 'runtime' | 'tool' | `peer:${string}`;

/** The permanent part of an event: its canonical bytes are the Merkle leaf (PROTOCOL §2). */
export interface Entry {
  readonly v: 1;
  readonly trajectory: TrajectoryId;
  readonly seq: number;
  readonly prev: LeafHash | null;
  readonly kind: Kind;
  readonly at: Instant;
  readonly actor: Actor;
  readonly cause: number | null;
  readonly law: number | null;
  readonly id?: EventId;
  readonly commitment: Digest;
  /** Length of the payload in bytes. */
  readonly bytes: number;
  readonly sig?: TypedSignature;
}

/** An entry as a store keeps it, nothing decoded. Payload and salt are null together, once erased. */
export interface Row {
  readonly entryBytes: Bytes;
  readonly payload: Bytes | null;
  readonly salt: Bytes | null;
}

/** A row, decoded. `index` is its leaf index in the tree. */
export interface Stored extends Row {
  readonly index: bigint;
  readonly entry: Entry;
  readonly leaf: LeafHash;
}

/** Large or free-form bytes by content (PROTOCOL §2). */
export interface Blob {
  readonly digest: Digest;
  readonly bytes: Bytes;
  readonly mediaType: string;
}

/**
 * An event before it has a place. A fact's `at` is the caller's clock and may be moved forward to the last fact's; a judgement's is its
 * cause's, exactly. Facts have neither `cause` nor `law`; judgements have both.
 */
export interface Draft {
  readonly kind: Kind;
  readonly at: Instant;
  readonly actor: Actor;
  readonly cause: number | null;
  readonly law: number | null;
  readonly payload: Json;
  /** Only on facts appended with position `any`. */
  readonly id?: EventId;
}

/** Where a trajectory must stand: anywhere, not begun, begun, or at exactly this last `seq` (PROTOCOL §3). */
export type Expected = 'any' | 'none' | 'exists' | number;

/** The drafts for one trajectory. */
export interface AppendPart {
  readonly trajectory: TrajectoryId;
  readonly expect: Expected;
  readonly drafts: readonly Draft[];
}

/** Appended in this order, all or nothing. */
export interface AppendBatch {
  /** Each trajectory at most once. */
  readonly to: readonly AppendPart[];
  /** Expected position of `law`; required when a draft is a judgement. */
  readonly law?: number;
  /** Durable with, or before, the entries that name them. */
  readonly blobs: readonly Blob[];
}

/** What an append came to. A duplicate holds the first result and never licenses an effect (PROTOCOL §3). */
export interface Appended {
  readonly outcome: 'appended' | 'duplicate';
  readonly stored: readonly Stored[];
  /** Size of the ledger after the commit that answered this. */
  readonly size: bigint;
}

/** The whole ledger at one size. `fingerprint` and `origin` are null before `ledger.founded`. */
export interface Head {
  readonly size: bigint;
  readonly root: Bytes;
  readonly fingerprint: Digest | null;
  readonly origin: string | null;
}

/** A signed tree head as a C2SP note (PROTOCOL §3). */
export interface StoredCheckpoint {
  readonly size: bigint;
  readonly note: string;
}

/** Where one trajectory stands. */
export interface TrajectoryHead {
  readonly trajectory: TrajectoryId;
  readonly seq: number;
  readonly leaf: LeafHash;
  /** Its last entry is `run.closed` or `selfTest.recorded`. */
  readonly closed: boolean;
}

/** Signs entries at the moment their place is fixed, hence synchronously: the runtime key (PROTOCOL §2 `sig`). */
export interface EntrySigner {
  readonly keyId: KeyId;
  /** The 64-byte Ed25519 signature over exactly these bytes. */
  sign(message: Bytes): Bytes;
}
