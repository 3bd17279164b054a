/**
 * The format of a ledger in SQLite: tables, version, migrations, and the settings that make a commit durable. Must never weaken a setting, and
 * never open what a newer release wrote. PROTOCOL §3; TOOLCHAIN §1.2.
 */
import process from 'node:process';
import { type Clock, err, ok, type Result, toHex, type Randomness } from '@openexec/canon';
import type Database from 'better-sqlite3';
import type { OpenFailure } from './errors.ts';

/** `PRAGMA user_version`: raised by every migration. */
export const FORMAT_VERSION = 2;
/** `PRAGMA application_id`: the letters OXL and a format family. */
export const APPLICATION_ID = 0x4f584c01;
/** How long a writer waits for another process's commit. */
export const BUSY_TIMEOUT_MS = 5000;

/** Each step takes a database from one version to the next; none is ever edited after a release. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied TEXT NOT NULL) STRICT;
   -- Kept outside the entries: a copy of the file has the same instance, an import a new one.
   CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 0), instance TEXT NOT NULL) STRICT;
   -- One row: what an append reads first and writes last. frontier = hashes of the compact range, largest subtree first.
   CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, frontier BLOB NOT NULL, fingerprint TEXT, successor TEXT) STRICT;
   CREATE TABLE trajectories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
   -- idx is the leaf index. payload and salt are null together, once erased.
   CREATE TABLE entries (idx INTEGER PRIMARY KEY, trajectory INTEGER NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL,
                         payload BLOB, salt BLOB, event TEXT) STRICT;
   CREATE UNIQUE INDEX entries_place ON entries (trajectory, seq);
   CREATE UNIQUE INDEX entries_event ON entries (trajectory, event) WHERE event IS NOT NULL;
   -- Roots of complete subtrees of 256^level leaves: with them any proof reads at most a few hundred rows.
   CREATE TABLE subtrees (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;
   CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
   -- bytes is null when they lie in a file of that name.
   CREATE TABLE blobs (digest TEXT PRIMARY KEY, length INTEGER NOT NULL, bytes BLOB) STRICT;
   INSERT INTO head VALUES (0, 0, x'', NULL, NULL);`,
  // Format 2 may pack entries and payloads and deflate blobs (packed.ts): what format 1 wrote is read as it stands and never rewritten.
  // Snapshots are derived, see snapshotRows.ts: they may be emptied at any time, but for the rows that say what was forgotten.
  `CREATE TABLE snapshots (run TEXT NOT NULL, seq INTEGER NOT NULL, leaf TEXT NOT NULL, digest TEXT NOT NULL, tag BLOB NOT NULL,
                           bytes BLOB NOT NULL, PRIMARY KEY (run, seq)) STRICT;`,
];
/** The oldest format whose entries are read as they stand, without being migrated; it has no snapshots. */
export const OLDEST_READ_VERSION = 1;

/** Brings a fresh or older database to {@link FORMAT_VERSION}; refuses a newer one, and one that is no ledger. */
export function migrate(
  db: Database.Database,
  options: { readonly clock: Clock; readonly randomness: Randomness; readonly path: string },
): Result<void, OpenFailure> {
  const known = checkVersion(db, options.path);
  if (!known.ok || known.value === FORMAT_VERSION) return known.ok ? ok(undefined) : known;
  const run = db.transaction((): Result<void, OpenFailure> => {
    // Asked again under the lock: another process may have been faster.
    const version = checkVersion(db, options.path);
    if (!version.ok) return version;
    for (let next = version.value; next < FORMAT_VERSION; next++) {
      db.exec(MIGRATIONS[next] ?? '');
      db.prepare('INSERT INTO migrations VALUES (?, ?)').run(next + 1, options.clock.now());
    }
    if (version.value === 0) db.prepare('INSERT INTO store VALUES (0, ?)').run(toHex(options.randomness.bytes(16)));
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${FORMAT_VERSION}`);
    return ok(undefined);
  });
  return run.immediate();
}

/** The format version of the database; 0 for an empty one. */
export function checkVersion(db: Database.Database, path: string): Result<number, OpenFailure> {
  const application = Number(db.pragma('application_id', { simple: true }));
  const version = Number(db.pragma('user_version', { simple: true }));
  const tables = Number(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
  if (application === 0 && version === 0 && tables === 0) return ok(0);
  if (application !== APPLICATION_ID) return err({ code: 'store.notALedger', message: `${path} is a database of something else` });
  if (version > FORMAT_VERSION) {
    return err({
      code: 'store.newerFormat',
      message: `${path} has format ${version}, this release writes ${FORMAT_VERSION}; use a newer release`,
    });
  }
  return ok(version);
}

/** Pages in the log before SQLite copies them home: fewer, larger copies cost an append less (TOOLCHAIN §5.1), and 16 MiB are read back in no time. */
const CHECKPOINT_PAGES = 4000;

/** On macOS fsync alone does not reach the medium. Elsewhere the setting would only turn fdatasync into fsync, at two to three times the price. */
const NEEDS_FULL_SYNC = process.platform === 'darwin';

/** Durability is a property of the connection: these are set on each. */
export function setDurable(db: Database.Database): void {
  db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  if (NEEDS_FULL_SYNC) {
    db.pragma('fullfsync = ON');
    db.pragma('checkpoint_fullfsync = ON');
  }
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.pragma('trusted_schema = OFF');
  // What is erased is overwritten, also where pages are split or given back (PROTOCOL §3).
  db.pragma('secure_delete = ON');
}

/**
 * Reads the settings back. Called after the first table exists: better-sqlite3 builds SQLite so that a database in WAL mode silently has
 * `synchronous = NORMAL` from then on unless FULL was said on this connection.
 */
export function checkDurable(db: Database.Database, path: string): Result<void, OpenFailure> {
  const journal = String(db.pragma('journal_mode', { simple: true }));
  const synchronous = Number(db.pragma('synchronous', { simple: true }));
  const fullSync = Number(db.pragma('fullfsync', { simple: true }));
  if (journal === 'wal' && synchronous === 2 && (fullSync === 1 || !NEEDS_FULL_SYNC)) return ok(undefined);
  const found = `journal_mode ${journal}, synchronous ${synchronous}, fullfsync ${fullSync}`;
  return err({
    code: 'store.notDurable',
    message: `${path} would not survive a power cut (${found}); move it to a local file system that supports WAL`,
  });
}
