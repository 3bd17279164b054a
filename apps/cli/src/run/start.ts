/**
 * One governed run from the word to its end: the one way in for the command and for programs. Everything is checked before ledger, model or tree is
 * touched. Must never print, nor know who asked.
 */
import { err, ok, type Result } from '@openexec/canon';
import { inspectRepository, resolveCommit } from '@openexec/workspace';
import type { Project, Surroundings } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { openLedger } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import type { RunSummary } from './finish.ts';
import { type Base, type Company, openAndDrive } from './open.ts';
import { planRun, type RunFlags, type RunPlan } from './plan.ts';

/** What is to be done, and what the caller says about how. */
export interface StartRequest {
  readonly task: string;
  readonly flags: RunFlags;
  /** File of a signed writ instead of one by the operator key. */
  readonly writ: string | undefined;
  /** Revision to start from; then uncommitted changes are no obstacle. */
  readonly base: string | undefined;
}

const MAX_TASK = 64 * 1024;

/** Starts one run in a checkout and drives it to its end, to an approval, or until its company stops it. */
export async function startGoverned(
  context: Surroundings,
  project: Project,
  request: StartRequest,
  company: Company,
): Promise<Result<RunSummary, Refusal>> {
  const { task, flags, writ, base } = request;
  if (task.trim() === '') return refuse('usage.invalid', 'the task is empty; say what is to be done');
  if (task.length > MAX_TASK) return refuse('usage.invalid', `the task has more than ${MAX_TASK} characters`);
  const repository = await checkRepository(project, base, company);
  if (!repository.ok) return repository;
  const plan = planRun(context, project, flags);
  if (!plan.ok) return plan;
  const scope = writ === undefined ? checkScope(plan.value) : ok(undefined);
  if (!scope.ok) return scope;
  const ledger = await openLedger({ ...context, choice: { access: 'write' }, project: async () => ok(project) });
  if (!ledger.ok) return ledger;
  try {
    return await openAndDrive({
      task,
      writFile: writ,
      company,
      context,
      project,
      repository: repository.value,
      plan: plan.value,
      ledger: ledger.value,
    });
  } finally {
    await ledger.value.close();
  }
}

/** What the kernel would deny anyway is refused before anything is opened. A writ from a file says its paths itself. */
function checkScope({ blueprint, config }: RunPlan): Result<void, Refusal> {
  if (blueprint.scope !== 'declared' || !config.writePaths.includes('**')) return ok(undefined);
  return refuse('config.scopeMissing', `blueprint ${blueprint.name} changes only paths that were declared, and none are`);
}

/** A clean checkout, or a commit that was named. */
async function checkRepository(project: Project, base: string | undefined, company: Company): Promise<Result<Base, Refusal>> {
  const facts = await inspectRepository(project.root);
  if (!facts.ok) return err(refusalFor(facts.error, 'workspace.failed'));
  const { dirty, untracked, head } = facts.value;
  if (base === undefined && dirty.length > 0) {
    return refuse(
      'workspace.dirty',
      `${dirty.length} tracked file(s) differ from HEAD, first "${safeLine(dirty[0] ?? '')}"; a run starts from a commit`,
    );
  }
  if (untracked > 0) company.warn(`${untracked} untracked file(s) are not part of the run: it starts from the commit`);
  const commit = base === undefined ? ok(head) : await resolveCommit(facts.value, base);
  return commit.ok ? ok({ ...facts.value, commit: commit.value }) : err(refusalFor(commit.error, 'workspace.failed'));
}
