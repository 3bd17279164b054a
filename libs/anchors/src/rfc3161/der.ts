/**
 * DER, as much as a time stamp needs: strict reading (definite, minimal lengths; one-byte tags; nothing left over) and plain writing. Must never
 * guess: what is not DER is refused. ITU-T X.690 §10; RFC 3161.
 */
import { type Bytes, concatBytes, err, ok, type Result } from '@openexec/canon';

/** Tags by their whole first byte: class, constructed bit and number. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  octets: 0x04,
  null: 0x05,
  oid: 0x06,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
  context1: 0xa1,
  context3: 0xa3,
} as const;
const MAX_LENGTH_BYTES = 4;
const MAX_CHILDREN = 4096;
const LONG_TAG = 0x1f;

/** One value: its tag, its content, and all of its bytes. */
export interface Der {
  readonly tag: number;
  readonly content: Bytes;
  readonly whole: Bytes;
}

/** Why bytes are no DER, or not of the shape that was expected. */
export interface DerError {
  readonly code: 'der.malformed';
  readonly message: string;
}

/** Reads exactly one value. */
export function readDer(bytes: Bytes): Result<Der, DerError> {
  const first = next(bytes, 0);
  if (!first.ok) return first;
  return first.value.whole.length === bytes.length ? first : refuse('bytes are left behind the value');
}

/** The values inside a constructed one. */
export function childrenOf(value: Der): Result<readonly Der[], DerError> {
  const children: Der[] = [];
  for (let at = 0; at < value.content.length; ) {
    const child = next(value.content, at);
    if (!child.ok) return child;
    children.push(child.value);
    if (children.length > MAX_CHILDREN) return refuse('too many values');
    at += child.value.whole.length;
  }
  return ok(children);
}

/** The values inside, where the tag is `tag`. */
export function partsOf(value: Der | undefined, tag: number): Result<readonly Der[], DerError> {
  if (value?.tag !== tag) return refuse(`expected a value of tag ${tag}, not ${value?.tag ?? 'nothing'}`);
  return childrenOf(value);
}

/** An object identifier in dotted form; undefined for anything else. */
export function oidOf(value: Der | undefined): string | undefined {
  if (value?.tag !== TAG.oid || value.content.length === 0) return undefined;
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const [at, byte] of value.content.entries()) {
    if (arc === 0n && byte === 0x80) return undefined;
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if ((byte & 0x80) !== 0) {
      if (at === value.content.length - 1) return undefined;
      continue;
    }
    arcs.push(arc);
    arc = 0n;
  }
  const [joined = 0n, ...rest] = arcs;
  const first = joined < 80n ? joined / 40n : 2n;
  return [first, joined - first * 40n, ...rest].join('.');
}

/** A non-negative integer; undefined for anything else, also where its bytes are not the shortest. */
export function integerOf(value: Der | undefined): bigint | undefined {
  if (value?.tag !== TAG.integer) return undefined;
  const [first, second = 0] = value.content;
  if (first === undefined || first >= 0x80 || (first === 0 && value.content.length > 1 && second < 0x80)) return undefined;
  return value.content.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** A value of this tag around its parts. */
export function der(tag: number, ...parts: readonly Bytes[]): Bytes {
  const content = concatBytes(...parts);
  const { length } = content;
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), content);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return concatBytes(Uint8Array.of(tag, 0x80 | octets.length, ...octets), content);
}

/** A non-negative integer, in as few bytes as it takes. */
export function derInteger(value: bigint): Bytes {
  const octets: number[] = [];
  for (let rest = value; rest > 0n; rest >>= 8n) octets.unshift(Number(rest & 0xffn));
  if ((octets[0] ?? 0x80) >= 0x80) octets.unshift(0);
  return der(TAG.integer, Uint8Array.from(octets));
}

function next(bytes: Bytes, at: number): Result<Der, DerError> {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return refuse('a value ends in its header');
  if ((tag & LONG_TAG) === LONG_TAG) return refuse('tags of more than one byte are not used here');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0 || octets > MAX_LENGTH_BYTES) return refuse('a length is indefinite or too long');
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[start + i] ?? 0);
    if (length < 0x80 || length < 256 ** (octets - 1)) return refuse('a length is not in its shortest form');
    start += octets;
  }
  if (start + length > bytes.length) return refuse('a value is longer than what holds it');
  return ok({ tag, content: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) });
}

function refuse(message: string): { readonly ok: false; readonly error: DerError } {
  return err({ code: 'der.malformed', message });
}
