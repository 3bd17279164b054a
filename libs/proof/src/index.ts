/**
 * The proof floor: RFC 6962 trees, Ed25519, signed notes, checkpoints, tiles, DSSE, the sparse Merkle map, git ids. Must never touch a host
 * global outside `#crypto`, and never reads a clock, a file or a network. ARCHITECTURE §3, PROTOCOL §1-3 and §8.
 */

export {
  type AddCheckpoint,
  type AddCheckpointAnswer,
  formatAddCheckpoint,
  judgeAddCheckpoint,
  parseAddCheckpoint,
} from './addCheckpoint.ts';
export {
  type Checkpoint,
  formatCheckpointBody,
  formatTlogProof,
  openCheckpoint,
  parseCheckpointBody,
  parseTlogProof,
  signCheckpoint,
  type TlogProof,
  verifyTlogProof,
} from './checkpoint.ts';
export type { CheckpointBody } from './checkpointBody.ts';
export {
  addSignatureLines,
  type Cosignature,
  type Cosigner,
  cosign,
  formatCosignerVkey,
  openCosignatures,
  parseCosignerVkey,
} from './cosignature.ts';
export { pae, signTyped, type TypedSignature, verifyTyped } from './dsse.ts';
export { admitKey, keyIdOf, publicKeyOf, sign, verifySignature } from './ed25519.ts';
export {
  type KeyError,
  type KeyErrorCode,
  type MapError,
  type NoteError,
  type NoteErrorCode,
  type ProofError,
  type ProofErrorCode,
  ProofFault,
  type ProofFaultCode,
  type RootMismatch,
  type TileError,
} from './errors.ts';
export {
  type GitCommit,
  type GitFormat,
  type GitIdentity,
  type GitMode,
  type GitTreeEntry,
  gitBlobId,
  gitCommitBytes,
  gitCommitId,
  gitTreeId,
} from './git.ts';
export { CompactRange, EMPTY_ROOT, leafHash, nodeHash, treeRoot } from './merkle.ts';
export { formatVkey, type NoteSignature, type OpenedNote, openNote, parseVkey, seedSigner, signNote, type Vkey } from './notes.ts';
export type { Anchor, AnchorError, AnchorReceipt, AnchorSubmission, Signer } from './ports.ts';
export {
  consistencyNodes,
  consistencyProof,
  inclusionNodes,
  inclusionProof,
  type NodeReader,
  type NodeRef,
  rangeNodes,
  verifyConsistency,
  verifyInclusion,
} from './proofs.ts';
export {
  type MapProofJson,
  mapProofJson,
  type ResourceRecord,
  readMapProof,
  recordHash,
  resourceKey,
} from './resource.ts';
export {
  emptyMap,
  type MapEntry,
  type MapProof,
  mapEntries,
  mapGet,
  mapProve,
  mapRoot,
  mapSet,
  mapSize,
  type SparseMap,
  verifyMapProof,
} from './sparse.ts';
export { entryBundleOf, parseTilePath, type TileLevel, type TileRef, tileIndexPath, tileLevels, tileOfNode, tilePath } from './tiles.ts';
export {
  consistencyFromTiles,
  entryFromTiles,
  inclusionFromTiles,
  parseEntryBundle,
  rootFromTiles,
  TileBuilder,
  type TileFile,
  type TileReader,
} from './tileTree.ts';
export { judgeByPolicy, type PolicyVerdict, parseTlogPolicy, type TlogPolicy } from './tlogPolicy.ts';
