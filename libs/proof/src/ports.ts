/**
 * Ports for what signs and what anchors. Adapters live above; no key material passes through here. SECURITY (keys), PROTOCOL §3 (anchors).
 */

import type { Bytes, Digest, KeyId, Result } from '@openexec/canon';
import type { CheckpointBody } from './checkpointBody.ts';

/** Whoever can make Ed25519 signatures with one key: a seed in memory, a file, an agent, a hardware token. */
export interface Signer {
  /** The name in notes and vkeys; for a ledger's checkpoints it equals the origin. No space, no plus sign. Never changes. */
  readonly keyName: string;
  /** {@link keyIdOf} of the public key. Never changes. */
  readonly keyId: KeyId;
  /** The raw 32-byte public key. Never changes. */
  readonly publicKey: Bytes;
  /**
   * The 64-byte Ed25519 signature over exactly these bytes. Deterministic, without side effects, safe to call concurrently. Rejects or
   * throws when the key cannot be reached; the caller may try again, nothing was consumed. Whoever publishes the result verifies it first.
   */
  sign(message: Bytes): Promise<Bytes> | Bytes;
}

/** Why an anchor did not take a checkpoint. `anchor.unknown` means it may have: look before trying again. */
export interface AnchorError {
  readonly code: 'anchor.refused' | 'anchor.unreachable' | 'anchor.unknown' | 'anchor.conflict';
  readonly message: string;
}

/** What an anchor gave back, in its own format; kept as a blob and verified by the reader of that format. */
export interface AnchorReceipt {
  readonly mediaType: string;
  readonly bytes: Bytes;
  readonly digest: Digest;
}

/** A checkpoint on its way to an anchor. */
export interface AnchorSubmission {
  /** The signed note; its signature by the log was checked. */
  readonly checkpoint: string;
  /** What the note states. */
  readonly body: CheckpointBody;
  /** The size that this anchor is believed to have taken last, 0 where nobody knows. */
  readonly oldSize: bigint;
  /** The RFC 6962 consistency proof from `oldSize` to the size of the checkpoint. May be asked for several sizes up to that one. */
  prove(oldSize: bigint): Promise<Result<readonly Bytes[], { readonly code: string; readonly message: string }>>;
}

/** A place outside the ledger's reach that remembers checkpoints: a witness, RFC 3161, a git ref, a file. */
export interface Anchor {
  /** A stable name for reports, as the configuration gives it. */
  readonly name: string;
  /** What kind of place it is; with that word its receipts are recorded and read again. */
  readonly type: 'witness' | 'rfc3161' | 'git' | 'file';
  /**
   * Hands over a signed checkpoint. Resolves only after the anchor has it durably. Idempotent for the same checkpoint. An anchor that took
   * another size last than was believed asks for the proof from there. `anchor.conflict`: it holds a checkpoint that this one does not
   * continue, which is an alarm and never retried; `anchor.unreachable`: nothing arrived, retry at will; `anchor.refused`: it will not take
   * it, do not retry; `anchor.unknown`: it may have it, and the same submission again is harmless.
   */
  submit(submission: AnchorSubmission): Promise<Result<AnchorReceipt, AnchorError>>;
}
