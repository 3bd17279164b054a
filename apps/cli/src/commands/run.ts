/**
 * `openexec run "TASK"`: one governed run in the present repository. Must never touch ledger, model or tree before everything was checked. CLI.md.
 */
import { err, ok, type Result } from '@openexec/canon';
import { pathPattern } from '@openexec/protocol';
import { inspectRepository, resolveCommit } from '@openexec/workspace';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext, CommandResult, Project } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import type { Telling } from '../run/drive.ts';
import { type Base, openAndDrive } from '../run/open.ts';
import { planRun, type RunPlan } from '../run/plan.ts';

interface RunOptions extends Telling {
  readonly blueprint?: string;
  readonly model?: string;
  readonly policy: readonly string[];
  readonly writ?: string;
  readonly write: readonly string[];
  readonly approve?: 'ask' | 'never';
  readonly budgetUsd?: number;
  readonly base?: string;
}

const MAX_TASK = 64 * 1024;

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
  if (task.trim() === '') return refuse('usage.invalid', 'the task is empty; say what is to be done');
  if (task.length > MAX_TASK) return refuse('usage.invalid', `the task has more than ${MAX_TASK} characters`);
  const project = await context.project();
  if (!project.ok) return project;
  const repository = await checkRepository(project.value, options, context);
  if (!repository.ok) return repository;
  const plan = planRun(context, project.value, {
    policies: options.policy,
    model: options.model,
    blueprint: options.blueprint,
    approvals: options.approve,
    budgetUsd: options.budgetUsd,
    writePaths: options.write.length === 0 ? undefined : options.write,
  });
  if (!plan.ok) return plan;
  const scope = options.writ === undefined ? scopeRefusal(plan.value) : null;
  if (scope !== null) return scope;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    return await openAndDrive({
      task,
      writFile: options.writ,
      telling: options,
      context,
      project: project.value,
      repository: repository.value,
      plan: plan.value,
      ledger: ledger.value,
    });
  } finally {
    await ledger.value.close();
  }
}

/** What the kernel would deny anyway is refused before anything is opened. A writ from a file says its paths itself. */
function scopeRefusal({ blueprint, config }: RunPlan) {
  if (blueprint.scope !== 'declared' || !config.writePaths.includes('**')) return null;
  return refuse('config.scopeMissing', `blueprint ${blueprint.name} changes only paths that were declared, and none are`);
}

/** A clean checkout, or a commit that was named. */
async function checkRepository(project: Project, options: RunOptions, context: CommandContext): Promise<Result<Base, Refusal>> {
  const facts = await inspectRepository(project.root);
  if (!facts.ok) return err(refusalFor(facts.error, 'workspace.failed'));
  const { dirty, untracked, head } = facts.value;
  if (options.base === undefined && dirty.length > 0) {
    return refuse(
      'workspace.dirty',
      `${dirty.length} tracked file(s) differ from HEAD, first "${safeLine(dirty[0] ?? '')}"; a run starts from a commit`,
    );
  }
  if (untracked > 0) context.output.warn(`${untracked} untracked file(s) are not part of the run: it starts from the commit`);
  const commit = options.base === undefined ? ok(head) : await resolveCommit(facts.value, options.base);
  return commit.ok ? ok({ ...facts.value, commit: commit.value }) : err(refusalFor(commit.error, 'workspace.failed'));
}
