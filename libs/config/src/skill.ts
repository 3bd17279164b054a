/**
 * Skills in files: YAML or JSON in which everything that says nothing may be left out. Must never repair a value; what a skill may do is the writ's
 * business, not this file's.
 */
import { basename, join } from 'node:path';
import { err, ok, type Result } from '@openexec/canon';
import { type Skill, skill as skillSchema } from '@openexec/protocol';
import { listYaml, readSource } from './load.ts';
import type { ConfigProblem } from './problems.ts';
import type { Source } from './source.ts';

type Problems = readonly ConfigProblem[];

/** What may be left out of a file, and what that says: nothing. */
const UNSAID = { actions: null, ceiling: null, readPaths: null, writePaths: null, hosts: null, wallMs: null } as const;
const NO_BUDGET = { tokens: null, usdMicros: null, calls: null } as const;

/** A skill file of the checkout, under the name of the file. */
export interface FoundSkill {
  readonly name: string;
  readonly file: string;
}

/** The skills of `.openexec/skills`, by name. */
export function findSkills(folder: string): Result<readonly FoundSkill[], Problems> {
  const files = listYaml(join(folder, 'skills'));
  return files.ok ? ok(files.value.map((file) => ({ name: basename(file).replace(/\.ya?ml$/, ''), file }))) : files;
}

/** One skill, or every problem with its place. */
export function loadSkill(file: string): Result<Skill, Problems> {
  const source = readSource(file, { missing: 'refuse' });
  if (!source.ok) return source;
  if (source.value === null) return err([{ code: 'config.unreadable', message: 'there is no such file', file, line: 0, column: 0 }]);
  const parsed = skillSchema.safeParse(completed(source.value));
  if (parsed.success) return ok(parsed.data);
  const { value } = source;
  return err(
    parsed.error.issues.map((issue) => {
      const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
      const { line, column } = value.at(path);
      return { code: 'config.skill', message: `${path.join('.') || 'the skill'}: ${issue.message}`, file, line, column };
    }),
  );
}

function completed({ data }: Source): unknown {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return data;
  const { budget, params, instructions, ...rest } = data as { readonly [name: string]: unknown };
  const of = typeof budget === 'object' && budget !== null && !Array.isArray(budget) ? { ...NO_BUDGET, ...budget } : (budget ?? NO_BUDGET);
  return {
    v: 1,
    ...UNSAID,
    ...rest,
    instructions: instructions ?? '',
    budget: of,
    params: Array.isArray(params) ? params.map(param) : (params ?? []),
  };
}

function param(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? { description: '', default: null, values: [], ...value } : value;
}
