/**
 * What exactly an execution is given: the arguments as judged, and for a landing everything that fixes the resulting git commit, so that its id
 * follows from the ledger alone (PROTOCOL §10).
 */
import { err, instantToMs, type Json, ok, type Result } from '@openexec/canon';
import { narrowProfile, profileUnder, TIMEOUT_MS } from '@openexec/catalogue';
import { gitCommitId } from '@openexec/proof';
import type { ActionContract, Reason, SandboxProfile } from '@openexec/protocol';
import type { Pen } from './pen.ts';
import type { RunState } from './state.ts';
import { resolvedInput } from './resolve.ts';
import { cut } from './text.ts';
import { AUTHOR, committedTreeOf } from './tree.ts';
/** Name of the run's result branch: `openexec/` and the first 12 hex digits of the run's id. */
export function resultBranch(run: string): string {
  return `openexec/${run.slice('run/'.length, 'run/'.length + 12)}`;
}

function landing(pen: Pen, args: Json): Result<Json, Reason> {
  const state = pen.state;
  const opened = state.law?.opened;
  const given = typeof args === 'object' && args !== null && !Array.isArray(args) ? (args as { readonly [key: string]: Json }) : {};
  const subject = typeof given['message'] === 'string' ? given['message'] : cut((state.law?.task ?? '').split('\n', 1)[0] ?? '', 72);
  // Git carries no NUL in a message; whatever else stands there is data.
  const message = `${subject.replaceAll('\0', '')}\n\nOpenExec-Run: ${state.run}\nOpenExec-Ledger: ${pen.law.ledger ?? ''}\n`;
  const tree = committedTreeOf(state);
  if (tree === null)
    return err({
      code: 'precondition.tree',
      message: 'the committed files make no tree that git would take; a file stands where a folder is',
    });
  const parent = opened?.base.commit ?? '';
  const author = { ...AUTHOR, seconds: Math.max(0, Math.floor(instantToMs(pen.at) / 1000)), offset: '+0000' };
  const commit = gitCommitId({ tree, parents: [parent], author, committer: author, message }, opened?.base.objectFormat ?? 'sha1');
  return ok({ branch: resultBranch(state.run), tree, parent, message, author, commit });
}

/** The profile of what runs now: the run's, under its writ as it is by now, narrowed to the mode of its stage. Null where there is no law to derive it from. */
export function profileOf(state: RunState): SandboxProfile | null {
  const law = state.law;
  if (law === null) return null;
  const stage = state.stage === null ? undefined : law.stages.get(state.stage.id);
  const bound = profileUnder(law.profile, law.writ);
  return stage === undefined ? bound : narrowProfile(bound, stage.sandbox);
}

/** What one execution runs in: the profile of its stage without the sight of what may not be read. */
export function maskedProfile(profile: SandboxProfile, masked: readonly string[]): SandboxProfile {
  return masked.length === 0 ? profile : { ...profile, masked: [...masked] };
}

/** The input of `execution.started`, or why there is none. */
export function inputOf(pen: Pen, contract: ActionContract, args: Json): Result<Json, Reason> {
  if (contract.name === 'commit_changes') return landing(pen, args);
  const { state } = pen;
  return resolvedInput(state, contract, args, () => committedTreeOf(state)) ?? ok(args);
}

/** The action's time class, never more than what is left of the run's own time. */
export function timeoutOf(state: RunState, contract: ActionContract): number {
  const command = contract.command === null ? undefined : state.law?.catalogue.commands[contract.command];
  const kind = command === undefined || command === 'none' ? contract.timeout : command.timeout;
  const left = (state.law?.writ.wallMs ?? 0) - state.activeMs;
  return Math.max(1, Math.min(TIMEOUT_MS[kind], left));
}
