/**
 * Why a set says what it says: the truths are those of the evaluation, and what would have to change does change it. PROTOCOL §7.
 */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { evaluateSet, type LayeredPolicy, SOLO, why, whyLines } from '@openexec/policy';
import type { PolicyRule } from '@openexec/protocol';
import * as fc from 'fast-check';

function ruleOf(id: string, decide: 'permit' | 'deny', when: PolicyRule['when']): PolicyRule {
  return { id, when, decide, because: `because of ${id}`, examples: { match: [{}], noMatch: [{}] } };
}
const setOf = (...layers: readonly (readonly ['shipped' | 'project', readonly PolicyRule[]])[]): LayeredPolicy => ({
  layers: layers.map(([layer, rules]) => ({ layer, bundle: { version: 1, name: layer, rules: [...rules] }, source: 'test' })),
  riskThreshold: 'high',
});
const SHIPPED = setOf(['shipped', SOLO.rules]);

describe('why', () => {
  test('shows each question of each rule with its value and its answer, and the fewest changes that lead to a permit', () => {
    const fields: Json = { action: { name: 'apply_patch', effect: 'write' }, paths: { read: [], write: ['package.json'] } };
    const told = why(SHIPPED, fields);
    expect(told.rules.map(({ rule }) => rule)).toEqual(SOLO.rules.map(({ id }) => id));
    const asking = told.rules.find(({ rule }) => rule === 'ask-auto-run');
    expect(asking).toMatchObject({
      truth: 'true',
      applies: true,
      when: { field: 'paths.write', actual: '["package.json"]', truth: 'true' },
    });
    expect(told.toPermit).toEqual([
      expect.objectContaining({
        rule: 'ask-auto-run',
        mustBe: 'false',
        changes: [expect.objectContaining({ field: 'paths.write', mustBe: 'false' })],
      }),
    ]);
    const lines = whyLines(told).join('\n');
    expect(lines).toContain('to be permitted: shipped/ask-auto-run would have to be false');
    expect(lines).toContain('it is ["package.json"]');
    expect(why(SHIPPED, { ...fields, paths: { read: [], write: ['src/a.ts'] } }).toPermit).toEqual([]);
  });

  test('says a missing field is missing, takes the cheapest permit, and gives up where the policy alone stands in the way', () => {
    const told = why(SHIPPED, { action: { name: 'shell_exec', effect: 'write' }, paths: { read: [], write: [] } });
    expect(told.toPermit).toMatchObject([
      { rule: 'permit-reading', mustBe: 'true', changes: [{ field: 'action.effect', actual: '"write"', mustBe: 'true' }] },
    ]);
    const missing = why(SHIPPED, { action: { name: 'apply_patch', effect: 'write' } });
    expect(missing.rules.find(({ rule }) => rule === 'ask-auto-run')).toMatchObject({
      truth: 'unknown',
      applies: true,
      when: { actual: null },
    });
    expect(why(setOf(['project', [ruleOf('p', 'permit', { field: 'a', op: 'exists', value: true })]]), { a: 1 }).toPermit).toBeNull();
    const both = setOf([
      'shipped',
      [
        ruleOf('p', 'permit', { field: 'arguments.x', op: 'eq', value: 1 }),
        ruleOf('d', 'deny', { field: 'arguments.x', op: 'eq', value: 1 }),
      ],
    ]);
    expect(why(both, { arguments: { x: 1 } }).toPermit).toBeNull();
    const long = why(SHIPPED, { action: { name: 'x'.repeat(5000) } }).rules.flatMap(({ when }) => ('actual' in when ? [when.actual] : []));
    expect(Math.max(...long.map((text) => text?.length ?? 0))).toBeLessThan(500);
  });

  test('never shows another truth than the evaluation has, and names changes exactly where it does not permit', () => {
    const leaf = fc.record({
      field: fc.constantFrom('arguments.a', 'arguments.b', 'arguments.c'),
      op: fc.constantFrom('eq' as const, 'ne' as const, 'lt' as const),
      value: fc.integer({ min: 0, max: 2 }),
    });
    const { condition } = fc.letrec<{ condition: PolicyRule['when'] }>((tie) => ({
      condition: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.record({ all: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ any: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ not: tie('condition') }),
      ) as fc.Arbitrary<PolicyRule['when']>,
    }));
    const decide = fc.constantFrom('permit' as const, 'deny' as const);
    const fields = fc.record(
      {
        a: fc.integer({ min: 0, max: 2 }),
        b: fc.oneof(fc.integer({ min: 0, max: 2 }), fc.constant('x')),
        c: fc.integer({ min: 0, max: 2 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(condition, decide), { minLength: 1, maxLength: 4 }), fields, (made, given) => {
        const set = setOf(['shipped', made.map(([when, what], index) => ruleOf(`r${index}`, what, when))]);
        const outcome = evaluateSet(set, { arguments: given });
        const told = why(set, { arguments: given });
        const matched = told.rules.filter(({ truth }) => truth !== 'false').map(({ rule, truth }) => [rule, truth]);
        expect(matched).toEqual(outcome.rules.map(({ rule, truth }) => [rule, truth]));
        expect(told.toPermit?.length === 0).toBe(outcome.verdict === 'permit');
      }),
      { numRuns: 500 },
    );
  });
});
