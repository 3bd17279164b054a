/**
 * From parsed data to a blueprint as written: the schema's refusals in our words. Must never drop a key it does not know. OPENEXEC §1.1, §1.2.
 */

import { err, type Json, ok, type Result } from '@openexec/canon';
import { approvalMode, type Blueprint, blueprint, blueprintScope, sandboxMode } from '@openexec/protocol';
import { type BlueprintProblem, hint } from './problems.ts';

const TOP_KEYS = ['version', 'name', 'description', 'scope', 'delegates', 'defaults', 'stages'];
const DEFAULT_KEYS = ['toolset', 'sandbox', 'max_step_retries', 'max_stage_visits', 'approval_mode', 'protect'];
const CONDITION_KEYS = ['artifact', 'exists', 'field', 'eq'];
const COMMON_STAGE_KEYS = [
  'id',
  'type',
  'inputs',
  'outputs',
  'on_success',
  'on_failure',
  'retry_limit',
  'visit_limit',
  'approval_required',
  'sandbox',
  'when',
];
const STAGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  deterministic: [...COMMON_STAGE_KEYS, 'action', 'arguments'],
  agent: [...COMMON_STAGE_KEYS, 'goal', 'toolset', 'turn_limit', 'protect'],
};
/** Whole numbers with their bounds, as the schema has them: said in one sentence each. */
const BOUNDS: Readonly<Record<string, string>> = {
  retry_limit: '1 to 10',
  max_step_retries: '1 to 10',
  visit_limit: '1 to 20',
  max_stage_visits: '1 to 20',
  turn_limit: '1 to 100',
};
/** Keys whose value is one of a few words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  sandbox: sandboxMode.options,
  approval_mode: approvalMode.options,
  scope: blueprintScope.options,
  type: ['deterministic', 'agent'],
};
/** Modes that the specification names and this version refuses by name. */
const SANDBOX_LATER = ['networked', 'danger_full_access'];

type Path = readonly (string | number)[];
interface Issue {
  readonly code?: string;
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
}

/** The blueprint as written, or every way in which it is not one. */
export function readShape(json: Json): Result<Blueprint, readonly BlueprintProblem[]> {
  const parsed = blueprint.safeParse(json);
  return parsed.success ? ok(parsed.data) : err(parsed.error.issues.flatMap((issue) => shown(issue, json)));
}

function shown(issue: Issue, json: Json): BlueprintProblem[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const at = `${where(path, json)}: `;
  const value = valueAt(json, path);
  const last = path[path.length - 1];
  if (issue.code === 'unrecognized_keys' && issue.keys !== undefined) {
    return issue.keys.map((key): BlueprintProblem => {
      return { code: 'blueprint.unknownKey', message: `${at}${unknownKey(key, path, json)}`, path: [...path, key] };
    });
  }
  if (last === 'action' && value === undefined)
    return [{ code: 'blueprint.missingAction', message: `${at}a deterministic stage names its action`, path: path.slice(0, -1) }];
  if (last === 'goal' && value === undefined)
    return [{ code: 'blueprint.missingGoal', message: `${at}an agent stage says its goal`, path: path.slice(0, -1) }];
  if (last === 'sandbox' && typeof value === 'string' && SANDBOX_LATER.includes(value)) {
    return [
      { code: 'blueprint.sandboxNotOffered', message: `${at}${value} is not offered; use read_only, workspace_write or repo_write`, path },
    ];
  }
  if (last === 'when') return conditionProblems(value, path, at);
  return [{ code: 'blueprint.malformed', message: `${at}${plain(last, issue, value)}`, path }];
}

/** A key of the other type of stage is no slip of the pen, and is told apart from one. */
function unknownKey(key: string, path: Path, json: Json): string {
  const type = path[0] === 'stages' && path.length === 2 ? valueAt(json, [...path, 'type']) : undefined;
  for (const [of, other] of [
    ['agent', 'deterministic'],
    ['deterministic', 'agent'],
  ] as const)
    if (type === of && STAGE_KEYS[other]?.includes(key) === true) return `${key} belongs to stages of type ${other}; this one is ${of}`;
  return `unknown key ${key}${hint(key, keysFor(path, json))}`;
}

function conditionProblems(value: Json | undefined, path: Path, at: string): BlueprintProblem[] {
  const unknown = keysOf(value).filter((key) => !CONDITION_KEYS.includes(key));
  if (unknown.length > 0) {
    return unknown.map((key) => ({
      code: 'blueprint.unknownKey',
      message: `${at}unknown key ${key}${hint(key, CONDITION_KEYS)}`,
      path: [...path, key],
    }));
  }
  const condition = keysOf(value);
  const malformed = (message: string, key?: string): BlueprintProblem[] => [
    { code: 'blueprint.malformed', message: `${at}${message}`, path: key === undefined ? path : [...path, key] },
  ];
  const exists = condition.includes('exists');
  if (exists && (condition.includes('field') || condition.includes('eq')))
    return malformed('a condition is {artifact, exists} or {artifact, field, eq}, not both');
  if (exists && typeof valueAt(value ?? null, ['exists']) !== 'boolean') return malformed('exists is true or false', 'exists');
  if (condition.includes('field') && typeof valueAt(value ?? null, ['field']) !== 'string')
    return malformed('field is a text: names joined by dots', 'field');
  return malformed('a condition is {artifact, exists} or {artifact, field, eq}');
}

function plain(last: string | number | undefined, issue: Issue, value: Json | undefined): string {
  const key = typeof last === 'string' ? last : '';
  if (key === 'version') return 'the version is 1';
  const bounds = Object.hasOwn(BOUNDS, key) ? BOUNDS[key] : undefined;
  if (bounds !== undefined) return `${key} is a whole number from ${bounds}`;
  const words = Object.hasOwn(WORDS, key) ? WORDS[key] : undefined;
  if (key === 'type') return `a stage is of type deterministic or agent${typeof value === 'string' ? hint(value, words ?? []) : ''}`;
  if (words !== undefined) return `${key} is ${words.join(', ')}${typeof value === 'string' ? hint(value, words) : ''}`;
  if (key === 'approval_required') return 'approval_required is true or false';
  if (value === undefined && key !== '') return `${key} is missing`;
  return issue.message;
}

function keysFor(path: Path, json: Json): readonly string[] {
  if (path.length === 0) return TOP_KEYS;
  if (path[0] === 'defaults') return DEFAULT_KEYS;
  if (path[0] !== 'stages' || path.length !== 2) return CONDITION_KEYS;
  const type = valueAt(json, [...path, 'type']);
  return STAGE_KEYS[typeof type === 'string' ? type : ''] ?? COMMON_STAGE_KEYS;
}

/** `stage implement`, or the path where no stage with an id is meant. */
function where(path: Path, json: Json): string {
  if (path[0] !== 'stages' || path.length < 2) return path.length === 0 ? 'blueprint' : path.join('.');
  const id = valueAt(json, ['stages', path[1] ?? 0, 'id']);
  const inner = path.slice(2).join('.');
  const stage = typeof id === 'string' ? `stage ${id}` : `stages.${path[1]}`;
  return inner === '' ? stage : `${stage}, ${inner}`;
}

function valueAt(json: Json, path: Path): Json | undefined {
  let value: Json | undefined = json;
  for (const step of path) {
    if (value === undefined || value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    // An own member of plain data, as was just asked.
    value = (value as Readonly<Record<string, Json>>)[`${step}`];
  }
  return value;
}

function keysOf(value: Json | undefined): readonly string[] {
  return value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.keys(value) : [];
}
