/** Writs: containment, scope, chains at every use, budgets, signatures. */
import { describe, expect, test } from '@jest/globals';
import { digestJson, digestOf, type Instant } from '@openexec/canon';
import type { Effect, SignedWrit, Writ } from '@openexec/protocol';
import fc from 'fast-check';
import {
  addAmount,
  checkChain,
  checkSignature,
  containsWrit,
  fitsBudget,
  issueWrit,
  type LawView,
  runTrajectory,
  scopeOf,
  signBody,
  subtractAmount,
  VOTE_TYPE,
  WRIT_TYPE,
  writId,
} from '../src/index.ts';
import {
  AFTER,
  at,
  BEFORE,
  entry,
  folded,
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

const parent = writOf({ actions: ['run_*', 'read_file'], readPaths: ['src/**'], writePaths: ['src/lib/**'], hosts: ['*.example.org:443'] });
function childOf(changed: Partial<Writ> = {}): Writ {
  return {
    ...parent,
    parent: writId(parent),
    issuer: parent.subject,
    nonce: freshNonce(),
    delegation: { depth: 1, maySubdivide: true },
    ...changed,
  };
}

describe('a child', () => {
  test.each<[string, Partial<Writ>]>([
    ['ledger', { ledger: digestOf('other') }],
    ['tenant', { tenant: 'else' }],
    ['actions', { actions: ['r*'] }],
    ['actions', { actions: ['read_file', 'apply_patch'] }],
    ['ceiling', { ceiling: ['irreversible'] }],
    ['readPaths', { readPaths: ['**'] }],
    ['readPaths', { readPaths: ['src2/**'] }],
    ['writePaths', { writePaths: ['src/**'] }],
    ['hosts', { hosts: ['example.org:443'] }],
    ['hosts', { hosts: ['a.example.org:80'] }],
    ['budget.tokens', { budget: { ...parent.budget, tokens: 1001 } }],
    ['budget.usdMicros', { budget: { ...parent.budget, usdMicros: 1001 } }],
    ['budget.calls', { budget: { ...parent.budget, calls: Number.MAX_SAFE_INTEGER } }],
    ['wallMs', { wallMs: parent.wallMs + 1 }],
    ['window', { notBefore: at('2026-04-30T23:59:59.999Z') }],
    ['window', { notAfter: at('2026-06-01T00:00:00.001Z') }],
    ['delegation.depth', { delegation: { depth: 2, maySubdivide: false } }],
    ['delegation.depth', { delegation: { depth: Number.MAX_SAFE_INTEGER, maySubdivide: false } }],
  ])('is refused when wider in %s: %j', (dimension, changed) => {
    expect(containsWrit(parent, childOf(changed))).toMatchObject({ ok: false, error: { dimension } });
  });
  test('may equal its parent in everything but depth; the read bit counts like the others; a parent that may not subdivide has none', () => {
    expect(containsWrit(parent, childOf())).toEqual({ ok: true, value: undefined });
    expect(containsWrit(parent, childOf({ ceiling: ['pure', 'read'] })).ok).toBe(true);
    expect(containsWrit({ ...parent, ceiling: ['write'] }, childOf({ ceiling: ['read'] }))).toMatchObject({
      ok: false,
      error: { dimension: 'ceiling', value: 'read' },
    });
    const closed = { ...parent, delegation: { depth: 2, maySubdivide: false } };
    expect(containsWrit(closed, childOf())).toMatchObject({ ok: false, error: { dimension: 'delegation.maySubdivide' } });
  });
  test('property: what a contained child covers, its parent covers too', () => {
    const pick = <T>(...values: T[]) => fc.subarray(values, { minLength: 2 });
    const few = <T>(...values: T[]) => fc.subarray(values, { maxLength: 1 });
    const writ = fc.record({
      actions: pick('*', 'run_*', 'run_tests', 'read_file'),
      ceiling: pick<Effect>('pure', 'read', 'write', 'external', 'irreversible'),
      readPaths: pick('**', 'src/**', 'src/a', 'src/lib/**'),
      writePaths: pick('**', 'src/**', 'src/a', 'src/lib/**'),
      hosts: pick('*.b.c:1', '*.c:1', 'a.b.c:1', 'c:1'),
    });
    const request = fc.record({
      action: fc.constantFrom('run_tests', 'run_x', 'read_file', 'other'),
      effect: fc.constantFrom<Effect>('pure', 'read', 'write', 'external', 'irreversible'),
      readPaths: few('src', 'src/a', 'src/lib/x', 'doc'),
      writePaths: few('src', 'src/a', 'src/lib/x', 'doc'),
      hosts: few('a.b.c:1', 'b.c:1', 'c:1', 'a.b.c:2'),
    });
    let met = 0;
    fc.assert(
      fc.property(writ, writ, request, (above, below, asked) => {
        const top = writOf(above);
        const child = { ...writOf(below), delegation: { depth: 1, maySubdivide: false } };
        if (!containsWrit(top, child).ok || !scopeOf(child, asked).ok) return;
        met++;
        expect(scopeOf(top, asked).ok).toBe(true);
      }),
      { numRuns: 5000 },
    );
    expect(met).toBeGreaterThan(50);
  });
});

describe('scope', () => {
  const ask = {
    action: 'run_tests',
    effect: 'write',
    readPaths: ['src/a'],
    writePaths: ['src/lib/b'],
    hosts: ['x.example.org:443'],
  } as const;
  test.each([
    ['action', { action: 'apply_patch' }],
    ['effect', { effect: 'irreversible' }],
    ['readPaths', { readPaths: ['src/a', 'etc/b'] }],
    ['writePaths', { writePaths: ['src/a'] }],
    ['hosts', { hosts: ['example.org:443'] }],
  ] as const)('names %s as what is not covered: %j', (dimension, changed) => {
    expect(scopeOf(parent, { ...ask, ...changed })).toMatchObject({ ok: false, error: { dimension } });
  });
  test('covers what it says; pure needs no bit', () => {
    expect(scopeOf(parent, ask)).toEqual({ ok: true, value: undefined });
    expect(scopeOf({ ...parent, ceiling: [] }, { ...ask, effect: 'pure' }).ok).toBe(true);
    expect(scopeOf({ ...parent, ceiling: ['irreversible'] }, { ...ask, effect: 'write' }).ok).toBe(false);
  });
});

describe('a chain', () => {
  const law = smallLaw();
  const check = (writs: readonly SignedWrit[], view: LawView = law, when: Instant = NOON) =>
    checkChain({ writs, law: view, at: when, ledger: LEAF });
  const codeOf = (...args: Parameters<typeof check>) => {
    const checked = check(...args);
    return checked.ok ? 'counts' : checked.error.code;
  };
  /** A run writ and a child of it, both by the keys that the law trusts. */
  const family = (changed: Partial<Writ> = {}, top: Partial<Writ> = {}) => {
    const above = writOf(top);
    const below = writOf({ parent: writId(above), issuer: above.subject, delegation: { depth: 1, maySubdivide: false }, ...changed });
    return { above, below, writs: [signed(above, 'issuer'), signed(below, 'runtime')] };
  };

  test('of one writ counts, and names its run by issuer and nonce', () => {
    const writ = writOf();
    const checked = check([signed(writ, 'issuer')]);
    expect(checked).toMatchObject({
      ok: true,
      value: { writ, root: writ, writId: writId(writ), run: runTrajectory({ issuer: writ.issuer, nonce: writ.nonce }) },
    });
    const hex = digestJson([writ.issuer, writ.nonce]).slice(7, 39);
    expect(runTrajectory({ issuer: writ.issuer, nonce: writ.nonce })).toBe(`run/${hex}`);
    expect(writId(writ)).not.toBe(writId(writOf()));
  });
  test('of parent and child counts, gives the child, and the same object verdict every time', () => {
    const { above, below, writs } = family();
    expect(check(writs)).toMatchObject({ ok: true, value: { writ: below, root: above } });
    expect(check(writs)).toEqual(check(writs));
    expect(Object.isFrozen(below.budget)).toBe(true);
  });
  test('is refused when anything in it was changed after signing, in any member', () => {
    const good = signed(writOf(), 'issuer');
    const changes: Partial<Writ>[] = [
      { tenant: 'x' },
      { actions: ['a*'] },
      { budget: { tokens: 1001, usdMicros: 0, calls: 0 } },
      { nonce: freshNonce() },
      { wallMs: 1 },
      { hosts: [] },
    ];
    for (const changed of changes)
      expect(codeOf([{ body: { ...good.body, ...changed }, signatures: good.signatures }])).toBe('writ.signature');
    const [signature] = good.signatures;
    if (signature === undefined) throw new Error('a signed writ has a signature');
    expect(codeOf([{ body: good.body, signatures: [signature, signature] }])).toBe('writ.signature');
    expect(codeOf([{ body: good.body, signatures: [{ ...signature, key: idOf('root') }] }])).toBe('writ.signature');
    expect(codeOf([{ ...signBody({ type: VOTE_TYPE, body: good.body, seeds: [seedOf('issuer')] }) }])).toBe('writ.signature');
    expect(codeOf([good])).toBe('counts');
  });
  test('begins with an issuer or root key of the law: nobody else, however well signed', () => {
    expect(codeOf([signed(writOf({ issuer: idOf('root') }), 'root')])).toBe('counts');
    for (const person of ['stranger', 'approver', 'policy', 'runtime', 'log'] as const) {
      expect(codeOf([signed(writOf({ issuer: idOf(person) }), person)])).toBe('writ.untrusted');
    }
    const retired = folded(law, entry(law, 'key.retired', lawBody('key.retired', { key: idOf('issuer'), because: '' }, 'root')));
    const writ = signed(writOf(), 'issuer');
    expect([codeOf([writ], law), codeOf([writ], retired)]).toEqual(['counts', 'writ.untrusted']);
    expect(() => issueWrit({ writ: writOf(), seed: seedOf('root') })).toThrow('issuer');
  });
  test('is linked: child by subject, parent by id, root without parent, root first', () => {
    expect(codeOf(family({ parent: digestOf('x') }).writs)).toBe('writ.parent');
    expect(codeOf(family({ parent: null }).writs)).toBe('writ.parent');
    expect(codeOf(family({}, { parent: digestOf('x') }).writs)).toBe('writ.parent');
    const { above } = family();
    const foreign = writOf({ parent: writId(above), delegation: { depth: 1, maySubdivide: false } });
    expect(codeOf([signed(above, 'issuer'), signed(foreign, 'issuer')])).toBe('writ.issuer');
    expect(codeOf([...family().writs].reverse())).toBe('writ.parent');
    expect(codeOf([])).toBe('writ.chainLength');
    expect(codeOf(Array.from({ length: 17 }, () => signed(writOf(), 'issuer')))).toBe('writ.chainLength');
  });
  test('is for this ledger, by a runtime key, under a fresh nonce', () => {
    expect(codeOf([signed(writOf({ ledger: digestOf('x') }), 'issuer')])).toBe('writ.ledger');
    expect(checkChain({ writs: [signed(writOf(), 'issuer')], law, at: NOON, ledger: null })).toMatchObject({
      ok: false,
      error: { code: 'writ.ledger' },
    });
    expect(codeOf([signed(writOf({ subject: idOf('approver') }), 'issuer')])).toBe('writ.subject');
    const spent = [...Array(100).keys()].map((n) => n.toString(16).padStart(32, '0')).find((nonce) => law.nonces.has(nonce));
    expect(codeOf([signed(writOf({ nonce: spent ?? '' }), 'issuer')])).toBe('writ.nonce');
    const { above } = family();
    expect(codeOf(family({ nonce: above.nonce }, { nonce: above.nonce }).writs)).toBe('writ.nonce');
  });
  test('names the dimension in which a child is wider', () => {
    expect(check(family({ wallMs: 60_001 }).writs)).toMatchObject({
      ok: false,
      error: { code: 'writ.widens', dimension: 'wallMs', index: 1 },
    });
  });
  test('counts within its windows, both ends included, and each ancestor’s', () => {
    const writ = signed(writOf(), 'issuer');
    const when = [at('2026-04-30T23:59:59.999Z'), BEFORE, AFTER, at('2026-06-01T00:00:00.001Z')];
    const open = folded(
      law,
      entry(law, 'key.trusted', trusting('issuer', ['issuer'], { window: { notBefore: at('2020-01-01T00:00:00.000Z'), notAfter: null } })),
    );
    expect(when.map((moment) => codeOf([writ], open, moment))).toEqual(['writ.notYet', 'counts', 'counts', 'writ.expired']);
    expect(codeOf([signed(writOf({ notBefore: AFTER, notAfter: BEFORE }), 'issuer')])).toBe('writ.window');
  });
  test('dies with any revoked ancestor and lives again when restored', () => {
    const { above, writs } = family();
    const say = (view: LawView, kind: string) =>
      folded(view, entry(view, kind, lawBody(kind, { writ: writId(above), because: '' }, 'root')));
    const revoked = say(law, 'writ.revoked');
    const restored = say(revoked, 'writ.restored');
    expect([law, revoked, restored].map((view) => codeOf(writs, view))).toEqual(['counts', 'writ.revoked', 'counts']);
    expect(check(writs, revoked)).toMatchObject({ error: { index: 0 } });
  });
  test('never ends in a standing writ, and a standing root counts only once the law holds it', () => {
    const { above, writs } = family({}, { use: 'standing' });
    expect(codeOf([signed(above, 'issuer')])).toBe('writ.use');
    expect(codeOf(writs)).toBe('writ.notIssued');
    const issued = folded(law, entry(law, 'writ.issued', { writ: { ...(writs[0] ?? signed(above, 'issuer')) } }));
    expect(codeOf(writs, issued)).toBe('counts');
    const run = family();
    const standing = writOf({
      use: 'standing',
      parent: writId(run.below),
      issuer: idOf('runtime'),
      delegation: { depth: 0, maySubdivide: false },
    });
    expect(codeOf([...run.writs, signed(standing, 'runtime'), signed(writOf(), 'issuer')])).toBe('writ.use');
  });
});

describe('budgets', () => {
  const amount = fc.record({ tokens: fc.maxSafeNat(), usdMicros: fc.maxSafeNat(), calls: fc.nat(20) });
  test('property: what fits never exceeds the grant, counted exactly', () => {
    fc.assert(
      fc.property(amount, amount, amount, amount, (grant, settled, reserved, ask) => {
        const exact = (['tokens', 'usdMicros', 'calls'] as const).find(
          (of) => BigInt(settled[of]) + BigInt(reserved[of]) + BigInt(ask[of]) > BigInt(grant[of]),
        );
        const fits = fitsBudget({ grant, settled, reserved, ask });
        expect(fits.ok ? undefined : fits.error.dimension).toBe(exact);
      }),
      { numRuns: 2000 },
    );
  });
  test('property: any interleaving of reserve and settle stays within the grant', () => {
    const grant = { tokens: 100, usdMicros: 100, calls: 5 };
    const small = fc.record({ tokens: fc.nat(60), usdMicros: fc.nat(60), calls: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(fc.record({ ask: small, settle: fc.boolean() }), { maxLength: 30 }), (steps) => {
        let settled = { tokens: 0, usdMicros: 0, calls: 0 };
        let reserved = settled;
        const live: (typeof settled)[] = [];
        for (const { ask, settle } of steps) {
          const first = settle ? live.shift() : undefined;
          if (first !== undefined) {
            reserved = subtractAmount(reserved, first);
            settled = addAmount(settled, first);
          } else if (fitsBudget({ grant, settled, reserved, ask }).ok) {
            reserved = addAmount(reserved, ask);
            live.push(ask);
          }
          const total = addAmount(settled, reserved);
          expect(total.tokens <= 100 && total.usdMicros <= 100 && total.calls <= 5).toBe(true);
        }
      }),
    );
  });
  test('a sum stays at the end of the safe integers; taking more than there is throws', () => {
    const most = { tokens: Number.MAX_SAFE_INTEGER, usdMicros: 0, calls: 0 };
    expect(addAmount(most, most)).toEqual(most);
    expect(() => subtractAmount({ tokens: 1, usdMicros: 1, calls: 0 }, { tokens: 0, usdMicros: 2, calls: 0 })).toThrow('usdMicros');
  });
});

test('a signature names the key that it is checked with', () => {
  const { body, signatures } = signed(writOf(), 'issuer');
  const [signature] = signatures;
  if (signature === undefined) throw new Error('a signed writ has a signature');
  const claim = { type: WRIT_TYPE, body, publicKey: publicKey('issuer'), signature };
  expect(checkSignature(claim)).toBe(true);
  expect(checkSignature({ ...claim, signature: { ...signature, key: idOf('root') } })).toBe(false);
  expect(checkSignature({ ...claim, publicKey: publicKey('root') })).toBe(false);
  expect(checkSignature({ ...claim, publicKey: 'no key' })).toBe(false);
});
