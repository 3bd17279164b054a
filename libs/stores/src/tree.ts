/**
 * The Merkle tree beside the rows: the frontier that a writer extends, and the nodes that proofs read. Kept in blocks of 256 leaves, so that
 * one stored hash per block serves every proof. Must never be asked for more leaves than are committed. PROTOCOL §3.
 */
import type { Bytes } from '@openexec/canon';
import { LedgerFault } from '@openexec/ledger';
import { CompactRange, leafHash, rangeNodes, treeRoot } from '@openexec/proof';
import type Database from 'better-sqlite3';

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

/** The frontier in memory: one open block per level. Owned by the writer, under the write lock; thrown away when another process appended. */
export class Frontier {
  /** `#open[0]` holds leaves, `#open[1]` roots of full leaf blocks, and so on; each holds fewer than 256. */
  readonly #open: { range: CompactRange; count: number; done: number }[] = [];

  /** Restores the frontier of `size` leaves from its stored hashes, largest subtree first. */
  constructor(size: number, stored: Bytes) {
    const hashes: Bytes[] = [];
    for (let at = 0; at < stored.length; at += HASH_BYTES) hashes.push(Uint8Array.from(stored.subarray(at, at + HASH_BYTES)));
    for (let rest = size; rest > 0; rest = Math.floor(rest / WIDTH)) {
      const count = rest % WIDTH;
      const own = hashes.splice(hashes.length - onesOf(count));
      const range = CompactRange.from(BigInt(count), own);
      if (!range.ok)
        throw new LedgerFault('store.corrupt', `the stored frontier does not belong to ${size} leaves: ${range.error.message}`);
      this.#open.push({ range: range.value, count, done: Math.floor(rest / WIDTH) });
    }
    if (hashes.length > 0) throw new LedgerFault('store.corrupt', `the stored frontier has more hashes than ${size} leaves have`);
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
  const hashes: Bytes[] = [];
  for (let at = 0; at < stored.length; at += HASH_BYTES) hashes.push(Uint8Array.from(stored.subarray(at, at + HASH_BYTES)));
  return rootFrom(BigInt(size), hashes);
}

/** Reads nodes of complete subtrees from the database. */
export class TreeReader {
  readonly #leaves: Database.Statement;
  readonly #subtrees: Database.Statement;

  constructor(db: Database.Database) {
    this.#leaves = db.prepare('SELECT entry FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx').pluck();
    this.#subtrees = db.prepare('SELECT hash FROM subtrees WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx').pluck();
  }

  /** The hash of the complete subtree of 2^level leaves at `index`; at most 256 rows are read. */
  node(level: number, index: bigint): Bytes {
    const stored = Math.floor(level / LEVELS_PER_WIDTH);
    const count = 2 ** (level % LEVELS_PER_WIDTH);
    const first = Number(index) * count;
    const rows = stored === 0 ? this.#leaves.all(first, first + count) : this.#subtrees.all(stored, first, first + count);
    if (rows.length !== count) throw new LedgerFault('store.corrupt', `the subtree (${level}, ${index}) is not complete`);
    // Both statements pluck one BLOB column.
    const hashes = (rows as Bytes[]).map((bytes) => (stored === 0 ? leafHash(bytes) : Uint8Array.from(bytes)));
    return treeRoot(hashes);
  }

  /** The root of the tree of `size` leaves, recomputed. */
  root(size: bigint): Bytes {
    return rootFrom(
      size,
      rangeNodes(size).map(({ level, index }) => this.node(level, index)),
    );
  }
}

function rootFrom(size: bigint, hashes: readonly Bytes[]): Bytes {
  const range = CompactRange.from(size, hashes);
  if (!range.ok) throw new LedgerFault('store.corrupt', `the stored frontier does not belong to ${size} leaves: ${range.error.message}`);
  return range.value.root();
}

function onesOf(count: number): number {
  let ones = 0;
  for (let rest = count; rest > 0; rest >>= 1) ones += rest & 1;
  return ones;
}
