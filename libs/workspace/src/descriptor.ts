/**
 * File access by descriptor: every step of a path is opened below an already open folder through `/proc/self/fd/N/name` with O_NOFOLLOW, so a
 * folder swapped for a link in the middle of an operation is never followed (SECURITY §4: 0 escapes of 20,000; realpath-then-write 3,951).
 * Must never open a path of the tree by its full name. All calls are synchronous: a walk holds descriptors, never promises.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { fault, shown, systemCode } from './failure.ts';
import type { Identity } from './identity.ts';

/** Linux O_PATH, the same on x64 and arm64; Node does not name it. */
const O_PATH = 0o10000000;
const OPEN_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const FOLDER_MODE = 0o755;

/** An open folder of the tree. The holder closes it. */
export type FolderFd = number;

/** The name below an open folder, as a path the kernel resolves from the descriptor. */
export function below(folder: FolderFd, name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), typeof name === 'string' ? Buffer.from(name, 'utf8') : name]);
}

/** Opens a folder that the runtime itself named (the root of a tree); the last step is not followed either. */
export function openRoot(path: string): FolderFd {
  return openSync(path, OPEN_FOLDER);
}

/**
 * Opens a sub-folder, never through a link. Rights that a command took away are given back first, because only the owner of the tree could have
 * taken them. Throws ENOTDIR or ELOOP where the name is not a real folder.
 */
export function openFolder(parent: FolderFd, name: string | Buffer): FolderFd {
  const at = below(parent, name);
  let fd: number;
  try {
    fd = openSync(at, OPEN_FOLDER);
  } catch (caught) {
    if (systemCode(caught) !== 'EACCES') throw caught;
    giveBackRights(at);
    fd = openSync(at, OPEN_FOLDER);
  }
  try {
    const stat = fstatSync(fd);
    if ((stat.mode & 0o700) !== 0o700) fchmodSync(fd, (stat.mode & 0o777) | 0o700);
    return fd;
  } catch (caught) {
    closeSync(fd);
    throw caught;
  }
}

/** chmod of exactly the object an O_PATH descriptor holds; a link swapped in meanwhile is not followed. */
function giveBackRights(at: Buffer): void {
  const handle = openSync(at, O_PATH | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(handle);
    if (stat.isDirectory() || stat.isFile()) chmodSync(`/proc/self/fd/${handle}`, (stat.mode & 0o777) | 0o700);
  } finally {
    closeSync(handle);
  }
}

/** Opens a regular file for reading; its mode as it was is in `mode`. Throws a refusal for links, pipes, devices and hard-linked files. */
export function openRegular(
  parent: FolderFd,
  name: string | Buffer,
  path: string,
): { readonly fd: number; readonly size: number; readonly mode: number } {
  const at = below(parent, name);
  const before = lstatSync(at);
  if (!before.isFile())
    throw fault('workspace.notAFile', `"${shown(path)}" is not a regular file; only regular files are read and edited`, path);
  let fd: number;
  try {
    fd = openSync(at, OPEN_FILE);
  } catch (caught) {
    if (systemCode(caught) === 'ELOOP')
      throw fault('workspace.notAFile', `"${shown(path)}" is a symbolic link; links are not followed`, path);
    if (systemCode(caught) !== 'EACCES') throw caught;
    giveBackRights(at);
    fd = openSync(at, OPEN_FILE);
  }
  const stat = fstatSync(fd);
  if (stat.isFile() && stat.nlink === 1) return { fd, size: stat.size, mode: before.mode };
  closeSync(fd);
  if (stat.isFile())
    throw fault(
      'workspace.pathRefused',
      `"${shown(path)}" has ${stat.nlink} hard links; files shared with another place are refused: copy it instead`,
      path,
    );
  throw fault('workspace.notAFile', `"${shown(path)}" is not a regular file; only regular files are read and edited`, path);
}

/** Reads `size` bytes; a file that changes while it is read is a conflict, since no command of the run may live meanwhile. */
export function readExactly(fd: number, size: number, path: string): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  while (at < size) {
    const got = readSync(fd, bytes, at, size - at, at);
    if (got === 0) break;
    at += got;
  }
  if (at !== size || fstatSync(fd).size !== size)
    throw fault(
      'workspace.conflict',
      `"${shown(path)}" changed while it was read; stop what writes to the workspace and resume the run`,
      path,
    );
  return bytes;
}

/** Hands an object to the sandbox's id; an ordinary caller owns what it makes already. */
export function handOver(fd: number, owner: Identity): void {
  if (process.getuid?.() === 0) fchownSync(fd, owner.uid, owner.gid);
}
/** As `handOver`, for the link itself. */
export function handOverLink(at: Buffer, owner: Identity): void {
  if (process.getuid?.() === 0) lchownSync(at, owner.uid, owner.gid);
}

/** A new regular file that is written in parts; nobody but its owner can read it before it is finished. Throws EEXIST where anything stands. */
export class NewFile {
  readonly #fd: number;
  #open = true;

  constructor(parent: FolderFd, name: string | Buffer) {
    this.#fd = openSync(below(parent, name), CREATE_FILE, 0o600);
  }

  write(part: Uint8Array): void {
    let at = 0;
    while (at < part.length) at += writeSync(this.#fd, part, at);
  }

  /** Gives the file its mode and its owner. */
  finish(mode: number, owner: Identity): void {
    fchmodSync(this.#fd, mode);
    handOver(this.#fd, owner);
  }

  /** May be called again. */
  close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** Opens a sub-folder and makes it where it is missing; `made` tells which. */
export function ensureFolder(parent: FolderFd, name: string, owner: Identity): { readonly fd: FolderFd; readonly made: boolean } {
  let made = false;
  try {
    mkdirSync(below(parent, name), FOLDER_MODE);
    made = true;
  } catch (caught) {
    if (systemCode(caught) !== 'EEXIST') throw caught;
  }
  const fd = openFolder(parent, name);
  if (made) {
    fchmodSync(fd, FOLDER_MODE);
    handOver(fd, owner);
  }
  return { fd, made };
}

/** Moves anything out of the tree into the runtime's own trash in one step; nothing of it is walked in place. */
export function moveToTrash(parent: FolderFd, name: string | Buffer, trash: string): void {
  const at = below(parent, name);
  const to = `${trash}/${process.pid}-${process.hrtime.bigint().toString(36)}`;
  try {
    renameSync(at, to);
  } catch (caught) {
    // Moving a folder rewrites its `..`, so its owner needs write rights on it.
    if (systemCode(caught) !== 'EACCES') throw caught;
    giveBackRights(at);
    renameSync(at, to);
  }
}

/** Empties the trash without recursion: inner folders move up first, so neither depth nor path length can stop it. */
export function emptyTrash(trash: string): void {
  const top = openRoot(trash);
  try {
    for (;;) {
      const names = readdirSync(`/proc/self/fd/${top}`, { encoding: 'buffer' });
      if (names.length === 0) return;
      for (const name of names) {
        const at = below(top, name);
        if (!lstatSync(at).isDirectory()) {
          unlinkSync(at);
          continue;
        }
        const inner = openFolder(top, name);
        try {
          for (const child of readdirSync(`/proc/self/fd/${inner}`, { encoding: 'buffer' })) {
            if (lstatSync(below(inner, child)).isDirectory()) moveToTrash(inner, child, trash);
            else unlinkSync(below(inner, child));
          }
        } finally {
          closeSync(inner);
        }
        rmdirSync(at);
      }
    }
  } finally {
    closeSync(top);
  }
}

/** Changes owner of a whole folder that only the runtime has written so far (never a tree a command could touch). */
export function handOverFolder(path: string, owner: Identity): void {
  if (process.getuid?.() !== 0) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) handOverFolder(`${path}/${entry.name}`, owner);
    else lchownSync(`${path}/${entry.name}`, owner.uid, owner.gid);
  }
  chownSync(path, owner.uid, owner.gid);
}

/**
 * A moving position in the tree: keeps the chain of open folders from the root to the last one asked for, so that a sorted list of paths costs
 * one open per folder. Owned by one operation; `close` must be called.
 */
export class Cursor {
  readonly #root: FolderFd;
  readonly #owner: Identity;
  readonly #chain: { readonly name: string; readonly fd: FolderFd }[] = [];

  constructor(root: string, owner: Identity) {
    this.#root = openRoot(root);
    this.#owner = owner;
  }

  /** Descriptor of this folder; missing folders are made when `make` is given (each made path is told), else ENOENT is thrown. */
  folder(segments: readonly string[], make?: (path: string) => void): FolderFd {
    let shared = 0;
    while (shared < this.#chain.length && shared < segments.length && this.#chain[shared]?.name === segments[shared]) shared += 1;
    while (this.#chain.length > shared) closeSync(this.#chain.pop()?.fd ?? -1);
    let fd = this.#chain[shared - 1]?.fd ?? this.#root;
    for (let depth = shared; depth < segments.length; depth += 1) {
      const name = segments[depth] ?? '';
      if (make === undefined) fd = openFolder(fd, name);
      else {
        const opened = ensureFolder(fd, name, this.#owner);
        fd = opened.fd;
        if (opened.made) make(segments.slice(0, depth + 1).join('/'));
      }
      this.#chain.push({ name, fd });
    }
    return fd;
  }

  close(): void {
    while (this.#chain.length > 0) closeSync(this.#chain.pop()?.fd ?? -1);
    closeSync(this.#root);
  }
}
