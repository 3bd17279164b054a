/**
 * Contract suite of the port `Signer`: who it says it is, and that what it signs is by that key over exactly those bytes. An adapter says how a signer is
 * opened; what follows must be the same for a seed, an agent or a token.
 */
import { describe, expect, test } from '@jest/globals';
import { keyIdOf, type Signer, verifySignature } from '../src/index.ts';

/** Runs the suite over an adapter. */
export function signerContract(name: string, open: () => Promise<Signer> | Signer): void {
  describe(`${name} keeps the contract of Signer`, () => {
    const messages = [new Uint8Array(), Uint8Array.of(0), Uint8Array.from({ length: 100_000 }, (_, at) => at % 251)];

    test('names itself, and its id is that of its public key', async () => {
      const signer = await open();
      expect(signer.keyName).toMatch(/^[^\s+]+$/u);
      expect(signer.publicKey).toHaveLength(32);
      expect(signer.keyId).toBe(keyIdOf(signer.publicKey));
    });

    test('signs exactly the bytes that it is given, with the key that it names', async () => {
      const signer = await open();
      for (const message of messages) {
        const signature = await signer.sign(message);
        expect(signature).toHaveLength(64);
        expect(verifySignature(signer.publicKey, message, signature)).toBe(true);
        expect(verifySignature(signer.publicKey, Uint8Array.of(...message.subarray(0, 64), 1), signature)).toBe(false);
      }
    });

    test('is deterministic, safe to call concurrently, and leaves its input alone', async () => {
      const signer = await open();
      const [message = new Uint8Array()] = messages.slice(-1);
      const before = Uint8Array.from(message);
      const once = await signer.sign(message);
      const many = await Promise.all(Array.from({ length: 8 }, async () => signer.sign(message)));
      expect(many).toEqual(Array.from({ length: 8 }, () => once));
      expect(message).toEqual(before);
      expect([signer.keyId, signer.keyName]).toEqual([(await open()).keyId, (await open()).keyName]);
    });
  });
}
