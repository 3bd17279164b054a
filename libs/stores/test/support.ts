/** Shared by this package's tests: folders that vanish, stores of all kinds, the production verifier as a check. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeptLedger } from '@openexec/ledger';
import { openSqliteLedger, type SqliteLedgerOptions } from '@openexec/stores';
import { type EventStoreLedgerOptions, openEventStoreLedger } from '@openexec/stores/eventstore';
import { openPostgresLedger, type PostgresLedgerOptions } from '@openexec/stores/postgres';
import { clock, keys, randomness } from './sqliteSupport.ts';

export { check, clock, found, keys, openRun, randomness } from './sqliteSupport.ts';

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
