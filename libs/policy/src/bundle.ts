/**
 * Reads a bundle from parsed data: shape, fields, operators, values, ids, and the examples of every rule. Must never admit a bundle in part: one
 * problem refuses it whole. PROTOCOL §7.
 */

import { type Digest, digestJson, err, type Json, ok, type Result } from '@openexec/canon';
import { nearest, POLICY_OPERATORS, type PolicyBundle, policyBundle, type PolicyRule, type PolicySet } from '@openexec/protocol';
import { failedExamples } from './examples.ts';
import { POLICY_FIELDS, splitField } from './fields.ts';
import { type PolicyOperator, valueProblem } from './operators.ts';
import type { PolicyProblem } from './problem.ts';

type Path = readonly (string | number)[];
/** A policy set holds the bundle four levels down, and stored JSON at most 64. */
const MAX_DEPTH = 48;
const MAX_PROBLEMS = 20;
const SHAPES = ['all', 'any', 'not', 'field'] as const;

/** The bundle with every example as it should be, or every problem it has. */
export function checkBundle(json: Json): Result<PolicyBundle, readonly PolicyProblem[]> {
  const read = readBundle(json);
  if (!read.ok) return read;
  const failed = failedExamples(read.value);
  return failed.length === 0 ? read : err(failed);
}

/** The bundle by its shape, names, fields and values; its examples are not run. */
export function readBundle(json: Json): Result<PolicyBundle, readonly PolicyProblem[]> {
  const content = contentProblems(json, []);
  if (content.length > 0) return err(content);
  const conditions = rulesOf(json).flatMap((rule, index) => shapeProblems(member(rule, 'when'), ['rules', index, 'when']));
  const parsed = policyBundle.safeParse(json);
  if (!parsed.success) return err([...conditions, ...parsed.error.issues.flatMap((issue) => shown(issue, conditions))]);
  if (conditions.length > 0) return err(conditions);
  const bundle = parsed.data;
  const problems = [...duplicateProblems(bundle), ...bundle.rules.flatMap(ruleProblems)];
  return problems.length === 0 ? ok(bundle) : err(problems);
}

/** The digest over the full content of a set: rules, examples, reasons, order (PROTOCOL §7). */
export function policySetDigest(set: PolicySet): Digest {
  return digestJson(set);
}

/**
 * What no bundle holds at any place: a number that is no safe integer (PROTOCOL §1), a nesting that would not fit once the bundle stands in a policy set.
 * Walks no deeper than the limit, and names at most so many places.
 */
function contentProblems(value: Json, path: Path): PolicyProblem[] {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    return [
      { code: 'policy.number', message: `${where(path)}: ${value} is no whole number that is kept exactly; policies hold no other`, path },
    ];
  if (value === null || typeof value !== 'object') return [];
  if (path.length >= MAX_DEPTH)
    return [{ code: 'policy.tooDeep', message: `${where(path.slice(0, 4))}: nested more than ${MAX_DEPTH} deep`, path: path.slice(0, 4) }];
  const problems: PolicyProblem[] = [];
  const members: readonly (readonly [string | number, Json])[] = Array.isArray(value)
    ? (value as readonly Json[]).map((each, index) => [index, each] as const)
    : Object.entries(value);
  for (const [step, each] of members) {
    problems.push(...contentProblems(each, [...path, step]));
    if (problems.length >= MAX_PROBLEMS) return problems.slice(0, MAX_PROBLEMS);
  }
  return problems;
}

/** The shape of a condition, said better than a union of schemas can. */
function shapeProblems(condition: Json | undefined, path: Path): PolicyProblem[] {
  if (condition === undefined) return [];
  const keys = isRecord(condition) ? Object.keys(condition) : [];
  const shapes = SHAPES.filter((shape) => keys.includes(shape));
  const [shape] = shapes;
  if (shape === undefined || shapes.length > 1) {
    return [{ code: 'policy.malformed', message: `${where(path)}: a condition is one of all, any, not, or {field, op, value}`, path }];
  }
  const allowed = shape === 'field' ? ['field', 'op', 'value'] : [shape];
  const extra = keys
    .filter((key) => !allowed.includes(key))
    .map((key): PolicyProblem => {
      return { code: 'policy.unknownKey', message: `${where(path)}: unknown key ${key}${hint(key, allowed)}`, path: [...path, key] };
    });
  if (shape === 'field') return [...extra, ...leafProblems(condition, path)];
  const inner = member(condition, shape);
  if (shape === 'not') return [...extra, ...shapeProblems(inner, [...path, 'not'])];
  if (!Array.isArray(inner))
    return [...extra, { code: 'policy.malformed', message: `${where(path)}: ${shape} takes a list of conditions`, path: [...path, shape] }];
  return [...extra, ...inner.flatMap((part: Json, index) => shapeProblems(part, [...path, shape, index]))];
}

function leafProblems(leaf: Json, path: Path): PolicyProblem[] {
  const op = member(leaf, 'op');
  if (typeof op !== 'string' || !isOperator(op)) {
    const said = typeof op === 'string' ? `unknown operator ${op}${hint(op, POLICY_OPERATORS)}` : 'an operator is missing';
    return [
      {
        code: 'policy.unknownOperator',
        message: `${where(path)}: ${said}; there are ${POLICY_OPERATORS.join(', ')}`,
        path: [...path, 'op'],
      },
    ];
  }
  const value = member(leaf, 'value');
  if (value === undefined) return [{ code: 'policy.malformed', message: `${where(path)}: a value is missing`, path }];
  const unsuited = valueProblem(op, value);
  const problems: PolicyProblem[] =
    unsuited === null ? [] : [{ code: 'policy.value', message: `${where(path)}: ${op} ${unsuited}`, path: [...path, 'value'] }];
  const field = member(leaf, 'field');
  const unknown = typeof field === 'string' ? fieldProblem(field, [...path, 'field']) : null;
  return unknown === null ? problems : [unknown, ...problems];
}

function fieldProblem(field: string, path: Path): PolicyProblem | null {
  const [root = '', second] = splitField(field);
  if (root === 'intent' && second === 'claims') {
    return {
      code: 'policy.claim',
      message: `${where(path)}: what a model claims about its own action decides nothing; ask about action.risk instead`,
      path,
    };
  }
  const roots = Object.keys(POLICY_FIELDS);
  if (!roots.includes(root))
    return {
      code: 'policy.unknownField',
      message: `${where(path)}: unknown field ${field}${hint(root, roots)}; fields begin with ${roots.join(', ')}`,
      path,
    };
  const members = POLICY_FIELDS[root] ?? null;
  if (members === null || second === undefined || members.includes(second)) return null;
  return {
    code: 'policy.unknownField',
    message: `${where(path)}: ${root} has no ${second}${hint(second, members)}; it has ${members.join(', ')}`,
    path,
  };
}

function duplicateProblems(bundle: PolicyBundle): PolicyProblem[] {
  const seen = new Set<string>();
  return bundle.rules.flatMap(({ id }, index): PolicyProblem[] => {
    const again = seen.has(id);
    seen.add(id);
    return again
      ? [
          {
            code: 'policy.duplicateRule',
            message: `rules.${index}: a rule named ${id} stands above already; give it a name of its own`,
            path: ['rules', index, 'id'],
          },
        ]
      : [];
  });
}

function ruleProblems(rule: PolicyRule, index: number): PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  if (typeof rule.decide !== 'string') {
    const path = ['rules', index, 'decide', 'approve'];
    const { roles, ttlMs } = rule.decide.approve;
    if (roles.includes('runtime'))
      problems.push({
        code: 'policy.terms',
        message: `rule ${rule.id}: a runtime key never approves; name other roles`,
        path: [...path, 'roles'],
      });
    if (ttlMs === 0)
      problems.push({ code: 'policy.terms', message: `rule ${rule.id}: ttlMs 0 leaves no time to approve`, path: [...path, 'ttlMs'] });
  }
  return problems;
}

/** One schema issue in our words; silent where the walk over conditions has said it better. */
function shown(
  issue: { readonly code?: string; readonly message: string; readonly path: readonly PropertyKey[]; readonly keys?: readonly string[] },
  said: readonly PolicyProblem[],
): PolicyProblem[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  if (path[0] === 'rules' && path[2] === 'when' && said.some((problem) => problem.path[1] === path[1])) return [];
  if (issue.code === 'unrecognized_keys' && issue.keys !== undefined) {
    return issue.keys.map(
      (key): PolicyProblem => ({ code: 'policy.unknownKey', message: `${where(path)}: unknown key ${key}`, path: [...path, key] }),
    );
  }
  const message =
    path[path.length - 1] === 'decide'
      ? 'decide is permit, deny, or {approve: {roles, quorum, ttlMs, minAssurance, openerMayApprove}}'
      : issue.message;
  return [{ code: 'policy.malformed', message: `${where(path)}: ${message}`, path }];
}

function rulesOf(json: Json): readonly Json[] {
  const rules = member(json, 'rules');
  return Array.isArray(rules) ? rules : [];
}

function isRecord(value: Json): value is { readonly [key: string]: Json } {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function member(value: Json, key: string): Json | undefined {
  return isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isOperator(text: string): text is PolicyOperator {
  return POLICY_OPERATORS.some((op) => op === text);
}

function hint(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  return close === null ? '' : ` (did you mean ${close}?)`;
}

function where(path: Path): string {
  return path.length === 0 ? 'the bundle' : path.join('.');
}
