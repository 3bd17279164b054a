/**
 * RFC 6962 trees: hashes, the compact range that a writer keeps, proofs and their verification. Must never answer for a size it has not
 * been given. Verification follows RFC 9162 §2.1.3.2 and §2.1.4.2; PROTOCOL §3.
 */

import { hashLeaf, hashNode } from '#crypto';
import { type Bytes, equalBytes, err, ok, type Result, sha256 } from '@openexec/canon';
import { type ProofError, type ProofErrorCode, ProofFault } from './errors.ts';

/** SHA-256 output. */
export const HASH_BYTES = 32;

/** The root of a tree without leaves: SHA-256 of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT: Bytes = sha256(new Uint8Array(0));

/** The leaf hash of an entry's bytes: SHA-256(0x00 ‖ data). */
export function leafHash(data: Bytes): Bytes {
  return hashLeaf(data);
}

/** The hash of an inner node: SHA-256(0x01 ‖ left ‖ right). Throws `fault.badArgument` unless both have 32 bytes. */
export function nodeHash(left: Bytes, right: Bytes): Bytes {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES)
    throw new ProofFault('fault.badArgument', 'a node hash joins two hashes of 32 bytes');
  return hashNode(left, right);
}

/**
 * The frontier of an append-only tree: one hash per complete subtree, largest first, as many as the size has binary ones. Owned and
 * mutated by one writer; everyone else takes a {@link CompactRange.clone}.
 */
export class CompactRange {
  /** Sizes stay below 2^53, so that the hot path counts in plain numbers. */
  #size: number;
  readonly #hashes: Bytes[];

  private constructor(size: number, hashes: Bytes[]) {
    this.#size = size;
    this.#hashes = hashes;
  }

  /** The range of a tree without leaves. */
  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /** Restores a stored range; refuses a number of hashes that does not belong to the size. */
  static from(size: bigint, hashes: readonly Bytes[]): Result<CompactRange, ProofError> {
    if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
      return refuse('proof.badSize', `a tree of ${size} leaves is outside 0 to 2^53 - 1`);
    const count = onesOf(size);
    if (hashes.length !== count)
      return refuse('proof.wrongLength', `the range of ${size} leaves has ${count} hashes, not ${hashes.length}`);
    if (hashes.some((hash) => hash.length !== HASH_BYTES)) return refuse('proof.badHash', 'every hash of a range has 32 bytes');
    return ok(new CompactRange(Number(size), [...hashes]));
  }

  /** Adds the next leaf hash: one node hash per leaf, amortised. Throws `fault.badArgument` unless it has 32 bytes. */
  append(leaf: Bytes): void {
    if (leaf.length !== HASH_BYTES) throw new ProofFault('fault.badArgument', 'a leaf hash has 32 bytes');
    let hash = leaf;
    for (let left = this.#size; left % 2 === 1; left = (left - 1) / 2) {
      const sibling = this.#hashes.pop();
      if (sibling === undefined) throw new ProofFault('fault.badArgument', 'a compact range lost a hash');
      hash = hashNode(sibling, hash);
    }
    this.#hashes.push(hash);
    this.#size++;
  }

  /** Number of leaves. */
  get size(): bigint {
    return BigInt(this.#size);
  }

  /** The hashes, largest subtree first; a copy of the list. */
  hashes(): readonly Bytes[] {
    return [...this.#hashes];
  }

  /** The root of the tree. */
  root(): Bytes {
    return foldRight(this.#hashes) ?? EMPTY_ROOT;
  }

  /** An independent range with the same leaves. */
  clone(): CompactRange {
    return new CompactRange(this.#size, [...this.#hashes]);
  }
}

/** The root over leaf hashes. */
export function treeRoot(leaves: Iterable<Bytes>): Bytes {
  const range = CompactRange.empty();
  for (const leaf of leaves) range.append(leaf);
  return range.root();
}

/** Joins subtree hashes, smallest first; undefined for none. */
export function foldRight(hashes: readonly Bytes[]): Bytes | undefined {
  let root = hashes.at(-1);
  for (let i = hashes.length - 2; i >= 0 && root !== undefined; i--) {
    const left = hashes[i];
    if (left !== undefined) root = hashNode(left, root);
  }
  return root;
}

/** Number of binary ones. */
function onesOf(size: bigint): number {
  let count = 0;
  for (let rest = size; rest > 0n; rest >>= 1n) if ((rest & 1n) === 1n) count++;
  return count;
}

/** A refusal that carries no roots. */
export function refuse(
  code: Exclude<ProofErrorCode, 'proof.rootMismatch'>,
  message: string,
): { readonly ok: false; readonly error: ProofError } {
  return err({ code, message });
}

/** Compares a computed root with the claimed one. */
export function matchRoot(what: string, claimedRoot: Bytes, computedRoot: Bytes): Result<void, ProofError> {
  if (equalBytes(claimedRoot, computedRoot)) return ok(undefined);
  return err({ code: 'proof.rootMismatch', message: `the ${what} does not lead to the claimed root`, claimedRoot, computedRoot });
}
