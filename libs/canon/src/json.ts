/**
 * The writer of canonical JSON: RFC 8785 (JCS). Must never write two texts for one value, nor any text for a value that is not JSON.
 * Keys are sorted by UTF-16 code units here, in our own code, never in SQL or by locale. PROTOCOL §1.
 */

import { encodeUtf8 } from '#crypto';
import { hasLoneSurrogate } from './bytes.ts';
import { CanonError } from './errors.ts';
import type { Bytes } from './result.ts';

/** A JSON value. Objects are plain (own enumerable string keys); symbols and non-enumerable members are not part of it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Containers may nest this deep, on writing and on reading (PROTOCOL §1). */
export const MAX_DEPTH = 64;

/** Printable ASCII without `"` and `\`: such a text is its own JSON string body. */
const PLAIN_ASCII = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** Below this many keys an insertion sort beats Array.sort (TOOLCHAIN §5.4, hand-written 2). */
const INSERTION_SORT_KEYS = 24;
/** Quoted key texts worth remembering: keys of protocol objects repeat by the million. Bounded, so hostile keys cost nothing lasting. */
const KEY_CACHE_ENTRIES = 2048;
const KEY_CACHE_UNITS = 48;
const keyTexts = new Map<string, string>();

/**
 * The one RFC 8785 text of a value. Throws a {@link CanonError} for NaN and infinities, undefined (also as a member or in an array),
 * functions, symbols, bigints, objects that are not plain, lone surrogates and nesting over 64. `toJSON` is never called.
 */
export function canonicalText(value: Json): string {
  return write(value, 0);
}

/** UTF-8 of {@link canonicalText}; what is hashed, signed and stored. */
export function canonicalBytes(value: Json): Bytes {
  return encodeUtf8(write(value, 0));
}

/** `depth` counts the containers around `value`. Takes unknown because callers' types cannot be trusted at the edge of a signature. */
function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
      return writeNumber(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= MAX_DEPTH) throw new CanonError('canon.tooDeep', `containers nest deeper than ${MAX_DEPTH}`);
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    case 'undefined':
      throw new CanonError('canon.undefined', 'undefined has no JSON form; leave the member out');
    default:
      throw new CanonError('canon.notJson', `a ${typeof value} has no JSON form`);
  }
}

/** ECMAScript's own shortest form is the RFC's; -0 becomes 0. */
function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new CanonError('canon.notFinite', `${value} has no JSON form`);
  return `${value}`;
}

function writeArray(values: readonly unknown[], depth: number): string {
  if (values.length === 0) return '[]';
  let text = '[';
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ',';
    text += write(values[i], depth);
  }
  return `${text}]`;
}

function writeObject(value: object, depth: number): string {
  requirePlain(value);
  // Sound because value is a plain object and only own enumerable string keys are read.
  const members = value as Readonly<Record<string, unknown>>;
  const keys = sortedKeys(members);
  let text = '{';
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] ?? '';
    if (i > 0) text += ',';
    text += keyText(key) + write(members[key], depth);
  }
  return `${text}}`;
}

/** Plain: no prototype, or a root prototype (that of any realm), so that class instances, dates and maps are refused rather than emptied. */
function requirePlain(value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return;
  if (Object.getPrototypeOf(prototype) !== null) {
    throw new CanonError('canon.notPlainObject', 'only plain objects and arrays have a JSON form');
  }
}

function sortedKeys(members: Readonly<Record<string, unknown>>): string[] {
  const keys = Object.keys(members);
  if (keys.length > INSERTION_SORT_KEYS) return keys.sort();
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] ?? '';
    let at = i;
    for (; at > 0; at--) {
      const before = keys[at - 1] ?? '';
      if (before <= key) break;
      keys[at] = before;
    }
    if (at !== i) keys[at] = key;
  }
  return keys;
}

/** The quoted key with its colon. */
function keyText(key: string): string {
  const known = keyTexts.get(key);
  if (known !== undefined) return known;
  const text = `${quote(key)}:`;
  if (key.length <= KEY_CACHE_UNITS) {
    if (keyTexts.size >= KEY_CACHE_ENTRIES) keyTexts.clear();
    keyTexts.set(key, text);
  }
  return text;
}

/** A JSON string. JSON.stringify escapes exactly as RFC 8785 §3.2.2.2 demands, except that it hides lone surrogates. */
function quote(text: string): string {
  if (PLAIN_ASCII.test(text)) return `"${text}"`;
  if (hasLoneSurrogate(text)) throw new CanonError('canon.loneSurrogate', 'a string holds a lone surrogate; it has no UTF-8 form');
  return JSON.stringify(text);
}
