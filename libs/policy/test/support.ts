/** What the suites of the policy language share: sample rules, sets of layers, conditions of each truth. Decides nothing by itself. */
import type { Json } from '@openexec/canon';
import type { ApprovalTerms, PolicyCondition, PolicyLayerName, PolicyRule, PolicySet } from '@openexec/protocol';
import { evaluateSet } from '../src/index.ts';

type Layer = [layer: PolicyLayerName, rules: readonly PolicyRule[]];
export const TERMS: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: 1000, minAssurance: 'file', openerMayApprove: true };
export const ORDER = { permit: 0, approve: 1, deny: 2 };

export function rule(id: string, when: PolicyCondition, decide: PolicyRule['decide']): PolicyRule {
  return { id, when, decide, because: `because of ${id}`, examples: { match: [{}], noMatch: [{}] } };
}
export function setOf(...layers: Layer[]): PolicySet {
  const bundles = layers.map(([layer, rules]) => ({
    layer,
    bundle: { version: 1 as const, name: 'sample', rules: [...rules] },
    source: 'test',
  }));
  return { layers: bundles, riskThreshold: 'high' };
}
export const always: PolicyCondition = { field: 'a', op: 'exists', value: true };
export const missing: PolicyCondition = { field: 'nowhere', op: 'eq', value: 1 };
export const never: PolicyCondition = { field: 'a', op: 'exists', value: false };

/** The truth of a condition, read off three sets: a permit applies only when true, a deny when true or unknown. */
export function truthOf(when: PolicyCondition, fields: Json): 'true' | 'false' | 'unknown' {
  return evaluateSet(setOf(['shipped', [rule('r', when, 'deny')]]), fields).rules[0]?.truth ?? 'false';
}
