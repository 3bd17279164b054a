/**
 * The operators in words, each three-valued: a type it was not made for gives unknown, never false. Must never throw, coerce or compare by
 * locale. PROTOCOL §7.
 */

import type { Json } from '@openexec/canon';
import type { POLICY_OPERATORS } from '@openexec/protocol';

/** Kleene's three values, ordered: `all` is the least, `any` the greatest, `not` the mirror. */
export type Truth = 0 | 1 | 2;
/** The condition does not hold. */
export const FALSE: Truth = 0;
/** A field is missing or of a type that the operator was not made for; what a rule makes of it depends on its decision (PROTOCOL §7). */
export const UNKNOWN: Truth = 1;
/** The condition holds. */
export const TRUE: Truth = 2;

/** An operator of the language, as a bundle spells it. */
export type PolicyOperator = (typeof POLICY_OPERATORS)[number];

/** A path that could climb, or be read in two ways, is not compared. */
const PLAIN_PATH = /^(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0]+$/s;

/** The mirror. */
export function notTruth(truth: Truth): Truth {
  return truth === TRUE ? FALSE : truth === FALSE ? TRUE : UNKNOWN;
}

/** The test of one field for an operator and its value; `undefined` is a missing field. */
export function operatorTest(op: PolicyOperator, expected: Json): (actual: Json | undefined) => Truth {
  if (op === 'exists') return (actual) => truthOf((actual !== undefined) === expected);
  const test = presentTest(op, expected);
  return (actual) => (actual === undefined ? UNKNOWN : test(actual));
}

/** Why a value does not suit an operator, or null. */
export function valueProblem(op: PolicyOperator, value: Json): string | null {
  switch (op) {
    case 'eq':
    case 'ne':
      return null;
    case 'in':
    case 'notIn':
      return Array.isArray(value) && value.length > 0 ? null : 'takes a list with at least one value';
    case 'lt':
    case 'le':
    case 'gt':
    case 'ge':
      return typeof value === 'number' || typeof value === 'string' ? null : 'takes a number or a text';
    case 'startsWith':
    case 'endsWith':
      return typeof value === 'string' && value !== '' ? null : 'takes a text that is not empty';
    case 'contains':
      return value !== null && (typeof value !== 'object' || !Array.isArray(value)) && value !== ''
        ? null
        : 'takes one value that is not empty';
    case 'exists':
      return typeof value === 'boolean' ? null : 'takes true or false';
    case 'under':
    case 'anyUnder':
    case 'allUnder':
      return textsOf(value)?.every((path) => PLAIN_PATH.test(path)) === true
        ? null
        : 'takes a directory such as `src`, or a list of them, without `..` and patterns';
    case 'anyNamed':
      return textsOf(value)?.every(isNamePattern) === true ? null : 'takes a name, `prefix*` or `*suffix`, or a list of them';
  }
}

function presentTest(op: Exclude<PolicyOperator, 'exists'>, expected: Json): (actual: Json) => Truth {
  switch (op) {
    case 'eq':
      if (typeof expected === 'string') return (actual) => (typeof actual === 'string' ? truthOf(actual === expected) : UNKNOWN);
      return (actual) => equals(actual, expected);
    case 'ne':
      return (actual) => notTruth(equals(actual, expected));
    case 'in':
      return memberTest(listOf(expected));
    case 'notIn':
      return notMember(listOf(expected));
    case 'lt':
      return (actual) => ordered(actual, expected, (order) => order < 0);
    case 'le':
      return (actual) => ordered(actual, expected, (order) => order <= 0);
    case 'gt':
      return (actual) => ordered(actual, expected, (order) => order > 0);
    case 'ge':
      return (actual) => ordered(actual, expected, (order) => order >= 0);
    case 'startsWith':
      return (actual) => ofTexts(actual, expected, (text, part) => text.startsWith(part));
    case 'endsWith':
      return (actual) => ofTexts(actual, expected, (text, part) => text.endsWith(part));
    case 'contains':
      return (actual) => contains(actual, expected);
    case 'under':
    case 'anyUnder':
    case 'allUnder':
      return underTest(op, textsOf(expected) ?? []);
    case 'anyNamed':
      return namedTest(textsOf(expected) ?? []);
  }
}

/** Whether the field is one of the values; a list of texts is asked as a set. */
function memberTest(values: readonly Json[]): (actual: Json) => Truth {
  const texts = new Set(values);
  if (values.length > 0 && values.every((value) => typeof value === 'string'))
    return (actual) => (typeof actual === 'string' ? truthOf(texts.has(actual)) : UNKNOWN);
  return (actual) => oneOf(values, (value) => equals(actual, value));
}

function notMember(values: readonly Json[]): (actual: Json) => Truth {
  const test = memberTest(values);
  return (actual) => notTruth(test(actual));
}

function truthOf(value: boolean): Truth {
  return value ? TRUE : FALSE;
}

function greatest(truths: readonly Truth[]): Truth {
  return truths.includes(TRUE) ? TRUE : truths.includes(UNKNOWN) ? UNKNOWN : FALSE;
}

/** JSON equality between values of one type. A rule that names null asks a plain question; a field that is null where something typed is expected does not answer it. */
function equals(actual: Json, expected: Json): Truth {
  if (expected === null) return truthOf(actual === null);
  return typeName(actual) === typeName(expected) ? truthOf(sameJson(actual, expected)) : UNKNOWN;
}

function sameJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  const keys = Object.keys(a);
  if (isList(a) !== isList(b) || keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => {
    const other = member(b, key);
    const own = member(a, key);
    return other !== undefined && own !== undefined && sameJson(own, other);
  });
}

function member(container: Json, key: string): Json | undefined {
  // Asked of containers only, for own members.
  return Object.hasOwn(container as object, key) ? (container as Readonly<Record<string, Json>>)[key] : undefined;
}

function typeName(value: Json): string {
  return value === null ? 'null' : isList(value) ? 'list' : typeof value;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function listOf(value: Json): readonly Json[] {
  return isList(value) ? value : [];
}

/** True when one of the values is; unknown only when none is and every one of them was of another type. */
function oneOf(values: readonly Json[], test: (value: Json) => Truth): Truth {
  let decided = values.length === 0;
  for (const value of values) {
    const truth = test(value);
    if (truth === TRUE) return TRUE;
    if (truth === FALSE) decided = true;
  }
  return decided ? FALSE : UNKNOWN;
}

/** Two numbers, or two texts by UTF-16 code units (so that instants compare as times). */
function ordered(actual: Json, expected: Json, test: (order: number) => boolean): Truth {
  if (typeof actual === 'number' && typeof expected === 'number') return truthOf(test(actual - expected));
  if (typeof actual !== 'string' || typeof expected !== 'string') return UNKNOWN;
  return truthOf(test(actual < expected ? -1 : actual > expected ? 1 : 0));
}

function ofTexts(actual: Json, expected: Json, test: (text: string, part: string) => boolean): Truth {
  return typeof actual === 'string' && typeof expected === 'string' ? truthOf(test(actual, expected)) : UNKNOWN;
}

function contains(actual: Json, expected: Json): Truth {
  if (isList(actual)) return oneOf(actual, (value) => equals(value, expected));
  return ofTexts(actual, expected, (text, part) => text.includes(part));
}

function underTest(op: 'under' | 'anyUnder' | 'allUnder', directories: readonly string[]): (actual: Json) => Truth {
  const prefixes = directories.map((directory) => `${directory}/`);
  const one = (path: string): Truth => {
    if (!PLAIN_PATH.test(path)) return UNKNOWN;
    return truthOf(directories.includes(path) || prefixes.some((prefix) => path.startsWith(prefix)));
  };
  if (op === 'under') return (actual) => (typeof actual === 'string' ? one(actual) : UNKNOWN);
  if (op === 'anyUnder') return (actual) => ofPaths(actual, (paths) => greatest(paths.map(one)));
  return (actual) => ofPaths(actual, (paths) => notTruth(greatest(paths.map((path) => notTruth(one(path))))));
}

/** One path or a list of paths; anything else in the field is a type mismatch. */
function ofPaths(actual: Json, test: (paths: readonly string[]) => Truth): Truth {
  const paths = textsOf(actual);
  return paths === null ? UNKNOWN : test(paths);
}

function textsOf(value: Json): readonly string[] | null {
  if (typeof value === 'string') return [value];
  return isList(value) && value.every((item) => typeof item === 'string') ? value : null;
}

function isNamePattern(pattern: string): boolean {
  const name = pattern.replace(/^\*|\*$/, '');
  return name !== '' && !/[*/\0]/.test(name) && name !== '.' && name !== '..';
}

/** File systems that ignore case make `.ENV` and `.env` one file; a rule about a name means both. */
function namedTest(patterns: readonly string[]): (actual: Json) => Truth {
  const tests = patterns.map(asciiLower).map((pattern) => {
    if (pattern.startsWith('*')) return (segment: string) => segment.endsWith(pattern.slice(1));
    if (pattern.endsWith('*')) return (segment: string) => segment.startsWith(pattern.slice(0, -1));
    return (segment: string) => segment === pattern;
  });
  const one = (path: string): Truth => {
    if (!PLAIN_PATH.test(path)) return UNKNOWN;
    return truthOf(
      asciiLower(path)
        .split('/')
        .some((segment) => tests.some((test) => test(segment))),
    );
  };
  return (actual) => ofPaths(actual, (paths) => greatest(paths.map(one)));
}

/** Whether any of the paths has a segment with one of the names (exact, `prefix*`, `*suffix`). A path that is none counts as named: a refusal errs on the safe side. */
export function anyNamed(paths: readonly string[], names: readonly string[]): boolean {
  return names.length > 0 && paths.length > 0 && namedTest(names)([...paths]) !== FALSE;
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
