/**
 * A three-way merge in a git directory of our own: the user's objects are only read, no driver, hook or setting of their repository is in force.
 * Must never guess where the repository asks for a driver of its own: such a path is a conflict (SECURITY §3.4).
 */
import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer, gitLine, gitPipe } from './git.ts';
import type { RepositoryFacts } from './repository.ts';

/** A file of the checkout that the result changes. */
export interface ChangedFile {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}
/** Why a path cannot be brought in. `kind` is git's word (`contents`, `modify/delete`, …), `untracked file` or `merge driver`. */
export interface ApplyConflict {
  readonly kind: string;
  readonly paths: readonly string[];
  readonly message: string;
}
/** A throw-away git directory over the objects of a repository. */
export interface MergeStore {
  readonly at: GitPlace;
  readonly facts: RepositoryFacts;
}
/** What is merged; `branch` is for messages. */
export interface Sides {
  readonly head: string;
  readonly commit: string;
  readonly branch: string;
}
/** The merged tree; not to be used where something conflicts. */
export interface MergedTree {
  readonly tree: string;
  readonly conflicts: readonly ApplyConflict[];
}

/** Attribute values of `merge` that ask for nothing but the ordinary merge of text. */
const ORDINARY_MERGE = new Set(['unspecified', 'set', 'text']);
const IDENTITY = /^([^<>\n]+) <([^<>\n]*)> (\d+) ([+-]\d{4})$/;

/** Lends a store to `work` and takes it away whatever happens. */
export async function withMergeStore<T>(
  facts: RepositoryFacts,
  work: (store: MergeStore) => Promise<Result<T, WorkspaceFailure>>,
): Promise<Result<T, WorkspaceFailure>> {
  const own = mkdtempSync(join(tmpdir(), 'openexec-merge-'));
  try {
    const made = await git({
      at: { gitDir: null },
      args: ['init', '-q', '--bare', '--template=', `--object-format=${facts.objectFormat}`, '--', own],
    });
    if (!made.ok) return made;
    return await work({ at: { gitDir: own, indexFile: `${own}/index`, alternates: `${facts.commonDir}/objects` }, facts });
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** Merges two commits into a tree, or names every path that conflicts and how. Needs git 2.38 for `merge-tree --write-tree`. */
export async function mergeTrees(store: MergeStore, sides: Sides): Promise<Result<MergedTree, WorkspaceFailure>> {
  const { head, commit } = sides;
  const answer = await gitAnswer({ at: store.at, args: ['merge-tree', '--write-tree', '-z', '--messages', '--name-only', head, commit] });
  if (!answer.ok) return answer;
  if (answer.value.exitCode > 1) {
    return refuse(
      'workspace.conflict',
      `HEAD has moved since the run began, and git here cannot merge without touching the checkout (${shown(answer.value.stderr)}; git 2.38 can); type: git merge ${sides.branch}`,
    );
  }
  const parsed = parseMerge(answer.value.stdout.toString('utf8'));
  if (parsed === null) return refuse('workspace.git', 'git merge-tree answered in a form that is not known here');
  if (answer.value.exitCode === 1) return ok(parsed);
  const drivers = await driverConflicts(store, sides);
  return drivers.ok ? ok({ tree: parsed.tree, conflicts: drivers.value }) : drivers;
}

/** `tree NUL (path NUL)* NUL (count NUL path… NUL type NUL message NUL)*` (git-merge-tree(1), "OUTPUT" with -z --name-only). */
function parseMerge(text: string): MergedTree | null {
  const words = text.split('\0');
  const tree = (words.shift() ?? '').trim();
  if (!/^[0-9a-f]{40,64}$/.test(tree)) return null;
  const named = new Set<string>();
  for (let path = words.shift(); path !== undefined && path !== ''; path = words.shift()) named.add(path);
  const conflicts: ApplyConflict[] = [];
  while (words.length > 1) {
    const count = Number(words.shift());
    if (!Number.isSafeInteger(count) || count < 0 || words.length < count + 2) return null;
    const paths = words.splice(0, count);
    const type = words.shift() ?? '';
    const message = (words.shift() ?? '').trim();
    const kind = /^CONFLICT \((.+)\)$/.exec(type)?.[1];
    if (kind === undefined) continue;
    conflicts.push({ kind, paths, message });
    for (const path of paths) named.delete(path);
  }
  // What git names as conflicted and explains nowhere must not get lost.
  if (named.size > 0 && conflicts.length === 0) conflicts.push({ kind: 'conflict', paths: [...named], message: 'conflicting changes' });
  return { tree, conflicts };
}

/** Paths that both sides changed and whose `.gitattributes` (of HEAD) ask for a merge driver, which is not run here. */
async function driverConflicts(store: MergeStore, { head, commit }: Sides): Promise<Result<readonly ApplyConflict[], WorkspaceFailure>> {
  const base = await gitAnswer({ at: store.at, args: ['merge-base', head, commit] });
  if (!base.ok) return base;
  const from = base.value.stdout.toString('ascii').trim();
  const lists = await Promise.all(
    [head, commit].map((side) => git({ at: store.at, args: ['diff-tree', '-r', '-z', '--name-only', '--no-renames', from, side] })),
  );
  const [ours, theirs] = lists;
  if (ours?.ok !== true) return ours ?? refuse('workspace.git', 'git compared nothing');
  if (theirs?.ok !== true) return theirs ?? refuse('workspace.git', 'git compared nothing');
  const mine = new Set(ours.value.toString('utf8').split('\0'));
  const both = theirs.value
    .toString('utf8')
    .split('\0')
    .filter((path) => path !== '' && mine.has(path));
  if (both.length === 0) return ok([]);
  const read = await git({ at: store.at, args: ['read-tree', head] });
  if (!read.ok) return read;
  const asked = await git({
    at: store.at,
    args: ['check-attr', '--cached', '--stdin', '-z', 'merge'],
    stdin: Buffer.from(both.map((path) => `${path}\0`).join('')),
  });
  if (!asked.ok) return asked;
  const words = asked.value.toString('utf8').split('\0');
  const conflicts: ApplyConflict[] = [];
  for (let index = 0; index + 2 < words.length; index += 3) {
    const [path = '', , driver = ''] = words.slice(index, index + 3);
    if (ORDINARY_MERGE.has(driver)) continue;
    const message = `both sides changed ${path}, and .gitattributes asks for merge=${driver}, which is not run here`;
    conflicts.push({ kind: 'merge driver', paths: [path], message });
  }
  return ok(conflicts);
}

/** Makes the merge commit as the user would, and copies what is new into their repository; nothing there names it yet. */
export async function copyMerge(
  store: MergeStore,
  order: { readonly tree: string; readonly head: string; readonly commit: string; readonly message: string },
): Promise<Result<string, WorkspaceFailure>> {
  const { facts } = store;
  const ident = await gitAnswer({ at: { gitDir: facts.gitDir, userConfig: true }, args: ['var', 'GIT_COMMITTER_IDENT'] });
  if (!ident.ok) return ident;
  const [, name, email, seconds, offset] = IDENTITY.exec(ident.value.stdout.toString('utf8').trim()) ?? [];
  if (ident.value.exitCode !== 0 || name === undefined || email === undefined)
    return refuse(
      'workspace.git',
      'a merge commit needs your name and e-mail: git config --global user.name "…", git config --global user.email …',
    );
  const date = `@${seconds ?? '0'} ${offset ?? '+0000'}`;
  const identity = {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  };
  const args = ['commit-tree', order.tree, '-p', order.head, '-p', order.commit];
  const made = await gitLine({ at: store.at, args, stdin: Buffer.from(order.message), identity });
  if (!made.ok) return made;
  const copied = await gitPipe(
    {
      at: store.at,
      args: ['pack-objects', '-q', '--revs', '--stdout'],
      stdin: Buffer.from(`${made.value}\n^${order.head}\n^${order.commit}\n`),
    },
    { at: { gitDir: facts.gitDir }, args: ['unpack-objects', '-q', '--strict'] },
  );
  return copied.ok ? made : copied;
}

/** Files in the checkout that stand where the result adds one: git would refuse to write over them, and they are not in HEAD. */
export function blockingFiles(root: string, files: readonly ChangedFile[]): readonly ApplyConflict[] {
  return files
    .filter(({ path, change }) => change === 'added' && isFile(join(root, path)))
    .map(({ path }) => ({
      kind: 'untracked file',
      paths: [path],
      message: `${path} is in the checkout, is not in HEAD, and the result adds it`,
    }));
}

function isFile(file: string): boolean {
  try {
    // A folder that is in HEAD may become a file; one that is not is found by git itself.
    return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === false;
  } catch {
    // A parent is no folder; git itself finds that before it writes anything.
    return false;
  }
}
