/**
 * Proofs out of a ledger, each verified before it is handed out: that an entry stands in a signed tree (C2SP tlog-proof), and that a
 * signed tree continues an earlier one (the body of a C2SP add-checkpoint request). Must never hand out a proof that it has not checked
 * itself (PROTOCOL §3).
 */
import { type Bytes, equalBytes, fromHex, ok, type Result, toBase64 } from '@openexec/canon';
import type { LedgerStore, StoredCheckpoint } from '@openexec/ledger';
import {
  CompactRange,
  formatTlogProof,
  formatVkey,
  leafHash,
  openCheckpoint,
  verifyConsistency,
  verifyTlogProof,
  type Vkey,
} from '@openexec/proof';
import { loadLaw } from '@openexec/runtime';
import type { LawView } from '@openexec/authority';
import { type Refusal, refuse } from '../exit.ts';
import { readRefusal } from './guard.ts';

/** The keys that may have signed checkpoints of this ledger: that of the founding, and every key that was trusted with the role. */
export async function logKeys(store: LedgerStore): Promise<Result<readonly string[], Refusal>> {
  const law = await loadLaw(store);
  if (!law.ok) return readRefusal(law.error);
  return ok(vkeysOf(law.value).map(formatVkey));
}

function vkeysOf(law: LawView): Pick<Vkey, 'keyName' | 'publicKey'>[] {
  const { origin } = law;
  if (origin === null) return [];
  const keys = [law.logKey, ...[...law.keys.values()].filter(({ roles }) => roles.includes('log')).map(({ publicKey }) => publicKey)];
  return [...new Set(keys)].flatMap((hex) => {
    const publicKey = hex === null ? null : fromHex(hex);
    return publicKey?.ok === true ? [{ keyName: origin, publicKey: publicKey.value }] : [];
  });
}

/** The newest kept checkpoint of at least this size, or the reason why there is none. */
async function checkpointFrom(store: LedgerStore, atLeast: bigint): Promise<Result<StoredCheckpoint, Refusal>> {
  let newest: StoredCheckpoint | null = null;
  for await (const checkpoint of store.checkpoints()) newest = checkpoint;
  if (newest !== null && newest.size >= atLeast) return ok(newest);
  const kept = newest === null ? 'no checkpoint is kept' : `the newest checkpoint has size ${newest.size}`;
  return refuse('usage.invalid', `${kept}, which does not cover entry ${atLeast - 1n}; openexec ledger checkpoint makes one`);
}

async function leafOf(store: LedgerStore, index: bigint): Promise<Bytes | null> {
  for await (const page of store.rows(index, index + 1n)) for (const row of page) return leafHash(row.entryBytes);
  return null;
}

/** A tlog-proof of one entry under the newest checkpoint that is kept. */
export async function proveEntry(store: LedgerStore, index: bigint): Promise<Result<string, Refusal>> {
  const { size } = await store.head();
  if (index >= size) return refuse('usage.invalid', `the ledger has ${size} entries, 0 to ${size - 1n}; there is no entry ${index}`);
  const checkpoint = await checkpointFrom(store, index + 1n);
  if (!checkpoint.ok) return checkpoint;
  const hashes = await store.inclusion(index, checkpoint.value.size);
  if (!hashes.ok) return readRefusal(hashes.error);
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const leaf = await leafOf(store, index);
  if (leaf === null) return refuse('ledger.corrupt', `entry ${index} is not there`);
  const proof = formatTlogProof({ index, hashes: hashes.value, checkpoint: checkpoint.value.note });
  const verified = verifyTlogProof({ proof, leaf, vkeys: vkeys.value });
  return verified.ok ? ok(proof) : refuse('verify.failed', `the proof of entry ${index} does not hold: ${verified.error.message}`);
}

/** The root over the first `size` leaves, from the leaves themselves. */
async function rootAt(store: LedgerStore, size: bigint): Promise<Bytes> {
  const tree = CompactRange.empty();
  for await (const page of store.rows(0n, size)) for (const row of page) tree.append(leafHash(row.entryBytes));
  return tree.root();
}

/** The body of an add-checkpoint request from `oldSize` to the kept checkpoint of `newSize`. */
export async function proveConsistency(store: LedgerStore, oldSize: bigint, newSize: bigint): Promise<Result<string, Refusal>> {
  if (oldSize > newSize) return refuse('usage.invalid', `the first size is the older one; ${oldSize} is more than ${newSize}`);
  const kept: StoredCheckpoint[] = [];
  for await (const checkpoint of store.checkpoints()) kept.push(checkpoint);
  const target = kept.find(({ size }) => size === newSize);
  if (target === undefined) {
    const sizes = kept.slice(-8).map(({ size }) => `${size}`);
    return refuse(
      'usage.invalid',
      `no checkpoint of size ${newSize} is kept; ${sizes.length === 0 ? 'there is none, openexec ledger checkpoint makes one' : `the latest are of size ${sizes.join(', ')}`}`,
    );
  }
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const opened = openCheckpoint(target.note, vkeys.value);
  if (!opened.ok) return refuse('verify.failed', `the checkpoint of size ${newSize} does not open: ${opened.error.message}`);
  const proof = await store.consistency(oldSize, newSize);
  if (!proof.ok) return readRefusal(proof.error);
  const oldRoot = await rootAt(store, oldSize);
  const verified = verifyConsistency({ oldSize, newSize, oldRoot, newRoot: opened.value.root, proof: proof.value });
  if (!verified.ok || (oldSize === newSize && !equalBytes(oldRoot, opened.value.root))) {
    return refuse(
      'verify.failed',
      `the tree of ${newSize} does not continue the tree of ${oldSize}${verified.ok ? '' : `: ${verified.error.message}`}`,
    );
  }
  return ok(`old ${oldSize}\n${proof.value.map((hash) => `${toBase64(hash)}\n`).join('')}\n${target.note}`);
}
