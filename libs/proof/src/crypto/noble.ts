/**
 * The portable side of `#crypto`: Ed25519 on @noble/ed25519 and the two Merkle hashes on @noble/hashes. Must agree byte for byte with
 * node.ts and must use no global of any host. PROTOCOL §1.
 */

import { getPublicKey, hashes, Point, sign } from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { type Bytes, concatBytes, equalBytes } from '@openexec/canon';

// @noble/ed25519 brings no synchronous SHA-512 of its own.
hashes.sha512 = sha512;

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);
const GROUP_ORDER = Point.CURVE().n;

/** SHA-256(0x00 ‖ data). */
export function hashLeaf(data: Bytes): Bytes {
  return sha256(concatBytes(LEAF_PREFIX, data));
}

/** SHA-256(0x01 ‖ left ‖ right), both of 32 bytes. */
export function hashNode(left: Bytes, right: Bytes): Bytes {
  return sha256(concatBytes(NODE_PREFIX, left, right));
}

/** The public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Bytes): Bytes {
  return getPublicKey(seed);
}

/** The deterministic Ed25519 signature of a message. */
export function ed25519Sign(seed: Bytes, message: Bytes): Bytes {
  return sign(message, seed);
}

/**
 * The cofactorless equation as OpenSSL checks it: encode(S·B − k·A) equals the first half of the signature, octet for octet. The
 * library's own verify multiplies by the cofactor and so would accept more.
 */
export function ed25519Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  const nonce = signature.subarray(0, 32);
  const point = pointOf(publicKey);
  if (point === undefined) return false;
  const challenge = littleEndian(sha512(concatBytes(nonce, publicKey, message))) % GROUP_ORDER;
  const scalar = littleEndian(signature.subarray(32, 64));
  if (scalar >= GROUP_ORDER) return false;
  const expected = Point.BASE.multiply(scalar, false).subtract(point.multiply(challenge, false));
  return equalBytes(expected.toBytes(), nonce);
}

function pointOf(publicKey: Bytes): Point | undefined {
  try {
    return Point.fromBytes(publicKey);
  } catch {
    return undefined; // not on the curve, the one thing the library says by throwing
  }
}

function littleEndian(bytes: Bytes): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}
