/**
 * `openexec rewind RUN --to STAGE`: files and conversation of a run back to where a stage was entered; the record stays, and so does what was spent.
 * Without `--to` it lists where one can go back to. CLI.md, PROTOCOL §4.3.
 */
import { err, ok, type Result } from '@openexec/canon';
import { rewindTargets, type RewindTarget } from '@openexec/kernel';
import { loadRun, type Rewound, rewindRun } from '@openexec/runtime';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { driveTaken, handsFor } from '../run/drive.ts';

/** So many files are named one by one. */
const SHOWN_FILES = 50;

interface RewindOptions {
  readonly to?: string;
  readonly run?: boolean;
  readonly json?: boolean;
}
type Entry = Parameters<typeof rewindRun>[0]['to'];

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('rewind')
    .description('files and conversation of a run back to a stage; without --to, the stages to go back to')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .addOption(new Option('--to <stage>', 'a stage of the run, its newest entry; STAGE#VISIT for an earlier one'))
    .option('--run', 'go on from there at once')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec rewind latest\n  openexec rewind latest --to implement --run')
    .action(context.act((wanted: string, options: RewindOptions) => rewind(wanted, options, context)));
}

async function rewind(wanted: string, options: RewindOptions, context: CommandContext): Promise<CommandResult> {
  if (options.to === undefined) return list(wanted, options, context);
  const to = entryOf(options.to);
  if (!to.ok) return to;
  const project = await context.project();
  if (!project.ok) return project;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    return await goBack({ wanted, to: to.value, options, context, project: project.value, ledger: ledger.value });
  } finally {
    await ledger.value.close();
  }
}

interface GoBack {
  readonly wanted: string;
  readonly to: Entry;
  readonly options: RewindOptions;
  readonly context: CommandContext;
  readonly project: Project;
  readonly ledger: OpenLedger;
}

async function goBack({ wanted, to, options, context, project, ledger }: GoBack): Promise<CommandResult> {
  const run = await context.findRun(ledger.store, wanted);
  if (!run.ok) return run;
  // Before a sandbox or a model is looked for: a closed run needs neither to be refused.
  const state = await loadRun(ledger.store, run.value, ledger.snapshots);
  if (!state.ok) return err(storeRefusal(state.error));
  if (state.value.status === 'closed')
    return refuse('run.closed', `${run.value} is closed (${state.value.closed?.outcome ?? ''}); a closed run is not rewound`);
  const goesOn = options.run === true;
  const telling = { json: options.json === true };
  const over = { context, project, ledger, run: run.value, telling, withoutModel: !goesOn };
  const taken = await handsFor(over);
  if (!taken.ok) return taken;
  const done = await rewindRun({ run: run.value, hands: taken.value.hands, to });
  if (!goesOn) taken.value.display.end();
  if (!done.ok) return err(storeRefusal(done.error));
  tell(context, done.value, options);
  return goesOn ? driveTaken(over, taken.value) : ok(EXIT.ok);
}

function entryOf(text: string): Result<Entry, Refusal> {
  const [, stage, visit] = /^([^#]+)(?:#([1-9][0-9]{0,8}))?$/.exec(text) ?? [];
  return stage === undefined
    ? refuse('usage.invalid', `--to takes a stage, or a stage and the number of its visit as in implement#2, not "${safeLine(text, 80)}"`)
    : ok({ stage, visit: visit === undefined ? null : Number(visit) });
}

/** What was put back, then how to go on. With `--run` it is progress: the result is the run's own. */
function tell({ output }: CommandContext, { state, target, files, tree }: Rewound, options: RewindOptions): void {
  const run = shortRun(state.run);
  const commands = { resume: `openexec resume ${run}`, inspect: `openexec timeline ${run}`, cancel: `openexec cancel ${run}` };
  const { stage, visit, undoes } = target;
  if (options.json === true && options.run !== true)
    return output.json('rewind', {
      v: 1,
      run: state.run,
      status: state.status,
      to: { stage, visit },
      visit: state.stage?.visit ?? visit,
      undone: undoes,
      files,
      tree,
      commands,
    });
  const say = options.run === true ? output.progress : output.result;
  say(`${output.style.bold('rewound')}   ${state.run} to stage ${stage}, visit ${visit}; this is its visit ${state.stage?.visit ?? visit}`);
  say(`undone    ${undoes} ${undoes === 1 ? 'commit' : 'commits'}, ${files.length} ${files.length === 1 ? 'file' : 'files'} put back`);
  for (const { path, how } of files.slice(0, SHOWN_FILES)) say(`  ${how.padEnd(12)} ${safeLine(path)}`);
  if (files.length > SHOWN_FILES) say(`  and ${files.length - SHOWN_FILES} more`);
  say(`tree      ${tree}`);
  if (options.run !== true) for (const [what, command] of Object.entries(commands)) say(`${what.padEnd(9)} ${command}`);
}

function list(wanted: string, options: RewindOptions, context: CommandContext): Promise<CommandResult> {
  if (options.run === true) return Promise.resolve(refuse('usage.invalid', '--run goes with --to STAGE'));
  return withLedger(context, {}, async ({ store, snapshots }) => {
    const run = await context.findRun(store, wanted);
    if (!run.ok) return run;
    const state = await loadRun(store, run.value, snapshots);
    if (!state.ok) return err(storeRefusal(state.error));
    const targets = rewindTargets(state.value);
    const { output } = context;
    if (options.json === true) output.json('rewind-list', { v: 1, run: run.value, status: state.value.status, targets });
    else for (const target of targets) output.result(line(target, shortRun(run.value)));
    if (targets.length === 0 && options.json !== true) output.progress('the run has entered no stage yet');
    return ok(EXIT.ok);
  });
}

function line({ stage, visit, seq, undoes, problem }: RewindTarget, run: string): string {
  const what = problem === null ? `openexec rewind ${run} --to ${stage}#${visit}` : `not possible: ${safeLine(problem.message)}`;
  return `${`${stage}#${visit}`.padEnd(24)} entered at ${String(seq).padEnd(5)} ${`${undoes} commits since`.padEnd(17)} ${what}`;
}
