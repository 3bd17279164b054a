/**
 * `openexec apply RUN`: brings the branch of a finished run into the checkout, as a fast-forward or a merge, and records that. Must never touch a
 * file where something conflicts. CLI.md.
 */
import { err, type Json, type KeyId, ok, type TrajectoryId } from '@openexec/canon';
import { isAutoRun } from '@openexec/catalogue';
import { loadRun } from '@openexec/runtime';
import { type Applied, applyBranch, inspectRepository, type RepositoryFacts } from '@openexec/workspace';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, refusalFor, refuse } from '../exit.ts';
import { type Output, safeLine } from '../output.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { loadOperating } from '../run/drive.ts';

interface ApplyOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
}
interface Work {
  readonly options: ApplyOptions;
  readonly context: CommandContext;
  readonly project: Project;
  readonly ledger: OpenLedger;
}
interface Landing {
  readonly run: TrajectoryId;
  readonly ref: string;
  readonly commit: string;
}

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.
const HEADS = 'refs/heads/';
const SIGN = { added: '+', modified: '~', deleted: '-' } as const;
const FILES_SHOWN = 50;
const CONFLICTS_SHOWN = 50;

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('apply')
    .description('bring the result of a run into the checkout: a fast-forward, or a merge when HEAD has moved')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--dry-run', 'only say what would happen, or what conflicts')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec apply latest --dry-run\n  openexec apply latest')
    .action(context.act((wanted: string, options: ApplyOptions) => apply(wanted, options, context)));
}

async function apply(wanted: string, options: ApplyOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    const run = await context.findRun(ledger.value.store, wanted);
    return run.ok ? await applyRun(run.value, { options, context, project: project.value, ledger: ledger.value }) : run;
  } finally {
    await ledger.value.close();
  }
}

async function applyRun(run: TrajectoryId, work: Work): Promise<CommandResult> {
  const { options, context, project, ledger } = work;
  const state = await loadRun(ledger.store, run, ledger.snapshots);
  if (!state.ok) return err(storeRefusal(state.error));
  const result = state.value.closed?.result ?? null;
  if (result === null)
    return refuse(
      'run.notLanded',
      `${run} has no result: ${state.value.closed === null ? 'it is still open' : `it ended as ${state.value.closed.outcome}`}`,
    );
  const repository = await inspectRepository(project.root);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const branch = result.ref.startsWith(HEADS) ? result.ref.slice(HEADS.length) : result.ref;
  const applied = await applyBranch({
    repository: repository.value,
    branch,
    dryRun: options.dryRun === true,
    onPlan: (plan) => tellAutoRun(context.output, plan),
  });
  if (!applied.ok) return err(refusalFor(applied.error, 'workspace.failed'));
  if (applied.value.commit !== result.commit) {
    context.output.warn(`branch ${safeLine(branch)} is at ${applied.value.commit}, not at the recorded ${result.commit}`);
  }
  const { outcome } = applied.value;
  if (outcome === 'conflicted') return conflicted(branch, applied.value);
  if (options.dryRun === true) tellAutoRun(context.output, applied.value);
  const into = intoOf(repository.value);
  const recorded = await recordOnce(work, { run, ref: result.ref, commit: result.commit }, { into, applied: applied.value });
  if (!recorded.ok) return recorded;
  tell(work, { run, ref: result.ref, into, branch, applied: { ...applied.value, outcome } });
  return ok(EXIT.ok);
}

function intoOf({ branch }: RepositoryFacts): string {
  return branch === null ? 'HEAD' : `${HEADS}${branch}`;
}

/** Files that something runs without being asked stand out before they are there. */
function tellAutoRun(output: Output, { files }: Applied): void {
  const autoRun = files.filter(({ path, change }) => change !== 'deleted' && isAutoRun(path));
  if (autoRun.length === 0) return;
  output.warn(`${autoRun.length} of the files are run by tools without being asked; look at them before you build, test or commit:`);
  for (const { path, change } of autoRun) output.progress(`  ${SIGN[change]} ${safeLine(path)}`);
}

function conflicted(branch: string, { conflicts, head }: Applied): CommandResult {
  const lines = conflicts
    .slice(0, CONFLICTS_SHOWN)
    .map(({ kind, paths }) => `  ${kind}: ${paths.map((path) => safeLine(path)).join(', ')}`);
  const more = conflicts.length > CONFLICTS_SHOWN ? [`  and ${conflicts.length - CONFLICTS_SHOWN} more`] : [];
  const details = conflicts.map(({ kind, paths, message }) => ({ kind, paths: [...paths], message }));
  return refuse(
    'workspace.conflict',
    [`${branch} does not go into ${head.slice(0, 12)}; ${conflicts.length} conflicts:`, ...lines, ...more].join('\n'),
    { head, conflicts: details },
  );
}

/**
 * Records what the checkout took. Also after an apply that was cut off before it could: then HEAD already has the result as an apply leaves it,
 * and the ledger says nothing of it yet.
 */
async function recordOnce(
  work: Work,
  landing: Landing,
  { into, applied }: { readonly into: string; readonly applied: Applied },
): Promise<CommandResult> {
  if (work.options.dryRun === true || (applied.outcome === 'already' && applied.previous === applied.head)) return ok(EXIT.ok);
  if (applied.outcome === 'already' && (await isRecorded(work.ledger, landing.run, applied.head))) return ok(EXIT.ok);
  return record(work, { run: landing.run, ref: landing.ref, commit: applied.head, into, previous: applied.previous });
}

async function isRecorded(ledger: OpenLedger, run: TrajectoryId, head: string): Promise<boolean> {
  for await (const stored of ledger.store.read(LEDGER)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'result.applied' && event.body.run === run && event.body.commit === head) return true;
  }
  return false;
}

async function record(work: Work, payload: { readonly [name: string]: Json }): Promise<CommandResult> {
  const { context, ledger } = work;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  // Key files hold checked ids.
  const actor = `key:${operating.value.operator.keyId as KeyId}` as const;
  const draft = { kind: 'result.applied' as const, at: context.clock.now(), actor, cause: null, law: null, payload };
  const appended = await ledger.store.append({ to: [{ trajectory: LEDGER, expect: 'any', drafts: [draft] }], blobs: [] });
  return appended.ok ? ok(EXIT.ok) : err(storeRefusal(appended.error));
}

/** What went in, or was there already. */
type Landed = Applied & { readonly outcome: Exclude<Applied['outcome'], 'conflicted'> };
interface Told {
  readonly run: TrajectoryId;
  readonly ref: string;
  readonly into: string;
  readonly branch: string;
  readonly applied: Landed;
}

function tell({ options, context }: Work, { run, ref, into, branch, applied }: Told): void {
  const { output } = context;
  const dryRun = options.dryRun === true;
  const undo = applied.previous === applied.head ? null : `git reset --keep ${applied.previous}`;
  if (options.json === true) {
    const { outcome, commit, head, previous, files } = applied;
    const autoRun = files.filter(({ path, change }) => change !== 'deleted' && isAutoRun(path)).map(({ path }) => path);
    output.json('apply', { v: 1, run, ref, into, dryRun, outcome, commit, head, previous, files, autoRun, undo: dryRun ? null : undo });
    return;
  }
  if (applied.outcome === 'already') {
    output.result(`already there  ${safeLine(into)} at ${applied.head} contains ${safeLine(branch)}`);
    return;
  }
  const how =
    applied.outcome === 'forwarded' ? 'as a fast-forward' : 'as a merge: HEAD has moved since the run began, and nothing conflicts';
  output.result(dryRun ? `would go into ${safeLine(into)} ${how}` : `applied   ${safeLine(into)} is at ${applied.head}, ${how}`);
  output.result(`files     ${applied.files.length} changed`);
  for (const { path, change } of applied.files.slice(0, FILES_SHOWN)) output.result(`          ${SIGN[change]} ${safeLine(path)}`);
  if (applied.files.length > FILES_SHOWN) output.result(`            and ${applied.files.length - FILES_SHOWN} more`);
  if (!dryRun && undo !== null) output.result(`undo      ${undo}`);
}
