/**
 * A ledger in EventStoreDB by name: a stream of a cluster, and the companion store that holds what the stream does not. Must never guess a companion,
 * show a password, nor load the client. PROTOCOL §3; CLI.md "Files".
 */
import { createHash } from 'node:crypto';
import { isAbsolute, join, resolve } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import { type LedgerWord, type Places, withoutPassword } from '@openexec/config';
import { parseAddress, parseEventStoreAddress } from '@openexec/stores';
import type { LedgerPlace } from './context.ts';
import { type Refusal, refuse } from './exit.ts';
import { safeLine } from './output.ts';

/** What finding it needs. */
export interface EventStoreContext {
  /** What relative paths are relative to. */
  readonly base: string;
  readonly env: { readonly [name: string]: string | undefined };
  readonly places: Places;
  readonly guest: boolean;
  /** From an address of Postgres as it was given to one that can be connected to; refuses a stand-in that stands for nothing. */
  postgresAddress(word: string): Result<string, Refusal>;
}

const ADDRESS = /^(?:esdb|kurrentdb)(?:\+discover)?:\/\//;
/** Companions lie beside ledgers in the same databases: a schema of their own name, where none is given. */
const COMPANION_SCHEMA = 'openexec_companion';
const DIGITS = 16;

/** Whether a word names a ledger in EventStoreDB. */
export function isEventStore(word: string): boolean {
  return ADDRESS.test(word);
}

/** The place of a stream and its companion; `companion` is what was said of it beside the address. */
export function eventStorePlace(word: string, companion: string | undefined, context: EventStoreContext): Result<LedgerPlace, Refusal> {
  const address = withLogin(taken(word).address, context.env);
  if (!address.ok) return address;
  const parsed = parseEventStoreAddress(address.value);
  if (!parsed.ok) return refuse('ledger.url', parsed.error.message);
  const said = companion ?? taken(word).companion ?? (context.env['OPENEXEC_COMPANION'] || undefined);
  if (said === undefined)
    return refuse(
      'ledger.url',
      `a ledger in EventStoreDB needs a companion store for payloads, and none is named: --companion postgres://HOST/DATABASE, or on a single host --companion sqlite: for a file in your state folder; OPENEXEC_COMPANION and ledger: {eventstore: …, companion: …} say it for good`,
    );
  const beside = companionOf(said, parsed.value.place, context);
  if (!beside.ok) return beside;
  const name = `${parsed.value.place}&companion=${encodeURIComponent(beside.value.name)}`;
  return ok({ kind: 'eventstore', name, address: address.value, companion: beside.value.address, guest: context.guest });
}

function companionOf(
  word: string,
  stream: string,
  context: EventStoreContext,
): Result<{ readonly name: string; readonly address: string }, Refusal> {
  if (word === 'sqlite:') {
    const digest = createHash('sha256').update(stream).digest('hex').slice(0, DIGITS);
    const path = join(context.places.state, 'companions', `${digest}.db`);
    return ok({ name: 'sqlite:', address: path });
  }
  if (word.startsWith('sqlite:')) {
    const path = word.slice('sqlite:'.length);
    const address = isAbsolute(path) ? path : resolve(context.base, path);
    return ok({ name: `sqlite:${address}`, address });
  }
  if (!/^postgres(?:ql)?:/.test(word)) {
    const [scheme = ''] = word.split(':', 1);
    return refuse(
      'ledger.url',
      `"${safeLine(scheme, 20)}:" names no companion store: it is postgres://HOST/DATABASE, sqlite: or sqlite:PATH`,
    );
  }
  const given = context.postgresAddress(word);
  if (!given.ok) return given;
  const address = withSchema(given.value);
  const parsed = parseAddress(address);
  return parsed.ok ? ok({ name: parsed.value.place, address }) : refuse('ledger.url', parsed.error.message);
}

function withSchema(address: string): string {
  if (!URL.canParse(address)) return address;
  const url = new URL(address);
  if (!url.searchParams.has('schema')) url.searchParams.set('schema', COMPANION_SCHEMA);
  return url.toString();
}

/** User and password of the environment, where the address has none. */
function withLogin(address: string, env: EventStoreContext['env']): Result<string, Refusal> {
  const { OPENEXEC_EVENTSTORE_USER: user = '', OPENEXEC_EVENTSTORE_PASSWORD: password = '' } = env;
  if (/^[^/]*:\/\/[^/?#]*@/.test(address) || (user === '' && password === '')) return ok(address);
  if (user === '' || password === '')
    return refuse('ledger.url', 'OPENEXEC_EVENTSTORE_USER and OPENEXEC_EVENTSTORE_PASSWORD go together; one of them is not set');
  return ok(address.replace('://', `://${encodeURIComponent(user)}:${encodeURIComponent(password)}@`));
}

/** The companion taken out of an address, where it stands in one. */
function taken(word: string): { readonly address: string; readonly companion: string | undefined } {
  const [path = '', query = ''] = word.split('?', 2);
  const options = query.split('&');
  const found = options.find((option) => /^companion=/i.test(option));
  if (found === undefined) return { address: word, companion: undefined };
  const rest = options.filter((option) => option !== found && option !== '').join('&');
  const value = found.slice('companion='.length);
  try {
    return { address: rest === '' ? path : `${path}?${rest}`, companion: decodeURIComponent(value) };
  } catch {
    // An escape that is wrong: the parser of addresses says so.
    return { address: word, companion: undefined };
  }
}

/** How `ledger:` of a configuration names it for everybody: without user and password. */
export function eventStoreSetting(word: string, companion: string | undefined): LedgerWord {
  const beside = companion ?? taken(word).companion;
  const eventstore = withoutPassword(taken(word).address);
  return beside === undefined ? eventstore : { eventstore, companion: withoutUser(beside) };
}

function withoutUser(companion: string): string {
  if (!URL.canParse(companion) || !/^postgres(?:ql)?:\/\//.test(companion)) return companion;
  const url = new URL(companion);
  url.username = '';
  url.password = '';
  return url.toString();
}
