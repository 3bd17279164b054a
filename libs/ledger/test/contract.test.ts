/**
 * The contract of ledgers, on the one in memory. After every step leaves, chain and root are recomputed here; the full verifier, which stands on
 * this package, runs the same suite in its own.
 */
import { describe, expect, test } from '@jest/globals';
import { digestFromBytes, equalBytes } from '@openexec/canon';
import { commitmentOf, decodeEntry, type LedgerStore, memoryLedger } from '@openexec/ledger';
import { fixtures, ledgerKeeperContract, ledgerStoreContract, snapshotShelfContract } from '@openexec/ledger/contract';
import { CompactRange, leafHash } from '@openexec/proof';

async function check(store: LedgerStore): Promise<void> {
  const tree = CompactRange.empty();
  const heads = new Map<string, string>();
  for await (const page of store.rows()) {
    for (const { entryBytes, payload, salt } of page) {
      const entry = decodeEntry(entryBytes);
      if (!entry.ok) throw new Error(entry.error.message);
      const { trajectory, prev, commitment } = entry.value;
      if ((heads.get(trajectory) ?? null) !== prev) throw new Error(`${trajectory} is not chained at ${entry.value.seq}`);
      // What is gone was named by an erasure; the full verifier sees to that.
      if ((payload === null) !== (salt === null) || (salt !== null && payload !== null && commitmentOf(salt, payload) !== commitment))
        throw new Error(`a payload of ${trajectory} is not its own`);
      const leaf = leafHash(entryBytes);
      heads.set(trajectory, digestFromBytes(leaf));
      tree.append(leaf);
    }
  }
  const head = await store.head();
  if (tree.size !== head.size || !equalBytes(tree.root(), head.root)) throw new Error('the head is not that of the entries');
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
snapshotShelfContract(
  { describe, test, expect },
  { name: 'memory', check, open: async (keys) => memoryLedger({ randomness: fixtures.seededRandomness(++serial), ...keys }) },
);
