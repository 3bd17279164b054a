/**
 * The Node side of `#crypto`: SHA-256, SHA-1 and byte codecs on node:crypto and Buffer. Must agree byte for byte with noble.ts; the same
 * vectors run on both (PROTOCOL §1). Must never be imported except through the `#crypto` condition.
 */

import { Buffer, isUtf8 } from 'node:buffer';
import { createHash, hash } from 'node:crypto';
import type { Bytes, HashStream } from '../result.ts';

/** Copies a 32-character latin1 digest; making a Buffer instead costs more than the hash itself (TOOLCHAIN §5.2). */
function bytesOfLatin1(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A Buffer over the same memory, without a copy. */
function viewOf(bytes: Bytes): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** SHA-256 as 32 bytes. */
export function sha256(bytes: Bytes): Bytes {
  return bytesOfLatin1(hash('sha256', bytes, 'binary'));
}

/** SHA-256 as 64 lower-case hex digits; a text is hashed as UTF-8 and must be well-formed. */
export function sha256Hex(data: Bytes | string): string {
  return hash('sha256', data, 'hex');
}

/** SHA-256 of bytes that come in pieces. */
export function sha256Stream(): HashStream {
  const hashing = createHash('sha256');
  return {
    update: (bytes) => void hashing.update(bytes),
    digest: () => new Uint8Array(hashing.digest()),
  };
}

/** SHA-1 as 40 lower-case hex digits. For git object names only, never for a proof. */
export function sha1Hex(bytes: Bytes): string {
  return hash('sha1', bytes, 'hex');
}

/** UTF-8 bytes of a well-formed text. */
export function encodeUtf8(text: string): Bytes {
  const view = Buffer.from(text, 'utf8');
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** The text of valid UTF-8, a byte order mark included; undefined when the bytes are not valid. */
export function decodeUtf8(bytes: Bytes): string | undefined {
  return isUtf8(bytes) ? viewOf(bytes).toString('utf8') : undefined;
}

/** Lower-case hex. */
export function encodeHex(bytes: Bytes): string {
  return viewOf(bytes).toString('hex');
}

/** Bytes of an even number of hex digits; the caller has checked the alphabet. */
export function decodeHex(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Standard base64 with padding. */
export function encodeBase64(bytes: Bytes): string {
  return viewOf(bytes).toString('base64');
}

/** Lenient decoding; strictness comes from the caller re-encoding and comparing. */
export function decodeBase64(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
