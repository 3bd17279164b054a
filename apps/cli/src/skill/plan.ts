/**
 * The skills that a run is to be bound to: found by name or file, sound, with every parameter given. Must never decide what they let through.
 */
import { isAbsolute, resolve } from 'node:path';
import { renderSkill, skillProblem } from '@openexec/authority';
import { ok, type Result } from '@openexec/canon';
import { findSkills, loadSkill } from '@openexec/config';
import { nearest, type Skill } from '@openexec/protocol';
import { InvalidArgumentError } from 'commander';
import type { Project, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from '../run/problems.ts';

/** A skill with the values that were given for it. */
export interface PlannedSkill {
  readonly template: Skill;
  readonly params: Readonly<Record<string, string>>;
}

const MAX_SKILLS = 8;

/** The file of a skill: a path as it is said, a plain word by the name of a file in `.openexec/skills`. */
export function skillFile(wanted: string, place: { readonly cwd: string; readonly project: Project }): Result<string, Refusal> {
  const { cwd, project } = place;
  if (isAbsolute(wanted) || /[/\\.]/.test(wanted)) return ok(resolve(cwd, wanted));
  const found = findSkills(project.folder);
  if (!found.ok) return configRefusal(found.error, project.root);
  const file = found.value.find(({ name }) => name === wanted)?.file;
  if (file !== undefined) return ok(file);
  const names = found.value.map(({ name }) => name);
  const close = nearest(wanted.slice(0, 64), names);
  return refuse(
    'skill.unknown',
    `there is no skill "${safeLine(wanted, 64)}"${close === null ? '' : ` (did you mean ${safeLine(close)}?)`}`,
  );
}

/** One skill that is sound by itself. */
export function readSkill(file: string, root: string): Result<Skill, Refusal> {
  const loaded = loadSkill(file);
  if (!loaded.ok) return configRefusal(loaded.error, root);
  const wrong = skillProblem(loaded.value);
  return wrong === null ? loaded : refuse('skill.invalid', `"${safeLine(file)}": ${wrong.code}: ${wrong.message}`);
}

/** All of them; a parameter goes to every skill that has it, and one that none has is refused. */
export function planSkills(
  context: Surroundings,
  project: Project,
  of: { readonly wanted: readonly string[]; readonly params: Readonly<Record<string, string>> },
): Result<readonly PlannedSkill[], Refusal> {
  const { wanted, params } = of;
  if (wanted.length > MAX_SKILLS) return refuse('usage.invalid', `a run is bound to at most ${MAX_SKILLS} skills`);
  const planned: PlannedSkill[] = [];
  for (const each of wanted) {
    const file = skillFile(each, { cwd: context.cwd, project });
    if (!file.ok) return file;
    const template = readSkill(file.value, project.root);
    if (!template.ok) return template;
    const own = Object.fromEntries(Object.entries(params).filter(([key]) => template.value.params.some((param) => param.key === key)));
    const said = renderSkill(template.value, own);
    if (!said.ok) return refuse('skill.params', `skill ${template.value.name}: ${safeLine(said.error.message, 500)}`);
    planned.push({ template: template.value, params: own });
  }
  const strange = Object.keys(params).find((key) => !planned.some(({ params: own }) => Object.hasOwn(own, key)));
  return strange === undefined ? ok(planned) : refuse('skill.params', `no skill of this run has a parameter ${safeLine(strange, 64)}`);
}

/** Adds one KEY=VALUE of the command line to those before it. */
export function skillParam(text: string, all: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [, key, value] = /^([a-z][a-z0-9_]{0,31})=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError('KEY=VALUE, such as lang=typescript');
  if (Object.hasOwn(all, key)) throw new InvalidArgumentError(`${key} is given twice`);
  return { ...all, [key]: value };
}
