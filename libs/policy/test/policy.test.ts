/** The policy language: three-valued operators and connectives, layers, terms, refusals of bundles, and the shipped policy. */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { ApprovalTerms, PolicyCondition, PolicyLayerName, PolicyRule, PolicySet } from '@openexec/protocol';
import fc from 'fast-check';
import {
  checkBundle,
  compileSet,
  evaluateSet,
  explain,
  type PolicyOutcome,
  policySetDigest,
  readBundle,
  REGULATED,
  SOLO,
  strictest,
  testBundle,
} from '../src/index.ts';

type Layer = [layer: PolicyLayerName, rules: readonly PolicyRule[]];
const TERMS: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: 1000, minAssurance: 'file', openerMayApprove: true };
const ORDER = { permit: 0, approve: 1, deny: 2 };

function rule(id: string, when: PolicyCondition, decide: PolicyRule['decide']): PolicyRule {
  return { id, when, decide, because: `because of ${id}`, examples: { match: [{}], noMatch: [{}] } };
}
function setOf(...layers: Layer[]): PolicySet {
  const bundles = layers.map(([layer, rules]) => ({
    layer,
    bundle: { version: 1 as const, name: 'sample', rules: [...rules] },
    source: 'test',
  }));
  return { layers: bundles, riskThreshold: 'high' };
}
const always: PolicyCondition = { field: 'a', op: 'exists', value: true };
const missing: PolicyCondition = { field: 'nowhere', op: 'eq', value: 1 };
const never: PolicyCondition = { field: 'a', op: 'exists', value: false };

/** The truth of a condition, read off three sets: a permit applies only when true, a deny when true or unknown. */
function truthOf(when: PolicyCondition, fields: Json): 'true' | 'false' | 'unknown' {
  return evaluateSet(setOf(['shipped', [rule('r', when, 'deny')]]), fields).rules[0]?.truth ?? 'false';
}

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
    expect(inner.layers).toEqual([
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

describe('a bundle is refused', () => {
  const good: PolicyRule = {
    id: 'r',
    when: { field: 'action.name', op: 'eq', value: 'apply_patch' },
    decide: 'permit',
    because: 'it may',
    examples: { match: [{ action: { name: 'apply_patch' } }], noMatch: [{ action: { name: 'shell' } }] },
  };
  const bundle = (changed: { [key: string]: unknown }): Json => ({ version: 1, name: 'b', rules: [{ ...good, ...changed }] });
  const when = (condition: unknown) => bundle({ when: condition });
  const named = { action: { name: 'apply_patch' } };
  test.each<[string, Json, string, readonly (string | number)[], string]>([
    ['for an unknown top key', { version: 1, name: 'b', rules: [good], rule: [] }, 'policy.unknownKey', ['rule'], 'unknown key rule'],
    ['for an unknown rule key', bundle({ wen: 1 }), 'policy.unknownKey', ['rules', 0, 'wen'], 'unknown key wen'],
    [
      'for an unknown operator',
      when({ field: 'action.name', op: 'equals', value: 1 }),
      'policy.unknownOperator',
      ['rules', 0, 'when', 'op'],
      'unknown operator equals',
    ],
    [
      'for a mistyped operator',
      when({ all: [{ field: 'action.name', op: 'startWith', value: 'a' }] }),
      'policy.unknownOperator',
      ['rules', 0, 'when', 'all', 0, 'op'],
      'did you mean startsWith?',
    ],
    ['for a condition of two shapes', when({ all: [], any: [] }), 'policy.malformed', ['rules', 0, 'when'], 'one of all, any, not'],
    ['for an extra key in a condition', when({ not: good.when, or: 1 }), 'policy.unknownKey', ['rules', 0, 'when', 'or'], 'unknown key or'],
    ['for a missing value', when({ field: 'action.name', op: 'eq' }), 'policy.malformed', ['rules', 0, 'when'], 'value is missing'],
    [
      'for an unknown field',
      when({ field: 'actoin.name', op: 'eq', value: 'a' }),
      'policy.unknownField',
      ['rules', 0, 'when', 'field'],
      'did you mean action?',
    ],
    [
      'for an unknown member',
      when({ field: 'action.nmae', op: 'eq', value: 'a' }),
      'policy.unknownField',
      ['rules', 0, 'when', 'field'],
      'did you mean name?',
    ],
    [
      "for a model's claim",
      when({ field: 'intent.claims.claimedRisk', op: 'eq', value: 'low' }),
      'policy.claim',
      ['rules', 0, 'when', 'field'],
      'decides nothing',
    ],
    [
      'for an empty list',
      when({ field: 'action.name', op: 'in', value: [] }),
      'policy.value',
      ['rules', 0, 'when', 'value'],
      'at least one',
    ],
    [
      'for a pattern where a directory is meant',
      when({ field: 'paths.write', op: 'anyUnder', value: '../x' }),
      'policy.value',
      ['rules', 0, 'when', 'value'],
      'directory',
    ],
    [
      'for a name pattern with two stars',
      when({ field: 'paths.write', op: 'anyNamed', value: '*a*b' }),
      'policy.value',
      ['rules', 0, 'when', 'value'],
      'prefix*',
    ],
    [
      'for a comparison with a list',
      when({ field: 'stage.visit', op: 'lt', value: [1] }),
      'policy.value',
      ['rules', 0, 'when', 'value'],
      'number or a text',
    ],
    ['for an unknown decision', bundle({ decide: 'allow' }), 'policy.malformed', ['rules', 0, 'decide'], 'decide is permit, deny'],
    [
      'for an approval by a runtime key',
      bundle({ decide: { approve: { ...TERMS, roles: ['runtime'] } } }),
      'policy.terms',
      ['rules', 0, 'decide', 'approve', 'roles'],
      'never approves',
    ],
    [
      'for an approval without time',
      bundle({ decide: { approve: { ...TERMS, ttlMs: 0 } } }),
      'policy.terms',
      ['rules', 0, 'decide', 'approve', 'ttlMs'],
      'no time',
    ],
    [
      'for an example that does not match',
      bundle({ examples: { match: [named, { action: { name: 'x' } }], noMatch: [{ action: { name: 'y' } }] } }),
      'policy.example',
      ['rules', 0, 'examples', 'match', 1],
      'does not match',
    ],
    [
      'for an example that matches by what is missing',
      bundle({ decide: 'deny', examples: { match: [{}], noMatch: [{ action: { name: 'y' } }] } }),
      'policy.example',
      ['rules', 0, 'examples', 'match', 0],
      'unknown: action.name',
    ],
    [
      'for a counter-example that sets it off',
      bundle({ examples: { match: [named], noMatch: [named] } }),
      'policy.example',
      ['rules', 0, 'examples', 'noMatch', 0],
      'all the same',
    ],
    [
      'for a counter-example that a deny meets by what is missing',
      bundle({ decide: 'deny', examples: { match: [named], noMatch: [{}] } }),
      'policy.example',
      ['rules', 0, 'examples', 'noMatch', 0],
      'unknown: action.name',
    ],
    [
      'for a missing example',
      bundle({ examples: { match: [named], noMatch: [] } }),
      'policy.malformed',
      ['rules', 0, 'examples', 'noMatch'],
      'noMatch',
    ],
  ])('%s', (_, json, code, path, said) => {
    const checked = checkBundle(json);
    expect(checked.ok ? [] : checked.error).toContainEqual({ code, path, message: expect.stringContaining(said) });
  });
  test('for two rules of one id; and accepted as it stands otherwise', () => {
    expect(checkBundle(bundle({}))).toEqual({ ok: true, value: { version: 1, name: 'b', rules: [good] } });
    const twice = checkBundle({ version: 1, name: 'b', rules: [good, good] });
    expect(twice).toMatchObject({ ok: false, error: [{ code: 'policy.duplicateRule', path: ['rules', 1, 'id'] }] });
  });
  test('property: whatever JSON comes, it is accepted or refused with a path, never thrown', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('when', 'decide', 'examples', 'id'), (value, key) => {
        const checked = checkBundle(bundle({ [key]: value }));
        expect(checked.ok || checked.error.length > 0).toBe(true);
      }),
    );
  });
});

describe('the shipped policy solo', () => {
  const SET: PolicySet = { layers: [{ layer: 'shipped', bundle: SOLO, source: 'shipped' }], riskThreshold: 'high' };
  const ask = (name: string, effect: string, more: { read?: string[]; write?: string[]; change?: string[]; args?: Json } = {}) =>
    evaluateSet(SET, {
      action: { name, effect },
      arguments: more.args ?? {},
      paths: { read: more.read ?? [], write: more.write ?? [] },
      change: { paths: more.change ?? [], autoRun: false },
    });
  test('passes its own check', () => {
    const checked = checkBundle(JSON.parse(JSON.stringify(SOLO)) as Json);
    expect(checked.ok ? [] : checked.error).toEqual([]);
  });
  test.each([
    ['read_file', 'read', { read: ['src/a.ts'] }, 'permit', 'permit-reading'],
    ['search', 'read', {}, 'permit', 'permit-reading'],
    ['read_file', 'read', { read: ['.env.production'] }, 'deny', 'deny-secret-reads'],
    ['read_file', 'read', { read: ['home/ID_RSA'] }, 'deny', 'deny-secret-reads'],
    ['apply_patch', 'write', { write: ['src/a.ts'] }, 'permit', 'permit-workspace-work'],
    ['apply_patch', 'write', { write: ['src/a.ts', '.husky/pre-commit'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['package.json'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['CLAUDE.md'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['certs/ca.pem'] }, 'approve', 'ask-secret-writes'],
    ['run_tests', 'write', {}, 'permit', 'permit-workspace-work'],
    ['model.ask', 'external', {}, 'permit', 'permit-model'],
    ['commit_changes', 'external', { change: ['src/a.ts'] }, 'permit', 'permit-commit'],
    ['commit_changes', 'external', { change: ['.github/workflows/x.yml'] }, 'approve', 'ask-commit'],
    ['commit_changes', 'external', { change: ['src/a.ts'], args: { branch: 'main' } }, 'approve', 'ask-commit'],
    ['commit_changes', 'external', { change: ['src/a.ts'], args: { branch: 'openexec/x' } }, 'permit', 'permit-commit'],
    ['shell_exec', 'write', {}, 'deny', null],
    ['http_request', 'external', {}, 'deny', null],
  ] as const)('%s (%s) %j: %s', (name, effect, more, verdict, id) => {
    const outcome = ask(name, effect, { ...more } as Parameters<typeof ask>[2]);
    expect(outcome.verdict).toBe(verdict);
    expect(outcome.rule?.rule ?? null).toBe(id);
  });
  test('asks rather than permits when it cannot see what a commit changes', () => {
    const outcome = evaluateSet(SET, {
      action: { name: 'commit_changes', effect: 'external' },
      arguments: {},
      paths: { read: [], write: [] },
    });
    expect(outcome.verdict).toBe('approve');
    expect(outcome.rules.find(({ rule: id }) => id === 'ask-commit')?.unknown).toEqual(['change.autoRun', 'change.paths']);
    expect(explain(outcome)).toContain('rule shipped/ask-commit: unknown (unknown: change.autoRun, change.paths), says approve');
  });
  test('explains a denial without a rule', () => {
    expect(explain(ask('shell_exec', 'write'))[0]).toBe(
      'deny by no rule: no rule of shipped/solo, the outermost layer, permits it; what is not permitted is denied',
    );
  });
});

describe('the shipped policy regulated', () => {
  const setFor = (bundle: typeof SOLO): PolicySet => ({ layers: [{ layer: 'shipped', bundle, source: 'shipped' }], riskThreshold: 'high' });
  const NONE = { read: [], write: [] };
  const TWO = { quorum: 2, minAssurance: 'passphrase', openerMayApprove: false, roles: ['approver'] };

  test('passes its own check', () => {
    const checked = checkBundle(JSON.parse(JSON.stringify(REGULATED)) as Json);
    expect(checked.ok ? [] : checked.error).toEqual([]);
  });
  test('asks two others wherever it asks, and about every landing and every gate', () => {
    const terms = REGULATED.rules.flatMap(({ decide }) => (typeof decide === 'string' ? [] : [decide.approve]));
    expect(terms).toEqual(terms.map(() => expect.objectContaining(TWO)));
    expect(terms.length).toBeGreaterThan(3);
    for (const fields of [
      {
        action: { name: 'commit_changes', effect: 'external' },
        arguments: {},
        change: { paths: ['src/a.ts'], autoRun: false },
        paths: NONE,
        hosts: [],
      },
      { action: { name: 'approval.gate', effect: 'pure' }, paths: NONE, hosts: [] },
      { action: { name: 'apply_patch', effect: 'write' }, paths: { read: [], write: ['package.json'] }, hosts: [] },
    ])
      expect(evaluateSet(setFor(REGULATED), fields)).toMatchObject({ verdict: 'approve', terms: TWO });
  });
  test('lets nothing but the question to a model reach the network', () => {
    for (const effect of ['external', 'irreversible', 'write', 'read'])
      expect(evaluateSet(setFor(REGULATED), { action: { name: 'fetch', effect }, hosts: ['example.org:443'] })).toMatchObject({
        verdict: 'deny',
        rule: { rule: 'deny-network' },
      });
    expect(
      evaluateSet(setFor(REGULATED), { action: { name: 'model.ask', effect: 'external' }, paths: NONE, hosts: ['a.example:443'] }).verdict,
    ).toBe('permit');
  });
  test('is nowhere laxer than solo, whatever is asked', () => {
    const fields = fc.record({
      action: fc.record({
        name: fc.constantFrom('read_file', 'apply_patch', 'run_tests', 'commit_changes', 'model.ask', 'approval.gate', 'shell_exec'),
        effect: fc.constantFrom('pure', 'read', 'write', 'external', 'irreversible'),
      }),
      arguments: fc.record({ branch: fc.constantFrom('main', 'openexec/a') }, { requiredKeys: [] }),
      paths: fc.record({
        read: fc.subarray(['src/a.ts', '.env', 'keys/id_rsa']),
        write: fc.subarray(['src/a.ts', 'package.json', '.env', '.husky/x']),
      }),
      change: fc.record({ paths: fc.subarray(['src/a.ts', '.github/x.yml']), autoRun: fc.boolean() }),
      hosts: fc.subarray(['example.org:443']),
    });
    fc.assert(
      fc.property(fields, (given) => {
        const [strict, lax] = [evaluateSet(setFor(REGULATED), given), evaluateSet(setFor(SOLO), given)];
        expect(ORDER[strict.verdict]).toBeGreaterThanOrEqual(ORDER[lax.verdict]);
      }),
    );
  });
});

describe('the examples of a bundle', () => {
  const example = (when: PolicyCondition, examples: PolicyRule['examples'], decide: PolicyRule['decide'] = 'deny') => ({
    version: 1 as const,
    name: 'sample',
    rules: [
      { id: 'first', when, decide, because: 'b', examples },
      {
        id: 'second',
        when: { field: 'action.name', op: 'startsWith' as const, value: 'x' },
        decide: 'deny' as const,
        because: 'b',
        examples: { match: [{ action: { name: 'x' } }], noMatch: [{ action: { name: 'y' } }] },
      },
    ],
  });
  const isX: PolicyCondition = { field: 'action.name', op: 'eq', value: 'x' };

  test('tell which rules each of them set off, and what the bundle says in all', () => {
    const outcomes = testBundle(example(isX, { match: [{ action: { name: 'x' } }], noMatch: [{ action: { name: 'xy' } }] }));
    expect(outcomes.map(({ rule: id, list, at, truth, verdict, problem }) => [id, list, at, truth, verdict, problem])).toEqual([
      ['first', 'match', 0, 'true', 'deny', null],
      ['first', 'noMatch', 0, 'false', 'deny', null],
      ['second', 'match', 0, 'true', 'deny', null],
      ['second', 'noMatch', 0, 'false', 'deny', null],
    ]);
    expect(outcomes[0]?.hits.map(({ rule: id }) => id)).toEqual(['first', 'second']);
    expect(outcomes[1]?.hits.map(({ rule: id }) => id)).toEqual(['second']);
  });
  test('that do not come out are each a problem, and the bundle is readable all the same', () => {
    const broken = example(isX, { match: [{ action: { name: 'y' } }, {}], noMatch: [{ action: { name: 'x' } }, {}] });
    const failed = testBundle(broken).flatMap(({ problem }) => (problem === null ? [] : [problem.message]));
    expect(failed).toEqual([
      'rule first: example match.0 does not match the rule',
      'rule first: example match.1 does not match the rule; unknown: action.name',
      'rule first: example noMatch.0 sets the rule off all the same',
      'rule first: example noMatch.1 sets the rule off all the same; unknown: action.name',
    ]);
    const json = JSON.parse(JSON.stringify(broken)) as Json;
    expect(readBundle(json).ok).toBe(true);
    const checked = checkBundle(json);
    expect(checked.ok ? [] : checked.error.map(({ message }) => message)).toEqual(failed);
  });
});
