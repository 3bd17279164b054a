/**
 * Golden runs on disk: a folder per run, in it `golden.json` and `bundle.tar`. Must never read beyond the folder, nor take a record that is not whole.
 */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { err, ok, parseJson, type Result } from '@openexec/canon';
import { type GoldenRun, goldenRun } from '@openexec/protocol';
import type { CommandContext } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';

/** Where golden runs of a checkout are, unless `--dir` says otherwise. */
export const DEFAULT_FOLDER = 'test-fixtures/golden';
/** The names of the two files. */
export const RECORD = 'golden.json';
export const BUNDLE = 'bundle.tar';

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;
const MAX_RECORD_BYTES = 64 * 1024;

/** One folder, and what its record says; a record that is no record is a problem with a name. */
export interface GoldenFolder {
  readonly name: string;
  readonly folder: string;
  readonly record: Result<GoldenRun, { readonly code: string; readonly message: string }>;
}

/** Whether this may be the name of a golden run. */
export function isGoldenName(name: string): boolean {
  return NAME.test(name);
}

/** The folder that is meant: the one given, else that of the checkout around. */
export async function goldenFolder(context: CommandContext, given: string | undefined): Promise<Result<string, Refusal>> {
  if (given !== undefined) return ok(isAbsolute(given) ? given : resolve(context.cwd, given));
  const project = await context.project();
  return project.ok ? ok(join(project.value.root, DEFAULT_FOLDER)) : project;
}

/** The golden runs of a folder, those named or all, sorted by name. A folder that holds none is refused: nothing would be shown by it. */
export function readGolden(folder: string, wanted: readonly string[]): Result<readonly GoldenFolder[], Refusal> {
  if (!existsSync(folder)) return refuse('golden.invalid', `there is no folder "${safeLine(folder)}"`);
  const found = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
  if (found.length === 0) return refuse('golden.invalid', `"${safeLine(folder)}" holds no golden run, so nothing would be checked`);
  const missing = wanted.find((name) => !found.includes(name));
  if (missing !== undefined)
    return refuse(
      'golden.invalid',
      `"${safeLine(folder)}" holds no golden run "${safeLine(missing, 80)}"; it holds ${found.map((name) => safeLine(name, 80)).join(', ')}`,
    );
  const names = wanted.length === 0 ? found : [...new Set(wanted)].sort();
  return ok(names.map((name) => ({ name, folder: join(folder, name), record: readRecord(join(folder, name), name) })));
}

function readRecord(folder: string, name: string): GoldenFolder['record'] {
  const file = join(folder, RECORD);
  const problem = (message: string) => err({ code: 'golden.malformed', message: `${RECORD}: ${message}` });
  let bytes: Uint8Array;
  try {
    const stat = lstatSync(file);
    if (!stat.isFile() || stat.size > MAX_RECORD_BYTES) return problem('it is no plain file of its size');
    bytes = new Uint8Array(readFileSync(file));
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (typeof code !== 'string') throw error;
    return problem(`it cannot be read (${code})`);
  }
  const json = parseJson(bytes, { maxBytes: MAX_RECORD_BYTES });
  if (!json.ok) return problem(json.error.message);
  const parsed = goldenRun.safeParse(json.value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return problem(`${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'not of its schema'}`);
  }
  return parsed.data.name === name ? ok(parsed.data) : problem(`it is of "${parsed.data.name}", and stands in the folder "${name}"`);
}
