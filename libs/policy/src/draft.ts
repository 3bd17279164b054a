/**
 * Drafts of rules: from what people decided again and again to the narrowest rule that says the same, as a whole bundle with its examples. Takes plain
 * values of fields only, never a text that somebody wrote about them; a draft is no policy until somebody signs it. PROTOCOL §7, GOALS E19.
 */

import { canonicalText, type Json } from '@openexec/canon';
import type { ApprovalTerms, PolicyBundle, PolicyCondition, PolicyRule } from '@openexec/protocol';
import { testBundle } from './examples.ts';
import { splitField } from './fields.ts';

/** Fields with the one value that each had. */
export type FieldValues = Readonly<Record<string, Json>>;
/** What to draft: a permit for exactly these fields, excepted from the rules that asked about them; or a question about them. */
export type Wanted =
  | { readonly id: string; readonly permit: FieldValues; readonly except: readonly string[]; readonly because: string }
  | { readonly id: string; readonly ask: FieldValues; readonly hosts: true; readonly terms: ApprovalTerms; readonly because: string };

/** A host of the examples; the rule itself names none. */
const SOME_HOST = 'host.example:443';

/** The bundle with the drafts in it, under a name of its own. Rules that asked are excepted by exactly what is permitted, nothing else is touched. */
export function draftBundle(base: PolicyBundle, wanted: readonly Wanted[]): PolicyBundle {
  const rules = base.rules.map((rule) => {
    const exceptions = wanted.flatMap((each) => ('permit' in each && each.except.includes(rule.id) ? [each.permit] : []));
    return exceptions.length === 0 ? rule : withExceptions(rule, exceptions);
  });
  const name = base.name.endsWith('-advised') ? base.name : `${base.name.slice(0, 48)}-advised`;
  return { version: 1, name, rules: [...rules, ...wanted.map(ruleOf)] };
}

function ruleOf(wanted: Wanted): PolicyRule {
  const { id, because } = wanted;
  if ('permit' in wanted) {
    const { permit } = wanted;
    const noMatch = Object.keys(permit).map((field) => nested({ ...permit, [field]: another(permit[field] ?? null) }));
    return { id, when: exactly(permit), decide: 'permit', because, examples: { match: [nested(permit)], noMatch } };
  }
  const { ask, terms } = wanted;
  const when: PolicyCondition = { all: [...leavesOf(ask), { field: 'hosts.0', op: 'exists', value: true }] };
  const match = nested({ ...ask, hosts: [SOME_HOST] });
  const others = Object.keys(ask).map((field) => nested({ ...ask, [field]: another(ask[field] ?? null), hosts: [SOME_HOST] }));
  return {
    id,
    when,
    decide: { approve: terms },
    because,
    examples: { match: [match], noMatch: [nested({ ...ask, hosts: [] }), ...others] },
  };
}

/** The rule as it was, except for exactly these fields; examples that the exception leaves open are made to differ from it. */
function withExceptions(rule: PolicyRule, exceptions: readonly FieldValues[]): PolicyRule {
  const when: PolicyCondition = { all: [rule.when, ...exceptions.map((each): PolicyCondition => ({ not: exactly(each) }))] };
  const noMatch = [...rule.examples.noMatch, ...exceptions.map(nested)];
  const excepted = (match: Json[]): PolicyRule => ({ ...rule, when, examples: { match, noMatch } });
  const outcomes = testBundle({ version: 1, name: 'draft', rules: [excepted(rule.examples.match)] });
  const match = rule.examples.match.map((example, at) => {
    const open = outcomes.some((each) => each.list === 'match' && each.at === at && each.problem !== null);
    return open ? merged(example, nested(elsewhere(exceptions))) : example;
  });
  return excepted(match);
}

/** One field of the exceptions with a value that none of them has; the others stay as an example has them. */
function elsewhere(exceptions: readonly FieldValues[]): FieldValues {
  const stages = exceptions.map((each) => textOf(each['stage.id']));
  return { 'stage.id': `${stages.join('.')}.other` };
}

function exactly(values: FieldValues): PolicyCondition {
  return { all: leavesOf(values) };
}

function leavesOf(values: FieldValues): PolicyCondition[] {
  return Object.entries(values).map(([field, value]) => ({ field, op: 'eq', value }));
}

/** Another value of the same type. */
function another(value: Json): Json {
  if (Array.isArray(value)) return [...(value as readonly Json[]), 'another'];
  if (typeof value === 'boolean') return !value;
  return typeof value === 'number' ? value + 1 : `${textOf(value)}.other`;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : canonicalText(value ?? null);
}

/** Dotted fields as the object that they are members of. */
function nested(values: FieldValues): Json {
  return Object.entries(values).reduce<Json>((made, [field, value]) => merged(made, chain(splitField(field), value)), {});
}

function chain(path: readonly string[], value: Json): Json {
  const [first, ...rest] = path;
  return first === undefined ? value : { [first]: chain(rest, value) };
}

/** Members of the second over those of the first, as deep as both are objects. */
function merged(first: Json, second: Json): Json {
  if (!isObject(first) || !isObject(second)) return second;
  const made: Record<string, Json> = { ...first };
  for (const [key, value] of Object.entries(second)) made[key] = Object.hasOwn(first, key) ? merged(first[key] ?? null, value) : value;
  return made;
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
