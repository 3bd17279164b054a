/**
 * The portable side of `#crypto`: SHA-256 and SHA-1 from @noble/hashes, byte codecs by hand. Must agree byte for byte with node.ts and
 * must use no global of any host. PROTOCOL §1.
 */

import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Bytes, HashStream } from '../result.ts';
import { decodeUtf8Portable, encodeUtf8Portable } from './utf8.ts';

/** RFC 4648 §4. */
const BASE64_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** SHA-256 as 32 bytes. */
export function sha256(bytes: Bytes): Bytes {
  return nobleSha256(bytes);
}

/** SHA-256 as 64 lower-case hex digits; a text is hashed as UTF-8 and must be well-formed. */
export function sha256Hex(data: Bytes | string): string {
  return bytesToHex(nobleSha256(typeof data === 'string' ? encodeUtf8Portable(data) : data));
}

/** SHA-256 of bytes that come in pieces. */
export function sha256Stream(): HashStream {
  const hashing = nobleSha256.create();
  return {
    update: (bytes) => void hashing.update(bytes),
    digest: () => hashing.digest(),
  };
}

/** SHA-1 as 40 lower-case hex digits. For git object names only, never for a proof. */
export function sha1Hex(bytes: Bytes): string {
  return bytesToHex(sha1(bytes));
}

/** UTF-8 bytes of a well-formed text. */
export function encodeUtf8(text: string): Bytes {
  return encodeUtf8Portable(text);
}

/** The text of valid UTF-8, a byte order mark included; undefined when the bytes are not valid. */
export function decodeUtf8(bytes: Bytes): string | undefined {
  return decodeUtf8Portable(bytes);
}

/** Lower-case hex. */
export function encodeHex(bytes: Bytes): string {
  return bytesToHex(bytes);
}

/** Bytes of an even number of hex digits; the caller has checked the alphabet. */
export function decodeHex(text: string): Bytes {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Standard base64 with padding. */
export function encodeBase64(bytes: Bytes): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64_ALPHABET.charAt(word >> 18) + BASE64_ALPHABET.charAt((word >> 12) & 63);
    text += left > 1 ? BASE64_ALPHABET.charAt((word >> 6) & 63) : '=';
    text += left > 2 ? BASE64_ALPHABET.charAt(word & 63) : '=';
  }
  return text;
}

/** Lenient decoding; strictness comes from the caller re-encoding and comparing. */
export function decodeBase64(text: string): Bytes {
  const digits = text.replace(/=+$/, '');
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  let word = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < digits.length; i++) {
    word = ((word << 6) | BASE64_ALPHABET.indexOf(digits.charAt(i))) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (word >> bits) & 0xff;
    }
  }
  return bytes;
}
