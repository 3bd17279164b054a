/**
 * Redaction before anything is hashed, written, judged or sent: known secrets first, shapes of common credentials second. Must never let a
 * secret through because of where a chunk ends, and never rewrites files of the tree (they are refused or withheld). SECURITY §5, PROTOCOL §2.
 */
import { createHmac } from 'node:crypto';
import type { Bytes } from '@openexec/canon';
import { KnownMatcher, type KnownSecret, SECRET_MAX_BYTES, SECRET_MIN_LENGTH } from './known.ts';

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
}

/** Characters a credential can go on with; used to swallow the rest of one that is too long to hold. */
const TOKEN_TAIL = /^[A-Za-z0-9_.-]*/;
const PEM_TAIL = /^(?:(?!-----END)[\sA-Za-z0-9+/=:,\\-])*/;
const PEM_CLOSE = /^-----END[A-Z0-9 ]{0,48}-----/;
interface Shape {
  readonly kind: string;
  readonly source: string;
}
/** Prefix shapes (no entropy rule: it shreds hashes and lockfiles). Sources: the vendors' published token formats. */
const SHAPES: readonly Shape[] = [
  {
    kind: 'pem',
    source: String.raw`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\sA-Za-z0-9+/=:,\\-])*(?:-----END[A-Z0-9 ]{0,48}-----)?`,
  },
  { kind: 'aws', source: String.raw`(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])` },
  { kind: 'github', source: String.raw`gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}` },
  { kind: 'anthropic', source: String.raw`sk-ant-[A-Za-z0-9_-]{20,255}` },
  {
    kind: 'openai',
    source: String.raw`(?<![A-Za-z0-9_-])sk-(?:proj-|svcacct-|admin-|or-)?[A-Za-z0-9_-]{0,100}[A-Za-z0-9]{20}[A-Za-z0-9_-]{0,200}`,
  },
  { kind: 'slack', source: String.raw`xox[abeoprs]-[A-Za-z0-9-]{10,250}` },
  { kind: 'stripe', source: String.raw`(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9+/=]{24,128}` },
  { kind: 'google', source: String.raw`AIza[0-9A-Za-z_-]{35}` },
  { kind: 'jwt', source: String.raw`eyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?` },
  { kind: 'npm', source: String.raw`npm_[A-Za-z0-9]{36}` },
  { kind: 'gitlab', source: String.raw`gl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_.-]{20,255}` },
  { kind: 'sendgrid', source: String.raw`SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}` },
  { kind: 'pypi', source: String.raw`pypi-[A-Za-z0-9_-]{50,255}` },
];
/** `NAME_TOKEN=value` lines of command output only; the value is what counts. */
const ASSIGNMENT: Shape = {
  kind: 'assignment',
  source: String.raw`(?<=(?:^|\n)(?:export )?[A-Z][A-Z0-9_]{0,60}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)[A-Z0-9_]{0,20}=["']?)[^\s"'\x60$]{12,512}`,
};
const ASSIGNMENT_ENTROPY = 3.5;
const MARKER = /\[redacted:[a-z0-9.-]{1,32}:[0-9a-f]{8}\]/;

/** SECURITY §5 "hold back the larger of 2 KiB and the longest registered secret"; open known values are held exactly, by the automaton. */
const HOLD = 2048;
const OPEN_MAX = 64 * 1024;
/** Work is done only when this much is new, so that tiny chunks do not rescan the held part each time. */
const STRIDE = 8192;

interface Find {
  start: number;
  end: number;
  readonly kind: string;
  readonly known: string | null;
}

/** Bits per character, over the characters of the text itself. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const c of text) counts.set(c, (counts.get(c) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
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
  const files = shapeFinder(SHAPES);
  const outputs = shapeFinder([...SHAPES, ASSIGNMENT]);

  /** All finds, merged where they overlap: a known value wins over a shape. */
  const findAll = (bytes: Buffer, text: string, shapes: ShapeFinder): { readonly finds: readonly Find[]; readonly openFrom: number } => {
    const scan = matcher.scan(bytes);
    const raw: Find[] = scan.hits.map((hit) => ({
      start: hit.start,
      end: hit.end,
      kind: hit.secret.kind,
      known: knownTags.get(hit.secret) ?? '',
    }));
    for (const find of shapes(text)) raw.push(find);
    return { finds: merge(raw), openFrom: scan.openFrom };
  };
  const marker = (find: Find, text: string): string => `[redacted:${find.kind}:${find.known ?? tagOf(text.slice(find.start, find.end))}]`;
  const redactLatin = (bytes: Buffer): Buffer => {
    const text = bytes.toString('latin1');
    const { finds } = findAll(bytes, text, outputs);
    return finds.length === 0 ? bytes : Buffer.from(replaceAll(text, finds, marker), 'latin1');
  };
  return {
    redactBytes: (bytes) => redactLatin(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    redactText: (text) => redactLatin(Buffer.from(text, 'utf8')).toString('utf8'),
    stream: () => new HoldBack((bytes, text) => findAll(bytes, text, outputs), marker),
    findSecrets: (bytes) => {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const text = buffer.toString('latin1');
      return findAll(buffer, text, files).finds.map((find) => ({
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

type ShapeFinder = (text: string) => readonly Find[];
function shapeFinder(shapes: readonly Shape[]): ShapeFinder {
  const pattern = new RegExp(shapes.map((shape) => `(${shape.source})`).join('|'), 'g');
  return (text) => {
    const finds: Find[] = [];
    for (const match of text.matchAll(pattern)) {
      const kind = shapes[match.findIndex((group, index) => index > 0 && group !== undefined) - 1]?.kind ?? 'secret';
      if (kind === ASSIGNMENT.kind && entropy(match[0]) < ASSIGNMENT_ENTROPY) continue;
      finds.push({ start: match.index, end: match.index + match[0].length, kind, known: null });
    }
    return finds;
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

type FindAll = (bytes: Buffer, text: string) => { readonly finds: readonly Find[]; readonly openFrom: number };

/** The hold-back buffer: the cut between what is handed out and what is kept never lies inside a find or what may become one. */
class HoldBack implements StreamRedactor {
  readonly #find: FindAll;
  readonly #marker: (find: Find, text: string) => string;
  #held: Buffer = Buffer.alloc(0);
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Set after a find too long to hold was replaced: its remaining characters are dropped. */
  #swallow: 'token' | 'pem' | null = null;

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
    const { finds, openFrom } = this.#find(bytes, text);
    let cut = hold === 0 ? bytes.length : Math.max(0, Math.min(bytes.length - hold, openFrom));
    // A find that touches the end may go on; one that spans the cut moves it.
    for (const find of finds) if (hold > 0 && find.end > cut && find.start < cut) cut = find.start;
    const last = finds.at(-1);
    const open = hold > 0 && last !== undefined && last.end === bytes.length && last.start <= cut;
    if (open) cut = last.start;
    if (hold > 0 && bytes.length - cut > OPEN_MAX + HOLD) {
      if (open) {
        this.#held = Buffer.alloc(0);
        this.#swallow = last.kind === 'pem' ? 'pem' : 'token';
        return Buffer.from(replaceAll(text, finds, this.#marker), 'latin1');
      }
      // Only filler can hold this much back without a find; the known value it may hide is longer than any output line.
      cut = bytes.length - HOLD;
      for (const find of finds) if (find.end > cut && find.start < cut) cut = find.start;
    }
    this.#held = Buffer.from(bytes.subarray(cut));
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
