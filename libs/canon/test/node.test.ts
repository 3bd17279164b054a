/**
 * The whole package on the Node side of `#crypto`. Must stay the same list of suites as portable.test.ts.
 */

import * as active from '#crypto';
import { describe, expect, test } from '@jest/globals';
import * as node from '../src/crypto/node.ts';
import { describeBytes } from './suites/bytes.ts';
import { describeCanonical } from './suites/canonical.ts';
import { describeDigests } from './suites/digests.ts';
import { describeNames } from './suites/names.ts';
import { describeParsing } from './suites/parsing.ts';

describe('canon on node:crypto', () => {
  test('the active side of #crypto is the Node one', () => {
    expect(active.sha256).toBe(node.sha256);
  });
  describeBytes();
  describeCanonical();
  describeDigests();
  describeNames();
  describeParsing();
});
