/**
 * Makes the tree equal a listing, from nothing or from whatever a command or a crash left. The one function behind `rebuild` and `restore`, so
 * that recovery is exercised by every check. Must never follow a link of the tree and never trust what stands there: it is hashed or replaced.
 */
import { closeSync, fchmodSync, lchownSync, lstatSync, mkdirSync, readdirSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import type { TreeEntry } from '@openexec/protocol';
import {
  below,
  Cursor,
  emptyTrash,
  type FolderFd,
  handOver,
  handOverLink,
  moveToTrash,
  NewFile,
  openFolder,
  openRoot,
} from './descriptor.ts';
import { systemCode } from './failure.ts';
import { type GitPlace, gitObjects } from './git.ts';
import type { Identity } from './identity.ts';
import { byBytes } from './paths.ts';
import { hashFile, hashLink } from './snapshot.ts';

/** The tree to put into a state, and where its objects come from; `trash` is on the same file system as `root`. */
export interface MaterializeOptions {
  readonly root: string;
  readonly trash: string;
  readonly owner: Identity;
  readonly format: 'sha1' | 'sha256';
  readonly objects: GitPlace;
}
type Wanted = Pick<TreeEntry, 'mode' | 'oid'>;

const BREATH = 256;

/** Puts the tree into the state of `listing`. Folders that hold nothing of it vanish; a submodule's folder is left empty, as a checkout does. */
export async function materialize(
  listing: ReadonlyMap<string, Wanted>,
  options: MaterializeOptions,
): Promise<Result<void, WorkspaceFailure>> {
  prepareRoot(options);
  const folders = foldersOf(listing);
  const kept = await sweep(listing, folders, options);
  emptyTrash(options.trash);
  const missing = [...listing.entries()]
    .filter(([path, wanted]) => wanted.mode !== '160000' && !kept.has(path))
    .sort(([a], [b]) => byBytes(a, b));
  const cursor = new Cursor(options.root, options.owner);
  let file: NewFile | null = null;
  try {
    const written = await gitObjects(
      options.objects,
      missing.map(([, wanted]) => wanted.oid),
      Number.MAX_SAFE_INTEGER,
      (index, part, last) => {
        const [path, wanted] = missing[index] ?? ['', { mode: '100644', oid: '' }];
        const segments = path.split('/');
        const name = segments.pop() ?? '';
        if (wanted.mode === '120000')
          return writeLink(
            cursor.folder(segments, () => undefined),
            name,
            part,
            options.owner,
          );
        file ??= new NewFile(
          cursor.folder(segments, () => undefined),
          name,
        );
        file.write(part);
        if (!last) return;
        file.finish(wanted.mode === '100755' ? 0o755 : 0o644, options.owner);
        file.close();
        file = null;
      },
    );
    if (!written.ok) return written;
    for (const [path, wanted] of listing) if (wanted.mode === '160000') cursor.folder(path.split('/'), () => undefined);
    return ok(undefined);
  } finally {
    closeFile(file);
    cursor.close();
  }
}

/** Takes the type apart from what the compiler can follow into the callback above. */
function closeFile(file: NewFile | null): void {
  file?.close();
}

/** A link's target comes as one part: no system takes one that would need two, and what is cut here fails with ENAMETOOLONG. */
function writeLink(folder: FolderFd, name: string, target: Buffer, owner: Identity): void {
  symlinkSync(target, below(folder, name));
  handOverLink(below(folder, name), owner);
}

/** The root is a real folder of the sandbox's id that nobody else can enter. */
function prepareRoot(options: MaterializeOptions): void {
  try {
    const stat = lstatSync(options.root);
    if (!stat.isDirectory()) unlinkSync(options.root);
  } catch (caught) {
    if (systemCode(caught) !== 'ENOENT') throw caught;
  }
  mkdirSync(options.root, { recursive: true, mode: 0o700 });
  const fd = openRoot(options.root);
  try {
    fchmodSync(fd, 0o700);
    handOver(fd, options.owner);
  } finally {
    closeSync(fd);
  }
}

/** Every folder that must exist: parents of files, and submodules. */
function foldersOf(listing: ReadonlyMap<string, Wanted>): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const [path, wanted] of listing) {
    if (wanted.mode === '160000') folders.add(path);
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  return folders;
}

/** Removes all that is not exactly wanted and tells which files stay. */
async function sweep(
  listing: ReadonlyMap<string, Wanted>,
  folders: ReadonlySet<string>,
  options: MaterializeOptions,
): Promise<ReadonlySet<string>> {
  const kept = new Set<string>();
  const stack: { readonly fd: FolderFd; readonly prefix: string; readonly names: Buffer[] }[] = [];
  const enter = (fd: FolderFd, prefix: string): void => {
    stack.push({ fd, prefix, names: readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }) });
  };
  enter(openRoot(options.root), '');
  let seen = 0;
  try {
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      const raw = level.names.pop();
      if (raw === undefined) {
        closeSync(level.fd);
        stack.pop();
        continue;
      }
      seen += 1;
      if (seen % BREATH === 0) await breathe();
      const text = raw.toString('utf8');
      // A name that is not UTF-8 must not pass for the replacement characters it decodes to.
      const exact = Buffer.from(text, 'utf8').equals(raw);
      const path = level.prefix + text;
      const stat = lstatSync(below(level.fd, raw));
      const isFolder = stat.isDirectory();
      if (isFolder && exact && folders.has(path)) {
        const fd = openFolder(level.fd, raw);
        fchmodSync(fd, 0o755);
        handOver(fd, options.owner);
        enter(fd, `${path}/`);
      } else if (!isFolder && exact && matches(level.fd, raw, path, listing.get(path), options)) kept.add(path);
      else remove(level.fd, raw, isFolder, options.trash);
    }
    return kept;
  } finally {
    for (const level of stack) closeSync(level.fd);
  }
}

function remove(folder: FolderFd, name: Buffer, isFolder: boolean, trash: string): void {
  if (!isFolder) {
    unlinkSync(below(folder, name));
    return;
  }
  try {
    rmdirSync(below(folder, name));
  } catch {
    moveToTrash(folder, name, trash);
  }
}

/** True when exactly the wanted object stands here: same bytes, mode, owner, one link. Anything odd counts as different and is replaced. */
function matches(folder: FolderFd, name: Buffer, path: string, wanted: Wanted | undefined, options: MaterializeOptions): boolean {
  if (wanted === undefined) return false;
  const at = below(folder, name);
  const stat = lstatSync(at);
  const owned = process.getuid?.() !== 0 || (stat.uid === options.owner.uid && stat.gid === options.owner.gid);
  if (stat.isSymbolicLink()) {
    if (wanted.mode !== '120000' || hashLink(folder, name, options.format).oid !== wanted.oid) return false;
    if (!owned) lchownSync(at, options.owner.uid, options.owner.gid);
    return true;
  }
  const mode = wanted.mode === '100755' ? 0o755 : 0o644;
  if (!stat.isFile() || stat.nlink !== 1 || (stat.mode & 0o7777) !== mode || !owned || wanted.mode === '120000') return false;
  return hashFile(folder, name, path, options.format).oid === wanted.oid;
}
