/**
 * What the tree really holds: an own walk by descriptors that hashes every regular file and link. Must never ask git which files exist:
 * `.gitignore`, attributes, nested repositories and index flags decide nothing here (SECURITY §3.1, A72–A74; PROTOCOL §9).
 */
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import type { TreeEntry } from '@openexec/protocol';
import { below, type FolderFd, openFolder, openRegular, openRoot } from './descriptor.ts';
import { fault, shown } from './failure.ts';
import { isDisguisedGit } from './paths.ts';

/** Bounds of one tree; over them is `workspace.quota`. */
export interface TreeLimits {
  readonly files: number;
  readonly totalBytes: number;
  /** Largest changed file; larger unchanged files of the base are kept as they are. */
  readonly fileBytes: number;
  readonly depth: number;
}
/** SECURITY §8.1 (5 GiB, 200,000 inodes); 64 MiB bounds what one changed file may add to the ledger. */
export const TREE_LIMITS: TreeLimits = { files: 200_000, totalBytes: 5 * 1024 ** 3, fileBytes: 64 * 1024 ** 2, depth: 128 };

/** One file or link as it stands in the tree; `oid` is its git blob id in hex. */
export interface SnapshotEntry {
  readonly mode: Exclude<TreeEntry['mode'], '160000'>;
  readonly oid: string;
  readonly bytes: number;
}
type ObjectFormat = 'sha1' | 'sha256';

const CHUNK = 1024 * 1024;
/** Entries between two pauses that let timers and other runs proceed. */
const BREATH = 256;
/** A file whose change time is this close to the walk could change again within the same clock tick; it is hashed again next time. */
const SETTLED_NS = 2_000_000_000n;

/** Git's object id of a blob, computed from the very bytes read through one descriptor. */
export function blobId(format: ObjectFormat, content: Uint8Array): string {
  return createHash(format).update(`blob ${content.length}\0`).update(content).digest('hex');
}

/**
 * Remembers ids of files by device, inode, size, mode and both times. A change time cannot be set back by a command, but two writes in one tick
 * share it: entries younger than two seconds at the walk are therefore never believed. Owned by one workspace.
 */
export class HashCache {
  readonly #known = new Map<string, { readonly key: string; readonly entry: SnapshotEntry }>();
  #settledBefore = 0n;

  /** Starts a walk: the clock is that of the file system itself, read from a file made just now. */
  begin(probe: string): void {
    writeFileSync(probe, '', { mode: 0o600 });
    this.#settledBefore = lstatSync(probe, { bigint: true }).ctimeNs - SETTLED_NS;
    unlinkSync(probe);
  }
  find(path: string, stat: BigIntStats): SnapshotEntry | null {
    const known = this.#known.get(path);
    return known !== undefined && known.key === statKey(stat) ? known.entry : null;
  }
  keep(path: string, stat: BigIntStats, entry: SnapshotEntry): void {
    if (stat.ctimeNs < this.#settledBefore && stat.mtimeNs < this.#settledBefore) this.#known.set(path, { key: statKey(stat), entry });
    else this.#known.delete(path);
  }
}
function statKey(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mode}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

/** Text of a name, or a refusal: paths are strings everywhere above, so bytes that are not UTF-8 cannot be carried. */
export function nameText(name: Buffer, prefix: string): string {
  const text = name.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(name)) {
    throw fault(
      'workspace.pathRefused',
      `a name below "${shown(prefix)}" is not UTF-8 (bytes ${name.toString('hex').slice(0, 64)}); rename it`,
      prefix,
    );
  }
  return text;
}

/** Mode, id and size of one regular file, hashed in pieces. Refuses hard links and set-id bits (A05, A12). */
export function hashFile(folder: FolderFd, name: string | Buffer, path: string, format: ObjectFormat): SnapshotEntry {
  const { fd, size, mode } = openRegular(folder, name, path);
  try {
    if ((mode & 0o6000) !== 0)
      throw fault('workspace.pathRefused', `"${shown(path)}" has a set-user-id or set-group-id bit; remove it`, path);
    const hash = createHash(format).update(`blob ${size}\0`);
    const piece = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, size)));
    let at = 0;
    for (;;) {
      const got = readSync(fd, piece, 0, piece.length, at);
      if (got === 0) break;
      hash.update(piece.subarray(0, got));
      at += got;
    }
    if (at !== size || fstatSync(fd).size !== size)
      throw fault('workspace.conflict', `"${shown(path)}" changed while it was read; stop what writes to the workspace`, path);
    return { mode: (mode & 0o100) === 0 ? '100644' : '100755', oid: hash.digest('hex'), bytes: size };
  } finally {
    closeSync(fd);
  }
}

/** Mode, id and size of a symbolic link: its target's bytes, never what it points to. */
export function hashLink(folder: FolderFd, name: string | Buffer, format: ObjectFormat): SnapshotEntry {
  const target = readlinkSync(below(folder, name), { encoding: 'buffer' });
  return { mode: '120000', oid: blobId(format, target), bytes: target.length };
}

interface Level {
  readonly fd: FolderFd;
  readonly prefix: string;
  readonly names: Buffer[];
}
function enter(fd: FolderFd, prefix: string): Level {
  return { fd, prefix, names: readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }) };
}

/**
 * Every regular file and link of the tree by path. Skips plain `.git` at any depth, refuses its disguises, hard links, pipes, sockets, devices,
 * set-id bits, names that are not UTF-8, anything inside a submodule's folder, and trees over the limits.
 */
export async function snapshot(
  root: string,
  options: {
    readonly format: ObjectFormat;
    readonly limits: TreeLimits;
    readonly cache: HashCache;
    readonly probe: string;
    readonly gitlinks: ReadonlySet<string>;
    /** Told of everything under the name `.git` but the empty mount point at the root. */
    readonly onGit?: (path: string) => void;
  },
): Promise<ReadonlyMap<string, SnapshotEntry>> {
  const { format, limits, cache, gitlinks } = options;
  cache.begin(options.probe);
  const found = new Map<string, SnapshotEntry>();
  let total = 0;
  let seen = 0;
  const stack: Level[] = [enter(openRoot(root), '')];
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
      if (seen > limits.files * 2)
        throw fault('workspace.quota', `the tree has more than ${limits.files * 2} entries; remove generated files or raise the limit`);
      const name = nameText(raw, level.prefix);
      if (name === '.git') {
        if (level.prefix !== '' || !isEmptyFolder(level.fd, raw)) options.onGit?.(`${level.prefix}.git`);
        continue;
      }
      const path = level.prefix + name;
      if (isDisguisedGit(name))
        throw fault('workspace.pathRefused', `"${shown(path)}" would be read as ".git" by some file system; rename it`, path);
      const at = below(level.fd, raw);
      const stat = lstatSync(at, { bigint: true });
      if (stat.isDirectory()) {
        if (stack.length > limits.depth)
          throw fault('workspace.quota', `"${shown(path)}" lies deeper than ${limits.depth} folders; flatten it`, path);
        stack.push(enter(openFolder(level.fd, raw), `${path}/`));
        continue;
      }
      if (insideGitlink(path, gitlinks))
        throw fault(
          'workspace.pathRefused',
          `"${shown(path)}" lies in a submodule, which is not populated; change it in its own repository`,
          path,
        );
      const entry = hashEntry(level.fd, raw, path, stat, { format, cache });
      found.set(path, entry);
      total += entry.bytes;
      if (found.size > limits.files)
        throw fault('workspace.quota', `the tree has more than ${limits.files} files; remove generated files or raise the limit`);
      if (total > limits.totalBytes)
        throw fault('workspace.quota', `the tree holds more than ${limits.totalBytes} bytes; remove generated files or raise the limit`);
    }
    return found;
  } finally {
    for (const level of stack) closeSync(level.fd);
  }
}

/** True for the mount point of the git view, which the sandbox makes and no command can fill. */
function isEmptyFolder(folder: FolderFd, name: Buffer): boolean {
  if (!lstatSync(below(folder, name)).isDirectory()) return false;
  const fd = openFolder(folder, name);
  try {
    return readdirSync(`/proc/self/fd/${fd}`).length === 0;
  } finally {
    closeSync(fd);
  }
}

function insideGitlink(path: string, gitlinks: ReadonlySet<string>): boolean {
  if (gitlinks.size === 0) return false;
  if (gitlinks.has(path)) return true;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) if (gitlinks.has(path.slice(0, at))) return true;
  return false;
}

function hashEntry(
  folder: FolderFd,
  name: Buffer,
  path: string,
  stat: BigIntStats,
  options: { readonly format: ObjectFormat; readonly cache: HashCache },
): SnapshotEntry {
  if (stat.isSymbolicLink()) return hashLink(folder, name, options.format);
  if (!stat.isFile())
    throw fault(
      'workspace.pathRefused',
      `"${shown(path)}" is a pipe, socket or device; only regular files and links can be recorded: remove it`,
      path,
    );
  const known = stat.nlink === 1n ? options.cache.find(path, stat) : null;
  if (known !== null) return known;
  const entry = hashFile(folder, name, path, options.format);
  options.cache.keep(path, stat, entry);
  return entry;
}

/** True when a file can be created and opened at `folder` on this platform; the descriptor walk needs `/proc/self/fd` (Linux). */
export function hasDescriptorPaths(folder: string): boolean {
  try {
    const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return lstatSync(`/proc/self/fd/${fd}/.`).isDirectory();
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}
