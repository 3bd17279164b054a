/** The contract of ledgers on the one in memory, verified by the production verifier after every step. */
import { describe, expect, test } from '@jest/globals';
import { type LedgerStore, memoryLedger } from '@openexec/ledger';
import { fixtures, ledgerKeeperContract, ledgerStoreContract } from '@openexec/ledger/contract';
import { verifyLedger } from '@openexec/verify';

async function bytesOf(store: LedgerStore, digest: Parameters<LedgerStore['blob']>[0]) {
  const read = await store.blob(digest);
  return read.ok ? read.value : null;
}

async function check(store: LedgerStore): Promise<void> {
  const { size } = await store.head();
  if (size === 0n) return;
  const checkpoints = [];
  for await (const checkpoint of store.checkpoints()) checkpoints.push(checkpoint);
  const report = await verifyLedger(
    { rows: store.rows(), checkpoints, head: null, blob: (digest) => bytesOf(store, digest) },
    { trust: null },
  );
  if (!report.sound) throw new Error(`the ledger does not verify: ${JSON.stringify(report.findings[0])}`);
  if (BigInt(report.entries) !== size) throw new Error(`verified ${report.entries} of ${size} entries`);
}

ledgerStoreContract(
  { describe, test, expect },
  { name: 'memory', check, open: async (keys) => memoryLedger({ randomness: fixtures.seededRandomness(1), ...keys }) },
);

let serial = 100;
ledgerKeeperContract(
  { describe, test, expect },
  { name: 'memory', check, open: async (keys) => memoryLedger({ randomness: fixtures.seededRandomness(++serial), ...keys }) },
);
