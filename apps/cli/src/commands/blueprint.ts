/**
 * `openexec blueprint list|check|graph`: what a run may follow. Must never run anything, nor need a ledger. CLI.md "Commands".
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { type BlueprintContext, blueprintGraph, GRAPH_FORMATS, type GraphFormat } from '@openexec/blueprint';
import { ok, type Result } from '@openexec/canon';
import { builtinActions } from '@openexec/catalogue';
import { checkBlueprintFile, type Config, findBlueprints, type FoundBlueprint, problemText } from '@openexec/config';
import type { CheckedBlueprint } from '@openexec/protocol';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, Project } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { blueprintContext, configFor } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const blueprint = program
    .command('blueprint')
    .description('list, check and draw blueprints')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec blueprint list\n  openexec blueprint check .openexec/blueprints/mine.yaml\n  openexec blueprint graph quick_fix --format svg > quick_fix.svg',
    );
  blueprint
    .command('list')
    .description('the blueprints of this checkout, and where each comes from')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec blueprint list')
    .action(context.act((options: { readonly json?: boolean }) => list(options, context)));
  blueprint
    .command('check')
    .description('check one file: every problem with its line and column; exit 2 where there is one')
    .argument('<file>', 'the blueprint')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec blueprint check .openexec/blueprints/mine.yaml')
    .action(context.act((file: string, options: { readonly json?: boolean }) => check(file, options, context)));
  blueprint
    .command('graph')
    .description('draw a blueprint: its stages, routes and loops')
    .argument('<name>', 'a blueprint of this checkout, or a file')
    .addOption(new Option('--format <how>', 'the form of the drawing').choices([...GRAPH_FORMATS]).default('text'))
    .addHelpText(
      'after',
      '\nExamples:\n  openexec blueprint graph quick_fix\n  openexec blueprint graph backend_bugfix --format svg > backend_bugfix.svg',
    )
    .action(context.act((name: string, options: { readonly format: GraphFormat }) => graph(name, options, context)));
}

interface Place {
  readonly project: Project;
  /** What the configuration says of commands, or null where there is none yet. */
  readonly commands: Config['commands'] | null;
}

async function placeOf(context: CommandContext): Promise<Result<Place, Refusal>> {
  const project = await context.project();
  if (!project.ok) return project;
  if (!existsSync(join(project.value.folder, 'config.yaml'))) return ok({ project: project.value, commands: null });
  const config = configFor(context, project.value, {});
  return config.ok ? ok({ project: project.value, commands: config.value.commands }) : config;
}

/** To look at a blueprint no command has to be configured: each action's own counts as if it were. */
function lookingContext(commands: Config['commands'] | null): BlueprintContext {
  const assumed = builtinActions.flatMap(({ command }) => (command === null ? [] : [command]));
  const known = Object.fromEntries(assumed.map((name) => [name, { argv: [name], timeout: 'long' as const }]));
  return blueprintContext({ ...known, ...commands });
}

function shippedFolder(context: CommandContext): string {
  return resolve(context.assets, 'blueprints');
}

async function list(options: { readonly json?: boolean }, context: CommandContext): Promise<CommandResult> {
  const place = await placeOf(context);
  if (!place.ok) return place;
  const { project, commands } = place.value;
  const found = findBlueprints({ folder: project.folder, shipped: shippedFolder(context) });
  if (!found.ok) return configRefusal(found.error, project.root);
  const rows = found.value.map((each) => ({ ...each, checked: checkBlueprintFile(each.file, lookingContext(commands)) }));
  if (options.json === true) {
    context.output.json('blueprint-list', { v: 1, blueprints: rows.map(listed) });
    return ok(EXIT.ok);
  }
  const { bold, dim, red } = context.output.style;
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const { name, origin, checked } of rows) {
    const said = checked.ok
      ? safeLine(checked.value.description, 200)
      : red(`${checked.error.length} problem(s); see openexec blueprint check`);
    context.output.result(`${bold(safeLine(name).padEnd(width))}  ${dim(origin.padEnd(7))}  ${said}`);
  }
  return ok(EXIT.ok);
}

function listed(row: FoundBlueprint & { readonly checked: ReturnType<typeof checkBlueprintFile> }) {
  const { name, origin, file, checked } = row;
  return {
    name,
    origin,
    file: origin === 'project' ? file : null,
    description: checked.ok ? checked.value.description : null,
    stages: checked.ok ? checked.value.stages.length : null,
    problems: checked.ok ? [] : checked.error.map(({ code, message, line, column }) => ({ code, message, line, column })),
  };
}

async function check(file: string, options: { readonly json?: boolean }, context: CommandContext): Promise<CommandResult> {
  const place = await placeOf(context);
  if (!place.ok) return place;
  const { project, commands } = place.value;
  const path = resolve(context.cwd, file);
  const checked = checkBlueprintFile(path, commands === null ? lookingContext(null) : blueprintContext(commands));
  if (options.json === true) {
    const problems = checked.ok ? [] : checked.error.map(({ code, message, line, column }) => ({ code, message, line, column }));
    context.output.json('blueprint-check', { v: 1, file: path, sound: checked.ok, name: checked.ok ? checked.value.name : null, problems });
    return ok(checked.ok ? EXIT.ok : EXIT.usage);
  }
  if (!checked.ok) {
    // All of them are the result that was asked for; the refusal that follows says how many.
    for (const problem of checked.error) context.output.result(safeLine(problemText({ ...problem, file: shown(path, project) }), 2000));
    return refuse('blueprint.invalid', `${safeLine(shown(path, project))} has ${checked.error.length} problem(s)`);
  }
  const { green } = context.output.style;
  context.output.result(`${green('sound')}  ${checked.value.name}: ${checked.value.stages.length} stages`);
  if (commands === null) context.output.warn('commands were not checked: there is no .openexec/config.yaml here');
  return ok(EXIT.ok);
}

function shown(path: string, project: Project): string {
  const inside = relative(project.root, path);
  return inside.startsWith('..') || isAbsolute(inside) ? path : inside;
}

async function graph(name: string, options: { readonly format: GraphFormat }, context: CommandContext): Promise<CommandResult> {
  const checked = await blueprintNamed(name, context);
  if (!checked.ok) return checked;
  // Names follow a grammar; what people wrote is escaped by the drawing, and line by line for a terminal.
  const drawn = blueprintGraph(checked.value, options.format).trimEnd();
  context.output.result(
    drawn
      .split('\n')
      .map((line) => safeLine(line, Number.MAX_SAFE_INTEGER))
      .join('\n'),
  );
  return ok(EXIT.ok);
}

async function blueprintNamed(name: string, context: CommandContext): Promise<Result<CheckedBlueprint, Refusal>> {
  const place = await placeOf(context);
  if (!place.ok) return place;
  const { project, commands } = place.value;
  const found = findBlueprints({ folder: project.folder, shipped: shippedFolder(context) });
  if (!found.ok) return configRefusal(found.error, project.root);
  const isFile = name.includes('/') || /\.ya?ml$/.test(name);
  const file = isFile ? resolve(context.cwd, name) : found.value.find((each) => each.name === name)?.file;
  if (file === undefined) {
    const known = found.value.map((each) => each.name).join(', ');
    return refuse('blueprint.unknown', `there is no blueprint "${safeLine(name, 64)}"; there are ${known}`);
  }
  const checked = checkBlueprintFile(file, lookingContext(commands));
  return checked.ok ? checked : configRefusal(checked.error, project.root);
}
