/**
 * DSSE: the pre-authentication encoding, and signatures over typed JSON bodies. Must never sign or verify a body without its type.
 * github.com/secure-systems-lab/dsse protocol.md; PROTOCOL §2 (signatures).
 */

import { type Bytes, canonicalBytes, concatBytes, fromBase64, type Json, type KeyId, toBase64, utf8Encode } from '@openexec/canon';
import { keyIdOf, publicKeyOf, sign, verifySignature } from './ed25519.ts';

/** Who signed, and the signature in base64: the `sig` member of entries and of signed bodies. */
export interface TypedSignature {
  readonly key: KeyId;
  readonly value: string;
}

/** `DSSEv1 <length> <type> <length> <body>`, lengths in bytes. */
export function pae(type: string, body: Bytes): Bytes {
  const typeBytes = utf8Encode(type);
  return concatBytes(utf8Encode(`DSSEv1 ${typeBytes.length} `), typeBytes, utf8Encode(` ${body.length} `), body);
}

/** Ed25519 over PAE(type, JCS(body)). Throws as {@link canonicalBytes} does. */
export function signTyped(options: { readonly type: string; readonly body: Json; readonly seed: Bytes }): TypedSignature {
  const value = sign(options.seed, pae(options.type, canonicalBytes(options.body)));
  return { key: keyIdOf(publicKeyOf(options.seed)), value: toBase64(value) };
}

/** True when `value` is this key's signature over PAE(type, JCS(body)); false for base64 in another spelling too. */
export function verifyTyped(claim: {
  readonly type: string;
  readonly body: Json;
  readonly publicKey: Bytes;
  readonly value: string;
}): boolean {
  const signature = fromBase64(claim.value);
  return signature.ok && verifySignature(claim.publicKey, pae(claim.type, canonicalBytes(claim.body)), signature.value);
}
