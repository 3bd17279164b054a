/**
 * Files that are no text, as git's binary patches hold them: a zlib stream in git's base 85 (git "Documentation/gitformat-patch", `base85.c`). The stream
 * is stored and not compressed, so that the bytes do not depend on anybody's deflate. RFC 1950, RFC 1951 §3.2.4.
 */
import { type Bytes, concatBytes, utf8Encode } from '@openexec/canon';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
/** Bytes of one line. */
const LINE_BYTES = 52;
/** Bytes of one stored block. */
const BLOCK_BYTES = 65_535;

/** One side of a binary patch: `literal`, its lines, and an empty line. */
export function literal(bytes: Bytes): Bytes {
  const stream = stored(bytes);
  const lines = [`literal ${bytes.length}\n`];
  for (let from = 0; from < stream.length; from += LINE_BYTES) lines.push(line(stream.subarray(from, from + LINE_BYTES)));
  lines.push('\n');
  return utf8Encode(lines.join(''));
}

function line(bytes: Bytes): string {
  const { length } = bytes;
  let text = String.fromCharCode(length <= 26 ? 64 + length : 70 + length);
  for (let from = 0; from < length; from += 4) {
    let word = 0;
    for (let at = from; at < from + 4; at += 1) word = word * 256 + (bytes[at] ?? 0);
    let digits = '';
    for (let digit = 0; digit < 5; digit += 1) {
      digits = (ALPHABET[word % 85] ?? '') + digits;
      word = Math.floor(word / 85);
    }
    text += digits;
  }
  return `${text}\n`;
}

function stored(bytes: Bytes): Bytes {
  const pieces: Bytes[] = [new Uint8Array([0x78, 0x01])];
  let from = 0;
  do {
    const block = bytes.subarray(from, from + BLOCK_BYTES);
    from += BLOCK_BYTES;
    const { length } = block;
    const last = from >= bytes.length ? 1 : 0;
    pieces.push(new Uint8Array([last, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255]), block);
  } while (from < bytes.length);
  const sum = adler32(bytes);
  pieces.push(new Uint8Array([sum >>> 24, (sum >>> 16) & 255, (sum >>> 8) & 255, sum & 255]));
  return concatBytes(...pieces);
}

/** RFC 1950 §8.2. */
function adler32(bytes: Bytes): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}
