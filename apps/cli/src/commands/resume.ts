/**
 * `openexec resume RUN`: goes on with a run after a stop, a crash or an approval. CLI.md, PROTOCOL §4.4.
 */
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { takeOver, type Telling } from '../run/drive.ts';

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('resume')
    .description('go on with a run after a stop, a crash or an approval')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .addOption(new Option('--json', 'print one JSON document at the end').conflicts('jsonl'))
    .option('--jsonl', 'print one JSON object per event as it happens')
    .addHelpText('after', '\nExample:\n  openexec resume latest')
    .action(context.act((wanted: string, options: Telling) => resume(wanted, options, context)));
}

async function resume(wanted: string, telling: Telling, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    const run = await context.findRun(ledger.value.store, wanted);
    return run.ok ? await takeOver({ context, project: project.value, ledger: ledger.value, run: run.value, telling }) : run;
  } finally {
    await ledger.value.close();
  }
}
