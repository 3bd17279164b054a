/**
 * The ledger's types and rules: what an entry is, where it may stand, the port of every store, and the store in memory. Pure. PROTOCOL §§2-4.
 */
export { makeCheckpoint } from './checkpoint.ts';
export {
  commitmentOf,
  decodeEntry,
  encodeEntry,
  ENTRY_TYPE,
  entrySigningBytes,
  MAX_ENTRY_BYTES,
  MAX_PAYLOAD_BYTES,
  SALT_BYTES,
} from './entry.ts';
export { eventLine, type EventLine } from './eventLine.ts';
export type { AppendFailure, BlobFailure, CheckpointFailure, EntryError, ProofFailure, StoreRefusalCode } from './errors.ts';
export { type ExportLimits, exportLines, ledgerExport, readExport, type ExportHead } from './exportFile.ts';
export { follow, type FollowSource } from './follow.ts';
export {
  batchOfWish,
  ERASURE_TYPE,
  erasureBody,
  forgetFault,
  partsOf,
  placesOfWish,
  pruneBefore,
  readPrunedList,
  RETENTION_FLOOR_DAYS,
} from './forgetting.ts';
export { originIn, successorIn } from './founding.ts';
export { Holding, mentionedIn, placeKey, reach, Release, type Released, runLater, runNow } from './holding.ts';
export {
  CopyFault,
  type BlobEntry,
  type CopyFailure,
  type CopyFaultCode,
  type CopyPart,
  type ErasureBody,
  type Examination,
  type ForgetFailure,
  type Forgetting,
  type Forgotten,
  type KeepFinding,
  type KeptLedger,
  type LedgerCopy,
  type LedgerKeeper,
  type Place,
  PRUNED_LIST_TYPE,
} from './keeper.ts';
export { factsOf, familyOfTrajectory, type KindFacts, knownKinds } from './kinds.ts';
export { memoryLedger, type MemoryLedgerOptions } from './memory.ts';
export { MAX_BATCH_DRAFTS, MAX_BLOB_BYTES, prepare, type PreparedBatch, type PreparedDraft } from './prepare.ts';
export { Retrace, type Retraced, type RowFault } from './retrace.ts';
export { CopyCheck } from './copyCheck.ts';
export { type Placed, sequence, type SequenceContext, type Sequenced, type SequenceView, type TrajectoryState } from './sequence.ts';
export {
  type KeptSnapshot,
  MAX_SNAPSHOT_BYTES,
  type SnapshotFailure,
  snapshotFault,
  type SnapshotPlace,
  type SnapshotShelf,
} from './snapshots.ts';
export { LedgerFault, type LedgerStore, type Subscription } from './store.ts';
export type {
  Actor,
  AppendBatch,
  Appended,
  AppendPart,
  Blob,
  Draft,
  Entry,
  EntrySigner,
  Expected,
  Head,
  Row,
  Stored,
  StoredCheckpoint,
  TrajectoryHead,
} from './types.ts';
