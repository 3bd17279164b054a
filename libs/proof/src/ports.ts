/**
 * Ports for what signs and what anchors. Adapters live above; no key material passes through here. SECURITY (keys), PROTOCOL §3 (anchors).
 */

import type { Bytes, Digest, KeyId, Result } from '@openexec/canon';

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

/** A place outside the ledger's reach that remembers checkpoints: a witness, RFC 3161, a git ref, a file. */
export interface Anchor {
  /** A stable name for reports, such as `file` or `witness:<name>`. */
  readonly name: string;
  /**
   * Hands over a signed checkpoint together with the proof from the size this anchor took last. Resolves only after the anchor has it
   * durably. Idempotent for the same checkpoint. `anchor.conflict`: it holds a checkpoint that this one does not continue, which is an
   * alarm and never retried; `anchor.unreachable`: nothing arrived, retry at will; `anchor.refused`: it will not take it, do not retry.
   */
  submit(submission: {
    readonly checkpoint: string;
    readonly oldSize: bigint;
    readonly consistency: readonly Bytes[];
  }): Promise<Result<AnchorReceipt, AnchorError>>;
}
