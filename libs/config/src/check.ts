/**
 * From a parsed file to a checked configuration, or every problem with its place. Must never repair or drop anything (GOALS E02).
 */
import { err, ok, type Result } from '@openexec/canon';
import { nearest } from '@openexec/protocol';
import type * as z from 'zod';
import type { ConfigProblem } from './problems.ts';
import { type ConfigFile, configFile, keysAt } from './schema.ts';
import type { DataPath, Source } from './source.ts';

/** The part of a zod issue that is read here. */
interface Issue {
  readonly code: string;
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
  readonly errors?: readonly (readonly Issue[])[];
}

/** Checks the data of one file against the schema. */
export function checkConfig(source: Source): Result<ConfigFile, readonly ConfigProblem[]> {
  return checkFile(configFile, source);
}

/** The same for a file of another schema. */
export function checkFile<S extends z.ZodType>(schema: S, source: Source): Result<z.infer<S>, readonly ConfigProblem[]> {
  const parsed = schema.safeParse(source.data);
  if (parsed.success) return ok(parsed.data);
  return err(parsed.error.issues.flatMap((issue) => problemsOf(issue as Issue, [], { source, schema })));
}

interface Checked {
  readonly source: Source;
  readonly schema: z.ZodType;
}

function problemsOf(issue: Issue, before: DataPath, of: Checked): readonly ConfigProblem[] {
  const { source } = of;
  const path: DataPath = [...before, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') return (issue.keys ?? []).map((key) => unknownKey(key, path, of));
  if (issue.code === 'invalid_union') {
    // Of the forms a value may take, the one it is nearest to: the object where it is an object.
    const best = (issue.errors ?? []).toSorted((a, b) => depth(b) - depth(a))[0];
    if (best !== undefined && depth(best) > 0) return best.flatMap((inner) => problemsOf(inner, path, of));
  }
  const { line, column } = source.at(path);
  const where = path.length === 0 ? 'the file' : path.join('.');
  return [{ code: 'config.value', message: `${where}: ${issue.message}`, file: source.file, line, column }];
}

/** How far into the value an attempt came: an issue about an inner member, or about unknown keys, means the form was right. */
function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));
}

function unknownKey(key: string, path: DataPath, { source, schema }: Checked): ConfigProblem {
  const known = keysAt(schema, path);
  const close = nearest(key.slice(0, 64), known);
  const { line, column } = source.at([...path, key], 'key');
  const place = path.length === 0 ? '' : ` in ${path.join('.')}`;
  const message = `unknown key "${key.slice(0, 64)}"${place}${close === null ? '' : ` (did you mean ${close}?)`}; known are ${known.join(', ')}`;
  return { code: 'config.unknownKey', message, file: source.file, line, column };
}
