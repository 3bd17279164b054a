/**
 * A workspace in memory that keeps the port's contract: a tree, its committed state, changes between them. Must never share a tree between two
 * drivers: each makes its own from the ledger. Ports: Workspace.
 */
import { type Bytes, type Digest, digestOf, equalBytes, ok, type Result } from '@openexec/canon';
import { checkPath, type FileEdit, type LandOrder, type TreeChanges, type Workspace, type WorkspaceFailure } from '@openexec/catalogue';
import { gitBlobId, gitCommitId, gitTreeId } from '@openexec/proof';
import type { FileChange, FileValue, TreeEntry } from '@openexec/protocol';

/** A file of the tree. */
export interface SimFile {
  readonly content: Bytes;
  readonly mode: '100644' | '100755';
}
type Tree = Map<string, SimFile>;
type Failed = { readonly ok: false; readonly error: WorkspaceFailure };
/** What lies outside every driver: the user's repository with its branches. */
export interface SimRepository {
  readonly commit: string;
  readonly files: ReadonlyMap<string, SimFile>;
  readonly branches: Map<string, string>;
}

/** Listing of a tree, as git would list it. */
export function listingOf(tree: ReadonlyMap<string, SimFile>): TreeEntry[] {
  return [...tree]
    .map(([path, file]) => ({ path, mode: file.mode, oid: gitBlobId(file.content, 'sha1') }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
const valueOf = (file: SimFile): FileValue => ({
  blob: digestOf(file.content),
  bytes: file.content.length,
  mode: file.mode,
  oid: gitBlobId(file.content, 'sha1'),
});
const same = (a: SimFile | undefined, b: SimFile | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.mode === b.mode && equalBytes(a.content, b.content));
const fail = (code: WorkspaceFailure['code'], message: string): Failed => ({ ok: false, error: { code, message } });

/** The workspace of one driver. Until `rebuild` it holds what a crash may have left: nothing that is the base. */
export function simWorkspace(repository: SimRepository): Workspace {
  let tree: Tree = new Map([['left/behind', { content: Uint8Array.of(0), mode: '100644' }]]);
  let committed: Tree = new Map();

  const changes = (): TreeChanges => {
    const contents = new Map<Digest, Bytes>();
    const list: FileChange[] = [];
    for (const path of [...new Set([...tree.keys(), ...committed.keys()])].sort()) {
      const [now, before] = [tree.get(path), committed.get(path)];
      if (same(now, before)) continue;
      if (now !== undefined) contents.set(digestOf(now.content), now.content);
      list.push({
        path,
        before: before === undefined ? null : gitBlobId(before.content, 'sha1'),
        after: now === undefined ? null : valueOf(now),
      });
    }
    return { changes: list, contents, gitEntries: [] };
  };

  return {
    root: '/sim',
    gitView: null,
    maskedGitView: async () => ok(null),
    rebuild: async (files) => {
      committed = new Map(repository.files);
      for (const { change, content } of files) put(committed, change, content);
      tree = new Map(committed);
      return ok(undefined);
    },
    changes: async () => ok(changes()),
    accept: async (accepted) => {
      for (const change of accepted) put(committed, change, tree.get(change.path)?.content ?? null);
      return ok(undefined);
    },
    restore: async () => {
      tree = new Map(committed);
      return ok(undefined);
    },
    read: async (path, { maxBytes }) => {
      const file = tree.get(path);
      if (file === undefined) return fail('workspace.notAFile', `there is no file ${path}`);
      return file.content.length > maxBytes ? fail('workspace.tooLarge', `${path} has ${file.content.length} bytes`) : ok(file.content);
    },
    list: async (directory) => ok(listingOf(committed).filter(({ path }) => directory === '' || path.startsWith(`${directory}/`))),
    edit: async (edits) => editAll(tree, edits),
    diff: async () => fail('workspace.io', 'the simulation shows no differences'),
    tree: async () => ok(gitTreeId(listingOf(committed), 'sha1')),
    land: async (order) => land(repository, order),
  };
}

function put(tree: Tree, change: FileChange, content: Bytes | null): void {
  if (change.after === null || content === null) tree.delete(change.path);
  else tree.set(change.path, { content, mode: change.after.mode === '100755' ? '100755' : '100644' });
}

function editAll(tree: Tree, edits: readonly FileEdit[]): Result<void, WorkspaceFailure> {
  for (const { path } of edits) if (!checkPath(path).ok) return fail('workspace.pathRefused', `${path} is no path of the tree`);
  for (const { path, content, mode } of edits) {
    if (content === null) tree.delete(path);
    else tree.set(path, { content, mode });
  }
  return ok(undefined);
}

function land(repository: SimRepository, order: LandOrder): Result<{ readonly commit: string; readonly ref: string }, WorkspaceFailure> {
  const { tree, parent, message, author } = order;
  const commit = gitCommitId({ tree, parents: [parent], author, committer: author, message }, 'sha1');
  const ref = `refs/heads/${order.branch}`;
  const there = repository.branches.get(ref);
  if (there !== undefined && there !== commit) return fail('workspace.refExists', `${ref} points at ${there}`);
  repository.branches.set(ref, commit);
  return ok({ commit, ref });
}
