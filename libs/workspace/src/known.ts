/**
 * Finds secrets whose value the runtime knows, in six encodings and across line wraps, terminal colours and zero-width characters. One pass of an
 * Aho–Corasick automaton that simply does not see such filler, and one over the text with its escapes undone. Must never print or keep a value
 * outside this memory (SECURITY §5, A85).
 */
import { isOrdinary, unescaped, unescapedValue } from './unescape.ts';

/** A secret held or injected by the runtime; `kind` shows in markers, `value` never does. */
export interface KnownSecret {
  readonly kind: string;
  readonly value: string;
}
/** A secret found, as a half-open range of the scanned text. */
export interface KnownHit {
  readonly start: number;
  readonly end: number;
  readonly secret: KnownSecret;
}
/** One pass over a text: what was found, and from where on the next chunk may complete something. */
export interface KnownScan {
  readonly hits: readonly KnownHit[];
  /** Where the text that could still become a secret begins; the length of the input where nothing is open. */
  readonly openFrom: number;
  /** A value of which so much stands at the end that it counts although it is cut off there; null otherwise. */
  readonly cutOff: KnownHit | null;
}

/** Shorter values occur by chance and would shred ordinary output. */
export const SECRET_MIN_LENGTH = 8;
/** The stable middle of a Base64 rendering must be at least this long to count. */
const BASE64_MIN = 10;
/** Percent-encoding of every byte is only worth its states for values of ordinary length. */
const PERCENT_MAX = 256;
/** SECURITY §9 A83: this many characters of a secret are a leak, also where its writer was stopped in the middle of it. */
const PART_MIN = 12;
const ROOT = 0;

/** Byte strings (latin1) under which a value may appear. */
function renderings(value: string): readonly string[] {
  const bytes = Buffer.from(value, 'utf8');
  const all = new Set<string>([bytes.toString('latin1'), bytes.toString('hex'), bytes.toString('hex').toUpperCase()]);
  all.add(Buffer.from(unescapedValue(value)).toString('latin1'));
  for (const text of [
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    JSON.stringify(value).slice(1, -1).replaceAll('/', '\\/'),
  ])
    all.add(Buffer.from(text, 'utf8').toString('latin1'));
  if (bytes.length <= PERCENT_MAX) {
    all.add([...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
    all.add([...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`).join(''));
  }
  // Inside longer Base64 the value may begin at any of three offsets; characters shared with neighbours are left off.
  for (let offset = 0; offset < 3; offset += 1) {
    const padded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const first = offset === 0 ? 0 : offset + 1;
    const stable = (bytes.length + offset) % 3 === 0 ? padded.slice(first) : padded.slice(first, -1);
    if (stable.length < BASE64_MIN) continue;
    all.add(stable);
    all.add(stable.replaceAll('+', '-').replaceAll('/', '_'));
  }
  // What the scan does not see must not be asked for: a value of several lines is looked for without its line breaks.
  return [...all].map((text) => text.replace(/[\n\r\b\0]/g, ''));
}

/** The automaton over all renderings of all secrets. */
export class KnownMatcher {
  readonly #next: Int32Array;
  readonly #depth: Int32Array;
  readonly #ends: (KnownSecret | null)[];
  /** Whose value each state is a beginning of. */
  readonly #owners: (KnownSecret | null)[];
  readonly #empty: boolean;
  readonly #ordinary: boolean;

  constructor(secrets: readonly KnownSecret[]) {
    this.#ordinary = secrets.every((secret) => isOrdinary(secret.value));
    const words = secrets.flatMap((secret) => renderings(secret.value).map((text) => ({ text, secret })));
    const states = 1 + words.reduce((sum, word) => sum + word.text.length, 0);
    this.#empty = words.length === 0;
    this.#next = new Int32Array(states * 256).fill(-1);
    this.#depth = new Int32Array(states);
    this.#ends = Array.from<KnownSecret | null>({ length: states }).fill(null);
    this.#owners = Array.from<KnownSecret | null>({ length: states }).fill(null);
    let used = 1;
    for (const { text, secret } of words) {
      let state = ROOT;
      for (let at = 0; at < text.length; at += 1) {
        const slot = state * 256 + text.charCodeAt(at);
        if (this.#next[slot] === -1) {
          this.#next[slot] = used;
          this.#depth[used] = at + 1;
          this.#owners[used] = secret;
          used += 1;
        }
        state = this.#next[slot] ?? ROOT;
      }
      this.#ends[state] ??= secret;
    }
    this.#link(used);
  }

  /** Turns the trie into a complete automaton: a missing edge goes where the longest proper suffix would go. */
  #link(used: number): void {
    const fail = new Int32Array(used);
    const queue: number[] = [ROOT];
    for (let head = 0; head < queue.length; head += 1) {
      const state = queue[head] ?? ROOT;
      for (let byte = 0; byte < 256; byte += 1) {
        const slot = state * 256 + byte;
        const child = this.#next[slot] ?? -1;
        const onward = state === ROOT ? ROOT : (this.#next[(fail[state] ?? ROOT) * 256 + byte] ?? ROOT);
        if (child === -1) this.#next[slot] = onward;
        else {
          fail[child] = onward;
          this.#ends[child] ??= this.#ends[onward] ?? null;
          queue.push(child);
        }
      }
    }
  }

  /** All hits in the bytes as they are and with their escapes undone, merged by nothing: they may overlap. `text` is the bytes as latin1. */
  scan(bytes: Uint8Array, text: string): KnownScan {
    if (this.#empty) return { hits: [], openFrom: bytes.length, cutOff: null };
    const asWritten = this.#pass(bytes);
    const view = unescaped(text, this.#ordinary);
    if (view === null) return asWritten;
    const place = (index: number): number => view.at[index] ?? bytes.length;
    // An escape that the input cuts off may still become the next character of a value.
    const inView = this.#pass(view.bytes.subarray(0, view.bytes.length - cutEscape(text)));
    return {
      hits: [...asWritten.hits, ...inView.hits.map((hit) => ({ ...hit, start: place(hit.start), end: place(hit.end) }))],
      openFrom: Math.min(asWritten.openFrom, place(inView.openFrom)),
      cutOff:
        asWritten.cutOff ?? (inView.cutOff === null ? null : { ...inView.cutOff, start: place(inView.cutOff.start), end: bytes.length }),
    };
  }

  /** Filler inside a value is part of its hit. Where a word ends inside another, its start is taken from the deeper one: a hit may cover a little more. */
  #pass(bytes: Uint8Array): KnownScan {
    const hits: KnownHit[] = [];
    const next = this.#next;
    // Where the last bytes that count stood: a ring as long as the longest word.
    const ring = new Int32Array(RING);
    let state = ROOT;
    let counted = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte < 0x20 || byte >= 0xc2) {
        const skip = fillerLength(bytes, at, byte);
        if (skip > 0) {
          at += skip - 1;
          continue;
        }
      }
      state = next[state * 256 + byte] ?? ROOT;
      if (state === ROOT) continue;
      // From the root on every byte is remembered: depth never exceeds what was counted since.
      ring[counted % RING] = at;
      counted += 1;
      const secret = this.#ends[state] ?? null;
      if (secret !== null) hits.push({ start: ring[(counted - (this.#depth[state] ?? 1) + RING) % RING] ?? at, end: at + 1, secret });
    }
    const depth = Math.min(this.#depth[state] ?? 0, RING);
    const openFrom = depth === 0 ? bytes.length : (ring[(counted - depth + RING) % RING] ?? bytes.length);
    const owner = this.#owners[state] ?? null;
    const cutOff = owner === null || depth < PART_MIN ? null : { start: openFrom, end: bytes.length, secret: owner };
    return { hits, openFrom, cutOff };
  }
}

const CUT_ESCAPE_MAX = 64;
/** How many bytes at the end of the view belong to an escape that is not complete. */
function cutEscape(text: string): number {
  const cut = /(?:\\+(u[0-9a-f]{0,3}|x[0-9a-f]?)?|%[0-9a-f]?|&#?x?[0-9a-z]{0,7})$/i.exec(text.slice(-CUT_ESCAPE_MAX));
  if (cut === null) return 0;
  return cut[0].startsWith('\\') ? 1 + (cut[1]?.length ?? 0) : cut[0].length;
}

/** Longer than any rendering, so that the start of every hit is exact. */
const RING = 16_384;
/** Longer values are refused when registered: each byte of a rendering costs a state of 1 KiB. A private key of 2,048 bits fits. */
export const SECRET_MAX_BYTES = 2_048;

/**
 * Length of filler at `at`: line breaks, terminal sequences (CSI, OSC, two-byte escapes) and zero-width characters; 0 where there is none.
 * An escape sequence that the input cuts off counts as filler up to the end.
 */
function fillerLength(bytes: Uint8Array, at: number, byte: number): number {
  if (byte === 0x0a || byte === 0x0d || byte === 0x08 || byte === 0x00) return 1;
  if (byte === 0x1b) return escapeLength(bytes, at);
  const second = bytes[at + 1];
  const third = bytes[at + 2];
  if (byte === 0xc2 && second === 0xad) return 2;
  if (byte === 0xe2 && second === 0x80 && third !== undefined && ((third >= 0x8b && third <= 0x8f) || (third >= 0xaa && third <= 0xae)))
    return 3;
  if (byte === 0xe2 && second === 0x81 && third !== undefined && third >= 0xa0 && third <= 0xaf) return 3;
  if (byte === 0xef && second === 0xbb && third === 0xbf) return 3;
  return 0;
}

const ESCAPE_MAX = 256;
function escapeLength(bytes: Uint8Array, at: number): number {
  const kind = bytes[at + 1];
  const end = Math.min(bytes.length, at + ESCAPE_MAX);
  if (kind === 0x5b) {
    for (let to = at + 2; to < end; to += 1) {
      const byte = bytes[to] ?? 0;
      if (byte >= 0x40 && byte <= 0x7e) return to - at + 1;
    }
    return end - at;
  }
  if (kind === 0x5d) {
    for (let to = at + 2; to < end; to += 1) {
      if (bytes[to] === 0x07) return to - at + 1;
      if (bytes[to] === 0x1b && bytes[to + 1] === 0x5c) return to - at + 2;
    }
    return end - at;
  }
  return kind === undefined ? 1 : 2;
}
