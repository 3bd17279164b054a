/**
 * The strict reader of JSON that comes from outside, and the check of stored canonical bytes. Must never repair, coerce or choose between
 * duplicates: anything two readers could understand differently is refused. RFC 8259, PROTOCOL §1, MECHANICS part 2 (unsafe integers).
 */

import { decodeUtf8, encodeUtf8 } from '#crypto';
import { hasLoneSurrogate } from './bytes.ts';
import type { ParseError, ParseErrorCode } from './errors.ts';
import { canonicalText, type Json, MAX_DEPTH } from './json.ts';
import { isUnsafeInteger, JsonReader } from './reader.ts';
import { type Bytes, err, ok, type Result } from './result.ts';

/** What a caller may tighten or, for `numbers` and `maxBytes`, widen. */
export interface ParseLimits {
  /** Largest input in UTF-8 bytes; 4 MiB unless told. */
  readonly maxBytes?: number;
  /** Deepest nesting of containers; 64 unless told, and never more than 64. */
  readonly maxDepth?: number;
  /** `integers` (the default) refuses every fraction and exponent; `doubles` is for model arguments only. */
  readonly numbers?: 'integers' | 'doubles';
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
/** Sixteen digits are the fewest an unsafe integer has: only a text with such a run is walked. */
const LONG_DIGITS = /[0-9]{16}/;

/** Reads one JSON value, strictly; see {@link ParseErrorCode} for what is refused. */
export function parseJson(input: Bytes | string, limits: ParseLimits = {}): Result<Json, ParseError> {
  const text = textOf(input, limits.maxBytes ?? DEFAULT_MAX_BYTES);
  if (!text.ok) return text;
  const maxDepth = Math.min(limits.maxDepth ?? MAX_DEPTH, MAX_DEPTH);
  return new JsonReader(text.value, maxDepth, limits.numbers === 'doubles').read();
}

/**
 * Reads bytes that claim to be canonical, by JCS(JSON.parse(b)) = b: duplicates, white space, other spellings and unsafe integers cannot
 * survive it. Doubles are allowed, since stored arguments may hold them.
 */
export function parseCanonical(bytes: Bytes): Result<Json, ParseError> {
  const text = decodeUtf8(bytes);
  if (text === undefined) return refuse('json.badUtf8', 'the bytes are not valid UTF-8', 0);
  let value: Json;
  let canonical: string;
  try {
    value = JSON.parse(text) as Json; // JSON.parse returns nothing but JSON.
    canonical = canonicalText(value);
  } catch {
    // Not JSON, too deep or a lone surrogate: the strict reader says which and where.
    const reason = parseJson(text, { maxBytes: Number.MAX_SAFE_INTEGER, numbers: 'doubles' });
    return reason.ok ? refuse('json.notCanonical', 'the value has no canonical form', 0) : reason;
  }
  if (canonical !== text)
    return refuse('json.notCanonical', 'the bytes differ from the RFC 8785 form of their value', firstDifference(canonical, text));
  if (LONG_DIGITS.test(text) && holdsUnsafeInteger(value)) {
    return refuse('json.unsafeInteger', 'an integer lies beyond 2^53 - 1', text.search(LONG_DIGITS));
  }
  return ok(value);
}

function holdsUnsafeInteger(value: Json): boolean {
  if (typeof value === 'number') return isUnsafeInteger(value);
  if (value === null || typeof value !== 'object') return false;
  return Object.values(value).some(holdsUnsafeInteger);
}

function textOf(input: Bytes | string, maxBytes: number): Result<string, ParseError> {
  if (byteLengthExceeds(input, maxBytes)) return refuse('json.tooLarge', `the input is larger than ${maxBytes} bytes`, maxBytes);
  if (typeof input === 'string') {
    return hasLoneSurrogate(input)
      ? refuse('json.loneSurrogate', 'the text holds a lone surrogate', input.search(/\p{Surrogate}/u))
      : ok(input);
  }
  const text = decodeUtf8(input);
  return text === undefined ? refuse('json.badUtf8', 'the bytes are not valid UTF-8', 0) : ok(text);
}

/** A text is measured by its UTF-8 form, but encoded only when its length leaves the answer open. */
function byteLengthExceeds(input: Bytes | string, maxBytes: number): boolean {
  if (typeof input !== 'string' || input.length > maxBytes) return input.length > maxBytes;
  return input.length * 3 > maxBytes && encodeUtf8(input).length > maxBytes;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

function refuse(code: ParseErrorCode, message: string, offset: number): { readonly ok: false; readonly error: ParseError } {
  return err({ code, message, offset });
}
