/** Shared by tests and children that need SQLite only: a child that loads no other store starts in a third of the time. */
import { randomBytes } from 'node:crypto';
import { type Clock, instantFromMs, type Randomness } from '@openexec/canon';
import type { KeptLedger, LedgerStore } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { openSqliteLedger, type SqliteLedgerOptions } from '@openexec/stores';
import { verifyLedger } from '@openexec/verify';

export const clock: Clock = { now: () => instantFromMs(Date.now()) };
export const randomness: Randomness = { bytes: (count) => new Uint8Array(randomBytes(count)) };
export const keys = { signer: fixtures.runtimeSigner(), logSigner: fixtures.logSigner() };

/** Opens the SQLite file that must open, with both keys. */
export async function openedSqlite(path: string, more: Partial<SqliteLedgerOptions> = {}): Promise<KeptLedger> {
  const store = await openSqliteLedger({ path, clock, randomness, missing: 'create', ...keys, ...more });
  if (!store.ok) throw new Error(`${store.error.code}: ${store.error.message}`);
  return store.value;
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
