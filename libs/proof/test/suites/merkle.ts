/**
 * RFC 6962 trees: published hashes and accumulators, the RFC's recursive definitions as oracle, every small tree, tampering.
 */

import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  CompactRange,
  consistencyNodes,
  consistencyProof,
  EMPTY_ROOT,
  inclusionNodes,
  inclusionProof,
  leafHash,
  type NodeRef,
  nodeHash,
  rangeNodes,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../src/index.ts';
import { describeVectors, vectorJson } from '../vectors.ts';
import { damaged, hex, octets32, thrownCode, toText, utf8 } from './common.ts';

interface Reference {
  readonly leaf_inputs_hex: readonly string[];
  readonly node_hashes_by_level: readonly (readonly string[])[];
  readonly roots_by_tree_size: readonly string[];
  readonly hasher: readonly { op: string; data_utf8?: string; left_utf8?: string; right_utf8?: string; want: string }[];
  readonly subtree_accumulators: { readonly subtree_hash: string; readonly subtree_inclusion: string };
}

const MAX_SIZE = 34;
const LEAVES = Array.from({ length: 130 }, (_, i) => leafHash(Uint8Array.of(i)));

/** The largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** RFC 6962 §2.1 MTH over leaf hashes. */
function mth(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (only === undefined) return EMPTY_ROOT;
  if (leaves.length === 1) return only;
  const k = split(leaves.length);
  return nodeHash(mth(leaves.slice(0, k)), mth(leaves.slice(k)));
}

/** RFC 6962 §2.1.1 PATH. */
function path(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  return m < k ? [...path(m, leaves.slice(0, k)), mth(leaves.slice(k))] : [...path(m - k, leaves.slice(k)), mth(leaves.slice(0, k))];
}

/** RFC 6962 §2.1.2 SUBPROOF. */
function subproof(m: number, leaves: readonly Uint8Array[], complete: boolean): Uint8Array[] {
  if (m === leaves.length) return complete ? [] : [mth(leaves)];
  const k = split(leaves.length);
  if (m <= k) return [...subproof(m, leaves.slice(0, k), complete), mth(leaves.slice(k))];
  return [...subproof(m - k, leaves.slice(k), false), mth(leaves.slice(0, k))];
}

/** Reads complete subtrees of some leaves, and refuses any that is not wholly there. */
function reader(leaves: readonly Uint8Array[], asked: NodeRef[] = []): (level: number, index: bigint) => Uint8Array {
  return (level, index) => {
    asked.push({ level, index });
    const start = Number(index) * 2 ** level;
    if (start + 2 ** level > leaves.length) throw new Error(`(${level}, ${index}) is not complete`);
    return mth(leaves.slice(start, start + 2 ** level));
  };
}

function isValidSubtree(start: number, end: number): boolean {
  let width = 1;
  while (width < end - start) width *= 2;
  return start === 0 || start === end || start % width === 0;
}

/** SHA-256 over a line for every valid subtree of up to 130 leaves. */
function accumulate(line: (start: number, end: number) => string): string {
  const hash = createHash('sha256');
  for (let end = 0; end <= LEAVES.length; end++) {
    for (let start = 0; start <= end; start++) if (isValidSubtree(start, end)) hash.update(line(start, end));
  }
  return hash.digest('hex');
}

function publishedTrees(): void {
  describeVectors('rfc6962-reference', () => {
    const reference = vectorJson<Reference>('rfc6962-reference/vectors.json');
    const leaves = reference.leaf_inputs_hex.map((input) => leafHash(hex(input)));

    test('single hashes', () => {
      const [empty, none, text, node] = reference.hasher;
      expect(reference.hasher.map(({ op }) => op)).toEqual(['empty_root', 'leaf', 'leaf', 'node']);
      expect(toText(EMPTY_ROOT)).toBe(empty?.want);
      expect([none, text].map((one) => toText(leafHash(utf8(one?.data_utf8 ?? ''))))).toEqual([none?.want, text?.want]);
      // The published node case joins texts of four octets; here a node joins two hashes and nothing else.
      expect(thrownCode(() => nodeHash(utf8(node?.left_utf8 ?? ''), utf8(node?.right_utf8 ?? '')))).toBe('fault.badArgument');
    });

    test('all node hashes and all roots of sizes 0 to 8', () => {
      const node = reader(leaves);
      const levels = reference.node_hashes_by_level.map((level, l) => level.map((_, i) => toText(node(l, BigInt(i)))));
      expect(levels).toEqual(reference.node_hashes_by_level);
      expect(reference.roots_by_tree_size.map((_, size) => toText(treeRoot(leaves.slice(0, size))))).toEqual(reference.roots_by_tree_size);
    });

    test('the rolling hash over the roots of all subtrees', () => {
      expect(accumulate((start, end) => `[${start}, ${end}) ${toText(treeRoot(LEAVES.slice(start, end)))}\n`)).toBe(
        reference.subtree_accumulators.subtree_hash,
      );
    });

    test('the rolling hash over all inclusion proofs of all subtrees', () => {
      const known = new Map<string, Uint8Array>();
      const line = (start: number, end: number): string => {
        const node = (level: number, index: bigint): Uint8Array => {
          const first = start + Number(index) * 2 ** level;
          const name = `${level} ${first}`;
          const hash = known.get(name) ?? mth(LEAVES.slice(first, first + 2 ** level));
          known.set(name, hash);
          return hash;
        };
        let text = '';
        for (let i = start; i < end; i++) {
          const proof = inclusionProof(node, BigInt(i - start), BigInt(end - start));
          text += `${[`${i} [${start}, ${end})`, ...proof.map(toText)].join(' ')}\n`;
        }
        return text;
      };
      expect(accumulate(line)).toBe(reference.subtree_accumulators.subtree_inclusion);
    });
  });
}

function compactRanges(): void {
  describe('the compact range', () => {
    test('has the root of the RFC at every size, and one hash per binary one', () => {
      const range = CompactRange.empty();
      for (let size = 0; size <= LEAVES.length; size++) {
        const leaves = LEAVES.slice(0, size);
        expect(toText(range.root())).toBe(toText(mth(leaves)));
        expect(range.size).toBe(BigInt(size));
        expect(range.hashes().map(toText)).toEqual(
          rangeNodes(BigInt(size)).map(({ level, index }) => toText(reader(leaves)(level, index))),
        );
        const leaf = LEAVES[size];
        if (leaf !== undefined) range.append(leaf);
      }
    });

    test('goes on after being stored and restored at any point', () => {
      fc.assert(
        fc.property(fc.array(octets32, { maxLength: 40 }), fc.nat(40), (leaves, at) => {
          const before = CompactRange.empty();
          for (const leaf of leaves.slice(0, at)) before.append(leaf);
          const restored = CompactRange.from(before.size, before.hashes());
          expect(restored.ok).toBe(true);
          if (!restored.ok) return;
          for (const leaf of leaves.slice(at)) restored.value.append(leaf);
          expect(toText(restored.value.root())).toBe(toText(mth(leaves)));
        }),
      );
    });

    test('a clone and a list that was handed out do not change with it', () => {
      const range = CompactRange.empty();
      range.append(LEAVES[0] ?? EMPTY_ROOT);
      const clone = range.clone();
      const hashes = range.hashes();
      range.append(LEAVES[1] ?? EMPTY_ROOT);
      expect([clone.size, toText(clone.root()), hashes.map(toText)]).toEqual([1n, toText(LEAVES[0]), [toText(LEAVES[0])]]);
      expect(range.size).toBe(2n);
    });

    test('what cannot be a range is refused', () => {
      const hash = EMPTY_ROOT;
      const codes = [
        CompactRange.from(-1n, []),
        CompactRange.from(2n ** 53n, [hash]),
        CompactRange.from(3n, [hash]),
        CompactRange.from(0n, [hash]),
        CompactRange.from(4n, [hash, hash]),
        CompactRange.from(1n, [hash.slice(1)]),
      ].map((result) => !result.ok && result.error.code);
      expect(codes).toEqual([
        'proof.badSize',
        'proof.badSize',
        'proof.wrongLength',
        'proof.wrongLength',
        'proof.wrongLength',
        'proof.badHash',
      ]);
    });

    test('hashes of another length are a caller mistake', () => {
      const short = new Uint8Array(31);
      expect(thrownCode(() => CompactRange.empty().append(short))).toBe('fault.badArgument');
      expect(thrownCode(() => nodeHash(short, EMPTY_ROOT))).toBe('fault.badArgument');
      expect(thrownCode(() => nodeHash(EMPTY_ROOT, short))).toBe('fault.badArgument');
    });
  });
}

function inclusionProofs(): void {
  describe('inclusion proofs', () => {
    test('are those of the RFC, read exactly the listed subtrees, and verify, for every leaf of every small tree', () => {
      for (let size = 1; size <= MAX_SIZE; size++) {
        const leaves = LEAVES.slice(0, size);
        const root = mth(leaves);
        for (let i = 0; i < size; i++) {
          const asked: NodeRef[] = [];
          const [index, count, leaf] = [BigInt(i), BigInt(size), leaves[i] ?? EMPTY_ROOT];
          const proof = inclusionProof(reader(leaves, asked), index, count);
          expect(proof.map(toText)).toEqual(path(i, leaves).map(toText));
          expect(asked).toEqual(inclusionNodes(index, count));
          expect(verifyInclusion({ leaf, index, size: count, root, proof })).toEqual({ ok: true, value: undefined });
        }
      }
    });

    test('fail with both roots for any other leaf, position, root or hash', () => {
      for (let size = 2; size <= 17; size++) {
        const leaves = LEAVES.slice(0, size);
        const root = mth(leaves);
        for (let i = 0; i < size; i++) {
          const claim = { leaf: leaves[i] ?? EMPTY_ROOT, index: BigInt(i), size: BigInt(size), root, proof: path(i, leaves) };
          const wrong = { ok: false, error: { code: 'proof.rootMismatch', claimedRoot: root } };
          expect(verifyInclusion({ ...claim, leaf: damaged(claim.leaf) })).toMatchObject(wrong);
          expect(verifyInclusion({ ...claim, root: damaged(root) })).toMatchObject({
            error: { code: 'proof.rootMismatch', claimedRoot: damaged(root), computedRoot: root },
          });
          claim.proof.forEach((hash, at) => {
            expect(verifyInclusion({ ...claim, proof: claim.proof.with(at, damaged(hash, 31)) })).toMatchObject(wrong);
          });
          const places = leaves.map((_, other) => verifyInclusion({ ...claim, index: BigInt(other) }).ok);
          expect(places).toEqual(leaves.map((_, other) => other === i));
          expect(verifyInclusion({ ...claim, proof: [...claim.proof, root] })).toMatchObject({ error: { code: 'proof.wrongLength' } });
          expect(verifyInclusion({ ...claim, proof: claim.proof.slice(0, -1) })).toMatchObject({ error: { code: 'proof.wrongLength' } });
        }
      }
    });

    test('impossible positions and short hashes are refused before hashing', () => {
      const claim = { leaf: EMPTY_ROOT, index: 0n, size: 1n, root: EMPTY_ROOT, proof: [] };
      expect(verifyInclusion(claim).ok).toBe(true);
      for (const [index, size] of [
        [1n, 1n],
        [-1n, 1n],
        [0n, 0n],
        [2n ** 64n, 2n ** 64n],
      ] as const) {
        expect(verifyInclusion({ ...claim, index, size })).toMatchObject({ error: { code: 'proof.badIndex' } });
        expect(thrownCode(() => inclusionProof(() => EMPTY_ROOT, index, size))).toBe('fault.badArgument');
      }
      expect(verifyInclusion({ ...claim, leaf: new Uint8Array(31) })).toMatchObject({ error: { code: 'proof.badHash' } });
      expect(verifyInclusion({ ...claim, size: 2n, proof: [new Uint8Array(33)] })).toMatchObject({ error: { code: 'proof.badHash' } });
    });

    test('in a tree of 2^62 leaves they ask for 62 subtrees', () => {
      expect(inclusionNodes(0n, 2n ** 62n)).toHaveLength(62);
      expect(inclusionNodes(2n ** 62n - 1n, 2n ** 62n)[0]).toEqual({ level: 0, index: 2n ** 62n - 2n });
    });
  });
}

function consistencyProofs(): void {
  describe('consistency proofs', () => {
    test('are those of the RFC, read exactly the listed subtrees, and verify, for every pair of small trees', () => {
      for (let newer = 0; newer <= MAX_SIZE; newer++) {
        const leaves = LEAVES.slice(0, newer);
        for (let older = 0; older <= newer; older++) {
          const asked: NodeRef[] = [];
          const [oldSize, newSize] = [BigInt(older), BigInt(newer)];
          const proof = consistencyProof(reader(leaves, asked), oldSize, newSize);
          expect(proof.map(toText)).toEqual(older === 0 ? [] : subproof(older, leaves, true).map(toText));
          expect(asked).toEqual(consistencyNodes(oldSize, newSize));
          const claim = { oldSize, oldRoot: mth(leaves.slice(0, older)), newSize, newRoot: mth(leaves), proof };
          expect(verifyConsistency(claim)).toEqual({ ok: true, value: undefined });
        }
      }
    });

    test('fail with both roots for any other root or hash', () => {
      for (let newer = 1; newer <= 17; newer++) {
        for (let older = 0; older <= newer; older++) {
          const leaves = LEAVES.slice(0, newer);
          const proof = older === 0 ? [] : subproof(older, leaves, true);
          const claim = {
            oldSize: BigInt(older),
            oldRoot: mth(leaves.slice(0, older)),
            newSize: BigInt(newer),
            newRoot: mth(leaves),
            proof,
          };
          expect(verifyConsistency({ ...claim, oldRoot: damaged(claim.oldRoot) })).toMatchObject({ error: { code: 'proof.rootMismatch' } });
          // Nothing binds a tree to the empty one, so any root continues it.
          const withOther = verifyConsistency({ ...claim, newRoot: damaged(claim.newRoot) });
          expect(withOther).toMatchObject(older === 0 ? { ok: true } : { error: { code: 'proof.rootMismatch' } });
          proof.forEach((hash, at) => {
            expect(verifyConsistency({ ...claim, proof: proof.with(at, damaged(hash)) })).toMatchObject({
              error: { code: 'proof.rootMismatch' },
            });
          });
          expect(verifyConsistency({ ...claim, proof: [...proof, claim.newRoot] })).toMatchObject({ error: { code: 'proof.wrongLength' } });
          const shortened = verifyConsistency({ ...claim, proof: proof.slice(0, -1) });
          expect(shortened).toMatchObject(proof.length === 0 ? { ok: true } : { error: { code: 'proof.wrongLength' } });
        }
      }
    });

    test('a rewritten history has no proof that leads to both roots', () => {
      const rewritten = [...LEAVES.slice(0, 3), damaged(LEAVES[3] ?? EMPTY_ROOT), ...LEAVES.slice(4, 11)];
      const claim = { oldSize: 7n, oldRoot: mth(LEAVES.slice(0, 7)), newSize: 11n, newRoot: mth(rewritten) };
      expect(verifyConsistency({ ...claim, proof: subproof(7, rewritten, true) })).toMatchObject({
        error: { code: 'proof.rootMismatch', claimedRoot: claim.oldRoot },
      });
      expect(verifyConsistency({ ...claim, proof: subproof(7, LEAVES.slice(0, 11), true) })).toMatchObject({
        error: { code: 'proof.rootMismatch', claimedRoot: claim.newRoot },
      });
    });

    test('a shrinking tree, an empty tree with leaves, and short hashes are refused', () => {
      const claim = { oldSize: 2n, oldRoot: EMPTY_ROOT, newSize: 1n, newRoot: EMPTY_ROOT, proof: [] };
      expect(verifyConsistency(claim)).toMatchObject({ error: { code: 'proof.badSize' } });
      expect(verifyConsistency({ ...claim, oldSize: -1n })).toMatchObject({ error: { code: 'proof.badSize' } });
      expect(verifyConsistency({ ...claim, oldSize: 0n, newSize: 0n, newRoot: LEAVES[0] ?? EMPTY_ROOT })).toMatchObject({
        error: { code: 'proof.rootMismatch' },
      });
      expect(verifyConsistency({ ...claim, newSize: 3n, oldRoot: new Uint8Array(0) })).toMatchObject({ error: { code: 'proof.badHash' } });
      expect(verifyConsistency({ ...claim, oldSize: 3n, newSize: 5n })).toMatchObject({ error: { code: 'proof.wrongLength' } });
      expect(thrownCode(() => consistencyProof(() => EMPTY_ROOT, 2n, 1n))).toBe('fault.badArgument');
    });
  });
}

export function describeMerkle(): void {
  publishedTrees();
  compactRanges();
  inclusionProofs();
  consistencyProofs();
}
