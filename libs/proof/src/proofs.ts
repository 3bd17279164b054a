/**
 * Inclusion and consistency proofs: which complete subtrees they need, how they are built from stored nodes, how they are verified.
 * Must never accept a proof with a spare hash. RFC 6962 §2.1.1 and §2.1.2; verification RFC 9162 §2.1.3.2 and §2.1.4.2.
 */

import { hashNode } from '#crypto';
import { type Bytes, equalBytes, err, ok, type Result } from '@openexec/canon';
import { type ProofError, ProofFault } from './errors.ts';
import { EMPTY_ROOT, foldRight, HASH_BYTES, matchRoot, refuse } from './merkle.ts';

/** The root of a complete subtree: it covers leaves index·2^level up to (index + 1)·2^level. */
export interface NodeRef {
  readonly level: number;
  readonly index: bigint;
}

/** Looks up the hash of a complete subtree; asked only for subtrees that lie wholly within the size of the proof. */
export type NodeReader = (level: number, index: bigint) => Bytes;

/** Leaves from start up to, not including, end. */
interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/** The complete subtrees that {@link inclusionProof} will read. Throws `fault.badArgument` unless 0 <= index < size. */
export function inclusionNodes(index: bigint, size: bigint): readonly NodeRef[] {
  return inclusionSpans(index, size).flatMap(coverOf);
}

/** The complete subtrees that {@link consistencyProof} will read. Throws `fault.badArgument` unless 0 <= oldSize <= newSize. */
export function consistencyNodes(oldSize: bigint, newSize: bigint): readonly NodeRef[] {
  return consistencySpans(oldSize, newSize).flatMap(coverOf);
}

/** The complete subtrees whose fold is the root of a tree: the compact range of that size, largest first. */
export function rangeNodes(size: bigint): readonly NodeRef[] {
  return coverOf({ start: 0n, end: size });
}

/** RFC 6962 PATH(index, D[size]): the audit path, lowest sibling first. */
export function inclusionProof(node: NodeReader, index: bigint, size: bigint): Bytes[] {
  return inclusionSpans(index, size).map((span) => spanHash(node, span));
}

/** RFC 6962 PROOF(oldSize, D[newSize]); empty for an empty old tree and for equal sizes. */
export function consistencyProof(node: NodeReader, oldSize: bigint, newSize: bigint): Bytes[] {
  return consistencySpans(oldSize, newSize).map((span) => spanHash(node, span));
}

/** Checks that `leaf` (a leaf hash) stands at `index` in the tree of `size` leaves with `root`. */
export function verifyInclusion(claim: {
  readonly leaf: Bytes;
  readonly index: bigint;
  readonly size: bigint;
  readonly root: Bytes;
  readonly proof: readonly Bytes[];
}): Result<void, ProofError> {
  const { leaf, index, size, root, proof } = claim;
  if (index < 0n || index >= size) return refuse('proof.badIndex', `there is no leaf ${index} in a tree of ${size}`);
  const malformed = badHash([leaf, root, ...proof]);
  if (malformed !== undefined) return malformed;
  let fn = index;
  let sn = size - 1n;
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0n) return refuse('proof.wrongLength', 'the inclusion proof has more hashes than the tree has levels');
    if ((fn & 1n) === 1n || fn === sn) {
      hash = hashNode(sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else hash = hashNode(hash, sibling);
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) return refuse('proof.wrongLength', 'the inclusion proof ends below the root');
  return matchRoot('inclusion proof', root, hash);
}

/** Checks that the tree of `newSize` leaves with `newRoot` only appended to the tree of `oldSize` leaves with `oldRoot`. */
export function verifyConsistency(claim: {
  readonly oldSize: bigint;
  readonly oldRoot: Bytes;
  readonly newSize: bigint;
  readonly newRoot: Bytes;
  readonly proof: readonly Bytes[];
}): Result<void, ProofError> {
  const { oldSize, oldRoot, newSize, newRoot, proof } = claim;
  if (oldSize < 0n || newSize < oldSize) return refuse('proof.badSize', `a tree of ${newSize} leaves cannot continue one of ${oldSize}`);
  const malformed = badHash([oldRoot, newRoot, ...proof]);
  if (malformed !== undefined) return malformed;
  if (oldSize === 0n || oldSize === newSize) {
    if (proof.length > 0) return refuse('proof.wrongLength', 'this pair of sizes needs an empty consistency proof');
    if (oldSize < newSize) return matchRoot('empty tree', oldRoot, EMPTY_ROOT);
    if (newSize === 0n) return matchAll([oldRoot, newRoot], EMPTY_ROOT);
    return matchRoot('equal size', newRoot, oldRoot);
  }
  return climbConsistency(claim);
}

/** RFC 9162 §2.1.4.2 for 0 < oldSize < newSize. */
function climbConsistency(claim: Parameters<typeof verifyConsistency>[0]): Result<void, ProofError> {
  const { oldSize, oldRoot, newSize, newRoot, proof } = claim;
  const oldIsComplete = (oldSize & (oldSize - 1n)) === 0n;
  const [first, ...rest] = oldIsComplete ? [oldRoot, ...proof] : proof;
  if (first === undefined) return refuse('proof.wrongLength', 'the consistency proof is empty');
  let fn = oldSize - 1n;
  let sn = newSize - 1n;
  while ((fn & 1n) === 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let oldHash = first;
  let newHash = first;
  for (const sibling of rest) {
    if (sn === 0n) return refuse('proof.wrongLength', 'the consistency proof has more hashes than the tree has levels');
    if ((fn & 1n) === 1n || fn === sn) {
      oldHash = hashNode(sibling, oldHash);
      newHash = hashNode(sibling, newHash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else newHash = hashNode(newHash, sibling);
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) return refuse('proof.wrongLength', 'the consistency proof ends below the root');
  const old = matchRoot('consistency proof (old size)', oldRoot, oldHash);
  return old.ok ? matchRoot('consistency proof (new size)', newRoot, newHash) : old;
}

function matchAll(claimed: readonly Bytes[], computed: Bytes): Result<void, ProofError> {
  const wrong = claimed.find((root) => !equalBytes(root, computed));
  return wrong === undefined ? ok(undefined) : matchRoot('empty tree', wrong, computed);
}

function badHash(hashes: readonly Bytes[]): { readonly ok: false; readonly error: ProofError } | undefined {
  if (hashes.every((hash) => hash.length === HASH_BYTES)) return undefined;
  return err({ code: 'proof.badHash', message: 'every hash of a proof has 32 bytes' });
}

/** The sibling spans of the way from the root down to the leaf, lowest first. */
function inclusionSpans(index: bigint, size: bigint): Span[] {
  if (index < 0n || index >= size) throw new ProofFault('fault.badArgument', `there is no leaf ${index} in a tree of ${size}`);
  const spans: Span[] = [];
  let start = 0n;
  let end = size;
  while (end - start > 1n) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
    }
  }
  return spans.reverse();
}

/** RFC 6962 §2.1.2 SUBPROOF, as a walk down to the old tree's last complete subtree. */
function consistencySpans(oldSize: bigint, newSize: bigint): Span[] {
  if (oldSize < 0n || newSize < oldSize)
    throw new ProofFault('fault.badArgument', `a tree of ${newSize} leaves cannot continue one of ${oldSize}`);
  if (oldSize === 0n) return [];
  const spans: Span[] = [];
  let start = 0n;
  let end = newSize;
  while (oldSize !== end) {
    const middle = start + splitOf(end - start);
    if (oldSize <= middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
    }
  }
  // A subtree that starts at leaf 0 is the whole old tree, whose root the verifier already has.
  if (start > 0n) spans.push({ start, end });
  return spans.reverse();
}

/** The largest power of two below `count` (count > 1). */
function splitOf(count: bigint): bigint {
  return 1n << BigInt((count - 1n).toString(2).length - 1);
}

/** The complete subtrees that make up a span, largest first; the start is aligned by construction. */
function coverOf(span: Span): NodeRef[] {
  const nodes: NodeRef[] = [];
  for (let start = span.start; start < span.end; ) {
    const level = (span.end - start).toString(2).length - 1;
    nodes.push({ level, index: start >> BigInt(level) });
    start += 1n << BigInt(level);
  }
  return nodes;
}

function spanHash(node: NodeReader, span: Span): Bytes {
  const hash = foldRight(coverOf(span).map(({ level, index }) => node(level, index)));
  if (hash === undefined) throw new ProofFault('fault.badArgument', 'a proof never needs an empty span');
  return hash;
}
