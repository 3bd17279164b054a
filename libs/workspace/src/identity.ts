/**
 * Who owns the workspace and runs sandboxed commands. Must never be uid 0 (SECURITY §0.2: under real root a bwrap'd command could write
 * `core_pattern`) and never `nobody`, which other services share (MECHANICS part 1).
 */
import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';

/** A user and group id of the host. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** Reserved ids tried in order; below the usual range of subordinate ids (100000) and above that of people. */
const RESERVED_FIRST = 64_717;
const RESERVED_COUNT = 64;

/** Ids named by the lines of a passwd or group file (third field). */
function namedIds(file: string): ReadonlySet<number> {
  try {
    return new Set(
      readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => Number(line.split(':')[2] ?? Number.NaN)),
    );
  } catch {
    return new Set();
  }
}

/**
 * An ordinary user stays itself. Root gets the first reserved id that no account and no group has: the same on every start of the same
 * machine, so that a tree made before a crash still has the right owner.
 */
export function sandboxIdentity(): Identity {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  if (uid < 0) throw new Error('this platform has no user ids; the sandbox needs Linux');
  if (uid !== 0) return { uid, gid };
  const taken = new Set([...namedIds('/etc/passwd'), ...namedIds('/etc/group')]);
  for (let id = RESERVED_FIRST; id < RESERVED_FIRST + RESERVED_COUNT; id += 1) if (!taken.has(id)) return { uid: id, gid: id };
  throw new Error(`every id from ${RESERVED_FIRST} to ${RESERVED_FIRST + RESERVED_COUNT - 1} is taken by an account; free one of them`);
}

/** True when `who` can walk down to `path` through all its parents (search right on each; access lists beyond mode bits are not read). */
export function canReach(path: string, who: Identity): boolean {
  if (who.uid === 0) return true;
  let folder = dirname(realpathSync(path));
  for (;;) {
    const stat = lstatSync(folder);
    const bit = stat.uid === who.uid ? 0o100 : stat.gid === who.gid ? 0o010 : 0o001;
    if ((stat.mode & bit) === 0) return false;
    if (folder === '/') return true;
    folder = dirname(folder);
  }
}
