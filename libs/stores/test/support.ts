/** Shared by this package's tests: folders that vanish, the production verifier as a check. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, instantFromMs, type Randomness } from '@openexec/canon';
import type { KeptLedger, LedgerStore } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { openSqliteLedger, type SqliteLedgerOptions } from '@openexec/stores';
import { type EventStoreLedgerOptions, openEventStoreLedger } from '@openexec/stores/eventstore';
import { openPostgresLedger, type PostgresLedgerOptions } from '@openexec/stores/postgres';
import { verifyLedger } from '@openexec/verify';

export const clock: Clock = { now: () => instantFromMs(Date.now()) };
export const randomness: Randomness = { bytes: (count) => new Uint8Array(randomBytes(count)) };
export const keys = { signer: fixtures.runtimeSigner(), logSigner: fixtures.logSigner() };

const folders: string[] = [];

/** A fresh folder, removed by {@link removeFolders}. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'openexec-stores-'));
  folders.push(made);
  return made;
}

export function removeFolders(): void {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
}

type More = Partial<SqliteLedgerOptions> & Partial<PostgresLedgerOptions> & Partial<EventStoreLedgerOptions>;

type Opening = ReturnType<typeof openSqliteLedger>;

function open(place: string, more: More): Opening {
  const shared = { clock, randomness, ...more };
  if (place.startsWith('esdb')) return openEventStoreLedger({ address: place, ...shared });
  return place.startsWith('postgres:') ? openPostgresLedger({ address: place, ...shared }) : openSqliteLedger({ path: place, ...shared });
}

/** Opens what must open, with both keys: the path of a SQLite file, or an address of Postgres or EventStoreDB. */
export function opened(place: string, more: More = {}): Promise<KeptLedger> {
  return openWith(place, { ...keys, ...more });
}

/** Opens what must open, with the keys given. */
export async function openWith(place: string, more: More): Promise<KeptLedger> {
  const store = await open(place, { missing: 'create', ...more });
  if (!store.ok) throw new Error(`${store.error.code}: ${store.error.message}`);
  return store.value;
}

/** Why something was refused to open. */
export async function refusalOf(place: string, more: More = {}): Promise<string> {
  const store = await open(place, { ...keys, ...more });
  if (!store.ok) return store.error.code;
  await store.value.close();
  return 'opened';
}

async function bytesOf(store: LedgerStore, digest: Parameters<LedgerStore['blob']>[0]): Promise<Uint8Array | null> {
  const read = await store.blob(digest);
  return read.ok ? read.value : null;
}

/** Verifies the whole ledger and throws when anything is wrong. */
export async function check(store: LedgerStore): Promise<void> {
  const { size } = await store.head();
  if (size === 0n) return;
  const checkpoints = [];
  for await (const checkpoint of store.checkpoints()) checkpoints.push(checkpoint);
  const head = await store.head();
  const remembered = head.fingerprint === null ? null : { fingerprint: head.fingerprint, size: head.size, root: head.root };
  const report = await verifyLedger(
    { rows: store.rows(), checkpoints, head: remembered, blob: (digest) => bytesOf(store, digest) },
    { trust: null },
  );
  if (!report.sound) throw new Error(`the ledger does not verify: ${JSON.stringify(report.findings[0])}`);
  if (BigInt(report.entries) < size) throw new Error(`verified ${report.entries} of ${size} entries`);
}

/** A ledger that has been founded and trusts the runtime key; answers its fingerprint. */
export async function found(store: LedgerStore): Promise<string> {
  const founded = await store.append(fixtures.foundingBatch());
  const fingerprint = founded.ok ? founded.value.stored[0]?.leaf : undefined;
  if (fingerprint === undefined) throw new Error('the founding was refused');
  const trusted = await store.append(fixtures.batchTo(fixtures.LAW, 0, [fixtures.trustDraft(fingerprint)]));
  if (!trusted.ok) throw new Error(`the trust was refused: ${trusted.error.code}`);
  return fingerprint;
}

/** A run that has been opened. */
export async function openRun(store: LedgerStore, fingerprint: string, name: string): Promise<ReturnType<typeof fixtures.runNamed>> {
  const run = fixtures.runNamed(name);
  const result = await store.append(fixtures.batchTo(run, 'none', [fixtures.fact('run.opened', fixtures.openedBody(fingerprint, name))]));
  if (!result.ok) throw new Error(`the run was refused: ${result.error.code}`);
  return run;
}
