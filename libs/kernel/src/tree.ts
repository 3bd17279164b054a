/**
 * The committed files of a run as a listing and as the id of a git tree, computed without git, so that it follows from the ledger alone (PROTOCOL §10).
 */
import { gitTreeId } from '@openexec/proof';
import type { Reason, TreeEntry } from '@openexec/protocol';
import type { RunState } from './state.ts';
import { changedFiles } from './world.ts';

/** Who makes the commits of runs. */
export const AUTHOR = { name: 'OpenExec', email: 'runtime@openexec.invalid' };

/** The committed tree as a listing: the base with every change of the world. */
export function committedListing(state: RunState): TreeEntry[] {
  const entries = new Map(state.law?.base ?? []);
  for (const [path, file] of changedFiles(state.world)) {
    if (file === null) entries.delete(path);
    else entries.set(path, { path, mode: file.mode, oid: file.oid });
  }
  return [...entries.values()];
}

/** Git tree id of the committed state, computed without git. Throws for committed files of which git makes no tree. */
export function committedTree(state: RunState): string {
  return gitTreeId(committedListing(state), state.law?.opened.base.objectFormat ?? 'sha1');
}

/** The same, or null where git would refuse it. */
export function committedTreeOf(state: RunState): string | null {
  return treeOf(committedListing(state), state.law?.opened.base.objectFormat ?? 'sha1');
}

/** Listings whose tree was computed before; runs of one base share theirs only within one state, so this spares the second asking. */
const baseTrees = new WeakMap<ReadonlyMap<string, TreeEntry>, string | null>();

/** Why the base cannot be what the run starts from: its listing does not make its tree. */
export function baseProblem(state: RunState): Reason | null {
  const law = state.law;
  if (law === null) return null;
  const { tree, commit, objectFormat } = law.opened.base;
  const known = baseTrees.get(law.base);
  const made = known === undefined ? treeOf(law.base.values(), objectFormat) : known;
  baseTrees.set(law.base, made);
  if (made !== tree)
    return { code: 'base.mismatch', message: `the base listing makes the tree ${made ?? 'of no repository'}, run.opened names ${tree}` };
  return commit.length === tree.length
    ? null
    : { code: 'base.mismatch', message: `the base commit ${commit} is not of the format ${objectFormat}` };
}

/** The tree of a listing that may be anything, or null where git would refuse it. */
function treeOf(entries: Iterable<TreeEntry>, format: 'sha1' | 'sha256'): string | null {
  try {
    return gitTreeId(entries, format);
  } catch {
    return null; // gitTreeId throws for paths and ids that git refuses, and for nothing else.
  }
}
