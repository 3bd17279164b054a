/**
 * The port of what is done to a whole ledger beside appending and reading: forgetting payloads, copying a ledger in, holding what is derived
 * against the entries. Kept apart from {@link LedgerStore}, so that whoever only appends and reads cannot forget. PROTOCOL §3 "Moving", "Erasure".
 */
import type { Bytes, Digest, EventId, Instant, KeyId, Result, TrajectoryId } from '@openexec/canon';
import type { TypedSignature } from '@openexec/proof';
import type { AppendFailure, StoreRefusalCode } from './errors.ts';
import type { SnapshotShelf } from './snapshots.ts';
import type { Row, Stored, StoredCheckpoint } from './types.ts';
import type { LedgerStore } from './store.ts';

/** One payload by its place. */
export interface Place {
  readonly trajectory: TrajectoryId;
  readonly seq: number;
}

/** A signed part of an erasure: at most {@link MAX_ERASED_PLACES} places. */
export interface ErasureBody {
  readonly entries: readonly Place[];
  readonly by: KeyId;
  readonly because: string;
  readonly rule: string;
  readonly signatures: readonly TypedSignature[];
}

/** What is to be forgotten, and what says so in the same transaction. */
export type Forgetting =
  | { readonly kind: 'erase'; readonly at: Instant; readonly bodies: readonly ErasureBody[]; readonly id?: EventId }
  | {
      readonly kind: 'prune';
      readonly at: Instant;
      readonly by: KeyId;
      /** Only payloads of entries before this moment. */
      readonly before: Instant;
      readonly rule: string;
      readonly because: string;
      readonly places: readonly Place[];
    };

/** Why nothing was forgotten. Nothing was changed, except that `store.unknownOutcome` does not know. */
export type ForgetFailure =
  | AppendFailure
  | {
      readonly code: /** There is no such entry. */
        | 'forget.unknown'
        /** `law`, `ledger`, `writ/…` and `run.opened` keep their payloads. */
        | 'forget.kept'
        /** The run is not closed. */
        | 'forget.openRun'
        /** Younger than the rule allows. */
        | 'forget.tooYoung'
        /** All of it is gone already, or nothing was named. */
        | 'forget.nothing';
      readonly message: string;
    };

/** What was forgotten. */
export interface Forgotten {
  readonly stored: readonly Stored[];
  readonly payloads: number;
  /** Blobs that nothing names any more. */
  readonly blobs: number;
  /** Another process holds old bytes back in the write-ahead log; they go when the ledger is next opened alone. */
  readonly lingering: boolean;
}

/** A ledger on its way into an empty store. `parts` are rows in order, then checkpoints, then blobs; it may throw a {@link CopyFault}. */
export interface LedgerCopy {
  readonly size: bigint;
  readonly root: Bytes;
  parts(): AsyncIterable<CopyPart>;
}
/** One piece of a copy. A blob without bytes was erased, and stays so. */
export type CopyPart =
  | { readonly is: 'rows'; readonly rows: readonly Row[] }
  | { readonly is: 'checkpoint'; readonly checkpoint: StoredCheckpoint }
  | { readonly is: 'blob'; readonly digest: Digest; readonly bytes: Bytes | null };

/** Why nothing was copied in. The store is as empty as it was. */
export interface CopyFailure {
  readonly code: CopyFaultCode | 'copy.notEmpty' | StoreRefusalCode;
  readonly message: string;
}
/** What can be wrong with a copy; a code never changes its meaning. */
export type CopyFaultCode =
  /** An entry is no entry, or does not continue what stands before it. */
  | 'copy.entry'
  /** A payload is not the one that was committed to. */
  | 'copy.payload'
  /** Entries, checkpoints or blobs are fewer, more, or make another root than was said. */
  | 'copy.incomplete'
  /** A blob is not what its name says, or nothing that is left names it. */
  | 'copy.blob'
  | 'copy.malformed'
  /** Of a later release. */
  | 'copy.newer'
  | 'copy.tooLarge'
  /** The end is missing. */
  | 'copy.truncated'
  /** The source cannot be read further. */
  | 'copy.unreadable';

/** Thrown while the parts of a copy are read, which iterators cannot say otherwise; `copyIn` answers it as a value. */
export class CopyFault extends Error {
  readonly code: CopyFaultCode;

  constructor(code: CopyFaultCode, message: string) {
    super(message);
    this.name = 'CopyFault';
    this.code = code;
  }
}

/** Something derived that does not agree with the entries, or bytes that nothing names. */
export interface KeepFinding {
  readonly code:
    | 'entry.broken'
    | 'payload.broken'
    | 'place.wrong'
    | 'trajectory.wrong'
    | 'subtree.wrong'
    | 'head.wrong'
    | 'blob.corrupt'
    | 'blob.orphan'
    /** A payload that no entry names, where payloads are kept apart from entries. */
    | 'payload.orphan';
  /** First leaf index concerned; null where it concerns the whole, or a blob. */
  readonly index: number | null;
  readonly message: string;
  /** Entries and payloads are never repaired. */
  readonly repaired: boolean;
}
/** What an examination came to. */
export interface Examination {
  readonly entries: number;
  readonly root: Bytes;
  readonly blobs: number;
  readonly findings: readonly KeepFinding[];
  /** Findings beyond those listed. */
  readonly omitted: number;
  /** First bad leaf index. */
  readonly firstBad: number | null;
}

/** A blob by name. `bytes` is null where it was erased and a payload that can never go still names it. */
export interface BlobEntry {
  readonly digest: Digest;
  readonly bytes: number | null;
}

/** The keeper of one ledger; lives and ends with its store. */
export interface LedgerKeeper {
  /** The random id of this store, kept outside the entries: what a seal names as successor. */
  instance(): Promise<string>;

  /** The instance that the latest seal names, null where there is none. */
  successor(): Promise<string | null>;

  /** Names of all blobs, sorted. */
  blobs(): AsyncIterable<BlobEntry>;

  /**
   * Forgets payloads, and appends what says so, in one transaction: after a crash at any point all of it is gone or nothing. Blobs that no
   * remaining payload names go with them, and so do the snapshots of their runs. Places that are gone already are passed over. Never rejects.
   */
  forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>>;

  /** Fills an empty store, byte for byte, in one transaction; appends nothing. Chain, tree, commitments and blobs are checked on the way. */
  copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>>;

  /**
   * Derives everything again from the entries and names what differs. `repair` puts derived data right and removes blobs that nothing names; where
   * an entry or payload is broken nothing is repaired, because what is derived may be the better witness.
   */
  examine(options: {
    readonly repair: boolean;
  }): Promise<Result<Examination, { readonly code: StoreRefusalCode; readonly message: string }>>;
}

/** A store together with its keeper and its snapshots. */
export interface KeptLedger extends LedgerStore {
  readonly keeper: LedgerKeeper;
  readonly snapshots: SnapshotShelf;
}

/** What the list of a pruning is stored as. */
export const PRUNED_LIST_TYPE = 'application/vnd.openexec.pruned-list.v1+json';
/** So that a body stays below the largest payload. */
export const MAX_ERASED_PLACES = 400;
