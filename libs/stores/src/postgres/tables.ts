/**
 * The format of a ledger in Postgres: one schema, its tables, version and migrations, and the settings that make a commit durable. Must never
 * weaken a setting, use a sequence for order, or open what a newer release wrote. PROTOCOL §3.
 */
import { type Clock, err, ok, type Randomness, type Result, toHex } from '@openexec/canon';
import { type Kysely, type QueryExecutorProvider, sql, type Transaction } from 'kysely';
import type { OpenFailure } from '../errors.ts';
import { snapshotTable, type WithSnapshots } from '../querySnapshots.ts';

/** Raised by every migration; counted apart from SQLite's. */
export const POSTGRES_FORMAT = 2;

/** Tables as kysely knows them. `bigint` columns arrive as text, `bytea` as Buffer. */
export interface Tables extends WithSnapshots {
  readonly store: { readonly instance: string };
  readonly migrations: { readonly version: number; readonly applied: string };
  readonly head: {
    readonly id: number;
    readonly size: string;
    readonly frontier: Buffer;
    readonly fingerprint: string | null;
    readonly successor: string | null;
  };
  readonly trajectories: {
    readonly id: string;
    readonly name: string;
    readonly seq: string;
    readonly leaf: string;
    readonly fact_at: string | null;
    readonly closed: boolean;
  };
  readonly entries: {
    readonly idx: string;
    readonly trajectory: string;
    readonly seq: string;
    readonly entry: Buffer;
    readonly payload: Buffer | null;
    readonly salt: Buffer | null;
    readonly event: string | null;
  };
  readonly subtrees: { readonly level: number; readonly idx: string; readonly hash: Buffer };
  readonly checkpoints: { readonly size: string; readonly note: string };
  readonly blobs: { readonly digest: string; readonly length: string };
  readonly blob_parts: { readonly digest: string; readonly part: number; readonly bytes: Buffer };
}
/** A connection pool that knows the tables. */
export type Database = Kysely<Tables>;

/** Each step takes a schema from one version to the next; none is ever edited after a release. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    'CREATE TABLE migrations (version integer PRIMARY KEY, applied text NOT NULL)',
    // Kept outside the entries: a copy of the database has the same instance, an import a new one.
    'CREATE TABLE store (id smallint PRIMARY KEY CHECK (id = 0), instance text NOT NULL)',
    // One row: the lock of every append. frontier = hashes of the compact range, largest subtree first.
    'CREATE TABLE head (id smallint PRIMARY KEY CHECK (id = 0), size bigint NOT NULL, frontier bytea NOT NULL, fingerprint text, successor text)',
    // seq, leaf, fact_at and closed are derived from the entries, in the transaction that appends them.
    `CREATE TABLE trajectories (id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, seq bigint NOT NULL, leaf text NOT NULL,
                                fact_at text, closed boolean NOT NULL)`,
    // idx is the leaf index. payload and salt are null together, once erased.
    `CREATE TABLE entries (idx bigint PRIMARY KEY, trajectory bigint NOT NULL, seq bigint NOT NULL, entry bytea NOT NULL,
                           payload bytea, salt bytea, event text COLLATE "C")`,
    'CREATE UNIQUE INDEX entries_place ON entries (trajectory, seq)',
    'CREATE UNIQUE INDEX entries_event ON entries (trajectory, event) WHERE event IS NOT NULL',
    // Entries hold hashes and ciphertext-like salts: compressing them costs and gains nothing.
    'ALTER TABLE entries ALTER COLUMN entry SET STORAGE EXTERNAL',
    // Roots of complete subtrees of 256^level leaves: with them any proof reads at most a few hundred rows.
    'CREATE TABLE subtrees (level integer NOT NULL, idx bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, idx))',
    'CREATE TABLE checkpoints (size bigint PRIMARY KEY, note text NOT NULL)',
    'CREATE TABLE blobs (digest text COLLATE "C" PRIMARY KEY, length bigint NOT NULL)',
    'CREATE TABLE blob_parts (digest text COLLATE "C" NOT NULL, part integer NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (digest, part))',
    "INSERT INTO head VALUES (0, 0, '', NULL, NULL)",
  ],
  // Derived: see snapshotRows.ts. May be emptied at any time, but for the rows that say what was forgotten.
  [snapshotTable({ bytes: 'bytea', int: 'bigint', name: 'text COLLATE "C"' })],
];

/** Brings a missing, fresh or older schema to {@link POSTGRES_FORMAT}, in one transaction under a lock of its own. */
export async function migrate(
  db: Database,
  options: { readonly schema: string; readonly clock: Clock; readonly randomness: Randomness; readonly where: string },
): Promise<Result<void, OpenFailure>> {
  return db.transaction().execute(async (tx) => {
    // Two processes that open a new ledger at once: the second waits here and then finds it made.
    await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`openexec/${options.schema}`}, 0))`.execute(tx);
    const version = await readVersion(tx, options.schema, options.where);
    if (!version.ok) return version;
    if (version.value === 0 && !(await hasSchema(tx, options.schema))) await sql`CREATE SCHEMA ${sql.id(options.schema)}`.execute(tx);
    for (let next = version.value; next < POSTGRES_FORMAT; next++) {
      for (const statement of MIGRATIONS[next] ?? []) await sql.raw(statement).execute(tx);
      await sql`INSERT INTO migrations VALUES (${next + 1}, ${options.clock.now()})`.execute(tx);
    }
    if (version.value === 0) await sql`INSERT INTO store VALUES (0, ${toHex(options.randomness.bytes(16))})`.execute(tx);
    return ok(undefined);
  });
}

/** A role may be given a schema of its own without the right to make schemas, which `IF NOT EXISTS` would ask for all the same. */
async function hasSchema(db: Transaction<Tables>, schema: string): Promise<boolean> {
  const found = await sql`SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ${schema}`.execute(db);
  return found.rows.length > 0;
}

/** The format version of a schema; 0 where it is missing or empty. */
export async function readVersion(db: Database | Transaction<Tables>, schema: string, where: string): Promise<Result<number, OpenFailure>> {
  const tables = await sql<{ readonly name: string }>`
    SELECT c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`.execute(db);
  // From the catalogue itself: the information schema hides what this role may not use, which would look like an empty schema.
  if (tables.rows.length === 0) return ok(0);
  const names = new Set(tables.rows.map(({ name }) => name));
  if (!['migrations', 'store', 'head', 'entries'].every((name) => names.has(name)))
    return err({ code: 'store.notALedger', message: `${where} holds tables of something else` });
  const versions = await sql<{ readonly version: number | null }>`SELECT max(version) AS version FROM migrations`.execute(db);
  const version = versions.rows[0]?.version ?? 0;
  if (version > POSTGRES_FORMAT)
    return err({
      code: 'store.newerFormat',
      message: `${where} has format ${version}, this release writes ${POSTGRES_FORMAT}; use a newer release`,
    });
  return ok(version);
}

/** Asks what this role may do with the tables before anything depends on it: a right that is missing shows at the first statement that needs it, else. */
export async function checkRights(
  db: Database,
  { schema, where, write }: { readonly schema: string; readonly where: string; readonly write: boolean },
): Promise<Result<void, OpenFailure>> {
  const found = await sql<{ readonly role: string; readonly name: string; readonly reads: boolean; readonly writes: boolean }>`
    SELECT current_user AS role, c.relname AS name, has_table_privilege(c.oid, 'SELECT') AS reads,
           (c.relname = 'head' OR has_table_privilege(c.oid, 'INSERT'))
             AND (c.relname NOT IN ('head', 'trajectories', 'blobs') OR has_table_privilege(c.oid, 'UPDATE')) AS writes
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${schema} AND c.relkind IN ('r', 'p') ORDER BY c.relname`.execute(db);
  const missing = (may: (row: (typeof found.rows)[number]) => boolean): string =>
    found.rows.flatMap((row) => (may(row) ? [] : [row.name])).join(', ');
  const role = found.rows[0]?.role ?? '';
  const unread = missing(({ reads }) => reads);
  if (unread !== '')
    return err({
      code: 'store.denied',
      message: `${where}: the role ${role} may not read ${unread}; grant it USAGE on the schema and SELECT`,
    });
  const unwritten = write ? missing(({ writes, name }) => writes || ['migrations', 'store'].includes(name)) : '';
  if (unwritten === '') return ok(undefined);
  return err({
    code: 'store.readOnly',
    message: `${where}: the role ${role} may not write ${unwritten} and nothing was stored; grant it INSERT and UPDATE there (to forget, UPDATE and DELETE on all)`,
  });
}

/** Reads back what makes a commit survive a power cut, on the server and on this connection. */
export async function checkDurable(db: QueryExecutorProvider, where: string): Promise<Result<void, OpenFailure>> {
  const found = await sql<{ readonly fsync: string; readonly pages: string; readonly commit: string }>`
    SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, current_setting('synchronous_commit') AS commit`.execute(
    db,
  );
  const [row] = found.rows;
  if (row?.fsync === 'on' && row.pages === 'on' && ['on', 'remote_apply'].includes(row.commit)) return ok(undefined);
  return err({
    code: 'store.notDurable',
    message: `${where} would not survive a power cut (fsync ${row?.fsync ?? 'unknown'}, full_page_writes ${row?.pages ?? 'unknown'}, synchronous_commit ${row?.commit ?? 'unknown'}); all three have to be on`,
  });
}
