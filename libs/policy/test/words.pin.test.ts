/**
 * What people read of a policy, word for word: an outcome as lines, why it is so, and a draft as it is handed to them; and the list of fields that a
 * rule may ask about. PROTOCOL §7.
 */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { PolicyBundle, PolicyCondition, PolicyRule } from '@openexec/protocol';
import {
  anyNamed,
  checkBundle,
  draftBundle,
  evaluateSet,
  explain,
  joinTerms,
  POLICY_FIELDS,
  testBundle,
  why,
  whyLines,
} from '../src/index.ts';
import { always, missing, never, rule, setOf, TERMS, truthOf } from './support.ts';

test('the fields that a rule may ask about', () => {
  expect(POLICY_FIELDS).toEqual({
    intent: ['author'],
    arguments: null,
    action: ['name', 'effect', 'risk', 'idempotence', 'compensable'],
    paths: ['read', 'write', 'autoRun'],
    change: ['paths', 'autoRun'],
    hosts: null,
    writ: null,
    world: null,
    spend: ['settled', 'reserved', 'grant'],
    run: ['id', 'blueprint', 'base', 'opener'],
    stage: ['id', 'visit', 'type', 'sandbox'],
    actor: ['author'],
    time: ['at'],
    model: ['provider', 'model', 'host'],
  });
});

describe('a field is looked up', () => {
  const has = (field: string, fields: Json) => truthOf({ field, op: 'exists', value: true }, fields);
  test('through own members, and in lists by canonical indexes alone', () => {
    const list = Array.from({ length: 120 }, (_, at) => at);
    expect(['l.0', 'l.9', 'l.10', 'l.99', 'l.119'].map((field) => has(field, { l: list }))).toEqual(Array(5).fill('true'));
    const odd = Object.assign([1], { x1: 1, '1x': 1, '-0': 1, '1.5': 1 });
    expect(['l.x1', 'l.1x', 'l.-0', 'l.1', 'l.01'].map((field) => has(field, { l: odd }))).toEqual(Array(5).fill('false'));
    expect(has('a.b', { a: null })).toBe('false');
    expect(has('a.b', { a: { b: null } })).toBe('true');
  });
});

describe('operators', () => {
  const is = (op: string, actual: Json, value: Json) => truthOf({ field: 'f', op, value } as PolicyCondition, { f: actual });
  test('that order take equals where they say so, for numbers and for texts', () => {
    const table = (['lt', 'le', 'gt', 'ge'] as const).map((op) => [1, 2, 3].map((actual) => is(op, actual, 2)));
    const texts = (['lt', 'le', 'gt', 'ge'] as const).map((op) => ['a', 'b', 'c'].map((actual) => is(op, actual, 'b')));
    expect(table).toEqual([
      ['true', 'false', 'false'],
      ['true', 'true', 'false'],
      ['false', 'false', 'true'],
      ['false', 'true', 'true'],
    ]);
    expect(texts).toEqual(table);
    expect([is('lt', 'a', 1), is('lt', 1, 'a'), is('ge', null, null), is('le', [1], [1])]).toEqual(Array(4).fill('unknown'));
  });
  test('on texts are unknown for anything else, on either side', () => {
    expect([is('startsWith', 'a', 'ab'), is('endsWith', 'ab', 'a'), is('contains', 'ab', 'c')]).toEqual(Array(3).fill('false'));
    expect([is('endsWith', 1, 'a'), is('endsWith', 'a', 1), is('contains', null, 'a'), is('contains', 'a', 1)]).toEqual(
      Array(4).fill('unknown'),
    );
  });
  test('of membership and equality compare whole values of one type', () => {
    expect([is('in', 1, ['x', 1]), is('in', true, [false, true]), is('in', [1], [[1]])]).toEqual(Array(3).fill('true'));
    // A field that is not there answers no question, also not the question whether it is null.
    const absent = (op: string, value: Json) => truthOf({ field: 'gone', op, value } as PolicyCondition, { f: 1 });
    expect([absent('eq', null), absent('ne', null), absent('in', [null]), absent('notIn', [null, 1]), absent('contains', null)]).toEqual(
      Array(5).fill('unknown'),
    );
    expect([is('eq', null, 1), is('ne', null, 1), is('eq', 1, null)]).toEqual(['unknown', 'unknown', 'false']);
    expect([is('in', 2, [1]), is('in', null, [null, 1]), is('notIn', 1, [1]), is('notIn', 'x', [1])]).toEqual([
      'false',
      'true',
      'false',
      'unknown',
    ]);
    expect([is('in', 1, ['x']), is('in', null, ['x']), is('in', 'x', [])]).toEqual(['unknown', 'unknown', 'false']);
    expect([is('eq', { a: null }, { a: null }), is('eq', { a: null }, { a: {} }), is('eq', { a: {} }, { a: null })]).toEqual([
      'true',
      'false',
      'false',
    ]);
    expect([is('eq', { a: 1 }, { b: 1 }), is('eq', { a: [1] }, { a: { 0: 1 } }), is('eq', { a: 1 }, { a: 'x' })]).toEqual(
      Array(3).fill('false'),
    );
    expect([is('eq', [1, 2], [1]), is('eq', [1], [1, 2]), is('eq', [], {})]).toEqual(['false', 'false', 'unknown']);
    expect([is('contains', [[1], [2]], [2]), is('contains', [{ a: 1 }], { a: 2 }), is('contains', [null], null)]).toEqual([
      'true',
      'false',
      'true',
    ]);
  });
  test('on paths take no path that climbs, ends early or could be read in two ways', () => {
    for (const path of ['/src/a', '../src', 'src/..', 'src/../a', './src', 'src/.', 'src//a', 'src/', '', '.', '..', 'src/a\0'])
      expect([path, is('under', path, 'src'), is('anyNamed', path, 'src')]).toEqual([path, 'unknown', 'unknown']);
    for (const path of ['src/...', 'src/.a', 'src/..a', 'src/a\nb', 'src'])
      expect([path, is('under', path, 'src')]).toEqual([path, 'true']);
    expect([is('under', 'src/a', ['lib']), is('under', 'lib', ['src', 'lib']), is('under', 7, 'src')]).toEqual([
      'false',
      'true',
      'unknown',
    ]);
    expect([is('anyUnder', ['../x', 'src/a'], 'src'), is('anyUnder', ['lib/a'], 'src'), is('anyUnder', 7, 'src')]).toEqual([
      'true',
      'false',
      'unknown',
    ]);
    expect([is('allUnder', [], 'src'), is('allUnder', ['../x', 'lib'], 'src'), is('allUnder', [7], 'src')]).toEqual([
      'true',
      'false',
      'unknown',
    ]);
  });
  test('on names take the whole of a segment, its beginning or its end, in either case', () => {
    expect([is('anyNamed', 'a/KEY.PEM', '*.pem'), is('anyNamed', 'a/key.pem', '*.PEM'), is('anyNamed', 'a/.ENV', '.env')]).toEqual(
      Array(3).fill('true'),
    );
    expect([is('anyNamed', 'a/b.pem.txt', '*.pem'), is('anyNamed', 'a/x.env', '.env*'), is('anyNamed', 'a/xb', 'b')]).toEqual(
      Array(3).fill('false'),
    );
    expect([is('anyNamed', ['a', '../b', 'c/.env'], '.env'), is('anyNamed', ['a', '../b'], '.env')]).toEqual(['true', 'unknown']);
    expect([anyNamed(['a'], []), anyNamed([], ['a']), anyNamed(['x/a'], ['a']), anyNamed(['../x'], ['a']), anyNamed(['x'], ['a'])]).toEqual(
      [false, false, true, true, false],
    );
  });
});

describe('an outcome in words', () => {
  test('names its rule, its terms, its layers and its trace', () => {
    const outcome = evaluateSet(
      setOf(
        [
          'shipped',
          [
            rule('p', always, 'permit'),
            rule('u', missing, 'permit'),
            rule('d', { any: [missing, { field: 'b.c', op: 'eq', value: 1 }] }, { approve: { ...TERMS, roles: ['approver', 'root'] } }),
          ],
        ],
        ['project', [rule('n', never, 'deny')]],
      ),
      { a: 1 },
    );
    expect(explain(outcome)).toEqual([
      'approve by shipped/d: because of d',
      'approval: 1 of approver or root, key held by file or better, within 1000 ms, the opener may approve',
      'layer shipped: approve',
      'layer project: abstain',
      'rule shipped/p: true, says permit',
      'rule shipped/u: unknown (unknown: nowhere), says permit, not applied',
      'rule shipped/d: unknown (unknown: nowhere, b.c), says approve',
    ]);
    expect(explain(outcome, ({ layer, rule: id }) => (id === 'p' ? `${layer} of ${id}` : null)).slice(4, 6)).toEqual([
      'rule shipped/p: true, says permit (shipped of p)',
      'rule shipped/u: unknown (unknown: nowhere), says permit, not applied',
    ]);
  });
  test('says where nothing decided, and where the opener may not approve', () => {
    expect(explain(evaluateSet(setOf(['operator', []]), {}))).toEqual([
      'deny by no rule: no rule of operator/sample, the outermost layer, permits it; what is not permitted is denied',
      'layer operator: noMatch',
    ]);
    const asked = evaluateSet(setOf(['operator', [rule('a', always, { approve: { ...TERMS, openerMayApprove: false, quorum: 3 } })]]), {
      a: 1,
    });
    expect(explain(asked)[1]).toBe('approval: 3 of approver, key held by file or better, within 1000 ms, the opener may not approve');
  });
});

describe('terms that are joined', () => {
  const also = {
    roles: ['root' as const, 'approver' as const],
    quorum: 2,
    ttlMs: 500,
    minAssurance: 'hardware' as const,
    openerMayApprove: false,
  };
  test('are the strictest of each, and none where no role is common or nothing is asked', () => {
    expect(joinTerms([TERMS, also])).toEqual({
      roles: ['approver'],
      quorum: 2,
      ttlMs: 500,
      minAssurance: 'hardware',
      openerMayApprove: false,
    });
    expect(joinTerms([also, TERMS])).toEqual({
      roles: ['approver'],
      quorum: 2,
      ttlMs: 500,
      minAssurance: 'hardware',
      openerMayApprove: false,
    });
    expect(joinTerms([also, { ...also, minAssurance: 'passphrase' }])?.minAssurance).toBe('hardware');
    expect(joinTerms([TERMS, { ...TERMS, minAssurance: 'passphrase' }])?.minAssurance).toBe('passphrase');
    expect(joinTerms([TERMS])).toEqual(TERMS);
    expect(joinTerms([TERMS, { ...TERMS, roles: ['root'] }])).toBeNull();
    expect(joinTerms([])).toBeNull();
  });
  test('within a layer and between layers, where one rule alone asks, are its own; a refusal asks nothing', () => {
    const hard = { ...TERMS, quorum: 5 };
    const asked = evaluateSet(
      setOf(
        ['operator', [rule('a', always, { approve: TERMS }), rule('d', always, 'deny')]],
        ['project', [rule('b', always, { approve: hard })]],
      ),
      { a: 1 },
    );
    expect(asked).toMatchObject({ verdict: 'deny', terms: null, asked: [hard] });
    const shut = setOf([
      'operator',
      [rule('a', always, { approve: TERMS }), rule('b', always, { approve: hard }), rule('d', always, 'deny')],
    ]);
    expect(evaluateSet(shut, { a: 1 })).toMatchObject({ verdict: 'deny', rule: { rule: 'd' }, terms: null, asked: [] });
    const two = evaluateSet(setOf(['operator', [rule('a', always, { approve: TERMS }), rule('b', always, { approve: hard })]]), { a: 1 });
    expect(two).toMatchObject({
      verdict: 'approve',
      rule: { rule: 'a' },
      terms: { ...TERMS, quorum: 5 },
      asked: [{ ...TERMS, quorum: 5 }],
    });
    const apart = evaluateSet(
      setOf(
        ['operator', [rule('a', always, { approve: TERMS })]],
        ['project', [rule('b', always, { approve: { ...TERMS, roles: ['root'] } })]],
      ),
      { a: 1 },
    );
    expect(apart).toMatchObject({
      verdict: 'deny',
      rule: { layer: 'operator', rule: 'a' },
      because: 'because of a; but the rules that ask for approval have no approver role in common',
    });
  });
});

describe('why, in lines', () => {
  const when: PolicyCondition = { all: [always, { any: [missing, { not: { field: 'b', op: 'lt', value: 3 } }] }] };
  test('every question stands with its value and its answer, deeper ones further in', () => {
    const set = setOf(['shipped', [rule('p', when, 'permit'), rule('d', { field: 'a', op: 'eq', value: 1 }, 'deny')]]);
    expect(whyLines(why(set, { a: 1, b: 2 }))).toEqual([
      'rule shipped/p: unknown, says permit, not applied (because of p)',
      '  unknown: all of',
      '    true: a exists true; it is 1',
      '    unknown: any of',
      '      unknown: nowhere eq 1; it is missing',
      '      false: not',
      '        true: b lt 3; it is 2',
      'rule shipped/d: true, says deny (because of d)',
      '  true: a eq 1; it is 1',
      'to be permitted: shipped/d would have to be false',
      '  a eq 1 is true, would have to be false',
      'to be permitted: shipped/p would have to be true',
      '  nowhere eq 1 is unknown, would have to be true',
    ]);
    expect(whyLines(why(setOf(['project', [rule('p', always, 'permit')]]), { a: 1 }))).toEqual([
      'rule project/p: true, says permit (because of p)',
      '  true: a exists true; it is 1',
      'to be permitted: the policy itself would have to change',
    ]);
  });
  test('long values are cut, in lines after 120 characters and in the answer after 400', () => {
    const long = (length: number) => 'x'.repeat(length - 2);
    const told = (length: number) =>
      why(setOf(['shipped', [rule('p', { field: 'a', op: 'eq', value: 'y' }, 'permit')]]), { a: long(length) });
    const actual = (length: number) => {
      const [first] = told(length).rules;
      return first !== undefined && 'actual' in first.when ? first.when.actual : null;
    };
    expect(actual(400)).toBe(`"${long(400)}"`);
    expect(actual(401)).toBe(`"${'x'.repeat(399)}…`);
    expect(whyLines(told(120))[1]).toBe(`  false: a eq "y"; it is "${long(120)}"`);
    expect(whyLines(told(121))[1]).toBe(`  false: a eq "y"; it is "${'x'.repeat(119)}…`);
  });
  test('the fewest changes are taken, of all the rules that could permit, and one question is never answered both ways', () => {
    const eq = (field: string, value: Json): PolicyCondition => ({ field, op: 'eq', value });
    const set = setOf([
      'shipped',
      [
        rule('two', { all: [eq('x', 1), eq('y', 1)] }, 'permit'),
        rule('one', { all: [eq('x', 1), { any: [eq('z', 1), eq('w', 1)] }, eq('v', 1)] }, 'permit'),
        rule('asks', { any: [eq('x', 0), eq('q', 1)] }, { approve: TERMS }),
      ],
    ]);
    const told = why(set, { x: 0, y: 0, z: 1, w: 0, v: 1, q: 1 });
    expect(
      told.toPermit?.map(({ layer, rule: id, mustBe, changes }) => [
        layer,
        id,
        mustBe,
        changes.map(({ field, mustBe: to }) => `${field} ${to}`),
      ]),
    ).toEqual([
      ['shipped', 'asks', 'false', ['x false', 'q false']],
      ['shipped', 'one', 'true', ['x true']],
    ]);
    const torn = setOf(['shipped', [rule('p', always, 'permit'), rule('d', eq('x', 0), 'deny'), rule('e', { not: eq('x', 0) }, 'deny')]]);
    expect(why(torn, { a: 1, x: 'text' }).toPermit).toBeNull();
    expect(why(setOf(), {}).toPermit).toBeNull();
  });
});

describe('a draft', () => {
  const asks: PolicyRule = {
    id: 'ask-patch',
    when: { field: 'action.name', op: 'eq', value: 'apply_patch' },
    decide: { approve: TERMS },
    because: 'somebody looks',
    examples: {
      match: [
        { action: { name: 'apply_patch' }, stage: { id: 'fix', visit: 1 } },
        { action: { name: 'apply_patch' }, stage: { id: 'other' } },
      ],
      noMatch: [{ action: { name: 'run_tests' } }],
    },
  };
  const base: PolicyBundle = { version: 1, name: 'house', rules: [asks, { ...asks, id: 'ask-again' }] };
  const permit = { 'action.name': 'apply_patch', 'stage.id': 'fix', 'change.autoRun': false, 'stage.visit': 1, hosts: ['a'] };

  test('permits exactly what was decided, and excepts it from the rules that asked, whose examples still hold', () => {
    const drafted = draftBundle(base, [{ id: 'permit-fix', permit, except: ['ask-patch'], because: 'decided ten times' }]);
    const exactly = {
      all: [
        { field: 'action.name', op: 'eq', value: 'apply_patch' },
        { field: 'stage.id', op: 'eq', value: 'fix' },
        { field: 'change.autoRun', op: 'eq', value: false },
        { field: 'stage.visit', op: 'eq', value: 1 },
        { field: 'hosts', op: 'eq', value: ['a'] },
      ],
    };
    const fields = { action: { name: 'apply_patch' }, stage: { id: 'fix', visit: 1 }, change: { autoRun: false }, hosts: ['a'] };
    expect(drafted).toEqual({
      version: 1,
      name: 'house-advised',
      rules: [
        {
          ...asks,
          when: { all: [asks.when, { not: exactly }] },
          examples: {
            // The first left the exception open, so it is told apart from it; the second never met it.
            match: [{ action: { name: 'apply_patch' }, stage: { id: 'fix.other', visit: 1 } }, asks.examples.match[1]],
            noMatch: [...asks.examples.noMatch, fields],
          },
        },
        { ...asks, id: 'ask-again' },
        {
          id: 'permit-fix',
          when: exactly,
          decide: 'permit',
          because: 'decided ten times',
          examples: {
            match: [fields],
            noMatch: [
              { ...fields, action: { name: 'apply_patch.other' } },
              { ...fields, stage: { id: 'fix.other', visit: 1 } },
              { ...fields, change: { autoRun: true } },
              { ...fields, stage: { id: 'fix', visit: 2 } },
              { ...fields, hosts: ['a', 'another'] },
            ],
          },
        },
      ],
    });
    expect(checkBundle(drafted as unknown as Json)).toMatchObject({ ok: true });
    expect(testBundle(drafted).filter(({ problem }) => problem !== null)).toEqual([]);
  });

  test('asks about fields together with any host, and says what it does not ask about', () => {
    const ask = { 'action.name': 'http_get', 'arguments.n': null };
    const drafted = draftBundle({ ...base, name: 'h-advised' }, [{ id: 'ask-net', ask, hosts: true, terms: TERMS, because: 'hosts' }]);
    expect(drafted.name).toBe('h-advised');
    expect(drafted.rules.slice(0, 2)).toEqual(base.rules);
    expect(drafted.rules[2]).toEqual({
      id: 'ask-net',
      when: {
        all: [
          { field: 'action.name', op: 'eq', value: 'http_get' },
          { field: 'arguments.n', op: 'eq', value: null },
          { field: 'hosts.0', op: 'exists', value: true },
        ],
      },
      decide: { approve: TERMS },
      because: 'hosts',
      examples: {
        match: [{ action: { name: 'http_get' }, arguments: { n: null }, hosts: ['host.example:443'] }],
        noMatch: [
          { action: { name: 'http_get' }, arguments: { n: null }, hosts: [] },
          { action: { name: 'http_get.other' }, arguments: { n: null }, hosts: ['host.example:443'] },
          { action: { name: 'http_get' }, arguments: { n: 'null.other' }, hosts: ['host.example:443'] },
        ],
      },
    });
    expect(checkBundle(drafted as unknown as Json)).toMatchObject({ ok: true });
  });

  test('of fields beside the stage still tells the examples apart, by a stage that there is not', () => {
    const [first] = draftBundle(base, [{ id: 'p', permit: { 'action.name': 'apply_patch' }, except: ['ask-patch'], because: '' }]).rules;
    expect(first?.examples.match[1]).toEqual({ action: { name: 'apply_patch' }, stage: { id: 'null.other' } });
    const deep = draftBundle(base, [
      { id: 'p', permit: { 'arguments.a': { b: 1 }, 'arguments.a.c': 2, 'arguments.d': 3 }, except: [], because: '' },
    ]).rules.at(-1);
    expect(deep?.examples.match).toEqual([{ arguments: { a: { b: 1, c: 2 }, d: 3 } }]);
    const over = draftBundle(base, [{ id: 'p', permit: { 'arguments.a.c': 2, 'arguments.a': 'x' }, except: [], because: '' }]).rules.at(-1);
    expect(over?.examples.match).toEqual([{ arguments: { a: 'x' } }]);
  });

  test('takes a long name with it as far as names go, and two exceptions of one rule together', () => {
    expect(draftBundle({ ...base, name: 'n'.repeat(64) }, []).name).toBe(`${'n'.repeat(48)}-advised`);
    const each = (id: string) => ({ id: `p-${id}`, permit: { 'stage.id': id }, except: ['ask-patch'], because: '' });
    const [first] = draftBundle(base, [each('fix'), each('lint')]).rules;
    expect(first?.when).toEqual({
      all: [
        asks.when,
        { not: { all: [{ field: 'stage.id', op: 'eq', value: 'fix' }] } },
        { not: { all: [{ field: 'stage.id', op: 'eq', value: 'lint' }] } },
      ],
    });
    expect(first?.examples.match[0]).toEqual({ action: { name: 'apply_patch' }, stage: { id: 'fix.lint.other', visit: 1 } });
  });
});

describe('examples, one by one', () => {
  test('come with their place, their truth, the verdict of the bundle and what they set off', () => {
    const tested = (decide: PolicyRule['decide'], match: Json, noMatch: Json) =>
      testBundle({
        version: 1,
        name: 'b',
        rules: [{ ...rule('r', { field: 'a', op: 'eq', value: 1 }, decide), examples: { match: [match], noMatch: [noMatch] } }],
      });
    expect(tested('permit', { a: 1 }, {})).toEqual([
      {
        rule: 'r',
        list: 'match',
        at: 0,
        truth: 'true',
        verdict: 'permit',
        hits: [{ layer: 'operator', rule: 'r', truth: 'true', decide: 'permit', unknown: [] }],
        problem: null,
      },
      {
        rule: 'r',
        list: 'noMatch',
        at: 0,
        truth: 'unknown',
        verdict: 'deny',
        hits: [{ layer: 'operator', rule: 'r', truth: 'unknown', decide: 'permit', unknown: ['a'] }],
        problem: null,
      },
    ]);
    const words = (decide: PolicyRule['decide'], match: Json, noMatch: Json) =>
      tested(decide, match, noMatch).map(({ truth, problem }) => [truth, problem?.message ?? null]);
    expect(words({ approve: TERMS }, { a: 2 }, {})).toEqual([
      ['false', 'rule r: example match.0 does not match the rule'],
      ['unknown', 'rule r: example noMatch.0 sets the rule off all the same; unknown: a'],
    ]);
    expect(words('permit', {}, { a: 1 })).toEqual([
      ['unknown', 'rule r: example match.0 does not match the rule; unknown: a'],
      ['true', 'rule r: example noMatch.0 sets the rule off all the same'],
    ]);
  });
});
