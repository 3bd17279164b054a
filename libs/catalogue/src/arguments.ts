/**
 * The interpreter of the closed JSON Schema subset, and what a schema of that subset cannot say about single actions. Must never coerce, default or
 * drop a member: what passes is exactly what was given (PROTOCOL §4.2 "closed JSON Schema subset").
 */
import { canonicalBytes, err, type Json, ok, type Result } from '@openexec/canon';
import { type ActionContract, type ArgumentSchema, nearest } from '@openexec/protocol';
import type { ArgumentError } from './errors.ts';
import { shown } from './paths.ts';

/** `path` is a JSON pointer into the arguments, '' for the whole. */
export interface ArgumentProblem {
  readonly path: string;
  readonly message: string;
}
type JsonObject = { readonly [key: string]: Json };

/** Whether a JSON value is an object; arrays and null are not. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own members only: `__proto__` and `toString` are ordinary names here. */
export function member(value: Json, name: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Checks a value against a schema; the first problem in document order ends it. */
export function checkArguments(schema: ArgumentSchema, value: Json): Result<void, ArgumentProblem> {
  const problem = check(schema, value, '');
  return problem === null ? ok(undefined) : err(problem);
}

function check(schema: ArgumentSchema, value: Json, path: string): ArgumentProblem | null {
  switch (schema.type) {
    case 'string':
      return checkString(schema, value, path);
    case 'integer':
      return typeof value === 'number' && Number.isSafeInteger(value) ? checkRange(schema, value, path) : wrong(path, 'an integer', value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? checkRange(schema, value, path) : wrong(path, 'a number', value);
    case 'boolean':
      return typeof value === 'boolean' ? null : wrong(path, 'true or false', value);
    case 'json':
      return checkBytes(schema.maxBytes, value, path);
    case 'array':
      return checkArray(schema, value, path);
    case 'object':
      return checkObject(schema, value, path);
  }
}

/** Lengths count code points, as JSON Schema does. */
function codePoints(text: string): number {
  let pairs = 0;
  for (let at = 0; at < text.length - 1; at += 1) {
    const unit = text.charCodeAt(at);
    const next = text.charCodeAt(at + 1);
    if (unit >= 0xd800 && unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
      pairs += 1;
      at += 1;
    }
  }
  return text.length - pairs;
}

function checkString(schema: Extract<ArgumentSchema, { type: 'string' }>, value: Json, path: string): ArgumentProblem | null {
  if (typeof value !== 'string') return wrong(path, 'a string', value);
  if (schema.enum !== undefined && !schema.enum.includes(value))
    return { path, message: `"${shown(value, 60)}" is not one of ${schema.enum.join(', ')}` };
  if (schema.minLength === undefined && schema.maxLength === undefined) return null;
  const length = codePoints(value);
  if (schema.minLength !== undefined && length < schema.minLength)
    return { path, message: `has ${length} characters, needs at least ${schema.minLength}` };
  if (schema.maxLength !== undefined && length > schema.maxLength)
    return { path, message: `has ${length} characters, at most ${schema.maxLength} are allowed` };
  return null;
}

function checkRange(schema: { readonly minimum?: number; readonly maximum?: number }, value: number, path: string): ArgumentProblem | null {
  if (schema.minimum !== undefined && value < schema.minimum) return { path, message: `${value} is below ${schema.minimum}` };
  if (schema.maximum !== undefined && value > schema.maximum) return { path, message: `${value} is above ${schema.maximum}` };
  return null;
}

/** Any value; what bounds it is the length of its canonical bytes. */
function checkBytes(maxBytes: number, value: Json, path: string): ArgumentProblem | null {
  const { length } = canonicalBytes(value);
  return length <= maxBytes ? null : { path, message: `is ${length} bytes of JSON, at most ${maxBytes} are allowed` };
}

function checkArray(schema: Extract<ArgumentSchema, { type: 'array' }>, value: Json, path: string): ArgumentProblem | null {
  if (!Array.isArray(value)) return wrong(path, 'an array', value);
  // Array.isArray on a readonly union loses the element type.
  const items = value as readonly Json[];
  if (schema.minItems !== undefined && items.length < schema.minItems)
    return { path, message: `has ${items.length} items, needs at least ${schema.minItems}` };
  if (schema.maxItems !== undefined && items.length > schema.maxItems)
    return { path, message: `has ${items.length} items, at most ${schema.maxItems} are allowed` };
  for (const [index, item] of items.entries()) {
    const problem = check(schema.items, item, `${path}/${index}`);
    if (problem !== null) return problem;
  }
  return null;
}

function checkObject(schema: Extract<ArgumentSchema, { type: 'object' }>, value: Json, path: string): ArgumentProblem | null {
  if (!isObject(value)) return wrong(path, 'an object', value);
  const missing = schema.required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return { path, message: `"${missing}" is missing` };
  for (const [name, part] of Object.entries(value)) {
    const inner = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    if (inner === undefined) {
      const close = nearest(name.slice(0, 64), Object.keys(schema.properties));
      return { path, message: `"${shown(name, 60)}" is not a member${close === null ? '' : `; did you mean "${close}"`}` };
    }
    const problem = check(inner, part, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    if (problem !== null) return problem;
  }
  return null;
}

function wrong(path: string, wanted: string, value: Json): ArgumentProblem {
  const kind =
    value === null
      ? 'null'
      : Array.isArray(value)
        ? 'an array'
        : typeof value === 'object'
          ? 'an object'
          : `the ${typeof value} ${shown(String(value), 40)}`;
  return { path, message: `needs ${wanted}, got ${kind}` };
}

const EXPECTED = /^(?:absent|sha256:[0-9a-f]{64})$/;
/** Which members belong to which format of apply_patch. */
const PATCH_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ['unified', ['format', 'patch']],
  ['v4a', ['format', 'patch']],
  ['search_replace', ['format', 'edits']],
  ['whole_file', ['format', 'path', 'content', 'expected']],
]);
const EDIT_MEMBERS = ['path', 'search', 'replace'];

/** What a shell that read the arguments from a file says about them: the first problem, with its place where the schema knows it; null where there is none. */
export function argumentProblem(action: ActionContract, value: Json): ArgumentProblem | null {
  const shaped = checkArguments(action.arguments, value);
  if (!shaped.ok) return shaped.error;
  const whole = checkActionArguments(action, value);
  return whole.ok ? null : { path: '', message: whole.error.message };
}

/** Schema and, for actions whose members depend on each other, their combination. `arguments.invalid` names the member. */
export function checkActionArguments(action: ActionContract, value: Json): Result<void, ArgumentError> {
  const shaped = checkArguments(action.arguments, value);
  if (!shaped.ok) return invalid(`${action.name}: ${shaped.error.path === '' ? '' : `${shaped.error.path}: `}${shaped.error.message}`);
  if (action.name === 'kv_set') return checkKvSet(value);
  return action.name === 'apply_patch' ? checkPatchArguments(value) : ok(undefined);
}

/** A key gets a value or is retracted: one of both, said outright. */
function checkKvSet(value: Json): Result<void, ArgumentError> {
  const given = member(value, 'value') !== undefined;
  const retract = member(value, 'retract') === true;
  if (given === retract)
    return invalid(
      `kv_set: give ${given ? 'either "value" or "retract": true, not both' : '"value", or "retract": true to take the key away'}`,
    );
  return ok(undefined);
}

/** Which members belong to which `format` of apply_patch; called with arguments that may not have passed the schema yet. */
export function checkPatchArguments(value: Json): Result<void, ArgumentError> {
  const format = member(value, 'format');
  const allowed = typeof format === 'string' ? PATCH_MEMBERS.get(format) : undefined;
  if (!isObject(value) || typeof format !== 'string' || allowed === undefined)
    return invalid(`apply_patch: format must be ${[...PATCH_MEMBERS.keys()].join(', ').replace(/, ([^,]*)$/, ' or $1')}`);
  const extra = Object.keys(value).find((key) => !allowed.includes(key));
  if (extra !== undefined)
    return invalid(`apply_patch: "${shown(extra, 60)}" does not belong to format ${format}, which takes ${allowed.join(', ')}`);
  if (format === 'search_replace') return checkEdits(member(value, 'edits'));
  if (format === 'whole_file') return checkWhole(value);
  return typeof member(value, 'patch') === 'string'
    ? ok(undefined)
    : invalid(`apply_patch: format ${format} needs the text of the patch in "patch"`);
}

function checkEdits(edits: Json | undefined): Result<void, ArgumentError> {
  if (!Array.isArray(edits)) return invalid('apply_patch: format search_replace needs a list of {path, search, replace} in "edits"');
  // Array.isArray on a readonly union loses the element type.
  const bad = (edits as readonly Json[]).findIndex(
    (edit) =>
      !isObject(edit) ||
      Object.keys(edit).length !== EDIT_MEMBERS.length ||
      EDIT_MEMBERS.some((name) => typeof member(edit, name) !== 'string'),
  );
  return bad < 0 ? ok(undefined) : invalid(`apply_patch: edit ${bad + 1} is not {path, search, replace} with a text each`);
}

function checkWhole(value: Json): Result<void, ArgumentError> {
  if (typeof member(value, 'path') !== 'string') return invalid('apply_patch: format whole_file needs "path"');
  if (typeof member(value, 'content') !== 'string') return invalid('apply_patch: format whole_file needs the whole new text in "content"');
  const expected = member(value, 'expected');
  if (expected !== undefined && (typeof expected !== 'string' || !EXPECTED.test(expected)))
    return invalid('apply_patch: "expected" is "absent" or "sha256:" and 64 hex digits, as read_file prints them');
  return ok(undefined);
}

function invalid(message: string): Result<never, ArgumentError> {
  return err({ code: 'arguments.invalid', message });
}
