/**
 * Output of a command, bounded: redacted first, then counted, digested and cut. Must never keep more than head and tail however much is produced
 * (SECURITY §8.6: 256 KiB + 768 KiB a stream, 64 KiB a line; full digest and count always).
 */
import { createHash } from 'node:crypto';
import { type Bytes, digestFromBytes } from '@openexec/canon';
import type { StreamCapture } from '@openexec/catalogue';
import type { StreamRedactor } from './redaction.ts';

/** Bytes kept from the start of a stream: 256 KiB. */
export const HEAD_BYTES = 256 * 1024;
/** Bytes kept from the end of a stream: 768 KiB. */
export const TAIL_BYTES = 768 * 1024;
/** A longer line is cut here, in bytes, so that redaction needs bounded memory. */
export const LINE_BYTES = 64 * 1024;
const LINE_CUT = Buffer.from('[line cut]');

/** One stream's capture. Digest and count are those of the redacted stream: a secret must not be guessable from a digest (SECURITY §5). */
export class Capture {
  readonly #redactor: StreamRedactor;
  readonly #hash = createHash('sha256');
  readonly #head: Bytes[] = [];
  #headBytes = 0;
  #tail: Bytes[] = [];
  #tailBytes = 0;
  #bytes = 0;
  #line = 0;

  constructor(redactor: StreamRedactor) {
    this.#redactor = redactor;
  }

  push(chunk: Bytes): void {
    this.#take(this.#redactor.push(chunk));
  }

  finish(): StreamCapture {
    this.#take(this.#redactor.end());
    const tail = Buffer.concat(this.#tail);
    return {
      head: Buffer.concat(this.#head),
      tail: tail.subarray(Math.max(0, tail.length - TAIL_BYTES)),
      bytes: this.#bytes,
      digest: digestFromBytes(this.#hash.digest()),
    };
  }

  #take(bytes: Bytes): void {
    if (bytes.length === 0) return;
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    let from = 0;
    while (from < bytes.length) {
      const feed = bytes.indexOf(10, from);
      const end = feed < 0 ? bytes.length : feed + 1;
      const room = LINE_BYTES - this.#line;
      if (room > 0) this.#keep(bytes.subarray(from, Math.min(end, from + room)));
      if (room > 0 && end - from > room) this.#keep(LINE_CUT);
      this.#line += end - from;
      if (feed >= 0) {
        if (this.#line > LINE_BYTES) this.#keep(bytes.subarray(feed, end));
        this.#line = 0;
      }
      from = end;
    }
  }

  /** Copies: the chunk a slice belongs to may be far larger than what is kept of it. */
  #keep(part: Bytes): void {
    const toHead = part.subarray(0, Math.max(0, HEAD_BYTES - this.#headBytes));
    if (toHead.length > 0) {
      this.#head.push(toHead.slice());
      this.#headBytes += toHead.length;
    }
    const rest = part.subarray(toHead.length);
    if (rest.length === 0) return;
    this.#tail.push(Uint8Array.from(rest));
    this.#tailBytes += rest.length;
    // Compacted at twice the bound: amortised one copy a byte, and many short lines do not become many small objects.
    if (this.#tailBytes < TAIL_BYTES * 2 && this.#tail.length < 16_384) return;
    const joined = Buffer.concat(this.#tail);
    this.#tail = [Uint8Array.from(joined.subarray(Math.max(0, joined.length - TAIL_BYTES)))];
    this.#tailBytes = this.#tail[0]?.length ?? 0;
  }
}
