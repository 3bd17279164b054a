/**
 * A ledger in one SQLite database, with a folder of large blobs beside it. Durable before it answers; many processes may append. Must never
 * delete or change an entry; what forgets payloads is its keeper. PROTOCOL §3; the life of one append stands in the README.
 */
import { accessSync, constants } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { dirname, join } from 'node:path';
import { err, instantToMs, ok, type Result } from '@openexec/canon';
import type { AppendFailure, Blob, KeptLedger, PreparedBatch } from '@openexec/ledger';
import Database from 'better-sqlite3';
import { BlobFiles, MAX_ROW_BLOB_BYTES } from './blobFiles.ts';
import { isOutcome, type OpenFailure, openRefusal, readFault, writeRefusal } from './errors.ts';
import type { Answer } from './group.ts';
import type { Later } from './reading.ts';
import { RowReader } from './rows.ts';
import { inPortions } from './salts.ts';
import { checkDurable, checkVersion, migrate, OLDEST_READ_VERSION, setDurable } from './schema.ts';
import { SqliteKeeper } from './sqliteKeeper.ts';
import { hindranceAt } from './sqlitePlace.ts';
import { SqliteReading } from './sqliteReading.ts';
import { SqliteSnapshots } from './sqliteSnapshots.ts';
import { KeptStoredLedger, type OpenOptions } from './storedLedger.ts';
import { rootOf } from './tree.ts';
import { Watch } from './watch.ts';
import { Writer } from './writer.ts';

/** How a ledger in SQLite is opened. */
export interface SqliteLedgerOptions extends OpenOptions {
  /** The database file; large blobs go to a folder `blobs` beside it. */
  readonly path: string;
  /** Told of each numbered window of forgetting and copying as it is passed: tests die there. */
  readonly onWindow?: (window: number) => void;
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. Nothing is repaired. */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<Result<KeptLedger, OpenFailure>> {
  const { path } = options;
  const hindrance = hindranceAt(path, { write: options.access !== 'readOnly', create: options.missing === 'create' });
  if (hindrance !== null) return err(hindrance);
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { readonly: options.access === 'readOnly' });
    const prepared = prepareDatabase(db, options);
    if (!prepared.ok) {
      db.close();
      return prepared;
    }
    const blobs = new BlobFiles(join(dirname(path), 'blobs'), options.randomness);
    if (options.access !== 'readOnly') await blobs.sweep(instantToMs(options.clock.now()));
    const ledger = handleOf(db, blobs, options);
    const remembered = await ledger.checkRemembered();
    if (remembered.ok) return ok(ledger);
    await ledger.close();
    return remembered;
  } catch (error) {
    db?.close();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, path, isWritable(path)));
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return true;
  } catch {
    // The system's one way to say no.
    return false;
  }
}

function prepareDatabase(db: Database.Database, options: SqliteLedgerOptions): Result<void, OpenFailure> {
  if (options.access === 'readOnly') {
    const version = checkVersion(db, options.path);
    if (!version.ok) return version;
    if (version.value >= OLDEST_READ_VERSION) return ok(undefined);
    return err({ code: 'store.notALedger', message: `${options.path} is empty and holds no ledger yet; open it for writing once` });
  }
  // Before anything is written to a file that may be somebody else's.
  const version = checkVersion(db, options.path);
  if (!version.ok) return version;
  setDurable(db);
  const migrated = migrate(db, options);
  return migrated.ok ? checkDurable(db, options.path) : migrated;
}

/** The handle over an open database. Throws SQLite's errors. */
function handleOf(db: Database.Database, blobFiles: BlobFiles, options: SqliteLedgerOptions): KeptStoredLedger {
  const { path } = options;
  const readOnly = options.access === 'readOnly';
  const salts = inPortions(options.randomness);
  const rows = new RowReader(db);
  const watch = new Watch(db);
  const writer = new Writer({
    db,
    reader: rows,
    instance: String(db.prepare('SELECT instance FROM store').pluck().get()),
    signer: options.signer,
    isThere: (digest) => blobFiles.has(digest),
    onCommit: () => ledger.committed(),
    steadyMs: () => performance.now(),
  });
  const ask = async <T>(what: string, read: () => Later<T>): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      throw readFault(error, { path, what });
    }
  };
  const keeper = new SqliteKeeper({
    db,
    path,
    blobFiles,
    reader: rows,
    writer,
    salts,
    readOnly,
    isClosed: () => ledger.isClosed,
    ask,
    onWindow: options.onWindow ?? (() => undefined),
    onCopied: () => ledger.committed(),
  });
  const snapshots = new SqliteSnapshots({ db, path, readOnly, isClosed: () => ledger.isClosed });
  const ledger: KeptStoredLedger = new KeptStoredLedger(
    {
      options,
      salts,
      reading: new SqliteReading({ db, rows, blobFiles, headRow: () => writer.headRow() }),
      writer: { append: (batch) => appendWithFiles(batch, blobFiles, writer), finish: () => writer.finish() },
      watch,
      ask,
      refusalOf: (error) => (isOutcome(error) ? writeRefusal(error, path, false) : undefined),
      headNow: () => {
        const { size, frontier, fingerprint } = writer.headRow();
        return { size: BigInt(size), root: rootOf(size, frontier), fingerprint };
      },
      dispose: () => void db.close(),
    },
    keeper,
    snapshots,
  );
  // Start-up finishes what an interrupted forgetting left (PROTOCOL §3).
  if (!readOnly) keeper.settle();
  return ledger;
}

/** Large blobs are durable before the transaction whose entries name them begins. */
function appendWithFiles(batch: PreparedBatch, blobFiles: BlobFiles, writer: Writer): Promise<Answer> {
  const large = batch.blobs.filter(({ bytes }) => bytes.length > MAX_ROW_BLOB_BYTES);
  // A handle that is closed meanwhile answers `store.closed`; it does not touch the database.
  return large.length === 0
    ? writer.append(batch)
    : written(large, blobFiles, writer).then((refused) => (refused === null ? writer.append(batch) : err(refused)));
}

async function written(large: readonly Blob[], blobFiles: BlobFiles, writer: Writer): Promise<AppendFailure | null> {
  try {
    for (const { digest, bytes } of large) await blobFiles.write(digest, bytes);
    return null;
  } catch (error) {
    if (!isOutcome(error)) throw error;
    const refusal = writeRefusal(error, writer.path, true);
    writer.stop(refusal);
    return refusal;
  }
}
