/**
 * `openexec init`: configuration, keys, ledger and pin of this checkout. Must never overwrite what is there. CLI.md "Commands".
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import { findCommands, loadConfig, OWN_IGNORE, SHIPPED_POLICIES, type ShippedPolicy, starterConfig } from '@openexec/config';
import { REGULATED } from '@openexec/policy';
import { inspectRepository } from '@openexec/workspace';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, type Refusal, refusalFor } from '../exit.ts';
import { ledgerPathOf } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { adoptOnce } from '../policy/adopt.ts';
import { configRefusal } from '../run/problems.ts';
import { found } from '../setup/found.ts';

interface InitOptions {
  readonly model?: string;
  readonly policy?: ShippedPolicy;
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('init')
    .description('set up this repository: configuration, keys outside the repository, ledger')
    .option('--model <provider:name>', 'write this model into the configuration')
    .addOption(
      new Option('--policy <name>', 'the shipped policy that decides; regulated is also adopted in the law').choices(SHIPPED_POLICIES),
    )
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec init --model openai:gpt-5-mini\n  openexec init --policy regulated')
    .action(context.act((options: InitOptions) => init(options, context)));
}

async function init(options: InitOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const { root, folder } = project.value;
  const facts = await inspectRepository(root);
  if (!facts.ok) return { ok: false, error: refusalFor(facts.error, 'workspace.failed') };
  mkdirSync(folder, { recursive: true });
  const findings = findCommands(root);
  const written: string[] = [];
  const writeNew = (name: string, text: string): void => {
    if (existsSync(join(folder, name))) return;
    writeFileSync(join(folder, name), text, { flag: 'wx' });
    written.push(`.openexec/${name}`);
  };
  writeNew('.gitignore', OWN_IGNORE);
  writeNew('config.yaml', starterConfig(findings, { model: options.model ?? null, policy: options.policy ?? 'solo' }));
  const config = loadConfig({ folder, places: context.places, overrides: {} });
  if (!config.ok) return configRefusal(config.error, root);
  const { clock, randomness, places } = context;
  const founded = await found({ path: ledgerPathOf(project.value), places, clock, randomness });
  if (!founded.ok) return founded;
  const { fingerprint, origin, stateFolder, keys, fresh } = founded.value;
  const bound = options.policy === 'regulated' ? await adoptRegulated(context) : ok(null);
  if (!bound.ok) return bound;
  if (options.json === true) {
    context.output.json({
      root,
      fingerprint,
      origin,
      stateFolder,
      keys,
      founded: fresh,
      written,
      commands: config.value.commands,
      policy: config.value.policy,
      adopted: bound.value,
    });
    return ok(EXIT.ok);
  }
  const { output } = context;
  const { bold, dim } = output.style;
  output.result(`${bold(fresh ? 'ledger founded' : 'ledger found')}  ${fingerprint}`);
  output.result(dim('  this fingerprint is pinned for you; keep it elsewhere too: openexec verify --trust checks against it'));
  output.result(`origin          ${origin}`);
  output.result(`keys            ${safeLine(join(stateFolder, 'keys'))} (mode 0600, never in the repository)`);
  for (const key of keys) output.result(`  ${key.label.padEnd(12)}  ${key.keyId}  ${key.roles.join(', ')}`);
  output.result(
    `policy          ${config.value.policy}${bound.value === null ? '' : `; regulated is adopted for layer operator (law ${bound.value})`}`,
  );
  for (const name of written) output.result(`wrote           ${name}`);
  for (const [name, said] of describeCommands(config.value.commands, findings)) output.result(`${`${name} command`.padEnd(15)} ${said}`);
  output.result(`\nnext: openexec run "TASK"${config.value.model === null || config.value.model === 'none' ? ' --model openai:NAME' : ''}`);
  return ok(EXIT.ok);
}

/** In the law, so that no file of the repository can take it back; the root key that init made signs. */
async function adoptRegulated(context: CommandContext): Promise<Result<number | null, Refusal>> {
  const ledger = await context.openLedger({ access: 'append' });
  if (!ledger.ok) return ledger;
  try {
    return await adoptOnce(context, ledger.value, { layer: 'operator', bundle: REGULATED });
  } finally {
    await ledger.value.close();
  }
}

function describeCommands(
  commands: { readonly [name: string]: unknown },
  findings: ReturnType<typeof findCommands>,
): readonly (readonly [string, string])[] {
  return (['test', 'lint'] as const).map((name) => {
    const command = commands[name] as { readonly argv: readonly string[] } | 'none' | undefined;
    if (command === undefined)
      return [name, 'not configured: blueprints that need it are refused until .openexec/config.yaml names one'] as const;
    if (command === 'none') return [name, 'none, as recorded in .openexec/config.yaml'] as const;
    const why = findings[name] === null ? 'from .openexec/config.yaml' : findings[name].because;
    return [name, `${safeLine(command.argv.join(' '))}  (${why})`] as const;
  });
}
