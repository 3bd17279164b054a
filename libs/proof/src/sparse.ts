/**
 * The compact sparse Merkle map: a persistent map from 32-byte keys to values whose root commits to every key and value hash. Must never
 * change a map that was handed out, and the root never depends on the order of insertion. PROTOCOL §8.
 */

import { hashNode } from '#crypto';
import { type Bytes, concatBytes, equalBytes, err, ok, type Result, sha256 } from '@openexec/canon';
import { type MapError, ProofFault } from './errors.ts';

const KEY_BYTES = 32;
const KEY_BITS = 256;
const LEAF_PREFIX = Uint8Array.of(0);
/** The root of a set without keys: 32 zero bytes. */
const NOTHING: Bytes = new Uint8Array(KEY_BYTES);

/** One key with its value hash, H(JCS record), and the value itself. */
export interface MapEntry<V> {
  readonly key: Bytes;
  readonly valueHash: Bytes;
  readonly value: V;
}

interface Leaf<V> extends MapEntry<V> {
  readonly kind: 'leaf';
  readonly hash: Bytes;
}

/** Holds two keys or more. `hash` is filled in when a root is first asked for, so that a commit of many writes hashes each branch once. */
interface Branch<V> {
  readonly kind: 'branch';
  readonly zero: Subtree<V>;
  readonly one: Subtree<V>;
  hash: Bytes | undefined;
}

type Subtree<V> = Leaf<V> | Branch<V> | undefined;

/** An immutable map; equal contents have equal roots. */
export interface SparseMap<V> {
  readonly size: number;
  readonly tree: Subtree<V>;
}

/** The siblings from the root down, and what stands where the key's path ends: nothing, or one leaf (the key's own or another's). */
export interface MapProof {
  readonly siblings: readonly Bytes[];
  readonly end: { readonly key: Bytes; readonly valueHash: Bytes } | null;
}

/** The map without keys. */
export function emptyMap<V>(): SparseMap<V> {
  return { size: 0, tree: undefined };
}

/** The entry of a key, or undefined. */
export function mapGet<V>(map: SparseMap<V>, key: Bytes): MapEntry<V> | undefined {
  requireHash(key);
  let tree = map.tree;
  for (let depth = 0; tree?.kind === 'branch'; depth++) tree = bitAt(key, depth) === 0 ? tree.zero : tree.one;
  return tree !== undefined && equalBytes(tree.key, key) ? tree : undefined;
}

/** A map that also holds this entry, in place of an earlier one with the same key. Shares every untouched branch. */
export function mapSet<V>(map: SparseMap<V>, key: Bytes, valueHash: Bytes, value: V): SparseMap<V> {
  requireHash(key);
  requireHash(valueHash);
  const known = mapGet(map, key);
  const leaf: Leaf<V> = { kind: 'leaf', key, valueHash, value, hash: leafHashOf(key, valueHash) };
  return { size: known === undefined ? map.size + 1 : map.size, tree: place(map.tree, leaf, 0) };
}

/** The 32-byte root. */
export function mapRoot<V>(map: SparseMap<V>): Bytes {
  return rootOf(map.tree);
}

/** Number of keys. */
export function mapSize<V>(map: SparseMap<V>): number {
  return map.size;
}

/** All entries in the order of their keys. */
export function* mapEntries<V>(map: SparseMap<V>): IterableIterator<MapEntry<V>> {
  const waiting: Subtree<V>[] = [map.tree];
  while (waiting.length > 0) {
    const tree = waiting.pop();
    if (tree?.kind === 'leaf') yield tree;
    else if (tree !== undefined) waiting.push(tree.one, tree.zero);
  }
}

/** A proof of what the map holds, or does not hold, under a key. */
export function mapProve<V>(map: SparseMap<V>, key: Bytes): MapProof {
  requireHash(key);
  const siblings: Bytes[] = [];
  let tree = map.tree;
  for (let depth = 0; tree?.kind === 'branch'; depth++) {
    const goesZero = bitAt(key, depth) === 0;
    siblings.push(rootOf(goesZero ? tree.one : tree.zero));
    tree = goesZero ? tree.zero : tree.one;
  }
  return { siblings, end: tree === undefined ? null : { key: tree.key, valueHash: tree.valueHash } };
}

/** Checks that under `root` the key has this value hash, or, when it is null, that the key is absent. */
export function verifyMapProof(claim: {
  readonly root: Bytes;
  readonly key: Bytes;
  readonly valueHash: Bytes | null;
  readonly proof: MapProof;
}): Result<void, MapError> {
  const { root, key, valueHash, proof } = claim;
  const malformed = malformedProof(claim);
  if (malformed !== undefined) return err({ code: 'map.malformed', message: malformed });
  const isOwn = proof.end !== null && equalBytes(proof.end.key, key);
  if (valueHash === null && isOwn) return err({ code: 'map.present', message: 'the proof shows the key, which is claimed to be absent' });
  if (valueHash !== null && !isOwn) return err({ code: 'map.absent', message: 'the proof does not show the key' });
  if (valueHash !== null && proof.end !== null && !equalBytes(proof.end.valueHash, valueHash)) {
    return err({ code: 'map.otherValue', message: 'the proof shows the key with another value' });
  }
  const computedRoot = climb(key, proof);
  if (equalBytes(computedRoot, root)) return ok(undefined);
  return err({ code: 'map.rootMismatch', message: 'the proof does not lead to the claimed root', claimedRoot: root, computedRoot });
}

/** Why a proof has an impossible shape; undefined when it has not. */
function malformedProof(claim: Parameters<typeof verifyMapProof>[0]): string | undefined {
  const { siblings, end } = claim.proof;
  const hashes = [
    claim.root,
    claim.key,
    ...(claim.valueHash === null ? [] : [claim.valueHash]),
    ...siblings,
    ...(end === null ? [] : [end.key, end.valueHash]),
  ];
  if (hashes.some((hash) => hash.length !== KEY_BYTES)) return 'keys and hashes of a map proof have 32 bytes';
  if (siblings.length > KEY_BITS) return 'a path has at most 256 steps';
  // A branch holds two keys or more: beside one key or none at the end, the last sibling cannot be empty.
  const last = siblings.at(-1);
  if (last !== undefined && equalBytes(last, NOTHING)) return 'the last sibling is empty, so the path should have ended above';
  if (end !== null && sharedBits(end.key, claim.key) < siblings.length) return 'the leaf at the end does not lie on the path of the key';
  return undefined;
}

function climb(key: Bytes, proof: MapProof): Bytes {
  let hash = proof.end === null ? NOTHING : leafHashOf(proof.end.key, proof.end.valueHash);
  for (let depth = proof.siblings.length - 1; depth >= 0; depth--) {
    const sibling = proof.siblings[depth] ?? NOTHING;
    hash = bitAt(key, depth) === 0 ? hashNode(hash, sibling) : hashNode(sibling, hash);
  }
  return hash;
}

/** Recursion is as deep as the longest prefix two keys share, never more than 256. */
function place<V>(tree: Subtree<V>, leaf: Leaf<V>, depth: number): Subtree<V> {
  if (tree === undefined) return leaf;
  if (tree.kind === 'leaf') {
    if (equalBytes(tree.key, leaf.key)) return leaf;
    // The old leaf moves one step down; the new one then meets it there or parts from it.
    const below: Branch<V> = bitAt(tree.key, depth) === 0 ? branch(tree, undefined) : branch(undefined, tree);
    return place(below, leaf, depth);
  }
  return bitAt(leaf.key, depth) === 0
    ? branch(place(tree.zero, leaf, depth + 1), tree.one)
    : branch(tree.zero, place(tree.one, leaf, depth + 1));
}

function branch<V>(zero: Subtree<V>, one: Subtree<V>): Branch<V> {
  return { kind: 'branch', zero, one, hash: undefined };
}

function rootOf<V>(tree: Subtree<V>): Bytes {
  if (tree === undefined) return NOTHING;
  if (tree.kind === 'branch') tree.hash ??= hashNode(rootOf(tree.zero), rootOf(tree.one));
  return tree.hash ?? NOTHING;
}

function leafHashOf(key: Bytes, valueHash: Bytes): Bytes {
  return sha256(concatBytes(LEAF_PREFIX, key, valueHash));
}

/** Bits from the most significant of the first byte. */
function bitAt(key: Bytes, depth: number): number {
  return ((key[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
}

function sharedBits(a: Bytes, b: Bytes): number {
  let depth = 0;
  while (depth < KEY_BITS && bitAt(a, depth) === bitAt(b, depth)) depth++;
  return depth;
}

function requireHash(bytes: Bytes): void {
  if (bytes.length !== KEY_BYTES) throw new ProofFault('fault.badArgument', 'keys and value hashes of the map have 32 bytes');
}
