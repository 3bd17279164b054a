/** What `openssl ts` makes is read as it is read there; everything that is not a time stamp over these bytes by this authority is refused by its code. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { utf8Encode } from '@openexec/canon';
import fc from 'fast-check';
import { verifyTimestamp } from '../src/index.ts';
import { childrenOf, der, derInteger, integerOf, oidOf, readDer, TAG } from '../src/rfc3161/der.ts';
import { timestampRequest } from '../src/rfc3161/request.ts';
import { readToken } from '../src/rfc3161/token.ts';
import { startTsa, type Tsa } from '../src/testServer.ts';

const DATA = utf8Encode('log.example\n3\nroot\n');
let rsa: Tsa;
let other: Tsa;
let response: Uint8Array;
const NONCE = 0x80_00_00_00_00_00_00_01n;

beforeAll(async () => {
  rsa = await startTsa();
  other = await startTsa();
  response = new Uint8Array(rsa.stamp(timestampRequest(DATA, NONCE)));
});
afterAll(async () => {
  await rsa.close();
  await other.close();
});
/** The same content signed by CMS alone, as no time stamping authority would: with whatever certificate, over whatever time. */
function signedAgain(tsa: Tsa, content: Uint8Array): Uint8Array {
  const at = (name: string): string => join(tsa.folder, name);
  writeFileSync(at('content'), content);
  const type = ['-econtent_type', '1.2.840.113549.1.9.16.1.4', '-binary', '-nodetach', '-cades', '-outform', 'DER'];
  execFileSync(
    'openssl',
    ['cms', '-sign', '-in', at('content'), ...type, '-signer', at('tsa.pem'), '-inkey', at('tsa.key'), '-out', at('cms')],
    {
      stdio: 'ignore',
    },
  );
  return der(TAG.sequence, der(TAG.sequence, derInteger(0n)), new Uint8Array(readFileSync(at('cms'))));
}
const codeOf = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string | undefined => result.error?.code;

describe('a time stamp', () => {
  test.each([
    ['RSA', {}],
    ['ECDSA', { key: 'ec' as const }],
    ['a certificate named by SHA-1 (RFC 2634)', { essDigest: 'sha1' }],
    ['a certificate named by SHA-512', { essDigest: 'sha512' }],
  ])('of an authority with %s is read, with its time', async (_what, options) => {
    const tsa = await startTsa(options);
    const since = Date.now();
    const reply = new Uint8Array(tsa.stamp(timestampRequest(DATA, NONCE)));
    const read = verifyTimestamp({ response: reply, data: DATA, nonce: NONCE, trusted: tsa.ca });
    expect(read).toMatchObject({ ok: true, value: { authority: 'CN=Test TSA' } });
    // Its clock is this machine's, in whole seconds.
    const timeMs = read.ok ? read.value.timeMs : 0;
    expect(timeMs).toBeGreaterThan(since - 1_000);
    expect(timeMs).toBeLessThanOrEqual(Date.now());
    await tsa.close();
  });

  test('over other bytes, for another request, or of an authority that is not trusted is refused', () => {
    expect(codeOf(verifyTimestamp({ response, data: utf8Encode('other'), trusted: rsa.ca }))).toBe('timestamp.otherData');
    expect(codeOf(verifyTimestamp({ response, data: DATA, nonce: 7n, trusted: rsa.ca }))).toBe('timestamp.otherNonce');
    expect(codeOf(verifyTimestamp({ response, data: DATA, trusted: other.ca }))).toBe('timestamp.untrusted');
    expect(codeOf(verifyTimestamp({ response, data: DATA, trusted: 'no PEM' }))).toBe('timestamp.badCertificate');
  });

  test('by a certificate whose usage is not critical, or that was not valid at the time stated, is refused', async () => {
    const token = readToken(response);
    if (!token.ok) throw new Error(token.error.message);
    const { content } = token.value;
    const good = signedAgain(rsa, content);
    // The positive control: the same way of signing, by the right certificate.
    expect(verifyTimestamp({ response: good, data: DATA, nonce: NONCE, trusted: rsa.ca })).toMatchObject({ ok: true });
    const text = Buffer.from(content).toString('latin1');
    const early = text.replace(/20\d{12}Z/, '20200101000000Z');
    expect(early).not.toBe(text);
    const before = verifyTimestamp({ response: signedAgain(rsa, Buffer.from(early, 'latin1')), data: DATA, trusted: rsa.ca });
    expect(before).toMatchObject({ ok: false, error: { code: 'timestamp.badCertificate', message: expect.stringContaining('not valid') } });
    const loose = await startTsa({ extensions: 'loose' });
    const lax = verifyTimestamp({ response: signedAgain(loose, content), data: DATA, trusted: loose.ca });
    expect(lax).toMatchObject({ ok: false, error: { code: 'timestamp.badCertificate', message: expect.stringContaining('critically') } });
    await loose.close();
  });

  test('with any one byte changed is refused, or says exactly what it said before', () => {
    const before = verifyTimestamp({ response, data: DATA, nonce: NONCE, trusted: rsa.ca });
    expect(before).toMatchObject({ ok: true });
    const token = readToken(response);
    if (!token.ok) throw new Error(token.error.message);
    // What is signed, and the signature itself: none of it may change. The root's copy in the token, which nobody reads, may.
    const signed = [token.value.content, token.value.attributes.subarray(1), token.value.signature].map((part) =>
      Buffer.from(response).indexOf(part),
    );
    const lengths = [token.value.content.length, token.value.attributes.length - 1, token.value.signature.length];
    expect(signed.every((at) => at > 0)).toBe(true);
    for (let at = 0; at < response.length; at++) {
      const changed = Uint8Array.from(response);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      const read = verifyTimestamp({ response: changed, data: DATA, nonce: NONCE, trusted: rsa.ca });
      const isSigned = signed.some((start, which) => at >= start && at < start + (lengths[which] ?? 0));
      expect({ at, harmless: !read.ok || (!isSigned && isDeepStrictEqual(read, before)) }).toEqual({ at, harmless: true });
    }
  });

  test('whose signature is another, or whose algorithm is not read here, is refused by its own code', () => {
    const token = readToken(response);
    if (!token.ok) throw new Error(token.error.message);
    const changed = (part: Uint8Array, at: number, byte: number): Uint8Array => {
      const copy = Uint8Array.from(response);
      const start = Buffer.from(response).lastIndexOf(part);
      expect(start).toBeGreaterThan(0);
      copy[start + at] = byte;
      return copy;
    };
    const signature = token.value.signature;
    const forged = changed(signature, 40, (signature[40] ?? 0) ^ 1);
    expect(codeOf(verifyTimestamp({ response: forged, data: DATA, trusted: rsa.ca }))).toBe('timestamp.badSignature');
    // The last rsaEncryption (1.2.840.113549.1.1.1) in the token names the algorithm of the signature; 1.2.840.113549.1.1.4 is RSA with MD5.
    const rsaEncryption = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
    const md5 = changed(rsaEncryption, 8, 4);
    expect(codeOf(verifyTimestamp({ response: md5, data: DATA, trusted: rsa.ca }))).toBe('timestamp.unsupported');
  });

  test('cut anywhere, or with a byte behind it, is refused', () => {
    for (let end = 0; end < response.length; end += 7)
      expect(codeOf(verifyTimestamp({ response: response.slice(0, end), data: DATA, trusted: rsa.ca }))).toBe('timestamp.malformed');
    const longer = new Uint8Array([...response, 0]);
    expect(codeOf(verifyTimestamp({ response: longer, data: DATA, trusted: rsa.ca }))).toBe('timestamp.malformed');
  });

  test('that was refused by the authority says so', () => {
    const refused = der(TAG.sequence, der(TAG.sequence, derInteger(2n)));
    expect(codeOf(verifyTimestamp({ response: refused, data: DATA, trusted: rsa.ca }))).toBe('timestamp.refused');
  });

  test('of any bytes is refused, never thrown at', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(3000), (noise, at) => {
        expect(verifyTimestamp({ response: noise, data: DATA, trusted: rsa.ca }).ok).toBe(false);
        const mixed = new Uint8Array([...response.slice(0, at), ...noise, ...response.slice(at + noise.length)]);
        expect(typeof verifyTimestamp({ response: mixed, data: DATA, trusted: rsa.ca }).ok).toBe('boolean');
      }),
      { numRuns: 300 },
    );
  });
});

describe('DER', () => {
  test('is written in its shortest form and read back', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 70_000]) {
      const value = der(TAG.octets, new Uint8Array(randomBytes(length)));
      const read = readDer(value);
      expect(read.ok && read.value.content.length).toBe(length);
    }
    for (const number of [0n, 1n, 127n, 128n, 255n, 256n, NONCE]) {
      const read = readDer(derInteger(number));
      expect(read.ok && integerOf(read.value)).toBe(number);
    }
  });

  test.each([
    ['an indefinite length', [0x30, 0x80, 0, 0]],
    ['a long form for a short length', [0x04, 0x81, 1, 0]],
    ['a length with a leading zero', [0x04, 0x82, 0, 200, ...Array.from({ length: 200 }, () => 0)]],
    ['a tag of two bytes', [0x1f, 0x21, 0]],
    ['a value that is cut', [0x04, 2, 0]],
    ['nothing', []],
  ])('with %s is refused', (_what, bytes) => {
    expect(codeOf(readDer(Uint8Array.from(bytes)))).toBe('der.malformed');
  });

  test('integers and identifiers in another spelling are none', () => {
    const read = (bytes: readonly number[]) => {
      const value = readDer(Uint8Array.from(bytes));
      if (!value.ok) throw new Error(value.error.message);
      return value.value;
    };
    expect(integerOf(read([2, 2, 0, 1]))).toBeUndefined();
    expect(integerOf(read([2, 1, 0x80]))).toBeUndefined();
    expect(integerOf(read([2, 0]))).toBeUndefined();
    expect(oidOf(read([6, 3, 0x2a, 0x86, 0x48]))).toBe('1.2.840');
    expect(oidOf(read([6, 2, 0x80, 0x01]))).toBeUndefined();
    expect(oidOf(read([6, 2, 0x2a, 0x86]))).toBeUndefined();
    expect(childrenOf(read([0x30, 2, 4, 1]))).toMatchObject({ ok: false });
  });
});
