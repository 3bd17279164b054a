/**
 * Redaction before anything is hashed, written, judged or sent: known secrets first, shapes of common credentials second. Must never let a
 * secret through because of where a chunk ends, and never rewrites files of the tree (they are refused or withheld). SECURITY §5, PROTOCOL §2.
 */
import { createHmac } from 'node:crypto';
import type { Bytes } from '@openexec/canon';
import { KnownMatcher, type KnownSecret, SECRET_MAX_BYTES, SECRET_MIN_LENGTH } from './known.ts';
import type { SecondOpinion } from './secondOpinion.ts';
import { acrossBorders, findInOutput, findShapes, type ShapeHit } from './shapes.ts';

/** One find. `tag` correlates equal secrets of one installation without telling them. */
export interface SecretHit {
  readonly known: boolean;
  readonly kind: string;
  readonly tag: string;
  readonly start: number;
  readonly end: number;
}
/** Redacts a stream of chunks; nothing that could still become a secret is handed out before it is decided. */
export interface StreamRedactor {
  push(chunk: Bytes): Bytes;
  end(): Bytes;
}
/** Takes secrets out before anything is digested, kept or shown; the same secret gives the same marker throughout an installation. */
export interface Redactor {
  redactBytes(bytes: Bytes): Bytes;
  redactText(text: string): string;
  stream(): StreamRedactor;
  /** Finds in file contents: a known secret fails the action, a pattern withholds the blob. */
  findSecrets(bytes: Bytes): readonly SecretHit[];
  /** True where a marker of any redaction stands: a patch that carries one would write it into a file. */
  containsMarker(text: string): boolean;
}
/** What one installation knows to be secret, and the key that its markers are tagged with. */
export interface RedactorOptions {
  readonly secrets: readonly KnownSecret[];
  /** Per-install key of the tags; at least 16 bytes. */
  readonly tagKey: Bytes;
  /**
   * Looked at after our own rules, on what is there in one piece: files, kept output, answers. Not on streams, which end in a piece that is looked at.
   */
  readonly second?: SecondOpinion;
}

/** Characters a credential can go on with; used to swallow the rest of one that is too long to hold. */
const TOKEN_TAIL = /^[A-Za-z0-9_.-]*/;
const PEM_TAIL = /^(?:(?!-----END)[\sA-Za-z0-9+/=:,\\-])*/;
const PEM_CLOSE = /^-----END[A-Z0-9 ]{0,48}-----/;
const MARKER = /\[redacted:[a-z0-9.-]{1,32}:[0-9a-f]{8}\]/;

/** SECURITY §5 "hold back the larger of 2 KiB and the longest registered secret"; open known values are held exactly, by the automaton. */
const HOLD = 2048;
const OPEN_MAX = 64 * 1024;
/** Work is done only when this much is new, so that tiny chunks do not rescan the held part each time. */
const STRIDE = 8192;

const LINE_FEED = 10;

interface Find {
  /** Where what makes it a find begins: an assignment's name stands before the value that is replaced. */
  from: number;
  start: number;
  end: number;
  readonly kind: string;
  readonly known: string | null;
}

/** Makes the redactor of one installation. A value too short to be told from ordinary text is a broken configuration and throws. */
export function createRedactor(options: RedactorOptions): Redactor {
  if (options.tagKey.length < 16) throw new Error('the key of redaction tags needs at least 16 bytes');
  for (const { kind, value } of options.secrets) {
    const bytes = Buffer.byteLength(value);
    if (bytes < SECRET_MIN_LENGTH || bytes > SECRET_MAX_BYTES)
      throw new Error(`secret "${kind}" has ${bytes} bytes; ${SECRET_MIN_LENGTH} to ${SECRET_MAX_BYTES} can be recognised`);
    if (!/^[a-z0-9.-]{1,32}$/.test(kind)) throw new Error('the kind of a secret is 1 to 32 characters of a-z, 0-9, dot and hyphen');
  }
  const matcher = new KnownMatcher(options.secrets);
  const tagOf = (value: string): string => createHmac('sha256', options.tagKey).update(value, 'latin1').digest('hex').slice(0, 8);
  const knownTags = new Map(options.secrets.map((secret) => [secret, tagOf(Buffer.from(secret.value, 'utf8').toString('latin1'))]));
  const { second } = options;

  /** All finds, merged where they overlap: a known value wins over a shape, our own shapes over the second opinion. */
  const findAll: FindAll = (bytes, text, shapes, ended) => {
    const scan = matcher.scan(bytes, text);
    const known = ended && scan.cutOff !== null ? [...scan.hits, scan.cutOff] : scan.hits;
    const raw: Find[] = known.map((hit) => ({
      from: hit.start,
      start: hit.start,
      end: hit.end,
      kind: hit.secret.kind,
      known: knownTags.get(hit.secret) ?? '',
    }));
    for (const { start, end, kind, from = start } of shapes) raw.push({ from, start, end, kind, known: null });
    return { finds: merge(raw), openFrom: scan.openFrom };
  };
  const whole = (text: string, own: readonly ShapeHit[]): readonly ShapeHit[] =>
    second === undefined ? own : [...own, ...acrossBorders(text, second)];
  const marker = (find: Find, text: string): string => `[redacted:${find.kind}:${find.known ?? tagOf(text.slice(find.start, find.end))}]`;
  const redactLatin = (bytes: Buffer): Buffer => {
    const text = bytes.toString('latin1');
    const { finds } = findAll(bytes, text, whole(text, findInOutput(text, true)), true);
    return finds.length === 0 ? bytes : Buffer.from(replaceAll(text, finds, marker), 'latin1');
  };
  return {
    redactBytes: (bytes) => redactLatin(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    redactText: (text) => redactLatin(Buffer.from(text, 'utf8')).toString('utf8'),
    stream: () => new HoldBack(findAll, marker),
    findSecrets: (bytes) => {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const text = buffer.toString('latin1');
      return findAll(buffer, text, whole(text, findShapes(text)), false).finds.map((find) => ({
        known: find.known !== null,
        kind: find.kind,
        tag: find.known ?? tagOf(text.slice(find.start, find.end)),
        start: find.start,
        end: find.end,
      }));
    },
    containsMarker: (text) => MARKER.test(text),
  };
}

function merge(finds: Find[]): readonly Find[] {
  finds.sort((a, b) => a.start - b.start || b.end - a.end);
  const merged: Find[] = [];
  for (const find of finds) {
    const last = merged.at(-1);
    if (last === undefined || find.start >= last.end) merged.push({ ...find });
    else {
      last.end = Math.max(last.end, find.end);
      last.from = Math.min(last.from, find.from);
      if (last.known === null && find.known !== null) merged[merged.length - 1] = { ...last, kind: find.kind, known: find.known };
    }
  }
  return merged;
}

function replaceAll(text: string, finds: readonly Find[], marker: (find: Find, text: string) => string): string {
  let out = '';
  let from = 0;
  for (const find of finds) {
    out += text.slice(from, find.start) + marker(find, text);
    from = find.end;
  }
  return out + text.slice(from);
}

type FindAll = (
  bytes: Buffer,
  text: string,
  shapes: readonly ShapeHit[],
  ended: boolean,
) => { readonly finds: readonly Find[]; readonly openFrom: number };

/** The hold-back buffer: the cut between what is handed out and what is kept never lies inside a find or what may become one. */
class HoldBack implements StreamRedactor {
  readonly #find: FindAll;
  readonly #marker: (find: Find, text: string) => string;
  #held: Buffer = Buffer.alloc(0);
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Set after a find too long to hold was replaced: its remaining characters are dropped. */
  #swallow: 'token' | 'pem' | null = null;
  /** Whether what is held begins a line: assignments are told by it. */
  #atLineStart = true;

  constructor(find: FindAll, marker: (find: Find, text: string) => string) {
    this.#find = find;
    this.#marker = marker;
  }

  push(chunk: Bytes): Bytes {
    this.#waiting.push(Buffer.from(chunk));
    this.#waitingBytes += chunk.length;
    return this.#waitingBytes < STRIDE ? Buffer.alloc(0) : this.#emit(HOLD);
  }

  end(): Bytes {
    return this.#emit(0);
  }

  #emit(hold: number): Buffer {
    let bytes = Buffer.concat([this.#held, ...this.#waiting]);
    this.#waiting = [];
    this.#waitingBytes = 0;
    bytes = bytes.subarray(this.#swallowed(bytes));
    const text = bytes.toString('latin1');
    const { finds, openFrom } = this.#find(bytes, text, findInOutput(text, this.#atLineStart), hold === 0);
    let cut = hold === 0 ? bytes.length : Math.max(0, Math.min(bytes.length - hold, openFrom));
    // A find that touches the end may go on; one that spans the cut moves it.
    for (const find of finds) if (hold > 0 && find.end > cut && find.from < cut) cut = find.from;
    const last = finds.at(-1);
    const open = hold > 0 && last !== undefined && last.end === bytes.length && last.from <= cut;
    if (open) cut = last.from;
    if (hold > 0 && bytes.length - cut > OPEN_MAX + HOLD) {
      if (open) {
        this.#held = Buffer.alloc(0);
        this.#atLineStart = false;
        this.#swallow = last.kind === 'pem' ? 'pem' : 'token';
        return Buffer.from(replaceAll(text, finds, this.#marker), 'latin1');
      }
      // Only filler can hold this much back without a find; the known value it may hide is longer than any output line.
      cut = bytes.length - HOLD;
      for (const find of finds) if (find.end > cut && find.from < cut) cut = find.from;
    }
    this.#held = Buffer.from(bytes.subarray(cut));
    if (cut > 0) this.#atLineStart = bytes[cut - 1] === LINE_FEED;
    const done = finds.filter((find) => find.end <= cut);
    return Buffer.from(replaceAll(text.slice(0, cut), done, this.#marker), 'latin1');
  }

  /** How many leading bytes belong to the find that was already replaced. */
  #swallowed(bytes: Buffer): number {
    if (this.#swallow === null || bytes.length === 0) return 0;
    const text = bytes.toString('latin1');
    if (this.#swallow === 'token') {
      const rest = TOKEN_TAIL.exec(text)?.[0].length ?? 0;
      if (rest < bytes.length) this.#swallow = null;
      return rest;
    }
    const rest = PEM_TAIL.exec(text)?.[0].length ?? 0;
    if (rest === bytes.length) return rest;
    this.#swallow = null;
    return rest + (PEM_CLOSE.exec(text.slice(rest))?.[0].length ?? 0);
  }
}
