/**
 * A ledger in one schema of a Postgres database: entries, payloads and blobs together. Durable before it answers; many processes on many hosts
 * may append. Must never delete or change an entry. PROTOCOL §3.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { KeptLedger } from '@openexec/ledger';
import { type Kysely, sql } from 'kysely';
import type { ClientConfig } from 'pg';
import type { OpenFailure } from '../errors.ts';
import { lockHead, QuerySnapshots, type WithSnapshots } from '../querySnapshots.ts';
import type { Later } from '../reading.ts';
import { inPortions } from '../salts.ts';
import { KeptStoredLedger, type OpenOptions } from '../storedLedger.ts';
import { type Address, parseAddress } from './address.ts';
import { clientConfig, connect, isCut, isOutcome, openRefusal, readFault, writeRefusal } from './connect.ts';
import { PostgresKeeper } from './keeper.ts';
import { Listener } from './listener.ts';
import { readingOf } from './reader.ts';
import { checkDurable, checkRights, type Database, migrate, POSTGRES_FORMAT, readVersion } from './tables.ts';
import { PostgresWriter } from './writer.ts';

/** More than a pool of dead connections. */
const READ_TRIES = 10;

/** How a ledger in Postgres is opened. */
export interface PostgresLedgerOptions extends OpenOptions {
  /** `postgres://user@host/database?schema=name`; TLS as its `sslmode` says. A missing schema is made where that is asked for, the database never. */
  readonly address: string;
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. Nothing is repaired. */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<Result<KeptLedger, OpenFailure>> {
  const address = parseAddress(options.address);
  if (!address.ok) return address;
  const config = clientConfig(address.value, 'openexec');
  if (!config.ok) return config;
  const db = connect(config.value, address.value.schema, options.access === 'readOnly');
  try {
    const prepared = await prepareSchema(db, address.value, options);
    if (!prepared.ok) return await givenUp(db, prepared);
    const instance = await sql<{ readonly instance: string }>`SELECT instance FROM store`.execute(db);
    const ledger = handleOf({ db, address: address.value, config: config.value, instance: instance.rows[0]?.instance ?? '' }, options);
    const remembered = await ledger.checkRemembered();
    if (remembered.ok) return ok(ledger);
    await ledger.close();
    return remembered;
  } catch (error) {
    await db.destroy();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, address.value));
  }
}

async function givenUp<T>(db: Database, refused: T): Promise<T> {
  await db.destroy();
  return refused;
}

async function prepareSchema(db: Database, address: Address, options: PostgresLedgerOptions): Promise<Result<void, OpenFailure>> {
  const { schema, place: where } = address;
  const version = await readVersion(db, schema, where);
  if (!version.ok) return version;
  if (version.value === 0 && options.missing !== 'create') return err({ code: 'store.missing', message: `there is no ledger at ${where}` });
  if (options.access === 'readOnly') {
    if (version.value === POSTGRES_FORMAT) return checkRights(db, { schema, where, write: false });
    return err({
      code: 'store.notALedger',
      message: `${where} holds no ledger of this format yet; open it for writing once`,
    });
  }
  if (version.value < POSTGRES_FORMAT) {
    const migrated = await migrate(db, { schema, clock: options.clock, randomness: options.randomness, where });
    if (!migrated.ok) return migrated;
  }
  const durable = await checkDurable(db, where);
  return durable.ok ? checkRights(db, { schema, where, write: true }) : durable;
}

/** What an open handle works with. */
interface Connected {
  readonly db: Database;
  readonly address: Address;
  readonly config: ClientConfig;
  readonly instance: string;
}

function handleOf({ db, address, config, instance }: Connected, options: PostgresLedgerOptions): KeptStoredLedger {
  const salts = inPortions(options.randomness);
  const watch = new Listener(config, address.schema);
  const writer = new PostgresWriter({
    db,
    schema: address.schema,
    instance,
    signer: options.signer,
    onCommit: (head) => ledger.committed(head),
  });
  /** One reading. A connection that ended is no answer: the next one is asked, until the server itself does not answer. */
  const ask = async <T>(what: string, read: () => Later<T>): Promise<T> => {
    for (let tries = 0; ; tries++) {
      try {
        return await read();
      } catch (error) {
        if (isCut(error) && tries < READ_TRIES && !ledger.isClosed) continue;
        throw readFault(error, { where: address.place, what });
      }
    }
  };
  const keeper = new PostgresKeeper({
    db,
    writer,
    schema: address.schema,
    instance,
    salts,
    readOnly: options.access === 'readOnly',
    isClosed: () => ledger.isClosed,
    ask,
  });
  // The tables of a schema, seen as the one that snapshots are in.
  const shelves = db as unknown as Kysely<WithSnapshots>;
  const snapshots = new QuerySnapshots({
    db: shelves,
    readOnly: options.access === 'readOnly',
    isClosed: () => ledger.isClosed,
    locked: (work) =>
      shelves.transaction().execute(async (tx) => {
        await lockHead(tx);
        await work(tx);
      }),
    isOutcome,
    refusalOf: (error) => writeRefusal(error, false),
  });
  const ledger: KeptStoredLedger = new KeptStoredLedger(
    {
      options,
      salts,
      reading: readingOf(db),
      writer,
      watch,
      ask,
      refusalOf: (error) => (isOutcome(error) ? writeRefusal(error, false) : undefined),
      dispose: () => db.destroy(),
    },
    keeper,
    snapshots,
  );
  return ledger;
}
