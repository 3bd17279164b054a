/**
 * Reading rows: pages of raw columns, decoded only where the caller wants entries. Must never keep a statement open between pages, so that
 * reading and writing share one connection. PROTOCOL §3.
 */
import type { EventId, TrajectoryId } from '@openexec/canon';
import { LedgerFault, type Row, type Stored } from '@openexec/ledger';
import type Database from 'better-sqlite3';
import { bytesIn, bytesOrNull, integerIn, textIn } from './columns.ts';
import { unpacked } from './packed.ts';
import { type EntryColumns, storedOf } from './storedRow.ts';

/** Larger pages are no faster (TOOLCHAIN §5.5), smaller ones are. */
const PAGE_ROWS = 1000;
/** Payloads may be 64 KiB each, and a page of decoded entries may be held by a slow reader. */
const STORED_PAGE_ROWS = 256;

/** idx, entry, payload, salt: the columns of every reading statement, in this order. */
type RawRow = readonly unknown[];

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

  /** Raw rows in tree order, up to the first that is missing. */
  page(from: number, to: number): readonly Row[] {
    return this.#page(from, to, PAGE_ROWS).map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
  }

  /** Decoded entries in tree order, up to the first that is missing. */
  storedPage(from: number, to: number): readonly Stored[] {
    return this.#page(from, to, STORED_PAGE_ROWS).map(storedOf);
  }

  #page(from: number, to: number, limit: number): readonly EntryColumns[] {
    return unbroken((this.#inOrder.all(from, to, limit) as RawRow[]).map(columnsOf), from, ({ index }) => Number(index));
  }

  /** Decoded entries of one trajectory, up to the first that is missing. */
  trajectoryPage(id: number, from: number, to: number): readonly Stored[] {
    return unbroken((this.#ofTrajectory.all(id, from, to, STORED_PAGE_ROWS) as RawRow[]).map(storedIn), from, ({ entry }) => entry.seq);
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
        if (stored.entry.seq >= below) throw new LedgerFault('store.corrupt', `entry ${stored.index} is not at its place; run verify`);
        below = stored.entry.seq;
        yield stored;
      }
      if (rows.length === 0) return;
    }
  }

  /** Numbers and names of trajectories after `after` and not before `least`, by name. */
  names(after: string, least: string): readonly (readonly [number, TrajectoryId])[] {
    return (this.#names.all(after, least) as (readonly unknown[])[]).map(([id, name]) => {
      const text = textIn(name, 'the name of a trajectory');
      // Only names that passed sequencing are written there, and they are asked for in order.
      if (text <= after) throw new LedgerFault('store.corrupt', `the names of trajectories after ${after} are out of order; run verify`);
      return [integerIn(id, `the number of ${text}`), text as TrajectoryId];
    });
  }
}

/** What follows on `from` without a gap. A damaged index may give rows in any order, and whoever asks for the next page goes by their number. */
function unbroken<T>(rows: readonly T[], from: number, placeOf: (row: T) => number): readonly T[] {
  const end = rows.findIndex((row, offset) => placeOf(row) !== from + offset);
  return end === -1 ? rows : rows.slice(0, end);
}

function storedIn(row: RawRow): Stored {
  return storedOf(columnsOf(row));
}

function columnsOf([idx, entry, payload, salt]: RawRow): EntryColumns {
  const index = integerIn(idx, 'the index of an entry');
  const what = `entry ${index}`;
  const kept = bytesOrNull(payload, what);
  return {
    index: BigInt(index),
    entryBytes: unpacked(bytesIn(entry, what)),
    payload: kept === null ? null : unpacked(kept),
    salt: bytesOrNull(salt, what),
  };
}
