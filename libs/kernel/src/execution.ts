/**
 * What exactly an execution is given: the arguments as judged, and for a landing everything that fixes the resulting git commit, so that its id
 * follows from the ledger alone (PROTOCOL §10).
 */
import { instantToMs, type Json } from '@openexec/canon';
import { TIMEOUT_MS } from '@openexec/catalogue';
import { gitCommitId, gitTreeId } from '@openexec/proof';
import type { ActionContract, TreeEntry } from '@openexec/protocol';
import type { Pen } from './pen.ts';
import type { RunState } from './state.ts';
import { changedFiles } from './world.ts';

const AUTHOR = { name: 'OpenExec', email: 'runtime@openexec.invalid' };

/** The committed tree as a listing: the base with every change of the world. */
export function committedListing(state: RunState): TreeEntry[] {
  const entries = new Map(state.law?.base ?? []);
  for (const [path, file] of changedFiles(state.world)) {
    if (file === null) entries.delete(path);
    else entries.set(path, { path, mode: file.mode, oid: file.oid });
  }
  return [...entries.values()];
}

/** Git tree id of the committed state, computed without git. */
export function committedTree(state: RunState): string {
  return gitTreeId(committedListing(state), state.law?.opened.base.objectFormat ?? 'sha1');
}

/** Name of the run's result branch: `openexec/` and the first 12 hex digits of the run's id. */
export function resultBranch(run: string): string {
  return `openexec/${run.slice('run/'.length, 'run/'.length + 12)}`;
}

function landing(pen: Pen, args: Json): Json {
  const state = pen.state;
  const opened = state.law?.opened;
  const given = typeof args === 'object' && args !== null && !Array.isArray(args) ? (args as { readonly [key: string]: Json }) : {};
  const subject = typeof given['message'] === 'string' ? given['message'] : (state.law?.task ?? '').split('\n', 1)[0]?.slice(0, 72);
  const message = `${subject ?? ''}\n\nOpenExec-Run: ${state.run}\nOpenExec-Ledger: ${pen.law.ledger ?? ''}\n`;
  const tree = committedTree(state);
  const parent = opened?.base.commit ?? '';
  const author = { ...AUTHOR, seconds: Math.floor(instantToMs(pen.at) / 1000), offset: '+0000' };
  const commit = gitCommitId({ tree, parents: [parent], author, committer: author, message }, opened?.base.objectFormat ?? 'sha1');
  return { branch: resultBranch(state.run), tree, parent, message, author, commit };
}

/** The input of `execution.started`. */
export function inputOf(pen: Pen, contract: ActionContract, args: Json): Json {
  return contract.name === 'commit_changes' ? landing(pen, args) : args;
}

/** The action's time class, never more than what is left of the run's own time. */
export function timeoutOf(state: RunState, contract: ActionContract): number {
  const command = contract.command === null ? undefined : state.law?.catalogue.commands[contract.command];
  const kind = command === undefined || command === 'none' ? contract.timeout : command.timeout;
  const left = (state.law?.opened.writs.at(-1)?.body.wallMs ?? 0) - state.activeMs;
  return Math.max(1, Math.min(TIMEOUT_MS[kind], left));
}
