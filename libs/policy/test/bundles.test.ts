/** Bundles of rules: every way of being refused, with its place, and what their examples prove. */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { PolicyCondition, PolicyRule } from '@openexec/protocol';
import fc from 'fast-check';
import { checkBundle, readBundle, testBundle } from '../src/index.ts';
import { TERMS } from './support.ts';

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
