/** The policy language: three-valued operators and connectives, rules, layers, terms, sets. */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { ApprovalTerms, PolicyCondition, PolicyLayerName, PolicyRule } from '@openexec/protocol';
import fc from 'fast-check';
import { compileSet, evaluateSet, type PolicyOutcome, policySetDigest, strictest } from '../src/index.ts';
import { always, missing, never, ORDER, rule, setOf, TERMS, truthOf } from './support.ts';

describe('operators are three-valued', () => {
  test.each<[string, Json | undefined, Json, 'true' | 'false' | 'unknown']>([
    ['eq', 'x', 'x', 'true'],
    ['eq', 'x', 'y', 'false'],
    ['eq', '1', 1, 'unknown'],
    ['eq', { k: [1, { z: null }] }, { k: [1, { z: null }] }, 'true'],
    ['eq', { k: 1 }, { k: 1, l: 2 }, 'false'],
    ['eq', [1], { 0: 1 }, 'unknown'],
    ['eq', 'x', null, 'false'],
    ['eq', null, null, 'true'],
    ['eq', null, 'x', 'unknown'],
    ['eq', undefined, 'x', 'unknown'],
    ['ne', 'x', 'y', 'true'],
    ['ne', undefined, 'y', 'unknown'],
    ['ne', 1, 'y', 'unknown'],
    ['in', 'x', ['w', 'x'], 'true'],
    ['in', 'x', ['w', 1], 'false'],
    ['in', 'x', [1, 2], 'unknown'],
    ['notIn', 'x', ['w'], 'true'],
    ['notIn', undefined, ['w'], 'unknown'],
    ['lt', 1, 2, 'true'],
    ['lt', 1000.5, 1000, 'false'],
    ['ge', 1000.5, 1000, 'true'],
    ['gt', '9', 10, 'unknown'],
    ['le', '2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z', 'true'],
    ['gt', null, 1, 'unknown'],
    ['startsWith', 'openexec/a', 'openexec/', 'true'],
    ['startsWith', 7, 'x', 'unknown'],
    ['endsWith', 'a.pem', '.pem', 'true'],
    ['contains', 'abc', 'b', 'true'],
    ['contains', ['a', 'b'], 'b', 'true'],
    ['contains', ['a', 1], 'b', 'false'],
    ['contains', [], 'b', 'false'],
    ['contains', [1], 'b', 'unknown'],
    ['contains', 5, 'b', 'unknown'],
    ['exists', 'x', true, 'true'],
    ['exists', null, true, 'true'],
    ['exists', undefined, true, 'false'],
    ['exists', undefined, false, 'true'],
    ['under', 'src/a.ts', 'src', 'true'],
    ['under', 'src', 'src', 'true'],
    ['under', 'srcs/a.ts', 'src', 'false'],
    ['under', 'src/../etc', 'src', 'unknown'],
    ['under', '/src/a', 'src', 'unknown'],
    ['under', ['src/a'], 'src', 'unknown'],
    ['under', 'lib/a', ['src', 'lib'], 'true'],
    ['anyUnder', ['a', 'src/b'], 'src', 'true'],
    ['anyUnder', ['a', '../b'], 'src', 'unknown'],
    ['anyUnder', [], 'src', 'false'],
    ['anyUnder', 'src/a', 'src', 'true'],
    ['allUnder', ['src/a', 'src/b'], 'src', 'true'],
    ['allUnder', ['src/a', 'b'], 'src', 'false'],
    ['allUnder', ['src/a', '../b'], 'src', 'unknown'],
    ['allUnder', ['src/a', 1], 'src', 'unknown'],
    ['anyNamed', ['a/.ENV.local'], ['.env*'], 'true'],
    ['anyNamed', ['x/.git/config'], '.git', 'true'],
    ['anyNamed', ['x/.gitignore'], '.git', 'false'],
    ['anyNamed', ['key.pem/readme'], '*.pem', 'true'],
    ['anyNamed', [], '*.pem', 'false'],
    ['anyNamed', ['./key.pem'], '*.pem', 'unknown'],
    ['anyNamed', undefined, '*.pem', 'unknown'],
  ])('%s of %j and %j is %s', (op, actual, value, expected) => {
    const condition = { field: 'f', op, value } as PolicyCondition; // The table holds operators only.
    expect(truthOf(condition, actual === undefined ? {} : { f: actual })).toBe(expected);
  });
  test('a field is an own member: nothing inherited, arrays by index only, text has no members', () => {
    expect(truthOf({ field: 'constructor', op: 'exists', value: true }, {})).toBe('false');
    expect(truthOf({ field: '__proto__.x', op: 'exists', value: true }, {})).toBe('false');
    expect(truthOf({ field: 'l.length', op: 'exists', value: true }, { l: [1] })).toBe('false');
    expect(truthOf({ field: 'l.0.k', op: 'eq', value: 1 }, { l: [{ k: 1 }] })).toBe('true');
    expect(truthOf({ field: 'l.00', op: 'exists', value: true }, { l: [1] })).toBe('false');
    expect(truthOf({ field: 's.0', op: 'exists', value: true }, { s: 'x' })).toBe('false');
  });
});

describe('connectives follow Kleene', () => {
  const atoms = { true: always, false: never, unknown: missing };
  const rank = { false: 0, unknown: 1, true: 2 } as const;
  type Name = keyof typeof atoms;
  const names: readonly Name[] = ['true', 'false', 'unknown'];
  const word = (value: number) => names.find((name) => rank[name] === value);
  const fields = { a: 1 };
  test.each(names.flatMap((left) => names.map((right): [Name, Name] => [left, right])))('%s with %s', (left, right) => {
    const parts = [atoms[left], atoms[right]];
    expect(truthOf({ all: parts }, fields)).toBe(word(Math.min(rank[left], rank[right])));
    expect(truthOf({ any: parts }, fields)).toBe(word(Math.max(rank[left], rank[right])));
    expect(truthOf({ not: atoms[left] }, fields)).toBe(word(2 - rank[left]));
  });
  test('property: De Morgan holds for every nesting, and every unknown truth names a field', () => {
    const leaf = fc.constantFrom(always, never, missing, { field: 'b.c', op: 'lt', value: 3 } as const);
    const { condition } = fc.letrec<{ condition: PolicyCondition }>((tie) => ({
      condition: fc.oneof(
        { maxDepth: 4, depthIdentifier: 'c' },
        leaf,
        fc.record({ not: tie('condition') }),
        fc.record({ all: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ any: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
      ),
    }));
    fc.assert(
      fc.property(fc.array(condition, { minLength: 1, maxLength: 3 }), (parts) => {
        const mirrored: PolicyCondition = { not: { any: parts.map((part) => ({ not: part })) } };
        expect(truthOf({ all: parts }, fields)).toBe(truthOf(mirrored, fields));
        const [trace] = evaluateSet(setOf(['shipped', [rule('r', { all: parts }, 'deny')]]), fields).rules;
        expect(trace?.truth === 'unknown').toBe((trace?.unknown.length ?? 0) > 0);
      }),
    );
  });
});

describe('a rule', () => {
  test('that permits applies only when true; unknown stands in the trace and grants nothing', () => {
    const outcome = evaluateSet(setOf(['shipped', [rule('r', missing, 'permit')]]), {});
    expect(outcome).toMatchObject({ verdict: 'deny', rule: null, layers: [{ layer: 'shipped', verdict: 'noMatch' }] });
    expect(outcome.rules).toEqual([{ layer: 'shipped', rule: 'r', truth: 'unknown', decide: 'permit', unknown: ['nowhere'] }]);
  });
  test.each(['deny', { approve: TERMS }] as const)(
    'that narrows (%j) applies when unknown too, and a guard by name keeps it off',
    (decide) => {
      const permit = rule('p', always, 'permit');
      const open = evaluateSet(setOf(['shipped', [permit, rule('n', missing, decide)]]), { a: 1 });
      expect(open).toMatchObject({ verdict: decide === 'deny' ? 'deny' : 'approve', rule: { layer: 'shipped', rule: 'n' } });
      const guarded = evaluateSet(setOf(['shipped', [permit, rule('n', { all: [never, missing] }, decide)]]), { a: 1 });
      expect(guarded.verdict).toBe('permit');
      expect(guarded.rules.map(({ rule: id }) => id)).toEqual(['p']);
    },
  );
  test('loses to a stricter one of its layer, whatever their order', () => {
    const rules = [rule('p', always, 'permit'), rule('a', always, { approve: TERMS }), rule('d', always, 'deny')];
    for (const order of [rules, [...rules].reverse()]) {
      expect(evaluateSet(setOf(['shipped', order]), { a: 1 })).toMatchObject({
        verdict: 'deny',
        rule: { rule: 'd' },
        because: 'because of d',
        terms: null,
      });
    }
  });
});

describe('layers', () => {
  const permit = rule('p', always, 'permit');
  test('an inner permit grants nothing, an inner silence abstains, an inner deny narrows', () => {
    const inner = evaluateSet(setOf(['shipped', [rule('n', never, 'permit')]], ['project', [permit]]), { a: 1 });
    expect(inner).toMatchObject({ verdict: 'deny', rule: null });
    expect(inner.layers).toMatchObject([
      { layer: 'shipped', verdict: 'noMatch' },
      { layer: 'project', verdict: 'abstain' },
    ]);
    const narrowed = evaluateSet(setOf(['shipped', [permit]], ['project', [rule('d', always, 'deny')]]), { a: 1 });
    expect(narrowed).toMatchObject({ verdict: 'deny', rule: { layer: 'project', rule: 'd' } });
  });
  test('the outermost decides in whatever order the set lists them, and shipped under an organisation only narrows', () => {
    const set = setOf(['project', [permit]], ['shipped', [permit]], ['organisation', [rule('n', never, 'permit')]]);
    expect(evaluateSet(set, { a: 1 })).toMatchObject({
      verdict: 'deny',
      layers: [{ layer: 'organisation', verdict: 'noMatch' }, { verdict: 'abstain' }, { verdict: 'abstain' }],
    });
  });
  test.each<PolicyLayerName>(['project', 'run'])('a set without a deciding layer denies, though %s permits', (layer) => {
    expect(evaluateSet(setOf([layer, [permit]]), { a: 1 })).toMatchObject({
      verdict: 'deny',
      rule: null,
      layers: [{ layer, verdict: 'noMatch' }],
    });
  });

  const anyRule = fc.record({
    when: fc.constantFrom(always, never, missing),
    decide: fc.constantFrom<PolicyRule['decide']>(
      'permit',
      'deny',
      { approve: TERMS },
      { approve: { ...TERMS, quorum: 3, roles: ['policy', 'approver'] } },
      { approve: { ...TERMS, roles: ['root'], openerMayApprove: false } },
    ),
  });
  const anyRules = fc
    .array(anyRule, { minLength: 1, maxLength: 4 })
    .map((rules) => rules.map(({ when, decide }, at) => rule(`r${at}`, when, decide)));
  const noWider = (inner: PolicyOutcome, outer: PolicyOutcome) => {
    expect(ORDER[inner.verdict]).toBeGreaterThanOrEqual(ORDER[outer.verdict]);
    if (inner.terms === null || outer.terms === null) return;
    expect(inner.terms.quorum).toBeGreaterThanOrEqual(outer.terms.quorum);
    expect(inner.terms.ttlMs).toBeLessThanOrEqual(outer.terms.ttlMs);
    expect(outer.terms.roles).toEqual(expect.arrayContaining(inner.terms.roles));
    expect(Number(inner.terms.openerMayApprove)).toBeLessThanOrEqual(Number(outer.terms.openerMayApprove));
  };
  test('property: adding an inner layer never widens, in verdict or terms', () => {
    fc.assert(
      fc.property(anyRules, anyRules, anyRules, (outer, inner, innermost) => {
        const base = evaluateSet(setOf(['operator', outer], ['project', inner]), { a: 1 });
        noWider(base, evaluateSet(setOf(['operator', outer]), { a: 1 }));
        noWider(evaluateSet(setOf(['operator', outer], ['project', inner], ['run', innermost]), { a: 1 }), base);
      }),
    );
  });
  test('property: the strictest of two outcomes is no wider than either, and keeps both traces', () => {
    fc.assert(
      fc.property(anyRules, anyRules, (left, right) => {
        const a = evaluateSet(setOf(['shipped', left]), { a: 1 });
        const b = evaluateSet(setOf(['organisation', right]), { a: 1 });
        const both = strictest(a, b);
        noWider(both, a);
        noWider(both, b);
        expect(both.rules).toEqual([...a.rules, ...b.rules]);
        expect(both.layers).toHaveLength(2);
      }),
    );
  });
  test('approvals of several rules join to the strictest terms, and to a deny where no role could satisfy all', () => {
    const hard: ApprovalTerms = { roles: ['root', 'approver'], quorum: 2, ttlMs: 5000, minAssurance: 'hardware', openerMayApprove: false };
    const joined = evaluateSet(
      setOf(['shipped', [rule('a', always, { approve: TERMS }), permit]], ['run', [rule('b', always, { approve: hard })]]),
      { a: 1 },
    );
    expect(joined).toMatchObject({ verdict: 'approve', rule: { layer: 'shipped', rule: 'a' } });
    expect(joined.terms).toEqual({ roles: ['approver'], quorum: 2, ttlMs: 1000, minAssurance: 'hardware', openerMayApprove: false });
    const impossible = evaluateSet(
      setOf(['shipped', [rule('a', always, { approve: TERMS }), rule('b', always, { approve: { ...TERMS, roles: ['root'] } })]]),
      { a: 1 },
    );
    expect(impossible).toMatchObject({ verdict: 'deny', because: expect.stringContaining('no approver role in common') });
  });
});

test('a set is compiled once and frozen, and its digest covers everything it says', () => {
  const set = setOf(['shipped', [rule('p', always, 'permit')]]);
  const digest = policySetDigest(set);
  expect(compileSet(set)).toBe(compileSet(set));
  expect(() => {
    const layer = set.layers[0];
    if (layer !== undefined) layer.bundle.rules = [];
  }).toThrow('read only');
  expect(policySetDigest(setOf(['shipped', [rule('p', always, 'permit')]]))).toBe(digest);
  const reworded = setOf(['shipped', [{ ...rule('p', always, 'permit'), because: 'something else' }]]);
  expect(policySetDigest(reworded)).not.toBe(digest);
});
