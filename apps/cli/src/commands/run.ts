/**
 * `openexec run "TASK"`: one governed run in the present repository. Must never touch ledger, model or tree before everything was checked. CLI.md.
 */
import type { TrajectoryId } from '@openexec/canon';
import { pathPattern } from '@openexec/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext, CommandResult, Project } from '../context.ts';
import { shortRun } from '../findRun.ts';
import type { Display } from '../run/display.ts';
import { approverFor, displayFor, type Telling, tell } from '../run/drive.ts';
import type { Company } from '../run/open.ts';
import { selfTestText } from '../run/selfTest.ts';
import { startGoverned } from '../run/start.ts';
import { skillParam } from '../skill/plan.ts';

interface RunOptions extends Telling {
  readonly blueprint?: string;
  readonly model?: string;
  readonly policy: readonly string[];
  readonly writ?: string;
  readonly skill: readonly string[];
  readonly routing?: string;
  readonly skillParam: Readonly<Record<string, string>>;
  readonly write: readonly string[];
  readonly approve?: 'ask' | 'never';
  readonly budgetUsd?: number;
  readonly base?: string;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('run')
    .description('one governed run in this repository; the result is a branch openexec/…')
    .argument('<task>', 'what to do')
    .option('--blueprint <name>', 'the blueprint to follow')
    .option('--model <provider:name>', 'the model to ask: openai:NAME or scripted:FILE')
    .option(
      '--policy <file>',
      'a policy that narrows this run; may be given several times',
      (file: string, all: readonly string[]) => [...all, file],
      [],
    )
    .option(
      '--skill <file>',
      'a skill by name or file: instructions, and limits that only narrow this run; may be given several times',
      (file: string, all: readonly string[]) => [...all, file],
      [],
    )
    .option('--routing <file>', 'why this model was chosen, by whatever chose it: recorded as evidence, and read by nothing that decides')
    .option('--skill-param <key=value>', 'the value of a parameter of a skill; may be given several times', skillParam, {})
    .option('--writ <file>', 'a signed writ for this run instead of one by the operator key')
    .option(
      '--write <path>',
      'a path that the run may change (FILE or FOLDER/**); may be given several times, and only narrows paths.write',
      (path: string, all: readonly string[]) => [...all, writePattern(path)],
      [],
    )
    .addOption(new Option('--approve <how>', 'whether approvals are asked for, or denied at once').choices(['ask', 'never']))
    .option('--budget-usd <n>', 'upper bound of the cost in US dollars', dollars)
    .option('--base <revision>', 'start from this commit; uncommitted changes are then no obstacle')
    .addOption(new Option('--json', 'print one JSON document at the end').conflicts('jsonl'))
    .option('--jsonl', 'print one JSON object per event as it happens')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec run "Fix the failing test" --model openai:gpt-5-mini\n  openexec run "Rename the flag --foo to --bar" --base HEAD --budget-usd 0.50 --json',
    )
    .action(context.act((task: string, options: RunOptions) => run(task, options, context)));
}

function writePattern(text: string): string {
  if (!pathPattern.safeParse(text).success) throw new InvalidArgumentError('a file or FOLDER/** inside the repository, without . and ..');
  return text;
}

function dollars(text: string): number {
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError('an amount such as 0.50');
  return Number(text);
}

async function run(task: string, options: RunOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const flags = {
    policies: options.policy,
    skills: options.skill,
    skillParams: options.skillParam,
    routing: options.routing,
    model: options.model,
    blueprint: options.blueprint,
    approvals: options.approve,
    budgetUsd: options.budgetUsd,
    writePaths: options.write.length === 0 ? undefined : options.write,
  };
  const company = atTheTerminal(context, project.value, options);
  const driven = await startGoverned(context, project.value, { task, flags, writ: options.writ, base: options.base }, company);
  company.end();
  return tell(context, { run: company.run(), driven }, options);
}

/** A company that knows at the end what it has seen. */
interface Attended extends Company {
  /** The run that was opened, or null. */
  run(): TrajectoryId | null;
  end(): void;
}

/** The person who typed the command: sees what happens, may interrupt and is asked. */
function atTheTerminal(context: CommandContext, project: Project, telling: Telling): Attended {
  const { output } = context;
  let display: Display | null = null;
  let run: TrajectoryId | null = null;
  return {
    counted(tally) {
      display = displayFor(context, telling, tally);
    },
    get stop() {
      return context.stopOnInterrupt();
    },
    approver: ({ ledger, approvals }) => approverFor({ context, project, ledger, approvals }),
    opened(opened) {
      run = opened.run;
      if (telling.jsonl !== true) output.progress(`run ${shortRun(opened.run)} follows blueprint ${opened.blueprint}`);
    },
    proven: ({ recorded, reused }) => {
      if (telling.jsonl !== true)
        output.progress(reused ? `self-test of ${recorded.at} stands until ${recorded.until}` : `self-test: ${selfTestText(recorded)}`);
    },
    observe: (stored) => display?.observe(stored),
    warn: (text) => output.warn(text),
    run: () => run,
    end: () => display?.end(),
  };
}
