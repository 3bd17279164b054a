/**
 * Which single files a policy keeps from being read. For whatever looks at a folder as a whole: there no rule is asked about each file by itself. Must
 * never call a file readable that the same set would refuse to show by itself. PROTOCOL §7; GOALS E01.
 */

import { canonicalText, type Json } from '@openexec/canon';
import type { PolicyCondition, RuleTrace } from '@openexec/protocol';
import { compileSet, type LayeredPolicy, type PolicyOutcome } from './compile.ts';
import { lookup, splitField } from './fields.ts';

/** The fields of one way of reading, for a path, and without any. */
export interface ReadingProbe {
  /** What policy is asked where exactly this path is read. */
  of(path: string): Json;
  /** The same with all that tells the path left out: what is said then, is not said because of a path. */
  readonly nowhere: Json;
}

const nameOf = ({ layer, rule }: RuleTrace): string => canonicalText([layer, rule]);

/**
 * Tells for a path whether a rule that looks at paths denies it, or asks people first (nobody can be asked for each file of a folder). A rule that says
 * the same of every path speaks about the action, which was judged by itself; where only some paths are permitted, the others are denied.
 */
export function readingDenied(set: LayeredPolicy, probe: ReadingProbe): (path: string) => boolean {
  const evaluate = compileSet(set);
  const nowhere = evaluate(probe.nowhere);
  const anyhow = new Set(nowhere.rules.filter(({ truth }) => truth === 'true').map(nameOf));
  const chosen = permitsByPath(nowhere);
  return (path) => {
    const outcome = evaluate(probe.of(path));
    if (outcome.rules.some((rule) => rule.decide !== 'permit' && !anyhow.has(nameOf(rule)))) return true;
    return chosen && outcome.layers[0]?.verdict === 'noMatch';
  };
}

/** Whether the outermost layer permits some paths and not others: without a path its permits are open. */
function permitsByPath({ layers, rules }: PolicyOutcome): boolean {
  const permits = rules.filter(({ layer, decide }) => decide === 'permit' && layer === layers[0]?.layer);
  return permits.length > 0 && permits.every(({ truth }) => truth === 'unknown');
}

const asked = new WeakMap<LayeredPolicy, readonly string[]>();

/** The values of all fields that the set asks about, as one text: with equal ones it says equal things. `but` names roots that are left out. */
export function askedValues(set: LayeredPolicy, fields: Json, but: readonly string[]): string {
  const known =
    asked.get(set) ?? [...new Set(set.layers.flatMap(({ bundle }) => bundle.rules.flatMap(({ when }) => fieldsOf(when))))].sort();
  asked.set(set, known);
  const values = known.map((field): Json => {
    const path = splitField(field);
    const value = but.includes(path[0] ?? '') ? undefined : lookup(fields, path);
    return value === undefined ? [] : [value];
  });
  return canonicalText(values);
}

function fieldsOf(condition: PolicyCondition): readonly string[] {
  if ('all' in condition) return condition.all.flatMap(fieldsOf);
  if ('any' in condition) return condition.any.flatMap(fieldsOf);
  return 'not' in condition ? fieldsOf(condition.not) : [condition.field];
}
