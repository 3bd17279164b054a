/**
 * `openexec cancel RUN`: stops a run for good. The wish is a fact of its own; whoever drives the run closes it, and where nobody does, this command.
 */
import { err, type KeyId, ok } from '@openexec/canon';
import { loadRun, requestCancel, requestCancelBelow } from '@openexec/runtime';
import type { Command } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { loadOperating, takeOver } from '../run/drive.ts';
import { redactWords } from '../run/redact.ts';

interface CancelOptions {
  readonly because: string;
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('cancel')
    .description('stop a run for good; its tree and its record stay')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--because <text>', 'why, for the record', 'cancelled by its operator')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec cancel latest --because "wrong branch"')
    .action(context.act((wanted: string, options: CancelOptions) => cancel(wanted, options, context)));
}

async function cancel(wanted: string, options: CancelOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const opened = await context.openLedger({ access: 'write' });
  if (!opened.ok) return opened;
  const ledger = opened.value;
  try {
    const run = await context.findRun(ledger.store, wanted);
    if (!run.ok) return run;
    const operating = loadOperating(ledger);
    if (!operating.ok) return operating;
    const because = await redactWords(context, operating.value.operator, options.because);
    if (!because.ok) return because;
    const { clock, randomness } = context;
    // Key files hold checked ids.
    const actor = operating.value.operator.keyId as KeyId;
    const asked = await requestCancel({ ledger: ledger.store, clock, randomness, run: run.value, actor, because: because.value });
    if (!asked.ok) return err(storeRefusal(asked.error));
    // Whoever drives a child of it now looks at nothing else.
    const below = await requestCancelBelow({ ledger: ledger.store, clock, randomness, run: run.value, actor, because: because.value });
    if (!below.ok) return err(storeRefusal(below.error));
    const closed = await takeOver({
      context,
      project: project.value,
      ledger,
      run: run.value,
      telling: { quiet: options.json === true },
      withoutModel: true,
    });
    const busy = !closed.ok && closed.error.code === 'run.busy';
    if (!closed.ok && !busy) return closed;
    const state = await loadRun(ledger.store, run.value, ledger.snapshots);
    if (!state.ok) return err(storeRefusal(state.error));
    const outcome = state.value.closed?.outcome ?? null;
    if (options.json === true) context.output.json('cancel', { v: 1, run: run.value, closed: outcome, asked: asked.value.seq });
    else if (busy) context.output.result(`${run.value} is driven by another process, which will close it`);
    if (busy || outcome === 'cancelled') return ok(EXIT.ok);
    return refuse('run.failed', `${run.value} was not cancelled: ${outcome === null ? 'it is still open' : `it had ended as ${outcome}`}`);
  } finally {
    await ledger.close();
  }
}
