/**
 * The entries of a bundle, one line after another: each in its one spelling, in its place in the tree, in order; what they name is gathered on the
 * way. Streams; memory grows with the blobs and trajectories that they name. PROTOCOL §§10, 11.
 */
import { type Bytes, type Digest, digestOf, equalBytes, parseCanonical, utf8Encode } from '@openexec/canon';
import { decodeEntry, type Entry, linesOf, mentionedIn, type Row } from '@openexec/ledger/codec';
import { leafHash, TileBuilder, type TileFile } from '@openexec/proof';
import { eachBlobRef } from '../blobRefs.ts';
import type { LedgerVerification } from '../verify.ts';
import type { Findings } from './findings.ts';
import {
  type BundleDescription,
  type BundleFaultCode,
  DESCRIPTION,
  EVENTS,
  formatEvent,
  MAX_EVENT_LINE_BYTES,
  mayWithhold,
  parseEvent,
} from './format.ts';
import type { HashTiles } from './hashTiles.ts';
import { RunEnds } from './runEnds.ts';
import type { BundlePart } from './source.ts';

const PROGRESS_ENTRIES = 256;

/** A line that ends the reading: nothing behind it can be placed. */
class EventsFault extends Error {
  readonly code: BundleFaultCode;

  constructor(code: BundleFaultCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A trajectory's last entry in the bundle. */
export interface TrajectoryEnd {
  readonly index: number;
  readonly leaf: Bytes;
}
/** One pass over `events.jsonl`. */
export class EventsPass {
  readonly ends = new Map<string, TrajectoryEnd>();
  readonly runs = new RunEnds();
  /** Each blob with the first entry that names it. */
  readonly blobs = new Map<Digest, number>();
  /** Every digest that a payload mentions, in whatever way. */
  readonly mentioned = new Set<Digest>();
  entries = 0;
  /** Digests of the tiles that a whole ledger must have, by path; empty for a part of one. */
  readonly tiles = new Map<string, Digest>();
  /** Root of a whole ledger's entries. */
  root: Bytes | null = null;
  /** The highest position of `law` that a judgement names, and the last law entry that is there. */
  lawCited = -1;
  #lawSeen = -1;
  readonly #verification: LedgerVerification;
  readonly #description: BundleDescription;
  readonly #hashes: HashTiles | null;
  readonly #findings: Findings;
  readonly #builder: TileBuilder | null;
  #last = -1;
  /** The next entry that a range must have. */
  #rangeNext: number;
  /** Places that are said to be withheld and were not met yet. */
  readonly #withheld: Set<string>;

  constructor(of: {
    readonly verification: LedgerVerification;
    readonly description: BundleDescription;
    /** Null for a whole ledger, whose tree is made anew. */
    readonly hashes: HashTiles | null;
    readonly findings: Findings;
  }) {
    this.#verification = of.verification;
    this.#description = of.description;
    this.#hashes = of.hashes;
    this.#findings = of.findings;
    this.#builder = of.hashes === null ? new TileBuilder() : null;
    const { scope, withheldPayloads } = of.description;
    this.#rangeNext = scope.is === 'range' ? scope.from : 0;
    this.#withheld = new Set(withheldPayloads.map(({ trajectory, seq }) => `${trajectory} ${seq}`));
  }

  async read(part: BundlePart, onProgress: ((entries: number) => void) | undefined): Promise<void> {
    try {
      for await (const line of linesOf(
        part.read(),
        MAX_EVENT_LINE_BYTES,
        (fault, message) => new EventsFault(`bundle.${fault}`, message),
      )) {
        this.#line(line);
        if (this.entries % PROGRESS_ENTRIES === 0) onProgress?.(this.entries);
      }
    } catch (error) {
      if (!(error instanceof EventsFault)) throw error;
      this.#findings.say({ part: EVENTS, index: null, code: error.code, message: `line ${this.entries + 1}: ${error.message}` });
    }
    onProgress?.(this.entries);
    this.#missed();
    if (this.#builder === null) return;
    this.root = this.#builder.root();
    this.#keep(this.#builder.finish());
  }

  /** Law entries that judgements of the bundle cite and that are not in it. */
  get lawIsMissing(): boolean {
    return this.lawCited > this.#lawSeen;
  }

  #line(line: Bytes): void {
    const read = parseEvent(line);
    if (!read.ok) throw new EventsFault('bundle.malformed', read.error);
    const { index, row } = read.value;
    this.entries += 1;
    const expected = this.#builder === null ? null : this.#last + 1;
    if (index <= this.#last || (expected !== null && index !== expected))
      this.#say(index, 'event.order', expected === null ? `it stands behind entry ${this.#last}` : `the next entry is ${expected}`);
    this.#last = index;
    const entry = decodeEntry(row.entryBytes);
    this.#place(index, row);
    this.#verification.takeAt(row, index);
    if (!entry.ok) return; // The verification has said it.
    const own = formatEvent({ ledger: this.#description.ledger, index, entry: entry.value, row });
    if (!sameText(own, line))
      this.#say(index, 'event.misstated', 'its CloudEvents members are not those of its entry, or in another spelling');
    this.#gather(entry.value, row, index);
  }

  #place(index: number, row: Row): void {
    if (this.#builder !== null) return this.#keep(this.#builder.append(row.entryBytes));
    if (index >= this.#description.size)
      return this.#say(index, 'event.notInTree', `the signed tree has ${this.#description.size} entries`);
    const leaf = this.#hashes?.leaf(BigInt(index)) ?? null;
    if (leaf === null) this.#say(index, 'event.notInTree', 'the bundle has no tile for it');
    else if (!equalBytes(leaf, leafHash(row.entryBytes)))
      this.#say(index, 'event.notInTree', 'the signed tree has another entry in this place');
  }

  #keep(files: readonly TileFile[]): void {
    for (const { path, bytes } of files) this.tiles.set(path, digestOf(bytes));
  }

  #gather(entry: Entry, row: Row, index: number): void {
    const { trajectory, seq, law } = entry;
    this.ends.set(trajectory, { index, leaf: leafHash(row.entryBytes) });
    if (trajectory === 'law') this.#lawSeen = seq;
    if (law !== null && law > this.lawCited) this.lawCited = law;
    const body = row.payload === null ? null : parseCanonical(row.payload);
    for (const digest of row.payload === null ? [] : mentionedIn(row.payload)) this.mentioned.add(digest);
    if (body?.ok === true) eachBlobRef(body.value, (digest) => void (this.blobs.has(digest) || this.blobs.set(digest, index)));
    this.runs.take(entry, body?.ok === true ? body.value : null);
    this.#inRange(entry, index);
    if (this.#withheld.delete(`${trajectory} ${seq}`)) this.#keptBack(entry, row, index);
  }

  /** A range is all of its entries; outside of it there is law and what took payloads away, and nothing else. */
  #inRange({ trajectory, kind }: Entry, index: number): void {
    const { scope } = this.#description;
    if (scope.is !== 'range') return;
    if (index < scope.from || index >= scope.to) {
      if (trajectory !== 'law' && kind !== 'payload.erased' && kind !== 'ledger.pruned')
        this.#say(index, 'event.order', `it is outside of the entries ${scope.from} to ${scope.to - 1} that the bundle holds`);
      return;
    }
    if (index !== this.#rangeNext)
      this.#say(this.#rangeNext, 'event.order', `it belongs to the range, and is not there; the next one is ${index}`);
    this.#rangeNext = index + 1;
  }

  #keptBack({ trajectory, kind, seq }: Entry, row: Row, index: number): void {
    const message = !mayWithhold(trajectory, kind)
      ? `it withholds the payload of ${kind} in ${trajectory}, without which the rest cannot be checked`
      : `it says that the payload of ${trajectory} seq ${seq} is withheld; it is there`;
    if (!mayWithhold(trajectory, kind) || row.payload !== null)
      this.#findings.say({ part: DESCRIPTION, index, code: 'bundle.malformed', message });
  }

  /** What was promised and did not come. */
  #missed(): void {
    const { scope } = this.#description;
    if (scope.is === 'range' && this.#rangeNext < scope.to)
      this.#say(this.#rangeNext, 'event.order', 'it belongs to the range, and is not there');
    for (const place of this.#withheld)
      this.#findings.say({
        part: DESCRIPTION,
        index: null,
        code: 'bundle.malformed',
        message: `it withholds the payload of ${place}, which is no entry of the bundle`,
      });
  }

  #say(index: number, code: 'event.order' | 'event.misstated' | 'event.notInTree', message: string): void {
    this.#findings.say({ part: EVENTS, index, code, message });
  }
}

function sameText(text: string, line: Bytes): boolean {
  return equalBytes(utf8Encode(text), line);
}
