/**
 * The closed union of this package's error codes. A code, once published, never changes its meaning. STYLE §11.1.
 */

import type { Bytes } from '@openexec/canon';

/** Why a Merkle proof or a compact range was refused. */
export type ProofErrorCode = 'proof.badIndex' | 'proof.badSize' | 'proof.badHash' | 'proof.wrongLength' | 'proof.rootMismatch';

/** Both roots of a comparison that failed: what was claimed, and what the proof leads to. */
export interface RootMismatch {
  readonly code: 'proof.rootMismatch';
  readonly message: string;
  readonly claimedRoot: Bytes;
  readonly computedRoot: Bytes;
}

/** A refusal of a Merkle proof. */
export type ProofError = RootMismatch | { readonly code: Exclude<ProofErrorCode, 'proof.rootMismatch'>; readonly message: string };

/** Why a public key is not admitted (PROTOCOL §1). */
export type KeyErrorCode = 'key.malformed' | 'key.notCanonical' | 'key.notOnCurve' | 'key.smallOrder' | 'key.notTorsionFree';

/** A refusal of a public key. */
export interface KeyError {
  readonly code: KeyErrorCode;
  readonly message: string;
}

/** Why a note, verifier key, checkpoint or tlog-proof was refused. */
export type NoteErrorCode =
  | 'vkey.malformed'
  | 'vkey.unknownAlgorithm'
  | 'vkey.wrongKeyId'
  | 'note.malformed'
  | 'note.tooLarge'
  | 'note.tooManySignatures'
  | 'note.ambiguousKey'
  | 'note.badSignature'
  | 'note.unverified'
  | 'checkpoint.malformed'
  | 'checkpoint.notByOrigin'
  | 'tlogProof.malformed'
  | 'cosignature.malformed'
  | 'addCheckpoint.malformed'
  | 'tlogPolicy.malformed';

/** A refusal of a text of the C2SP formats. */
export interface NoteError {
  readonly code: NoteErrorCode;
  readonly message: string;
}

/** A refusal of a tile or of its path. `tile.missing`: whoever keeps the tiles does not have it; `tile.otherEntries`: a bundle is not of its tile. */
export interface TileError {
  readonly code: 'tile.malformed' | 'tile.outOfRange' | 'tile.missing' | 'tile.wrongLength' | 'tile.otherEntries';
  readonly message: string;
}

/** Why a proof of the sparse Merkle map was refused. */
export type MapError =
  | { readonly code: 'map.malformed' | 'map.present' | 'map.absent' | 'map.otherValue'; readonly message: string }
  | { readonly code: 'map.rootMismatch'; readonly message: string; readonly claimedRoot: Bytes; readonly computedRoot: Bytes };

/** Codes of {@link ProofFault}. */
export type ProofFaultCode = 'fault.badArgument' | 'fault.badPath' | 'fault.badIdentity';

/** Thrown when a caller hands over what no data could justify (a hash of 31 bytes, a path with `..`). Recognise it by `code`. */
export class ProofFault extends Error {
  readonly code: ProofFaultCode;

  constructor(code: ProofFaultCode, message: string) {
    super(message);
    this.name = 'ProofFault';
    this.code = code;
  }
}
