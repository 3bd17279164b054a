/**
 * What a verification says: findings with their index, a level, two flags, what was checked and what was not. Shapes only. PROTOCOL §§3, 10.
 */
import type { Bytes, Digest } from '@openexec/canon';
import type { Row } from '@openexec/ledger/codec';

/** What is wrong with one entry, one checkpoint or the whole; a code never changes its meaning. */
export type FindingCode =
  | 'entry.undecodable'
  | 'entry.position'
  | 'entry.prev'
  | 'entry.kind'
  | 'entry.time'
  | 'entry.cause'
  | 'entry.law'
  | 'entry.afterClose'
  | 'entry.signature'
  | 'payload.commitment'
  | 'payload.missing'
  | 'erasure.signature'
  | 'selfTest.signature'
  | 'law.body'
  | 'law.nonce'
  | 'law.ledger'
  | 'law.signature'
  | 'law.registry'
  | 'checkpoint.signature'
  | 'checkpoint.root'
  | 'checkpoint.size'
  | 'ledger.unfounded'
  | 'ledger.rolledBack'
  | 'ledger.untrusted'
  | 'blob.missing';

/** One thing that does not hold. `index` is the leaf index (the number of entries, where the next one is missing), or null where it concerns the whole. */
export interface Finding {
  readonly index: number | null;
  readonly code: FindingCode;
  readonly message: string;
}

/** The ledger as bytes, in pages, with what else is known of it. */
export interface LedgerSource {
  readonly rows: AsyncIterable<readonly Row[]>;
  /** Signed notes that were kept, in any order. */
  readonly checkpoints: readonly { readonly size: bigint; readonly note: string }[];
  /** Bytes of a blob, or null: the lists of prunings are read with it. Left out: what they name counts as missing. */
  readonly blob?: (digest: Digest) => Promise<Bytes | null>;
  /** The head kept elsewhere (PROTOCOL §3 "Head elsewhere"), if any. */
  readonly head: { readonly fingerprint: Digest; readonly size: bigint; readonly root: Bytes } | null;
}

/** What a verification is held against, and who hears of its progress. */
export interface VerifyOptions {
  /** The fingerprint that the reader pinned; null leaves the ledger its own witness. */
  readonly trust: Digest | null;
  /** Payloads that are there and were not handed out, in a bundle: neither checked nor missed. */
  readonly withheld?: (trajectory: string, seq: number) => boolean;
  /** Called after each page with the number of entries read. */
  readonly onProgress?: (entries: number) => void;
}

/** The outcome of one verification. `sound` is the verdict; the rest says what was checked and how far the proof reaches. */
export interface VerifyReport {
  readonly sound: boolean;
  /** The highest that holds of chained < signed < anchored < witnessed; null when nothing does. */
  readonly level: 'chained' | 'signed' | null;
  readonly trust: 'pinned' | 'selfAsserted';
  readonly anchor: 'notConfigured';
  readonly entries: number;
  readonly fingerprint: Digest | null;
  readonly origin: string | null;
  readonly root: Digest;
  /** Payloads that are gone lawfully, by an erasure or by a pruning. */
  readonly erased: number;
  /** Those of them that went by the list of a pruning. */
  readonly pruned: number;
  readonly signatures: number;
  readonly checkpoints: number;
  /** Entries that a good checkpoint covers; what stands behind them is chained only. */
  readonly signedSize: number;
  /** Index of the first entry at fault. */
  readonly firstBad: number | null;
  readonly findings: readonly Finding[];
  /** Findings beyond those listed. */
  readonly omitted: number;
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
}
