/**
 * Canonical JSON in fewer bytes, and back to the very same ones: digests as what they are instead of as hex, words of the protocol by number. The columns
 * of entries and payloads are kept so, blobs deflated. Must never hand out more than a column may hold, nor judge: what cannot be unpacked is handed out
 * as it stands, for the hashes to find. PROTOCOL §2; GOALS §3 "growth".
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Bytes } from '@openexec/canon';
import { MAX_ROW_BLOB_BYTES } from './blobFiles.ts';
import { PACKED_WORDS } from './packedWords.ts';

/** The largest entry or payload (PROTOCOL §2): nothing longer is packed, and nothing is unpacked to more. */
const MAX_COLUMN_BYTES = 64 * 1024;

// First bytes of a column. Canonical JSON begins with neither: it has no control characters.
const PLAIN = 0x00;
const PACKED = 0x01;
// Codes within a packed column. JSON text holds none of them, and no byte that UTF-8 never uses.
const NAMED_DIGEST = 0x02; // "sha256:" and 64 digits of hex, as 32 bytes.
const RARE_WORD = 0x06; // Its number follows, less those of the common ones.
/** Lengths of hex text that is kept as bytes: digests, ids of keys and runs, object names of git. */
const HEX_CODES: readonly (readonly [code: number, digits: number])[] = [
  [0x03, 64],
  [0x04, 40],
  [0x05, 32],
];
const COMMON_WORDS: readonly number[] = [...range(0x07, 0x1f), 0xc0, 0xc1, ...range(0xf5, 0xff)];
const MOST_HEX = 64;
const NAME = textBytes('sha256:');
const WORDS: readonly Bytes[] = PACKED_WORDS.map(textBytes);

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

function textBytes(text: string): Bytes {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** By byte: the digit of lower-case hex that it is, -1 for none. */
const DIGIT = new Int8Array(256).fill(-1);
/** By byte: its two digits of hex. */
const HIGH = new Uint8Array(256);
const LOW = new Uint8Array(256);
for (let digit = 0; digit < 16; digit++) DIGIT['0123456789abcdef'.charCodeAt(digit)] = digit;
for (let byte = 0; byte < 256; byte++)
  [HIGH[byte] = 0, LOW[byte] = 0] = [...byte.toString(16).padStart(2, '0')].map((c) => c.charCodeAt(0));

/** By byte: whether it is a code, so that text that holds it cannot be packed. */
const IS_CODE = new Uint8Array(256).fill(1, 0, 0x20);
for (const code of COMMON_WORDS) IS_CODE[code] = 1;
/** By code: the length of the hex text that it stands for. */
const HEX_OF = new Uint8Array(256);
const CODE_OF = new Uint8Array(MOST_HEX + 1);
for (const [code, digits] of HEX_CODES) [HEX_OF[code], CODE_OF[digits]] = [digits, code];
/** By code: the common word. */
const COMMON: readonly (Bytes | undefined)[] = range(0, 255).map((code) => {
  const at = COMMON_WORDS.indexOf(code);
  return at < 0 ? undefined : WORDS[at];
});

/** The words as a tree of 7-bit bytes: `next[node * 128 + byte]` is the node behind, 0 where there is none; `wordAt[node]` the word that ends there. */
const { next: NEXT, wordAt: WORD_AT } = treeOfWords();

function treeOfWords(): { readonly next: Uint16Array; readonly wordAt: Int16Array } {
  const most = 1 + WORDS.reduce((sum, word) => sum + word.length, 0);
  const next = new Uint16Array(most * 128);
  const wordAt = new Int16Array(most).fill(-1);
  let nodes = 1;
  for (const [number, word] of WORDS.entries()) {
    let node = 0;
    for (const byte of word) node = next[node * 128 + byte] ||= nodes++;
    wordAt[node] = number;
  }
  return { next, wordAt };
}

/** One packing at a time: what is packed is shorter than what it is made of. */
const scratch = new Uint8Array(2 * MAX_COLUMN_BYTES);

/** An entry or a payload as its column keeps it. */
export function packed(bytes: Bytes): Bytes {
  const length = bytes.length > MAX_COLUMN_BYTES ? 0 : pack(bytes);
  if (length > 0 && length < bytes.length) return scratch.slice(0, length);
  const first = bytes[0];
  return first === PLAIN || first === PACKED ? Uint8Array.of(PLAIN, ...bytes) : bytes;
}

/** Into the scratch; answers the length, 0 where the bytes cannot be packed. */
function pack(bytes: Bytes): number {
  const { length } = bytes;
  let to = 0;
  scratch[to++] = PACKED;
  for (let at = 0; at < length; ) {
    const byte = bytes[at] ?? 0;
    if (IS_CODE[byte] === 1) return 0;
    // Digests begin a text, or follow the name of their algorithm or of a trajectory: hex elsewhere is left to what it is.
    if ((DIGIT[byte] ?? -1) >= 0) {
      const digits = afterMark(bytes, at) ? hexAt(bytes, at) : 0;
      const code = CODE_OF[digits] ?? 0;
      if (code !== 0) {
        const named = digits === MOST_HEX && isNamed(bytes, at);
        if (named) to -= NAME.length;
        scratch[to++] = named ? NAMED_DIGEST : code;
        for (const end = at + digits; at < end; at += 2)
          scratch[to++] = ((DIGIT[bytes[at] ?? 0] ?? 0) << 4) | (DIGIT[bytes[at + 1] ?? 0] ?? 0);
        continue;
      }
    } else {
      const found = wordFrom(bytes, at);
      if (found >= 0) {
        const common = COMMON_WORDS[found];
        if (common === undefined) {
          scratch[to++] = RARE_WORD;
          scratch[to++] = found - COMMON_WORDS.length;
        } else scratch[to++] = common;
        at += WORDS[found]?.length ?? 0;
        continue;
      }
    }
    scratch[to++] = byte;
    at++;
  }
  return to;
}

/** Whether what stands before is `"`, `:` or `/`. */
function afterMark(bytes: Bytes, at: number): boolean {
  const before = bytes[at - 1];
  return before === 0x22 || before === 0x3a || before === 0x2f;
}

/** Digits of hex from there on; one more than any code stands for where there are more. */
function hexAt(bytes: Bytes, from: number): number {
  const most = Math.min(bytes.length, from + MOST_HEX + 1);
  let at = from + 1;
  while (at < most && (DIGIT[bytes[at] ?? 0] ?? -1) >= 0) at++;
  return at - from;
}

/** Whether the name of the algorithm stands before. No word holds or ends with a part of it, so it went into the scratch letter by letter. */
function isNamed(bytes: Bytes, at: number): boolean {
  const start = at - NAME.length;
  return start >= 0 && NAME.every((byte, offset) => bytes[start + offset] === byte);
}

/** The number of the longest word that begins there, -1 for none. */
function wordFrom(bytes: Bytes, from: number): number {
  let found = -1;
  for (let at = from, node = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    node = byte < 128 ? (NEXT[node * 128 + byte] ?? 0) : 0;
    if (node === 0) break;
    const word = WORD_AT[node] ?? -1;
    if (word >= 0) found = word;
  }
  return found;
}

/** An entry or a payload out of its column: the very bytes that were kept. What is no packing comes back as it is. */
export function unpacked(column: Bytes): Bytes {
  if (column[0] === PLAIN) return column.subarray(1);
  if (column[0] !== PACKED) return column;
  const length = unpack(column);
  return length < 0 ? column : scratch.slice(0, length);
}

/** Into the scratch; answers the length, -1 where it is no packing, or one of more than a column may hold. */
function unpack(column: Bytes): number {
  const { length } = column;
  let to = 0;
  for (let at = 1; at < length; ) {
    if (to > MAX_COLUMN_BYTES) return -1;
    const code = column[at++] ?? 0;
    if (IS_CODE[code] === 0) {
      scratch[to++] = code;
      continue;
    }
    const digits = code === NAMED_DIGEST ? MOST_HEX : (HEX_OF[code] ?? 0);
    if (digits > 0) {
      if (at + digits / 2 > length) return -1;
      if (code === NAMED_DIGEST) for (const byte of NAME) scratch[to++] = byte;
      for (const end = at + digits / 2; at < end; at++) {
        const byte = column[at] ?? 0;
        scratch[to++] = HIGH[byte] ?? 0;
        scratch[to++] = LOW[byte] ?? 0;
      }
      continue;
    }
    const word = code === RARE_WORD ? WORDS[COMMON_WORDS.length + (column[at++] ?? WORDS.length)] : COMMON[code];
    if (word === undefined) return -1;
    for (let from = 0; from < word.length; from++) scratch[to++] = word[from] ?? 0;
  }
  return to > MAX_COLUMN_BYTES ? -1 : to;
}

/** Shorter blobs gain less than the time is worth. */
const LEAST_DEFLATED_BYTES = 512;

/** A blob as its row keeps it: deflated where that is shorter. Which it is shows in its length. */
export function deflated(bytes: Bytes): Bytes {
  if (bytes.length < LEAST_DEFLATED_BYTES) return bytes;
  const shorter = deflateRawSync(bytes, { level: 1 });
  return shorter.length < bytes.length ? shorter : bytes;
}

/** A blob of `length` bytes out of its row. What is not that comes back as it is, for its digest to find; never more than a row may hold. */
export function inflated(column: Bytes, length: number): Bytes {
  if (column.length >= length || length > MAX_ROW_BLOB_BYTES) return column;
  try {
    return new Uint8Array(inflateRawSync(column, { maxOutputLength: length }));
  } catch {
    // Zlib's one way to say that this was never deflated, or to more than it should be.
    return column;
  }
}
