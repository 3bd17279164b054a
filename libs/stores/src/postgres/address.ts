/**
 * Addresses of ledgers in Postgres, taken apart without the driver: what is connected to, how the connection is protected, and the name of the place,
 * which never holds a password. Must never connect. PROTOCOL §3 (TLS honoured).
 */
import { err, ok, type Result } from '@openexec/canon';
import type { OpenFailure } from '../errors.ts';

const DEFAULT_SCHEMA = 'openexec';
const DEFAULT_PORT = 5432;
const PARAMETERS = ['schema', 'sslmode', 'sslrootcert', 'host'] as const;

/**
 * How a connection is protected, in libpq's words. `require` encrypts without asking who answers; `verify-ca` wants a certificate of a known
 * authority, `verify-full` one for this very host. `allow` and `prefer` are refused: they give way silently.
 */
export const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
/** One of {@link SSL_MODES}. */
export type SslMode = (typeof SSL_MODES)[number];

/** An address taken apart. */
export interface Address {
  /** A name, an IP address, or the folder of a socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Left out: `PGUSER`, else the name of the user in the operating system. */
  readonly user: string | undefined;
  /** Left out: `PGPASSWORD`, else `~/.pgpass`. Secret. */
  readonly password: string | undefined;
  /** One ledger, one schema of the database. */
  readonly schema: string;
  readonly sslMode: SslMode;
  /** File of the authorities that are believed; left out: those of Node.js. */
  readonly sslRootCert: string | undefined;
  /** `postgres://host:port/database?schema=name`: the same for every user, without user, password and TLS. Pins go by it. */
  readonly place: string;
}

/**
 * Takes `postgres://user@host:port/database?schema=NAME&sslmode=…` apart. Without `sslmode` a connection that leaves this machine has to be TLS with
 * a certificate for the host. Any other parameter is refused: the driver knows some that would name another server.
 */
export function parseAddress(text: string): Result<Address, OpenFailure> {
  if (!URL.canParse(text)) return refused('it cannot be read');
  const url = new URL(text);
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') return refused('it does not begin with postgres://');
  const strange = [...url.searchParams.keys()].find((name) => !PARAMETERS.some((known) => known === name));
  if (strange !== undefined) return refused('it has a parameter that is none of schema, sslmode, sslrootcert, host (for a socket)');
  if (PARAMETERS.some((name) => url.searchParams.getAll(name).length > 1)) return refused('a parameter stands there twice');
  const parts = partsOf(url);
  if (!parts.ok) return parts;
  const { host, database } = parts.value;
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!/^[a-z][a-z0-9_]{0,50}$/.test(schema) || schema.startsWith('pg_'))
    return refused('schema is a lower-case name of letters, digits and _');
  const said = url.searchParams.get('sslmode');
  const sslMode = said === null ? (isHere(host) ? 'disable' : 'verify-full') : SSL_MODES.find((mode) => mode === said);
  if (sslMode === undefined) return refused(`sslmode is one of ${SSL_MODES.join(', ')}`);
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const shown = host.startsWith('/') ? encodeURIComponent(host) : url.hostname;
  return ok({
    ...parts.value,
    port,
    schema,
    sslMode,
    sslRootCert: url.searchParams.get('sslrootcert') ?? undefined,
    place: `postgres://${shown}:${port}/${encodeURIComponent(database)}?schema=${schema}`,
  });
}

type Parts = Pick<Address, 'host' | 'database' | 'user' | 'password'>;

function partsOf(url: URL): Result<Parts, OpenFailure> {
  const decoded = [url.hostname, url.pathname.slice(1), url.username, url.password].map(decodedOrNull);
  const [name = null, database = null, user = null, password = null] = decoded;
  if (name === null || database === null || user === null || password === null)
    return refused('a % in it is not followed by two hex digits');
  const socket = url.searchParams.get('host');
  if (socket !== null && !socket.startsWith('/'))
    return refused('host in the parameters is for the folder of a socket; the name goes before the database');
  if (socket !== null && name !== '') return refused('it names two hosts');
  // An IPv6 address stands in brackets in an address and without them everywhere else.
  const host = socket ?? name.replace(/^\[(.*)\]$/, '$1');
  if (host === '') return refused('it names no host');
  if (database === '' || database.includes('/')) return refused('it names no database');
  return ok({ host, database, user: user === '' ? undefined : user, password: password === '' ? undefined : password });
}

function decodedOrNull(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function isHere(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function refused(why: string): { readonly ok: false; readonly error: OpenFailure } {
  return err({
    code: 'store.address',
    message: `this is no address of a ledger in Postgres: ${why}; it looks like postgres://user@host/database?schema=name`,
  });
}
