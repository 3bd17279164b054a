/**
 * Ed25519 under one set of rules everywhere: S < L, A canonical and not of small order, cofactorless equation; a key is admitted only if
 * it is also torsion-free. Must never accept what one of the two `#crypto` sides would refuse. RFC 8032, PROTOCOL §1, MECHANICS part 1.
 */

import { Point } from '@noble/ed25519';
import { ed25519PublicKey, ed25519Sign, ed25519Verify } from '#crypto';
import { type Bytes, compareBytes, err, fromHex, type KeyId, ok, parseKeyId, type Result, sha256Hex } from '@openexec/canon';
import { type KeyError, type KeyErrorCode, ProofFault } from './errors.ts';

const SEED_BYTES = 32;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** 2^255 − 19 and the group order L, most significant octet first (RFC 8032 §5.1). */
const FIELD_PRIME = constant('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed');
const GROUP_ORDER = constant('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed');
/** The y coordinates of the eight points of small order, little-endian: 0, 1, −1 and the two of order 8. Each has both signs. */
const SMALL_ORDER_Y = new Set(
  [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ].map((hex) => textOf(constant(hex))),
);

/** The public key of a 32-byte seed. Throws `fault.badArgument` for another length. */
export function publicKeyOf(seed: Bytes): Bytes {
  requireSeed(seed);
  return ed25519PublicKey(seed);
}

/** The deterministic signature (64 bytes) of a message. Throws `fault.badArgument` for a seed of another length than 32. */
export function sign(seed: Bytes, message: Bytes): Bytes {
  requireSeed(seed);
  return ed25519Sign(seed, message);
}

/** True for a valid signature under the rules above; false for anything else, wrong lengths included. */
export function verifySignature(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  if (signature.length !== SIGNATURE_BYTES || !isBelow(signature.subarray(32), GROUP_ORDER)) return false;
  return encodingFault(publicKey) === undefined && ed25519Verify(publicKey, message, signature);
}

/** Decides whether a key may be trusted at all: canonical, on the curve, not of small order, torsion-free. */
export function admitKey(publicKey: Bytes): Result<void, KeyError> {
  const fault = encodingFault(publicKey);
  if (fault !== undefined) return refuse(fault);
  let point: Point;
  try {
    point = Point.fromBytes(publicKey);
  } catch {
    return refuse('key.notOnCurve');
  }
  return point.isTorsionFree() ? ok(undefined) : refuse('key.notTorsionFree');
}

/** The first 32 hex digits of SHA-256 of the raw key. */
export function keyIdOf(publicKey: Bytes): KeyId {
  const keyId = parseKeyId(sha256Hex(publicKey).slice(0, 32));
  if (!keyId.ok) throw new ProofFault('fault.badArgument', keyId.error.message);
  return keyId.value;
}

/** What is wrong with the encoding of a key, checked the same way on both sides since OpenSSL does not check it. */
function encodingFault(publicKey: Bytes): KeyErrorCode | undefined {
  if (publicKey.length !== KEY_BYTES) return 'key.malformed';
  const y = Uint8Array.from(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  if (!isBelow(y, FIELD_PRIME)) return 'key.notCanonical';
  return SMALL_ORDER_Y.has(textOf(y)) ? 'key.smallOrder' : undefined;
}

const REASONS: Readonly<Record<KeyErrorCode, string>> = {
  'key.malformed': 'a public key has 32 bytes',
  'key.notCanonical': 'the y coordinate of the key is not below 2^255 - 19',
  'key.notOnCurve': 'the key is no point of the curve',
  'key.smallOrder': 'the key is a point of small order: anyone can sign for it',
  'key.notTorsionFree': 'the key has a component of small order: verifiers would disagree about it',
};

function refuse(code: KeyErrorCode): Result<void, KeyError> {
  return err({ code, message: REASONS[code] });
}

/** Compares a little-endian number with a big-endian constant of the same length. */
function isBelow(littleEndian: Bytes, bound: Bytes): boolean {
  return compareBytes(Uint8Array.from(littleEndian).reverse(), bound) < 0;
}

/** A lookup name for 32 octets. */
function textOf(bytes: Bytes): string {
  return String.fromCharCode(...bytes);
}

function constant(hex: string): Bytes {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new ProofFault('fault.badArgument', bytes.error.message);
  return bytes.value;
}

function requireSeed(seed: Bytes): void {
  if (seed.length !== SEED_BYTES) throw new ProofFault('fault.badArgument', 'an Ed25519 seed has 32 bytes');
}
