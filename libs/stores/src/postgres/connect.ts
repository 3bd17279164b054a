/**
 * From a `postgres://` address to connections, and from the server's errors to refusals. Must never show a password: addresses are shown without.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { StoreRefusalCode } from '@openexec/ledger';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { codeOf, type OpenFailure } from '../errors.ts';
import type { Database, Tables } from './tables.ts';

const POOL_SIZE = 8;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long an append waits for another writer's commit before it says busy. */
const LOCK_TIMEOUT_MS = 5000;
const DEFAULT_SCHEMA = 'openexec';

/** An address taken apart. */
export interface Address {
  /** What the driver is given: the address without our own parameters. */
  readonly connection: string;
  /** One ledger, one schema of the database. */
  readonly schema: string;
  /** For messages: host, database and schema. */
  readonly where: string;
}

/** Takes `postgres://user@host:port/database?schema=NAME&sslmode=…` apart. */
export function parseAddress(text: string): Result<Address, OpenFailure> {
  const refused = (why: string): Result<never, OpenFailure> =>
    err({
      code: 'store.address',
      message: `this is no address of a ledger in Postgres: ${why}; it looks like postgres://user@host/database?schema=name`,
    });
  if (!URL.canParse(text)) return refused('it cannot be read');
  const url = new URL(text);
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') return refused('it does not begin with postgres://');
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!/^[a-z][a-z0-9_]{0,50}$/.test(schema) || schema.startsWith('pg_'))
    return refused('schema is a lower-case name of letters, digits and _');
  url.searchParams.delete('schema');
  return ok({ connection: url.toString(), schema, where: `${url.host === '' ? 'the local server' : url.host}${url.pathname}` });
}

/** A pool whose every connection works in the schema, durably. Connections are made when they are needed. */
export function connect(address: Address, readOnly: boolean): Database {
  const pool = new pg.Pool({
    connectionString: address.connection,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'openexec',
  });
  // A connection that breaks while nobody uses it leaves the pool; whoever needs one next gets a new one.
  pool.on('error', () => undefined);
  // One that breaks in use fails the statement under way; the event beside it must not end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool,
      onCreateConnection: async (connection) => {
        const settings = [
          `SET search_path TO ${pg.escapeIdentifier(address.schema)}`,
          // `on` is also what a session falls back to that had it switched off for its role or database.
          'SET synchronous_commit TO on',
          `SET lock_timeout TO ${LOCK_TIMEOUT_MS}`,
          ...(readOnly ? ['SET default_transaction_read_only TO on'] : []),
        ];
        for (const setting of settings) await connection.executeQuery(CompiledQuery.raw(setting));
      },
    }),
  });
}

/** Whether the error is one of the server's or of the network, and so an outcome rather than a bug. */
export function isOutcome(error: unknown): boolean {
  const code = codeOf(error);
  return OUTCOMES.test(code) || /^E[A-Z0-9_]+$/.test(code) || isBroken(error);
}

/**
 * Classes of SQLSTATE that say how the server or the connection is: connection, state of the transaction, role, catalogue, rollback, resources,
 * limits, state of objects, operator, system, configuration, internal. A violated constraint or bad SQL is a defect of ours.
 */
const OUTCOMES = /^(08|25|28|3D|3F|40|53|54|55|57|58|F0|XX)[0-9A-Z]{3}$|^42501$|^42P01$/;

/** Whether the connection ended, rather than the server having answered. */
export function isCut(error: unknown): boolean {
  const code = codeOf(error);
  return isBroken(error) || ['57P01', 'ECONNRESET', 'EPIPE'].includes(code);
}

/** The driver has no code for a connection that ended, only words. */
function isBroken(error: unknown): boolean {
  const message =
    typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string' ? error.message : '';
  return /^(Connection terminated|Client was closed|Client has encountered a connection error|timeout exceeded when trying to connect|Connection ended)/.test(
    message,
  );
}

/** What a failed write means. `committing` says whether COMMIT had been sent. */
export function writeRefusal(error: unknown, committing: boolean): { readonly code: StoreRefusalCode; readonly message: string } {
  const code = codeOf(error);
  if (committing && (isBroken(error) || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('57P') || code.startsWith('08')))
    return {
      code: 'store.unknownOutcome',
      message: `the connection ended while committing (${code === '' ? 'closed' : code}); it is unknown whether the append is stored: open the ledger again and look`,
    };
  if (code === '53100') return { code: 'store.full', message: 'the disk of the server is full; make room and open the ledger again' };
  if (code === '25006' || code === '42501')
    return { code: 'store.readOnly', message: `the ledger cannot be written (${code}): the server or the role only allows reading` };
  if (code.startsWith('XX') || code === '58030')
    return { code: 'store.corrupt', message: `the server reports damage (${code}); run verify` };
  return {
    code: 'store.busy',
    message: `the append was not made (${code === '' ? 'the connection ended' : code}); nothing was stored, try again`,
  };
}

/** What a failure to open means. */
export function openRefusal(error: unknown, where: string): OpenFailure {
  const code = codeOf(error);
  if (code === '28P01' || code === '28000')
    return { code: 'store.unreadable', message: `${where} refused the user or the password (${code})` };
  if (code === '3D000') return { code: 'store.missing', message: `${where}: there is no such database; make it first (createdb)` };
  if (code === '42501' || code === '25006') return { code: 'store.readOnly', message: `${where}: the role may not write there (${code})` };
  if (code === '55P03') return { code: 'store.busy', message: `${where} is locked by another process; try again` };
  return { code: 'store.unreadable', message: `${where} cannot be reached (${code === '' ? 'no answer' : code})` };
}
