/**
 * Commits as a gate reads them: their own bytes, what differs between two of them, which are new beyond a base. Must never take a shallow or grafted
 * history for a whole one, nor read a file of the checkout (SECURITY §3.4).
 */
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { isAncestor, readBlob } from './apply.ts';
import { refuse, shown } from './failure.ts';
import { git, gitAnswer } from './git.ts';
import { mergeTrees, withMergeStore } from './merge.ts';
import type { RepositoryFacts, RepositoryPlace } from './repository.ts';

type Place = Pick<RepositoryPlace, 'gitDir'>;

/** A commit by its own bytes. */
export interface CommitFacts {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
}
/** A path that differs between two trees; null on the side where it is not. Submodules and links are paths like others, by mode. */
export interface PathChange {
  readonly path: string;
  readonly before: { readonly oid: string; readonly mode: string } | null;
  readonly after: { readonly oid: string; readonly mode: string } | null;
}

const MAX_COMMIT_BYTES = 4 * 1024 * 1024;
const HEAD_OF_COMMIT = /^tree ([0-9a-f]{40,64})\n((?:parent [0-9a-f]{40,64}\n)*)author /;
/** `:MODE MODE OID OID LETTER`, git-diff-tree(1) "RAW OUTPUT FORMAT". */
const RAW = /^:([0-7]{6}) ([0-7]{6}) ([0-9a-f]+) ([0-9a-f]+) [A-Z]/;
const NO_MODE = '000000';

/** Reads a commit. The id is full; what is not there, as in a shallow clone, is `workspace.objectMissing`. */
export async function readCommit(place: Place, commit: string): Promise<Result<CommitFacts, WorkspaceFailure>> {
  const bytes = await git({ at: { gitDir: place.gitDir }, args: ['cat-file', 'commit', commit], maxOutputBytes: MAX_COMMIT_BYTES });
  if (!bytes.ok)
    return bytes.error.code === 'workspace.quota'
      ? bytes
      : refuse(
          'workspace.objectMissing',
          `commit ${commit} is not in this clone; fetch the whole history (git fetch --unshallow) and try again`,
        );
  // Parents stand behind the tree and nowhere else, as git itself reads them.
  const text = bytes.value.toString('utf8');
  const [, tree = '', parents = ''] = HEAD_OF_COMMIT.exec(text) ?? [];
  if (tree === '') return refuse('workspace.git', `commit ${commit} is not in the form that git writes`);
  const end = text.indexOf('\n\n');
  const ids = parents.split('\n').flatMap((line) => (line === '' ? [] : [line.slice('parent '.length)]));
  return ok({ commit, tree, parents: ids, message: end < 0 ? '' : text.slice(end + 2) });
}

/** Every path that differs between two commits, with mode and object on both sides; nothing is taken for a rename. */
export async function pathsBetween(
  place: Place,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Result<readonly PathChange[], WorkspaceFailure>> {
  const args = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-abbrev', '--ignore-submodules=none', from, to];
  const listed = await git({ at: { gitDir: place.gitDir }, args });
  if (!listed.ok) return listed;
  const words = listed.value.toString('utf8').split('\0');
  const paths: PathChange[] = [];
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [, modeBefore, modeAfter, oidBefore = '', oidAfter = ''] = RAW.exec(words[index] ?? '') ?? [];
    if (modeBefore === undefined || modeAfter === undefined)
      return refuse('workspace.git', 'git diff-tree answered in a form that is not known here');
    const before = modeBefore === NO_MODE ? null : { oid: oidBefore, mode: modeBefore };
    const after = modeAfter === NO_MODE ? null : { oid: oidAfter, mode: modeAfter };
    paths.push({ path: words[index + 1] ?? '', before, after });
  }
  return ok(paths);
}

/**
 * The commits that `tip` has and `base` has not, newest first. Walked over the commits' own bytes, so that a clone that lacks some is refused and a
 * graft changes nothing. More than `max` are `workspace.quota`.
 */
export async function commitsBeyond(
  place: Place,
  { base, tip, max }: { readonly base: string; readonly tip: string; readonly max: number },
): Promise<Result<readonly CommitFacts[], WorkspaceFailure>> {
  const at = { gitDir: place.gitDir };
  const from = await readCommit(place, base);
  if (!from.ok) return from;
  const found = new Map<string, CommitFacts>();
  const known = new Set<string>();
  const open = [tip];
  for (let commit = open.shift(); commit !== undefined; commit = open.shift()) {
    if (known.has(commit)) continue;
    known.add(commit);
    const facts = await readCommit(place, commit);
    if (!facts.ok) return facts;
    const old = await isAncestor(at, commit, base);
    if (!old.ok) return old;
    if (old.value) continue;
    if (found.size >= max)
      return refuse('workspace.quota', `there are more than ${max} commits beyond ${base}; look at them in smaller steps`);
    found.set(commit, facts.value);
    open.push(...facts.value.parents);
  }
  return ok([...found.values()]);
}

/** The text of a plain file in the tree of a commit; null where there is none. A link or a folder in its place is refused. */
export async function fileAt(
  place: Place,
  { commit, path, maxBytes }: { readonly commit: string; readonly path: string; readonly maxBytes: number },
): Promise<Result<string | null, WorkspaceFailure>> {
  const listed = await git({ at: { gitDir: place.gitDir }, args: ['ls-tree', '-z', '--full-tree', commit, '--', path] });
  if (!listed.ok) return listed;
  const [entry = ''] = listed.value.toString('utf8').split('\0');
  if (entry === '') return ok(null);
  const [, mode = '', oid = ''] = /^([0-7]{6}) \w+ ([0-9a-f]+)\t/.exec(entry) ?? [];
  if (mode !== '100644' && mode !== '100755')
    return refuse('workspace.pathRefused', `"${shown(path)}" in ${commit} is no plain file; it is not followed`, path);
  const bytes = await readBlob(place, oid, maxBytes);
  return bytes.ok ? ok(bytes.value.toString('utf8')) : bytes;
}

/** The tree that git makes of two commits without a hand, a hook or a driver; null where something conflicts. */
export async function mergedTree(
  repository: RepositoryFacts,
  { head, commit }: { readonly head: string; readonly commit: string },
): Promise<Result<string | null, WorkspaceFailure>> {
  return withMergeStore(repository, async (store) => {
    const related = await gitAnswer({ at: store.at, args: ['merge-base', head, commit] });
    if (!related.ok) return related;
    if (related.value.exitCode !== 0) return ok(null);
    const merged = await mergeTrees(store, { head, commit, branch: commit });
    if (!merged.ok) return merged;
    return ok(merged.value.conflicts.length > 0 ? null : merged.value.tree);
  });
}
