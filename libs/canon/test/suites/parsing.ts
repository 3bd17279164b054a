/**
 * Strict reading: the JSON parsing suite, the refusals of PROTOCOL §1 by code and place, the canonical check.
 */

import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalBytes, canonicalText, parseCanonical, parseJson, utf8Encode } from '../../src/index.ts';
import { describeVectors, vectorBytes, vectorPath } from '../vectors.ts';
import { anyJson, nested } from './canonical.ts';

/** Files the suite wants accepted and this reader refuses on purpose. */
const REFUSED_ON_PURPOSE: Readonly<Record<string, { code: string; reason: string }>> = {
  'y_object_duplicated_key.json': { code: 'json.duplicateKey', reason: 'two readers may keep different members' },
  'y_object_duplicated_key_and_value.json': { code: 'json.duplicateKey', reason: 'two readers may keep different members' },
};

/** Files the suite leaves free: our verdict with doubles allowed, pinned. */
const FREE_ACCEPTED = new Set(['i_number_double_huge_neg_exp.json', 'i_number_real_underflow.json']);

/** `[text, code, offset]`, with the default limits unless told. */
const REFUSALS: readonly (readonly [string, string, string, number])[] = [
  ['a duplicate key', '{"a":1,"a":1}', 'json.duplicateKey', 7],
  ['a key duplicated by an escape', '{"a":1,"\\u0061":2}', 'json.duplicateKey', 7],
  ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', 'json.duplicateKey', 15],
  ['an escaped lone high surrogate', '["\\ud800"]', 'json.loneSurrogate', 1],
  ['an escaped lone low surrogate', '["\\udc00"]', 'json.loneSurrogate', 1],
  ['two high surrogates', '["\\ud800\\ud800"]', 'json.loneSurrogate', 1],
  ['a high surrogate before another escape', '["\\ud800\\n"]', 'json.loneSurrogate', 1],
  ['a raw lone surrogate', '["\ud800"]', 'json.loneSurrogate', 2],
  ['a byte order mark', '\ufeff1', 'json.byteOrderMark', 0],
  ['2^53', '9007199254740992', 'json.unsafeInteger', 0],
  ['-2^53', '[-9007199254740992]', 'json.unsafeInteger', 1],
  ['an integer beyond every double', `1${'0'.repeat(400)}`, 'json.unsafeInteger', 0],
  ['a fraction among integers', '[1.0]', 'json.notInteger', 1],
  ['an exponent among integers', '1e2', 'json.notInteger', 0],
  ['65 containers', '['.repeat(65) + ']'.repeat(65), 'json.tooDeep', 64],
  ['100,000 containers', '[{"a":'.repeat(50_000), 'json.tooDeep', 6 * 32],
  ['nothing', '', 'json.syntax', 0],
  ['white space only', ' \n', 'json.syntax', 2],
  ['a second value', '1 2', 'json.syntax', 2],
  ['a trailing comma in an array', '[1,]', 'json.syntax', 3],
  ['a trailing comma in an object', '{"a":1,}', 'json.syntax', 7],
  ['a leading zero', '01', 'json.syntax', 1],
  ['a bare minus', '-', 'json.syntax', 0],
  ['a cut literal', '[tru]', 'json.syntax', 1],
  ['an open string', '"abc', 'json.syntax', 4],
  ['a raw newline in a string', '"a\nb"', 'json.syntax', 2],
  ['an unknown escape', '"\\x41"', 'json.syntax', 1],
  ['a short unicode escape', '"\\u00g0"', 'json.syntax', 1],
  ['a single-quoted string', "'a'", 'json.syntax', 0],
  ['a comment', '[1/**/]', 'json.syntax', 2],
  ['NaN', 'NaN', 'json.syntax', 0],
  ['a no-break space', '\u00a01', 'json.syntax', 0],
];

function publishedSuite(): void {
  describeVectors('json-parsing', () => {
    const names = readdirSync(vectorPath('json-parsing/test_parsing'));
    const read = (name: string) => parseJson(vectorBytes(`json-parsing/test_parsing/${name}`), { numbers: 'doubles' });

    test('the suite is complete', () => {
      expect(names.length).toBe(318);
    });

    test('every file that must be refused is refused, with a code', () => {
      const refused = names.filter((name) => name.startsWith('n_'));
      expect(refused.length).toBeGreaterThan(180);
      for (const name of refused)
        expect([name, read(name)]).toMatchObject([name, { ok: false, error: { code: expect.stringMatching(/^json\./) } }]);
    });

    test('every file that must be accepted is accepted, except the table of purposeful refusals', () => {
      const accepted = names.filter((name) => name.startsWith('y_'));
      expect(accepted.length).toBeGreaterThan(90);
      const verdict = (name: string): string => {
        const result = read(name);
        return result.ok ? canonicalText(result.value) : result.error.code;
      };
      const native = (name: string): string =>
        canonicalText(JSON.parse(new TextDecoder().decode(vectorBytes(`json-parsing/test_parsing/${name}`))));
      for (const name of accepted) expect([name, verdict(name)]).toEqual([name, REFUSED_ON_PURPOSE[name]?.code ?? native(name)]);
    });

    test('of the files the suite leaves free, exactly the underflows are accepted', () => {
      const free = names.filter((name) => name.startsWith('i_'));
      expect(free.length).toBeGreaterThan(30);
      expect(free.filter((name) => read(name).ok)).toEqual([...FREE_ACCEPTED]);
    });

    test('no transform file that holds a duplicate key or a lone surrogate is accepted', () => {
      const suspicious = readdirSync(vectorPath('json-parsing/test_transform')).filter((name) =>
        /same_key|invalid|escaped_invalid/.test(name),
      );
      expect(suspicious.length).toBeGreaterThan(5);
      for (const name of suspicious)
        expect([name, parseJson(vectorBytes(`json-parsing/test_transform/${name}`), { numbers: 'doubles' }).ok]).toEqual([name, false]);
    });
  });
}

function membersAndText(): void {
  test.each(REFUSALS)('%s is refused with its code and place', (_name, text, code, offset) => {
    expect(parseJson(text)).toMatchObject({ ok: false, error: { code, offset } });
  });

  test('what is canonical text of integers is read back as the same value', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = canonicalText(value);
        const fromText = parseJson(text);
        const fromBytes = parseJson(utf8Encode(text));
        expect(fromText.ok && canonicalText(fromText.value)).toBe(text);
        expect(fromBytes).toEqual(fromText);
        expect(fromText.ok && JSON.stringify(fromText.value)).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 300 },
    );
  });

  test('it accepts nothing that JSON.parse refuses, on mutated texts', () => {
    const mutated = fc
      .tuple(anyJson, fc.nat(), fc.constantFrom('', ',', '"', '}', '[', '0', '.', 'e', '\\', ' ', 'u'))
      .map(([value, at, insert]) => {
        const text = JSON.stringify(value);
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + insert + text.slice(cut + (insert === '' ? 1 : 0));
      });
    fc.assert(
      fc.property(mutated, (text) => {
        const read = parseJson(text, { numbers: 'doubles' });
        const holds = read.ok ? canonicalText(read.value) === canonicalText(JSON.parse(text)) : read.error.offset <= text.length;
        expect(holds).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('a __proto__ key is a member and touches no prototype', () => {
    const read = parseJson('{"__proto__":{"polluted":1},"a":2}');
    expect(read.ok).toBe(true);
    if (!read.ok) return;
    expect(Object.keys(read.value as object)).toEqual(['__proto__', 'a']);
    expect((read.value as { polluted?: number }).polluted).toBeUndefined();
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(canonicalText(read.value)).toBe('{"__proto__":{"polluted":1},"a":2}');
  });

  test('keys of Object.prototype are no duplicates', () => {
    expect(parseJson('{"toString":1,"constructor":2,"hasOwnProperty":3}').ok).toBe(true);
  });
}

function numbersAndBounds(): void {
  test('integers up to 2^53 - 1 are read, and zero has no sign', () => {
    expect(parseJson('[9007199254740991,-9007199254740991,-0,0]')).toEqual({
      ok: true,
      value: [9007199254740991, -9007199254740991, 0, 0],
    });
  });

  test('doubles are read by token when they are allowed', () => {
    const read = (text: string) => parseJson(text, { numbers: 'doubles' });
    expect(read('[1.5,1e3,-0.0,5e-324,1e21,1.7976931348623157e308]')).toEqual({
      ok: true,
      value: [1.5, 1000, 0, 5e-324, 1e21, 1.7976931348623157e308],
    });
    expect(read('9007199254740992')).toMatchObject({ error: { code: 'json.unsafeInteger' } });
    expect(read('9007199254740993.0')).toMatchObject({ error: { code: 'json.unsafeInteger' } });
    expect(read('1e20')).toMatchObject({ error: { code: 'json.unsafeInteger' } });
    expect(read('[1e309]')).toMatchObject({ error: { code: 'json.numberOverflow', offset: 1 } });
    expect(read('-1e400')).toMatchObject({ error: { code: 'json.numberOverflow' } });
  });

  test('every double that is read can be stored canonically and read again', () => {
    const token = fc
      .oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.double({ min: -1e22, max: 1e22, noNaN: true }))
      .map((value) => value.toExponential());
    fc.assert(
      fc.property(token, (text) => {
        const read = parseJson(text, { numbers: 'doubles' });
        const again = read.ok ? parseCanonical(canonicalBytes(read.value)) : { ok: false, error: { code: 'json.unsafeInteger' } };
        expect(read).toMatchObject(again);
      }),
      { numRuns: 500 },
    );
  });

  test('64 containers are read, and a caller can only tighten that', () => {
    expect(parseJson(canonicalText(nested(64))).ok).toBe(true);
    expect(parseJson('[[1]]', { maxDepth: 1 })).toMatchObject({ error: { code: 'json.tooDeep', offset: 1 } });
    expect(parseJson('['.repeat(65) + ']'.repeat(65), { maxDepth: 1000 })).toMatchObject({ error: { code: 'json.tooDeep' } });
  });

  test('size is measured in UTF-8 bytes, for texts as for bytes', () => {
    const text = '"ééé"';
    expect(parseJson(text, { maxBytes: 8 }).ok).toBe(true);
    expect(parseJson(utf8Encode(text), { maxBytes: 8 }).ok).toBe(true);
    expect(parseJson(text, { maxBytes: 7 })).toMatchObject({ error: { code: 'json.tooLarge' } });
    expect(parseJson(utf8Encode(text), { maxBytes: 7 })).toMatchObject({ error: { code: 'json.tooLarge' } });
    expect(parseJson(`"${'a'.repeat(4 * 1024 * 1024 - 2)}"`).ok).toBe(true);
    expect(parseJson(`"${'a'.repeat(4 * 1024 * 1024 - 1)}"`)).toMatchObject({ error: { code: 'json.tooLarge' } });
  });

  test('bytes that are not UTF-8 are refused', () => {
    expect(parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toMatchObject({ error: { code: 'json.badUtf8' } });
    expect(parseJson(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31))).toMatchObject({ error: { code: 'json.byteOrderMark' } });
  });
}

function storedBytes(): void {
  describe('stored canonical bytes', () => {
    test.each([
      ['white space', '{"a": 1}', 'json.notCanonical', 5],
      ['unsorted keys', '{"b":1,"a":2}', 'json.notCanonical', 2],
      ['a duplicate key', '{"a":1,"a":1}', 'json.notCanonical', 6],
      ['another spelling of a number', '[1.0]', 'json.notCanonical', 2],
      ['another spelling of a string', '"\\u0061"', 'json.notCanonical', 1],
      ['negative zero', '-0', 'json.notCanonical', 0],
      ['an escaped slash', '"\\/"', 'json.notCanonical', 1],
      ['a trailing newline', '1\n', 'json.notCanonical', 1],
      ['an integer a double cannot hold', '9007199254740993', 'json.notCanonical', 15],
      ['an unsafe integer that a double holds', '{"a":[9007199254740992]}', 'json.unsafeInteger', 6],
      ['an escaped lone surrogate', '"\\ud800"', 'json.loneSurrogate', 0],
      ['an infinity by overflow', '1e999', 'json.numberOverflow', 0],
      ['65 containers', '['.repeat(65) + ']'.repeat(65), 'json.tooDeep', 64],
      ['100,000 containers', '['.repeat(100_000) + ']'.repeat(100_000), 'json.tooDeep', 64],
      ['no JSON', '{', 'json.syntax', 1],
      ['a byte order mark', '\ufeff1', 'json.byteOrderMark', 0],
    ])('%s is refused', (_name, text, code, offset) => {
      expect(parseCanonical(utf8Encode(text))).toMatchObject({ ok: false, error: { code, offset } });
    });

    test('bytes that are not UTF-8 are refused', () => {
      expect(parseCanonical(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))).toMatchObject({ error: { code: 'json.badUtf8' } });
    });

    test('a digest full of decimal digits is no unsafe integer', () => {
      expect(parseCanonical(utf8Encode(`{"d":"${'1234567890'.repeat(6)}","n":1e+21}`)).ok).toBe(true);
    });
  });
}

export function describeParsing(): void {
  publishedSuite();
  describe('strict parsing', () => {
    membersAndText();
    numbersAndBounds();
  });
  storedBytes();
}
