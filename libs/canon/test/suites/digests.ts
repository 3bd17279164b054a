/**
 * Digests: published hash values, one spelling, the canonical digest of JSON.
 */

import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  canonicalBytes,
  type Digest,
  digestBytes,
  digestFromBytes,
  digestJson,
  digestOf,
  isDigest,
  parseDigest,
  sha1Hex,
  sha256,
  sha256Hex,
  toHex,
  utf8Encode,
} from '../../src/index.ts';
import { thrownCode } from './bytes.ts';
import { anyJson } from './canonical.ts';

/** FIPS 180-4 examples: the empty message, "abc", and the two-block message. */
const EXAMPLES: readonly (readonly [string, string, string])[] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    '84983e441c3bd26ebaae4aa1f95129e5e54670f1',
  ],
];
const ABC = `sha256:${EXAMPLES[1]?.[1]}`;

export function describeDigests(): void {
  describe('digests', () => {
    test.each(EXAMPLES)('the published hashes of %j', (text, sha256Text, sha1Text) => {
      const bytes = utf8Encode(text);
      expect(sha256Hex(bytes)).toBe(sha256Text);
      expect(sha256Hex(text)).toBe(sha256Text);
      expect(toHex(sha256(bytes))).toBe(sha256Text);
      expect(digestOf(bytes)).toBe(`sha256:${sha256Text}`);
      expect(sha1Hex(bytes)).toBe(sha1Text);
    });

    test('a text counts as its UTF-8, bytes as they are, views from their own start', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), (text) => {
          const bytes = utf8Encode(text);
          const view = Uint8Array.from([1, ...bytes, 2]).subarray(1, bytes.length + 1);
          const expected = createHash('sha256').update(text, 'utf8').digest('hex');
          expect([sha256Hex(text), sha256Hex(bytes), sha256Hex(view)]).toEqual([expected, expected, expected]);
        }),
      );
    });

    test('the digest of a JSON value is the digest of its canonical bytes', () => {
      fc.assert(fc.property(anyJson, (value) => expect(digestJson(value)).toBe(digestOf(canonicalBytes(value)))));
    });

    test('a digest has one spelling, and comes back from bytes', () => {
      const digest = parseDigest(ABC);
      expect(digest).toEqual({ ok: true, value: ABC });
      expect(digest.ok && digestFromBytes(digestBytes(digest.value))).toBe(ABC);
      expect(digestOf('abc')).toBe(ABC);
    });

    test.each([
      '',
      'sha256:',
      ABC.toUpperCase(),
      ABC.slice(7),
      `${ABC}0`,
      ABC.slice(0, -1),
      `${ABC}\n`,
      ` ${ABC}`,
      ABC.replace('sha256', 'sha512'),
    ])('the text %j is no digest', (text) => {
      expect(isDigest(text)).toBe(false);
      expect(parseDigest(text)).toMatchObject({ ok: false, error: { code: 'digest.malformed' } });
    });

    test('only strings are digests', () => {
      expect([null, undefined, 1, [ABC], { toString: () => ABC }].map(isDigest)).toEqual([false, false, false, false, false]);
    });

    test('bytes of another length and texts without UTF-8 form are a caller mistake', () => {
      expect(thrownCode(() => digestFromBytes(new Uint8Array(31)))).toBe('canon.outOfRange');
      expect(thrownCode(() => digestBytes('sha256:00' as Digest))).toBe('canon.outOfRange');
      expect(thrownCode(() => digestOf('\ud800'))).toBe('canon.loneSurrogate');
    });
  });
}
