/**
 * The law as one immutable view per position of trajectory `law`: who founded the ledger, which keys hold which roles, what is adopted and
 * what is revoked. Must never read a clock or keep a second truth: everything comes from folding. PROTOCOL §5.
 */

import { type Digest, err, type Instant, type KeyId, ok, type Result } from '@openexec/canon';
import type { PolicyBundle, Role, SignedWrit, Writ } from '@openexec/protocol';
import { Book } from './book.ts';

/** A key that a root key trusted, or that founded the ledger. */
export interface KeyRecord {
  /** Raw Ed25519 public key, 64 hex digits. */
  readonly publicKey: string;
  readonly roles: readonly Role[];
  readonly window: { readonly notBefore: Instant; readonly notAfter: Instant | null };
  /** Law position from which the record holds. */
  readonly trustedAt: number;
  /** Law position from which it counts for nothing, or null while in force. */
  readonly retiredAt: number | null;
}

/** The bundle in force for a layer, from law position `seq` on. */
export interface AdoptedBundle {
  readonly layer: 'organisation' | 'operator';
  readonly bundle: PolicyBundle;
  /** Digest of the blob that holds the bundle. */
  readonly digest: Digest;
  readonly seq: number;
  /** Whose word it is: every key that signed the adoption, each of which held its role there. */
  readonly signers: readonly KeyId[];
}

/**
 * The fold of `law` up to and with `position`. Treat as immutable; extending the newest view by one entry is O(1) in the number of nonces and
 * standing writs.
 */
export interface LawView {
  /** `seq` of the last law entry folded; -1 before the founding. */
  readonly position: number;
  /** The ledger's fingerprint, or null before the founding. */
  readonly ledger: Digest | null;
  readonly origin: string | null;
  readonly registry: number;
  /** Raw public key (hex) that signs checkpoints, or null before the founding. */
  readonly logKey: string | null;
  readonly keys: ReadonlyMap<KeyId, KeyRecord>;
  /** At most one bundle per layer, the latest, outermost first. */
  readonly adopted: readonly AdoptedBundle[];
  /** Who revoked which writ; use {@link isRevoked}, since an issuer's word counts for its own writs only. */
  readonly revoked: ReadonlyMap<Digest, ReadonlySet<KeyId | 'root'>>;
  /** Every nonce of a law body, with the position that used it up. */
  readonly nonces: Book<number>;
  /** Standing writs by id. */
  readonly standing: Book<SignedWrit>;
}

/** The view before anything is founded. */
export function emptyLaw(): LawView {
  return {
    position: -1,
    ledger: null,
    origin: null,
    registry: 0,
    logKey: null,
    keys: new Map(),
    adopted: [],
    revoked: new Map(),
    nonces: Book.empty(),
    standing: Book.empty(),
  };
}

/** The record of a key that is in force at `at` under this view, whatever its roles; else null. Windows include both ends. */
export function keyInForce(law: LawView, key: KeyId, at: Instant): KeyRecord | null {
  const record = law.keys.get(key);
  if (record === undefined || record.retiredAt !== null || at < record.window.notBefore) return null;
  return record.window.notAfter !== null && at > record.window.notAfter ? null : record;
}

/** Why a key may not speak here. */
export interface KeyProblem {
  readonly code: 'key.unknown' | 'key.notInForce' | 'key.role';
  readonly message: string;
}

/** The record of a key that is in force at `at` and holds one of the roles. */
export function keyWithRole(law: LawView, ask: { key: KeyId; roles: readonly Role[]; at: Instant }): Result<KeyRecord, KeyProblem> {
  const { key, roles, at } = ask;
  const place = `at law position ${law.position}`;
  if (!law.keys.has(key))
    return err({ code: 'key.unknown', message: `key ${key} is not trusted ${place}; a root key has to trust it first` });
  const record = keyInForce(law, key, at);
  if (record === null) return err({ code: 'key.notInForce', message: `key ${key} is retired, or ${at} lies outside its window, ${place}` });
  if (record.roles.some((role) => roles.includes(role))) return ok(record);
  return err({ code: 'key.role', message: `key ${key} holds ${record.roles.join(', ')} ${place}; this wants ${roles.join(' or ')}` });
}

/** Whether the law has revoked this writ: by a root key, or by the key that issued it. Descendants are the caller's walk. */
export function isRevoked(law: LawView, id: Digest, writ: Writ): boolean {
  const by = law.revoked.get(id);
  return by !== undefined && (by.has('root') || by.has(writ.issuer));
}
