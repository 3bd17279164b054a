/** The fold of `law`: founding, roles, nonces, windows, adoption, revocation; every way of being refused. */
import { describe, expect, test } from '@jest/globals';
import { digestOf, type Json } from '@openexec/canon';
import type { PolicyBundle } from '@openexec/protocol';
import fc from 'fast-check';
import { Book, bodyType, emptyLaw, foldLaw, isRevoked, keyWithRole, type LawEntry, type LawView, signBody, writId } from '../src/index.ts';
import {
  AFTER,
  at,
  BEFORE,
  blobOf,
  entry,
  folded,
  founding,
  freshNonce,
  idOf,
  LEAF,
  lawBody,
  NOON,
  publicKey,
  seedOf,
  signed,
  smallLaw,
  trusting,
  writOf,
} from './support.ts';

function codeOf(view: LawView, next: LawEntry): string {
  const after = foldLaw(view, next);
  return after.ok ? 'accepted' : after.error.code;
}
/** Flips one bit of the first signature. */
function spoiled(body: Json): Json {
  const copy = JSON.parse(JSON.stringify(body)) as { signatures: { value: string }[] };
  const [first] = copy.signatures;
  if (first !== undefined) first.value = (first.value.startsWith('A') ? 'B' : 'A') + first.value.slice(1);
  return copy;
}

describe('founding', () => {
  test('fixes fingerprint, origin, log key and root keys', () => {
    const view = folded(emptyLaw(), entry(emptyLaw(), 'ledger.founded', founding('root', 'second')));
    expect(view).toMatchObject({ position: 0, ledger: LEAF, origin: 'example.org/ledger', registry: 1, logKey: publicKey('log') });
    expect(view.keys.get(idOf('second'))).toMatchObject({ roles: ['root'], trustedAt: 0, retiredAt: null });
    expect(view.keys.get(idOf('log'))?.roles).toEqual(['log']);
  });
  test('wants the signature of every root key, and nobody else’s', () => {
    const both = founding('root', 'second') as { body: Json; signatures: Json[] };
    const lacking = { body: both.body, signatures: both.signatures.slice(0, 1) };
    const doubled = { body: both.body, signatures: [both.signatures[0] ?? null, both.signatures[0] ?? null] };
    const foreign = signBody({ type: bodyType('ledger.founded'), body: both.body, seeds: [seedOf('root'), seedOf('stranger')] });
    const mistyped = signBody({ type: bodyType('key.trusted'), body: both.body, seeds: [seedOf('root'), seedOf('second')] });
    for (const wrong of [lacking, doubled, { ...foreign }, { ...mistyped }, spoiled(both)]) {
      expect(codeOf(emptyLaw(), entry(emptyLaw(), 'ledger.founded', wrong))).toBe('law.signature');
    }
  });
  test('comes first, and once', () => {
    expect(codeOf(emptyLaw(), entry(emptyLaw(), 'key.trusted', trusting('issuer', ['issuer'])))).toBe('law.notFounded');
    const view = smallLaw();
    expect(codeOf(view, entry(view, 'ledger.founded', founding('root')))).toBe('law.foundedTwice');
    expect(codeOf(view, entry(view, 'ledger.founded', founding('root'), { seq: 3 }))).toBe('law.position');
    expect(codeOf(view, entry(view, 'run.opened', {}))).toBe('law.kind');
    expect(codeOf(view, entry(view, 'toString', {}))).toBe('law.kind');
  });
  test('refuses a key of small order and a key named twice', () => {
    const small = '0100000000000000000000000000000000000000000000000000000000000000';
    const body = (rootKeys: string[], logKey: string) => ({
      ...signBody({
        type: bodyType('ledger.founded'),
        body: { origin: 'o', registry: 1, logKey, rootKeys, nonce: freshNonce() },
        seeds: [seedOf('root')],
      }),
    });
    expect(codeOf(emptyLaw(), entry(emptyLaw(), 'ledger.founded', body([publicKey('root')], small)))).toBe('law.badKey');
    expect(codeOf(emptyLaw(), entry(emptyLaw(), 'ledger.founded', body([publicKey('root')], publicKey('root'))))).toBe('law.badKey');
  });
});

describe('keys', () => {
  const view = smallLaw();
  const trust = (body: Json, more: Partial<LawEntry> = {}) => codeOf(view, entry(view, 'key.trusted', body, more));
  test('only a root key in force trusts a key', () => {
    expect(trust(trusting('stranger', ['approver']))).toBe('accepted');
    for (const person of ['issuer', 'policy', 'runtime', 'stranger', 'log'] as const) {
      const members = { publicKey: publicKey('stranger'), roles: ['root'], window: { notBefore: BEFORE, notAfter: null }, label: '' };
      expect(trust(lawBody('key.trusted', members, person))).toBe('law.untrusted');
      expect(trust(lawBody('key.trusted', members, 'root', person))).toBe('law.untrusted');
    }
    expect(trust(spoiled(trusting('stranger', ['approver'])))).toBe('law.signature');
    expect(trust(trusting('stranger', ['approver'], { ledger: digestOf('another ledger') }))).toBe('law.ledger');
    expect(trust(trusting('stranger', ['approver'], { extra: 1 }))).toBe('law.malformed');
  });
  test('a signature for one kind is worth nothing for another', () => {
    const body = lawBody('writ.restored', { writ: digestOf('w'), because: '' }, 'root');
    expect(codeOf(view, entry(view, 'writ.revoked', body))).toBe('law.signature');
  });
  test('a body is law once: the same nonce never again, also after other law', () => {
    const body = trusting('stranger', ['approver']);
    const once = folded(view, entry(view, 'key.trusted', body));
    expect(codeOf(once, entry(once, 'key.trusted', body))).toBe('law.nonce');
    const retired = folded(once, entry(once, 'key.retired', lawBody('key.retired', { key: idOf('stranger'), because: '' }, 'root')));
    expect(codeOf(retired, entry(retired, 'key.trusted', body))).toBe('law.nonce');
  });
  test('a runtime key holds no other role, a role stands once, a window has a length', () => {
    expect(trust(trusting('stranger', ['runtime', 'approver']))).toBe('law.roles');
    expect(trust(trusting('stranger', ['approver', 'approver']))).toBe('law.roles');
    expect(trust(trusting('stranger', ['approver'], { window: { notBefore: NOON, notAfter: BEFORE } }))).toBe('law.window');
    expect(trust(trusting('stranger', ['approver'], { publicKey: 'ee'.repeat(32) }))).toBe('law.badKey');
  });
  test('retirement counts from its position on, is final, and never takes the last root', () => {
    const retire = (person: Parameters<typeof idOf>[0]) => lawBody('key.retired', { key: idOf(person), because: 'left' }, 'root');
    const after = folded(view, entry(view, 'key.retired', retire('approver')));
    expect(keyWithRole(view, { key: idOf('approver'), roles: ['approver'], at: NOON }).ok).toBe(true);
    expect(keyWithRole(after, { key: idOf('approver'), roles: ['approver'], at: NOON })).toMatchObject({
      ok: false,
      error: { code: 'key.notInForce' },
    });
    expect(codeOf(after, entry(after, 'key.retired', retire('approver')))).toBe('law.retiredKey');
    expect(codeOf(after, entry(after, 'key.trusted', trusting('approver', ['approver'])))).toBe('law.retiredKey');
    expect(codeOf(after, entry(after, 'key.retired', retire('stranger')))).toBe('law.unknownKey');
    expect(codeOf(after, entry(after, 'key.retired', retire('root')))).toBe('law.lastRoot');
    expect(codeOf(after, entry(after, 'key.trusted', trusting('root', ['approver'])))).toBe('law.lastRoot');
  });
  test('a window includes both ends and nothing beyond', () => {
    const window = { notBefore: NOON, notAfter: AFTER };
    const windowed = folded(view, entry(view, 'key.trusted', trusting('stranger', ['approver'], { window })));
    const ask = (text: string) => keyWithRole(windowed, { key: idOf('stranger'), roles: ['approver', 'root'], at: at(text) }).ok;
    expect([ask('2026-05-05T11:59:59.999Z'), ask(NOON), ask(AFTER), ask('2026-06-01T00:00:00.001Z')]).toEqual([false, true, true, false]);
    expect(keyWithRole(windowed, { key: idOf('stranger'), roles: ['root'], at: NOON })).toMatchObject({
      ok: false,
      error: { code: 'key.role' },
    });
    expect(keyWithRole(windowed, { key: idOf('second'), roles: ['root'], at: NOON })).toMatchObject({
      ok: false,
      error: { code: 'key.unknown' },
    });
  });
});

describe('policy, registry', () => {
  const bundle: PolicyBundle = {
    version: 1,
    name: 'house',
    rules: [
      {
        id: 'r',
        when: { field: 'time.at', op: 'exists', value: true },
        decide: 'deny',
        because: 'x',
        examples: { match: [{}], noMatch: [{}] },
      },
    ],
  };
  const { digest, bytes } = blobOf(bundle);
  const adopt = (
    view: LawView,
    layer: string,
    by: 'policy' | 'root' | 'issuer',
    more: { blobs?: LawEntry['blobs']; bytes?: number } = {},
  ) =>
    entry(
      view,
      'policy.adopted',
      lawBody('policy.adopted', { layer, bundle: { digest, bytes: more.bytes ?? bytes.length, mediaType: 'application/json' } }, by),
      {
        blobs: more.blobs ?? new Map([[digest, bytes]]),
      },
    );
  test('the latest bundle of each layer is in force, outermost first', () => {
    const one = folded(smallLaw(), adopt(smallLaw(), 'operator', 'policy'));
    const two = folded(one, adopt(one, 'organisation', 'root'));
    const three = folded(two, adopt(two, 'operator', 'policy'));
    expect(two.adopted.map(({ layer, seq }) => [layer, seq])).toEqual([
      ['organisation', 7],
      ['operator', 6],
    ]);
    expect(three.adopted.map(({ layer, seq }) => [layer, seq])).toEqual([
      ['organisation', 7],
      ['operator', 8],
    ]);
    expect(three.adopted[0]?.bundle).toEqual(bundle);
    expect(one.adopted).toHaveLength(1);
  });
  test('is refused without role, blob or shape', () => {
    const view = smallLaw();
    expect(codeOf(view, adopt(view, 'operator', 'issuer'))).toBe('law.untrusted');
    expect(codeOf(view, adopt(view, 'project', 'policy'))).toBe('law.malformed');
    expect(codeOf(view, adopt(view, 'operator', 'policy', { blobs: new Map() }))).toBe('law.blob');
    expect(codeOf(view, adopt(view, 'operator', 'policy', { bytes: 3 }))).toBe('law.blob');
    expect(codeOf(view, adopt(view, 'operator', 'policy', { blobs: new Map([[digest, bytes.slice(1)]]) }))).toBe('law.blob');
    const other = blobOf({ version: 1 });
    const body = lawBody(
      'policy.adopted',
      { layer: 'operator', bundle: { digest: other.digest, bytes: other.bytes.length, mediaType: 'application/json' } },
      'policy',
    );
    expect(codeOf(view, entry(view, 'policy.adopted', body, { blobs: new Map([[other.digest, other.bytes]]) }))).toBe('law.bundle');
  });
  test('the registry only rises, and not above what this reader knows', () => {
    const view = smallLaw();
    for (const registry of [0, 1, 2])
      expect(codeOf(view, entry(view, 'ledger.upgraded', lawBody('ledger.upgraded', { registry }, 'root')))).toBe('law.registry');
  });
});

describe('writs in the law', () => {
  const standing = signed(writOf({ use: 'standing' }), 'issuer');
  const issue = (view: LawView, writ = standing) => entry(view, 'writ.issued', { writ: { ...writ } });
  const view = folded(smallLaw(), issue(smallLaw()));
  const id = writId(standing.body);
  const speak = (law: LawView, kind: 'writ.revoked' | 'writ.restored', by: 'root' | 'issuer' | 'other' | 'approver', writ = id) =>
    entry(law, kind, lawBody(kind, { writ, because: '' }, by));
  test('a standing writ is issued once by its issuer; a run writ, a child, a foreign hand or a wrong ledger is refused', () => {
    expect(view.standing.get(id)).toEqual(standing);
    expect(codeOf(view, issue(view))).toBe('law.nonce');
    expect(codeOf(view, issue(view, signed(writOf(), 'issuer')))).toBe('law.writ');
    expect(codeOf(view, issue(view, signed(writOf({ use: 'standing', parent: id }), 'issuer')))).toBe('law.writ');
    expect(codeOf(view, issue(view, signed(writOf({ use: 'standing', issuer: idOf('approver') }), 'approver')))).toBe('law.untrusted');
    expect(codeOf(view, issue(view, signed(writOf({ use: 'standing', ledger: digestOf('x') }), 'issuer')))).toBe('law.ledger');
    const forged = { body: writOf({ use: 'standing' }), signatures: standing.signatures };
    expect(codeOf(view, issue(view, forged))).toBe('law.signature');
    const cosigned = {
      body: standing.body,
      signatures: [...standing.signatures, { key: idOf('root'), value: standing.signatures[0]?.value ?? '' }],
    };
    expect(codeOf(view, issue(view, cosigned))).toBe('law.signature');
  });
  test('root and issuer revoke; an issuer only its own; restoring lifts no word of the root', () => {
    expect(codeOf(view, speak(view, 'writ.revoked', 'approver'))).toBe('law.untrusted');
    expect(codeOf(view, speak(view, 'writ.revoked', 'other'))).toBe('law.untrusted');
    expect(codeOf(view, speak(view, 'writ.restored', 'issuer'))).toBe('law.notRevoked');
    const byIssuer = folded(view, speak(view, 'writ.revoked', 'issuer'));
    const byBoth = folded(byIssuer, speak(byIssuer, 'writ.revoked', 'root'));
    expect([view, byIssuer, byBoth].map((law) => isRevoked(law, id, standing.body))).toEqual([false, true, true]);
    const half = folded(byBoth, speak(byBoth, 'writ.restored', 'issuer'));
    expect(isRevoked(half, id, standing.body)).toBe(true);
    expect(codeOf(half, speak(half, 'writ.restored', 'issuer'))).toBe('law.notRevoked');
    const free = folded(half, speak(half, 'writ.restored', 'root'));
    expect(isRevoked(free, id, standing.body)).toBe(false);
    const restoredByRoot = folded(byIssuer, speak(byIssuer, 'writ.restored', 'root'));
    expect(isRevoked(restoredByRoot, id, standing.body)).toBe(false);
  });
  test("another issuer's word about a writ that travels in a run counts for nothing", () => {
    const travelling = signed(writOf(), 'issuer');
    const law = folded(view, speak(view, 'writ.revoked', 'other', writId(travelling.body)));
    expect(isRevoked(law, writId(travelling.body), travelling.body)).toBe(false);
    const meant = folded(law, speak(law, 'writ.revoked', 'issuer', writId(travelling.body)));
    expect(isRevoked(meant, writId(travelling.body), travelling.body)).toBe(true);
  });
  test('a replayed restoration is refused', () => {
    const restore = speak(view, 'writ.restored', 'root');
    const revoked = folded(view, speak(view, 'writ.revoked', 'root'));
    const free = folded(revoked, { ...restore, seq: revoked.position + 1 });
    const again = folded(free, speak(free, 'writ.revoked', 'root'));
    expect(codeOf(again, { ...restore, seq: again.position + 1 })).toBe('law.nonce');
  });
});

test('a refused entry leaves the view as it was, and two continuations of one view do not see each other', () => {
  const view = smallLaw();
  const left = trusting('stranger', ['approver']);
  const right = trusting('second', ['root']);
  codeOf(view, entry(view, 'key.trusted', trusting('stranger', ['runtime', 'root'])));
  const one = folded(view, entry(view, 'key.trusted', left));
  const two = folded(view, entry(view, 'key.trusted', right));
  expect(codeOf(one, entry(one, 'key.trusted', right))).toBe('accepted');
  expect(codeOf(two, entry(two, 'key.trusted', left))).toBe('accepted');
  expect([view.nonces.size, one.nonces.size, two.nonces.size]).toEqual([6, 7, 7]);
});

test('property: a book of any history of branches equals a plain map per version', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ from: fc.nat(), key: fc.constantFrom(...'abcdefgh') }), { maxLength: 40 }), (steps) => {
      const versions = [{ book: Book.empty<number>(), plain: new Map<string, number>() }];
      for (const [at, { from, key }] of steps.entries()) {
        const base = versions[from % versions.length];
        if (base === undefined || base.plain.has(key)) continue;
        versions.push({ book: base.book.with(key, at), plain: new Map(base.plain).set(key, at) });
      }
      for (const { book, plain } of versions) {
        expect(book.size).toBe(plain.size);
        for (const key of 'abcdefgh') expect(book.get(key)).toBe(plain.get(key));
      }
    }),
  );
  expect(() => Book.empty<number>().with('a', 1).with('a', 2)).toThrow('already');
});
