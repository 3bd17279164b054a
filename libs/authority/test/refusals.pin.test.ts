/**
 * What the law, a chain of writs and a request for approval answer where they refuse, word for word: who reads the ledger is told what was wrong and what
 * to do. Each case differs from a good one in one thing, so that a guard that stops looking shows here. PROTOCOL §§5, 6.
 */
import { describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, type Json } from '@openexec/canon';
import type { ApprovalTerms, SignedWrit, Writ } from '@openexec/protocol';
import {
  approvalDigest,
  bodyType,
  checkChain,
  checkLinks,
  checkVote,
  emptyLaw,
  foldLaw,
  issueWrit,
  keyInForce,
  type LawEntry,
  type LawView,
  signBody,
  VOTE_TYPE,
  voterProblem,
  writId,
} from '../src/index.ts';
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
  type Person,
  publicKey,
  seedOf,
  signed,
  smallLaw,
  trusting,
  writOf,
} from './support.ts';

const law = smallLaw();
const OTHER = digestOf('another ledger');
const SILENT: Json = {
  id: 'r',
  when: { field: 'time.at', op: 'exists', value: true },
  decide: 'deny',
  because: 'x',
  examples: { match: [{}], noMatch: [{}] },
};
const ZERO = 'f'.repeat(32);

describe('the law says', () => {
  const said = (view: LawView, next: LawEntry): string => {
    const after = foldLaw(view, next);
    return after.ok ? 'accepted' : `${after.error.code}: ${after.error.message}`;
  };
  const of = (kind: string, body: Json, more: Partial<LawEntry> = {}) => said(law, entry(law, kind, body, more));
  const here = (kind: string): string => `law position ${law.position + 1} (${kind}): `;

  test('that an entry is of no kind of its, at another place, or before the founding', () => {
    expect(of('run.opened', {})).toBe(`law.kind: ${here('run.opened')}no kind of trajectory law`);
    expect(of('key.trusted', {}, { seq: 7 })).toBe('law.position: law position 7 (key.trusted): the next law position is 6');
    expect(of('key.trusted', {}, { seq: 5 })).toBe('law.position: law position 5 (key.trusted): the next law position is 6');
    expect(of('ledger.founded', founding('root'))).toBe(`law.foundedTwice: ${here('ledger.founded')}a ledger is founded once`);
    expect(said(emptyLaw(), entry(emptyLaw(), 'key.trusted', {}))).toBe(
      'law.notFounded: law position 0 (key.trusted): law begins with ledger.founded',
    );
  });

  test('where a body leaves its schema', () => {
    const body = trusting('stranger', ['approver'], { window: { notBefore: 'yesterday', notAfter: null } });
    expect(of('key.trusted', body)).toMatch(/^law\.malformed: law position 6 \(key\.trusted\): at body\.window\.notBefore: \S/);
    expect(of('key.trusted', 'text')).toMatch(/^law\.malformed: law position 6 \(key\.trusted\): at : \S/);
  });

  test('what is wrong with the keys and signatures of a founding', () => {
    const first = (body: Json): string => said(emptyLaw(), entry(emptyLaw(), 'ledger.founded', body));
    const founded = (rootKeys: string[], logKey: string, ...by: Person[]): Json => ({
      ...signBody({
        type: bodyType('ledger.founded'),
        body: { origin: 'o', registry: 1, logKey, rootKeys, nonce: freshNonce() },
        seeds: by.map(seedOf),
      }),
    });
    const place = 'law position 0 (ledger.founded): ';
    const bad = 'ee'.repeat(32);
    expect(first(founded([bad], publicKey('log'), 'root'))).toBe(
      `law.badKey: ${place}the key ${bad} is not admissible (canonical, torsion-free Ed25519)`,
    );
    expect(first(founded([publicKey('root'), publicKey('root')], publicKey('log'), 'root', 'second'))).toBe(
      `law.badKey: ${place}the key ${idOf('root')} stands twice among root and log keys`,
    );
    expect(first(founded([publicKey('root')], publicKey('log'), 'root', 'second'))).toBe(
      `law.signature: ${place}the founding carries exactly one signature of each root key`,
    );
    expect(first(founded([publicKey('root')], publicKey('log'), 'log'))).toBe(
      `law.signature: ${place}the signature of ${idOf('log')} is not a root key’s over this founding`,
    );
    expect(first(founded([publicKey('root')], publicKey('log'), 'stranger'))).toBe(
      `law.signature: ${place}the signature of ${idOf('stranger')} is not a root key’s over this founding`,
    );
    expect(first(founded([publicKey('root')], publicKey('log'), 'root'))).toBe('accepted');
  });

  test('that founding keys hold from the founding on, for good, root and log apart', () => {
    const view = folded(emptyLaw(), entry(emptyLaw(), 'ledger.founded', founding('root', 'second')));
    const window = { notBefore: NOON, notAfter: null };
    for (const person of ['root', 'second'] as const)
      expect(view.keys.get(idOf(person))).toEqual({ publicKey: publicKey(person), roles: ['root'], window, trustedAt: 0, retiredAt: null });
    expect(view.keys.get(idOf('log'))).toEqual({ publicKey: publicKey('log'), roles: ['log'], window, trustedAt: 0, retiredAt: null });
    expect(keyInForce(view, idOf('root'), BEFORE)).toBeNull();
    expect(keyInForce(view, idOf('root'), AFTER)).not.toBeNull();
  });

  test('what is wrong with a key that is to be trusted or retired', () => {
    const place = here('key.trusted');
    const bad = 'ee'.repeat(32);
    expect(of('key.trusted', trusting('stranger', ['approver'], { publicKey: bad }))).toBe(
      `law.badKey: ${place}the key ${bad} is not admissible (canonical, torsion-free Ed25519)`,
    );
    expect(of('key.trusted', trusting('stranger', ['approver', 'approver']))).toBe(`law.roles: ${place}a role is named twice`);
    expect(of('key.trusted', trusting('stranger', ['runtime', 'approver']))).toBe(
      `law.roles: ${place}a runtime key holds no other role: it must never approve or issue`,
    );
    expect(of('key.trusted', trusting('stranger', ['runtime']))).toBe('accepted');
    expect(of('key.trusted', trusting('stranger', ['approver', 'issuer']))).toBe('accepted');
    const window = (notBefore: string, notAfter: string): Json => ({ notBefore, notAfter });
    expect(of('key.trusted', trusting('stranger', ['approver'], { window: window(NOON, BEFORE) }))).toBe(
      `law.window: ${place}the window ends before it begins`,
    );
    expect(of('key.trusted', trusting('stranger', ['approver'], { window: window(NOON, NOON) }))).toBe('accepted');
    const gone = folded(law, entry(law, 'key.retired', lawBody('key.retired', { key: idOf('approver'), because: '' }, 'root')));
    expect(said(gone, entry(gone, 'key.trusted', trusting('approver', ['approver'])))).toBe(
      `law.retiredKey: law position 7 (key.trusted): key ${idOf('approver')} was retired for good; trust a new key`,
    );
    const retire = (person: Person): Json => lawBody('key.retired', { key: idOf(person), because: '' }, 'root');
    expect(said(gone, entry(gone, 'key.retired', retire('approver')))).toBe(
      `law.retiredKey: law position 7 (key.retired): key ${idOf('approver')} is retired already`,
    );
    expect(of('key.retired', retire('stranger'))).toBe(`law.unknownKey: ${here('key.retired')}key ${idOf('stranger')} was never trusted`);
    expect(of('key.retired', retire('root'))).toBe(
      `law.lastRoot: ${here('key.retired')}it would leave the ledger without a root key; trust another root key first`,
    );
  });

  test('that a second root key lets the first one go, and a retired one holds nothing up', () => {
    const two = folded(law, entry(law, 'key.trusted', trusting('second', ['root'])));
    const retire = (person: Person, by: Person): Json => lawBody('key.retired', { key: idOf(person), because: '' }, by);
    const one = folded(two, entry(two, 'key.retired', retire('root', 'root')));
    expect(one.keys.get(idOf('root'))).toMatchObject({ retiredAt: 7, trustedAt: 0 });
    expect(one.keys.get(idOf('second'))).toMatchObject({ retiredAt: null, trustedAt: 6, roles: ['root'] });
    expect(said(one, entry(one, 'key.retired', retire('second', 'second')))).toMatch(/^law\.lastRoot/);
  });

  test('that nobody but a root key trusts, retires or upgrades, and nobody but root and policy keys adopt', () => {
    const untrusted = (kind: string, members: { [key: string]: Json }, person: Person) =>
      of(kind, lawBody(kind, members, person)).split(':')[0];
    for (const person of ['issuer', 'policy', 'approver', 'runtime', 'log', 'stranger'] as const) {
      expect(untrusted('key.retired', { key: idOf('other'), because: '' }, person)).toBe('law.untrusted');
      expect(untrusted('ledger.upgraded', { registry: 2 }, person)).toBe('law.untrusted');
      if (person === 'policy') continue;
      const bundle = { digest: OTHER, bytes: 1, mediaType: 'application/json' };
      expect(untrusted('policy.adopted', { layer: 'operator', bundle }, person)).toBe('law.untrusted');
    }
  });

  test('that a revoked writ is free only when everybody who revoked it took that back, and keeps no trace of it then', () => {
    const travelling = writId(writOf());
    const speak = (view: LawView, kind: string, by: Person) =>
      folded(view, entry(view, kind, lawBody(kind, { writ: travelling, because: '' }, by)));
    const both = speak(speak(law, 'writ.revoked', 'issuer'), 'writ.revoked', 'other');
    expect([...(both.revoked.get(travelling) ?? [])]).toEqual([idOf('issuer'), idOf('other')]);
    const one = speak(both, 'writ.restored', 'issuer');
    expect([...(one.revoked.get(travelling) ?? [])]).toEqual([idOf('other')]);
    const none = speak(one, 'writ.restored', 'other');
    expect([...none.revoked]).toEqual([]);
    expect([...speak(both, 'writ.restored', 'root').revoked]).toEqual([]);
    expect(both.nonces.size).toBe(law.nonces.size + 2);
  });

  test('whose word it is not, for which ledger, and which nonce was used up where', () => {
    const place = here('key.trusted');
    const members = { publicKey: publicKey('stranger'), roles: ['approver'], window: { notBefore: BEFORE, notAfter: null }, label: '' };
    const by = (...people: Person[]) => of('key.trusted', lawBody('key.trusted', members, ...people));
    expect(by('stranger')).toBe(
      `law.untrusted: ${place}key ${idOf('stranger')} is not trusted at law position 5; a root key has to trust it first`,
    );
    expect(by('other')).toBe(`law.untrusted: ${place}key ${idOf('other')} holds approver, issuer at law position 5; this wants root`);
    expect(by('root', 'root')).toBe(`law.signature: ${place}a key signs once`);
    expect(of('key.trusted', lawBody('key.trusted', { ...members, ledger: OTHER }, 'root'))).toBe(
      `law.ledger: ${place}it is for ledger ${OTHER}, this is ${LEAF}`,
    );
    const body = trusting('stranger', ['approver']);
    const once = folded(law, entry(law, 'key.trusted', body));
    expect(said(once, entry(once, 'key.trusted', body))).toBe(
      'law.nonce: law position 7 (key.trusted): its nonce was used up at law position 6; a body is law once',
    );
    const early = at('2026-04-30T00:00:00.000Z');
    expect(of('writ.revoked', lawBody('writ.revoked', { writ: OTHER, because: '' }, 'issuer'), { at: early })).toBe(
      `law.untrusted: ${here('writ.revoked')}key ${idOf('issuer')} is retired, or ${early} lies outside its window, at law position 5`,
    );
    expect(of('writ.revoked', lawBody('writ.revoked', { writ: OTHER, because: '' }, 'approver'))).toBe(
      `law.untrusted: ${here('writ.revoked')}key ${idOf('approver')} holds approver at law position 5; this wants root or issuer`,
    );
    const torn = JSON.parse(JSON.stringify(lawBody('writ.revoked', { writ: OTHER, because: '' }, 'root'))) as { body: { because: string } };
    torn.body.because = 'another';
    expect(of('writ.revoked', torn as unknown as Json)).toBe(
      `law.signature: ${here('writ.revoked')}the signature of ${idOf('root')} is not over this body`,
    );
  });

  test('what is wrong with a bundle, a writ, a revocation or an upgrade', () => {
    const ref = { digest: digestOf('bundle'), bytes: 3, mediaType: 'application/json' };
    const adopt = (blobs: LawEntry['blobs']) =>
      of('policy.adopted', lawBody('policy.adopted', { layer: 'operator', bundle: ref }, 'policy'), { blobs });
    expect(adopt(new Map())).toBe(`law.blob: ${here('policy.adopted')}the bundle ${ref.digest} is not at hand with its 3 bytes`);
    const swapped = new TextEncoder().encode('{}\n');
    expect(adopt(new Map([[ref.digest, swapped]]))).toMatch(/^law\.blob: /);
    const text = new TextEncoder().encode('{} ');
    const own = { digest: digestOf(text), bytes: 3, mediaType: 'application/json' };
    expect(
      of('policy.adopted', lawBody('policy.adopted', { layer: 'operator', bundle: own }, 'policy'), {
        blobs: new Map([[own.digest, text]]),
      }),
    ).toBe(`law.bundle: ${here('policy.adopted')}the blob ${own.digest} is not a policy bundle in canonical JSON`);
    const good = blobOf({ version: 1, name: 'house', rules: [SILENT] });
    const bundle = { digest: good.digest, bytes: good.bytes.length, mediaType: 'application/json' };
    const both = lawBody('policy.adopted', { layer: 'operator', bundle }, 'policy', 'root');
    const adopted = folded(law, entry(law, 'policy.adopted', both, { blobs: new Map([[good.digest, good.bytes]]) })).adopted;
    expect(adopted).toMatchObject([{ layer: 'operator', digest: good.digest, seq: 6, signers: [idOf('policy'), idOf('root')] }]);
    const issue = (writ: SignedWrit) => of('writ.issued', { writ: { ...writ } });
    const place = here('writ.issued');
    expect(issue(signed(writOf(), 'issuer'))).toBe(
      `law.writ: ${place}the law holds standing root writs only; a run’s writ travels in run.opened`,
    );
    expect(issue(signed(writOf({ use: 'standing', notBefore: AFTER, notAfter: BEFORE }), 'issuer'))).toBe(
      `law.window: ${place}the writ ends before it begins`,
    );
    expect(issue(signed(writOf({ use: 'standing', notBefore: NOON, notAfter: NOON }), 'issuer'))).toBe('accepted');
    expect(issue(signed(writOf({ use: 'standing', issuer: idOf('root') }), 'root'))).toBe('accepted');
    const writ = writOf({ use: 'standing' });
    expect(issue({ body: writ, signatures: [...signed({ ...writ, issuer: idOf('root') }, 'root').signatures] })).toBe(
      `law.signature: ${place}a writ is signed by its issuer and nobody else`,
    );
    const standing = signed(writ, 'issuer');
    const held = folded(law, entry(law, 'writ.issued', { writ: { ...standing } }));
    const speak = (kind: string, by: Person) => said(held, entry(held, kind, lawBody(kind, { writ: writId(writ), because: '' }, by)));
    expect(speak('writ.revoked', 'other')).toBe(
      `law.untrusted: law position 7 (writ.revoked): writ ${writId(writ)} was issued by ${idOf('issuer')}; only that key or a root key revokes it`,
    );
    expect(speak('writ.restored', 'issuer')).toBe(
      `law.notRevoked: law position 7 (writ.restored): no revocation of ${writId(writ)} stands that this key may lift`,
    );
    const upgrade = (registry: number) => of('ledger.upgraded', lawBody('ledger.upgraded', { registry }, 'root'));
    expect(upgrade(1)).toBe(`law.registry: ${here('ledger.upgraded')}the registry only rises; it is 1`);
    expect(upgrade(2)).toBe(`law.registry: ${here('ledger.upgraded')}registry 2 is newer than this reader (1); use a newer version`);
  });
});

describe('a chain is refused', () => {
  const say = (writs: readonly SignedWrit[], more: { law?: LawView; at?: typeof NOON; ledger?: Digest | null } = {}) => {
    const checked = checkChain({ writs, law, at: NOON, ledger: LEAF, ...more });
    return checked.ok ? 'counts' : `${checked.error.code}: ${checked.error.message}`;
  };
  const place = (writ: Writ, index: number) => `writ ${writId(writ)} (place ${index} of the chain): `;
  const child = (above: Writ, changed: Partial<Writ> = {}): Writ =>
    writOf({
      parent: writId(above),
      issuer: above.subject,
      delegation: { depth: above.delegation.depth - 1, maySubdivide: true },
      ...changed,
    });

  test('by its length, where sixteen writs still count', () => {
    expect(say([])).toBe('writ.chainLength: a writ chain has 1 to 16 writs, this one 0');
    const chain: SignedWrit[] = [];
    let last = writOf({ delegation: { depth: 40, maySubdivide: true } });
    for (let length = 1; length <= 17; length++) {
      chain.push(signed(last, length === 1 ? 'issuer' : 'runtime'));
      last = child(last);
    }
    expect(say(chain.slice(0, 16))).toBe('counts');
    expect(say(chain)).toBe('writ.chainLength: a writ chain has 1 to 16 writs, this one 17');
    const checked = checkChain({ writs: chain, law, at: NOON, ledger: LEAF });
    expect(checked).toMatchObject({ error: { index: 0, writ: null, dimension: null } });
  });

  test('by what it says of itself', () => {
    const one = (changed: Partial<Writ>, ledger: Digest | null = LEAF) => {
      const writ = writOf(changed);
      return say([signed(writ, 'issuer')], { ledger }).replace(place(writ, 0), '');
    };
    expect(one({ use: 'standing' })).toBe('writ.use: the last writ of a chain opens a run; a standing writ is only carved from');
    expect(one({ ledger: OTHER })).toBe(`writ.ledger: it is for ledger ${OTHER}, this is ${LEAF}`);
    expect(one({}, null)).toBe(`writ.ledger: it is for ledger ${LEAF}, this is not founded`);
    expect(one({ notBefore: AFTER, notAfter: NOON })).toBe(`writ.window: it ends (${NOON}) before it begins (${AFTER})`);
    expect(one({ notBefore: NOON, notAfter: NOON })).toBe('counts');
    expect(one({ parent: OTHER })).toBe(`writ.parent: it has the parent ${OTHER}, which is not in the chain`);
    expect(one({ subject: idOf('approver') })).toBe(
      `writ.subject: its subject is no runtime key in force (run writs are for an install’s key): key ${idOf('approver')} holds approver at law position 5; this wants runtime`,
    );
    expect(one({ notBefore: AFTER })).toBe(`writ.notYet: it counts from ${AFTER}, now is ${NOON}`);
    expect(one({ notAfter: BEFORE })).toBe(`writ.expired: it counted until ${BEFORE}, now is ${NOON}`);
  });

  test('by what it says of its parent', () => {
    const above = writOf();
    const two = (changed: Partial<Writ>, by: Person = 'runtime') => {
      const below = child(above, changed);
      return say([signed(above, 'issuer'), signed(below, by)]).replace(place(below, 1), '');
    };
    expect(two({})).toBe('counts');
    expect(two({ parent: OTHER })).toBe(`writ.parent: it names the parent ${OTHER}, the chain holds ${writId(above)}`);
    expect(two({ issuer: idOf('issuer') }, 'issuer')).toBe(
      `writ.issuer: its issuer ${idOf('issuer')} is not its parent's subject ${idOf('runtime')}`,
    );
    expect(two({ nonce: above.nonce })).toBe('writ.nonce: its nonce repeats that of an ancestor');
    expect(two({ wallMs: 60_001 })).toBe('writ.widens: it is wider than its parent in wallMs: 60001');
    const standing = child(above, { use: 'standing', delegation: { depth: 1, maySubdivide: true } });
    expect(say([signed(above, 'issuer'), signed(standing, 'runtime'), signed(child(standing), 'runtime')])).toBe(
      `writ.use: ${place(standing, 1)}a standing writ cannot come from a run writ`,
    );
  });

  test('by its signatures, its issuer, its nonce and the law, never for a standing writ below a standing one', () => {
    const writ = writOf();
    const good = signed(writ, 'issuer');
    const [signature] = good.signatures;
    if (signature === undefined) throw new Error('a signed writ has a signature');
    const with_ = (...signatures: SignedWrit['signatures']) => say([{ body: writ, signatures }]).replace(place(writ, 0), '');
    expect(with_()).toBe('writ.signature: a writ carries exactly one signature, its issuer’s');
    expect(with_(signature, signature)).toBe('writ.signature: a writ carries exactly one signature, its issuer’s');
    expect(
      with_({
        ...signature,
        value: `A${signature.value.slice(1)}` === signature.value ? `B${signature.value.slice(1)}` : `A${signature.value.slice(1)}`,
      }),
    ).toBe(`writ.signature: its signature is not its issuer’s (${idOf('issuer')}) over this content`);
    const foreign = writOf({ issuer: idOf('stranger') });
    expect(say([signed(foreign, 'stranger')])).toBe(
      `writ.untrusted: ${place(foreign, 0)}its issuer does not count: key ${idOf('stranger')} is not trusted at law position 5; a root key has to trust it first`,
    );
    const spent = law.nonces.has('1'.padStart(32, '0')) ? '1'.padStart(32, '0') : ZERO;
    const used = writOf({ nonce: spent });
    expect(say([signed(used, 'issuer')])).toBe(`writ.nonce: ${place(used, 0)}its nonce was used up by the law`);
    const top = writOf({ use: 'standing', delegation: { depth: 3, maySubdivide: true } });
    const middle = child(top, { use: 'standing' });
    const run = child(middle);
    const writs = [signed(top, 'issuer'), signed(middle, 'runtime'), signed(run, 'runtime')];
    expect(say(writs)).toBe(`writ.notIssued: ${place(top, 0)}a standing writ counts only once \`writ.issued\` stands in the law`);
    const issued = folded(law, entry(law, 'writ.issued', { writ: { ...(writs[0] ?? good) } }));
    expect(say(writs, { law: issued })).toBe('counts');
    const checked = checkChain({ writs, law: issued, at: NOON, ledger: LEAF });
    expect(checked).toMatchObject({ value: { rootId: writId(top), writs: writs.map(({ body }) => ({ id: writId(body), writ: body })) } });
    // A child of a standing writ spends a nonce of its own, which the law may have used up.
    const again = child(top, { nonce: spent });
    expect(say([writs[0] ?? good, signed(again, 'runtime')], { law: issued })).toMatch(/its nonce was used up by the law$/);
    const revoke = folded(law, entry(law, 'writ.revoked', lawBody('writ.revoked', { writ: writId(writ), because: '' }, 'root')));
    expect(say([good], { law: revoke })).toBe(
      `writ.revoked: ${place(writ, 0)}it was revoked by law position 6, and with it all that descends from it`,
    );
  });

  test('link by link too, whatever its last writ is for', () => {
    const top = signed(writOf({ use: 'standing' }), 'issuer');
    const issued = folded(law, entry(law, 'writ.issued', { writ: { ...top } }));
    expect(checkLinks({ writs: [top], law: issued, at: NOON, ledger: LEAF })).toEqual({ ok: true, value: undefined });
    expect(checkLinks({ writs: [top], law, at: NOON, ledger: LEAF })).toMatchObject({
      ok: false,
      error: { code: 'writ.notIssued', index: 0 },
    });
    const below = signed(child(top.body, { wallMs: 60_001 }), 'runtime');
    expect(checkLinks({ writs: [top, below], law: issued, at: NOON, ledger: LEAF })).toMatchObject({
      ok: false,
      error: { code: 'writ.widens', index: 1, writ: writId(below.body), dimension: 'wallMs' },
    });
  });

  test('by nobody but its issuer: another’s seed signs nothing', () => {
    expect(() => issueWrit({ writ: writOf(), seed: seedOf('root') })).toThrow(
      `the seed belongs to key ${idOf('root')}, the writ names issuer ${idOf('issuer')}`,
    );
  });
});

describe('a vote is refused', () => {
  const TERMS: ApprovalTerms = { roles: ['approver', 'root'], quorum: 1, ttlMs: 1000, minAssurance: 'passphrase', openerMayApprove: false };
  const digest = approvalDigest({ action: 'a', arguments: {}, preImage: null, policySet: digestOf('p'), writ: digestOf('w') });
  const request = { request: digestOf('request'), digest, terms: TERMS, until: AFTER };
  const base = {
    ledger: LEAF,
    run: 'run/1',
    request: request.request,
    decision: 'approve' as const,
    digest,
    expiry: AFTER,
    nonce: ZERO,
    assurance: 'passphrase' as const,
    because: '',
  };
  type Ballot = Parameters<typeof checkVote>[0]['vote'];
  const ballot = (by: Person, changed: Partial<Ballot['body']> = {}): Ballot =>
    signBody({ type: VOTE_TYPE, body: { ...base, ...changed }, seeds: [seedOf(by)] });
  const say = (vote: Ballot, more: Partial<Parameters<typeof checkVote>[0]> = {}) => {
    const checked = checkVote({ vote, request, run: 'run/1', law, at: NOON, opener: idOf('issuer'), ...more });
    return checked.ok ? 'counts' : `${checked.error.code}: ${checked.error.message}`;
  };
  const late = at('2026-07-01T00:00:00.000Z');

  test('in these words', () => {
    expect(say(ballot('approver'))).toBe('counts');
    expect(say(ballot('approver', { ledger: OTHER }))).toBe(`vote.ledger: the vote is for ledger ${OTHER}, this is ${LEAF}`);
    expect(say(ballot('approver', { ledger: OTHER }), { law: { ...law, ledger: null } })).toBe(
      `vote.ledger: the vote is for ledger ${OTHER}, this is not founded`,
    );
    expect(say(ballot('approver', { run: 'run/2' }))).toBe('vote.run: the vote is for run/2, this is run/1');
    expect(say(ballot('approver', { request: OTHER }))).toBe(`vote.request: the vote answers request ${OTHER}, open is ${request.request}`);
    expect(say(ballot('approver', { digest: OTHER }))).toBe(
      'vote.digest: the vote is over other content than the request; look at the request again and vote anew',
    );
    expect(say(ballot('approver'), { at: late })).toBe(`vote.late: votes counted until ${AFTER}, now is ${late}`);
    expect(say(ballot('approver', { expiry: BEFORE }))).toBe(`vote.expired: the vote counted until ${BEFORE}, now is ${NOON}`);
    expect(say(ballot('approver', { expiry: NOON }))).toBe('counts');
    expect(say({ ...ballot('approver'), signatures: [] })).toBe(
      'vote.signature: a vote carries exactly one signature; each approver votes apart',
    );
    expect(say(ballot('stranger'))).toBe(`vote.untrusted: key ${idOf('stranger')} is not in force at law position 5`);
    expect(say(ballot('runtime'))).toBe(`vote.runtimeKey: key ${idOf('runtime')} is a runtime key; a runtime never approves`);
    const both = folded(law, entry(law, 'key.trusted', trusting('stranger', ['policy', 'issuer'])));
    expect(say(ballot('stranger'), { law: both })).toBe(
      `vote.role: key ${idOf('stranger')} holds policy, issuer; this request wants approver or root`,
    );
    expect(say(ballot('approver'), { opener: idOf('approver') })).toBe(
      `vote.opener: key ${idOf('approver')} opened the run; policy wants somebody else to decide`,
    );
    expect(say(ballot('approver', { assurance: 'file' }))).toBe(
      'vote.assurance: the key is held by file; this request wants at least passphrase',
    );
    expect(say({ ...ballot('approver'), body: { ...base, because: 'else' } })).toBe(
      `vote.signature: the signature is not that of key ${idOf('approver')} over this vote`,
    );
  });

  test('by its key before anybody votes, for every assurance that is asked', () => {
    const asked = (assurance: Ballot['body']['assurance'], minAssurance: ApprovalTerms['minAssurance']) =>
      voterProblem({ key: idOf('approver'), assurance }, { terms: { ...TERMS, minAssurance }, law, at: NOON, opener: idOf('issuer') })
        ?.code ?? 'fit';
    const levels = ['file', 'passphrase', 'hardware'] as const;
    const table = levels.map((held) => levels.map((wanted) => asked(held, wanted)));
    const no = 'vote.assurance';
    expect(table).toEqual([
      ['fit', no, no],
      ['fit', 'fit', no],
      ['fit', 'fit', 'fit'],
    ]);
  });
});
