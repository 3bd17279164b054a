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
import { describeBytes } from './suites/bytes.ts';
import { describeCanonical } from './suites/canonical.ts';
import { describeDigests } from './suites/digests.ts';
import { describeNames } from './suites/names.ts';
import { describeParsing } from './suites/parsing.ts';

describe('canon on @noble', () => {
  test('the active side of #crypto is the portable one', () => {
    expect(active.sha256).toBe(noble.sha256);
  });
  describeBytes();
  describeCanonical();
  describeDigests();
  describeNames();
  describeParsing();
});

describe('both sides of #crypto', () => {
  test('export the same names', () => {
    expect(Object.keys(node).sort()).toEqual(Object.keys(noble).sort());
  });

  test('agree on every byte string', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(node.sha256(bytes)).toEqual(noble.sha256(bytes));
        expect(node.sha256Hex(bytes)).toBe(noble.sha256Hex(bytes));
        expect(node.sha1Hex(bytes)).toBe(noble.sha1Hex(bytes));
        expect(node.encodeHex(bytes)).toBe(noble.encodeHex(bytes));
        expect(node.decodeHex(node.encodeHex(bytes))).toEqual(noble.decodeHex(noble.encodeHex(bytes)));
        expect(node.encodeBase64(bytes)).toBe(noble.encodeBase64(bytes));
        expect(node.decodeBase64(node.encodeBase64(bytes))).toEqual(noble.decodeBase64(noble.encodeBase64(bytes)));
        expect(node.decodeUtf8(bytes)).toBe(noble.decodeUtf8(bytes));
      }),
    );
  });

  test('agree on bytes that are almost UTF-8', () => {
    const octet = fc.constantFrom(
      0x00,
      0x41,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xed,
      0xef,
      0xf0,
      0xf4,
      0xf5,
      0xff,
    );
    fc.assert(
      fc.property(fc.array(octet, { maxLength: 8 }), (octets) => {
        const bytes = Uint8Array.from(octets);
        expect(noble.decodeUtf8(bytes)).toBe(node.decodeUtf8(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  test('agree on every well-formed text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(noble.encodeUtf8(text)).toEqual(node.encodeUtf8(text));
        expect(noble.sha256Hex(text)).toBe(node.sha256Hex(text));
        expect(noble.decodeUtf8(noble.encodeUtf8(text))).toBe(text);
      }),
    );
  });

  test('decode texts longer than one piece', () => {
    const text = 'aé日😀'.repeat(5000);
    expect(noble.decodeUtf8(noble.encodeUtf8(text))).toBe(text);
    expect(node.decodeUtf8(node.encodeUtf8(text))).toBe(text);
  });
});
