/**
 * What a refused bundle is told, word for word: every problem with its code, its place and its remedy, frozen as literals. A guard that stops looking, a
 * place that is named wrongly or a word that is lost shows here. PROTOCOL §7.
 */
import { describe, expect, test } from '@jest/globals';
import { digestJson, type Json } from '@openexec/canon';
import { checkBundle, compileSet, type PolicyProblem, readBundle, REGULATED, strictest } from '../src/index.ts';
import { always, rule, setOf, TERMS } from './support.ts';

const LEAF: Json = { field: 'arguments.n', op: 'eq', value: 1 };
const EXAMPLES: Json = { match: [{ arguments: { n: 1 } }], noMatch: [{ arguments: { n: 2 } }] };
const ruleWith = (when: Json | undefined, more: { readonly [key: string]: Json } = {}): Json => ({
  id: 'one',
  ...(when === undefined ? {} : { when }),
  decide: 'deny',
  because: 'a test',
  examples: EXAMPLES,
  ...more,
});
const bundleOf = (...rules: readonly Json[]): Json => ({ version: 1, name: 'bad', rules });
function problemsOf(json: Json): readonly PolicyProblem[] {
  const read = checkBundle(json);
  return read.ok ? [] : read.error;
}
const problemOf = (when: Json): readonly PolicyProblem[] => problemsOf(bundleOf(ruleWith(when)));
const WHEN = ['rules', 0, 'when'];
const SHAPE = 'a condition is one of all, any, not, or {field, op, value}';
const OPERATORS = 'eq, ne, in, notIn, lt, le, gt, ge, startsWith, endsWith, contains, exists, under, anyUnder, allUnder, anyNamed';
const ROOTS = 'intent, arguments, action, paths, change, hosts, writ, world, spend, run, stage, actor, time, model';

describe('a condition is refused in these words', () => {
  test.each<[string, Json, PolicyProblem[]]>([
    ['that is empty', {}, [{ code: 'policy.malformed', message: `rules.0.when: ${SHAPE}`, path: WHEN }]],
    ['that is null', null, [{ code: 'policy.malformed', message: `rules.0.when: ${SHAPE}`, path: WHEN }]],
    ['of two shapes', { all: [LEAF], any: [LEAF] }, [{ code: 'policy.malformed', message: `rules.0.when: ${SHAPE}`, path: WHEN }]],
    [
      'whose parts are no list',
      { all: LEAF },
      [{ code: 'policy.malformed', message: 'rules.0.when: all takes a list of conditions', path: [...WHEN, 'all'] }],
    ],
    [
      'with a strange key beside its parts',
      { any: [LEAF], why: 1 },
      [{ code: 'policy.unknownKey', message: 'rules.0.when: unknown key why', path: [...WHEN, 'why'] }],
    ],
    [
      'with a key that is nearly one',
      { field: 'arguments.n', op: 'eq', value: 1, vale: 1 },
      [{ code: 'policy.unknownKey', message: 'rules.0.when: unknown key vale (did you mean value?)', path: [...WHEN, 'vale'] }],
    ],
    [
      'with a strange key beside a denied one',
      { not: LEAF, because: 1 },
      [{ code: 'policy.unknownKey', message: 'rules.0.when: unknown key because', path: [...WHEN, 'because'] }],
    ],
    [
      'that is wrong inside of a denied one',
      { not: { field: 'arguments.n', op: 'eq' } },
      [{ code: 'policy.malformed', message: 'rules.0.when.not: a value is missing', path: [...WHEN, 'not'] }],
    ],
    [
      'that is wrong in a list, by its place there',
      { all: [LEAF, { any: [LEAF, { field: 'arguments.n', op: 'lt', value: true }] }] },
      [
        {
          code: 'policy.value',
          message: 'rules.0.when.all.1.any.1: lt takes a number or a text',
          path: [...WHEN, 'all', 1, 'any', 1, 'value'],
        },
      ],
    ],
    [
      'with an operator that is nearly one',
      { field: 'arguments.n', op: 'notin', value: 1 },
      [
        {
          code: 'policy.unknownOperator',
          message: `rules.0.when: unknown operator notin (did you mean notIn?); there are ${OPERATORS}`,
          path: [...WHEN, 'op'],
        },
      ],
    ],
    [
      'without an operator',
      { field: 'arguments.n', value: 1 },
      [{ code: 'policy.unknownOperator', message: `rules.0.when: an operator is missing; there are ${OPERATORS}`, path: [...WHEN, 'op'] }],
    ],
    [
      'with an operator that is no text',
      { field: 'arguments.n', op: 1, value: 1 },
      [{ code: 'policy.unknownOperator', message: `rules.0.when: an operator is missing; there are ${OPERATORS}`, path: [...WHEN, 'op'] }],
    ],
    [
      'about a root that is nearly one, and with a wrong value, in this order',
      { field: 'argument.n', op: 'exists', value: 1 },
      [
        {
          code: 'policy.unknownField',
          message: `rules.0.when.field: unknown field argument.n (did you mean arguments?); fields begin with ${ROOTS}`,
          path: [...WHEN, 'field'],
        },
        { code: 'policy.value', message: 'rules.0.when: exists takes true or false', path: [...WHEN, 'value'] },
      ],
    ],
    [
      'about a member that its root does not have',
      { field: 'spend.settle', op: 'eq', value: 1 },
      [
        {
          code: 'policy.unknownField',
          message: 'rules.0.when.field: spend has no settle (did you mean settled?); it has settled, reserved, grant',
          path: [...WHEN, 'field'],
        },
      ],
    ],
    [
      'about what the model claims',
      { field: 'intent.claims.risk', op: 'eq', value: 'low' },
      [
        {
          code: 'policy.claim',
          message: 'rules.0.when.field: what a model claims about its own action decides nothing; ask about action.risk instead',
          path: [...WHEN, 'field'],
        },
      ],
    ],
  ])('%s', (_what, when, problems) => expect(problemOf(when)).toEqual(problems));

  test.each([
    ['intent', true],
    ['intent.author', true],
    ['intent.claim', false],
    ['arguments.claims', true],
    ['time', true],
    ['time.now', false],
    ['model.host.name', true],
    ['writ.anything.at.all', true],
    ['', false],
  ])('a question about the field %j is taken: %s', (field, taken) => {
    const codes = problemOf({ field, op: 'exists', value: false }).map(({ code }) => code);
    expect(codes.filter((code) => code === 'policy.unknownField')).toEqual(taken ? [] : ['policy.unknownField']);
  });

  test('whose field is no text is left to the schema', () => {
    const problems = problemOf({ field: 7, op: 'eq', value: 1 });
    expect(problems.map(({ code }) => code)).toEqual(['policy.malformed']);
  });
});

describe('the value of an operator', () => {
  const said = (op: string, value: Json): string | null => {
    const found = problemOf({ field: 'arguments.n', op, value }).find(({ code }) => code === 'policy.value');
    return found === undefined ? null : found.message.replace(`rules.0.when: ${op} `, '');
  };
  const LIST = 'takes a list with at least one value';
  const NAME = 'takes a name, `prefix*` or `*suffix`, or a list of them';
  const DIRECTORY = 'takes a directory such as `src`, or a list of them, without `..` and patterns';
  test.each<[string, Json, string | null]>([
    ['eq', null, null],
    ['ne', [], null],
    ['in', [], LIST],
    ['in', 'x', LIST],
    ['notIn', [], LIST],
    ['notIn', [1], null],
    ['lt', null, 'takes a number or a text'],
    ['le', false, 'takes a number or a text'],
    ['le', 3, null],
    ['gt', [3], 'takes a number or a text'],
    ['gt', 'a', null],
    ['ge', {}, 'takes a number or a text'],
    ['startsWith', '', 'takes a text that is not empty'],
    ['startsWith', 1, 'takes a text that is not empty'],
    ['startsWith', 'a', null],
    ['endsWith', '', 'takes a text that is not empty'],
    ['endsWith', null, 'takes a text that is not empty'],
    ['contains', '', 'takes one value that is not empty'],
    ['contains', null, 'takes one value that is not empty'],
    ['contains', [1], 'takes one value that is not empty'],
    ['contains', { a: 1 }, null],
    ['contains', 0, null],
    ['exists', 'true', 'takes true or false'],
    ['exists', false, null],
    ['under', '../x', DIRECTORY],
    ['under', '/src', DIRECTORY],
    ['under', 7, DIRECTORY],
    ['under', ['src', 'a/./b'], DIRECTORY],
    ['under', ['src', 'lib'], null],
    ['anyUnder', 'src/', DIRECTORY],
    ['anyUnder', 'src', null],
    ['allUnder', '..', DIRECTORY],
    ['allUnder', 'src/a', null],
    ['anyNamed', 'a*b', NAME],
    ['anyNamed', '*', NAME],
    ['anyNamed', '', NAME],
    ['anyNamed', ['ok', 'a/b'], NAME],
    ['anyNamed', 3, NAME],
    ['anyNamed', ['*.pem', '.env*', 'id_rsa'], null],
  ])('of %s may be %j: %s', (op, value, problem) => expect(said(op, value)).toBe(problem));
});

describe('a bundle is refused in these words', () => {
  test('for a number that is not kept exactly, wherever it stands', () => {
    expect(problemsOf(0.5)).toEqual([
      { code: 'policy.number', message: 'the bundle: 0.5 is no whole number that is kept exactly; policies hold no other', path: [] },
    ]);
    expect(problemOf({ field: 'arguments.n', op: 'eq', value: [1, { a: 0.5 }] })).toEqual([
      {
        code: 'policy.number',
        message: 'rules.0.when.value.1.a: 0.5 is no whole number that is kept exactly; policies hold no other',
        path: [...WHEN, 'value', 1, 'a'],
      },
    ]);
  });

  test('for a nesting that is one too deep, by the first four steps to it', () => {
    const deep = (times: number): Json => Array.from({ length: times }).reduce<Json>((inner) => [inner], []);
    const at = (times: number) => problemsOf(bundleOf(ruleWith({ field: 'arguments.n', op: 'eq', value: deep(times) })));
    // The value itself stands four steps down, and 48 are the most.
    expect(at(43).map(({ code }) => code)).not.toContain('policy.tooDeep');
    expect(at(44)).toEqual([{ code: 'policy.tooDeep', message: 'rules.0.when.value: nested more than 48 deep', path: [...WHEN, 'value'] }]);
  });

  test('for at most twenty numbers, the first ones, and for nineteen and twenty all of them', () => {
    const many = (count: number) => problemsOf(Array.from({ length: count }, () => 0.5)).map(({ path }) => path[0]);
    const first = (count: number) => Array.from({ length: count }, (_, at) => at);
    expect(many(19)).toEqual(first(19));
    expect(many(20)).toEqual(first(20));
    expect(many(21)).toEqual(first(20));
    expect(problemsOf([Array.from({ length: 19 }, () => 0.5), [0.5, 0.5]])).toHaveLength(20);
  });

  test('for two rules of one name, and for terms that nobody can meet', () => {
    const approve = { ...TERMS, roles: ['approver', 'runtime'], ttlMs: 0 };
    expect(problemsOf(bundleOf(ruleWith(LEAF), ruleWith(LEAF, { decide: { approve } })))).toEqual([
      {
        code: 'policy.duplicateRule',
        message: 'rules.1: a rule named one stands above already; give it a name of its own',
        path: ['rules', 1, 'id'],
      },
      {
        code: 'policy.terms',
        message: 'rule one: a runtime key never approves; name other roles',
        path: ['rules', 1, 'decide', 'approve', 'roles'],
      },
      {
        code: 'policy.terms',
        message: 'rule one: ttlMs 0 leaves no time to approve',
        path: ['rules', 1, 'decide', 'approve', 'ttlMs'],
      },
    ]);
  });

  test('for a decision that is none, and for keys that nobody knows, in its rule and beside its rules', () => {
    expect(problemsOf(bundleOf(ruleWith(LEAF, { decide: 'allow' })))).toEqual([
      {
        code: 'policy.malformed',
        message: 'rules.0.decide: decide is permit, deny, or {approve: {roles, quorum, ttlMs, minAssurance, openerMayApprove}}',
        path: ['rules', 0, 'decide'],
      },
    ]);
    expect(problemsOf({ version: 1, name: 'bad', rules: [ruleWith(LEAF, { priority: 1 })], notes: 1 })).toEqual([
      { code: 'policy.unknownKey', message: 'rules.0: unknown key priority', path: ['rules', 0, 'priority'] },
      { code: 'policy.unknownKey', message: 'the bundle: unknown key notes', path: ['notes'] },
    ]);
    expect(problemsOf(null).map(({ code, path }) => [code, path])).toEqual([['policy.malformed', []]]);
    expect(problemsOf(bundleOf(null, [LEAF], 'x')).map(({ path }) => path)).toEqual([
      ['rules', 0],
      ['rules', 1],
      ['rules', 2],
    ]);
    expect(problemsOf('text').map(({ code, path }) => [code, path])).toEqual([['policy.malformed', []]]);
    expect(problemsOf({ version: 1, name: 'bad', rules: 7 }).map(({ code, path }) => [code, path])).toEqual([
      ['policy.malformed', ['rules']],
    ]);
  });

  test('for a condition once, by the walk over it, while what is wrong beside it is told too', () => {
    const two = bundleOf(ruleWith({ field: 'arguments.n', op: 'like', value: 1 }, { priority: 1 }), ruleWith(undefined, { id: 'two' }));
    const told = problemsOf(two).map(({ code, path }) => `${code} ${path.join('.')}`);
    // A condition that is absent is the schema's to tell of; one that is wrong is told of once.
    expect(told).toEqual(['policy.unknownOperator rules.0.when.op', 'policy.unknownKey rules.0.priority', 'policy.malformed rules.1.when']);
  });

  test('for an example that does not show what it is for, with what was unknown in it', () => {
    const examples = (match: Json, noMatch: Json): Json => ({ match: [match], noMatch: [noMatch] });
    const denies = (match: Json, noMatch: Json) => problemsOf(bundleOf(ruleWith(LEAF, { examples: examples(match, noMatch) })));
    const one = { arguments: { n: 1 } };
    const two = { arguments: { n: 2 } };
    expect(denies(one, two)).toEqual([]);
    expect(denies({}, {})).toEqual([
      {
        code: 'policy.example',
        message: 'rule one: example match.0 does not match the rule; unknown: arguments.n',
        path: ['rules', 0, 'examples', 'match', 0],
      },
      {
        code: 'policy.example',
        message: 'rule one: example noMatch.0 sets the rule off all the same; unknown: arguments.n',
        path: ['rules', 0, 'examples', 'noMatch', 0],
      },
    ]);
    expect(denies(two, one).map(({ message }) => message)).toEqual([
      'rule one: example match.0 does not match the rule',
      'rule one: example noMatch.0 sets the rule off all the same',
    ]);
    // A permit that is left open applies to nothing, so that an example may leave it open.
    const permits = bundleOf(ruleWith(LEAF, { decide: 'permit', examples: examples(one, {}) }));
    expect(problemsOf(permits)).toEqual([]);
  });

  test('and one whose examples do not hold is still read by its shape', () => {
    const json = bundleOf(ruleWith(LEAF, { examples: { match: [{}], noMatch: [{}] } }));
    expect(readBundle(json).ok).toBe(true);
    expect(checkBundle(json).ok).toBe(false);
  });
});

describe('what is joined and what ships', () => {
  test('two outcomes keep what each layer asked', () => {
    const a = compileSet(setOf(['shipped', [rule('a', always, { approve: TERMS })]]))({ a: 1 });
    const b = compileSet(setOf(['organisation', [rule('b', always, { approve: { ...TERMS, quorum: 2 } })]]))({ a: 1 });
    expect(strictest(a, b).asked).toEqual([TERMS, { ...TERMS, quorum: 2 }]);
  });

  test.each(['organisation', 'operator', 'shipped'] as const)('a set whose outermost layer is %s may permit, by that layer', (layer) => {
    const outcome = compileSet(setOf([layer, [rule('p', always, 'permit')]]))({ a: 1 });
    expect(outcome).toMatchObject({ verdict: 'permit', layers: [{ layer, verdict: 'permit' }] });
  });

  test('the layers stand from the outside in, however they were listed', () => {
    const names = ['run', 'project', 'shipped', 'operator', 'organisation'] as const;
    const each = names.map((layer) => [layer, [rule('p', always, 'permit')]] as [typeof layer, ReturnType<typeof rule>[]]);
    const said = compileSet(setOf(...each))({ a: 1 }).layers.map(({ layer }) => layer);
    expect(said).toEqual(['organisation', 'operator', 'shipped', 'project', 'run']);
  });

  test('where nothing permits, the outermost layer says so', () => {
    expect(compileSet(setOf(['operator', [rule('p', { not: always }, 'permit')]]))({ a: 1 })).toMatchObject({
      verdict: 'deny',
      because: 'no rule of operator/sample, the outermost layer, permits it; what is not permitted is denied',
    });
  });

  test('the policy for regulated work is the one whose digest runs have recorded', () => {
    expect(digestJson(REGULATED)).toBe('sha256:363e386935fbb584708c14787c5363d554bcbc90f7055e2130d06b2307f0eb74');
  });
});
