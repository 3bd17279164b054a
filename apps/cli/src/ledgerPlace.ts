/**
 * Where a ledger is: a file, or a schema of a Postgres database. Who may name it, what it is called, how it is opened and how its runs are leased.
 * Must never show a password, connect to what only a repository named, nor load the Postgres driver for a file. CLI.md "Files", PROTOCOL §5.
 */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { type Clock, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import { loadLedgerSetting, type Places } from '@openexec/config';
import { type EntrySigner, type KeptLedger, LedgerFault } from '@openexec/ledger';
import type { Signer } from '@openexec/proof';
import { acquireLease, type Lease, type LeaseFailure, type OpenFailure, openSqliteLedger, parseAddress } from '@openexec/stores';
import type { LedgerPlace, Project } from './context.ts';
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
  project(): Promise<Result<Project, Refusal>>;
}

const SQLITE = 'sqlite:';
const FROM_ENVIRONMENT = /^postgres(?:ql)?:(?:\?schema=([a-z][a-z0-9_]{0,50}))?$/;
const ADDRESS = /^postgres(?:ql)?:\/\//;

/** The place that the call names, else `OPENEXEC_LEDGER`, else `ledger:` of the nearest file, else `.openexec/ledger.db` of the checkout. */
export async function findLedgerPlace(context: PlaceContext, named?: string): Promise<Result<LedgerPlace, Refusal>> {
  const { cwd, env } = context;
  const spoken = named ?? context.ledger ?? (env['OPENEXEC_LEDGER'] || undefined);
  if (spoken !== undefined) return placeNamed(spoken, { base: cwd, env, guest: false });
  const project = await context.project();
  if (!project.ok) return project;
  const { folder, root } = project.value;
  const setting = loadLedgerSetting(folder, context.places);
  if (!setting.ok) return configRefusal(setting.error, root);
  if (setting.value === null) return ok(file(join(folder, 'ledger.db')));
  const { value, from } = setting.value;
  return placeNamed(value, { base: root, env, guest: from === 'project' || from === 'local' });
}

function placeNamed(
  word: string,
  options: { readonly base: string; readonly env: PlaceContext['env']; readonly guest: boolean },
): Result<LedgerPlace, Refusal> {
  if (word.startsWith(SQLITE)) {
    const path = word.slice(SQLITE.length);
    return ok(file(isAbsolute(path) ? path : resolve(options.base, path)));
  }
  const [borrowed, schema] = FROM_ENVIRONMENT.exec(word) ?? [];
  if (borrowed === undefined && !ADDRESS.test(word)) {
    // Whatever it is, it may hold a password: only what stands before the first colon is shown.
    const [scheme = ''] = word.split(':', 1);
    return refuse('ledger.url', `"${safeLine(scheme, 20)}:" names no ledger that this version opens`);
  }
  const given = borrowed === undefined ? word : (options.env['DATABASE_URL'] ?? '');
  if (given === '') return refuse('ledger.url', `"${safeLine(word, 80)}" stands for the address in DATABASE_URL, which is not set`);
  const address = withDefaults(given, schema, options.env['PGSSLMODE']);
  const parsed = parseAddress(address);
  if (!parsed.ok) return refuse('ledger.url', parsed.error.message);
  return ok({ kind: 'postgres', name: parsed.value.place, address, guest: options.guest && borrowed === undefined });
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
export function settingOf(word: string): string {
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

/** Opens the store at a place; the driver of Postgres is loaded here and for Postgres only. */
export async function openStore(place: LedgerPlace, options: OpenStoreOptions): Promise<Result<KeptLedger, OpenFailure>> {
  if (place.kind === 'sqlite') return openSqliteLedger({ path: place.path, ...options });
  const { openPostgresLedger } = await import('@openexec/stores/postgres');
  return openPostgresLedger({ address: place.address, ...options });
}

/**
 * Takes the lease on a run, or null where a living process has it: by a file of this host, or across hosts by the ledger's own database. Throws a
 * `LedgerFault` where it cannot be asked for.
 */
export async function leaseRun(place: LedgerPlace, run: TrajectoryId, folder: string): Promise<Lease | null> {
  const lease = await acquire(place, run, folder);
  if (lease.ok) return lease.value;
  if (lease.error.code === 'lease.held') return null;
  throw new LedgerFault('store.unreachable', `the run cannot be leased: ${lease.error.message}`);
}

async function acquire(place: LedgerPlace, run: TrajectoryId, folder: string): Promise<Result<Lease, LeaseFailure>> {
  if (place.kind === 'sqlite') return acquireLease({ path: join(folder, `${run.slice('run/'.length)}.lease`) });
  const { acquirePostgresLease } = await import('@openexec/stores/postgres');
  return acquirePostgresLease({ address: place.address, name: run });
}

/** Refuses a place where there is nothing to open, or that is not to be connected to. */
export function checkPlace(place: LedgerPlace, pinned: boolean): Result<void, Refusal> {
  if (place.kind === 'sqlite')
    return existsSync(place.path) ? ok(undefined) : refuse('ledger.missing', `there is no ledger at "${safeLine(place.path)}"`);
  if (!place.guest || pinned) return ok(undefined);
  return err({
    code: 'ledger.unpinned',
    message: `the repository names the ledger at "${safeLine(place.name)}", which you did not pin; nothing was sent there: name it with --ledger yourself to pin it`,
  });
}
