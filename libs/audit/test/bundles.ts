/** Bundles in memory, for tests: built from a house, changed part by part, checked. */
import { type BundleOrder, type BundleSink, buildBundle, type BuiltBundle } from '@openexec/audit';
import { type Bytes, concatBytes, sha256 } from '@openexec/canon';
import type { House } from '@openexec/kernel/fixture';
import { PEOPLE } from '@openexec/kernel/fixture';
import type { StoredCheckpoint } from '@openexec/ledger';
import { CompactRange, formatVkey, leafHash, publicKeyOf, seedSigner, signCheckpoint } from '@openexec/proof';
import { type BundleOptions, type BundleReport, type BundleScope, partsOf, verifyBundle } from '@openexec/verify';

export const ORIGIN = 'ledger.test/house';
export const LOG = seedSigner({ keyName: ORIGIN, seed: PEOPLE.log.seed });
export const VKEY = formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(PEOPLE.log.seed) });

/** Parts by path, in the order of their writing. */
export type Files = Map<string, Bytes>;

/** Keeps what is written. */
export function memorySink(files: Files): BundleSink {
  return {
    async write(path, pieces) {
      if (files.has(path)) throw new Error(`${path} is written twice`);
      const held: Bytes[] = [];
      for await (const piece of pieces) held.push(piece);
      const bytes = concatBytes(...held);
      files.set(path, bytes);
      return { sha256: sha256(bytes), bytes: bytes.length };
    },
  };
}

/** A signed head of the house as it stands, or as it stood. */
export async function headOf(house: House, size?: bigint): Promise<StoredCheckpoint> {
  const head = await house.store.head();
  const at = size ?? head.size;
  let root = head.root;
  if (at !== head.size) {
    const range = CompactRange.empty();
    for await (const page of house.store.rows(0n, at)) for (const row of page) range.append(leafHash(row.entryBytes));
    root = range.root();
  }
  const note = await signCheckpoint({ origin: ORIGIN, size: at, root }, LOG);
  if (!note.ok) throw new Error(note.error.message);
  return { size: at, note: note.value };
}

/** An order as the command gives one. */
export async function orderOf(house: House, scope: BundleScope, more: Partial<BundleOrder> = {}): Promise<BundleOrder> {
  return {
    scope,
    checkpoint: await headOf(house),
    vkeys: [VKEY],
    since: [],
    withhold: { payload: () => false, blob: () => false },
    governed: false,
    signer: LOG,
    reports: null,
    stamp: null,
    more: [],
    ...more,
  };
}

/** Builds, or throws why not. */
export async function bundleOf(
  house: House,
  scope: BundleScope,
  more: Partial<BundleOrder> = {},
): Promise<{ files: Files; built: BuiltBundle }> {
  const files: Files = new Map();
  const built = await buildBundle(house.store, await orderOf(house, scope, more), memorySink(files));
  if (!built.ok) throw new Error(`${built.error.code}: ${built.error.message}`);
  return { files, built: built.value };
}

/** Checks parts that are held in memory. */
export async function check(files: Files, options: Partial<BundleOptions> = {}): Promise<BundleReport> {
  const parts = partsOf(
    [...files].map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      // In two pieces, so that nothing rests on how a part is cut.
      async *read() {
        await Promise.resolve();
        yield bytes.subarray(0, bytes.length >> 1);
        yield bytes.subarray(bytes.length >> 1);
      },
    })),
  );
  if (!parts.ok) throw new Error(`${parts.error.code}: ${parts.error.message}`);
  return verifyBundle(parts.value, { trust: null, policy: null, since: null, ...options });
}

/** Codes and parts of what was found, each once. */
export function foundIn(report: BundleReport): readonly string[] {
  return [...new Set(report.findings.map(({ code, part }) => `${code} ${part}`))];
}

export const RUNS = (...runs: readonly string[]): BundleScope => ({ is: 'runs', runs: [...runs].sort() });
