/**
 * The normal form of a path in an argument. Must never touch a file system and must give the same verdict under every Node and Unicode version:
 * only literal code points are compared, no case tables and no normalisation (SECURITY §3.3 and §4, A22).
 */
import { err, ok, type Result, utf8Encode } from '@openexec/canon';
import type { PathError, PathErrorCode } from './errors.ts';

const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;
/** C0, DEL and C1: none of them belongs in a name that people review. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
/** Code points that HFS+ ignores when it compares names (git's `next_hfs_char`), and the zero-width ones beside them. */
const IGNORABLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;
/** The same characters in a whole path: with them two different paths look alike in a review. */
const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/;
/** NTFS short names of `.git`: `git~1` … and the hashed fallback. */
const NTFS_SHORT = /^(?:git~[0-9]+|gi[0-9a-f]{4}~[0-9]+)$/;

/** ASCII lower case: what case-insensitive file systems fold in `.git`; the rest of Unicode stays as it is. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));
}

/** Whether some file system or git would read this name as `.git`. */
function isGitDisguise(name: string): boolean {
  const stem = (asciiLower(name.replace(IGNORABLE, '')).split(':')[0] ?? '').replace(/[. ]+$/, '');
  return stem === '.git' || NTFS_SHORT.test(stem);
}

/** Makes control and invisible characters visible and bounds the text, for messages. */
export function shown(text: string, max = 200): string {
  const safe = text.replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  // A surrogate half shows as its escape, so pairs do too: a message must always have a UTF-8 form.
  return safe.length > max ? `${safe.slice(0, max)}…` : safe;
}

function refuse(code: PathErrorCode, path: string, why: string): Result<never, PathError> {
  return err({
    code,
    message: `the path "${shown(path)}" ${why}; give a path relative to the root of the repository, such as src/main.ts`,
  });
}

/** A repository-relative path in its one normal form, or why it is none. At most 4096 bytes, names at most 255. */
export function checkPath(path: string): Result<string, PathError> {
  if (path === '') return refuse('path.empty', path, 'is empty');
  if (path.length > MAX_PATH_BYTES) return refuse('path.tooLong', path, `is longer than ${MAX_PATH_BYTES} bytes`);
  if (path.startsWith('/')) return refuse('path.absolute', path, 'is absolute');
  if (CONTROL.test(path) || INVISIBLE.test(path)) return refuse('path.character', path, 'holds a control or invisible character');
  if (/\p{Surrogate}/u.test(path)) return refuse('path.character', path, 'is not valid Unicode');
  if (path.includes('\\')) return refuse('path.character', path, 'holds a backslash');
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') return refuse('path.segment', path, 'has an empty, "." or ".." segment');
    if (isGitDisguise(segment)) return refuse('path.git', path, 'would be read as .git by some file system');
    if (utf8Encode(segment).length > MAX_NAME_BYTES) return refuse('path.tooLong', path, `has a name of more than ${MAX_NAME_BYTES} bytes`);
  }
  if (utf8Encode(path).length > MAX_PATH_BYTES) return refuse('path.tooLong', path, `is longer than ${MAX_PATH_BYTES} bytes`);
  return ok(path);
}
