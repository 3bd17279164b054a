/**
 * Snapshots beside the entries of a ledger in SQLite, each in a transaction of its own. Must never keep one of a run some of whose payloads were
 * forgotten. `secure_delete` overwrites what is replaced. PROTOCOL §3 "Snapshots".
 */
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type KeptSnapshot, MAX_SNAPSHOT_BYTES, type SnapshotFailure, type SnapshotPlace, type SnapshotShelf } from '@openexec/ledger';
import type Database from 'better-sqlite3';
import { isOutcome, writeRefusal } from './errors.ts';
import { hindrance } from './keeping.ts';
import { FORGOTTEN, placeIn, snapshotIn, type SnapshotRow } from './snapshotRows.ts';

/** What the shelf of one handle works with. */
export interface SqliteSnapshotsOptions {
  readonly db: Database.Database;
  readonly path: string;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
}

/** See {@link SnapshotShelf}. */
export class SqliteSnapshots implements SnapshotShelf {
  readonly #options: SqliteSnapshotsOptions;

  constructor(options: SqliteSnapshotsOptions) {
    this.#options = options;
  }

  async keep(snapshot: KeptSnapshot): Promise<Result<void, SnapshotFailure>> {
    const { run, seq, leaf, digest, tag, bytes } = snapshot;
    if (bytes.length > MAX_SNAPSHOT_BYTES) return ok(undefined);
    return this.#asked(true, (db) => {
      const put = db.transaction(() => {
        if (db.prepare('SELECT 1 FROM snapshots WHERE run = ? AND seq = ?').get(run, FORGOTTEN) !== undefined) return;
        db.prepare('INSERT OR REPLACE INTO snapshots (run, seq, leaf, digest, tag, bytes) VALUES (?, ?, ?, ?, ?, ?)').run(
          run,
          seq,
          leaf,
          digest,
          tag,
          bytes,
        );
        // Beside it stays the newest of the older ones; what claims to be newer cannot be.
        db.prepare(
          `DELETE FROM snapshots WHERE run = @run AND seq >= 0 AND seq <> @seq
             AND seq <> coalesce((SELECT max(seq) FROM snapshots WHERE run = @run AND seq >= 0 AND seq < @seq), @seq)`,
        ).run({ run, seq });
      });
      put.immediate();
    });
  }

  async places(run?: TrajectoryId): Promise<Result<readonly SnapshotPlace[], SnapshotFailure>> {
    return this.#asked(false, (db) => {
      if (!hasShelf(db)) return [];
      const of = run === undefined ? '' : 'AND run = ?';
      const rows = db
        .prepare(`SELECT run, seq FROM snapshots WHERE seq >= 0 ${of} ORDER BY run, seq DESC`)
        .all(...(run === undefined ? [] : [run])) as Pick<SnapshotRow, 'run' | 'seq'>[];
      return rows.map(placeIn);
    });
  }

  async read({ run, seq }: SnapshotPlace): Promise<Result<KeptSnapshot | null, SnapshotFailure>> {
    return this.#asked(false, (db) => {
      if (!hasShelf(db)) return null;
      const row = db.prepare('SELECT run, seq, leaf, digest, tag, bytes FROM snapshots WHERE run = ? AND seq = ?').get(run, seq);
      return row === undefined ? null : snapshotIn(row as SnapshotRow);
    });
  }

  async drop(places: readonly SnapshotPlace[]): Promise<Result<void, SnapshotFailure>> {
    return this.#asked(true, (db) => {
      const remove = db.prepare('DELETE FROM snapshots WHERE run = ? AND seq = ? AND seq >= 0');
      db.transaction(() => {
        for (const { run, seq } of places) remove.run(run, seq);
      }).immediate();
    });
  }

  #asked<T>(writes: boolean, work: (db: Database.Database) => T): Result<T, SnapshotFailure> {
    const hindered = hindrance(this.#options, writes);
    if (hindered !== null) return err(hindered);
    try {
      return ok(work(this.#options.db));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, this.#options.path, false));
    }
  }
}

/** A ledger of format 1 that is only read has none. */
function hasShelf(db: Database.Database): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'snapshots'").get() !== undefined;
}

/** In the transaction of a forgetting: snapshots of these runs go, and none is ever kept again. */
export function forgetSnapshots(db: Database.Database, runs: Iterable<string>): void {
  const remove = db.prepare('DELETE FROM snapshots WHERE run = ?');
  const mark = db.prepare("INSERT INTO snapshots (run, seq, leaf, digest, tag, bytes) VALUES (?, ?, '', '', x'', x'')");
  for (const run of runs) {
    remove.run(run);
    mark.run(run, FORGOTTEN);
  }
}
