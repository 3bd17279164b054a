/**
 * The whole package on the Node side of `#crypto`. Must stay the same list of suites as portable.test.ts.
 */

import * as active from '#crypto';
import { describe, expect, test } from '@jest/globals';
import * as node from '../src/crypto/node.ts';
import { describeGit } from './suites/git.ts';
import { describeKeys } from './suites/keys.ts';
import { describeMerkle } from './suites/merkle.ts';
import { describeNotes } from './suites/notes.ts';
import { describeSparse } from './suites/sparse.ts';
import { describeTiles } from './suites/tiles.ts';
import { describeWitnessing } from './suites/witnessing.ts';

describe('proof on node:crypto', () => {
  test('the active side of #crypto is the Node one', () => {
    expect(active.ed25519Verify).toBe(node.ed25519Verify);
  });
  describeMerkle();
  describeTiles();
  describeKeys();
  describeNotes();
  describeSparse();
  describeGit();
  describeWitnessing();
});
