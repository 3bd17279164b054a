/**
 * The Merkle tree beside the rows: the frontier that a writer extends, and the nodes that proofs read. Kept in blocks of 256 leaves, so that
 * one stored hash per block serves every proof. Must never be asked for more leaves than are committed. PROTOCOL §3.
 */
import type { Bytes } from '@openexec/canon';
import { LedgerFault } from '@openexec/ledger';
import { CompactRange, treeRoot } from '@openexec/proof';

/** Leaves per block, and blocks per block of the next level. */
const WIDTH = 256;
const LEVELS_PER_WIDTH = 8;
const HASH_BYTES = 32;

/** A block that became complete and is to be stored. */
export interface Subtree {
  readonly level: number;
  readonly index: number;
  readonly hash: Bytes;
}

/** Leaves below one stored hash of a level. */
export function leavesUnder(level: number): number {
  return WIDTH ** level;
}

/** The frontier in memory: one open block per level. Owned by the writer, under the write lock; thrown away when another process appended. */
export class Frontier {
  /** `#open[0]` holds leaves, `#open[1]` roots of full leaf blocks, and so on; each holds fewer than 256. */
  readonly #open: { range: CompactRange; count: number; done: number }[] = [];

  /** Restores the frontier of `size` leaves from its stored hashes, largest subtree first. */
  constructor(size: number, stored: Bytes) {
    const hashes = hashesIn(stored);
    for (let rest = size; rest > 0; rest = Math.floor(rest / WIDTH)) {
      const count = rest % WIDTH;
      const own = hashes.splice(hashes.length - onesOf(count));
      const range = CompactRange.from(BigInt(count), own);
      if (!range.ok) throw notFrontier(size, range.error.message);
      this.#open.push({ range: range.value, count, done: Math.floor(rest / WIDTH) });
    }
    if (hashes.length > 0)
      throw new LedgerFault('store.corrupt', `the stored frontier has more hashes than ${size} leaves have; run verify`);
  }

  /** Adds a leaf; every block that it completes goes to `store`. */
  append(leaf: Bytes, store: (subtree: Subtree) => void): void {
    let hash = leaf;
    for (let level = 0; ; level++) {
      const block = (this.#open[level] ??= { range: CompactRange.empty(), count: 0, done: 0 });
      block.range.append(hash);
      if (++block.count < WIDTH) return;
      hash = block.range.root();
      store({ level: level + 1, index: block.done, hash });
      this.#open[level] = { range: CompactRange.empty(), count: 0, done: block.done + 1 };
    }
  }

  /** The hashes of the whole tree's compact range, largest subtree first, one after another. */
  stored(): Bytes {
    const hashes = this.#open.toReversed().flatMap(({ range }) => range.hashes());
    const bytes = new Uint8Array(hashes.length * HASH_BYTES);
    for (const [at, hash] of hashes.entries()) bytes.set(hash, at * HASH_BYTES);
    return bytes;
  }
}

/** The root of a stored frontier. */
export function rootOf(size: number, stored: Bytes): Bytes {
  const range = CompactRange.from(BigInt(size), hashesIn(stored));
  if (!range.ok) throw notFrontier(size, range.error.message);
  return range.value.root();
}

function hashesIn(stored: Bytes): Bytes[] {
  const hashes: Bytes[] = [];
  for (let at = 0; at < stored.length; at += HASH_BYTES) hashes.push(Uint8Array.from(stored.subarray(at, at + HASH_BYTES)));
  return hashes;
}

function notFrontier(size: number, why: string): LedgerFault {
  return new LedgerFault('store.corrupt', `the stored frontier does not belong to ${size} leaves: ${why}; run verify`);
}

/** How a node is read: from the stored roots of blocks of which level (0: from the leaves), and which of them. */
export interface Block {
  readonly level: number;
  readonly first: number;
  readonly count: number;
}

/** What the complete subtree of 2^level leaves at `index` is made of; at most 256 hashes. */
export function blockOf(level: number, index: bigint): Block {
  const count = 2 ** (level % LEVELS_PER_WIDTH);
  return { level: Math.floor(level / LEVELS_PER_WIDTH), first: Number(index) * count, count };
}

/** The hash of that subtree, once its hashes are read. */
export function nodeOf({ level, first, count }: Block, hashes: readonly Bytes[]): Bytes {
  if (hashes.length === count && hashes.every((hash) => hash.length === HASH_BYTES)) return treeRoot(hashes);
  const leaves = leavesUnder(level);
  throw new LedgerFault(
    'store.corrupt',
    `the tree over entries ${first * leaves} to ${(first + count) * leaves - 1} is not complete; run verify`,
  );
}

function onesOf(count: number): number {
  let ones = 0;
  for (let rest = count; rest > 0; rest >>= 1) ones += rest & 1;
  return ones;
}
