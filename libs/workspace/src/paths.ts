/**
 * Lexical rules for names inside the workspace, before any file is touched. Must never consult the file system: what passes here is still
 * walked by descriptors (SECURITY §4). Refuses every spelling that some file system or git would read as `.git` (SECURITY §3.3, A22).
 */
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { refuse, shown } from './failure.ts';

const PATH_MAX_BYTES = 4096;
const NAME_MAX_BYTES = 255;
/** Code points that HFS+ drops when it compares names (git's `next_hfs_char`). */
const HFS_IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff\u200b\u2060-\u2064\u00ad]/gu;
/** Short names that NTFS makes for `.git`: `git~1` and the hashed fallback of the form `gi7eba~1`. */
const NTFS_SHORT = /^(git~\d+|gi[0-9a-f]{4}~\d+)$/;

/** True for `.git` itself and for every disguise of it: case, trailing dots and spaces, NTFS streams and short names, HFS+ ignorables. */
export function isGitName(name: string): boolean {
  const folded = name.replace(HFS_IGNORED, '').normalize('NFKC').toLowerCase();
  const stem = (folded.split(':')[0] ?? '').replace(/[. ]+$/, '');
  return stem === '.git' || NTFS_SHORT.test(stem);
}

/** True for a disguise only: the plain `.git` is skipped by snapshots, its disguises are refused. */
export function isDisguisedGit(name: string): boolean {
  return name !== '.git' && isGitName(name);
}

/** Segments of a repository-relative path that may be written or read, or `workspace.pathRefused`. */
export function checkPath(path: string): Result<readonly string[], WorkspaceFailure> {
  const no = (why: string) =>
    refuse('workspace.pathRefused', `path "${shown(path)}" is refused: ${why}; use a plain path below the workspace root`, path);
  if (path === '') return no('it is empty');
  if (path.startsWith('/')) return no('it is absolute');
  if (Buffer.from(path, 'utf8').toString('utf8') !== path) return no('it is not valid Unicode');
  if (/[\u0000-\u001f\u007f]/.test(path)) return no('it has a control character');
  if (Buffer.byteLength(path) > PATH_MAX_BYTES) return no(`it is longer than ${PATH_MAX_BYTES} bytes`);
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..') return no('it has an empty, "." or ".." segment');
    if (segment.includes('\\')) return no('it has a backslash, which some systems read as a separator');
    if (Buffer.byteLength(segment) > NAME_MAX_BYTES) return no(`a name is longer than ${NAME_MAX_BYTES} bytes`);
    if (isGitName(segment)) return no('a segment is ".git" or would be read as ".git" by some file system');
  }
  return ok(segments);
}

/** As `checkPath`, where '' stands for the root itself. */
export function checkDirectory(path: string): Result<readonly string[], WorkspaceFailure> {
  return path === '' ? ok([]) : checkPath(path);
}

/**
 * True when a symbolic link at `path` with this target could lead out of the workspace: absolute, not text, through `.git`, or climbing
 * above the root at any point of its walk. Only leading `..` are allowed. Purely lexical; nothing on the host ever follows a link of the tree.
 */
export function leavesTree(path: string, target: Buffer): boolean {
  const text = target.toString('utf8');
  if (target.length === 0 || target.includes(0) || !Buffer.from(text, 'utf8').equals(target) || text.startsWith('/')) return true;
  let depth = path.split('/').length - 1;
  let named = false;
  for (const segment of text.split('/')) {
    if (segment === '' || segment === '.') continue;
    // After a name that may itself be a link, "..", read by the kernel, is not what it looks like (d -> . makes d/.. leave).
    if (isGitName(segment) || (segment === '..' && named)) return true;
    if (segment === '..') depth -= 1;
    else named = true;
    if (depth < 0) return true;
  }
  return false;
}

/** Byte order of git's index and of every listing in this package. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}
