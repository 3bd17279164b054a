/**
 * Which paths an intent would read and write, found in its arguments before anything is opened (PROTOCOL §6 step 5). Must never guess: arguments
 * whose paths cannot be told are refused.
 */
import { err, type Json, ok, type Result } from '@openexec/canon';
import type { ActionContract } from '@openexec/protocol';
import { isObject, member } from './arguments.ts';
import { type PatchTouch, readChange, touchesOf } from './change.ts';
import type { ArgumentError } from './errors.ts';
import { parsePatch } from './patch.ts';
import { checkPath } from './paths.ts';

/** Sorted, without duplicates. A folder read as a whole appears as `dir/**`, the whole tree as `**`: both are under the same pattern of a writ. */
export interface TouchedPaths {
  readonly read: readonly string[];
  readonly write: readonly string[];
}
type Source = ActionContract['paths'][number];

/** The paths an action would touch with these arguments. */
export function pathsOf(action: ActionContract, args: Json): Result<TouchedPaths, ArgumentError> {
  const found = { read: new Set<string>(), write: new Set<string>() };
  for (const source of action.paths) {
    const paths = pathsAt(source, args);
    if (!paths.ok) return paths;
    for (const path of paths.value) found[source.access].add(path);
  }
  // Default sort compares UTF-16 code units: the same order everywhere.
  return ok({ read: [...found.read].sort(), write: [...found.write].sort() });
}

function pathsAt(source: Source, args: Json): Result<readonly string[], ArgumentError> {
  if (!isObject(args)) return err({ code: 'arguments.invalid', message: 'the arguments are not an object' });
  const value = member(args, source.argument);
  if (source.as === 'files') return filesAt(source.argument, value);
  if (value === undefined) return ok([]);
  if (source.as === 'edits') return changedAt(source, args);
  if (typeof value !== 'string') return err({ code: 'arguments.invalid', message: `"${source.argument}" must be a string` });
  if (source.as === 'path') {
    const path = checkPath(value);
    return path.ok ? ok([path.value]) : path;
  }
  if (member(args, 'format') === 'v4a') return changedAt(source, args);
  const patch = parsePatch(value);
  if (!patch.ok) return patch;
  const files = source.access === 'write' ? patch.value.files : patch.value.files.filter((file) => file.kind !== 'create');
  return ok(files.map((file) => file.path));
}

/** The paths of a change; what it creates is not read. */
function changedAt(source: Source, args: Json): Result<readonly string[], ArgumentError> {
  const touches = patchTouches(args);
  if (!touches.ok) return touches;
  return ok(touches.value.filter(({ needs }) => source.access === 'write' || needs !== 'absent').map(({ path }) => path));
}

/** A folder means everything below it, its absence the whole tree; a list means these very files. */
function filesAt(argument: string, value: Json | undefined): Result<readonly string[], ArgumentError> {
  if (value === undefined) return ok(['**']);
  if (typeof value === 'string') {
    const path = checkPath(value);
    return path.ok ? ok([`${path.value}/**`]) : path;
  }
  if (!Array.isArray(value)) return err({ code: 'arguments.invalid', message: `"${argument}" must be a folder or a list of files` });
  const paths: string[] = [];
  for (const item of value) {
    if (typeof item !== 'string') return err({ code: 'arguments.invalid', message: `"${argument}" holds something that is not a path` });
    const path = checkPath(item);
    if (!path.ok) return path;
    paths.push(path.value);
  }
  return ok(paths);
}

/** The paths of an apply_patch and what each needs, in the order of the patch; also checks that the members fit the format. */
export function patchTouches(args: Json): Result<readonly PatchTouch[], ArgumentError> {
  const change = readChange(args);
  return change.ok ? ok(touchesOf(change.value)) : change;
}
