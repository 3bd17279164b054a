/**
 * `openexec init`: configuration, keys, ledger and pin of this checkout. Must never overwrite what is there, nor choose a command that was not
 * found. CLI.md "Commands".
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import {
  COMMAND_NAMES,
  type Config,
  findCommands,
  type Findings,
  loadConfig,
  OWN_IGNORE,
  readPin,
  SHIPPED_POLICIES,
  type ShippedPolicy,
  starterConfig,
} from '@openexec/config';
import { REGULATED } from '@openexec/policy';
import { inspectRepository } from '@openexec/workspace';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, LedgerPlace, Project } from '../context.ts';
import { EXIT, type Refusal, refusalFor, refuse } from '../exit.ts';
import { checkPlace, findLedgerPlace, settingOf } from '../ledgerPlace.ts';
import { safe, safeLine } from '../output.ts';
import { adoptOnce } from '../policy/adopt.ts';
import { configRefusal } from '../run/problems.ts';
import { type Founded, found } from '../setup/found.ts';

interface InitOptions {
  readonly model?: string;
  readonly policy?: ShippedPolicy;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}
interface NewFile {
  readonly name: string;
  readonly text: string;
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
    .option('--dry-run', 'only show what would be written, and why')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec init --dry-run\n  openexec init --model openai:gpt-5-mini\n  openexec init --policy regulated',
    )
    .action(context.act((options: InitOptions) => init(options, context)));
}

async function init(options: InitOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const { root, folder } = project.value;
  const facts = await inspectRepository(root);
  if (!facts.ok) return { ok: false, error: refusalFor(facts.error, 'workspace.failed') };
  const findings = findCommands(root);
  const place = await findLedgerPlace(context);
  if (!place.ok) return place;
  const named = context.ledger === undefined ? undefined : settingOf(context.ledger, context.companion);
  const files: readonly NewFile[] = [
    { name: '.gitignore', text: OWN_IGNORE },
    {
      name: 'config.yaml',
      text: starterConfig(findings, { model: options.model ?? null, policy: options.policy ?? 'solo', ledger: named }),
    },
  ];
  const fresh = files.filter(({ name }) => !existsSync(join(folder, name)));
  const kept = files.filter((file) => !fresh.includes(file)).map(({ name }) => `.openexec/${name}`);
  if (options.dryRun === true)
    return rehearse(context, { project: project.value, findings, fresh, kept, place: place.value, json: options.json === true });
  mkdirSync(folder, { recursive: true });
  for (const { name, text } of fresh) writeFileSync(join(folder, name), text, { flag: 'wx' });
  const written = fresh.map(({ name }) => `.openexec/${name}`);
  const config = configOf(context, project.value);
  if (!config.ok) return config;
  const { clock, randomness, places } = context;
  const pin = readPin(places.user, place.value.name);
  if (!pin.ok) return refuse('config.invalid', pin.error.message);
  // A file is made where it is missing; a server that only the repository names is not even asked.
  const checked = place.value.kind === 'sqlite' ? ok(undefined) : checkPlace(place.value, pin.value !== null);
  if (!checked.ok) return checked;
  const founded = await found({ place: place.value, places, clock, randomness });
  if (!founded.ok) return founded;
  const adopted = options.policy === 'regulated' ? await adoptRegulated(context) : ok(null);
  if (!adopted.ok) return adopted;
  if (options.json === true) {
    const { fingerprint, origin, stateFolder, keys, fresh: isFresh } = founded.value;
    const { commands, policy } = config.value;
    context.output.json('init', {
      v: 1,
      dryRun: false,
      root,
      fingerprint,
      origin,
      stateFolder,
      keys,
      founded: isFresh,
      written,
      kept,
      commands,
      policy,
      adopted: adopted.value,
      findings,
    });
    return ok(EXIT.ok);
  }
  tellFounded(context, founded.value, { written, kept });
  if (named !== undefined && JSON.stringify(config.value.ledger) !== JSON.stringify(named))
    context.output.warn(`.openexec/config.yaml was there and does not name this ledger: add  ledger: ${JSON.stringify(named)}`);
  const { model, policy } = config.value;
  context.output.result(
    `policy            ${policy}${adopted.value === null ? '' : `; regulated is adopted for layer operator (law ${adopted.value})`}`,
  );
  tellCommands(context, config.value, { findings, rehearsed: false });
  context.output.result(`\nnext: openexec run "TASK"${model === null || model === 'none' ? ' --model openai:NAME' : ''}`);
  return ok(EXIT.ok);
}

function configOf(context: CommandContext, project: Project): Result<Config, Refusal> {
  const config = loadConfig({ folder: project.folder, places: context.places, overrides: {} });
  return config.ok ? config : configRefusal(config.error, project.root);
}

/** Everything but writing: what would be written, and what is there. */
function rehearse(
  context: CommandContext,
  plan: {
    readonly project: Project;
    readonly findings: Findings;
    readonly fresh: readonly NewFile[];
    readonly kept: readonly string[];
    readonly place: LedgerPlace;
    readonly json: boolean;
  },
): CommandResult {
  const { project, findings, fresh, kept, place } = plan;
  // A rehearsal does not connect anywhere: of a server it is only said where it would look.
  const ledger = place.kind === 'sqlite' && existsSync(place.path);
  const { output } = context;
  // What is there has to be sound in a rehearsal too: init would refuse it.
  const config = configOf(context, project);
  if (!config.ok) return config;
  if (plan.json) {
    const files = fresh.map(({ name, text }) => ({ name: `.openexec/${name}`, text }));
    output.json('init', { v: 1, dryRun: true, root: project.root, founded: !ledger, files, kept, findings });
    return ok(EXIT.ok);
  }
  output.result(
    place.kind !== 'sqlite'
      ? `the ledger at ${safeLine(place.name)} would be founded, or kept where there is one; its keys are made outside the repository`
      : ledger
        ? 'the ledger is there and would be kept'
        : 'a ledger would be founded, its keys made outside the repository',
  );
  for (const name of kept) output.result(`there already   ${name}`);
  for (const { name, text } of fresh) {
    output.result(`would write     .openexec/${name}`);
    output.result(safe(text).trimEnd().replace(/^/gm, '    '));
  }
  tellCommands(context, config.value, { findings, rehearsed: fresh.some(({ name }) => name === 'config.yaml') });
  return ok(EXIT.ok);
}

function tellFounded(
  context: CommandContext,
  founded: Founded,
  files: { readonly written: readonly string[]; readonly kept: readonly string[] },
): void {
  const { output } = context;
  const { bold, dim } = output.style;
  const { fingerprint, origin, stateFolder, keys, fresh } = founded;
  output.result(`${bold(fresh ? 'ledger founded' : 'ledger found')}  ${fingerprint}`);
  output.result(dim('  this fingerprint is pinned for you; keep it elsewhere too: openexec verify --trust checks against it'));
  output.result(`origin          ${origin}`);
  output.result(`keys            ${safeLine(join(stateFolder, 'keys'))} (mode 0600, never in the repository)`);
  for (const key of keys) output.result(`  ${key.label.padEnd(12)}  ${key.keyId}  ${key.roles.join(', ')}`);
  for (const name of files.written) output.result(`wrote           ${name}`);
  for (const name of files.kept) output.result(`there already   ${name} (kept as it is)`);
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

/** Each command with its reason; one that was found since and that the file does not name is pointed out, never written. */
function tellCommands(
  context: CommandContext,
  config: Config,
  { findings, rehearsed }: { readonly findings: Findings; readonly rehearsed: boolean },
): void {
  const { output } = context;
  for (const name of COMMAND_NAMES) {
    const configured = config.commands[name];
    const { found: seen, unclear } = findings.commands[name];
    const words = seen === null ? '' : safeLine(seen.argv.join(' '));
    const same = configured !== undefined && configured !== 'none' && configured.argv.join('\0') === seen?.argv.join('\0');
    const said =
      configured === 'none'
        ? `none, as recorded in .openexec/config.yaml${seen === null ? '' : `; found since: ${words} (${seen.because})`}`
        : configured !== undefined
          ? `${safeLine(configured.argv.join(' '))}  (${same ? seen.because : 'from .openexec/config.yaml'})`
          : seen !== null
            ? `${rehearsed ? '' : 'not configured; found: '}${words}  (${seen.because})`
            : unclear !== null
              ? `not chosen for you: ${unclear}`
              : 'not found; a blueprint that needs it is refused until .openexec/config.yaml names one';
    output.result(`${`${name} command`.padEnd(17)} ${said}`);
  }
  const provided = config.provide.length > 0 ? config.provide : findings.provide.map(({ path }) => path);
  output.result(`${'provided folders'.padEnd(17)} ${provided.length === 0 ? 'none' : safeLine(provided.join(', '))}`);
}
