/**
 * Where a ledger is: a file, a schema of a Postgres database, a stream of EventStoreDB. Who may name it, what it is called, how it is opened and how its
 * runs are leased. Must never show a password, connect to what only a repository named, nor load a driver that is not needed. CLI.md "Files", PROTOCOL §5.
 */
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { type Clock, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import { type LedgerWord, loadLedgerSetting, type Places } from '@openexec/config';
import { type EntrySigner, type KeptLedger, LedgerFault } from '@openexec/ledger';
import type { Signer } from '@openexec/proof';
import { acquireLease, type Lease, type LeaseFailure, type OpenFailure, openSqliteLedger, parseAddress } from '@openexec/stores';
import type { LedgerPlace, Project } from './context.ts';
import { eventStorePlace, eventStoreSetting, isEventStore } from './eventstorePlace.ts';
import { type Refusal, refuse } from './exit.ts';
import { safeLine } from './output.ts';
import { configRefusal } from './run/problems.ts';

/** What finding a ledger needs of its surroundings. */
export interface PlaceContext {
  readonly cwd: string;
  readonly env: { readonly [name: string]: string | undefined };
  readonly places: Places;
  /** `--ledger` of this call. */
  readonly ledger?: string | undefined;
  /** `--companion` of this call. */
  readonly companion?: string | undefined;
  project(): Promise<Result<Project, Refusal>>;
}

const SQLITE = 'sqlite:';
const FROM_ENVIRONMENT = /^postgres(?:ql)?:(?:\?schema=([a-z][a-z0-9_]{0,50}))?$/;
const ADDRESS = /^postgres(?:ql)?:\/\//;

/** The place that the call names, else `OPENEXEC_LEDGER`, else `ledger:` of the nearest file, else `.openexec/ledger.db` of the checkout. */
export async function findLedgerPlace(context: PlaceContext, named?: string): Promise<Result<LedgerPlace, Refusal>> {
  const { cwd, env, places, companion } = context;
  const spoken = named ?? context.ledger ?? (env['OPENEXEC_LEDGER'] || undefined);
  if (spoken !== undefined) return placeNamed(spoken, { base: cwd, env, places, companion, guest: false });
  const project = await context.project();
  if (!project.ok) return project;
  const { folder, root } = project.value;
  const setting = loadLedgerSetting(folder, context.places);
  if (!setting.ok) return configRefusal(setting.error, root);
  if (setting.value === null) return ok(file(join(folder, 'ledger.db')));
  const { value, from } = setting.value;
  const naming = { base: root, env, places, guest: from === 'project' || from === 'local' };
  // The environment goes before what a file says, of the companion as of the ledger.
  const beside = companion ?? (env['OPENEXEC_COMPANION'] || undefined);
  if (typeof value !== 'string') return placeNamed(value.eventstore, { ...naming, companion: beside ?? value.companion });
  return placeNamed(value, { ...naming, companion: isEventStore(value) ? beside : companion });
}

interface Naming {
  readonly base: string;
  readonly env: PlaceContext['env'];
  readonly places: Places;
  readonly companion: string | undefined;
  readonly guest: boolean;
}

function placeNamed(word: string, options: Naming): Result<LedgerPlace, Refusal> {
  if (isEventStore(word))
    return eventStorePlace(word, options.companion, { ...options, postgresAddress: (given) => postgresAddress(given, options.env) });
  if (options.companion !== undefined)
    return refuse('ledger.url', '--companion goes with a ledger in EventStoreDB; a file and Postgres hold payloads themselves');
  if (word.startsWith(SQLITE)) {
    const path = word.slice(SQLITE.length);
    return ok(file(isAbsolute(path) ? path : resolve(options.base, path)));
  }
  const address = postgresAddress(word, options.env);
  if (!address.ok) return address;
  const parsed = parseAddress(address.value);
  if (!parsed.ok) return refuse('ledger.url', parsed.error.message);
  const guest = options.guest && !FROM_ENVIRONMENT.test(word);
  return ok({ kind: 'postgres', name: parsed.value.place, address: address.value, guest });
}

/** The address that a word stands for. */
function postgresAddress(word: string, env: PlaceContext['env']): Result<string, Refusal> {
  const [borrowed, schema] = FROM_ENVIRONMENT.exec(word) ?? [];
  if (borrowed === undefined && !ADDRESS.test(word)) {
    // Whatever it is, it may hold a password: only what stands before the first colon is shown.
    const [scheme = ''] = word.split(':', 1);
    return refuse('ledger.url', `"${safeLine(scheme, 20)}:" names no ledger that this version opens`);
  }
  const given = borrowed === undefined ? word : (env['DATABASE_URL'] ?? '');
  if (given === '') return refuse('ledger.url', `"${safeLine(word, 80)}" stands for the address in DATABASE_URL, which is not set`);
  return ok(withDefaults(given, schema, env['PGSSLMODE']));
}

/** `PGSSLMODE` holds where the address says nothing; its modes that give way silently never do. */
function withDefaults(address: string, schema: string | undefined, sslMode: string | undefined): string {
  if (!URL.canParse(address)) return address;
  const url = new URL(address);
  if (schema !== undefined) url.searchParams.set('schema', schema);
  if (sslMode !== undefined && !['', 'allow', 'prefer'].includes(sslMode) && !url.searchParams.has('sslmode'))
    url.searchParams.set('sslmode', sslMode);
  return url.toString();
}

function file(path: string): LedgerPlace {
  return { kind: 'sqlite', name: existsSync(path) ? realpathSync(path) : path, path };
}

/** How `ledger:` of a configuration names this place for everybody who works with the repository: without user and password. */
export function settingOf(word: string, companion?: string): LedgerWord {
  if (isEventStore(word)) return eventStoreSetting(word, companion);
  if (!ADDRESS.test(word) || !URL.canParse(word)) return word;
  const url = new URL(word);
  url.username = '';
  url.password = '';
  return url.toString();
}

/** How a store is opened, wherever it is. */
export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly signer?: EntrySigner;
  readonly logSigner?: Signer;
  readonly headFile?: string;
  readonly access?: 'readWrite' | 'readOnly';
  readonly missing?: 'create' | 'refuse';
}

/** Opens the store at a place; the driver of Postgres and the client of EventStoreDB are loaded here, and each for its own kind only. */
export async function openStore(place: LedgerPlace, options: OpenStoreOptions): Promise<Result<KeptLedger, OpenFailure>> {
  if (place.kind === 'sqlite') return openSqliteLedger({ path: place.path, ...options });
  if (place.kind === 'eventstore') {
    // A file that is to be made needs its folder; in the state folder nobody else has made it.
    if (options.missing === 'create' && isAbsolute(place.companion)) mkdirSync(dirname(place.companion), { recursive: true, mode: 0o700 });
    const { openEventStoreLedger } = await import('@openexec/stores/eventstore');
    return openEventStoreLedger({ address: place.address, companion: place.companion, ...options });
  }
  const { openPostgresLedger } = await import('@openexec/stores/postgres');
  return openPostgresLedger({ address: place.address, ...options });
}

/**
 * Takes the lease on a run, or null where a living process has it: by a file of this host, or across hosts by the database that holds the ledger or
 * its payloads. Throws a `LedgerFault` where it cannot be asked for.
 */
export async function leaseRun(place: LedgerPlace, run: TrajectoryId, folder: string): Promise<Lease | null> {
  const lease = await acquire(place, run, folder);
  if (lease.ok) return lease.value;
  if (lease.error.code === 'lease.held') return null;
  throw new LedgerFault('store.unreachable', `the run cannot be leased: ${lease.error.message}`);
}

async function acquire(place: LedgerPlace, run: TrajectoryId, folder: string): Promise<Result<Lease, LeaseFailure>> {
  const address = place.kind === 'postgres' ? place.address : place.kind === 'eventstore' ? place.companion : null;
  // A file, also one beside a stream, is of this host alone: so is its lease.
  if (address === null || isAbsolute(address)) return acquireLease({ path: join(folder, `${run.slice('run/'.length)}.lease`) });
  const { acquirePostgresLease } = await import('@openexec/stores/postgres');
  return acquirePostgresLease({ address, name: run });
}

/** Whether nothing is there; where the system does not let this user look, the store says so when it is opened. */
function isAbsent(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

/** Refuses a place where there is nothing to open, or that is not to be connected to. */
export function checkPlace(place: LedgerPlace, pinned: boolean): Result<void, Refusal> {
  if (place.kind === 'sqlite')
    return isAbsent(place.path) ? refuse('ledger.missing', `there is no ledger at "${safeLine(place.path)}"`) : ok(undefined);
  if (!place.guest || pinned) return ok(undefined);
  return err({
    code: 'ledger.unpinned',
    message: `the repository names the ledger at "${safeLine(place.name)}", which you did not pin; nothing was sent there: name it with --ledger yourself to pin it`,
  });
}
