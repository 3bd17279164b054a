/**
 * What an action is given beyond its arguments, worked out from the state alone: where a formatter may write, which files a report shows, the resource
 * that `kv_get` finds, the account of the run. So a host looks nothing up, and the same entries give the same input (PROTOCOL §§8, 10).
 */
import { type Digest, digestJson, err, type Json, ok, type Result } from '@openexec/canon';
import {
  accountOf,
  differing,
  type History,
  keyOf,
  kvDelta,
  kvInput,
  type KvNote,
  kvProblem,
  pathsOf,
  REMEMBERED,
  type RememberedEvent,
  type TouchedPaths,
} from '@openexec/catalogue';
import { mapEntries } from '@openexec/proof';
import type { ActionContract, ChangedFile, DeltaStep, Reason, RunAccount, Writ } from '@openexec/protocol';
import type { RunEvent, RunLaw, RunState } from './state.ts';
import { changedFiles, changedPaths, lookUp } from './world.ts';

/** Kind of the world resources that `kv_set` makes. */
const KV = 'kv';
type Members = { readonly [key: string]: Json };

function members(value: Json): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}
const isRemembered = (kind: string): boolean => REMEMBERED.some((each) => each === kind);

/** The history with one more event, where the account of the run needs it. */
export function remember(history: History | null, seq: number, event: RunEvent): History | null {
  if (!isRemembered(event.kind)) return history;
  const { kind, at, body } = event;
  // The list of kinds was just asked; the mapped union cannot follow it.
  return { event: { kind, seq, at, body } as unknown as RememberedEvent, before: history };
}

/** Whether the action is a command whose changes stay. */
export function keepsChanges(contract: ActionContract): boolean {
  return contract.command !== null && contract.writes === 'declared';
}

/**
 * The paths an action would touch. A command that names no folder may change whatever the writ lets the run write; a report of the changes reads what
 * was changed.
 */
export function reachOf(state: RunState, writ: Writ, contract: ActionContract, args: Json): Result<TouchedPaths, Reason> {
  const paths = pathsOf(contract, args);
  if (!paths.ok) return err({ code: paths.error.code, message: paths.error.message });
  if (contract.name === 'generate_diff_report') return ok({ ...paths.value, read: changedPaths(state.world) });
  const whole = keepsChanges(contract) && paths.value.write.includes('**');
  return ok(whole ? { ...paths.value, write: [...writ.writePaths].sort() } : paths.value);
}

/** The note that the arguments of `kv_set` or `kv_get` name, as the world holds it. */
function noteOf(state: RunState, args: Json): KvNote {
  const known = lookUp(state.world, KV, keyOf(args));
  return { version: known?.version ?? 0, value: known === undefined || known.retracted ? undefined : known.value };
}

/** What `kv_set` does to the world. */
export function kvStep(state: RunState, args: Json): DeltaStep {
  return kvDelta(noteOf(state, args), args);
}

/** Whether `kv_set` can be done on this world; the digest is what an approver signs for. */
export function kvReady(state: RunState, args: Json): Result<Digest, Reason> {
  const note = noteOf(state, args);
  const problem = kvProblem(note, args);
  return problem === null ? ok(digestJson([KV, keyOf(args), note.version])) : err(problem);
}

/** The files that differ from the base, by path. */
function changedList(state: RunState, base: RunLaw['base']): ChangedFile[] {
  const differs = [...changedFiles(state.world)].flatMap(([path, after]) => differing(path, base.get(path), after) ?? []);
  return differs.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function account(state: RunState, law: RunLaw, tree: string): RunAccount {
  const { opened, model } = law;
  const notes = [...mapEntries(state.world)].flatMap(({ value: { kind, id, version, retracted } }) =>
    kind === KV && !retracted ? [{ key: id, version }] : [],
  );
  const grant = law.writ.budget;
  return accountOf(state.history, {
    run: state.run,
    task: law.task,
    blueprint: law.blueprint.name,
    opener: opened.opener,
    until: state.nextSeq,
    base: { commit: opened.base.commit, tree: opened.base.tree },
    tree,
    model: model === null ? null : { provider: model.provider, model: model.model },
    files: changedList(state, law.base),
    notes: notes.sort((a, b) => (a.key < b.key ? -1 : 1)),
    spend: { settled: { ...state.settled }, reserved: { ...state.reserved }, grant: { ...grant } },
  });
}

/** The input of an action that is given more, or other, than its arguments; null for the others. */
export function resolvedInput(
  state: RunState,
  contract: ActionContract,
  args: Json,
  committedTree: () => string | null,
): Result<Json, Reason> | null {
  const { law } = state;
  if (law === null) return null;
  const { writ } = law;
  switch (contract.name) {
    case 'kv_set':
    case 'kv_get':
      return ok(kvInput(contract.name, noteOf(state, args), args));
    case 'run_formatter': {
      const reach = reachOf(state, writ, contract, args);
      return reach.ok ? ok({ ...members(args), writePaths: [...reach.value.write] }) : reach;
    }
    case 'generate_diff_report':
    case 'prepare_review_bundle':
    case 'summarize_run': {
      const tree = committedTree();
      if (tree === null)
        return err({
          code: 'precondition.tree',
          message: 'the committed files make no tree that git would take; a file stands where a folder is',
        });
      if (contract.name === 'generate_diff_report') return ok({ base: law.opened.base.commit, baseTree: law.opened.base.tree, tree });
      return ok({ account: account(state, law, tree) });
    }
    default:
      return null;
  }
}
