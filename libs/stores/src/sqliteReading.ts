/**
 * What a handle asks a ledger in SQLite for. Must never wait while it holds a statement, nor read more than a page at once. PROTOCOL §3.
 */
import { type Bytes, type Digest, digestOf, err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type BlobFailure, factsOf, LedgerFault, type Row, type Stored, type StoredCheckpoint } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import type Database from 'better-sqlite3';
import type { BlobFiles } from './blobFiles.ts';
import { bytesIn, bytesOrNull, digestIn, integerIn, textIn, textOrNull } from './columns.ts';
import { inflated, unpacked } from './packed.ts';
import type { LedgerReading, TrajectoryPlace } from './reading.ts';
import type { RowReader } from './rows.ts';
import { blockOf, nodeOf } from './tree.ts';
import type { HeadRow } from './view.ts';

/** The row of the head. Throws `store.corrupt` where it is not there, or not what writers write. */
export function headIn(row: unknown): HeadRow {
  const { size, frontier, fingerprint, successor } = (row ?? {}) as { readonly [column: string]: unknown };
  const print = textOrNull(fingerprint ?? null, 'the fingerprint in the head');
  return {
    size: integerIn(size, 'the size in the head'),
    frontier: bytesIn(frontier, 'the tree in the head'),
    fingerprint: print === null ? null : digestIn(print, 'the fingerprint in the head'),
    successor: textOrNull(successor ?? null, 'the successor in the head'),
  };
}

/** What is read from. */
export interface SqliteSources {
  readonly db: Database.Database;
  readonly rows: RowReader;
  readonly blobFiles: BlobFiles;
  /** The committed head, as any process sees it. */
  readonly headRow: () => HeadRow;
}

/** See {@link LedgerReading}. */
export class SqliteReading implements LedgerReading {
  readonly #from: SqliteSources;
  readonly #leaves: Database.Statement;
  readonly #subtrees: Database.Statement;
  readonly #blobRow: Database.Statement;
  readonly #checkpointAt: Database.Statement;
  readonly #checkpointsAfter: Database.Statement;
  readonly #addCheckpoint: Database.Statement;

  constructor(from: SqliteSources) {
    const { db } = from;
    this.#from = from;
    this.#leaves = db.prepare('SELECT entry FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx').pluck();
    this.#subtrees = db.prepare('SELECT hash FROM subtrees WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx').pluck();
    this.#blobRow = db.prepare('SELECT length, bytes FROM blobs WHERE digest = ?').raw();
    this.#checkpointAt = db.prepare('SELECT note FROM checkpoints WHERE size = ?').pluck();
    this.#checkpointsAfter = db.prepare('SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT 256').raw();
    this.#addCheckpoint = db.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?) ON CONFLICT (size) DO NOTHING');
  }

  head(): HeadRow {
    return this.#from.headRow();
  }

  sizeFor(): bigint {
    return BigInt(this.head().size);
  }

  trajectory(trajectory: TrajectoryId): TrajectoryPlace | null {
    const id = this.#from.rows.trajectoryId(trajectory);
    return id === null ? null : this.#place(id, trajectory);
  }

  #place(id: number, name: TrajectoryId): TrajectoryPlace | null {
    for (const { entry, leaf } of this.#from.rows.fromEnd(id))
      return { id: BigInt(id), name, seq: entry.seq, leaf, closed: factsOf(entry.kind)?.closes === true };
    return null;
  }

  trajectoriesAfter(after: string, prefix: string): readonly TrajectoryPlace[] {
    const found: TrajectoryPlace[] = [];
    for (const [id, name] of this.#from.rows.names(after, prefix)) {
      if (!name.startsWith(prefix)) break;
      const place = this.#place(id, name);
      if (place !== null) found.push(place);
    }
    return found;
  }

  trajectoryPage(id: bigint, from: number, to: number): readonly Stored[] {
    return this.#from.rows.trajectoryPage(Number(id), from, to);
  }

  storedPage(from: bigint, to: bigint): readonly Stored[] {
    return this.#from.rows.storedPage(Number(from), Number(to));
  }

  rowPage(from: bigint, to: bigint): readonly Row[] {
    return this.#from.rows.page(Number(from), Number(to));
  }

  newPage(from: bigint): readonly Stored[] {
    return this.#from.rows.storedPage(Number(from), this.head().size);
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    const row = this.#blobRow.get(digest) as readonly unknown[] | undefined;
    if (row === undefined) return err({ code: 'blob.unknown', message: `no blob ${digest} is stored here` });
    const length = integerIn(row[0], `the length of the blob ${digest}`);
    if (length < 0) return err({ code: 'blob.erased', message: `the blob ${digest} was erased` });
    const kept = bytesOrNull(row[1], `the blob ${digest}`);
    const bytes = kept === null ? await this.#from.blobFiles.read(digest) : inflated(kept, length);
    if (bytes !== null && bytes.length === length && digestOf(bytes) === digest) return ok(bytes);
    return err({
      code: 'blob.corrupt',
      message: `the blob ${digest} is ${bytes === null ? 'missing from its folder' : 'not what its name says'}`,
    });
  }

  checkpoint(size: bigint): StoredCheckpoint | null {
    const note = this.#checkpointAt.get(Number(size));
    return note === undefined ? null : { size, note: textIn(note, `the checkpoint of ${size} entries`) };
  }

  checkpointsAfter(size: bigint): readonly StoredCheckpoint[] {
    const what = `the checkpoints above ${size} entries`;
    return (this.#checkpointsAfter.all(Number(size)) as (readonly unknown[])[]).map(([at, note]) => {
      const next = BigInt(integerIn(at, what));
      if (next <= size) throw new LedgerFault('store.corrupt', `${what} are out of order; run verify`);
      return { size: next, note: textIn(note, what) };
    });
  }

  keep({ size, note }: StoredCheckpoint): void {
    this.#addCheckpoint.run(Number(size), note);
  }

  node(level: number, index: bigint): Bytes {
    const block = blockOf(level, index);
    const { first, count } = block;
    const rows = block.level === 0 ? this.#leaves.all(first, first + count) : this.#subtrees.all(block.level, first, first + count);
    const hashes = rows.map((value) => {
      const bytes = bytesIn(value, `what the tree is made of over (${level}, ${index})`);
      return block.level === 0 ? leafHash(unpacked(bytes)) : bytes;
    });
    return nodeOf(block, hashes);
  }
}
