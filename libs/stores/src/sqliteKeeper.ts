/**
 * The keeper of a ledger in SQLite: forgets payloads so that no file holds them any more, takes a copied ledger in, answers what is asked of the
 * whole. Must never touch an entry, and never forget but in the transaction whose entry says so. PROTOCOL §3; windows 6 to 8 of the README.
 */
import { type Bytes, type Digest, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type BlobEntry,
  CopyCheck,
  type CopyFailure,
  type CopyPart,
  type Examination,
  factsOf,
  type ForgetFailure,
  type Forgetting,
  type Forgotten,
  type LedgerCopy,
  LedgerFault,
  type LedgerKeeper,
  placesOfWish,
  Release,
  type Released,
  runNow,
} from '@openexec/ledger';
import Database from 'better-sqlite3';
import { type BlobFiles, MAX_ROW_BLOB_BYTES } from './blobFiles.ts';
import { ERASED } from './blobParts.ts';
import { LEAVING, readBlobNow, TO_ERASED } from './blobRows.ts';
import { bytesIn, bytesOrNull, digestIn, integerIn, textIn } from './columns.ts';
import { isOutcome, type Refusal, writeRefusal } from './errors.ts';
import { copyFailure, forgetBy, Going, hindrance, NOT_EMPTY, noteIn, type REFUSED } from './keeping.ts';
import { deflated, packed, unpacked } from './packed.ts';
import type { RowReader } from './rows.ts';
import { setDurable } from './schema.ts';
import { examineSqlite } from './sqliteExamine.ts';
import { forgetSnapshots } from './sqliteSnapshots.ts';
import type { LedgerParts } from './storedLedger.ts';
import { Frontier } from './tree.ts';
import { ADD_BLOB, type Within, type Writer } from './writer.ts';

const UNTRUNCATED = '';
const PAGE = 1000;

/** What the keeper of one handle works with. */
export interface SqliteKeeperOptions {
  readonly db: Database.Database;
  readonly path: string;
  readonly blobFiles: BlobFiles;
  readonly reader: RowReader;
  readonly writer: Writer;
  readonly salts: Randomness;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
  /** Runs one reading; what fails is thrown as `LedgerFault`. */
  readonly ask: LedgerParts['ask'];
  readonly onWindow: (window: number) => void;
  readonly onCopied: () => void;
}

/** See {@link LedgerKeeper}. */
export class SqliteKeeper implements LedgerKeeper {
  readonly #options: SqliteKeeperOptions;

  constructor(options: SqliteKeeperOptions) {
    this.#options = options;
  }

  async instance(): Promise<string> {
    const { ask, db } = this.#options;
    return ask('the instance', () => textIn(db.prepare('SELECT instance FROM store').pluck().get(), 'the instance'));
  }

  async successor(): Promise<string | null> {
    const { ask, writer } = this.#options;
    return ask('the head', () => writer.headRow().successor);
  }

  async *blobs(): AsyncGenerator<BlobEntry> {
    const { ask, db } = this.#options;
    const what = 'the names of blobs';
    const page = (after: string): readonly (readonly unknown[])[] =>
      db
        .prepare(`SELECT digest, length FROM blobs WHERE digest > ? AND length >= ${ERASED} ORDER BY digest LIMIT ${PAGE}`)
        .raw()
        .all(after) as (readonly unknown[])[];
    for (let after = ''; ; ) {
      const last = after;
      const rows = await ask(what, () => page(last));
      for (const [name, bytes] of rows) {
        const digest = digestIn(name, what);
        const length = integerIn(bytes, what);
        if (digest <= after) throw new LedgerFault('store.corrupt', `${what} are out of order; run verify`);
        after = digest;
        yield { digest, bytes: length === ERASED ? null : length };
      }
      if (rows.length === 0) return;
    }
  }

  // ---- forgetting

  async forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>> {
    const { writer, onWindow } = this.#options;
    const work = new ForgetWork(this.#options, wish);
    return forgetBy(wish, this.#options, {
      going: work.going,
      append: (batch) => writer.append(batch, work),
      settled: () => {
        // Window 7: a death from here on has forgotten; the next opening overwrites what files and log still hold.
        onWindow(7);
        try {
          return this.settle();
        } catch (error) {
          // What was to be forgotten is; what of its bytes is left in files waits for the next opening.
          if (!isOutcome(error)) throw error;
          return false;
        }
      },
    });
  }

  /** Finishes what a forgetting left: files of blobs, then the log. False where another process holds the log back. */
  settle(): boolean {
    const { db, blobFiles, onWindow } = this.#options;
    const leaving = db.prepare('SELECT digest, length FROM blobs WHERE length < ?').raw();
    if (leaving.all(ERASED).length === 0) return true;
    db.transaction(() => {
      // Asked again under the lock: the same bytes may have come back in a later payload.
      for (const [digest, length] of leaving.all(ERASED) as (readonly [Digest, number])[]) {
        if (digest === UNTRUNCATED) continue;
        blobFiles.removeNow(digestIn(digest, 'the name of a blob that leaves'));
        // Window 8: a death here leaves rows whose files are gone already, which is what the next opening makes of the rest.
        onWindow(8);
        if (length === TO_ERASED) db.prepare('UPDATE blobs SET length = ?, bytes = NULL WHERE digest = ?').run(ERASED, digest);
        else db.prepare('DELETE FROM blobs WHERE digest = ?').run(digest);
      }
    }).immediate();
    const [log] = db.pragma('wal_checkpoint(TRUNCATE)') as readonly { readonly busy: number }[];
    if (log?.busy !== 0) return false;
    db.prepare('DELETE FROM blobs WHERE digest = ?').run(UNTRUNCATED);
    return true;
  }

  // ---- copying in

  async copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
    const { path, blobFiles, onCopied, onWindow } = this.#options;
    const hindered = hindrance(this.#options, true);
    if (hindered !== null) return err(hindered);
    // A connection of its own: the transaction stays open while the parts are waited for.
    const db = new Database(path);
    const files: Digest[] = [];
    let begun = false;
    try {
      setDurable(db);
      db.exec('BEGIN IMMEDIATE');
      begun = true;
      if (db.prepare('SELECT size FROM head').pluck().get() !== 0) return err(NOT_EMPTY);
      const check = new CopyCheck(copy);
      const taking = new Taking(db, check);
      for await (const part of copy.parts()) {
        if (part.is === 'blob' && part.bytes !== null && part.bytes.length > MAX_ROW_BLOB_BYTES) {
          check.blob(part.digest, part.bytes);
          files.push(part.digest);
          await blobFiles.write(part.digest, part.bytes);
          taking.addBlob(part.digest, part.bytes.length, null);
        } else taking.take(part);
      }
      check.finish();
      taking.finish();
      // Window 9: a death before COMMIT leaves an empty store, and files of blobs that the next examination removes.
      onWindow(9);
      db.exec('COMMIT');
      files.length = 0;
      onCopied();
      return ok({ blobs: check.blobs });
    } catch (error) {
      const failure = copyFailure(error, (driver) => (isOutcome(driver) ? writeRefusal(driver, path, begun) : undefined));
      if (failure === undefined) throw error;
      return err(failure);
    } finally {
      if (db.inTransaction) db.exec('ROLLBACK');
      db.close();
      for (const digest of files) blobFiles.removeNow(digest);
    }
  }

  async examine(options: { readonly repair: boolean }): Promise<Result<Examination, Refusal>> {
    const { db, blobFiles } = this.#options;
    const hindered = hindrance(this.#options, options.repair);
    if (hindered !== null) return err(hindered);
    const files = await blobFiles.names();
    const closed = hindrance(this.#options, false);
    if (closed !== null) return err(closed);
    try {
      return ok(examineSqlite({ db, blobFiles, files, repair: options.repair }));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, this.#options.path, false));
    }
  }
}

/** One forgetting under the write lock: what may go, and what goes with it. */
class ForgetWork implements Within {
  readonly #options: SqliteKeeperOptions;
  readonly #wish: Forgetting;
  readonly going: Going<{ readonly id: number; readonly seq: number }>;

  constructor(options: SqliteKeeperOptions, wish: Forgetting) {
    this.#options = options;
    this.#wish = wish;
    this.going = new Going(wish);
  }

  check(): typeof REFUSED | null {
    const { reader } = this.#options;
    this.going.begin();
    const closed = new Map<TrajectoryId, boolean>();
    for (const place of placesOfWish(this.#wish)) {
      const { trajectory, seq } = place;
      const id = reader.trajectoryId(trajectory);
      const stored = id === null ? null : reader.at(id, seq);
      if (id === null || stored === null) {
        if (!this.going.take(place, null)) break;
        continue;
      }
      const isClosed = closed.get(trajectory) ?? this.#isClosed(id);
      closed.set(trajectory, isClosed);
      const row = stored.payload === null ? null : { id, seq };
      if (!this.going.take(place, { entry: stored.entry, closed: isClosed, row })) break;
    }
    return this.going.verdict();
  }

  #isClosed(id: number): boolean {
    for (const { entry } of this.#options.reader.fromEnd(id)) return factsOf(entry.kind)?.closes === true;
    return false;
  }

  apply(): void {
    const { db, onWindow } = this.#options;
    const released = this.#release();
    const blank = db.prepare('UPDATE entries SET payload = NULL, salt = NULL WHERE trajectory = ? AND seq = ?');
    for (const { id, seq } of this.going.rows.values()) blank.run(id, seq);
    forgetSnapshots(db, this.going.runs);
    this.going.blobs = this.#dropBlobs(released);
    db.prepare(ADD_BLOB).run(UNTRUNCATED, LEAVING, null);
    // Window 6: a death before COMMIT has forgotten nothing.
    onWindow(6);
  }

  /** One reading of all payloads, under the lock: nobody can name a blob anew meanwhile. */
  #release(): Released {
    const { db } = this.#options;
    const release = new Release(new Set(this.going.rows.keys()));
    const page = db.prepare(`SELECT idx, entry, payload FROM entries WHERE idx > ? ORDER BY idx LIMIT ${PAGE}`).raw();
    for (let after = -1; ; ) {
      const rows = page.all(after) as (readonly [number, unknown, unknown])[];
      for (const [index, entry, payload] of rows) {
        const what = `entry ${index}`;
        const kept = bytesOrNull(payload, what);
        noteIn(release, unpacked(bytesIn(entry, what)), kept === null ? null : unpacked(kept));
      }
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last[0];
    }
    return runNow(release.finish(), (digest) => readBlobNow(this.#options, digest));
  }

  #dropBlobs({ drop, hollow }: Released): number {
    const { db } = this.#options;
    const known = db.prepare('SELECT bytes IS NULL FROM blobs WHERE digest = ? AND length >= 0').pluck();
    const mark = db.prepare('UPDATE blobs SET length = ?, bytes = NULL WHERE digest = ?');
    const remove = db.prepare('DELETE FROM blobs WHERE digest = ?');
    let count = 0;
    for (const [digests, isHollow] of [[drop, false] as const, [hollow, true] as const])
      for (const digest of digests) {
        const isFile = known.get(digest);
        if (isFile === undefined) continue;
        count += 1;
        if (isFile === 1) mark.run(isHollow ? TO_ERASED : LEAVING, digest);
        else if (isHollow) mark.run(ERASED, digest);
        else remove.run(digest);
      }
    return count;
  }
}

/** Rows of a copy into the tables. */
class Taking {
  readonly #db: Database.Database;
  readonly #check: CopyCheck;
  readonly #frontier = new Frontier(0, new Uint8Array(0));
  readonly #ids = new Map<TrajectoryId, number>();
  readonly #addEntry: Database.Statement;
  readonly #addTrajectory: Database.Statement;
  readonly #addSubtree: Database.Statement;
  readonly #addCheckpoint: Database.Statement;
  readonly #addBlob: Database.Statement;

  constructor(db: Database.Database, check: CopyCheck) {
    this.#db = db;
    this.#check = check;
    this.#addEntry = db.prepare('INSERT INTO entries (idx, trajectory, seq, entry, payload, salt, event) VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#addTrajectory = db.prepare('INSERT INTO trajectories (name) VALUES (?)');
    this.#addSubtree = db.prepare('INSERT INTO subtrees (level, idx, hash) VALUES (?, ?, ?)');
    this.#addCheckpoint = db.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?)');
    this.#addBlob = db.prepare(ADD_BLOB);
  }

  take(part: CopyPart): void {
    if (part.is === 'checkpoint') {
      this.#check.checkpoint(part.checkpoint);
      this.#addCheckpoint.run(Number(part.checkpoint.size), part.checkpoint.note);
    } else if (part.is === 'blob') {
      this.#check.blob(part.digest, part.bytes);
      this.addBlob(part.digest, part.bytes === null ? ERASED : part.bytes.length, part.bytes);
    } else
      for (const row of part.rows) {
        const { entry, index, hash } = this.#check.row(row);
        const payload = row.payload === null ? null : packed(row.payload);
        this.#addEntry.run(index, this.#idOf(entry.trajectory), entry.seq, packed(row.entryBytes), payload, row.salt, entry.id ?? null);
        this.#frontier.append(hash, (subtree) => this.#addSubtree.run(subtree.level, subtree.index, subtree.hash));
      }
  }

  addBlob(digest: Digest, length: number, bytes: Bytes | null): void {
    this.#addBlob.run(digest, length, bytes === null ? null : deflated(bytes));
  }

  #idOf(trajectory: TrajectoryId): number {
    const known = this.#ids.get(trajectory);
    if (known !== undefined) return known;
    const id = Number(this.#addTrajectory.run(trajectory).lastInsertRowid);
    this.#ids.set(trajectory, id);
    return id;
  }

  finish(): void {
    const { size, fingerprint, successor } = this.#check.retrace;
    this.#db
      .prepare('UPDATE head SET size = ?, frontier = ?, fingerprint = ?, successor = ? WHERE id = 0')
      .run(size, this.#frontier.stored(), fingerprint, successor);
  }
}
