/**
 * RFC 8785 writing: published pairs, published numbers, laws, refusals.
 */

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalBytes, canonicalText, type Json, parseCanonical, toHex, utf8Decode, utf8Encode } from '../../src/index.ts';
import { describeVectors, vectorBytes, vectorPath } from '../vectors.ts';
import { thrownCode } from './bytes.ts';

/** Well-formed strings, any finite number, any nesting that generators reach, `__proto__` among the keys. */
export const anyJson: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Json>(null, true, false, '', '\u2028"\\\u0007', 0, -1, 2 ** 53 - 1),
    fc.string({ unit: 'binary' }),
    fc.maxSafeInteger(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 4 }), fc.constantFrom('__proto__', 'constructor', '10', '9')),
      tie('value'),
      {
        maxKeys: 30,
      },
    ),
  ),
})).value;

/** An independent, slow writer: the published algorithm of RFC 8785 §3.2 in its plainest form. */
function plainCanonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(plainCanonical).join(',')}]`;
  const members = Object.entries(value as Readonly<Record<string, Json>>).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${plainCanonical(member)}`).join(',')}}`;
}

/** `depth` arrays in each other. */
export function nested(depth: number): Json {
  let value: Json = [];
  for (let i = 1; i < depth; i++) value = [value];
  return value;
}

function text(bytes: Uint8Array): string {
  const decoded = utf8Decode(bytes);
  return decoded.ok ? decoded.value : '';
}

function publishedText(): void {
  describeVectors('jcs', () => {
    test('every published input gives the published output, octet for octet', () => {
      const names = readdirSync(vectorPath('jcs/input'));
      expect(names).toHaveLength(6);
      for (const name of names) {
        const value = JSON.parse(text(vectorBytes(`jcs/input/${name}`))) as Json;
        const expected = vectorBytes(`jcs/output/${name}`);
        const hex = text(vectorBytes(`jcs/outhex/${name.replace('.json', '.txt')}`)).replaceAll(/\s/g, '');
        expect([name, toHex(canonicalBytes(value))]).toEqual([name, toHex(expected)]);
        expect([name, toHex(canonicalBytes(value))]).toEqual([name, hex]);
        expect(parseCanonical(expected).ok).toBe(true);
      }
    });

    test('the first 10,000 published numbers are written as published', () => {
      const bytes = vectorBytes('jcs/es6-numbers-10000.txt');
      const lines = text(bytes).trimEnd().split('\n');
      expect(lines).toHaveLength(10_000);
      const view = new DataView(new ArrayBuffer(8));
      const written = lines.map((line) => {
        const bits = line.slice(0, line.indexOf(','));
        view.setBigUint64(0, BigInt(`0x${bits}`));
        return `${bits},${canonicalText(view.getFloat64(0))}\n`;
      });
      expect(createHash('sha256').update(written.join('')).digest('hex')).toBe(
        'b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892',
      );
    });
  });
}

function writing(): void {
  test('the example of RFC 8785 section 3.2.3 sorts by UTF-16 code units', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
    expect(canonicalText(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}');
  });

  test('it is the plain algorithm of the RFC, for every value', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(canonicalText(value)).toBe(plainCanonical(value));
      }),
      { numRuns: 500 },
    );
  });

  test('it does not depend on the order of members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 3 }), fc.integer(), { maxKeys: 60 }), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse());
        expect(canonicalText(reversed)).toBe(canonicalText(value));
      }),
    );
  });

  test('what it writes is what parseCanonical reads', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const bytes = canonicalBytes(value);
        const read = parseCanonical(bytes);
        expect(read.ok && canonicalText(read.value)).toBe(canonicalText(value));
        expect(toHex(bytes)).toBe(toHex(utf8Encode(canonicalText(value))));
      }),
    );
  });

  test('negative zero is written as zero, and only what JSON needs is escaped', () => {
    expect(canonicalText([-0, '\u007f/\u2028\u0000\b\t\n\f\r"\\'])).toBe('[0,"\u007f/\u2028\\u0000\\b\\t\\n\\f\\r\\"\\\\"]');
  });

  test('more distinct keys than are remembered change nothing', () => {
    const value = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}"`, i]));
    expect(canonicalText(value)).toBe(plainCanonical(value));
    expect(canonicalText(value)).toBe(plainCanonical(value));
  });

  test('64 containers nest, 65 do not', () => {
    expect(canonicalText(nested(64))).toBe('['.repeat(64) + ']'.repeat(64));
    expect(thrownCode(() => canonicalText(nested(65)))).toBe('canon.tooDeep');
  });

  test('a value that contains itself is refused as too deep', () => {
    const loop: Json[] = [];
    loop.push(loop);
    expect(thrownCode(() => canonicalText(loop))).toBe('canon.tooDeep');
  });
}

function refusing(): void {
  const refusals: readonly (readonly [string, unknown, string])[] = [
    ['NaN', { a: Number.NaN }, 'canon.notFinite'],
    ['Infinity', [Number.POSITIVE_INFINITY], 'canon.notFinite'],
    ['minus Infinity', Number.NEGATIVE_INFINITY, 'canon.notFinite'],
    ['undefined', undefined, 'canon.undefined'],
    ['an undefined member', { a: undefined }, 'canon.undefined'],
    ['undefined in an array', [undefined], 'canon.undefined'],
    ['a hole in an array', Object.assign([], { length: 2 }), 'canon.undefined'],
    ['a function', { a: () => 1 }, 'canon.notJson'],
    ['an own toJSON', { toJSON: () => 1 }, 'canon.notJson'],
    ['a bigint', 1n, 'canon.notJson'],
    ['a symbol', [Symbol('a')], 'canon.notJson'],
    ['a date', new Date(0), 'canon.notPlainObject'],
    ['a map', new Map(), 'canon.notPlainObject'],
    ['bytes', new Uint8Array(1), 'canon.notPlainObject'],
    ['a boxed number', Object(1), 'canon.notPlainObject'],
    ['a class instance', new (class Point {})(), 'canon.notPlainObject'],
    ['an object with a prototype of its own', Object.create({ a: 1 }), 'canon.notPlainObject'],
    ['a lone high surrogate', '\ud800', 'canon.loneSurrogate'],
    ['a lone low surrogate in a key', { '\udc00': 1 }, 'canon.loneSurrogate'],
  ];

  test.each(refusals)('%s is refused', (_name, value, code) => {
    expect(thrownCode(() => canonicalText(value as Json))).toBe(code);
  });

  test('an object without prototype is plain', () => {
    expect(canonicalText(Object.assign(Object.create(null), { b: 1, a: [] }))).toBe('{"a":[],"b":1}');
  });
}

export function describeCanonical(): void {
  publishedText();
  describe('canonical text', () => {
    writing();
    refusing();
  });
}
