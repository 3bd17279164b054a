/**
 * The law as far as signatures need it, entry by entry: who holds which role when, and each way in which an entry is no law, word for word. It must see
 * no less than the fold that issues and votes are judged by. PROTOCOL §§5, 10.
 */
import { describe, expect, test } from '@jest/globals';
import { digestOf, type Instant, type Json, toHex } from '@openexec/canon';
import { fixtures } from '@openexec/ledger/contract';
import { keyIdOf, publicKeyOf, signTyped } from '@openexec/proof';
import { LawKeys } from '../src/lawKeys.ts';

const { after, nonceOf, ORIGIN, SEEDS, START } = fixtures;
type Person = 'root' | 'log' | 'runtime' | 'stranger' | 'second';
type Members = { readonly [name: string]: Json };
const LEAF = digestOf('the founding');
const seedOf = (person: Person) => (person === 'second' ? new Uint8Array(32).fill(9) : SEEDS[person]);
const hex = (person: Person): string => toHex(publicKeyOf(seedOf(person)));
const id = (person: Person): string => keyIdOf(publicKeyOf(seedOf(person)));
/** The members of a writ that are the same in each. */
const STANDING: Members = {
  v: 1,
  use: 'standing',
  parent: null,
  tenant: 'house',
  actions: ['*'],
  ceiling: ['pure', 'read'],
  readPaths: ['src/**'],
  writePaths: [],
  hosts: [],
  budget: { tokens: 1, usdMicros: 1, calls: 1 },
  wallMs: 1000,
  notBefore: START,
  notAfter: after(1000),
  delegation: { depth: 0, maySubdivide: false },
};
let nonces = 0;
const fresh = (): string => nonceOf(`law keys ${(nonces += 1)}`);

function signedAs(type: string, body: Json, ...people: readonly Person[]): Members {
  const signatures = people.map((person) => {
    const { key, value } = signTyped({ type, body, seed: seedOf(person) });
    return { key, value };
  });
  return { body, signatures };
}
const typeOf = (kind: string): string => `application/vnd.openexec.${kind}.v1+json`;
const FOUNDING = 'application/vnd.openexec.founding.v1+json';
const founded = (): Members => ({ origin: ORIGIN, registry: 1, logKey: hex('log'), rootKeys: [hex('root')], nonce: fresh() });
const founding = (changed: Members = {}, ...people: Person[]): Json =>
  signedAs(FOUNDING, { ...founded(), ...changed }, ...(people.length === 0 ? (['root'] as const) : people));
const entry = (kind: string, body: Json, seq = 1, at: Instant = START) => ({ kind, seq, at, leaf: LEAF, body });

function lawOf(): LawKeys {
  const law = new LawKeys();
  expect(law.take(entry('ledger.founded', founding(), 0))).toBeNull();
  return law;
}
function said(law: LawKeys, kind: string, body: Json, at: Instant = START): string {
  const fault = law.take(entry(kind, body, law.position + 1, at));
  return fault === null ? 'law' : `${fault.code}: ${fault.message}`;
}
const bodyOf = (members: Members): Members => ({ ledger: LEAF, nonce: fresh(), ...members });
const by = (kind: string, members: Members, ...people: Person[]): Json => signedAs(typeOf(kind), bodyOf(members), ...people);
const because = '';
/** A missing or bad member of a body of this kind, as it is told. */
const unfit = (kind: string, member: string): string =>
  `law.body: the member "${member}" of ${kind} is missing, not of its kind, or too much`;
/** A standing writ that is right in form, of this issuer. */
const writOf = (issuer: Person, changed: Members = {}): Members =>
  bodyOf({ ...STANDING, issuer: id(issuer), subject: id('runtime'), ...changed });
const trusting = (person: Person, changed: Members = {}, ...people: Person[]): Json => {
  const members = { publicKey: hex(person), roles: ['runtime'], window: { notBefore: START, notAfter: null }, label: '' };
  return by('key.trusted', { ...members, ...changed }, ...(people.length === 0 ? (['root'] as const) : people));
};

describe('a founding', () => {
  const first = (body: Json): string => said(new LawKeys(), 'ledger.founded', body);
  test('gives the fingerprint, the origin and the keys with their roles', () => {
    const law = lawOf();
    expect([law.position, law.lastAt, law.ledger, law.origin, law.signatures]).toEqual([0, START, LEAF, ORIGIN, 1]);
    expect(law.holder(id('root'), 'root', START)).toEqual(publicKeyOf(SEEDS.root));
    expect(law.holder(id('log'), 'log', START)).toEqual(publicKeyOf(SEEDS.log));
    expect([law.holder(id('root'), 'log', START), law.holder(id('log'), 'root', START), law.holder(id('stranger'), 'root', START)]).toEqual(
      [null, null, null],
    );
    expect(law.holders('root', START)).toEqual([publicKeyOf(SEEDS.root)]);
    expect(law.holders('runtime', START)).toEqual([]);
  });
  test('is held before any law is known', () => {
    const law = new LawKeys();
    expect([law.position, law.lastAt, law.ledger, law.origin, law.signatures]).toEqual([-1, null, null, null, 0]);
  });
  test('is refused in these words', () => {
    const unsigned = (member: string) => `law.body: ledger.founded is not a signed law body: ${member}`;
    for (const body of [null, {}, 'x', { body: 1, signatures: [{ key: 'a', value: 'b' }] }] as Json[])
      expect(first(body)).toBe(unsigned('body'));
    expect(first({ body: {}, signatures: [] })).toBe(unsigned('signatures'));
    const member = (name: string) => unfit('ledger.founded', name);
    for (const rootKeys of [[], [1], hex('root'), Array.from({ length: 17 }, () => hex('root'))] as Json[])
      expect(first(founding({ rootKeys }))).toBe(member('rootKeys'));
    expect(first(founding({ logKey: 1 }))).toBe(member('logKey'));
    for (const bad of ['', 'x'.repeat(256), 1] as Json[]) expect(first(founding({ origin: bad }))).toBe(member('origin'));
    const origin = 'law.body: the founding names no origin that can sign checkpoints';
    for (const bad of ['a b', 'a+b', 'a\nb', 'a\u0085b', 'a\u0000b'] as Json[]) expect(first(founding({ origin: bad }))).toBe(origin);
    expect(first(founding({ origin: 'x'.repeat(255) }))).toBe('law');
    expect(first(founding({ logKey: hex('root') }))).toBe('law.body: a founding key stands twice');
    expect(first(founding({ rootKeys: [hex('root'), hex('root')] }, 'root', 'second'))).toBe('law.body: a founding key stands twice');
    expect(first(founding({ registry: 2 }))).toBe('law.registry: the ledger is of registry 2; this reader knows 1');
    expect(first(signedAs(FOUNDING, { origin: ORIGIN, logKey: hex('log'), rootKeys: [hex('root')], nonce: fresh() }, 'root'))).toBe(
      member('registry'),
    );
    expect(first(founding({ nonce: 1 }))).toBe(member('nonce'));
    const bad = 'ee'.repeat(32);
    expect(first(founding({ rootKeys: [bad] }))).toBe(`law.body: the root key ${bad} is not admissible`);
    expect(first(founding({ logKey: bad }))).toBe(`law.body: the log key ${bad} is not admissible`);
    expect(first(founding({ logKey: 'no hex' }))).toBe(member('logKey'));
    const each = 'law.signature: the founding does not carry one signature of each root key';
    expect(first(founding({}, 'root', 'root'))).toBe(each);
    expect(first(founding({}, 'root', 'second'))).toBe(each);
    expect(first(founding({ rootKeys: [hex('root'), hex('second')] }, 'root'))).toBe(each);
    expect(first(founding({ rootKeys: [hex('root'), hex('second')] }, 'root', 'root'))).toBe(each);
    expect(first(founding({ rootKeys: [hex('root'), hex('second')] }, 'root', 'second'))).toBe('law');
    expect(first(founding({}, 'stranger'))).toBe(`law.signature: key ${id('stranger')} did not hold the role root here`);
    expect(first(founding({}, 'log'))).toBe(`law.signature: key ${id('log')} did not hold the role root here`);
    const torn = founding() as { readonly body: Members; readonly signatures: Json };
    expect(first({ ...torn, body: { ...torn.body, more: 1 } })).toBe(member('more'));
    expect(first({ ...torn, body: { ...torn.body, origin: `${ORIGIN}/other` } })).toBe(
      `law.signature: the signature of ${id('root')} is not over this body`,
    );
    expect(first(signedAs(typeOf('key.trusted'), founded(), 'root'))).toBe(
      `law.signature: the signature of ${id('root')} is not over this body`,
    );
  });
});

describe('a key', () => {
  test('holds its roles inside its window, both ends included, until it is retired', () => {
    const law = lawOf();
    const window = { notBefore: after(10), notAfter: after(20) };
    expect(said(law, 'key.trusted', trusting('second', { roles: ['approver', 'issuer'], window }))).toBe('law');
    const held = (role: string) => [9, 10, 20, 21].map((ms) => law.holder(id('second'), role, after(ms)) !== null);
    expect([held('approver'), held('issuer'), held('root')]).toEqual([
      [false, true, true, false],
      [false, true, true, false],
      [false, false, false, false],
    ]);
    expect(said(law, 'key.retired', by('key.retired', { key: id('second'), because: '' }, 'root'))).toBe('law');
    expect(held('approver')).toEqual([false, false, false, false]);
    expect(law.holders('approver', after(15))).toEqual([]);
    expect(said(law, 'key.trusted', trusting('second'))).toBe(`law.body: the key ${hex('second')} is not admissible`);
  });
  test('is not trusted without roles, a key or a window, nor a runtime key with another role', () => {
    for (const changed of [
      { publicKey: 1 },
      { roles: 'runtime' },
      { roles: [1] },
      { roles: [] },
      { roles: ['king'] },
      { window: null },
      { window: START },
      { window: { notBefore: 1, notAfter: null } },
      { window: { notBefore: START } },
      { window: { notBefore: START, notAfter: 1 } },
    ] as Members[])
      expect([changed, said(lawOf(), 'key.trusted', trusting('second', changed))]).toEqual([
        changed,
        unfit('key.trusted', Object.keys(changed).join()),
      ]);
    expect(said(lawOf(), 'key.trusted', trusting('second', { roles: ['runtime', 'approver'] }))).toBe(
      'law.body: a runtime key holds no other role',
    );
    expect(said(lawOf(), 'key.trusted', trusting('second', { roles: ['policy', 'approver'] }))).toBe('law');
    const bad = 'ee'.repeat(32);
    expect(said(lawOf(), 'key.trusted', trusting('second', { publicKey: bad }))).toBe(`law.body: the key ${bad} is not admissible`);
  });
  test('that was never trusted is not retired', () => {
    expect(said(lawOf(), 'key.retired', by('key.retired', { key: id('second'), because }, 'root'))).toBe(
      `law.body: key ${id('second')} was never trusted`,
    );
    expect(said(lawOf(), 'key.retired', by('key.retired', { key: 1, because }, 'root'))).toBe(unfit('key.retired', 'key'));
  });
});

describe('a later body', () => {
  /** A law in which `second` holds the role. */
  const withRole = (role: string): LawKeys => {
    const law = lawOf();
    expect(said(law, 'key.trusted', trusting('second', { roles: [role] }))).toBe('law');
    return law;
  };
  test.each<[string, readonly string[]]>([
    ['key.trusted', ['root']],
    ['key.retired', ['root']],
    ['policy.adopted', ['root', 'policy']],
    ['writ.revoked', ['root', 'issuer']],
    ['writ.restored', ['root', 'issuer']],
  ])('of kind %s is the word of %j and of nobody else', (kind, roles) => {
    for (const role of ['root', 'policy', 'issuer', 'approver', 'runtime', 'log']) {
      const window = { notBefore: START, notAfter: null };
      const members = {
        'key.trusted': { publicKey: hex('stranger'), roles: ['approver'], window, label: '' },
        'key.retired': { key: id('log'), because },
        'policy.adopted': { layer: 'operator', bundle: { digest: LEAF, bytes: 1, mediaType: 'application/json' } },
        'writ.revoked': { writ: LEAF, because },
        'writ.restored': { writ: LEAF, because },
      }[kind];
      const law = withRole(role);
      // Of revocations only the own may be lifted, and each key made one.
      if (kind === 'writ.restored') said(law, 'writ.revoked', by('writ.revoked', { writ: LEAF, because }, 'second'));
      if (members === undefined) throw new Error('no such kind');
      const expected = roles.includes(role) ? 'law' : `law.signature: key ${id('second')} did not hold the role ${roles.join(' or ')} here`;
      expect([role, said(law, kind, by(kind, members, 'second'))]).toEqual([role, expected]);
    }
  });
  test('of a writ is signed by its issuer alone, over the type of a writ', () => {
    const issued = (law: LawKeys, issuer: Person, ...people: Person[]) =>
      said(law, 'writ.issued', { writ: signedAs(typeOf('writ'), writOf(issuer), ...people) });
    expect(issued(withRole('issuer'), 'second', 'second')).toBe('law');
    expect(issued(lawOf(), 'root', 'root')).toBe('law');
    const only = 'law.signature: a writ is signed by its issuer and nobody else';
    expect(issued(withRole('issuer'), 'second', 'root')).toBe(only);
    expect(issued(withRole('issuer'), 'second', 'second', 'root')).toBe(only);
    expect(issued(withRole('approver'), 'second', 'second')).toBe(
      `law.signature: key ${id('second')} did not hold the role root or issuer here`,
    );
    const mistyped = { writ: signedAs(typeOf('writ.issued'), writOf('root'), 'root') };
    expect(said(lawOf(), 'writ.issued', mistyped)).toBe(`law.signature: the signature of ${id('root')} is not over this body`);
    const none = 'law.body: writ.issued holds no writ';
    const bare = signedAs(typeOf('writ'), writOf('root'), 'root');
    for (const body of [bare, 'text', { writ: 'text' }, { writ: bare, more: 1 }] as Json[])
      expect(said(lawOf(), 'writ.issued', body)).toBe(none);
    expect(said(lawOf(), 'writ.issued', { writ: { ...bare, signatures: [] } })).toBe(
      'law.body: writ.issued is not a signed law body: signatures',
    );
    expect(said(lawOf(), 'writ.issued', { writ: bare })).toBe('law');
  });
  test('of an unknown kind or without signatures is no law', () => {
    const unsigned = (member: string) => `law.body: writ.revoked is not a signed law body: ${member}`;
    for (const kind of ['run.opened', 'toString'])
      expect(said(lawOf(), kind, by(kind, {}, 'root'))).toBe(`law.body: ${kind} is no kind of trajectory law`);
    const body = bodyOf({ writ: LEAF, because });
    const [good] = signedAs(typeOf('writ.revoked'), body, 'root')['signatures'] as Members[];
    if (good === undefined) throw new Error('it was signed');
    for (const signatures of [
      [],
      null,
      [1],
      [{ key: good['key'] ?? '' }],
      [{ value: good['value'] ?? '' }],
      [good, null],
      { 0: good },
    ] as Json[])
      expect(said(lawOf(), 'writ.revoked', { body, signatures })).toBe(unsigned('signatures'));
    expect(said(lawOf(), 'writ.revoked', { body: [body], signatures: [good] })).toBe(unsigned('body'));
    expect(said(lawOf(), 'writ.revoked', { body, signatures: [good] })).toBe('law');
  });
  test('is for this ledger, with a nonce that was never used, also where its signature was bad', () => {
    const law = lawOf();
    const other = digestOf('another');
    const members = { writ: LEAF, because };
    expect(said(law, 'writ.revoked', by('writ.revoked', { ...members, ledger: other }, 'root'))).toBe(
      `law.ledger: the body is for ledger ${other}`,
    );
    expect(said(law, 'writ.revoked', by('writ.revoked', { ...members, ledger: 1 }, 'root'))).toBe(unfit('writ.revoked', 'ledger'));
    expect(said(law, 'writ.revoked', by('writ.revoked', { ...members, nonce: 1 }, 'root'))).toBe(unfit('writ.revoked', 'nonce'));
    const nonce = fresh();
    expect(said(law, 'writ.revoked', by('writ.revoked', { ...members, nonce }, 'stranger'))).toMatch(/^law\.signature/);
    expect(said(law, 'writ.revoked', by('writ.revoked', { ...members, nonce }, 'root'))).toBe(
      `law.nonce: the nonce ${nonce} was used before; a body is law once`,
    );
    expect(law.position).toBe(5);
  });
  test('is signed once by each key, and each of its signatures counts', () => {
    const twice = by('writ.revoked', { writ: LEAF, because }, 'root', 'root');
    expect(said(lawOf(), 'writ.revoked', twice)).toBe('law.signature: a key signs once');
    expect(said(withRole('issuer'), 'writ.revoked', by('writ.revoked', { writ: LEAF, because }, 'root', 'second'))).toBe('law');
    expect(said(withRole('approver'), 'writ.revoked', by('writ.revoked', { writ: LEAF, because }, 'root', 'second'))).toMatch(
      /^law\.signature: key/,
    );
    const law = withRole('issuer');
    const before = law.signatures;
    said(law, 'writ.revoked', by('writ.revoked', { writ: LEAF, because }, 'root', 'second'));
    expect(law.signatures - before).toBe(2);
  });
  test('that raises the registry ends what this reader can say', () => {
    expect(said(lawOf(), 'ledger.upgraded', by('ledger.upgraded', { registry: 2 }, 'root'))).toBe(
      'law.registry: the ledger was raised to registry 2; this reader knows 1',
    );
    expect(said(withRole('issuer'), 'ledger.upgraded', by('ledger.upgraded', { registry: 2 }, 'second'))).toMatch(/^law\.signature/);
  });
  test('moves position and time even where it is no law', () => {
    const law = lawOf();
    said(law, 'writ.revoked', {}, after(5));
    expect([law.position, law.lastAt]).toEqual([1, after(5)]);
  });
});
