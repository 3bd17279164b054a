/**
 * The Node side of `#crypto`: Ed25519 and the two Merkle hashes on node:crypto. Must agree byte for byte with noble.ts; the caller has
 * already refused keys and scalars that OpenSSL would let pass (PROTOCOL §1). Never imported except through the `#crypto` condition.
 */

import { Buffer } from 'node:buffer';
import { createHash, createPrivateKey, createPublicKey, hash, type KeyObject, sign as nodeSign, verify as nodeVerify } from 'node:crypto';
import type { Bytes } from '@openexec/canon';

/** RFC 8410 §7: the fixed DER in front of a 32-byte seed, and §4 in front of a raw public key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** Key objects kept; a process knows few keys, and hostile ones must not fill memory. */
const CACHED_KEYS = 64;
/** Larger leaves are hashed in two updates instead of being copied. */
const SCRATCH_BYTES = 8192;

const publicKeys = new Map<string, KeyObject>();
const privateKeys = new Map<string, KeyObject>();
const leafScratch = Buffer.alloc(SCRATCH_BYTES + 1);
const nodeScratch = Buffer.alloc(65);
nodeScratch[0] = 1;

/** SHA-256(0x00 ‖ data). */
export function hashLeaf(data: Bytes): Bytes {
  if (data.length > SCRATCH_BYTES) return new Uint8Array(createHash('sha256').update(leafScratch.subarray(0, 1)).update(data).digest());
  leafScratch.set(data, 1);
  return bytesOfLatin1(hash('sha256', leafScratch.subarray(0, data.length + 1), 'binary'));
}

/** SHA-256(0x01 ‖ left ‖ right), both of 32 bytes. */
export function hashNode(left: Bytes, right: Bytes): Bytes {
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 33);
  return bytesOfLatin1(hash('sha256', nodeScratch, 'binary'));
}

/** The public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Bytes): Bytes {
  const spki = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length));
}

/** The deterministic Ed25519 signature of a message. */
export function ed25519Sign(seed: Bytes, message: Bytes): Bytes {
  return new Uint8Array(nodeSign(null, message, privateKey(seed)));
}

/** OpenSSL's cofactorless check; false also for a point that is not on the curve. */
export function ed25519Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  return nodeVerify(null, message, publicKeyObject(publicKey), signature);
}

/** Copies a latin1 digest; making a Buffer instead costs more than the hash itself (TOOLCHAIN §5.2). */
function bytesOfLatin1(text: string): Bytes {
  const bytes = new Uint8Array(32);
  for (let i = 0; i < 32; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Indexed by the seed's hash, so that no copy of the seed lies in a string. */
function privateKey(seed: Bytes): KeyObject {
  return cached(privateKeys, hash('sha256', seed, 'hex'), () =>
    createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' }),
  );
}

function publicKeyObject(raw: Bytes): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  return cached(publicKeys, name, () => createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' }));
}

/** Drops the oldest entry when full: insertion order is enough, since a rebuilt key costs only about 6 % (TOOLCHAIN §5.3). */
function cached(keys: Map<string, KeyObject>, name: string, make: () => KeyObject): KeyObject {
  const known = keys.get(name);
  if (known !== undefined) return known;
  const made = make();
  if (keys.size >= CACHED_KEYS) {
    for (const oldest of keys.keys()) {
      keys.delete(oldest);
      break;
    }
  }
  keys.set(name, made);
  return made;
}
