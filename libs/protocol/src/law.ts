/**
 * Bodies of trajectory `law` (PROTOCOL §5) and the writ. Every body but the founding one names the ledger's fingerprint and carries a nonce
 * that is accepted once; signatures stand beside the body so that they can be made offline.
 */
import * as z from 'zod';
import { amount, blobRef, count, digest, effect, instant, keyId, nonce, publicKey, sentence, signed } from './words.ts';

/** Every role a key may hold (PROTOCOL §5). */
export const ROLES = ['root', 'issuer', 'policy', 'approver', 'runtime', 'log'] as const;
/** What a key may do (PROTOCOL §5). */
export const role = z.enum(ROLES);
/** Validity: the law position's `at` must lie in it; `notAfter` null means until retired. */
export const keyWindow = z.strictObject({ notBefore: instant, notAfter: instant.nullable() });

/** `host:port` or `*.domain:port`; containment is defined on these forms only. */
export const hostPattern = z
  .string()
  .max(260)
  .regex(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*:[1-9][0-9]{0,4}$/);
/** Exact path, `dir/**`, or `**` for the whole tree. */
export const pathPattern = z
  .string()
  .max(4096)
  .regex(/^(?:\*\*|(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0*]+(?:\/\*\*)?)$/s);
/** Exact action name, or `prefix*`. */
export const actionPattern = z.string().regex(/^(\*|[a-z][a-z0-9_.-]{0,63}\*?)$/);

/** The signed capability (PROTOCOL §5). Its id is the digest of the canonical body. */
export const writ = z.strictObject({
  v: z.literal(1),
  ledger: digest,
  use: z.enum(['run', 'standing']),
  issuer: keyId,
  subject: keyId,
  parent: digest.nullable(),
  nonce,
  tenant: z.string().min(1).max(128),
  actions: z.array(actionPattern).max(128),
  ceiling: z.array(effect).max(5),
  readPaths: z.array(pathPattern).max(256),
  writePaths: z.array(pathPattern).max(256),
  hosts: z.array(hostPattern).max(256),
  budget: amount,
  wallMs: count,
  notBefore: instant,
  notAfter: instant,
  delegation: z.strictObject({ depth: count, maySubdivide: z.boolean() }),
});
/** A writ with its issuer’s signature. */
export const signedWrit = signed(writ);

/** Body of `ledger.founded`: fixes origin, registry, log key and root keys; its leaf hash is the fingerprint. */
export const ledgerFounded = signed(
  z.strictObject({
    origin: z.string().min(1).max(255),
    registry: z.literal(1),
    logKey: publicKey,
    rootKeys: z.array(publicKey).min(1).max(16),
    nonce,
  }),
);
/** Body of `key.trusted`: the key holds the roles within its window. */
export const keyTrusted = signed(
  z.strictObject({ ledger: digest, nonce, publicKey, roles: z.array(role).min(1).max(6), window: keyWindow, label: z.string().max(128) }),
);
/** Body of `key.retired`: the key counts for nothing after this position; nothing before it changes. */
export const keyRetired = signed(z.strictObject({ ledger: digest, nonce, key: keyId, because: sentence }));
/** Body of `policy.adopted`: the bundle is in force for the layer from here on, also for open runs (it only narrows them). */
export const policyAdopted = signed(
  z.strictObject({ ledger: digest, nonce, layer: z.enum(['organisation', 'operator']), bundle: blobRef }),
);
/** Body of `writ.issued`: a standing writ may be carved. */
export const writIssued = z.strictObject({ writ: signedWrit });
/** Body of `writ.revoked`: the writ and all its descendants stop counting at the next use. */
export const writRevoked = signed(z.strictObject({ ledger: digest, nonce, writ: digest, because: sentence }));
/** Body of `writ.restored`: the writ counts again. */
export const writRestored = signed(z.strictObject({ ledger: digest, nonce, writ: digest, because: sentence }));
/** Body of `ledger.upgraded`: raises the registry number. */
export const ledgerUpgraded = signed(z.strictObject({ ledger: digest, nonce, registry: count }));

/** Parsed form of `role`. */
export type Role = z.infer<typeof role>;
/** Parsed form of `writ`. */
export type Writ = z.infer<typeof writ>;
/** Parsed form of `signedWrit`. */
export type SignedWrit = z.infer<typeof signedWrit>;
/** Parsed form of `ledgerFounded`. */
export type LedgerFounded = z.infer<typeof ledgerFounded>;
/** Parsed form of `keyTrusted`. */
export type KeyTrusted = z.infer<typeof keyTrusted>;
/** Parsed form of `keyRetired`. */
export type KeyRetired = z.infer<typeof keyRetired>;
/** Parsed form of `policyAdopted`. */
export type PolicyAdopted = z.infer<typeof policyAdopted>;
/** Parsed form of `writRevoked`. */
export type WritRevoked = z.infer<typeof writRevoked>;
/** Parsed form of `writRestored`. */
export type WritRestored = z.infer<typeof writRestored>;
