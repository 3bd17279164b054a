/**
 * `openexec config show`: the configuration in force, key by key, with the layer each value came from. Must never show a key of a provider: none
 * stands in the configuration. CLI.md "Files".
 */
import { existsSync } from 'node:fs';
import { type ConfigValue, layerFiles, loadLayers, mergeLayers, originsOf, wordsOf } from '@openexec/config';
import { ok } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT } from '../exit.ts';
import { safeLine } from '../output.ts';
import { overridesOf } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';

interface ShowOptions {
  readonly origin?: boolean;
  readonly json?: boolean;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  const config = program
    .command('config')
    .description('the configuration in force')
    .addHelpText('after', '\nExample:\n  openexec config show --origin');
  config
    .command('show')
    .description('every key with its value, and with --origin the layers it comes from')
    .option('--origin', 'say who said it: system, user, project, local, environment, flag or default')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  openexec config show --origin')
    .action(context.act((options: ShowOptions) => show(context, options)));
};

async function show(context: CommandContext, options: ShowOptions): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const { folder, places, root } = project.value;
  const overrides = overridesOf(context, project.value, {});
  if (!overrides.ok) return overrides;
  const layers = loadLayers(folder, places);
  if (!layers.ok) return configRefusal(layers.error, root);
  const config = mergeLayers(layers.value, overrides.value);
  if (!config.ok) return configRefusal(config.error, root);
  const values = originsOf(config.value, wordsOf(layers.value, overrides.value));
  const files = layerFiles(folder, places).map(([layer, file]) => ({ layer, file, present: existsSync(file) }));
  const { output } = context;
  if (options.json === true) {
    output.json('config', { v: 1, values, files });
    return ok(EXIT.ok);
  }
  for (const value of values) output.result(lineOf(value, options.origin === true));
  if (options.origin === true)
    for (const { layer, file, present } of files) output.progress(`${layer.padEnd(8)} ${safeLine(file)}${present ? '' : ' (not there)'}`);
  return ok(EXIT.ok);
}

function lineOf({ key, value, origin, narrows }: ConfigValue, withOrigin: boolean): string {
  const said = `${key.padEnd(30)} ${safeLine(JSON.stringify(value), 160)}`;
  return withOrigin ? `${said}  (${origin.join(', ')}${narrows ? '; can only be narrowed' : ''})` : said;
}
