/**
 * The entry of the command `openexec`: knows every command by name, loads only the one that was named. Must never do work of its own.
 * TOOLCHAIN §5.8 (start), CLI.md "Commands".
 */
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { createContext } from './adapters.ts';
import type { Register } from './context.ts';
import { EXIT } from './exit.ts';
import { VERSION } from './version.ts';

interface CommandRow {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ readonly register: Register }>;
}

/** Every command, in the order of the help text. */
const COMMANDS: readonly CommandRow[] = [
  { name: 'demo', summary: 'the whole main job on a shipped sample repository, offline', load: () => import('./commands/demo.ts') },
  { name: 'init', summary: 'set up this repository: configuration, keys, ledger', load: () => import('./commands/init.ts') },
  { name: 'run', summary: 'one governed run in this repository', load: () => import('./commands/run.ts') },
  { name: 'resume', summary: 'go on with a run after a stop, a crash or an approval', load: () => import('./commands/resume.ts') },
  { name: 'cancel', summary: 'stop a run for good', load: () => import('./commands/cancel.ts') },
  { name: 'rewind', summary: 'files and conversation of a run back to a stage', load: () => import('./commands/rewind.ts') },
  { name: 'apply', summary: 'bring the result of a run into the checkout', load: () => import('./commands/apply.ts') },
  { name: 'blueprint', summary: 'list, check and draw blueprints', load: () => import('./commands/blueprint.ts') },
  { name: 'runs', summary: 'list the runs', load: () => import('./commands/runs.ts') },
  { name: 'show', summary: 'show one run', load: () => import('./commands/show.ts') },
  { name: 'timeline', summary: 'what happened in a run, event by event', load: () => import('./commands/timeline.ts') },
  { name: 'diff', summary: 'the change of a run, or how two runs differ', load: () => import('./commands/diff.ts') },
  { name: 'approvals', summary: 'list what waits for an approval', load: () => import('./commands/approvals.ts') },
  { name: 'approve', summary: 'approve one request with your key', load: () => import('./commands/approve.ts') },
  { name: 'deny', summary: 'deny one request with your key', load: () => import('./commands/deny.ts') },
  {
    name: 'verify',
    summary: 'check the integrity of the ledger, and with --deep every judgement',
    load: () => import('./commands/verify.ts'),
  },
  { name: 'replay', summary: 'do a run again and compare', load: () => import('./commands/replay.ts') },
  { name: 'golden', summary: 'recorded runs that every later kernel must judge alike', load: () => import('./commands/golden.ts') },
  { name: 'export', summary: 'write an audit bundle of runs or of the whole ledger', load: () => import('./commands/export.ts') },
  { name: 'verify-bundle', summary: 'check an audit bundle, offline', load: () => import('./commands/verifyBundle.ts') },
  {
    name: 'verify-change',
    summary: 'the release gate: is a change proved as its base asks',
    load: () => import('./commands/verifyChange.ts'),
  },
  { name: 'ledger', summary: 'look at the ledger itself', load: () => import('./commands/ledger.ts') },
  { name: 'world', summary: 'what a run committed under one name, and proofs of it', load: () => import('./commands/world.ts') },
  { name: 'witness', summary: 'remember and cosign the checkpoints of other ledgers', load: () => import('./commands/witness.ts') },
  { name: 'key', summary: 'make, list, trust, rotate and retire keys', load: () => import('./commands/key.ts') },
  { name: 'policy', summary: 'check, test, explain, list and adopt policies', load: () => import('./commands/policy.ts') },
  { name: 'writ', summary: 'issue, narrow, look at, verify and revoke writs', load: () => import('./commands/writ.ts') },
  {
    name: 'skill',
    summary: 'list, show and check skills: instructions with limits that only narrow',
    load: () => import('./commands/skill.ts'),
  },
  { name: 'action', summary: 'what the runtime can do: every action with its contract', load: () => import('./commands/action.ts') },
  { name: 'model', summary: 'list the configured models, or try one', load: () => import('./commands/model.ts') },
  { name: 'config', summary: 'the configuration in force, and who said what', load: () => import('./commands/config.ts') },
  { name: 'doctor', summary: 'what is missing on this machine and how to get it', load: () => import('./commands/doctor.ts') },
  { name: 'self-test', summary: 'try what must be refused, and record it signed', load: () => import('./commands/self-test.ts') },
  { name: 'completion', summary: 'print the completion script of bash, zsh or fish', load: () => import('./commands/completion.ts') },
];
/** For completion scripts, not for people. */
const HIDDEN: CommandRow = { name: '__complete', summary: '', load: () => import('./commands/complete.ts') };
/** The one command that looks at all others. */
const WHOLE_TREE = 'completion';

/** Commands that work on the ledger of the checkout, and as well on one that is named. */
const OPEN_LEDGERS: ReadonlySet<string> = new Set([
  'init',
  'run',
  'resume',
  'cancel',
  'rewind',
  'apply',
  'doctor',
  'self-test',
  '__complete',
  'skill bind',
  ...['get', 'prove'].map((name) => `world ${name}`),
  ...['list', 'explain', 'adopt'].map((name) => `policy ${name}`),
  ...['issue', 'narrow', 'show', 'verify', 'revoke', 'restore', 'list'].map((name) => `writ ${name}`),
]);
const LEDGER_OPTION = 'another ledger: sqlite:PATH, postgres://HOST/DATABASE or esdb://HOST';
const COMPANION_OPTION = 'where payloads of a ledger in EventStoreDB are: postgres://HOST/DATABASE, sqlite: or sqlite:PATH';

/** The command that the arguments name: the first that is no option, or what `help` is asked about. */
function named(args: readonly string[]): string | undefined {
  const words = args.filter((arg) => !arg.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** Gives `--ledger` to every command that opens a ledger and does not say more about it itself, and `--companion` to all that have it. */
function nameLedgers(program: Command, wanted: string): void {
  const leaves = (command: Command): readonly Command[] => (command.commands.length === 0 ? [command] : command.commands.flatMap(leaves));
  for (const command of program.commands) {
    if (command.name() !== wanted && wanted !== WHOLE_TREE) continue;
    for (const leaf of leaves(command)) {
      const path = leaf === command ? leaf.name() : `${command.name()} ${leaf.name()}`;
      if (OPEN_LEDGERS.has(path) && !leaf.options.some(({ long }) => long === '--ledger')) leaf.option('--ledger <url>', LEDGER_OPTION);
      const option = leaf.options.find(({ long }) => long === '--ledger');
      if (option === undefined) continue;
      option.description = LEDGER_OPTION;
      leaf.option('--companion <url>', COMPANION_OPTION);
    }
  }
}

async function main(): Promise<void> {
  // Only this file is sure to lie in dist/ itself; other modules may end up in a chunk.
  const context = createContext({ assets: fileURLToPath(new URL('assets/', import.meta.url)), version: VERSION });
  const program = new Command('openexec')
    .description('AI coding agents under law: the model proposes, the runtime decides, the ledger proves.')
    .version(VERSION)
    .showHelpAfterError('(add --help for the options and an example)')
    .addHelpText('after', '\nExample:\n  openexec init && openexec run "Fix the failing test"')
    .exitOverride();
  const wanted = named(process.argv.slice(2));
  if (wanted === HIDDEN.name) (await HIDDEN.load()).register(program, context);
  for (const row of COMMANDS) {
    if (row.name === wanted || wanted === WHOLE_TREE) (await row.load()).register(program, context);
    else program.command(row.name).description(row.summary);
  }
  if (wanted !== undefined) nameLedgers(program, wanted);
  program.hook('preAction', (_, command) => {
    const { ledger, companion } = command.opts<{ readonly ledger?: string; readonly companion?: string }>();
    context.nameLedger(ledger, companion);
  });
  await program.parseAsync(process.argv);
}

// A reader that has seen enough (`| head`) closes the pipe: that is no failure, and a governed run must not die of it.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

// Node ends with 13 where a promise of ours is never settled and nothing is left to wait for: a defect, and 13 is the code of a spent budget.
const UNSETTLED = 13;
let settled = false;
process.on('exit', (code) => {
  if (settled || code !== UNSETTLED) return;
  process.exitCode = EXIT.failed;
  process.stderr.write(
    'openexec: internal.fault: something was waited for that never came; please report it, openexec resume RUN goes on\n',
  );
});

try {
  await main();
  settled = true;
} catch (error) {
  settled = true;
  const { code, exitCode, message } = error as { readonly code?: unknown; readonly exitCode?: unknown; readonly message?: unknown };
  const commander = typeof code === 'string' && code.startsWith('commander.');
  // Commander has printed its message already; help and version are no failure.
  process.exitCode = !commander ? EXIT.failed : exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (!commander) process.stderr.write(`openexec: ${typeof message === 'string' ? message : String(error)}\n`);
}
