/**
 * `openexec skill list|show|check`: instructions with limits that only narrow a run. Must never run anything, nor need a ledger.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { narrowWrit, scopeOf } from '@openexec/authority';
import { digestJson, ok } from '@openexec/canon';
import { builtinActions, builtinToolsets } from '@openexec/catalogue';
import { findSkills, grantOf, loadBlueprint, loadSkill } from '@openexec/config';
import type { Skill, Writ } from '@openexec/protocol';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, Project } from '../context.ts';
import { EXIT } from '../exit.ts';
import { safe, safeLine } from '../output.ts';
import { blueprintContext, configFor } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';
import { bind, type BindOptions } from '../skill/bind.ts';
import { readSkill, skillFile, skillParam } from '../skill/plan.ts';

interface LookOptions {
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const skill = program
    .command('skill')
    .description('list, show and check skills: instructions with limits that only narrow a run')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec skill check .openexec/skills/docs.yaml\n  openexec run "Say how it is installed" --skill docs',
    );
  skill
    .command('list')
    .description('the skills in .openexec/skills')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec skill list')
    .action(context.act((options: LookOptions) => list(options, context)));
  skill
    .command('show')
    .description('what a skill says and what it lets through')
    .argument('<skill>', 'a skill of this checkout, or a file')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec skill show docs')
    .action(context.act((wanted: string, options: LookOptions) => show(wanted, options, context)));
  skill
    .command('bind')
    .description('bind a run that is open to a skill: from there on it may do less, never more')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .argument('<skill>', 'a skill of this checkout, or a file')
    .option('--skill-param <key=value>', 'the value of a parameter of the skill; may be given several times', skillParam, {})
    .option('--because <text>', 'why, for the record', 'bound by its operator')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec skill bind latest docs')
    .action(context.act((run: string, wanted: string, options: BindOptions) => bind(run, wanted, options, context)));
  skill
    .command('check')
    .description('check one file, and say what the configured blueprint needs that it holds back')
    .argument('<skill>', 'a skill of this checkout, or a file')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec skill check .openexec/skills/docs.yaml')
    .action(context.act((wanted: string, options: LookOptions) => check(wanted, options, context)));
}

async function list(options: LookOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const found = findSkills(project.value.folder);
  if (!found.ok) return configRefusal(found.error, project.value.root);
  const rows = found.value.map(({ name, file }) => ({ name, file, loaded: loadSkill(file) }));
  if (options.json === true) {
    const skills = rows.map(({ name, file, loaded }) => ({
      name,
      file,
      title: loaded.ok ? loaded.value.title : null,
      version: loaded.ok ? loaded.value.version : null,
      id: loaded.ok ? digestJson(loaded.value) : null,
      problems: loaded.ok ? [] : loaded.error.map(({ code, message, line, column }) => ({ code, message, line, column })),
    }));
    context.output.json('skill-list', { v: 1, skills });
    return ok(EXIT.ok);
  }
  if (rows.length === 0) context.output.result('no skills: a file in .openexec/skills makes one');
  for (const { name, loaded } of rows)
    context.output.result(
      loaded.ok
        ? `${safeLine(name)}  version ${loaded.value.version}  ${safeLine(loaded.value.title, 200)}`
        : `${safeLine(name)}  ${loaded.error.length} problem(s); see openexec skill check`,
    );
  return ok(EXIT.ok);
}

async function show(wanted: string, options: LookOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const file = skillFile(wanted, { cwd: context.cwd, project: project.value });
  if (!file.ok) return file;
  const skill = readSkill(file.value, project.value.root);
  if (!skill.ok) return skill;
  const id = digestJson(skill.value);
  if (options.json === true) context.output.json('skill-show', { v: 1, id, file: file.value, skill: skill.value });
  else for (const line of linesOf(skill.value)) context.output.result(line);
  return ok(EXIT.ok);
}

function linesOf(skill: Skill): readonly string[] {
  const list = (words: readonly string[] | null) =>
    words === null ? 'as the writ says' : words.length === 0 ? 'none' : safeLine(words.join(', '), 1000);
  const { tokens, usdMicros, calls } = skill.budget;
  const amount = (value: number | null) => (value === null ? 'as the writ says' : `at most ${value}`);
  return [
    `skill     ${safeLine(skill.name)} version ${skill.version}  ${digestJson(skill)}`,
    `title     ${safeLine(skill.title, 200)}`,
    `actions   ${list(skill.actions)}`,
    `ceiling   ${list(skill.ceiling)}`,
    `reads     ${list(skill.readPaths)}`,
    `writes    ${list(skill.writePaths)}`,
    `hosts     ${list(skill.hosts)}`,
    `tokens    ${amount(tokens)}; micro-dollars ${amount(usdMicros)}; calls ${amount(calls)}`,
    `minutes   ${skill.wallMs === null ? 'as the writ says' : `at most ${skill.wallMs / 60_000}`}`,
    ...skill.params.map(({ key, description, default: preset, values }) => {
      const among = values.length === 0 ? '' : `; one of ${values.join(', ')}`;
      return safeLine(`parameter ${key}: ${description}${preset === null ? '; to be given' : `; else "${preset}"`}${among}`, 1000);
    }),
    ...(skill.instructions === '' ? [] : ['', ...skill.instructions.split('\n').map((line) => safe(line))]),
  ];
}

async function check(wanted: string, options: LookOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const file = skillFile(wanted, { cwd: context.cwd, project: project.value });
  if (!file.ok) return file;
  const skill = readSkill(file.value, project.value.root);
  if (!skill.ok) return skill;
  const missing = heldBack(skill.value, project.value, context);
  if (options.json === true)
    context.output.json('skill-check', { v: 1, file: file.value, sound: true, id: digestJson(skill.value), heldBack: missing });
  else {
    context.output.result(`sound: ${safeLine(skill.value.name)} version ${skill.value.version}, ${skill.value.params.length} parameter(s)`);
    for (const each of missing ?? []) context.output.result(`held back: ${safeLine(each, 200)}, which the configured blueprint needs`);
  }
  return ok(EXIT.ok);
}

/** Actions of the configured blueprint that a run under this skill would be denied; null where nothing is configured. */
function heldBack(skill: Skill, project: Project, context: CommandContext): readonly string[] | null {
  if (!existsSync(join(project.folder, 'config.yaml'))) return null;
  const config = configFor(context, project, {});
  if (!config.ok) return null;
  const blueprint = loadBlueprint({
    name: config.value.blueprint,
    folder: project.folder,
    shipped: resolve(context.assets, 'blueprints'),
    context: blueprintContext(config.value.commands),
  });
  if (!blueprint.ok) return null;
  const grant = grantOf({ blueprint: blueprint.value, toolsets: builtinToolsets, actions: builtinActions });
  // Only what is asked about is read of it.
  const needed = {
    actions: grant.actions,
    ceiling: grant.ceiling,
    readPaths: [],
    writePaths: [],
    hosts: [],
    budget: NO_BUDGET,
  } as unknown as Writ;
  const left = narrowWrit(needed, skill);
  const effectOf = (name: string) => builtinActions.find((action) => action.name === name)?.effect ?? ('external' as const);
  return grant.actions.filter(
    (name) => !scopeOf(left, { action: name, effect: effectOf(name), readPaths: [], writePaths: [], hosts: [] }).ok,
  );
}

const NO_BUDGET = { tokens: 0, usdMicros: 0, calls: 0 };
