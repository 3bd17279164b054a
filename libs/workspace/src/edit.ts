/**
 * Edits of the tree by the runtime: all or none, each step below an open descriptor. New contents are made in the runtime's staging folder and
 * renamed into place; what stood there is kept beside it until the last step, for taking everything back. Must never run while a command of the
 * run lives (SECURITY §4, A24).
 */
import { closeSync, fchmodSync, lstatSync, openSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { ok, type Result } from '@openexec/canon';
import type { FileEdit, WorkspaceFailure } from '@openexec/catalogue';
import { below, Cursor, type FolderFd, handOver } from './descriptor.ts';
import { fault, refuse, shown, systemCode } from './failure.ts';
import type { Identity } from './identity.ts';
import { byBytes, checkPath } from './paths.ts';

/** Where edits happen: `root` and `staging` are absolute and on one file system; `gitlinks` are paths below which nothing may be written. */
export interface EditOptions {
  readonly root: string;
  readonly staging: string;
  readonly owner: Identity;
  readonly maxBytes: number;
  readonly gitlinks: ReadonlySet<string>;
}
interface Planned {
  readonly edit: FileEdit;
  readonly folder: readonly string[];
  readonly name: string;
}
/** What was done so far, newest last, each with its undoing. */
type Undo = () => void;

/** Applies all edits, or none of them and the reason. */
export async function applyEdits(edits: readonly FileEdit[], options: EditOptions): Promise<Result<void, WorkspaceFailure>> {
  const plan = planEdits(edits, options);
  if (!plan.ok) return plan;
  const cursor = new Cursor(options.root, options.owner);
  const undo: Undo[] = [];
  const leftovers: string[] = [];
  try {
    plan.value.forEach((planned, index) => {
      applyOne(planned, index, { cursor, undo, leftovers, ...options });
    });
    return ok(undefined);
  } catch (caught) {
    for (const step of undo.reverse()) step();
    throw caught;
  } finally {
    cursor.close();
    for (const file of leftovers) rmSync(file, { force: true });
  }
}

/** Lexical checks of all paths before anything is touched. */
function planEdits(edits: readonly FileEdit[], options: EditOptions): Result<readonly Planned[], WorkspaceFailure> {
  const plan: Planned[] = [];
  const written = new Set(edits.filter((edit) => edit.content !== null).map((edit) => edit.path));
  const seen = new Set<string>();
  for (const edit of edits) {
    const segments = checkPath(edit.path);
    if (!segments.ok) return segments;
    if (seen.has(edit.path))
      return refuse('workspace.conflict', `"${shown(edit.path)}" is edited twice in one set; join the edits`, edit.path);
    seen.add(edit.path);
    if (edit.content !== null && edit.content.length > options.maxBytes) {
      return refuse(
        'workspace.tooLarge',
        `"${shown(edit.path)}" would have ${edit.content.length} bytes; at most ${options.maxBytes} are allowed for one file`,
        edit.path,
      );
    }
    for (let depth = 1; depth <= segments.value.length; depth += 1) {
      const prefix = segments.value.slice(0, depth).join('/');
      if (options.gitlinks.has(prefix))
        return refuse(
          'workspace.pathRefused',
          `"${shown(edit.path)}" lies in submodule "${shown(prefix)}", which is not populated`,
          edit.path,
        );
      if (edit.content !== null && depth < segments.value.length && written.has(prefix))
        return refuse('workspace.conflict', `"${shown(prefix)}" cannot be both a file and a folder`, edit.path);
    }
    plan.push({ edit, folder: segments.value.slice(0, -1), name: segments.value.at(-1) ?? '' });
  }
  // Removals first, so that a folder can become a file; then by path, so that the cursor moves little.
  return ok(plan.sort((a, b) => Number(a.edit.content !== null) - Number(b.edit.content !== null) || byBytes(a.edit.path, b.edit.path)));
}

/** One edit; pushes what undoes it. Windows: before the backup rename nothing happened; between the renames the file is absent; after, new. */
function applyOne(
  planned: Planned,
  index: number,
  context: EditOptions & { readonly cursor: Cursor; readonly undo: Undo[]; readonly leftovers: string[] },
): void {
  const { edit, folder, name } = planned;
  const { cursor, undo, leftovers, staging, owner } = context;
  const parent = openParent(planned, context);
  const kind = kindAt(parent, name);
  if (edit.content === null && kind === 'absent')
    throw fault('workspace.notAFile', `"${shown(edit.path)}" does not exist and so cannot be removed`, edit.path);
  if (kind === 'folder' && edit.content !== null) {
    // An emptied folder gives way to a file; one with content does not.
    try {
      rmdirSync(below(parent, name));
    } catch {
      throw fault('workspace.notAFile', `"${shown(edit.path)}" is a folder; remove its files first`, edit.path);
    }
  } else if (kind !== 'absent' && kind !== 'file' && !(kind === 'link' && edit.content === null)) {
    throw fault(
      'workspace.notAFile',
      `"${shown(edit.path)}" is a ${kind}, not a regular file with one link; it cannot be edited`,
      edit.path,
    );
  }
  if (kind === 'file' || kind === 'link') {
    const backup = `${staging}/old-${index}`;
    rmSync(backup, { force: true });
    renameSync(below(parent, name), backup);
    leftovers.push(backup);
    undo.push(() => {
      renameSync(
        backup,
        below(
          cursor.folder(folder, () => undefined),
          name,
        ),
      );
    });
  }
  if (edit.content === null) {
    pruneEmpty(cursor, folder);
    return;
  }
  const fresh = `${staging}/new-${index}`;
  leftovers.push(fresh);
  writeFileSync(fresh, edit.content, { mode: 0o600, flag: 'w' });
  finishFile(fresh, edit.mode === '100755' ? 0o755 : 0o644, owner);
  renameSync(fresh, below(parent, name));
  undo.push(() => {
    rmSync(below(cursor.folder(folder), name));
  });
}

function openParent(planned: Planned, context: { readonly cursor: Cursor; readonly undo: Undo[] }): FolderFd {
  const { cursor, undo } = context;
  const made = (path: string): void => {
    undo.push(() => {
      const segments = path.split('/');
      const name = segments.pop() ?? '';
      rmdirSync(below(cursor.folder(segments), name));
    });
  };
  try {
    return cursor.folder(planned.folder, planned.edit.content === null ? undefined : made);
  } catch (caught) {
    const code = systemCode(caught);
    const path = planned.edit.path;
    if (code === 'ENOTDIR' || code === 'ELOOP')
      throw fault('workspace.pathRefused', `a parent of "${shown(path)}" is a link or a file, not a folder; links are not followed`, path);
    if (code === 'ENOENT') throw fault('workspace.notAFile', `"${shown(path)}" does not exist and so cannot be removed`, path);
    throw caught;
  }
}

function kindAt(parent: FolderFd, name: string): 'absent' | 'file' | 'folder' | 'link' | 'hard-linked file' | 'special file' {
  try {
    const stat = lstatSync(below(parent, name));
    if (stat.isFile()) return stat.nlink === 1 ? 'file' : 'hard-linked file';
    return stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'special file';
  } catch (caught) {
    if (systemCode(caught) === 'ENOENT') return 'absent';
    throw caught;
  }
}

/** Mode and owner of a staged file; staging belongs to the runtime, so its name is safe to open. */
function finishFile(file: string, mode: number, owner: Identity): void {
  const fd = openSync(file, 'r+');
  try {
    fchmodSync(fd, mode);
    handOver(fd, owner);
  } finally {
    closeSync(fd);
  }
}

/** Git knows no empty folders: those a removal leaves go too. A folder that is not empty stops the climb. */
function pruneEmpty(cursor: Cursor, folder: readonly string[]): void {
  for (let depth = folder.length; depth > 0; depth -= 1) {
    try {
      const parent = cursor.folder(folder.slice(0, depth - 1));
      rmdirSync(below(parent, folder[depth - 1] ?? ''));
    } catch {
      return;
    }
  }
}
