/**
 * Codecs of bytes and texts: strict both ways, one spelling each (PROTOCOL §1).
 */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  compareBytes,
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  parseDecimal,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from '../../src/index.ts';

const octets = fc.uint8Array({ maxLength: 100 });

/** The code a throwing call carries, or 'nothing thrown'. */
export function thrownCode(call: () => unknown): unknown {
  try {
    call();
  } catch (thrown) {
    return (thrown as { code?: unknown }).code;
  }
  return 'nothing thrown';
}

function textForms(): void {
  test('hex, base64 and UTF-8 come back as they were', () => {
    fc.assert(
      fc.property(octets, fc.string({ unit: 'binary' }), (bytes, text) => {
        expect(fromHex(toHex(bytes))).toEqual({ ok: true, value: bytes });
        expect(fromBase64(toBase64(bytes))).toEqual({ ok: true, value: bytes });
        expect(utf8Decode(utf8Encode(text))).toEqual({ ok: true, value: text });
      }),
    );
  });

  test.each(['0', 'AB', 'aB', '0x', 'zz', ' 00', '00\n', '٠٠'])('the text %j is not hex', (text) => {
    expect(fromHex(text)).toMatchObject({ ok: false, error: { code: 'text.badHex' } });
  });

  test.each(['Zg', 'Zg=', 'Zh==', 'Zm9=', 'Zm9v\n', ' Zm9v', 'Zm-_', 'Zg==Zg==', '====', '=', 'Z===', 'Zm9v Zm9v'])(
    'the text %j is not base64 in its canonical form',
    (text) => {
      expect(fromBase64(text)).toMatchObject({ ok: false, error: { code: 'text.badBase64' } });
    },
  );

  test('RFC 4648 base64 examples', () => {
    const pairs = ['', '', 'f', 'Zg==', 'fo', 'Zm8=', 'foo', 'Zm9v', 'foob', 'Zm9vYg==', 'fooba', 'Zm9vYmE=', 'foobar', 'Zm9vYmFy'];
    for (let i = 0; i < pairs.length; i += 2) {
      expect(toBase64(utf8Encode(pairs[i] ?? ''))).toBe(pairs[i + 1]);
      expect(fromBase64(pairs[i + 1] ?? '')).toEqual({ ok: true, value: utf8Encode(pairs[i] ?? '') });
    }
  });

  test('only bytes that encoding would have written decode as base64', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('A', 'B', 'Q', 'g', 'h', '/', '+', '=', '-', ' '), maxLength: 8 }), (text) => {
        const bytes = fromBase64(text);
        expect(bytes.ok ? toBase64(bytes.value) : text).toBe(text);
      }),
    );
  });

  test.each([
    ['overlong slash', [0xc0, 0xaf]],
    ['overlong three-byte form', [0xe0, 0x80, 0xaf]],
    ['encoded surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['cut sequence', [0xe2, 0x82]],
    ['lone continuation', [0x80]],
    ['impossible octet', [0xff]],
  ])('UTF-8 with an %s is refused', (_name, bytes) => {
    expect(utf8Decode(Uint8Array.from(bytes))).toMatchObject({ ok: false, error: { code: 'text.badUtf8' } });
  });

  test('a byte order mark is kept', () => {
    expect(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toEqual({ ok: true, value: '\ufeffa' });
  });

  test('a view into larger memory is read from its own start to its own end', () => {
    const view = Uint8Array.from([0x7a, 0x61, 0x62, 0x7a]).subarray(1, 3);
    expect([toHex(view), toBase64(view), utf8Decode(view)]).toEqual(['6162', 'YWI=', { ok: true, value: 'ab' }]);
  });

  test.each(['\ud800', 'a\udc00', '\udc00\ud800', '\ud800\ud800\udc00'])('encoding %j throws instead of replacing', (text) => {
    expect(thrownCode(() => utf8Encode(text))).toBe('canon.loneSurrogate');
  });
}

function numbersAndOrder(): void {
  test('decimals come back as they were', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 79n }), (value) => {
        expect(parseDecimal(`${value}`)).toEqual({ ok: true, value });
      }),
    );
  });

  test.each(['', '00', '01', '-1', '+1', '1.0', '1e3', ' 1', '1\n', '0x1', '٣', '1_000', '9'.repeat(81)])(
    'the text %j is not a decimal',
    (text) => {
      expect(parseDecimal(text)).toMatchObject({ ok: false, error: { code: 'text.badDecimal' } });
    },
  );

  test('concatenation, equality and order follow the octets', () => {
    fc.assert(
      fc.property(octets, octets, octets, (a, b, c) => {
        expect([...concatBytes(a, b, c)]).toEqual([...a, ...b, ...c]);
        expect(equalBytes(a, b)).toBe(toHex(a) === toHex(b));
        expect(Math.sign(compareBytes(a, b))).toBe(toHex(a) < toHex(b) ? -1 : toHex(a) > toHex(b) ? 1 : 0);
      }),
    );
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
  });
}

export function describeBytes(): void {
  describe('bytes', () => {
    textForms();
    numbersAndOrder();
  });
}
