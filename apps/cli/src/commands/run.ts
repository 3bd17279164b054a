/**
 * `openexec run "TASK"`: one governed run in the present repository. Must never touch ledger, model or tree before everything was checked. CLI.md.
 */
import { resolve } from 'node:path';
import { runTrajectory } from '@openexec/authority';
import { err, type KeyId, ok, type Result } from '@openexec/canon';
import { compileProfile, builtinToolsets } from '@openexec/catalogue';
import { openRun } from '@openexec/runtime';
import { describeToolchain, inspectRepository, type RepositoryFacts, resolveCommit, seccompArch, seccompDigest } from '@openexec/workspace';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { terminalApprover } from '../approval/ask.ts';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safeLine } from '../output.ts';
import { storeRefusal } from '../openLedger.ts';
import { createDisplay } from '../run/display.ts';
import { drive, keepScript, loadOperating, type Telling } from '../run/drive.ts';
import { openHands, provideOf, soundSandbox } from '../run/hands.ts';
import { planRun, type RunPlan, writFor, writFromFile } from '../run/plan.ts';
import { redactorOf } from '../run/redact.ts';

interface RunOptions extends Telling {
  readonly blueprint?: string;
  readonly model?: string;
  readonly policy: readonly string[];
  readonly writ?: string;
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
    .option('--policy <file>', 'a policy that narrows this run; may be given several times', (file: string, all: readonly string[]) => [...all, file], [])
    .option('--writ <file>', 'a signed writ for this run instead of one by the operator key')
    .addOption(new Option('--approve <how>', 'whether approvals are asked for, or denied at once').choices(['ask', 'never']))
    .option('--budget-usd <n>', 'upper bound of the cost in US dollars', dollars)
    .option('--base <revision>', 'start from this commit; uncommitted changes are then no obstacle')
    .addOption(new Option('--json', 'print one JSON document at the end').conflicts('jsonl'))
    .option('--jsonl', 'print one JSON object per event as it happens')
    .addHelpText('after', '\nExamples:\n  openexec run "Fix the failing test" --model openai:gpt-5-mini\n  openexec run "Rename the flag --foo to --bar" --base HEAD --budget-usd 0.50 --json')
    .action(context.act((task: string, options: RunOptions) => run(task, options, context)));
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
  });
  if (!plan.ok) return plan;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    return await openAndDrive({ task, options, context, project: project.value, repository: repository.value, plan: plan.value, ledger: ledger.value });
  } finally {
    await ledger.value.close();
  }
}

type Base = RepositoryFacts & { readonly commit: string };

/** A clean checkout, or a commit that was named. */
async function checkRepository(project: Project, options: RunOptions, context: CommandContext): Promise<Result<Base, Refusal>> {
  const facts = await inspectRepository(project.root);
  if (!facts.ok) return err(refusalFor(facts.error, 'workspace.failed'));
  const { dirty, untracked, head } = facts.value;
  if (options.base === undefined && dirty.length > 0) {
    return refuse('workspace.dirty', `${dirty.length} tracked file(s) differ from HEAD, first "${safeLine(dirty[0] ?? '')}"; a run starts from a commit`);
  }
  if (untracked > 0) context.output.warn(`${untracked} untracked file(s) are not part of the run: it starts from the commit`);
  const commit = options.base === undefined ? ok(head) : await resolveCommit(facts.value, options.base);
  return commit.ok ? ok({ ...facts.value, commit: commit.value }) : err(refusalFor(commit.error, 'workspace.failed'));
}

interface Opening {
  readonly task: string;
  readonly options: RunOptions;
  readonly context: CommandContext;
  readonly project: Project;
  readonly repository: Base;
  readonly plan: RunPlan;
  readonly ledger: OpenLedger;
}

async function openAndDrive(opening: Opening): Promise<CommandResult> {
  const { task, options, context, project, repository, plan, ledger } = opening;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const redactor = redactorOf(context.env, [operator, runtime], runtime);
  const provide = plan.config.provide.map(provideOf);
  const sandbox = await soundSandbox({ redactor, root: project.root, provide });
  if (!sandbox.ok) return sandbox;
  const writ = options.writ === undefined ? ok(writFor({ context, ledger, operator, runtime, plan })) : writFromFile(resolve(context.cwd, options.writ), { ledger, runtime });
  if (!writ.ok) return writ;
  const arch = seccompArch();
  if (arch === null) return refuse('sandbox.unavailable', 'there is no system-call filter for this CPU');
  const name = runTrajectory({ issuer: writ.value.body.issuer, nonce: writ.value.body.nonce });
  const display = createDisplay(context.output, { jsonl: options.jsonl === true });
  const approver = context.interactive && plan.config.approvals === 'ask' ? terminalApprover(context, { key: operator, ledger: ledger.fingerprint, store: ledger.store, root: project.root }) : null;
  const stop = context.stopOnInterrupt();
  const opened = await openHands({
    context,
    ledger,
    repository,
    run: name,
    base: repository.commit,
    sandbox: sandbox.value,
    redactor,
    model: plan.model?.adapter ?? null,
    approver,
    observe: (stored) => display.observe(stored),
  });
  if (!opened.ok) return opened;
  const { hands, base } = opened.value;
  if (plan.model !== null && plan.model.script !== null) keepScript(ledger, name, plan.model.script);
  const started = await openRun(
    {
      task: redactor.redactText(task),
      session: null,
      // Key files hold checked ids.
      opener: operator.keyId as KeyId,
      writs: [writ.value],
      blueprint: plan.blueprint,
      policySet: plan.policySet,
      catalogue: plan.catalogue,
      toolsets: builtinToolsets,
      prices: plan.prices,
      profile: compileProfile({ writ: writ.value.body, mode: plan.grant.mode, provide, toolchain: [describeToolchain().symbol], seccompDigest: seccompDigest(arch) }),
      model: plan.model?.choice ?? null,
      base,
      approvals: plan.config.approvals,
      selfTest: null,
    },
    hands,
  );
  if (!started.ok) return err(storeRefusal(started.error));
  if (options.jsonl !== true) context.output.progress(`run ${shortRun(name)} · ${plan.blueprint.name} · ${safeLine(modelName(plan))} · on ${repository.commit.slice(0, 12)}`);
  return drive({ context, run: name, hands, stop, telling: options, driver: started.value.driver });
}

function modelName(plan: RunPlan): string {
  return plan.model === null ? 'no model' : `${plan.model.choice.provider}:${plan.model.choice.model}`;
}
