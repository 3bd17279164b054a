/**
 * The sparse Merkle map against its definition in PROTOCOL §8: roots, order independence, persistence, proofs of presence and absence.
 */

import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { emptyMap, mapEntries, mapGet, mapProve, mapRoot, mapSet, mapSize, type SparseMap, verifyMapProof } from '../../src/index.ts';
import { damaged, octets32, thrownCode, toText } from './common.ts';

const ZERO = new Uint8Array(32);

/** Keys that share long prefixes more often than chance would have it. */
const key = fc.oneof(
  octets32,
  fc
    .tuple(fc.constantFrom(0, 0x80, 0xff), fc.nat(31), fc.nat(255))
    .map(([fill, at, octet]) => new Uint8Array(32).fill(fill).fill(octet, at, at + 1)),
);
const entries = fc.uniqueArray(fc.tuple(key, octets32), { selector: ([key]) => toText(key), maxLength: 24 });
type Entries = readonly (readonly [Uint8Array, Uint8Array])[];

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

function bit(key: Uint8Array, depth: number): number {
  return ((key[depth >> 3] ?? 0) >> (7 - (depth % 8))) & 1;
}

/** The definition, word for word. */
function rootOf(set: Entries, depth = 0): Uint8Array {
  const [first] = set;
  if (first === undefined) return ZERO;
  if (set.length === 1) return sha256(Uint8Array.of(0), first[0], first[1]);
  const side = (value: number) =>
    rootOf(
      set.filter(([key]) => bit(key, depth) === value),
      depth + 1,
    );
  return sha256(Uint8Array.of(1), side(0), side(1));
}

function mapOf(set: Entries): SparseMap<string> {
  return set.reduce((map, [key, hash]) => mapSet(map, key, hash, toText(hash)), emptyMap<string>());
}

function rootsAndVersions(): void {
  test('has the root of the definition, in whatever order it was filled', () => {
    fc.assert(
      fc.property(entries, (set) => {
        const expected = toText(rootOf(set));
        expect(toText(mapRoot(mapOf(set)))).toBe(expected);
        expect(toText(mapRoot(mapOf([...set].reverse())))).toBe(expected);
        expect(mapSize(mapOf(set))).toBe(set.length);
      }),
    );
  });

  test('none is 32 zero bytes, one is its leaf, two that part at the last bit are 256 branches deep', () => {
    const one = new Uint8Array(32);
    const two = Uint8Array.from(one).fill(1, 31);
    expect(mapRoot(emptyMap())).toEqual(ZERO);
    expect(mapRoot(mapOf([[one, two]]))).toEqual(sha256(Uint8Array.of(0), one, two));
    const map = mapOf([
      [one, one],
      [two, two],
    ]);
    expect(mapProve(map, one).siblings).toHaveLength(256);
    expect(toText(mapRoot(map))).toBe(
      toText(
        rootOf([
          [one, one],
          [two, two],
        ]),
      ),
    );
  });

  test('never changes once handed out, whether or not its root was asked for', () => {
    fc.assert(
      fc.property(entries, key, octets32, fc.boolean(), (set, added, hash, askFirst) => {
        const before = mapOf(set);
        if (askFirst) mapRoot(before);
        const after = mapSet(before, added, hash, 'new');
        const rest = set.filter(([key]) => toText(key) !== toText(added));
        expect(toText(mapRoot(after))).toBe(toText(rootOf([...rest, [added, hash]])));
        expect(mapSize(after)).toBe(rest.length + 1);
        expect(toText(mapRoot(before))).toBe(toText(rootOf(set)));
        expect(mapGet(after, added)).toMatchObject({ valueHash: hash, value: 'new' });
        expect(mapGet(before, added)?.value).toBe(set.filter(([key]) => toText(key) === toText(added)).map(([, hash]) => toText(hash))[0]);
      }),
    );
  });
}

function entriesAndSharing(): void {
  test('holds one entry per key: a second write replaces the first', () => {
    fc.assert(
      fc.property(
        entries.filter((set) => set.length > 0),
        fc.nat(),
        octets32,
        (set, pick, hash) => {
          const at = pick % set.length;
          const key = set[at]?.[0] ?? ZERO;
          const replaced = mapSet(mapOf(set), Uint8Array.from(key), hash, 'new');
          expect(mapSize(replaced)).toBe(set.length);
          expect(mapGet(replaced, key)?.value).toBe('new');
          expect(toText(mapRoot(replaced))).toBe(toText(rootOf(set.with(at, [key, hash]))));
        },
      ),
    );
  });

  test('lists its entries in the order of their keys', () => {
    fc.assert(
      fc.property(entries, (set) => {
        const expected = set.map(([key, hash]) => `${toText(key)} ${toText(hash)}`).sort();
        expect([...mapEntries(mapOf(set))].map(({ key, value }) => `${toText(key)} ${value}`)).toEqual(expected);
      }),
    );
  });

  test('shares every untouched branch with its successor', () => {
    const set = Array.from({ length: 64 }, (_, i) => [sha256(Uint8Array.of(i)), ZERO] as const);
    const before = mapOf(set);
    const after = mapSet(before, Uint8Array.of(...sha256(Uint8Array.of(200)).fill(0, 0, 1)), ZERO, '');
    if (before.tree?.kind !== 'branch' || after.tree?.kind !== 'branch') throw new Error('64 keys make a branch');
    expect(after.tree.one).toBe(before.tree.one);
    expect(after.tree.zero).not.toBe(before.tree.zero);
  });
}

function proofs(): void {
  test('proves what it holds and what it does not hold', () => {
    fc.assert(
      fc.property(entries, key, (set, other) => {
        const map = mapOf(set);
        const root = mapRoot(map);
        for (const [key, valueHash] of set) {
          const proof = mapProve(map, key);
          expect(verifyMapProof({ root, key, valueHash, proof })).toEqual({ ok: true, value: undefined });
          expect(verifyMapProof({ root, key, valueHash: null, proof })).toMatchObject({ error: { code: 'map.present' } });
          expect(verifyMapProof({ root, key, valueHash: damaged(valueHash), proof })).toMatchObject({
            error: { code: 'map.otherValue' },
          });
        }
        if (mapGet(map, other) !== undefined) return;
        const proof = mapProve(map, other);
        expect(verifyMapProof({ root, key: other, valueHash: null, proof })).toEqual({ ok: true, value: undefined });
        expect(verifyMapProof({ root, key: other, valueHash: ZERO, proof })).toMatchObject({ error: { code: 'map.absent' } });
      }),
    );
  });

  test('no altered proof leads to the root', () => {
    fc.assert(
      fc.property(
        entries.filter((set) => set.length > 1),
        fc.nat(),
        (set, pick) => {
          const map = mapOf(set);
          const [key, valueHash] = set[pick % set.length] ?? [ZERO, ZERO];
          const root = mapRoot(map);
          const proof = mapProve(map, key);
          const mismatch = { ok: false, error: { code: 'map.rootMismatch', claimedRoot: root } };
          proof.siblings.forEach((sibling, at) => {
            expect(
              verifyMapProof({ root, key, valueHash, proof: { ...proof, siblings: proof.siblings.with(at, damaged(sibling)) } }),
            ).toMatchObject(mismatch);
          });
          expect(verifyMapProof({ root: damaged(root), key, valueHash, proof })).toMatchObject({
            error: { code: 'map.rootMismatch', computedRoot: root },
          });
          expect(verifyMapProof({ root, key, valueHash, proof: { ...proof, siblings: proof.siblings.slice(1) } }).ok).toBe(false);
          expect(verifyMapProof({ root, key, valueHash, proof: { ...proof, siblings: [root, ...proof.siblings] } }).ok).toBe(false);
          // A key that is there cannot be shown absent by leaving its leaf out or by pointing at another's.
          expect(verifyMapProof({ root, key, valueHash: null, proof: { ...proof, end: null } }).ok).toBe(false);
          const fooled = set.filter(([otherKey, otherHash]) => {
            const end = { key: otherKey, valueHash: otherHash };
            return verifyMapProof({ root, key, valueHash: null, proof: { ...proof, end } }).ok;
          });
          expect(fooled).toEqual([]);
        },
      ),
    );
  });
}

function impossibleShapes(): void {
  test('proofs of an impossible shape are refused before hashing', () => {
    const [a, b] = [new Uint8Array(32), new Uint8Array(32).fill(255)];
    const claim = { root: ZERO, key: a, valueHash: null, proof: { siblings: [], end: null } };
    expect(verifyMapProof(claim).ok).toBe(true);
    const malformed = { ok: false, error: { code: 'map.malformed' } };
    expect(verifyMapProof({ ...claim, proof: { siblings: [ZERO], end: null } })).toMatchObject(malformed);
    expect(verifyMapProof({ ...claim, proof: { siblings: [b], end: { key: b, valueHash: a } } })).toMatchObject(malformed);
    expect(verifyMapProof({ ...claim, proof: { siblings: Array.from({ length: 257 }, () => b), end: null } })).toMatchObject(malformed);
    expect(verifyMapProof({ ...claim, proof: { siblings: [a.slice(1)], end: null } })).toMatchObject(malformed);
    expect(verifyMapProof({ ...claim, key: a.slice(1) })).toMatchObject(malformed);
    expect(verifyMapProof({ ...claim, root: a.slice(1) })).toMatchObject(malformed);
  });

  test('keys and value hashes of another length are a caller mistake', () => {
    const short = new Uint8Array(31);
    const map = emptyMap<number>();
    for (const call of [
      () => mapGet(map, short),
      () => mapSet(map, short, ZERO, 1),
      () => mapSet(map, ZERO, short, 1),
      () => mapProve(map, short),
    ]) {
      expect(thrownCode(call)).toBe('fault.badArgument');
    }
  });
}

export function describeSparse(): void {
  describe('the sparse Merkle map', () => {
    rootsAndVersions();
    entriesAndSharing();
    proofs();
    impossibleShapes();
  });
}
