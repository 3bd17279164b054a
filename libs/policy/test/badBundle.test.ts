/**
 * Bundles that are refused, each with its code and place, and what a large sound one costs: counted, never clocked. PROTOCOL §§1, 7.
 */
import { describe, expect, test } from '@jest/globals';
import { digestJson, type Json } from '@openexec/canon';
import { checkBundle, compileSet, SOLO } from '@openexec/policy';
import type { PolicyRule } from '@openexec/protocol';

const LEAF: Json = { field: 'arguments.n', op: 'eq', value: 1 };
function bundleWith(when: Json, more: { readonly [key: string]: Json } = {}): Json {
  const examples = { match: [{ arguments: { n: 1 } }], noMatch: [{ arguments: { n: 2 } }] };
  return { version: 1, name: 'bad', rules: [{ id: 'one', when, decide: 'deny', because: 'a test', examples, ...more }] };
}
const deep = (times: number): Json => Array.from({ length: times }).reduce<Json>((inner) => ({ not: inner }), LEAF);
function codesOf(json: Json): readonly string[] {
  const checked = checkBundle(json);
  return checked.ok ? [] : [...new Set(checked.error.map(({ code }) => code))];
}

describe('a bundle', () => {
  test.each<readonly [string, Json, string]>([
    ['an unknown operator', bundleWith({ field: 'arguments.n', op: 'matches', value: '.*' }), 'policy.unknownOperator'],
    ['a value that its operator does not take', bundleWith({ field: 'arguments.n', op: 'lt', value: [1] }), 'policy.value'],
    ['a list where a condition belongs', bundleWith([LEAF]), 'policy.malformed'],
    ['a fraction', bundleWith({ field: 'arguments.n', op: 'lt', value: 0.5 }), 'policy.number'],
    ['an integer beyond exactness', bundleWith({ field: 'arguments.n', op: 'lt', value: 2 ** 60 }), 'policy.number'],
    [
      'a fraction in an example',
      bundleWith(LEAF, { examples: { match: [{ arguments: { n: 1 } }], noMatch: [{ arguments: { n: 1.5 } }] } }),
      'policy.number',
    ],
    ['nesting beyond what a policy set can hold', bundleWith(deep(50)), 'policy.tooDeep'],
    ['an unknown member of a rule', bundleWith(LEAF, { priority: 1 }), 'policy.unknownKey'],
    ['an unknown member of a condition', bundleWith({ field: 'arguments.n', op: 'eq', value: 1, flags: 'i' }), 'policy.unknownKey'],
    ['an unknown field', bundleWith({ field: 'argument.n', op: 'eq', value: 1 }), 'policy.unknownField'],
    ['a question about what the model claims', bundleWith({ field: 'intent.claims.claimedRisk', op: 'eq', value: 'low' }), 'policy.claim'],
    ['an example that does not hold', bundleWith({ field: 'arguments.n', op: 'eq', value: 3 }), 'policy.example'],
  ])('with %s is refused', (_what, json, code) => expect(codesOf(json)).toContain(code));

  test('of the deepest conditions that are taken still stands in a policy set', () => {
    const json = bundleWith(deep(42));
    const checked = checkBundle(json);
    expect(checked.ok).toBe(true);
    if (!checked.ok) return;
    const set = { layers: [{ layer: 'operator' as const, bundle: checked.value, source: 'test' }], riskThreshold: 'high' as const };
    expect(digestJson(set)).toMatch(/^sha256:/);
    expect(compileSet(set)({ arguments: { n: 1 } }).rules).toHaveLength(1);
  });

  test('names no more than twenty places, however many are wrong', () => {
    const rules = Array.from({ length: 1000 }, (_, index) => ({ id: `rule-${index}`, when: { field: 'x', op: 'eq', value: 0.5 } }));
    const checked = checkBundle({ version: 1, name: 'many', rules });
    expect(checked.ok ? 0 : checked.error.length).toBe(20);
  });

  test('of a thousand rules reads each field once and asks equal questions once', () => {
    const rules = Array.from(
      { length: 1000 },
      (_, index): PolicyRule => ({
        id: `rule-${index}`,
        when: {
          all: [
            { field: 'world.changedFiles', op: 'lt', value: index % 10 },
            { field: 'change.autoRun', op: 'eq', value: true },
          ],
        },
        decide: 'deny',
        because: 'a test',
        examples: { match: [{}], noMatch: [{}] },
      }),
    );
    const evaluate = compileSet({
      layers: [{ layer: 'operator', bundle: { version: 1, name: 'many', rules }, source: 'test' }],
      riskThreshold: 'high',
    });
    let reads = 0;
    const fields = {
      get world(): Json {
        reads += 1;
        return { changedFiles: 3 };
      },
      get change(): Json {
        reads += 1;
        return { autoRun: false };
      },
    };
    expect(evaluate(fields).verdict).toBe('deny');
    expect(reads).toBe(2);
  });
});

test('the shipped policy is the one whose digest runs have recorded', () => {
  expect(digestJson(SOLO)).toBe('sha256:4583052759180744c2671f1f6e3fed611da66f02d5870c13eeb6bfb149468f92');
});
