/**
 * Places outside the ledger's reach that remember its checkpoints: adapters of the port `Anchor`, readers of their receipts, and a witness. Must
 * never touch a ledger; PROTOCOL §3 (anchors).
 */
export { withDeadline } from './deadline.ts';
export { fileAnchor, heldByFile } from './file.ts';
export { DEFAULT_REF, gitAnchor, heldByGit } from './git.ts';
export { rfc3161Anchor, timestampOver } from './rfc3161/anchor.ts';
export type { TimestampError } from './rfc3161/token.ts';
export { readTrusted, type Timestamp, type TimestampClaim, verifyTimestamp } from './rfc3161/verify.ts';
export { examineTiles, keepTiles, type TileFolderError, type TilesKept, tileReaderOf, type TreeOfTiles } from './tileFolder.ts';
export { CHECKPOINT_TYPE, witnessAnchor } from './witness/client.ts';
export { readWitnessKey, type WitnessKeyError, writeWitnessKey } from './witness/keyFile.ts';
export { type ListenError, type RunningWitness, serveWitness } from './witness/server.ts';
export { Witness, type WitnessAnswer, type WitnessParts } from './witness/witness.ts';
