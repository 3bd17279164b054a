/**
 * An `esdb://` or `kurrentdb://` address taken apart. Stricter than the client's own reading, which ignores what it does not know: an option that would
 * not be honoured is refused. Must never show a password, nor load the client: whoever only names a ledger pays for this file alone. PROTOCOL §3.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { OpenFailure } from '../errors.ts';

const DEFAULT_PORT = 2113;
const DEFAULT_STREAM = 'openexec';
const DEFAULT_DEADLINE_MS = 10_000;
/** What the client takes at least; it warns below. */
const MIN_KEEP_ALIVE_MS = 10_000;

interface Endpoint {
  readonly address: string;
  readonly port: number;
}
/** What the client asks for with every call. */
interface Login {
  readonly username: string;
  readonly password: string;
}

/** An address taken apart. */
export interface EventStoreAddress {
  readonly hosts: readonly Endpoint[];
  /** `esdb+discover://`: the one host names the cluster's members. */
  readonly discover: boolean;
  readonly login: Login | null;
  /** One ledger, one stream. */
  readonly stream: string;
  /** Where payloads and blobs are: the path of a SQLite file or an address of Postgres; null where the address names none. */
  readonly companion: string | null;
  readonly tls: boolean;
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly deadlineMs: number;
  readonly numbers: { readonly [option: string]: number };
  readonly connectionName: string;
  /** For messages: hosts and stream. */
  readonly where: string;
  /** The ledger for whoever pins it: hosts, stream and whose certificates are believed, without user, password and companion. */
  readonly place: string;
}

/** Options by their names without case, `_` and `-`, as the client reads them. */
const NUMBERS: { readonly [option: string]: string } = {
  maxdiscoverattempts: 'maxDiscoverAttempts',
  discoveryinterval: 'discoveryInterval',
  gossiptimeout: 'gossipTimeout',
  keepaliveinterval: 'keepAliveInterval',
  keepalivetimeout: 'keepAliveTimeout',
  defaultdeadline: 'defaultDeadline',
};
const TEXTS = new Set(['stream', 'companion', 'tls', 'tlsverifycert', 'tlscafile', 'usercertfile', 'userkeyfile', 'connectionname']);
/** Options of which one value alone keeps a ledger right, and why. */
const FIXED: { readonly [option: string]: readonly [value: string, why: string] } = {
  nodepreference: ['leader', 'a node that lags behind would answer with an older ledger'],
  throwonappendfailure: ['true', 'a refused append must be noticed'],
  tlsverifycert: ['true', 'the client cannot leave certificates unchecked; name your authority with tlsCAFile'],
};

type Refusal = { readonly ok: false; readonly error: OpenFailure };

const SCHEMES = /^(?:esdb|kurrentdb)(\+discover)?:\/\/(?:([^@/?]*)@)?([^/?@]+)\/?(?:\?([^?]*))?$/;

/** Takes `esdb://user:password@host:2113,host:2113/?stream=NAME&companion=PLACE&tls=true` apart. */
export function parseEventStoreAddress(text: string): Result<EventStoreAddress, OpenFailure> {
  const match = SCHEMES.exec(text);
  if (match === null) return refused('it cannot be read');
  const [, discovering, userInfo, hostList = '', query = ''] = match;
  const login = userInfo === undefined ? ok(null) : loginIn(userInfo);
  if (!login.ok) return login;
  const hosts: Endpoint[] = [];
  for (const host of hostList.split(',')) {
    const [, address, port] = /^([A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?$/.exec(host) ?? [];
    if (address === undefined || Number(port ?? 0) > 65_535) return refused('a host is a name or an IPv4 address, with its port');
    hosts.push({ address, port: port === undefined ? DEFAULT_PORT : Number(port) });
  }
  const discover = discovering !== undefined;
  if (discover && hosts.length > 1) return refused('esdb+discover:// takes one name');
  const options = optionsIn(query);
  if (!options.ok) return options;
  return assembled({ hosts, discover, login: login.value }, options.value);
}

function loginIn(userInfo: string): Result<Login, OpenFailure> {
  const [, username, password] = /^([^:]+):(.+)$/.exec(userInfo) ?? [];
  if (username === undefined || password === undefined) return refused('a user comes with a password: user:password@');
  const login = { username: decoded(username), password: decoded(password) };
  if (login.username === null || login.password === null) return refused('user and password are percent-encoded');
  return ok({ username: login.username, password: login.password });
}

function optionsIn(query: string): Result<ReadonlyMap<string, string>, OpenFailure> {
  const options = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(at, 0));
    const key = name.toLowerCase().replace(/[_-]/g, '');
    const value = decoded(pair.slice(at + 1));
    if (at < 1 || value === null || value === '') return refused('an option is written name=value, percent-encoded');
    const fixed = FIXED[key];
    if (NUMBERS[key] === undefined && !TEXTS.has(key) && fixed === undefined) return refused(`the option ${name} is unknown`);
    if (options.has(key)) return refused(`the option ${name} stands twice`);
    if (fixed !== undefined && value.toLowerCase() !== fixed[0]) return refused(`${name} can only be ${fixed[0]}: ${fixed[1]}`);
    if (NUMBERS[key] !== undefined && !/^[1-9][0-9]{0,8}$/.test(value)) return refused(`${name} is a whole number above 0`);
    options.set(key, value);
  }
  return ok(options);
}

function assembled(
  from: Pick<EventStoreAddress, 'hosts' | 'discover' | 'login'>,
  options: ReadonlyMap<string, string>,
): Result<EventStoreAddress, OpenFailure> {
  const stream = options.get('stream') ?? DEFAULT_STREAM;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(stream)) return refused('stream is a name of letters, digits, dots, _ and -');
  const tls = options.get('tls') ?? 'true';
  if (tls !== 'true' && tls !== 'false') return refused('tls is true or false');
  const [certFile, keyFile] = [options.get('usercertfile') ?? null, options.get('userkeyfile') ?? null];
  if ((certFile === null) !== (keyFile === null)) return refused('userCertFile and userKeyFile go together');
  const caFile = options.get('tlscafile') ?? null;
  if (tls === 'false' && (caFile !== null || certFile !== null)) return refused('certificates without TLS would not be used');
  if (tls === 'false' && from.login !== null) return refused('without TLS the client sends no password; leave it away, or use tls=true');
  const numbers: Record<string, number> = {};
  for (const [key, name] of Object.entries(NUMBERS)) {
    const value = options.get(key);
    if (value !== undefined) numbers[name] = Number(value);
  }
  if ((numbers['keepAliveInterval'] ?? MIN_KEEP_ALIVE_MS) < MIN_KEEP_ALIVE_MS)
    return refused(`keepAliveInterval is at least ${MIN_KEEP_ALIVE_MS} ms`);
  const { defaultDeadline = DEFAULT_DEADLINE_MS, ...rest } = numbers;
  const hosts = from.hosts.map(({ address, port }) => `${address}:${port}`).join(',');
  const believed = `${tls === 'false' ? '&tls=false' : ''}${caFile === null ? '' : `&tlsCAFile=${encodeURIComponent(caFile)}`}`;
  return ok({
    ...from,
    stream,
    companion: options.get('companion') ?? null,
    tls: tls === 'true',
    caFile,
    certFile,
    keyFile,
    deadlineMs: defaultDeadline,
    numbers: rest,
    connectionName: options.get('connectionname') ?? 'openexec',
    where: `stream ${stream} of ${hosts}`,
    place: `${from.discover ? 'esdb+discover' : 'esdb'}://${hosts}/?stream=${stream}${believed}`,
  });
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // Its one way to say that an escape is wrong.
    return null;
  }
}

function refused(why: string): Refusal {
  return err(addressFault(why));
}

/** What is wrong with an address. */
export function addressFault(why: string): OpenFailure {
  return {
    code: 'store.address',
    message: `this is no address of a ledger in EventStoreDB: ${why}; it looks like esdb://host:2113/?stream=name&companion=place`,
  };
}
