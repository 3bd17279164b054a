/**
 * What a command left in the tree that is put back afterwards: scratch, or a protected path touched. Told apart before any list is cut, so that
 * nothing hides behind many names (PROTOCOL §9, SECURITY A20).
 */
import { isProtected, type Workspace } from '@openexec/catalogue';
import type { SandboxProfile } from '@openexec/protocol';

/** Longest list that an outcome carries. */
const MAX_PATHS = 200;

/** What was found before the tree is restored. */
export interface Leftovers {
  /** Ordinary files, at most 200; they are put back and listed. */
  readonly scratch: readonly string[];
  /** Protected paths, at most 200; they fail the stage. */
  readonly undeclared: readonly string[];
  /** Why the lists are not complete. */
  readonly problem: string | null;
}

/** Nothing was left, or nothing was run. */
export const NO_LEFTOVERS: Leftovers = { scratch: [], undeclared: [], problem: null };

/** What the command left in the tree. Too much of it, or a secret in it, does not change a verdict: all of it is put back anyway. */
export async function leftoversOf(workspace: Workspace, profile: Pick<SandboxProfile, 'protectedPaths'>): Promise<Leftovers> {
  const changed = await workspace.changes();
  const paths = changed.ok
    ? [...changed.value.changes.map((change) => change.path), ...changed.value.gitEntries]
    : changed.error.path === undefined
      ? []
      : [changed.error.path];
  const undeclared = paths.filter((path) => isProtected(path, profile.protectedPaths));
  return {
    scratch: paths.filter((path) => !undeclared.includes(path)).slice(0, MAX_PATHS),
    undeclared: undeclared.slice(0, MAX_PATHS),
    problem: changed.ok ? null : changed.error.message,
  };
}
