/**
 * The companion of a ledger in EventStoreDB: a SQLite file or a schema of Postgres that holds payloads, salts and blobs, and an index that can be
 * made again from the stream. Must be as durable as the stream: a payload is stored before the entry that commits to it. PROTOCOL §3.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, err, ok, type Randomness, type Result, toHex } from '@openexec/canon';
import Sqlite from 'better-sqlite3';
import { Kysely, type QueryExecutorProvider, sql, SqliteDialect, type Transaction } from 'kysely';
import { codeOf, isOutcome, type OpenFailure, openRefusal } from '../errors.ts';
import { parseAddress } from '../postgres/address.ts';
import { clientConfig, connect, isOutcome as isPostgresOutcome, openRefusal as postgresRefusal } from '../postgres/connect.ts';
import { checkDurable as checkPostgres } from '../postgres/tables.ts';
import { snapshotTable, type WithSnapshots } from '../querySnapshots.ts';
import { checkDurable as checkSqlite, setDurable } from '../schema.ts';

/** Raised by every migration; counted apart from the formats of ledgers. */
const COMPANION_FORMAT = 2;

/** What a death may leave to whoever opens the ledger for writing next (`head.unfinished`). */
export const NOTHING = 0;
/** The ledger says that payloads were forgotten, and they are still here. */
export const TO_FORGET = 1;
/** They are gone, and SQLite's log still holds their bytes. */
export const TO_TRUNCATE = 2;
/** A checked copy is here whole, and not yet in the stream whole. */
export const TO_POUR = 3;

/** How long SQLite itself waits for another writer, and how often and after what pause it is tried again: about five seconds. */
const BUSY_BLOCK_MS = 5;
const BUSY_TRIES = 400;
const BUSY_WAIT_MS = 10;

/** A number that SQLite hands out as number and Postgres as text. */
type Count = number | string;

/** Tables as kysely knows them, alike on both. */
export interface CompanionTables extends WithSnapshots {
  readonly companion: {
    readonly id: number;
    readonly format: number;
    readonly instance: string;
    readonly stream: string;
    readonly made: string;
  };
  /** The next three and `subtrees` are the index: how far the stream has been read, and what was found. */
  readonly head: {
    readonly id: number;
    readonly size: Count;
    readonly frontier: Buffer;
    readonly leaf: string | null;
    readonly fingerprint: string | null;
    readonly successor: string | null;
    readonly pruned: number;
    /** {@link NOTHING}, or what is to be finished: {@link TO_FORGET}, {@link TO_TRUNCATE}, {@link TO_POUR}. */
    readonly unfinished: number;
  };
  readonly trajectories: {
    readonly id: Count;
    readonly name: string;
    readonly seq: Count;
    readonly leaf: string;
    readonly fact_at: string | null;
    readonly closed: number;
  };
  readonly entries: {
    readonly idx: Count;
    readonly trajectory: Count;
    readonly seq: Count;
    readonly event: string | null;
    readonly commitment: string;
    readonly leaf: Buffer;
    readonly erased: number;
  };
  readonly subtrees: { readonly level: number; readonly idx: Count; readonly hash: Buffer };
  readonly payloads: { readonly commitment: string; readonly payload: Buffer; readonly salt: Buffer; readonly stored: string };
  readonly blobs: { readonly digest: string; readonly length: Count };
  readonly blob_parts: { readonly digest: string; readonly part: number; readonly bytes: Buffer };
  readonly checkpoints: { readonly size: Count; readonly note: string };
  /** Entries of a copy that has been checked and is on its way into the stream. */
  readonly staged: { readonly idx: Count; readonly entry: Buffer };
}
/** Connections to the companion. */
export type Companion = Kysely<CompanionTables>;
/** A transaction on it; while one is open on SQLite nothing else may use the connection. */
export type CompanionTx = Transaction<CompanionTables>;

/**
 * One transaction, tried again where another writer of a SQLite file was in the way. Waiting inside SQLite would stop this process, and with it a
 * transaction of another handle that is waited for. `work` may run several times, and begins with a statement that writes.
 */
export async function inTransaction<T>(db: Companion, work: (tx: CompanionTx) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (tries >= BUSY_TRIES || !codeOf(error).startsWith('SQLITE_BUSY')) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(BUSY_WAIT_MS, tries)));
    }
  }
}

/** What opening a companion takes. */
export interface CompanionOptions {
  readonly place: string;
  readonly stream: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly readOnly: boolean;
  readonly create: boolean;
}
/** An open companion. */
export interface OpenedCompanion {
  readonly db: Companion;
  readonly instance: string;
  readonly isPostgres: boolean;
  /** Empties SQLite's log, which keeps what was deleted; false where another process holds it back. Postgres has none to empty. */
  truncateLog(): Promise<boolean>;
}

/** Each step takes a companion from one format to the next; none is ever edited after a release. `bytes`, `int`, `name`: types by their dialect. */
const MIGRATIONS: readonly ((type: Types) => readonly string[])[] = [
  ({ bytes, int, name }) => [
    `CREATE TABLE companion (id ${int} PRIMARY KEY CHECK (id = 0), format ${int} NOT NULL, instance ${name} NOT NULL, stream ${name} NOT NULL, made ${name} NOT NULL)`,
    `CREATE TABLE head (id ${int} PRIMARY KEY CHECK (id = 0), size ${int} NOT NULL, frontier ${bytes} NOT NULL, leaf ${name}, fingerprint ${name}, successor ${name}, pruned ${int} NOT NULL, unfinished ${int} NOT NULL)`,
    `CREATE TABLE trajectories (id ${int} PRIMARY KEY, name ${name} NOT NULL UNIQUE, seq ${int} NOT NULL, leaf ${name} NOT NULL, fact_at ${name}, closed ${int} NOT NULL)`,
    `CREATE TABLE entries (idx ${int} PRIMARY KEY, trajectory ${int} NOT NULL, seq ${int} NOT NULL, event ${name}, commitment ${name} NOT NULL, leaf ${bytes} NOT NULL, erased ${int} NOT NULL)`,
    'CREATE UNIQUE INDEX entries_place ON entries (trajectory, seq)',
    'CREATE UNIQUE INDEX entries_event ON entries (trajectory, event) WHERE event IS NOT NULL',
    'CREATE INDEX entries_commitment ON entries (commitment)',
    `CREATE TABLE subtrees (level ${int} NOT NULL, idx ${int} NOT NULL, hash ${bytes} NOT NULL, PRIMARY KEY (level, idx))`,
    `CREATE TABLE payloads (commitment ${name} PRIMARY KEY, payload ${bytes} NOT NULL, salt ${bytes} NOT NULL, stored ${name} NOT NULL)`,
    `CREATE TABLE blobs (digest ${name} PRIMARY KEY, length ${int} NOT NULL)`,
    `CREATE TABLE blob_parts (digest ${name} NOT NULL, part ${int} NOT NULL, bytes ${bytes} NOT NULL, PRIMARY KEY (digest, part))`,
    `CREATE TABLE checkpoints (size ${int} PRIMARY KEY, note ${name} NOT NULL)`,
    `CREATE TABLE staged (idx ${int} PRIMARY KEY, entry ${bytes} NOT NULL)`,
  ],
  // Derived: see snapshotRows.ts.
  (types) => [snapshotTable(types)],
];
interface Types {
  readonly bytes: string;
  readonly int: string;
  readonly name: string;
}
const SQLITE: Types = { bytes: 'BLOB', int: 'INTEGER', name: 'TEXT' };
const POSTGRES: Types = { bytes: 'bytea', int: 'bigint', name: 'text COLLATE "C"' };

/** How one kind of companion is reached and asked about itself. */
interface Kind {
  readonly db: Companion;
  readonly types: Types;
  /** Names of the tables that are there. */
  tables(on: QueryExecutorProvider): Promise<readonly string[]>;
  /** Before the first table, inside the transaction that makes it. */
  prepare(on: QueryExecutorProvider): Promise<void>;
  checkDurable(): Promise<Result<void, OpenFailure>>;
  truncateLog(): Promise<boolean>;
  /** What an error of its driver means while it is opened; null for one that is none of its. */
  refusalOf(error: unknown): OpenFailure | null;
}

/** Opens the companion, makes it where that is wanted, and sees that it belongs to the stream. */
export async function openCompanion(options: CompanionOptions): Promise<Result<OpenedCompanion, OpenFailure>> {
  const kind = /^postgres(ql)?:/.test(options.place) ? inPostgres(options) : inSqlite(options);
  if (!kind.ok) return kind;
  try {
    const opened = await prepared(kind.value, options);
    if (!opened.ok) await kind.value.db.destroy();
    return opened;
  } catch (error) {
    await kind.value.db.destroy();
    const refusal = kind.value.refusalOf(error);
    if (refusal === null) throw error;
    return err(refusal);
  }
}

function inPostgres(options: CompanionOptions): Result<Kind, OpenFailure> {
  const address = parseAddress(options.place);
  if (!address.ok) return address;
  const { schema, place: where } = address.value;
  const config = clientConfig(address.value, 'openexec companion');
  if (!config.ok) return config;
  const db = connect<CompanionTables>(config.value, schema, options.readOnly);
  return ok({
    db,
    types: POSTGRES,
    tables: async (on) => {
      const found = await sql<{ readonly name: string }>`
        SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ${schema}`.execute(on);
      return found.rows.map(({ name }) => name);
    },
    prepare: async (on) => {
      // Two processes that open a new ledger at once: the second waits here and then finds it made.
      await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`openexec/${schema}`}, 0))`.execute(on);
      await sql`CREATE SCHEMA IF NOT EXISTS ${sql.id(schema)}`.execute(on);
    },
    checkDurable: () => checkPostgres(db, where),
    truncateLog: async () => true,
    refusalOf: (error) => (isPostgresOutcome(error) ? postgresRefusal(error, address.value) : null),
  });
}

function inSqlite(options: CompanionOptions): Result<Kind, OpenFailure> {
  const { place } = options;
  if (!existsSync(place) && !options.create) return err({ code: 'store.missing', message: `there is no companion store at ${place}` });
  if (!existsSync(dirname(place)))
    return err({ code: 'store.missingDirectory', message: `the folder ${dirname(place)} of the companion does not exist; make it first` });
  const file = new Sqlite(place, { readonly: options.readOnly });
  const db = new Kysely<CompanionTables>({ dialect: new SqliteDialect({ database: file }) });
  if (!options.readOnly) setDurable(file);
  file.pragma(`busy_timeout = ${BUSY_BLOCK_MS}`);
  return ok({
    db,
    types: SQLITE,
    tables: async (on) => {
      const found = await sql<{ readonly name: string }>`SELECT name FROM sqlite_schema WHERE type = 'table'`.execute(on);
      return found.rows.map(({ name }) => name);
    },
    // Takes the write lock: a transaction that begins by reading could not take it later.
    prepare: async (on) => void (await sql`PRAGMA user_version = 0`.execute(on)),
    checkDurable: async () => (options.readOnly ? ok(undefined) : checkSqlite(file, place)),
    truncateLog: async () => {
      const done = await sql<{ readonly busy: number }>`PRAGMA wal_checkpoint(TRUNCATE)`.execute(db);
      return done.rows[0]?.busy === 0;
    },
    refusalOf: (error) => (isOutcome(error) ? openRefusal(error, place, true) : null),
  });
}

async function prepared(kind: Kind, options: CompanionOptions): Promise<Result<OpenedCompanion, OpenFailure>> {
  const { db } = kind;
  if ((await kind.tables(db)).length === 0) {
    if (!options.create || options.readOnly)
      return err({
        code: 'store.missing',
        message: `there is no companion store at ${shown(options.place)}; one that is made new has no payloads, which fits only a stream that has not begun`,
      });
    await inTransaction(db, (tx) => make(tx, kind, options));
  }
  const tables = new Set(await kind.tables(db));
  if (!['companion', 'head', 'payloads', 'blob_parts'].every((name) => tables.has(name)))
    return err({ code: 'store.notALedger', message: `${shown(options.place)} holds tables of something else` });
  const row = await db.selectFrom('companion').select(['format', 'instance', 'stream']).where('id', '=', 0).executeTakeFirstOrThrow();
  if (Number(row.format) > COMPANION_FORMAT)
    return err({
      code: 'store.newerFormat',
      message: `${shown(options.place)} has format ${row.format}, this release writes ${COMPANION_FORMAT}; use a newer release`,
    });
  if (row.stream !== options.stream)
    return err({
      code: 'store.notALedger',
      message: `${shown(options.place)} is the companion of stream ${row.stream}, not of ${options.stream}`,
    });
  if (Number(row.format) < COMPANION_FORMAT) {
    if (options.readOnly)
      return err({ code: 'store.notALedger', message: `${shown(options.place)} has an older format; open it for writing once` });
    await inTransaction(db, (tx) => raise(tx, kind));
  }
  const durable = await kind.checkDurable();
  return durable.ok
    ? ok({ db, instance: row.instance, isPostgres: kind.types === POSTGRES, truncateLog: () => kind.truncateLog() })
    : durable;
}

/** Makes the tables, unless another process was faster. */
async function make(tx: CompanionTx, kind: Kind, options: CompanionOptions): Promise<void> {
  await kind.prepare(tx);
  if ((await kind.tables(tx)).length > 0) return;
  for (const migration of MIGRATIONS) for (const statement of migration(kind.types)) await sql.raw(statement).execute(tx);
  const instance = toHex(options.randomness.bytes(16));
  const row = { id: 0, format: COMPANION_FORMAT, instance, stream: options.stream, made: options.clock.now() };
  await tx.insertInto('companion').values(row).execute();
  await tx
    .insertInto('head')
    .values({ id: 0, size: 0, frontier: Buffer.alloc(0), leaf: null, fingerprint: null, successor: null, pruned: 0, unfinished: NOTHING })
    .execute();
}

/** Takes an older companion to this format, unless another process was faster. */
async function raise(tx: CompanionTx, kind: Kind): Promise<void> {
  // Takes the lock, as everything that writes does.
  await tx.updateTable('head').set({ id: 0 }).where('id', '=', 0).execute();
  const { format } = await tx.selectFrom('companion').select('format').where('id', '=', 0).executeTakeFirstOrThrow();
  for (const migration of MIGRATIONS.slice(Number(format)))
    for (const statement of migration(kind.types)) await sql.raw(statement).execute(tx);
  await tx.updateTable('companion').set({ format: COMPANION_FORMAT }).where('id', '=', 0).execute();
}

/** A place without its password. */
function shown(place: string): string {
  const address = /^postgres(ql)?:/.test(place) ? parseAddress(place) : undefined;
  return address?.ok === true ? `schema ${address.value.schema} of ${address.value.place}` : place;
}
