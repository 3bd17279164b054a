/**
 * `openexec replay RUN --mode MODE`: a run again, and what comes of it held against what is recorded. exact: judged again from its facts. step: one
 * visit of a stage. effects: its workspace actions performed again. model: its questions asked again. Every mode ends at the git tree and says both.
 * Exit 21 when anything differs, every difference is listed; 20 when something it needs is missing or damaged, unless it was erased under a rule
 * (PROTOCOL §10). Must never write to the ledger.
 */
import type { TrajectoryId } from '@openexec/canon';
import { InvalidArgumentError } from 'commander';
import type { CommandContext, CommandResult, OpenLedger, Register } from '../context.ts';
import { refuse } from '../exit.ts';
import { withLedger } from '../read/guard.ts';
import { replayWithEffects } from '../replay/effects.ts';
import { replayExact, replayStep } from '../replay/exact.ts';
import { replayWithModel } from '../replay/model.ts';
import type { ReplayOptions } from '../replay/tell.ts';

type Replay = (context: CommandContext, ledger: OpenLedger, run: TrajectoryId, options: ReplayOptions) => Promise<CommandResult>;

/** The modes of PROTOCOL §10, and the options that only they take. */
const MODES: ReadonlyMap<string, { readonly replay: Replay; readonly takes: readonly (keyof ReplayOptions)[] }> = new Map([
  ['exact', { replay: replayExact, takes: [] }],
  ['step', { replay: replayStep, takes: ['stage'] as const }],
  ['effects', { replay: replayWithEffects, takes: [] }],
  ['model', { replay: replayWithModel, takes: ['model', 'budgetUsd'] as const }],
]);
const OWN = ['stage', 'model', 'budgetUsd'] as const;

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('replay')
    .description('do a run again and compare: judge it, one stage of it, perform its actions, or ask its model')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option(
      '--mode <mode>',
      'exact: judge the recorded facts again, no model, no effect; step: one stage of it; effects: perform its workspace actions again in a fresh workspace; model: ask its questions again (costs money)',
      'exact',
    )
    .option('--stage <name[#visit]>', 'with --mode step: the stage, by default its newest visit')
    .option('--model <provider:name>', 'with --mode model: another model than that of the run')
    .option('--budget-usd <n>', "with --mode model: at most so much, and never more than the run's own budget", dollars)
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec replay latest\n  openexec replay latest --mode step --stage implement#2\n  openexec replay 3f2a --mode effects\n  openexec replay 3f2a --mode model --budget-usd 0.50',
    )
    .action(context.act((run: string, options: ReplayOptions) => replay(context, run, options)));
};

function dollars(text: string): number {
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError('an amount such as 0.50');
  return Number(text);
}

async function replay(context: CommandContext, wanted: string, options: ReplayOptions): Promise<CommandResult> {
  const mode = MODES.get(options.mode);
  if (mode === undefined)
    return refuse('usage.invalid', `there is no replay mode ${JSON.stringify(options.mode)}; there are ${[...MODES.keys()].join(', ')}`);
  const alien = OWN.find((name) => options[name] !== undefined && !mode.takes.includes(name));
  if (alien !== undefined)
    return refuse('usage.invalid', `--mode ${options.mode} takes no ${alien === 'budgetUsd' ? '--budget-usd' : `--${alien}`}`);
  return withLedger(context, { ledger: options.ledger }, async (ledger) => {
    const run = await context.findRun(ledger.store, wanted);
    return run.ok ? mode.replay(context, ledger, run.value, options) : run;
  });
}
