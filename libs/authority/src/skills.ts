/**
 * Skills laid over a writ: every dimension becomes what both let through, so that a skill can take away and never give. Must never read what a model or
 * the skill says of itself as a permission. specs: authority-narrowing templates; PROTOCOL §5.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { Skill, Writ } from '@openexec/protocol';
import { coversAction, coversHost, coversPath } from './patterns.ts';

/** Why a template or its parameters are refused. */
export type SkillProblemCode = 'skill.param' | 'skill.paramMissing' | 'skill.paramValue' | 'skill.paramTwice' | 'skill.paramDefault';

/** A refusal; the skill is not bound. */
export interface SkillProblem {
  readonly code: SkillProblemCode;
  readonly message: string;
}

type Covers = (parents: readonly string[], child: string) => boolean;

/** The writ with less or as much of everything. Its id, chain and window stay those of the signed one: this is what it lets through, not another writ. */
export function narrowWrit(writ: Writ, skill: Skill): Writ {
  const { budget, wallMs, ceiling } = skill;
  return {
    ...writ,
    actions: meet(writ.actions, skill.actions, coversAction),
    ceiling: ceiling === null ? writ.ceiling : writ.ceiling.filter((effect) => ceiling.includes(effect)),
    readPaths: meet(writ.readPaths, skill.readPaths, coversPath),
    writePaths: meet(writ.writePaths, skill.writePaths, coversPath),
    hosts: meet(writ.hosts, skill.hosts, coversHost),
    budget: {
      tokens: least(writ.budget.tokens, budget.tokens),
      usdMicros: least(writ.budget.usdMicros, budget.usdMicros),
      calls: least(writ.budget.calls, budget.calls),
    },
    wallMs: least(writ.wallMs, wallMs),
  };
}

/**
 * What both lists let through. Two patterns of one grammar are nested or have nothing in common, so that what they share is always one of the two.
 */
function meet(own: readonly string[], others: readonly string[] | null, covers: Covers): string[] {
  if (others === null) return [...own];
  return [...new Set([...own.filter((pattern) => covers(others, pattern)), ...others.filter((pattern) => covers(own, pattern))])];
}

function least(own: number, other: number | null): number {
  return other === null ? own : Math.min(own, other);
}

/** What is wrong with the template itself, or null. */
export function skillProblem(skill: Skill): SkillProblem | null {
  const seen = new Set<string>();
  for (const { key, default: preset, values } of skill.params) {
    if (seen.has(key)) return { code: 'skill.paramTwice', message: `the parameter ${key} stands twice` };
    seen.add(key);
    if (preset !== null && values.length > 0 && !values.includes(preset))
      return { code: 'skill.paramDefault', message: `the default of ${key} is none of its values` };
  }
  return null;
}

/**
 * The instructions with the values of the parameters in their places. A value is put in once and never read again, so that what it says in braces is
 * text. Braces around anything else stay.
 */
export function renderSkill(skill: Skill, params: Readonly<Record<string, string>>): Result<string, SkillProblem> {
  const wrong = skillProblem(skill);
  if (wrong !== null) return err(wrong);
  const values = new Map<string, string>();
  for (const { key, default: preset, values: allowed } of skill.params) {
    const value = Object.hasOwn(params, key) ? params[key] : (preset ?? undefined);
    if (value === undefined) return err({ code: 'skill.paramMissing', message: `the parameter ${key} has no default and no value` });
    if (allowed.length > 0 && !allowed.includes(value))
      return err({ code: 'skill.paramValue', message: `the parameter ${key} takes one of: ${allowed.join(', ')}` });
    values.set(key, value);
  }
  const strange = Object.keys(params).find((key) => !values.has(key));
  if (strange !== undefined) return err({ code: 'skill.param', message: `there is no parameter ${strange}` });
  return ok(skill.instructions.replace(/\{([a-z][a-z0-9_]{0,31})\}/g, (whole, key: string) => values.get(key) ?? whole));
}
