/**
 * Reading rows: pages of raw columns, decoded only where the caller wants entries. Must never keep a statement open between pages, so that
 * reading and writing share one connection. PROTOCOL §3.
 */
import type { Bytes, EventId, TrajectoryId } from '@openexec/canon';
import { LedgerFault, type Row, type Stored } from '@openexec/ledger';
import type Database from 'better-sqlite3';
import { storedOf } from './storedRow.ts';

/** Larger pages are no faster (TOOLCHAIN §5.5), smaller ones are. */
const PAGE_ROWS = 1000;
/** Payloads may be 64 KiB each, and a page of decoded entries may be held by a slow reader. */
const STORED_PAGE_ROWS = 256;

/** idx, entry, payload, salt: the columns of every reading statement, in this order. */
type RawRow = readonly [number, Uint8Array | null, Uint8Array | null, Uint8Array | null];

/** The reading half of a store's connection. */
export class RowReader {
  readonly #inOrder: Database.Statement;
  readonly #ofTrajectory: Database.Statement;
  readonly #backwards: Database.Statement;
  readonly #one: Database.Statement;
  readonly #byEvent: Database.Statement;
  readonly #trajectoryId: Database.Statement;
  readonly #names: Database.Statement;

  constructor(db: Database.Database) {
    this.#inOrder = db.prepare('SELECT idx, entry, payload, salt FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?').raw();
    this.#ofTrajectory = db
      .prepare('SELECT idx, entry, payload, salt FROM entries WHERE trajectory = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?')
      .raw();
    this.#backwards = db
      .prepare('SELECT idx, entry, NULL, NULL FROM entries WHERE trajectory = ? AND seq < ? ORDER BY seq DESC LIMIT 64')
      .raw();
    this.#one = db.prepare('SELECT idx, entry, payload, salt FROM entries WHERE trajectory = ? AND seq = ?').raw();
    this.#byEvent = db.prepare('SELECT seq FROM entries WHERE trajectory = ? AND event = ?').pluck();
    this.#trajectoryId = db.prepare('SELECT id FROM trajectories WHERE name = ?').pluck();
    this.#names = db.prepare('SELECT id, name FROM trajectories WHERE name > ? AND name >= ? ORDER BY name LIMIT 256').raw();
  }

  /** The number under which a trajectory's rows are kept, null when it has none. */
  trajectoryId(trajectory: TrajectoryId): number | null {
    const id = this.#trajectoryId.get(trajectory);
    return typeof id === 'number' ? id : null;
  }

  /** Raw rows in tree order. */
  page(from: number, to: number): readonly Row[] {
    return (this.#inOrder.all(from, to, PAGE_ROWS) as RawRow[]).map((row) => ({
      entryBytes: entryOf(row),
      payload: plainOrNull(row[2]),
      salt: plainOrNull(row[3]),
    }));
  }

  /** Decoded entries in tree order. */
  storedPage(from: number, to: number): readonly Stored[] {
    return (this.#inOrder.all(from, to, STORED_PAGE_ROWS) as RawRow[]).map(storedIn);
  }

  /** Decoded entries of one trajectory. */
  trajectoryPage(id: number, from: number, to: number): readonly Stored[] {
    return (this.#ofTrajectory.all(id, from, to, STORED_PAGE_ROWS) as RawRow[]).map(storedIn);
  }

  /** The entry at a place, null when there is none. */
  at(id: number, seq: number): Stored | null {
    const row = this.#one.get(id, seq) as RawRow | undefined;
    return row === undefined ? null : storedIn(row);
  }

  /** The position of an event id. */
  seqOfEvent(id: number, event: EventId): number | null {
    const seq = this.#byEvent.get(id, event);
    return typeof seq === 'number' ? seq : null;
  }

  /** Entries of a trajectory from its end backwards, without payloads. */
  *fromEnd(id: number): Generator<Stored> {
    for (let below = Number.MAX_SAFE_INTEGER; ; ) {
      const rows = this.#backwards.all(id, below) as RawRow[];
      for (const row of rows) {
        const stored = storedIn(row);
        // The row was found below that position; an entry that says otherwise is damaged, and would lead in circles.
        if (stored.entry.seq >= below) throw new LedgerFault('store.corrupt', `entry ${row[0]} is not at its place; run verify`);
        below = stored.entry.seq;
        yield stored;
      }
      if (rows.length === 0) return;
    }
  }

  /** Numbers and names of trajectories after `after` and not before `least`, by name. */
  names(after: string, least: string): readonly (readonly [number, TrajectoryId])[] {
    return this.#names.all(after, least) as (readonly [number, TrajectoryId])[]; // Only names that passed sequencing are written there.
  }
}

function storedIn(row: RawRow): Stored {
  const [idx, , payload, salt] = row;
  return storedOf({ index: BigInt(idx), entryBytes: entryOf(row), payload: plainOrNull(payload), salt: plainOrNull(salt) });
}

/** The bytes of an entry. The column is never null, unless the file is damaged: SQLite reads what it finds. */
function entryOf([idx, entry]: RawRow): Bytes {
  if (entry === null || typeof entry !== 'object') throw new LedgerFault('store.corrupt', `entry ${idx} cannot be read; run verify`);
  return plain(entry);
}

/** The same memory as a plain byte array: a Buffer's `slice` does not copy, which would surprise whoever takes Bytes. */
function plain(buffer: Uint8Array): Bytes {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function plainOrNull(buffer: Uint8Array | null): Bytes | null {
  return buffer === null ? null : plain(buffer);
}
