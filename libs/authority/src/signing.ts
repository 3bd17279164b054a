/**
 * Typed bodies with their signatures beside them: payload types, signing, and verification remembered once per object and process. Must never
 * remember without bound, and never read authority: whether a key may sign is the caller's question. PROTOCOL §§2, 5.
 */

import { type Bytes, type Digest, digestJson, fromHex, type Json, type KeyId, parseKeyId, toHex } from '@openexec/canon';
import { keyIdOf, publicKeyOf, signTyped, verifyTyped } from '@openexec/proof';
import type { LedgerFounded, Signature, SignedWrit, Writ } from '@openexec/protocol';

/** DSSE payload type of a writ. */
export const WRIT_TYPE = 'application/vnd.openexec.writ.v1+json';
/** DSSE payload type of a vote. */
export const VOTE_TYPE = 'application/vnd.openexec.vote.v1+json';

/** Verdicts remembered before the oldest is forgotten. */
const MEMO_ENTRIES = 4096;
const verdicts = new Map<string, boolean>();

/** DSSE payload type of a law body; the founding body has a type of its own, since it cannot name a fingerprint yet. */
export function bodyType(kind: string): string {
  return kind === 'ledger.founded' ? 'application/vnd.openexec.founding.v1+json' : `application/vnd.openexec.${kind}.v1+json`;
}

/** The body with one signature per seed (32 bytes each), in the order of the seeds. */
export function signBody<T extends Json>(options: {
  type: string;
  body: T;
  seeds: readonly Bytes[];
}): { body: T; signatures: Signature[] } {
  const { type, body } = options;
  return { body, signatures: options.seeds.map((seed) => signTyped({ type, body, seed })) };
}

/** The founding body of a ledger, signed by each of its root keys (PROTOCOL §5). `nonce` is 16 fresh random bytes as hex. */
export function foundLedger(options: { origin: string; rootSeeds: readonly Bytes[]; logKey: Bytes; nonce: string }): LedgerFounded {
  const rootKeys = options.rootSeeds.map((seed) => toHex(publicKeyOf(seed)));
  const body = { origin: options.origin, registry: 1 as const, logKey: toHex(options.logKey), rootKeys, nonce: options.nonce };
  return signBody({ type: bodyType('ledger.founded'), body, seeds: options.rootSeeds });
}

/** Signs a writ. Throws when the seed is not the issuer's: such a writ would be refused everywhere. */
export function issueWrit(options: { writ: Writ; seed: Bytes }): SignedWrit {
  const key = keyIdOf(publicKeyOf(options.seed));
  if (key !== options.writ.issuer) throw new Error(`the seed belongs to key ${key}, the writ names issuer ${options.writ.issuer}`);
  return signBody({ type: WRIT_TYPE, body: options.writ, seeds: [options.seed] });
}

/** Whether the signature is this key's over this body. `digest` spares hashing a body whose digest is known. */
export function checkSignature(options: { type: string; body: Json; publicKey: string; signature: Signature; digest?: Digest }): boolean {
  const { type, body, publicKey, signature } = options;
  const memo = `${type} ${publicKey} ${signature.key} ${signature.value} ${options.digest ?? digestJson(body)}`;
  const known = verdicts.get(memo);
  if (known !== undefined) return known;
  const key = fromHex(publicKey);
  const verdict =
    key.ok && keyIdOf(key.value) === signature.key && verifyTyped({ type, body, publicKey: key.value, value: signature.value });
  const oldest = verdicts.size < MEMO_ENTRIES ? undefined : verdicts.keys().next().value;
  if (oldest !== undefined) verdicts.delete(oldest);
  verdicts.set(memo, verdict);
  return verdict;
}

/** The id of a public key written as hex, or null when the text is not a key. */
export function keyIdOfHex(publicKey: string): KeyId | null {
  const bytes = fromHex(publicKey);
  if (!bytes.ok || bytes.value.length !== 32) return null;
  const id = parseKeyId(keyIdOf(bytes.value));
  return id.ok ? id.value : null;
}
