/**
 * The whole package on the portable side of `#crypto`, and both sides against each other.
 *
 * @jest-environment-options {"customExportConditions": ["@openexec/source"]}
 */

import * as active from '#crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as noble from '../src/crypto/noble.ts';
import * as node from '../src/crypto/node.ts';
import { describeGit } from './suites/git.ts';
import { describeKeys } from './suites/keys.ts';
import { describeMerkle } from './suites/merkle.ts';
import { describeNotes } from './suites/notes.ts';
import { describeSparse } from './suites/sparse.ts';
import { describeTiles } from './suites/tiles.ts';
import { describeWitnessing } from './suites/witnessing.ts';

describe('proof on @noble', () => {
  test('the active side of #crypto is the portable one', () => {
    expect(active.ed25519Verify).toBe(noble.ed25519Verify);
  });
  describeMerkle();
  describeTiles();
  describeKeys();
  describeNotes();
  describeSparse();
  describeGit();
  describeWitnessing();
});

describe('both sides of #crypto', () => {
  const octets32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

  test('export the same names', () => {
    expect(Object.keys(node).sort()).toEqual(Object.keys(noble).sort());
  });

  test('agree on Merkle hashes, leaves larger than the scratch memory included', () => {
    fc.assert(
      fc.property(octets32, octets32, fc.constantFrom(0, 1, 344, 8191, 8192, 8193, 20_000), (left, right, length) => {
        const leaf = new Uint8Array(length).fill(left[0] ?? 0);
        expect(node.hashLeaf(leaf)).toEqual(noble.hashLeaf(leaf));
        expect(node.hashNode(left, right)).toEqual(noble.hashNode(left, right));
      }),
    );
  });

  test('agree on keys, signatures and verdicts, for good and for damaged signatures', () => {
    fc.assert(
      fc.property(octets32, fc.uint8Array({ maxLength: 100 }), fc.nat(63), fc.integer({ min: 1, max: 255 }), (seed, message, at, flip) => {
        const publicKey = node.ed25519PublicKey(seed);
        const signature = node.ed25519Sign(seed, message);
        expect(noble.ed25519PublicKey(seed)).toEqual(publicKey);
        expect(noble.ed25519Sign(seed, message)).toEqual(signature);
        expect([node, noble].map((side) => side.ed25519Verify(publicKey, message, signature))).toEqual([true, true]);
        const damaged = Uint8Array.from(signature);
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        expect([node, noble].map((side) => side.ed25519Verify(publicKey, message, damaged))).toEqual([false, false]);
      }),
      { numRuns: 40 },
    );
  });

  test('agree that octets which are no point verify nothing', () => {
    const noPoint = new Uint8Array(32).fill(2);
    expect([node, noble].map((side) => side.ed25519Verify(noPoint, new Uint8Array(0), new Uint8Array(64)))).toEqual([false, false]);
  });

  test('more keys than are remembered change no verdict', () => {
    const message = Uint8Array.of(1);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 80; i++) {
        const seed = new Uint8Array(32).fill(i);
        expect(node.ed25519Verify(node.ed25519PublicKey(seed), message, node.ed25519Sign(seed, message))).toBe(true);
      }
    }
  });
});
