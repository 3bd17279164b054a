/**
 * Byte and text codecs, all strict: what decodes is exactly what encoding would have written. Must never repair input. PROTOCOL §1.
 */

import { decodeBase64, decodeHex, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from '#crypto';
import { CanonError, type TextError } from './errors.ts';
import { type Bytes, err, ok, type Result } from './result.ts';

/** Any surrogate at all: answered without a scan for texts that the engine stores with one byte per unit, that is for most. */
const SURROGATE_UNIT = /[\ud800-\udfff]/;
/** With the `u` flag paired surrogates are one code point, so only lone ones match. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const HEX = /^(?:[0-9a-f]{2})*$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
/** PROTOCOL §1, decimals. */
const DECIMAL = /^(?:0|[1-9][0-9]*)$/;
/** More digits than any size, amount or position has; keeps BigInt's cost bounded on hostile input. */
const MAX_DECIMAL_DIGITS = 80;

/** True when the text holds half of a surrogate pair, and so has no UTF-8 form. */
export function hasLoneSurrogate(text: string): boolean {
  return SURROGATE_UNIT.test(text) && LONE_SURROGATE.test(text);
}

/** Throws `canon.loneSurrogate` unless the text has a UTF-8 form. */
export function requireWellFormed(text: string): void {
  if (hasLoneSurrogate(text))
    throw new CanonError('canon.loneSurrogate', 'the text holds a lone surrogate; it has no UTF-8 form, refuse it where it enters');
}

/** UTF-8 bytes of a text. Throws `canon.loneSurrogate`: replacing would let two texts share one hash. */
export function utf8Encode(text: string): Bytes {
  requireWellFormed(text);
  return encodeUtf8(text);
}

/** The text of valid UTF-8; a byte order mark is kept as U+FEFF. */
export function utf8Decode(bytes: Bytes): Result<string, TextError> {
  const text = decodeUtf8(bytes);
  return text === undefined ? err({ code: 'text.badUtf8', message: 'the bytes are not valid UTF-8' }) : ok(text);
}

/** Lower-case hex. */
export function toHex(bytes: Bytes): string {
  return encodeHex(bytes);
}

/** Bytes of lower-case hex with an even number of digits. */
export function fromHex(text: string): Result<Bytes, TextError> {
  if (!HEX.test(text)) return err({ code: 'text.badHex', message: 'expected an even number of lower-case hex digits' });
  return ok(decodeHex(text));
}

/** Standard base64 with padding. */
export function toBase64(bytes: Bytes): string {
  return encodeBase64(bytes);
}

/** Bytes of padded standard base64; refuses everything that encoding would not have written, non-zero trailing bits included. */
export function fromBase64(text: string): Result<Bytes, TextError> {
  const refused: Result<Bytes, TextError> = err({
    code: 'text.badBase64',
    message: 'expected padded standard base64 in its one canonical form',
  });
  if (text.length % 4 !== 0 || !BASE64.test(text)) return refused;
  const bytes = decodeBase64(text);
  return encodeBase64(bytes) === text ? ok(bytes) : refused;
}

/** A non-negative decimal without sign, leading zero or separator; at most 80 digits. */
export function parseDecimal(text: string): Result<bigint, TextError> {
  if (text.length > MAX_DECIMAL_DIGITS || !DECIMAL.test(text)) {
    return err({ code: 'text.badDecimal', message: 'expected a decimal of at most 80 digits: 0, or digits that start with 1 to 9' });
  }
  return ok(BigInt(text));
}

/** All parts, one after another, in fresh memory. */
export function concatBytes(...parts: readonly Bytes[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** True when both hold the same octets. Not constant-time: for public values only. */
export function equalBytes(a: Bytes, b: Bytes): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Order by unsigned octets, a prefix first: negative, zero or positive. */
export function compareBytes(a: Bytes, b: Bytes): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
