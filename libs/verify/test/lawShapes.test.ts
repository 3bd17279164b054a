/**
 * What `verify` takes for law by its form, member by member, and what it names though it is right in form and signed well: a role twice, a window that
 * ends first, the last root, a key retired twice, writs that are not standing, a stranger's revocation, a restoration without cause. PROTOCOL §§5, 10.
 */
import { describe, expect, test } from '@jest/globals';
import { digestJson, digestOf, type Instant, type Json, toHex } from '@openexec/canon';
import { fixtures } from '@openexec/ledger/contract';
import { keyIdOf, publicKeyOf, signTyped } from '@openexec/proof';
import { LawKeys } from '../src/lawKeys.ts';
import { readLaw } from '../src/lawShape.ts';

const { after, nonceOf, ORIGIN, SEEDS, START } = fixtures;
type Person = 'root' | 'log' | 'runtime' | 'stranger' | 'second';
type Members = { readonly [name: string]: Json };
const LEAF = digestOf('the founding');
const seedOf = (person: Person) => (person === 'second' ? new Uint8Array(32).fill(9) : SEEDS[person]);
const hex = (person: Person): string => toHex(publicKeyOf(seedOf(person)));
const id = (person: Person): string => keyIdOf(publicKeyOf(seedOf(person)));
let nonces = 0;
const fresh = (): string => nonceOf(`law shapes ${(nonces += 1)}`);
const law = (members: Members): Members => ({ ledger: LEAF, nonce: fresh(), ...members });
const WINDOW: Members = { notBefore: START, notAfter: null };
const BLOB: Members = { digest: LEAF, bytes: 1, mediaType: 'application/json' };

/** One body of each kind that is right in form. */
const SOUND: Readonly<Record<string, Members>> = {
  'ledger.founded': { origin: ORIGIN, registry: 1, logKey: hex('log'), rootKeys: [hex('root')], nonce: fresh() },
  'key.trusted': law({ publicKey: hex('second'), roles: ['issuer'], window: WINDOW, label: '' }),
  'key.retired': law({ key: id('second'), because: '' }),
  'policy.adopted': law({ layer: 'operator', bundle: BLOB }),
  'writ.issued': law({
    v: 1,
    use: 'standing',
    issuer: id('root'),
    subject: id('runtime'),
    parent: null,
    tenant: 'house',
    actions: ['*', 'file.read', 'file.*'],
    ceiling: ['pure', 'read', 'write', 'external', 'irreversible'],
    readPaths: ['**', 'src', 'src/**', 'a.b/c d'],
    writePaths: [],
    hosts: ['example.org:443', '*.example.org:1', 'localhost:65535'],
    budget: { tokens: 0, usdMicros: 1, calls: Number.MAX_SAFE_INTEGER },
    wallMs: 0,
    notBefore: START,
    notAfter: after(1000),
    delegation: { depth: 0, maySubdivide: false },
  }),
  'writ.revoked': law({ writ: LEAF, because: '' }),
  'writ.restored': law({ writ: LEAF, because: '' }),
  'ledger.upgraded': law({ registry: 2 }),
};
const KINDS = Object.keys(SOUND);
const SIGNATURE: Members = { key: id('root'), value: 'AA==' };
const enveloped = (kind: string, body: Json, signatures: Json = [SIGNATURE]): Json =>
  kind === 'writ.issued' ? { writ: { body, signatures } } : { body, signatures };
const soundOf = (kind: string): Members => SOUND[kind] ?? {};
const unfit = (kind: string, member: string): string => `the member "${member}" of ${kind} is missing, not of its kind, or too much`;
const read = (kind: string, body: Json, signatures?: Json) => readLaw(kind, enveloped(kind, body, signatures));

describe('the form of a law body', () => {
  test.each(KINDS)('of %s is good as it stands, and gives the kind, the body and the signatures', (kind) => {
    expect(read(kind, soundOf(kind))).toEqual({ kind, body: soundOf(kind), signatures: [SIGNATURE] });
  });

  test.each(KINDS)('of %s needs each of its members, of its kind, and has no other', (kind) => {
    const sound = soundOf(kind);
    for (const name of Object.keys(sound)) {
      const { [name]: _gone, ...rest } = sound;
      expect([name, read(kind, rest)]).toEqual([name, unfit(kind, name)]);
      for (const value of [true, -1, 0.5, { a: 1 }, [[]]] as Json[])
        expect([name, value, read(kind, { ...rest, [name]: value })]).toEqual([name, value, unfit(kind, name)]);
    }
    expect(read(kind, { ...sound, more: 1 })).toBe(unfit(kind, 'more'));
    expect(read(kind, { ...sound, toString: 1 })).toBe(unfit(kind, 'toString'));
    expect(read(kind, { ...sound, ['x'.repeat(5000)]: 1 })).toBe(unfit(kind, 'x'.repeat(64)));
  });

  test.each<[kind: string, member: string, good: readonly Json[], bad: readonly Json[]]>([
    ['ledger.founded', 'origin', ['x', 'x'.repeat(255)], ['', 'x'.repeat(256), null]],
    ['ledger.founded', 'registry', [0, 1, 2, Number.MAX_SAFE_INTEGER], ['1', null, 2 ** 53]],
    ['ledger.founded', 'logKey', ['ab'.repeat(32)], ['AB'.repeat(32), 'ab'.repeat(31), `${'ab'.repeat(32)}\n`, 'no hex', null]],
    [
      'ledger.founded',
      'rootKeys',
      [Array.from({ length: 16 }, () => hex('root'))],
      [[], Array.from({ length: 17 }, () => hex('root')), [hex('root'), 1], hex('root'), null],
    ],
    ['ledger.founded', 'nonce', ['ab'.repeat(16)], ['ab'.repeat(15), 'AB'.repeat(16), null]],
    ['key.trusted', 'roles', [['root', 'issuer', 'policy', 'approver', 'runtime', 'log']], [[], ['king'], Array(7).fill('root'), null]],
    [
      'key.trusted',
      'window',
      [{ notBefore: START, notAfter: after(1) }],
      [
        null,
        START,
        { notBefore: START },
        { notAfter: null },
        { ...WINDOW, more: 1 },
        { ...WINDOW, notAfter: '' },
        { ...WINDOW, notBefore: null },
      ],
    ],
    ['key.trusted', 'label', ['x'.repeat(128)], ['x'.repeat(129), null]],
    ['key.retired', 'key', ['ab'.repeat(16)], ['ab'.repeat(32), 'x', null]],
    ['key.retired', 'because', ['x'.repeat(2000)], ['x'.repeat(2001), null]],
    ['policy.adopted', 'layer', ['organisation'], ['house', null]],
    [
      'policy.adopted',
      'bundle',
      [{ ...BLOB, mediaType: '' }],
      [null, { ...BLOB, bytes: -1 }, { ...BLOB, digest: 'x' }, { ...BLOB, mediaType: 'x'.repeat(128) }, { ...BLOB, more: 1 }],
    ],
    ['writ.issued', 'v', [1], [0, 2, '1', null]],
    ['writ.issued', 'use', ['run'], ['walk', null]],
    ['writ.issued', 'parent', [null, LEAF], ['x', `${LEAF}0`]],
    ['writ.issued', 'tenant', ['x'.repeat(128)], ['', 'x'.repeat(129), null]],
    [
      'writ.issued',
      'actions',
      [[], ['a'.repeat(64)], Array(128).fill('*')],
      [['A'], [''], ['a'.repeat(65)], ['*a'], Array(129).fill('*'), null],
    ],
    ['writ.issued', 'ceiling', [[]], [['none'], Array(6).fill('pure'), 'pure', null]],
    [
      'writ.issued',
      'readPaths',
      [['a\nb'], ['.a/..b'], ['x'.repeat(4096)], Array(256).fill('a')],
      [['/a'], ['a/../b'], ['.'], ['a/'], ['a//b'], ['a*'], ['a\u0000'], [''], ['x'.repeat(4097)], Array(257).fill('a'), null],
    ],
    ['writ.issued', 'writePaths', [['**']], [['**/a'], [1], null]],
    [
      'writ.issued',
      'hosts',
      [[`${'a'.repeat(258)}:1`]],
      [
        ['example.org'],
        ['example.org:0'],
        ['example.org:123456'],
        ['Example.org:1'],
        ['-a:1'],
        ['*:1'],
        [`${'a'.repeat(259)}:1`],
        [1],
        null,
      ],
    ],
    [
      'writ.issued',
      'budget',
      [{ tokens: 0, usdMicros: 0, calls: 0 }],
      [{ tokens: 0, usdMicros: 0 }, { tokens: -1, usdMicros: 0, calls: 0 }, null],
    ],
    ['writ.issued', 'notAfter', ['9999-12-31T23:59:59.999Z'], ['2026-01-01', '2026-01-01T00:00:00Z', null]],
    [
      'writ.issued',
      'delegation',
      [{ depth: 3, maySubdivide: true }],
      [{ depth: 3 }, { depth: 3, maySubdivide: 1 }, { depth: null, maySubdivide: true }, null],
    ],
    ['writ.revoked', 'writ', [digestOf('x')], ['ab'.repeat(32), null]],
    ['ledger.upgraded', 'registry', [0, 1], ['2', null]],
  ])('of %s has in %s one of these and none of those', (kind, member, good, bad) => {
    for (const value of good) expect([value, read(kind, { ...soundOf(kind), [member]: value })]).toMatchObject([value, { kind }]);
    for (const value of bad) expect([value, read(kind, { ...soundOf(kind), [member]: value })]).toEqual([value, unfit(kind, member)]);
  });

  test.each(KINDS)('of %s lies in an envelope of a body and one to sixteen signatures, and of nothing else', (kind) => {
    const not = (member: string) => `${kind} is not a signed law body: ${member}`;
    const sound = soundOf(kind);
    expect(read(kind, sound, Array(16).fill(SIGNATURE))).toMatchObject({ kind });
    for (const body of [null, 1, 'x', [sound]] as Json[]) expect(read(kind, body)).toBe(not('body'));
    for (const signatures of [
      null,
      [],
      {},
      [1],
      [null],
      [{ key: id('root') }],
      [{ value: 'AA==' }],
      [{ ...SIGNATURE, more: 1 }],
      [{ ...SIGNATURE, key: 'x' }],
      [{ ...SIGNATURE, value: '' }],
      [{ ...SIGNATURE, value: 'A===' }],
      Array(17).fill(SIGNATURE),
    ] as Json[])
      expect([signatures, read(kind, sound, signatures)]).toEqual([signatures, not('signatures')]);
    const more = (name: string): Json => {
      const signed = { body: sound, signatures: [SIGNATURE], [name]: 1 };
      return kind === 'writ.issued' ? { writ: signed } : signed;
    };
    expect(readLaw(kind, more('more'))).toBe(not('more'));
    expect(readLaw(kind, more('x'.repeat(5000)))).toBe(not('x'.repeat(64)));
  });

  test('is told of what is no envelope at all, of a writ that is none, and of a kind that is no law', () => {
    for (const payload of [null, 1, 'x', []] as Json[]) {
      for (const kind of KINDS.filter((each) => each !== 'writ.issued'))
        expect(readLaw(kind, payload)).toBe(`${kind} is not a signed law body: body`);
      for (const outer of [payload, { writ: payload }] as Json[]) expect(readLaw('writ.issued', outer)).toBe('writ.issued holds no writ');
    }
    const { body, signatures } = { body: soundOf('writ.issued'), signatures: [SIGNATURE] };
    for (const payload of [{}, { body, signatures }, { writ: { body, signatures }, more: 1 }, { other: { body, signatures } }] as Json[])
      expect(readLaw('writ.issued', payload)).toBe('writ.issued holds no writ');
    for (const kind of ['run.opened', 'toString', ''])
      expect(readLaw(kind, { body, signatures })).toBe(`${kind} is no kind of trajectory law`);
  });
});

describe('law that is right in form and signed well', () => {
  const typeOf = (kind: string): string => `application/vnd.openexec.${kind}.v1+json`;
  const signedAs = (type: string, body: Json, ...people: readonly Person[]): Json => ({
    body,
    signatures: people.map((person) => ({ ...signTyped({ type, body, seed: seedOf(person) }) })),
  });
  function said(keys: LawKeys, kind: string, body: Json, at: Instant = START): string {
    const fault = keys.take({ kind, seq: keys.position + 1, at, leaf: LEAF, body });
    return fault === null ? 'law' : `${fault.code}: ${fault.message}`;
  }
  const enact = (keys: LawKeys, kind: string, members: Members, ...people: Person[]): string =>
    said(keys, kind, signedAs(typeOf(kind), law(members), ...people));
  const trust = (keys: LawKeys, person: Person, roles: readonly string[], window: Members = WINDOW): string =>
    enact(keys, 'key.trusted', { publicKey: hex(person), roles: [...roles], window, label: '' }, 'root');
  const retire = (keys: LawKeys, person: Person): string => enact(keys, 'key.retired', { key: id(person), because: '' }, 'root');
  const FOUNDING = signedAs(typeOf('founding'), soundOf('ledger.founded'), 'root');
  function founded(): LawKeys {
    const keys = new LawKeys();
    expect(said(keys, 'ledger.founded', FOUNDING)).toBe('law');
    return keys;
  }
  /** `second` and `stranger` may issue. */
  function withIssuers(): LawKeys {
    const keys = founded();
    for (const person of ['second', 'stranger'] as const) expect(trust(keys, person, ['issuer'])).toBe('law');
    return keys;
  }
  const writBy = (person: Person, changed: Members = {}): Members => ({
    ...soundOf('writ.issued'),
    nonce: fresh(),
    issuer: id(person),
    ...changed,
  });
  const issue = (keys: LawKeys, writ: Members, person: Person): string =>
    said(keys, 'writ.issued', { writ: signedAs(typeOf('writ'), writ, person) });
  const change = (keys: LawKeys, kind: 'writ.revoked' | 'writ.restored', writ: string, ...people: Person[]): string =>
    enact(keys, kind, { writ, because: '' }, ...people);

  test('founds once, and a founding that is out of form or unsound was the founding all the same', () => {
    const once = 'law.body: a ledger is founded once';
    expect(said(founded(), 'ledger.founded', FOUNDING)).toBe(once);
    const torn = new LawKeys();
    expect(said(torn, 'ledger.founded', {})).toBe('law.body: ledger.founded is not a signed law body: body');
    expect([torn.ledger, torn.origin, torn.holders('root', START)]).toEqual([LEAF, null, []]);
    expect(said(torn, 'ledger.founded', FOUNDING)).toBe(once);
    expect(trust(torn, 'second', ['issuer'])).toBe(`law.signature: key ${id('root')} did not hold the role root here`);
    const other = digestOf('another');
    expect(enact(torn, 'key.retired', { ledger: other, key: id('root'), because: '' }, 'root')).toBe(
      `law.ledger: the body is for ledger ${other}`,
    );
  });

  test('names a role once, and ends no window before it begins', () => {
    const keys = founded();
    expect(trust(keys, 'second', ['issuer', 'issuer'])).toBe('law.body: a role is named twice');
    const window = { notBefore: after(10), notAfter: after(9) };
    expect(trust(keys, 'second', ['issuer'], window)).toBe('law.body: the window ends before it begins');
    expect(keys.holder(id('second'), 'issuer', after(10))).toBeNull();
    expect(trust(keys, 'second', ['issuer'], { ...window, notAfter: after(10) })).toBe('law');
    expect(keys.holder(id('second'), 'issuer', after(10))).not.toBeNull();
  });

  test('leaves a root key, whether the last is retired or trusted as something else', () => {
    const keys = founded();
    const none = 'law.body: no root key would be left';
    expect(retire(keys, 'root')).toBe(none);
    expect(trust(keys, 'root', ['issuer'])).toBe(none);
    expect(keys.holder(id('root'), 'root', START)).toEqual(publicKeyOf(SEEDS.root));
    expect(keys.holder(id('root'), 'issuer', START)).toBeNull();
    expect(trust(keys, 'second', ['root'])).toBe('law');
    expect(retire(keys, 'root')).toBe('law');
    expect(enact(keys, 'key.retired', { key: id('second'), because: '' }, 'second')).toBe(none);
  });

  test('retires a key once', () => {
    const keys = withIssuers();
    expect(retire(keys, 'second')).toBe('law');
    expect(retire(keys, 'second')).toBe(`law.body: key ${id('second')} is retired already`);
  });

  test('issues standing root writs only, and none that ends before it begins', () => {
    const keys = withIssuers();
    const only = "law.body: the law holds standing root writs only; a run's writ travels in run.opened";
    expect(issue(keys, writBy('second', { use: 'run' }), 'second')).toBe(only);
    expect(issue(keys, writBy('second', { parent: LEAF }), 'second')).toBe(only);
    expect(issue(keys, writBy('second', { notBefore: after(2), notAfter: after(1) }), 'second')).toBe(
      'law.body: the writ ends before it begins',
    );
    expect(issue(keys, writBy('second', { notBefore: after(2), notAfter: after(2) }), 'second')).toBe('law');
  });

  test('revokes a writ of the law by its issuer or a root key, and one that the law does not hold by any issuer', () => {
    const keys = withIssuers();
    const writ = writBy('second');
    const name = digestJson(writ);
    expect(change(keys, 'writ.revoked', name, 'stranger')).toBe('law');
    expect(issue(keys, writ, 'second')).toBe('law');
    const strange = `law.signature: writ ${name} was issued by ${id('second')}; only that key or a root key revokes it`;
    expect(change(keys, 'writ.revoked', name, 'stranger')).toBe(strange);
    for (const people of [['second'], ['root'], ['stranger', 'second'], ['stranger', 'root']] as Person[][])
      expect([people, change(keys, 'writ.revoked', name, ...people)]).toEqual([people, 'law']);
  });

  test('restores what this key has revoked, or all if it is a root key, and nothing else', () => {
    const keys = withIssuers();
    const name = digestOf('a writ');
    const none = `law.body: no revocation of ${name} stands that this key may lift`;
    const restored = (...people: Person[]): string => change(keys, 'writ.restored', name, ...people);
    expect([restored('root'), restored('second')]).toEqual([none, none]);
    expect(change(keys, 'writ.revoked', name, 'second')).toBe('law');
    expect(restored('stranger')).toBe(none);
    expect([restored('second'), restored('second')]).toEqual(['law', none]);
    for (const person of ['second', 'stranger', 'root'] as const) expect(change(keys, 'writ.revoked', name, person)).toBe('law');
    expect([restored('second'), restored('second')]).toEqual(['law', none]);
    expect([restored('root'), restored('stranger'), restored('root')]).toEqual(['law', none, none]);
  });
});
