/**
 * `openexec apply RUN`: brings the branch of a finished run into the checkout, as a fast-forward, and records that. CLI.md.
 */
import { err, type Json, type KeyId, ok, type TrajectoryId } from '@openexec/canon';
import { loadRun } from '@openexec/runtime';
import { applyBranch, inspectRepository } from '@openexec/workspace';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { storeRefusal } from '../openLedger.ts';
import { loadOperating } from '../run/drive.ts';

interface ApplyOptions {
  readonly json?: boolean;
}

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.
const HEADS = 'refs/heads/';

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('apply')
    .description('bring the result of a run into the checkout, as a fast-forward')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec apply latest')
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

async function applyRun(
  run: TrajectoryId,
  work: { readonly options: ApplyOptions; readonly context: CommandContext; readonly project: Project; readonly ledger: OpenLedger },
): Promise<CommandResult> {
  const { options, context, project, ledger } = work;
  const state = await loadRun(ledger.store, run);
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
  const applied = await applyBranch({ repository: repository.value, branch });
  if (!applied.ok) return err(refusalFor(applied.error, 'workspace.failed'));
  if (applied.value.commit !== result.commit) {
    context.output.warn(`branch ${safeLine(branch)} is at ${applied.value.commit}, not at the recorded ${result.commit}`);
  }
  const { branch: checkedOut, head } = repository.value;
  const into = checkedOut === null ? 'HEAD' : `${HEADS}${checkedOut}`;
  if (applied.value.outcome === 'forwarded') {
    const recorded = await record(work, { run, ref: result.ref, commit: applied.value.commit, into, previous: head });
    if (!recorded.ok) return recorded;
  }
  if (options.json === true)
    context.output.json({ v: 1, run, ref: result.ref, commit: applied.value.commit, into, previous: head, outcome: applied.value.outcome });
  else {
    context.output.result(
      `${applied.value.outcome === 'already' ? 'already there' : 'applied'}  ${safeLine(into)} is at ${applied.value.commit}`,
    );
    if (applied.value.outcome === 'forwarded') context.output.result(`undo     git reset --keep ${head}`);
  }
  return ok(EXIT.ok);
}

async function record(
  work: { readonly context: CommandContext; readonly ledger: OpenLedger },
  payload: { readonly [name: string]: Json },
): Promise<CommandResult> {
  const { context, ledger } = work;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  // Key files hold checked ids.
  const actor = `key:${operating.value.operator.keyId as KeyId}` as const;
  const draft = { kind: 'result.applied' as const, at: context.clock.now(), actor, cause: null, law: null, payload };
  const appended = await ledger.store.append({ to: [{ trajectory: LEDGER, expect: 'any', drafts: [draft] }], blobs: [] });
  return appended.ok ? ok(EXIT.ok) : err(storeRefusal(appended.error));
}
