/**
 * The law as far as signatures need it: which key held which role when. Reads law bodies by hand, without a validation library, and never judges
 * what a signed thing means (containment, quorum, policy): that is deep verification. PROTOCOL §§5, 10.
 */
import { type Bytes, type Digest, digestJson, fromHex, type Instant, type Json } from '@openexec/canon';
import { admitKey, keyIdOf, verifyTyped } from '@openexec/proof';
import { type LawBody, type LawKind, type Members, readLaw } from './lawShape.ts';

interface KeyRecord {
  readonly publicKey: Bytes;
  readonly roles: readonly string[];
  readonly notBefore: string;
  readonly notAfter: string | null;
  readonly retired: boolean;
}
/** A rule of the law trajectory that an entry breaks (PROTOCOL §5). */
export type LawFault = {
  readonly code: 'law.body' | 'law.nonce' | 'law.ledger' | 'law.signature' | 'law.registry';
  readonly message: string;
};

/** What signed-note allows as a key name, which an origin is. */
const KEY_NAME = /^[^\s\u0085+\p{Cc}]{1,255}$/u;
const WRIT_TYPE = 'application/vnd.openexec.writ.v1+json';
/** Which roles may sign a kind (PROTOCOL §5). */
const SIGNERS: Readonly<Record<LawKind, readonly string[]>> = {
  'ledger.founded': ['root'],
  'key.trusted': ['root'],
  'key.retired': ['root'],
  'policy.adopted': ['root', 'policy'],
  'writ.issued': ['root', 'issuer'],
  'writ.revoked': ['root', 'issuer'],
  'writ.restored': ['root', 'issuer'],
  'ledger.upgraded': ['root'],
};

/** Members that `readLaw` has found to be text, a list of texts. */
function text(members: Members, name: string): string {
  return members[name] as string;
}
function texts(members: Members, name: string): readonly string[] {
  return members[name] as readonly string[];
}

/** Keys by id with their roles, as the law has them so far. Owned by one verification; entries must be given in ledger order. */
export class LawKeys {
  readonly #keys = new Map<string, KeyRecord>();
  readonly #nonces = new Set<string>();
  /** Issuers of the standing writs, and who has revoked which, by the id of the writ. */
  readonly #standing = new Map<string, string>();
  readonly #revoked = new Map<string, ReadonlySet<string>>();
  /** `seq` of the last law entry, -1 before the founding. */
  position = -1;
  lastAt: Instant | null = null;
  ledger: Digest | null = null;
  origin: string | null = null;
  signatures = 0;

  /** The public key if that key holds the role now and `at` lies in its window. */
  holder(key: string, role: string, at: string): Bytes | null {
    const record = this.#keys.get(key);
    if (record === undefined || record.retired || !record.roles.includes(role) || at < record.notBefore) return null;
    return record.notAfter !== null && at > record.notAfter ? null : record.publicKey;
  }

  /** Every key that holds the role now. */
  holders(role: string, at: string): readonly Bytes[] {
    return [...this.#keys.keys()].flatMap((key) => this.holder(key, role, at) ?? []);
  }

  /** Takes one law entry, or says why it is not law; the position moves all the same. */
  take(entry: {
    readonly kind: string;
    readonly seq: number;
    readonly at: Instant;
    readonly leaf: Digest;
    readonly body: Json;
  }): LawFault | null {
    this.position = entry.seq;
    this.lastAt = entry.at;
    if (entry.kind === 'ledger.founded' && this.ledger !== null) return fault('law.body', 'a ledger is founded once');
    const law = readLaw(entry.kind, entry.body);
    // A founding out of form gives no keys, yet it is the founding: what follows is for its ledger.
    if (entry.kind === 'ledger.founded') this.ledger = entry.leaf;
    if (typeof law === 'string') return fault('law.body', law);
    return law.kind === 'ledger.founded' ? this.#found(law, entry.at) : this.#later(law, entry.at);
  }

  #found(law: LawBody, at: Instant): LawFault | null {
    const roots = texts(law.body, 'rootKeys');
    const log = text(law.body, 'logKey');
    const origin = text(law.body, 'origin');
    if (!KEY_NAME.test(origin)) return fault('law.body', 'the founding names no origin that can sign checkpoints');
    this.origin = origin;
    if (new Set([...roots, log]).size <= roots.length) return fault('law.body', 'a founding key stands twice');
    if (law.body['registry'] !== 1)
      return fault('law.registry', `the ledger is of registry ${Number(law.body['registry'])}; this reader knows 1`);
    // Nothing was law before: no nonce was used yet.
    this.#nonces.add(text(law.body, 'nonce'));
    for (const root of roots)
      if (!this.#admit(root, ['root'], at, null)) return fault('law.body', `the root key ${root} is not admissible`);
    if (!this.#admit(log, ['log'], at, null)) return fault('law.body', `the log key ${log} is not admissible`);
    const signers = new Set(law.signatures.map((each) => each.key));
    if (signers.size !== roots.length || law.signatures.length !== roots.length)
      return fault('law.signature', 'the founding does not carry one signature of each root key');
    return this.#signedBy(law, 'application/vnd.openexec.founding.v1+json', at);
  }

  #later(law: LawBody, at: Instant): LawFault | null {
    const { kind, body, signatures } = law;
    if (body['ledger'] !== this.ledger) return fault('law.ledger', `the body is for ledger ${text(body, 'ledger')}`);
    const nonce = this.#nonce(body);
    if (nonce !== null) return nonce;
    if (kind === 'writ.issued' && signatures.some(({ key }) => key !== body['issuer']))
      return fault('law.signature', 'a writ is signed by its issuer and nobody else');
    const type = kind === 'writ.issued' ? WRIT_TYPE : `application/vnd.openexec.${kind}.v1+json`;
    return this.#signedBy(law, type, at) ?? this.#apply(law, at);
  }

  /** Who speaks in a revocation or a restoration: a root key as the root, an issuer as itself. */
  #speakers(signatures: LawBody['signatures'], at: string): readonly string[] {
    return signatures.map(({ key }) => (this.holder(key, 'root', at) === null ? key : 'root'));
  }

  #issue(body: Members): LawFault | null {
    if (body['use'] !== 'standing' || body['parent'] !== null)
      return fault('law.body', "the law holds standing root writs only; a run's writ travels in run.opened");
    if (text(body, 'notAfter') < text(body, 'notBefore')) return fault('law.body', 'the writ ends before it begins');
    this.#standing.set(digestJson(body), text(body, 'issuer'));
    return null;
  }

  #revoke({ body, signatures }: LawBody, at: string): LawFault | null {
    const writ = text(body, 'writ');
    const by = this.#speakers(signatures, at);
    const issuer = this.#standing.get(writ);
    if (issuer !== undefined && !by.includes('root') && !by.includes(issuer))
      return fault('law.signature', `writ ${writ} was issued by ${issuer}; only that key or a root key revokes it`);
    this.#revoked.set(writ, new Set([...(this.#revoked.get(writ) ?? []), ...by]));
    return null;
  }

  #restore({ body, signatures }: LawBody, at: string): LawFault | null {
    const writ = text(body, 'writ');
    const by = this.#speakers(signatures, at);
    const before = this.#revoked.get(writ) ?? new Set<string>();
    const after = new Set(by.includes('root') ? [] : [...before].filter((speaker) => !by.includes(speaker)));
    if (after.size === before.size) return fault('law.body', `no revocation of ${writ} stands that this key may lift`);
    this.#revoked.set(writ, after);
    return null;
  }

  /** A ledger without a root key could never change its law again. */
  #withoutRoot(keys: ReadonlyMap<string, KeyRecord>): LawFault | null {
    const rooted = [...keys.values()].some(({ retired, roles }) => !retired && roles.includes('root'));
    return rooted ? null : fault('law.body', 'no root key would be left');
  }

  #trust(body: Members): LawFault | null {
    const publicKey = text(body, 'publicKey');
    const roles = texts(body, 'roles');
    const { notBefore, notAfter } = body['window'] as { readonly notBefore: string; readonly notAfter: string | null };
    if (roles.includes('runtime') && roles.length > 1) return fault('law.body', 'a runtime key holds no other role');
    if (new Set(roles).size !== roles.length) return fault('law.body', 'a role is named twice');
    if (notAfter !== null && notAfter < notBefore) return fault('law.body', 'the window ends before it begins');
    const before = new Map(this.#keys);
    const admitted = this.#admit(publicKey, roles, notBefore, notAfter);
    const rootless = this.#withoutRoot(this.#keys);
    if (rootless !== null) {
      this.#keys.clear();
      for (const [key, record] of before) this.#keys.set(key, record);
      return rootless;
    }
    return admitted ? null : fault('law.body', `the key ${publicKey} is not admissible`);
  }

  #retire(body: Members): LawFault | null {
    const key = text(body, 'key');
    const record = this.#keys.get(key);
    if (record === undefined) return fault('law.body', `key ${key} was never trusted`);
    if (record.retired) return fault('law.body', `key ${key} is retired already`);
    const rootless = this.#withoutRoot(new Map(this.#keys).set(key, { ...record, retired: true }));
    if (rootless !== null) return rootless;
    this.#keys.set(key, { ...record, retired: true });
    return null;
  }

  #apply(law: LawBody, at: string): LawFault | null {
    const { kind, body } = law;
    if (kind === 'writ.issued') return this.#issue(body);
    if (kind === 'writ.revoked') return this.#revoke(law, at);
    if (kind === 'writ.restored') return this.#restore(law, at);
    if (kind === 'key.trusted') return this.#trust(body);
    if (kind === 'key.retired') return this.#retire(body);
    if (kind === 'ledger.upgraded')
      return fault('law.registry', `the ledger was raised to registry ${Number(body['registry'])}; this reader knows 1`);
    return null;
  }

  #nonce(body: Members): LawFault | null {
    const nonce = text(body, 'nonce');
    if (this.#nonces.has(nonce)) return fault('law.nonce', `the nonce ${nonce} was used before; a body is law once`);
    this.#nonces.add(nonce);
    return null;
  }

  #admit(publicKey: string, roles: readonly string[], notBefore: string, notAfter: string | null): boolean {
    const bytes = fromHex(publicKey);
    // A retired key stays retired: it may have been retired because it leaked.
    if (!bytes.ok || !isAdmissible(publicKey, bytes.value) || this.#keys.get(keyIdOf(bytes.value))?.retired === true) return false;
    this.#keys.set(keyIdOf(bytes.value), { publicKey: bytes.value, roles, notBefore, notAfter, retired: false });
    return true;
  }

  #signedBy({ kind, body, signatures }: LawBody, type: string, at: string): LawFault | null {
    const roles = SIGNERS[kind];
    if (new Set(signatures.map((each) => each.key)).size < signatures.length) return fault('law.signature', 'a key signs once');
    for (const signature of signatures) {
      const publicKey = roles.map((role) => this.holder(signature.key, role, at)).find((each) => each !== null) ?? null;
      if (publicKey === null) return fault('law.signature', `key ${signature.key} did not hold the role ${roles.join(' or ')} here`);
      this.signatures += 1;
      if (!verifyTyped({ type, body, publicKey, value: signature.value }))
        return fault('law.signature', `the signature of ${signature.key} is not over this body`);
    }
    return null;
  }
}

/** Verdicts of `admitKey`, which costs more than a signature; a ledger has few keys, and hostile ones must not fill memory. */
const verdicts = new Map<string, boolean>();
const MAX_VERDICTS = 256;

function isAdmissible(hex: string, publicKey: Bytes): boolean {
  const known = verdicts.get(hex);
  if (known !== undefined) return known;
  const verdict = admitKey(publicKey).ok;
  if (verdicts.size >= MAX_VERDICTS) verdicts.clear();
  verdicts.set(hex, verdict);
  return verdict;
}

function fault(code: LawFault['code'], message: string): LawFault {
  return { code, message };
}
