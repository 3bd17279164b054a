/**
 * An outcome as lines for people. Must never add anything that the outcome does not hold. PROTOCOL §7.
 */

import type { PolicyOutcome } from './compile.ts';

/**
 * The verdict, what decided it, what each layer said, and every rule of the trace; one fact a line. `reason` gives a rule's own words where the caller
 * has them.
 */
export function explain(
  outcome: PolicyOutcome,
  reason: (rule: { readonly layer: string; readonly rule: string }) => string | null = () => null,
): readonly string[] {
  const by = outcome.rule === null ? 'no rule' : `${outcome.rule.layer}/${outcome.rule.rule}`;
  const lines = [`${outcome.verdict} by ${by}: ${outcome.because}`];
  if (outcome.terms !== null) {
    const { quorum, roles, ttlMs, minAssurance, openerMayApprove } = outcome.terms;
    lines.push(
      `approval: ${quorum} of ${roles.join(' or ')}, key held by ${minAssurance} or better, within ${ttlMs} ms, the opener ${openerMayApprove ? 'may' : 'may not'} approve`,
    );
  }
  for (const { layer, verdict } of outcome.layers) lines.push(`layer ${layer}: ${verdict}`);
  for (const { layer, rule, truth, decide, unknown } of outcome.rules) {
    const open = unknown.length === 0 ? '' : ` (unknown: ${unknown.join(', ')})`;
    const applied = truth === 'unknown' && decide === 'permit' ? ', not applied' : '';
    const why = reason({ layer, rule });
    lines.push(`rule ${layer}/${rule}: ${truth}${open}, says ${decide}${applied}${why === null ? '' : ` (${why})`}`);
  }
  return lines;
}
