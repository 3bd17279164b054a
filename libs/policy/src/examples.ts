/**
 * The examples of a bundle, run one by one through the evaluation that runs use. Must never count an example that matches only because a field is
 * missing: it shows nothing. PROTOCOL §7.
 */

import type { Json } from '@openexec/canon';
import type { PolicyBundle, PolicyRule, PolicySet, RuleTrace } from '@openexec/protocol';
import { compileSet } from './compile.ts';
import { compileCondition, Leaves, unknownFields } from './condition.ts';
import { FALSE, TRUE, type Truth } from './operators.ts';
import type { PolicyProblem } from './problem.ts';
import type { PolicyVerdict } from './strictness.ts';

/** How one example came out. */
export interface ExampleOutcome {
  readonly rule: string;
  readonly list: 'match' | 'noMatch';
  /** Its place in the list, from 0. */
  readonly at: number;
  readonly truth: 'true' | 'false' | 'unknown';
  /** What the bundle as a whole, as the only layer, says about it. */
  readonly verdict: PolicyVerdict;
  /** Every rule of the bundle that it set off or left open. */
  readonly hits: readonly RuleTrace[];
  /** Null where it came out as it should. */
  readonly problem: PolicyProblem | null;
}

/** Every example of every rule, in the order of the bundle. Freezes the bundle, as every compilation does. */
export function testBundle(bundle: PolicyBundle): readonly ExampleOutcome[] {
  const set: PolicySet = { layers: [{ layer: 'operator', bundle, source: 'examples' }], riskThreshold: 'high' };
  const evaluate = compileSet(set);
  return eachExample(bundle, ({ rule, list, at, fields, told }): ExampleOutcome => {
    const { verdict, rules } = evaluate(fields);
    return { rule: rule.id, list, at, verdict, hits: rules, ...told };
  });
}

/** The examples that did not come out as they should; each is held against its own rule only. */
export function failedExamples(bundle: PolicyBundle): readonly PolicyProblem[] {
  return eachExample(bundle, ({ told }) => told.problem).filter((problem) => problem !== null);
}

interface RunExample {
  readonly rule: PolicyRule;
  readonly list: 'match' | 'noMatch';
  readonly at: number;
  readonly fields: Json;
  readonly told: Pick<ExampleOutcome, 'truth' | 'problem'>;
}

function eachExample<T>(bundle: PolicyBundle, of: (example: RunExample) => T): readonly T[] {
  return bundle.rules.flatMap((rule, index) => {
    const tell = exampleTest(rule, index);
    const run = (list: 'match' | 'noMatch') =>
      rule.examples[list].map((fields, at) => of({ rule, list, at, fields, told: tell(list, at, fields) }));
    return [...run('match'), ...run('noMatch')];
  });
}

function exampleTest(
  rule: PolicyRule,
  index: number,
): (list: 'match' | 'noMatch', at: number, fields: Json) => Pick<ExampleOutcome, 'truth' | 'problem'> {
  const leaves = new Leaves();
  const when = compileCondition(rule.when, leaves);
  return (list, at, fields) => {
    const frame = leaves.frame(fields);
    const truth = when.truth(frame);
    const applies = rule.decide === 'permit' ? truth === TRUE : truth !== FALSE;
    const said = list === 'match' ? (truth === TRUE ? null : 'does not match the rule') : applies ? 'sets the rule off all the same' : null;
    if (said === null) return { truth: wordOf(truth), problem: null };
    const unknown = unknownFields(when, frame);
    const open = unknown.length === 0 ? '' : `; unknown: ${unknown.join(', ')}`;
    const path = ['rules', index, 'examples', list, at];
    return {
      truth: wordOf(truth),
      problem: { code: 'policy.example', message: `rule ${rule.id}: example ${list}.${at} ${said}${open}`, path },
    };
  };
}

function wordOf(truth: Truth): ExampleOutcome['truth'] {
  return truth === TRUE ? 'true' : truth === FALSE ? 'false' : 'unknown';
}
