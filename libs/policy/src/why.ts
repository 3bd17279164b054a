/**
 * Why a set says what it says: every rule of every layer with each field, its value and its truth, and what would have to be otherwise for a permit.
 * Asks the very tests that an evaluation asks; must never show a truth that the evaluation does not have. PROTOCOL §7.
 */

import { canonicalText, type Json } from '@openexec/canon';
import type { PolicyCondition, PolicyLayerName } from '@openexec/protocol';
import { inOrder, type LayeredPolicy, mayPermit } from './compile.ts';
import { lookup, splitField } from './fields.ts';
import { FALSE, notTruth, operatorTest, TRUE, type Truth, UNKNOWN } from './operators.ts';
import type { PolicyVerdict } from './strictness.ts';

/** A truth in words. */
export type TruthWord = 'true' | 'false' | 'unknown';
/** One question of a rule. `actual` is the canonical text of the field's value, cut where it is long; null where the field is missing. */
export interface FieldWhy {
  readonly field: string;
  readonly op: string;
  /** Canonical text. */
  readonly value: string;
  readonly actual: string | null;
  readonly truth: TruthWord;
}
/** A condition with the truth of each of its parts. */
export type ConditionWhy =
  | FieldWhy
  | { readonly all: readonly ConditionWhy[]; readonly truth: TruthWord }
  | { readonly any: readonly ConditionWhy[]; readonly truth: TruthWord }
  | { readonly not: ConditionWhy; readonly truth: TruthWord };
/** One rule. `applies` says whether it took effect: a permit only where true, a refusal or a question also where unknown. */
export interface RuleWhy {
  readonly layer: PolicyLayerName;
  readonly bundle: string;
  readonly rule: string;
  readonly decide: PolicyVerdict;
  readonly because: string;
  readonly truth: TruthWord;
  readonly applies: boolean;
  readonly when: ConditionWhy;
}
/** One field that would have to answer otherwise. */
export interface FieldChange extends FieldWhy {
  readonly mustBe: 'true' | 'false';
}
/** What one rule would have to be, and the fewest answers that make it so. */
export interface RuleChange {
  readonly layer: PolicyLayerName;
  readonly rule: string;
  readonly mustBe: 'true' | 'false';
  readonly changes: readonly FieldChange[];
}
/** The whole of it. */
export interface Why {
  /** Every rule, the outermost layer first, in the order of its bundle. */
  readonly rules: readonly RuleWhy[];
  /** For a permit: all of these together. Empty where it is permitted; null where no change of the action alone leads to one. */
  readonly toPermit: readonly RuleChange[] | null;
}

const MAX_TEXT = 400;
const MAX_LINE = 120;
const WORDS: Readonly<Record<Truth, TruthWord>> = { 0: 'false', 1: 'unknown', 2: 'true' };

/** A condition asked again, with what it found. */
interface Asked {
  readonly truth: Truth;
  readonly why: ConditionWhy;
  /** The fewest answers that make it true, and those that make it false; null where an answer that is settled stands in the way. */
  readonly toTrue: Changes;
  readonly toFalse: Changes;
}
type Changes = readonly FieldChange[] | null;
/** Answers that are settled already, by their question. */
type Settled = ReadonlyMap<string, Truth>;

/** Explains the set on these fields. */
export function why(set: LayeredPolicy, fields: Json): Why {
  const layers = inOrder(set);
  const asked = layers.flatMap(({ layer, bundle }) =>
    bundle.rules.map((rule) => {
      const { truth, why: when, toFalse } = ask(rule.when, fields, new Map());
      const decide: PolicyVerdict = typeof rule.decide === 'string' ? rule.decide : 'approve';
      const applies = truth === TRUE || (truth === UNKNOWN && decide !== 'permit');
      const { id, because } = rule;
      const told: RuleWhy = { layer, bundle: bundle.name, rule: id, decide, because, truth: WORDS[truth], applies, when };
      return { told, toFalse: toFalse ?? [] };
    }),
  );
  const against = asked
    .filter(({ told }) => told.applies && told.decide !== 'permit')
    .map(({ told, toFalse }): RuleChange => ({ layer: told.layer, rule: told.rule, mustBe: 'false', changes: toFalse }));
  return { rules: asked.map(({ told }) => told), toPermit: wayToPermit(layers[0], against, fields) };
}

/** What speaks against it must fall silent, and with that settled a rule of the outermost layer must permit. */
function wayToPermit(
  outermost: LayeredPolicy['layers'][number] | undefined,
  against: readonly RuleChange[],
  fields: Json,
): Why['toPermit'] {
  const settled = settle(against);
  if (settled === null || outermost === undefined || !mayPermit(outermost.layer)) return null;
  const { layer, bundle } = outermost;
  const ways = bundle.rules.flatMap(({ id, decide, when }): RuleChange[] => {
    const changes = decide === 'permit' ? ask(when, fields, settled).toTrue : null;
    return changes === null ? [] : [{ layer, rule: id, mustBe: 'true', changes }];
  });
  const [nearest] = ways.toSorted((a, b) => a.changes.length - b.changes.length);
  if (nearest === undefined) return null;
  return nearest.changes.length === 0 ? against : [...against, nearest];
}

/** The answers that these changes settle; null where one question would have to be answered both ways. */
function settle(changes: readonly RuleChange[]): Settled | null {
  const answers = new Map<string, Truth>();
  for (const change of changes.flatMap((each) => each.changes)) {
    const answer = change.mustBe === 'true' ? TRUE : FALSE;
    if ((answers.get(questionOf(change)) ?? answer) !== answer) return null;
    answers.set(questionOf(change), answer);
  }
  return answers;
}

function questionOf({ field, op, value }: Pick<FieldWhy, 'field' | 'op' | 'value'>): string {
  return `${field} ${op} ${value}`;
}

function ask(condition: PolicyCondition, fields: Json, settled: Settled): Asked {
  if ('all' in condition) return askMany('all', condition.all, fields, settled);
  if ('any' in condition) return askMany('any', condition.any, fields, settled);
  if ('not' in condition) {
    const inner = ask(condition.not, fields, settled);
    const truth = notTruth(inner.truth);
    return { truth, why: { not: inner.why, truth: WORDS[truth] }, toTrue: inner.toFalse, toFalse: inner.toTrue };
  }
  const { field, op, value } = condition;
  const actual = lookup(fields, splitField(field));
  const asked = { field, op, value: cutText(value), actual: actual === undefined ? null : cutText(actual) };
  const fixed = settled.get(questionOf(asked));
  const truth = fixed ?? operatorTest(op, value)(actual);
  const told: FieldWhy = { ...asked, truth: WORDS[truth] };
  const change = (to: Truth, mustBe: FieldChange['mustBe']): Changes =>
    truth === to ? [] : fixed === undefined ? [{ ...told, mustBe }] : null;
  return { truth, why: told, toTrue: change(TRUE, 'true'), toFalse: change(FALSE, 'false') };
}

/** `all` is true where every part is and false where one is; `any` the other way round. */
function askMany(word: 'all' | 'any', conditions: readonly PolicyCondition[], fields: Json, settled: Settled): Asked {
  const parts = conditions.map((each) => ask(each, fields, settled));
  const decisive = word === 'all' ? FALSE : TRUE;
  const truths = parts.map((part) => part.truth);
  const truth = truths.includes(decisive) ? decisive : truths.includes(UNKNOWN) ? UNKNOWN : notTruth(decisive);
  const whys = parts.map((part) => part.why);
  const toTrue = parts.map((part) => part.toTrue);
  const toFalse = parts.map((part) => part.toFalse);
  return word === 'all'
    ? { truth, why: { all: whys, truth: WORDS[truth] }, toTrue: every(toTrue), toFalse: fewest(toFalse) }
    : { truth, why: { any: whys, truth: WORDS[truth] }, toTrue: fewest(toTrue), toFalse: every(toFalse) };
}

function every(changes: readonly Changes[]): Changes {
  return changes.reduce<Changes>((all, each) => (all === null || each === null ? null : [...all, ...each]), []);
}

function fewest(changes: readonly Changes[]): Changes {
  return changes.reduce((least, each) => (least === null || (each !== null && each.length < least.length) ? each : least), null);
}

function short(text: string): string {
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE)}…`;
}

function cutText(value: Json): string {
  const text = canonicalText(value);
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

/** The same as lines for people: rule by rule, each question with its value and its answer, then what would have to change. */
export function whyLines({ rules, toPermit }: Why): readonly string[] {
  const lines = rules.flatMap(({ layer, rule, decide, truth, applies, because, when }) => [
    `rule ${layer}/${rule}: ${truth}, says ${decide}${applies ? '' : ', not applied'} (${because})`,
    ...conditionLines(when, '  '),
  ]);
  if (toPermit === null) return [...lines, 'to be permitted: the policy itself would have to change'];
  const wanted = toPermit.flatMap(({ layer, rule, mustBe, changes }) => [
    `to be permitted: ${layer}/${rule} would have to be ${mustBe}`,
    ...changes.map((each) => `  ${each.field} ${each.op} ${short(each.value)} is ${each.truth}, would have to be ${each.mustBe}`),
  ]);
  return [...lines, ...wanted];
}

function conditionLines(condition: ConditionWhy, indent: string): readonly string[] {
  const { truth } = condition;
  if ('field' in condition)
    return [
      `${indent}${truth}: ${condition.field} ${condition.op} ${short(condition.value)}; it is ${short(condition.actual ?? 'missing')}`,
    ];
  const [word, parts] =
    'all' in condition ? ['all of', condition.all] : 'any' in condition ? ['any of', condition.any] : ['not', [condition.not]];
  return [`${indent}${truth}: ${word}`, ...parts.flatMap((part) => conditionLines(part, `${indent}  `))];
}
