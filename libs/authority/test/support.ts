/** Keys, a founded ledger and writs for the tests of this package. */
import { canonicalBytes, type Digest, digestOf, type Instant, type Json, type KeyId, parseInstant, toHex } from '@openexec/canon';
import { keyIdOf, publicKeyOf } from '@openexec/proof';
import type { Role, SignedWrit, Writ } from '@openexec/protocol';
import { bodyType, emptyLaw, foldLaw, foundLedger, issueWrit, type LawEntry, type LawView, signBody } from '../src/index.ts';

export type Person = 'root' | 'second' | 'issuer' | 'policy' | 'approver' | 'other' | 'runtime' | 'stranger' | 'log';
const PEOPLE: readonly Person[] = ['root', 'second', 'issuer', 'policy', 'approver', 'other', 'runtime', 'stranger', 'log'];

export function seedOf(person: Person): Uint8Array {
  return new Uint8Array(32).fill(PEOPLE.indexOf(person) + 1);
}
export function publicKey(person: Person): string {
  return toHex(publicKeyOf(seedOf(person)));
}
export function idOf(person: Person): KeyId {
  return keyIdOf(publicKeyOf(seedOf(person)));
}
export function at(text: string): Instant {
  const instant = parseInstant(text);
  if (!instant.ok) throw new Error(instant.error.message);
  return instant.value;
}
/** The day of most tests; windows are written around it. */
export const NOON = at('2026-05-05T12:00:00.000Z');
export const BEFORE = at('2026-05-01T00:00:00.000Z');
export const AFTER = at('2026-06-01T00:00:00.000Z');
export const LEAF = digestOf('the founding entry');

let nonces = 0;
export function freshNonce(): string {
  nonces++;
  return nonces.toString(16).padStart(32, '0');
}

export function entry(view: LawView, kind: string, body: Json, more: Partial<LawEntry> = {}): LawEntry {
  const leaf = view.position < 0 ? LEAF : digestOf(`entry ${view.position + 1}`);
  return { seq: view.position + 1, kind, body, at: NOON, leaf, blobs: new Map(), ...more };
}
/** The law after an entry that must be accepted. */
export function folded(view: LawView, next: LawEntry): LawView {
  const after = foldLaw(view, next);
  if (!after.ok) throw new Error(`${after.error.code}: ${after.error.message}`);
  return after.value;
}
/** A law body with its nonce and ledger, signed by these people. */
export function lawBody(kind: string, members: { [key: string]: Json }, ...signers: Person[]): Json {
  return { ...signBody({ type: bodyType(kind), body: { ledger: LEAF, nonce: freshNonce(), ...members }, seeds: signers.map(seedOf) }) };
}
export function founding(...roots: Person[]): Json {
  return {
    ...foundLedger({ origin: 'example.org/ledger', rootSeeds: roots.map(seedOf), logKey: publicKeyOf(seedOf('log')), nonce: freshNonce() }),
  };
}
export function trusting(person: Person, roles: readonly Role[], more: { [key: string]: Json } = {}): Json {
  const window = { notBefore: BEFORE, notAfter: null };
  return lawBody('key.trusted', { publicKey: publicKey(person), roles: [...roles], window, label: person, ...more }, 'root');
}
/** A ledger with one key per role. */
export function smallLaw(): LawView {
  let view = folded(emptyLaw(), entry(emptyLaw(), 'ledger.founded', founding('root')));
  for (const [person, roles] of [
    ['issuer', ['issuer']],
    ['policy', ['policy']],
    ['approver', ['approver']],
    ['other', ['approver', 'issuer']],
    ['runtime', ['runtime']],
  ] as const) {
    view = folded(view, entry(view, 'key.trusted', trusting(person, roles)));
  }
  return view;
}

export function writOf(changed: Partial<Writ> = {}): Writ {
  return {
    v: 1,
    ledger: LEAF,
    use: 'run',
    issuer: idOf('issuer'),
    subject: idOf('runtime'),
    parent: null,
    nonce: freshNonce(),
    tenant: 'home',
    actions: ['*'],
    ceiling: ['read', 'write', 'external'],
    readPaths: ['**'],
    writePaths: ['**'],
    hosts: ['api.example.org:443'],
    budget: { tokens: 1000, usdMicros: 1000, calls: 10 },
    wallMs: 60_000,
    notBefore: BEFORE,
    notAfter: AFTER,
    delegation: { depth: 2, maySubdivide: true },
    ...changed,
  };
}
export function signed(writ: Writ, by: Person): SignedWrit {
  return issueWrit({ writ, seed: seedOf(by) });
}
/** A blob with its digest. */
export function blobOf(json: Json): { digest: Digest; bytes: Uint8Array } {
  const bytes = canonicalBytes(json);
  return { digest: digestOf(bytes), bytes };
}
