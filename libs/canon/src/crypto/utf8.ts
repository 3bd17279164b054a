/**
 * UTF-8 in plain code, for hosts without TextEncoder. Must refuse exactly what The Unicode Standard table 3-7 calls ill-formed: overlong
 * forms, surrogates, values over U+10FFFF, cut sequences. Used by the portable side of `#crypto` only.
 */

import type { Bytes } from '../result.ts';

/** Texts are joined from pieces of this many UTF-16 units, below the argument limit of every engine. */
const PIECE_UNITS = 4096;

/** UTF-8 bytes of a well-formed text. */
export function encodeUtf8Portable(text: string): Bytes {
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point >= 0xd800 && point < 0xdc00) point = 0x10000 + ((point - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
    if (point < 0x80) bytes[at++] = point;
    else if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >> 6);
      bytes[at++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      bytes[at++] = 0xe0 | (point >> 12);
      bytes[at++] = 0x80 | ((point >> 6) & 63);
      bytes[at++] = 0x80 | (point & 63);
    } else {
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 63);
      bytes[at++] = 0x80 | ((point >> 6) & 63);
      bytes[at++] = 0x80 | (point & 63);
    }
  }
  return bytes.slice(0, at);
}

/** Number of continuation bytes after `lead`, or -1 when no sequence starts with it. */
function continuationCount(lead: number): number {
  if (lead < 0x80) return 0;
  if (lead < 0xc2) return -1;
  if (lead < 0xe0) return 1;
  if (lead < 0xf0) return 2;
  return lead < 0xf5 ? 3 : -1;
}

/** Smallest code point that needs 0, 1, 2 or 3 continuation bytes: anything below is overlong. */
const SMALLEST = [0, 0x80, 0x800, 0x10000];

/** The code point that starts at `at`, or -1. */
function pointAt(bytes: Bytes, at: number, count: number): number {
  const lead = bytes[at] ?? 0;
  let point = count === 0 ? lead : lead & (0x3f >> count);
  for (let i = 1; i <= count; i++) {
    const next = bytes[at + i] ?? 0;
    if ((next & 0xc0) !== 0x80) return -1;
    point = (point << 6) | (next & 63);
  }
  const refused = point < (SMALLEST[count] ?? 0) || point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
  return refused ? -1 : point;
}

/** The text of valid UTF-8, a byte order mark included; undefined when the bytes are not valid. */
export function decodeUtf8Portable(bytes: Bytes): string | undefined {
  let text = '';
  let piece: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = continuationCount(bytes[at] ?? 0);
    const point = count < 0 ? -1 : pointAt(bytes, at, count);
    if (point < 0) return undefined;
    piece.push(point);
    at += count + 1;
    if (piece.length === PIECE_UNITS) {
      text += String.fromCodePoint(...piece);
      piece = [];
    }
  }
  return text + String.fromCodePoint(...piece);
}
