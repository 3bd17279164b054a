/**
 * The fold of trajectory `law`: one entry, checked by the law before it, gives the next view. Must never accept a body whose every signature is
 * not by a key that may sign that kind there and then, nor a nonce twice. PROTOCOL §5.
 */

import {
  type Bytes,
  type Digest,
  digestOf,
  err,
  fromHex,
  type Instant,
  type Json,
  type KeyId,
  type LeafHash,
  ok,
  parseCanonical,
  type Result,
} from '@openexec/canon';
import { admitKey } from '@openexec/proof';
import { type Body, kindRow, policyBundle, REGISTRY, type Role, type Signature } from '@openexec/protocol';
import { keyWithRole, type AdoptedBundle, type KeyRecord, type LawView } from './law.ts';
import { bodyType, checkSignature, keyIdOfHex, WRIT_TYPE } from './signing.ts';
import { writId } from './writs.ts';

/** Why an entry is not law. */
export type LawProblemCode =
  | 'law.kind'
  | 'law.malformed'
  | 'law.position'
  | 'law.notFounded'
  | 'law.foundedTwice'
  | 'law.ledger'
  | 'law.nonce'
  | 'law.untrusted'
  | 'law.signature'
  | 'law.badKey'
  | 'law.roles'
  | 'law.window'
  | 'law.unknownKey'
  | 'law.retiredKey'
  | 'law.lastRoot'
  | 'law.blob'
  | 'law.bundle'
  | 'law.writ'
  | 'law.notRevoked'
  | 'law.registry';

/** A refusal; the view before the entry stays the law. */
export interface LawProblem {
  readonly code: LawProblemCode;
  readonly message: string;
}

/** One entry of `law`, hydrated. */
export interface LawEntry {
  readonly seq: number;
  readonly kind: string;
  /** The payload as parsed from its canonical bytes. */
  readonly body: Json;
  readonly at: Instant;
  /** The entry's leaf hash: at seq 0 it is the ledger's fingerprint. */
  readonly leaf: LeafHash;
  /** At least the blobs that the body names. */
  readonly blobs: ReadonlyMap<Digest, Bytes>;
}

type Fold = Result<LawView, LawProblem>;
type LawKind =
  | 'ledger.founded'
  | 'key.trusted'
  | 'key.retired'
  | 'policy.adopted'
  | 'writ.issued'
  | 'writ.revoked'
  | 'writ.restored'
  | 'ledger.upgraded';
type Handlers = { readonly [K in LawKind]: (view: LawView, body: Body<K>, entry: LawEntry) => Fold };
interface SignedLaw {
  readonly body: { readonly ledger: Digest; readonly nonce: string };
  readonly signatures: readonly Signature[];
}

const HANDLERS: Handlers = {
  'ledger.founded': found,
  'key.trusted': trust,
  'key.retired': retire,
  'policy.adopted': adopt,
  'writ.issued': issue,
  'writ.revoked': revoke,
  'writ.restored': restore,
  'ledger.upgraded': upgrade,
};
const LAYER_ORDER: readonly AdoptedBundle['layer'][] = ['organisation', 'operator'];

/** The law after this entry, or why it is no law. Never changes `view`. */
export function foldLaw(view: LawView, entry: LawEntry): Fold {
  if (!isLawKind(entry.kind)) return refuse(entry, 'law.kind', 'no kind of trajectory law');
  if (entry.seq !== view.position + 1) return refuse(entry, 'law.position', `the next law position is ${view.position + 1}`);
  if (entry.kind === 'ledger.founded' && view.ledger !== null) return refuse(entry, 'law.foundedTwice', 'a ledger is founded once');
  if (entry.kind !== 'ledger.founded' && view.ledger === null) return refuse(entry, 'law.notFounded', 'law begins with ledger.founded');
  const folded = handle(entry.kind, view, entry);
  return folded.ok ? ok({ ...folded.value, position: entry.seq }) : folded;
}

function isLawKind(kind: string): kind is LawKind {
  return Object.hasOwn(HANDLERS, kind);
}

function handle<K extends LawKind>(kind: K, view: LawView, entry: LawEntry): Fold {
  const parsed = kindRow(kind).body.safeParse(entry.body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(entry, 'law.malformed', `at ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not of its schema'}`);
  }
  // The row's schema is that of this kind, so what it parsed is this kind's body.
  return HANDLERS[kind](view, parsed.data as Body<K>, entry);
}

function found(view: LawView, signed: Body<'ledger.founded'>, entry: LawEntry): Fold {
  const { body, signatures } = signed;
  const keys = new Map<KeyId, KeyRecord>();
  for (const publicKey of [...body.rootKeys, body.logKey]) {
    const id = admittedId(publicKey);
    if (id === null) return refuse(entry, 'law.badKey', `the key ${publicKey} is not admissible (canonical, torsion-free Ed25519)`);
    if (keys.has(id)) return refuse(entry, 'law.badKey', `the key ${id} stands twice among root and log keys`);
    const roles: Role[] = publicKey === body.logKey ? ['log'] : ['root'];
    keys.set(id, { publicKey, roles, window: { notBefore: entry.at, notAfter: null }, trustedAt: 0, retiredAt: null });
  }
  const signers = new Set(signatures.map(({ key }) => key));
  if (signers.size !== signatures.length || signatures.length !== body.rootKeys.length) {
    return refuse(entry, 'law.signature', 'the founding carries exactly one signature of each root key');
  }
  for (const signature of signatures) {
    const record = keys.get(signature.key);
    const good =
      record?.roles[0] === 'root' && checkSignature({ type: bodyType(entry.kind), body, publicKey: record.publicKey, signature });
    if (!good) return refuse(entry, 'law.signature', `the signature of ${signature.key} is not a root key’s over this founding`);
  }
  return ok({
    ...view,
    ledger: entry.leaf,
    origin: body.origin,
    registry: body.registry,
    logKey: body.logKey,
    keys,
    nonces: view.nonces.with(body.nonce, entry.seq),
  });
}

function trust(view: LawView, signed: Body<'key.trusted'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root']);
  if (!accepted.ok) return accepted;
  const { publicKey, roles, window } = signed.body;
  const id = admittedId(publicKey);
  if (id === null) return refuse(entry, 'law.badKey', `the key ${publicKey} is not admissible (canonical, torsion-free Ed25519)`);
  if (new Set(roles).size !== roles.length) return refuse(entry, 'law.roles', 'a role is named twice');
  if (roles.includes('runtime') && roles.length > 1)
    return refuse(entry, 'law.roles', 'a runtime key holds no other role: it must never approve or issue');
  if (window.notAfter !== null && window.notAfter < window.notBefore)
    return refuse(entry, 'law.window', 'the window ends before it begins');
  const known = view.keys.get(id);
  if (known !== undefined && known.retiredAt !== null)
    return refuse(entry, 'law.retiredKey', `key ${id} was retired for good; trust a new key`);
  const keys = new Map(view.keys).set(id, { publicKey, roles, window, trustedAt: entry.seq, retiredAt: null });
  return keepRoot({ ...view, keys, nonces: accepted.value }, entry);
}

function retire(view: LawView, signed: Body<'key.retired'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root']);
  if (!accepted.ok) return accepted;
  const known = view.keys.get(signed.body.key);
  if (known === undefined) return refuse(entry, 'law.unknownKey', `key ${signed.body.key} was never trusted`);
  if (known.retiredAt !== null) return refuse(entry, 'law.retiredKey', `key ${signed.body.key} is retired already`);
  const keys = new Map(view.keys).set(signed.body.key, { ...known, retiredAt: entry.seq });
  return keepRoot({ ...view, keys, nonces: accepted.value }, entry);
}

function adopt(view: LawView, signed: Body<'policy.adopted'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root', 'policy']);
  if (!accepted.ok) return accepted;
  const { layer, bundle: ref } = signed.body;
  const bytes = entry.blobs.get(ref.digest);
  if (bytes === undefined || digestOf(bytes) !== ref.digest || bytes.length !== ref.bytes) {
    return refuse(entry, 'law.blob', `the bundle ${ref.digest} is not at hand with its ${ref.bytes} bytes`);
  }
  const json = parseCanonical(bytes);
  const parsed = json.ok ? policyBundle.safeParse(json.value) : null;
  if (parsed?.success !== true) return refuse(entry, 'law.bundle', `the blob ${ref.digest} is not a policy bundle in canonical JSON`);
  const signers = signed.signatures.map(({ key }) => key);
  const latest: AdoptedBundle = { layer, bundle: parsed.data, digest: ref.digest, seq: entry.seq, signers };
  const adopted = [...view.adopted.filter((other) => other.layer !== layer), latest];
  adopted.sort((a, b) => LAYER_ORDER.indexOf(a.layer) - LAYER_ORDER.indexOf(b.layer));
  return ok({ ...view, adopted, nonces: accepted.value });
}

function issue(view: LawView, { writ: signed }: Body<'writ.issued'>, entry: LawEntry): Fold {
  const writ = signed.body;
  if (writ.use !== 'standing' || writ.parent !== null) {
    return refuse(entry, 'law.writ', 'the law holds standing root writs only; a run’s writ travels in run.opened');
  }
  if (writ.notAfter < writ.notBefore) return refuse(entry, 'law.window', 'the writ ends before it begins');
  if (signed.signatures.some(({ key }) => key !== writ.issuer))
    return refuse(entry, 'law.signature', 'a writ is signed by its issuer and nobody else');
  const accepted = accept(view, signed, { ...entry, kind: 'writ' }, ['root', 'issuer']);
  if (!accepted.ok) return accepted;
  return ok({ ...view, standing: view.standing.with(writId(writ), signed), nonces: accepted.value });
}

function revoke(view: LawView, signed: Body<'writ.revoked'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root', 'issuer']);
  if (!accepted.ok) return accepted;
  const by = signersOf(view, signed, entry);
  const standing = view.standing.get(signed.body.writ);
  if (standing !== undefined && !by.includes('root') && !by.includes(standing.body.issuer)) {
    return refuse(
      entry,
      'law.untrusted',
      `writ ${signed.body.writ} was issued by ${standing.body.issuer}; only that key or a root key revokes it`,
    );
  }
  const revoked = new Map(view.revoked).set(signed.body.writ, new Set([...(view.revoked.get(signed.body.writ) ?? []), ...by]));
  return ok({ ...view, revoked, nonces: accepted.value });
}

/** A root key lifts every revocation; an issuer only its own, so that it never overrules the root. */
function restore(view: LawView, signed: Body<'writ.restored'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root', 'issuer']);
  if (!accepted.ok) return accepted;
  const by = signersOf(view, signed, entry);
  const before = view.revoked.get(signed.body.writ) ?? new Set<KeyId | 'root'>();
  const after = by.includes('root') ? new Set<KeyId | 'root'>() : new Set([...before].filter((signer) => !by.includes(signer)));
  if (after.size === before.size)
    return refuse(entry, 'law.notRevoked', `no revocation of ${signed.body.writ} stands that this key may lift`);
  const revoked = new Map(view.revoked).set(signed.body.writ, after);
  if (after.size === 0) revoked.delete(signed.body.writ);
  return ok({ ...view, revoked, nonces: accepted.value });
}

function upgrade(view: LawView, signed: Body<'ledger.upgraded'>, entry: LawEntry): Fold {
  const accepted = accept(view, signed, entry, ['root']);
  if (!accepted.ok) return accepted;
  const { registry } = signed.body;
  if (registry <= view.registry) return refuse(entry, 'law.registry', `the registry only rises; it is ${view.registry}`);
  if (registry > REGISTRY)
    return refuse(entry, 'law.registry', `registry ${registry} is newer than this reader (${REGISTRY}); use a newer version`);
  return ok({ ...view, registry, nonces: accepted.value });
}

/** What every later body has in common: the ledger, a fresh nonce, and signatures of which each counts. Gives the nonces after it. */
function accept(view: LawView, signed: SignedLaw, entry: LawEntry, roles: readonly Role[]): Result<LawView['nonces'], LawProblem> {
  const { body, signatures } = signed;
  if (body.ledger !== view.ledger)
    return refuse(entry, 'law.ledger', `it is for ledger ${body.ledger}, this is ${view.ledger ?? 'not founded'}`);
  const used = view.nonces.get(body.nonce);
  if (used !== undefined) return refuse(entry, 'law.nonce', `its nonce was used up at law position ${used}; a body is law once`);
  if (new Set(signatures.map(({ key }) => key)).size !== signatures.length) return refuse(entry, 'law.signature', 'a key signs once');
  const type = entry.kind === 'writ' ? WRIT_TYPE : bodyType(entry.kind);
  for (const signature of signatures) {
    const record = keyWithRole(view, { key: signature.key, roles, at: entry.at });
    if (!record.ok) return refuse(entry, 'law.untrusted', record.error.message);
    if (!checkSignature({ type, body: asJson(body), publicKey: record.value.publicKey, signature })) {
      return refuse(entry, 'law.signature', `the signature of ${signature.key} is not over this body`);
    }
  }
  return ok(view.nonces.with(body.nonce, entry.seq));
}

/** In whose name a revocation or restoration speaks; only keys that {@link accept} has just found in force. */
function signersOf(view: LawView, signed: SignedLaw, entry: LawEntry): (KeyId | 'root')[] {
  return signed.signatures.map(({ key }) => (keyWithRole(view, { key, roles: ['root'], at: entry.at }).ok ? 'root' : key));
}

/** A ledger whose last root key is gone could never change its law again. */
function keepRoot(view: LawView, entry: LawEntry): Fold {
  const rooted = [...view.keys.values()].some(({ roles, retiredAt }) => retiredAt === null && roles.includes('root'));
  return rooted ? ok(view) : refuse(entry, 'law.lastRoot', 'it would leave the ledger without a root key; trust another root key first');
}

/** Verdicts on keys remembered before the oldest is forgotten: the torsion check costs a millisecond, and every driver folds the law anew. */
const MEMO_KEYS = 256;
const admitted = new Map<string, KeyId | null>();

function admittedId(publicKey: string): KeyId | null {
  const known = admitted.get(publicKey);
  if (known !== undefined) return known;
  const bytes = fromHex(publicKey);
  const id = bytes.ok && admitKey(bytes.value).ok ? keyIdOfHex(publicKey) : null;
  const [oldest] = admitted.keys();
  if (admitted.size >= MEMO_KEYS && oldest !== undefined) admitted.delete(oldest);
  admitted.set(publicKey, id);
  return id;
}

/** Bodies come out of schemas that admit JSON only. */
function asJson(body: SignedLaw['body']): Json {
  return body;
}

function refuse(entry: LawEntry, code: LawProblemCode, what: string): { readonly ok: false; readonly error: LawProblem } {
  return err({ code, message: `law position ${entry.seq} (${entry.kind}): ${what}` });
}
