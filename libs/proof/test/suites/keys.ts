/**
 * Ed25519 and DSSE: RFC 8032, Wycheproof, the published edge cases, one verdict under one set of rules.
 */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalBytes, type Json } from '@openexec/canon';
import { admitKey, keyIdOf, pae, publicKeyOf, sign, signTyped, verifySignature, verifyTyped } from '../../src/index.ts';
import { describeVectors, vectorJson } from '../vectors.ts';
import { damaged, hex, octets32, thrownCode, toText, utf8 } from './common.ts';

interface EdgeCase {
  readonly message: string;
  readonly pub_key: string;
  readonly signature: string;
}

const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The second half of a signature plus the group order: the same scalar in another encoding. */
function withOrderAdded(signature: Uint8Array): Uint8Array {
  let scalar = GROUP_ORDER;
  for (let i = 0; i < 32; i++) scalar += BigInt(signature[32 + i] ?? 0) << BigInt(8 * i);
  return Uint8Array.from(signature, (octet, i) => (i < 32 ? octet : Number((scalar >> BigInt(8 * (i - 32))) & 255n)));
}

function publishedVerdicts(): void {
  describeVectors('rfc8032', () => {
    test('keys and signatures of section 7.1', () => {
      const cases = vectorJson<readonly { priv: string; pub: string; msg: string; sig: string }[]>('rfc8032/rfc8032-ed25519.json');
      expect(cases.length).toBe(4);
      for (const { priv, pub, msg, sig } of cases) {
        expect(toText(publicKeyOf(hex(priv)))).toBe(pub);
        expect(toText(sign(hex(priv), hex(msg)))).toBe(sig);
        expect(verifySignature(hex(pub), hex(msg), hex(sig))).toBe(true);
        expect(admitKey(hex(pub))).toEqual({ ok: true, value: undefined });
      }
    });

    test('every ZIP-215 key is of small order or not canonical: neither verified nor admitted', () => {
      const cases = vectorJson<readonly { vk_bytes: string; sig_bytes: string }[]>('rfc8032/zip215.json');
      expect(cases.length).toBe(196);
      for (const { vk_bytes, sig_bytes } of cases) {
        expect([vk_bytes, verifySignature(hex(vk_bytes), utf8('Zcash'), hex(sig_bytes))]).toEqual([vk_bytes, false]);
        expect(admitKey(hex(vk_bytes))).toMatchObject({
          ok: false,
          error: { code: expect.stringMatching(/^key\.(smallOrder|notCanonical)$/) },
        });
      }
    });
  });

  describeVectors('wycheproof', () => {
    test('every case has the published verdict', () => {
      const { testGroups, numberOfTests } = vectorJson<{
        numberOfTests: number;
        testGroups: readonly { publicKey: { pk: string }; tests: readonly { tcId: number; msg: string; sig: string; result: string }[] }[];
      }>('wycheproof/ed25519_test.json');
      let count = 0;
      for (const { publicKey, tests } of testGroups) {
        for (const { tcId, msg, sig, result } of tests) {
          expect([tcId, verifySignature(hex(publicKey.pk), hex(msg), hex(sig))]).toEqual([tcId, result === 'valid']);
          count++;
        }
      }
      expect(count).toBe(numberOfTests);
    });
  });
}

function publishedEdges(): void {
  describeVectors('ed25519-speccheck', () => {
    const cases = vectorJson<readonly EdgeCase[]>('ed25519-speccheck/cases.json');

    test('of the twelve edge cases only the two that hold without cofactor, under a key of large order, verify', () => {
      expect(cases.length).toBe(12);
      const accepted = cases
        .map((one, i) => (verifySignature(hex(one.pub_key), hex(one.message), hex(one.signature)) ? i : -1))
        .filter((i) => i >= 0);
      expect(accepted).toEqual([2, 3]);
    });

    test('of their keys only the one of prime order, whose signatures have S beyond L, is admitted', () => {
      const codes = cases.map((one) => {
        const admitted = admitKey(hex(one.pub_key));
        return admitted.ok ? 'admitted' : admitted.error.code;
      });
      const [small, mixed] = ['key.smallOrder', 'key.notTorsionFree'];
      expect(codes).toEqual([small, small, mixed, mixed, mixed, mixed, 'admitted', 'admitted', mixed, mixed, small, small]);
    });
  });

  describeVectors('dsse', () => {
    test('the published pre-authentication encoding', () => {
      const vector = vectorJson<{ payload_utf8: string; payloadType: string; pae_utf8: string }>('dsse/vectors.json');
      expect(toText(pae(vector.payloadType, utf8(vector.payload_utf8)))).toBe(toText(utf8(vector.pae_utf8)));
    });
  });
}

function signatures(): void {
  describe('keys and signatures', () => {
    test('a signature verifies under its key and message only', () => {
      fc.assert(
        fc.property(octets32, octets32, fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(63), (seed, otherSeed, message, at) => {
          const publicKey = publicKeyOf(seed);
          const signature = sign(seed, message);
          expect(verifySignature(publicKey, message, signature)).toBe(true);
          expect(verifySignature(publicKey, damaged(message), signature)).toBe(false);
          expect(verifySignature(publicKey, message, damaged(signature, at))).toBe(false);
          expect(verifySignature(publicKeyOf(otherSeed), message, signature)).toBe(toText(seed) === toText(otherSeed));
          expect(admitKey(publicKey).ok).toBe(true);
        }),
        { numRuns: 20 },
      );
    });

    test('a scalar with the group order added is refused', () => {
      const seed = new Uint8Array(32).fill(9);
      const signature = sign(seed, utf8('a'));
      expect(verifySignature(publicKeyOf(seed), utf8('a'), withOrderAdded(signature))).toBe(false);
    });

    test('wrong lengths are refused, not thrown', () => {
      const seed = new Uint8Array(32);
      const [key, signature] = [publicKeyOf(seed), sign(seed, utf8('a'))];
      expect(verifySignature(key.slice(1), utf8('a'), signature)).toBe(false);
      expect(verifySignature(key, utf8('a'), signature.slice(1))).toBe(false);
      expect(verifySignature(key, utf8('a'), new Uint8Array([...signature, 0]))).toBe(false);
    });

    test.each([
      ['31 bytes', '00'.repeat(31), 'key.malformed'],
      ['a y coordinate of the field prime', `ed${'ff'.repeat(30)}7f`, 'key.notCanonical'],
      ['the identity', `01${'00'.repeat(31)}`, 'key.smallOrder'],
      ['the identity with a sign', `01${'00'.repeat(30)}80`, 'key.smallOrder'],
      ['a point of order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'key.smallOrder'],
      ['octets off the curve', '02'.repeat(32), 'key.notOnCurve'],
    ])('a key of %s is not admitted', (_name, key, code) => {
      expect(admitKey(hex(key))).toMatchObject({ ok: false, error: { code } });
    });

    test('a key id is the first half of the SHA-256 of the raw key', () => {
      expect(keyIdOf(utf8('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223');
    });

    test('seeds of another length are a caller mistake', () => {
      expect(thrownCode(() => publicKeyOf(new Uint8Array(31)))).toBe('fault.badArgument');
      expect(thrownCode(() => sign(new Uint8Array(64), utf8('a')))).toBe('fault.badArgument');
    });
  });
}

function typedSignatures(): void {
  describe('typed signatures', () => {
    const seed = new Uint8Array(32).fill(5);
    const publicKey = publicKeyOf(seed);
    const type = 'application/vnd.openexec.test.v1+json';
    const body: Json = { b: [1, 'é'], a: null };

    test('are Ed25519 over the encoding of type and canonical body', () => {
      const { key, value } = signTyped({ type, body, seed });
      expect(key).toBe(keyIdOf(publicKey));
      expect(value).toBe(Buffer.from(sign(seed, pae(type, canonicalBytes(body)))).toString('base64'));
      expect(verifyTyped({ type, body: { a: null, b: [1, 'é'] }, publicKey, value })).toBe(true);
    });

    test('do not hold for another type, body, key or spelling', () => {
      const { value } = signTyped({ type, body, seed });
      const claim = { type, body, publicKey, value };
      expect(verifyTyped({ ...claim, type: `${type} ` })).toBe(false);
      expect(verifyTyped({ ...claim, body: { ...body, c: 1 } })).toBe(false);
      expect(verifyTyped({ ...claim, publicKey: publicKeyOf(new Uint8Array(32)) })).toBe(false);
      expect(verifyTyped({ ...claim, value: `${value}\n` })).toBe(false);
      expect(verifyTyped({ ...claim, value: value.replace(/=+$/, '') })).toBe(false);
      expect(verifyTyped({ ...claim, value: '' })).toBe(false);
    });

    test('lengths of the encoding count octets, not characters', () => {
      expect(toText(pae('é', utf8('日')))).toBe(toText(utf8('DSSEv1 2 é 3 日')));
    });
  });
}

export function describeKeys(): void {
  publishedVerdicts();
  publishedEdges();
  signatures();
  typedSignatures();
}
