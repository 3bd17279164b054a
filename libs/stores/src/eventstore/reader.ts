/**
 * Reading a ledger whose entries are in the stream, whose payloads are in the companion, and whose places the index knows. Must never take an entry
 * from anywhere but the stream. PROTOCOL §3.
 */
import type { Bytes, Digest, Result, TrajectoryId } from '@openexec/canon';
import { type BlobFailure, LedgerFault, type Row, type Stored, type StoredCheckpoint } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import type { LedgerReading, TrajectoryPlace } from '../reading.ts';
import { blockOf, nodeOf } from '../tree.ts';
import type { HeadRow, ViewSource } from '../view.ts';
import { type Companion, inTransaction } from './companion.ts';
import { hydrate, readBlob, rowsOf } from './payloads.ts';
import type { EntryStream, StreamEntry } from './stream.ts';
import type { TrajectoryIndex } from './trajectories.ts';

const PAGE_ROWS = 1000;
const STORED_PAGE_ROWS = 256;
/** Entries between two wanted ones that are read along rather than asked around. */
const MAX_READ_ALONG = 32n;
const READS_AT_ONCE = 8;

/** The reading half of a handle. */
export class EventStoreReader implements LedgerReading {
  readonly #db: Companion;
  readonly #stream: EntryStream;
  readonly #index: TrajectoryIndex;

  constructor(db: Companion, stream: EntryStream, index: TrajectoryIndex) {
    this.#db = db;
    this.#stream = stream;
    this.#index = index;
  }

  head(): Promise<HeadRow> {
    return this.#index.catchUp();
  }

  async sizeFor(size: bigint): Promise<bigint> {
    const known = BigInt((await this.#index.head()).size);
    return size <= known ? known : BigInt((await this.head()).size);
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryPlace | null> {
    await this.#index.catchUp();
    return (await this.#index.trajectories([trajectory]))[0] ?? null;
  }

  /** The names are those of the moment of the first page. */
  async trajectoriesAfter(after: string, prefix: string): Promise<readonly TrajectoryPlace[]> {
    if (after === '') await this.#index.catchUp();
    return this.#index.trajectoriesAfter(after, prefix);
  }

  /** Decoded entries in tree order, at most a page. */
  async storedPage(from: bigint, to?: bigint): Promise<readonly Stored[]> {
    return this.#opened(await this.#stream.page(from, pageOf(from, to, STORED_PAGE_ROWS)));
  }

  /** Raw rows in tree order, at most a page. */
  async rowPage(from: bigint, to: bigint): Promise<readonly Row[]> {
    return rowsOf(this.#db, await this.#stream.page(from, pageOf(from, to, PAGE_ROWS)));
  }

  /** Decoded entries of one trajectory, at most a page. */
  async trajectoryPage(id: bigint, from: number, to: number): Promise<readonly Stored[]> {
    return this.#opened(await this.#entriesAt(await this.#index.indicesOf(id, from, to, STORED_PAGE_ROWS)));
  }

  /** What sequencing fetches. */
  get source(): ViewSource {
    return {
      trajectories: (names) => this.#index.trajectories(names),
      places: async (places) => this.#opened(await this.#entriesAt(sorted(await this.#index.indicesAt(places)))),
      events: (events) => this.#index.events(events),
    };
  }

  #opened(entries: readonly StreamEntry[]): Promise<readonly Stored[]> {
    return hydrate(this.#db, entries, (missing) => this.#index.soundlyMissing(missing));
  }

  /** Entries at these leaf indices, which ascend: neighbours are read together. */
  async #entriesAt(indices: readonly bigint[]): Promise<readonly StreamEntry[]> {
    const stretches: { readonly first: bigint; last: bigint }[] = [];
    for (const index of indices) {
      const open = stretches.at(-1);
      if (open !== undefined && index - open.last <= MAX_READ_ALONG) open.last = index;
      else stretches.push({ first: index, last: index });
    }
    const wanted = new Set(indices);
    const found: StreamEntry[] = [];
    for (let at = 0; at < stretches.length; at += READS_AT_ONCE) {
      const pages = await Promise.all(
        stretches.slice(at, at + READS_AT_ONCE).map(({ first, last }) => this.#stream.page(first, Number(last - first) + 1)),
      );
      found.push(...pages.flat().filter(({ index }) => wanted.has(index)));
    }
    if (found.length !== wanted.size)
      throw new LedgerFault('store.corrupt', 'entries that were read before are gone from the stream; run verify');
    return found;
  }

  newPage(from: bigint): Promise<readonly Stored[]> {
    return this.storedPage(from);
  }

  blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    return readBlob(this.#db, digest);
  }

  /** Leaves come from the index, or where the result has to speak for the entries themselves, from the stream. */
  async node(level: number, index: bigint, wanted: 'proof' | 'root'): Promise<Bytes> {
    const block = blockOf(level, index);
    const { first, count } = block;
    if (block.level > 0) return nodeOf(block, await this.#index.subtrees(block.level, first, count));
    if (wanted === 'proof') return nodeOf(block, await this.#index.leaves(first, count));
    return nodeOf(
      block,
      (await this.#stream.page(BigInt(first), count)).map(({ entryBytes }) => leafHash(entryBytes)),
    );
  }

  /** The checkpoint of a size. */
  async checkpoint(size: bigint): Promise<StoredCheckpoint | null> {
    const row = await this.#db.selectFrom('checkpoints').select('note').where('size', '=', Number(size)).executeTakeFirst();
    return row === undefined ? null : { size, note: row.note };
  }

  /** A page of checkpoints above a size, smallest first. */
  async checkpointsAfter(after: bigint): Promise<readonly StoredCheckpoint[]> {
    const rows = await this.#db
      .selectFrom('checkpoints')
      .selectAll()
      .where('size', '>', Number(after))
      .orderBy('size')
      .limit(PAGE_ROWS)
      .execute();
    return rows.map(({ size, note }) => ({ size: BigInt(size), note }));
  }

  /** Keeps a checkpoint, unless there is one of its size. */
  async keep(made: StoredCheckpoint): Promise<void> {
    const row = { size: Number(made.size), note: made.note };
    await inTransaction(this.#db, (tx) =>
      tx
        .insertInto('checkpoints')
        .values(row)
        .onConflict((on) => on.column('size').doNothing())
        .execute(),
    );
  }
}

function pageOf(from: bigint, to: bigint | undefined, most: number): number {
  return to === undefined || to - from > BigInt(most) ? most : Number(to - from);
}

function sorted(indices: readonly bigint[]): readonly bigint[] {
  return indices.toSorted((a, b) => (a < b ? -1 : 1));
}
