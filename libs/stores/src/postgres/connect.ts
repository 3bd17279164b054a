/**
 * From an address to connections, and from the server's errors to refusals. Must never show a password, nor weaken what `sslmode` asks for.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { digestOf, err, ok, type Result, utf8Encode } from '@openexec/canon';
import { LedgerFault } from '@openexec/ledger';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { codeOf, messageOf, type OpenFailure, type Refusal } from '../errors.ts';
import type { Address } from './address.ts';
import type { Tables } from './tables.ts';

/** The code of the fault that reading damaged bytes throws. */
const CORRUPT = 'store.corrupt';
/** And that of a server that did not answer. */
const UNREACHABLE = 'store.unreachable';
/** A table that was there when the ledger was opened is gone. */
const NO_TABLE = '42P01';
const POOL_SIZE = 8;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long an append waits for another writer's commit before it says busy. */
const LOCK_TIMEOUT_MS = 5000;
/** A host that vanished without a word is noticed within minutes, not hours. */
const KEEP_ALIVE_MS = 10_000;
/** Names of the server have at most 63 characters. */
const NAME_DIGITS = 32;

/** What the driver is given; nothing of it is taken from parameters that it would read out of an address by itself. */
export function clientConfig(address: Address, name: string): Result<pg.ClientConfig, OpenFailure> {
  const ssl = sslOf(address);
  if (!ssl.ok) return ssl;
  const { host, port, database, user, password } = address;
  return ok({
    host,
    port,
    database,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ssl: ssl.value,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    application_name: name,
  });
}

function sslOf({ sslMode, sslRootCert }: Address): Result<false | ConnectionOptions, OpenFailure> {
  if (sslMode === 'disable') return ok(false);
  let ca: { readonly ca?: string } = {};
  try {
    if (sslRootCert !== undefined) ca = { ca: readFileSync(sslRootCert, 'utf8') };
  } catch (error) {
    return err({ code: 'store.address', message: `the file that sslrootcert names cannot be read (${codeOf(error)})` });
  }
  if (sslMode === 'require') return ok({ ...ca, rejectUnauthorized: false });
  if (sslMode === 'verify-ca') return ok({ ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined });
  return ok({ ...ca, rejectUnauthorized: true });
}

/**
 * Prepares each statement with parameters once per connection: the few that a store has are planned once instead of at every commit. A statement's
 * name is its digest, so two texts never share one.
 */
class PreparingClient extends pg.Client {
  static readonly #names = new Map<string, string>();

  // The one form that the query builder uses is changed; all others go on as they are.
  override query(...args: unknown[]): never {
    const [text, values] = args;
    const prepared = typeof text === 'string' && Array.isArray(values) && values.length > 0 && args.length === 2;
    const given = prepared ? [{ name: PreparingClient.#nameOf(text), text, values }] : args;
    return Reflect.apply(super.query, this, given) as never;
  }

  static #nameOf(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const name = `openexec_${digestOf(utf8Encode(text)).slice('sha256:'.length, 'sha256:'.length + NAME_DIGITS)}`;
    this.#names.set(text, name);
    return name;
  }
}

/** A pool whose every connection works in the schema, durably. Connections are made when they are needed. */
export function connect<T = Tables>(config: pg.ClientConfig, schema: string, readOnly: boolean): Kysely<T> {
  const pool = new pg.Pool({ ...config, max: POOL_SIZE, Client: PreparingClient });
  // A connection that breaks while nobody uses it leaves the pool; whoever needs one next gets a new one.
  pool.on('error', () => undefined);
  // One that breaks in use fails the statement under way; the event beside it must not end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new Kysely<T>({
    dialect: new PostgresDialect({
      pool,
      onCreateConnection: async (connection) => {
        const settings = [
          `SET search_path TO ${pg.escapeIdentifier(schema)}`,
          // `on` is also what a session falls back to that had it switched off for its role or database.
          'SET synchronous_commit TO on',
          `SET lock_timeout TO ${LOCK_TIMEOUT_MS}`,
          ...(readOnly ? ['SET default_transaction_read_only TO on'] : []),
        ];
        await connection.executeQuery(CompiledQuery.raw(settings.join('; ')));
      },
    }),
  });
}

/** Whether the error is one of the server's, of the network, of TLS or of damaged bytes, and so an outcome rather than a bug. */
export function isOutcome(error: unknown): boolean {
  const code = codeOf(error);
  return OUTCOMES.test(code) || /^E[A-Z0-9_]+$/.test(code) || [CORRUPT, UNREACHABLE].includes(code) || isTls(error) || isBroken(error);
}

/** What Node.js says of a certificate, and the driver of a server that speaks no TLS. */
function isTls(error: unknown): boolean {
  return (
    /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|HOSTNAME_MISMATCH|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/.test(codeOf(error)) || isWithoutTls(error)
  );
}

function isWithoutTls(error: unknown): boolean {
  return /^The server does not support SSL connections|^There was an error establishing an SSL connection/.test(messageOf(error));
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
  return /^(Connection terminated|Client was closed|Client has encountered a connection error|timeout exc|timeout expired|Query read timeout|Connection ended|SASL: )/.test(
    messageOf(error),
  );
}

/** What a failed write means. `committing` says whether COMMIT had been sent. */
export function writeRefusal(error: unknown, committing: boolean): Refusal {
  const code = codeOf(error);
  if (committing && (isBroken(error) || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('57P') || code.startsWith('08')))
    return {
      code: 'store.unknownOutcome',
      message: `the connection ended while committing (${code === '' ? 'closed' : code}); it is unknown whether the append is stored: open the ledger again and look`,
    };
  if (code === '53100') return { code: 'store.full', message: 'the disk of the server is full; make room and open the ledger again' };
  if (code === '25006' || code === '42501')
    return { code: 'store.readOnly', message: `the ledger cannot be written (${code}): the server or the role only allows reading` };
  if (isDamage(code)) return { code: 'store.corrupt', message: `the server reports damage (${code}); run verify` };
  if (code === CORRUPT) return { code: CORRUPT, message: messageOf(error) };
  return { code: 'store.busy', message: `the append was not made (${reasonOf(error)}); nothing was stored, try again` };
}

/** What a failed reading is thrown as, with the place and what was read there; a bug stays what it is. */
export function readFault(error: unknown, { where, what }: { readonly where: string; readonly what: string }): unknown {
  if ([CORRUPT, UNREACHABLE].includes(codeOf(error)) || !isOutcome(error)) return error;
  if (isDamage(codeOf(error)) || codeOf(error) === NO_TABLE)
    return new LedgerFault('store.corrupt', `${where} reports damage in ${what} (${codeOf(error)}); run verify, and restore a backup`);
  return new LedgerFault(UNREACHABLE, `${where} did not answer for ${what} (${reasonOf(error)}); nothing is lost, try again`);
}

function isDamage(code: string): boolean {
  return code.startsWith('XX') || code === '58030';
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  return code === '' ? 'the connection ended' : code;
}

/** What a failure to open means. */
export function openRefusal(error: unknown, { place, sslMode }: Pick<Address, 'place' | 'sslMode'>): OpenFailure {
  const code = codeOf(error);
  const refused = (message: string): OpenFailure => ({ code: 'store.refused', message: `${place}: ${message}` });
  if (code === CORRUPT) return { code: CORRUPT, message: `${place}: ${messageOf(error)}` };
  if (isDamage(code)) return { code: CORRUPT, message: `${place} reports damage (${code}); run verify` };
  if (code === '28000' && sslMode === 'disable')
    return refused('the server refuses this user without TLS, or at all (28000); sslmode=verify-full in the address asks for TLS');
  if (code === '28P01' || code === '28000') return refused(`the server refuses the user or the password (${code})`);
  if (messageOf(error).startsWith('SASL: '))
    return refused('the server wants a password: put one into PGPASSWORD or ~/.pgpass, or into the address');
  if (isWithoutTls(error)) return refused('the server speaks no TLS; sslmode=disable in the address goes without, in the clear');
  if (isTls(error))
    return refused(`the certificate of the server is not believed (${code}); sslrootcert=FILE in the address names its authority`);
  if (code === '3D000') return { code: 'store.missing', message: `${place}: there is no such database; make it first (createdb)` };
  if (code === '25006')
    return { code: 'store.readOnly', message: `${place}: the server only allows reading (${code}); nothing was stored` };
  // The catalogue named the tables just before: they are there, and out of this role's sight.
  if (code === NO_TABLE)
    return { code: 'store.denied', message: `${place}: the role may not use the schema; grant it USAGE there and SELECT on its tables` };
  if (code === '42501')
    return { code: 'store.denied', message: `${place}: the role has not the rights (${code}: ${messageOf(error)}); nothing was stored` };
  if (code === '53100') return { code: 'store.full', message: `${place}: the disk of the server is full` };
  if (code === '55P03') return { code: 'store.busy', message: `${place} is locked by another process; try again` };
  return {
    code: 'store.unreachable',
    message: `${place} does not answer (${code === '' || code === UNREACHABLE ? 'no connection' : code})`,
  };
}
