/**
 * SHA-256 digests as bytes and as branded text `sha256:<64 lower-case hex>`. Must never accept another algorithm or spelling. PROTOCOL §1.
 */

import { sha1Hex as hashSha1Hex, sha256 as hashSha256, sha256Hex as hashSha256Hex, sha256Stream as hashSha256Stream } from '#crypto';
import { requireWellFormed, toHex } from './bytes.ts';
import { CanonError, type TextError } from './errors.ts';
import { fromHex } from './bytes.ts';
import { canonicalText, type Json } from './json.ts';
import { type Bytes, err, type HashStream, ok, type Result } from './result.ts';

declare const digestBrand: unique symbol;

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = string & { readonly [digestBrand]: 'Digest' };

const PREFIX = 'sha256:';
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const SHA256_BYTES = 32;

/** SHA-256 as 32 bytes. */
export function sha256(bytes: Bytes): Bytes {
  return hashSha256(bytes);
}

/** SHA-256 as 64 lower-case hex digits; a text counts as its UTF-8 and must be well-formed (throws `canon.loneSurrogate`). */
export function sha256Hex(data: Bytes | string): string {
  if (typeof data === 'string') requireWellFormed(data);
  return hashSha256Hex(data);
}

/** SHA-256 over bytes that come in pieces. */
export function sha256Stream(): HashStream {
  return hashSha256Stream();
}

/** SHA-1 as 40 lower-case hex digits. For git object names only. */
export function sha1Hex(bytes: Bytes): string {
  return hashSha1Hex(bytes);
}

/** Digest of bytes, or of a text's UTF-8. */
export function digestOf(data: Bytes | string): Digest {
  return brand(PREFIX + sha256Hex(data));
}

/** Digest of a value's canonical bytes; throws as {@link canonicalText} does. */
export function digestJson(value: Json): Digest {
  return brand(PREFIX + hashSha256Hex(canonicalText(value)));
}

/** Writes an already computed SHA-256 value as a digest; throws `canon.outOfRange` unless it has 32 bytes. */
export function digestFromBytes(hash: Bytes): Digest {
  if (hash.length !== SHA256_BYTES) throw new CanonError('canon.outOfRange', `a SHA-256 value has 32 bytes, not ${hash.length}`);
  return brand(PREFIX + toHex(hash));
}

/** True for the exact spelling of a digest. */
export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/** Reads a digest from text. */
export function parseDigest(text: string): Result<Digest, TextError> {
  return isDigest(text) ? ok(text) : err({ code: 'digest.malformed', message: 'expected sha256: and 64 lower-case hex digits' });
}

/** The 32 bytes a digest spells. */
export function digestBytes(digest: Digest): Bytes {
  const bytes = fromHex(digest.slice(PREFIX.length));
  if (!bytes.ok || bytes.value.length !== SHA256_BYTES)
    throw new CanonError('canon.outOfRange', 'a branded digest does not spell 32 bytes');
  return bytes.value;
}

/** The only place where a text becomes a Digest without a check: it was just built from hash output. */
function brand(text: string): Digest {
  return text as Digest;
}
