/**
 * Landing: one commit and one new branch under `openexec/` in the user's repository. Must never move an existing ref, run a hook, or touch the
 * user's work tree; safe to repeat after a crash at any point (PROTOCOL §9 "idempotent by old value", MECHANICS part 1).
 */
import { lstatSync } from 'node:fs';
import { ok, type Result } from '@openexec/canon';
import type { LandOrder, WorkspaceFailure } from '@openexec/catalogue';
import { refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer, gitLine, gitPipe } from './git.ts';

/** Branches of runs live here and nowhere else. */
export const BRANCH_PREFIX = 'openexec/';

/** From which object store a landing is taken, and onto which repository and base commit it may go. */
export interface LandOptions {
  readonly store: GitPlace;
  /** Common git directory of the user's repository. */
  readonly target: string;
  readonly format: 'sha1' | 'sha256';
  readonly base: string;
}

/** Performs the order; the commit id is a function of the order alone. */
export async function land(
  order: LandOrder,
  options: LandOptions,
): Promise<Result<{ readonly commit: string; readonly ref: string }, WorkspaceFailure>> {
  const ref = `refs/heads/${order.branch}`;
  const target: GitPlace = { gitDir: options.target, as: ownerOf(options.target) };
  const valid = await gitAnswer({ at: { gitDir: null }, args: ['check-ref-format', ref] });
  if (!valid.ok) return valid;
  if (valid.value.exitCode !== 0 || !order.branch.startsWith(BRANCH_PREFIX)) {
    return refuse(
      'workspace.pathRefused',
      `"${shown(order.branch)}" is not a branch name below "${BRANCH_PREFIX}"; runs may create no other`,
    );
  }
  if (order.parent !== options.base)
    return refuse('workspace.conflict', `the commit's parent ${order.parent} is not the run's base ${options.base}`);
  const identity = identityOf(order);
  if (identity === null)
    return refuse(
      'workspace.git',
      'the author needs a name and an e-mail without < > or line breaks, whole seconds and an offset such as +0000',
    );
  const commit = await gitLine({
    at: options.store,
    args: ['commit-tree', order.tree, '-p', order.parent],
    stdin: Buffer.from(order.message),
    identity,
  });
  if (!commit.ok) return commit;
  const standing = await readRef(target, ref);
  if (!standing.ok) return standing;
  if (standing.value === commit.value) return ok({ commit: commit.value, ref });
  if (standing.value !== null) return exists(order.branch, standing.value);
  // Crash window 1: the objects may be there without the ref. They are unreachable, and the same bytes are written again next time.
  const copied = await gitPipe(
    { at: options.store, args: ['pack-objects', '-q', '--revs', '--stdout'], stdin: Buffer.from(`${commit.value}\n^${order.parent}\n`) },
    { at: target, args: ['unpack-objects', '-q', '--strict'] },
  );
  if (!copied.ok) return copied;
  const zeros = '0'.repeat(options.format === 'sha1' ? 40 : 64);
  const updated = await git({
    at: target,
    args: ['update-ref', '--create-reflog', '-m', 'openexec: landed a run', '--end-of-options', ref, commit.value, zeros],
    identity,
  });
  // Crash window 2: the ref stands and nobody was told. The next attempt finds exactly this commit and answers with the same success.
  if (updated.ok) return ok({ commit: commit.value, ref });
  const now = await readRef(target, ref);
  if (now.ok && now.value === commit.value) return ok({ commit: commit.value, ref });
  return now.ok && now.value !== null ? exists(order.branch, now.value) : updated;
}

function exists(branch: string, commit: string): Result<never, WorkspaceFailure> {
  return refuse(
    'workspace.refExists',
    `branch "${shown(branch)}" already exists at ${commit}; rename or delete it (git branch -m ${shown(branch)} <name>) and land again`,
  );
}

async function readRef(at: GitPlace, ref: string): Promise<Result<string | null, WorkspaceFailure>> {
  const answer = await gitAnswer({ at, args: ['rev-parse', '--verify', '--quiet', '--end-of-options', ref] });
  if (!answer.ok) return answer;
  return ok(answer.value.exitCode === 0 ? answer.value.stdout.toString('ascii').trim() : null);
}

/** Root writes into a user's repository as that user, so that its files stay theirs. */
export function ownerOf(folder: string): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = lstatSync(folder);
  return uid === 0 ? undefined : { uid, gid };
}

/** Identity and dates from facts only; null where git would silently repair or refuse them. */
export function identityOf(order: LandOrder): Record<`GIT_${'AUTHOR' | 'COMMITTER'}_${'NAME' | 'EMAIL' | 'DATE'}`, string> | null {
  const { name, email, seconds, offset } = order.author;
  const plain = (text: string): boolean => text.trim() === text && text !== '' && !/[<>\p{Cc}]/u.test(text);
  if (!plain(name) || !plain(email) || !Number.isSafeInteger(seconds) || seconds < 0 || !/^[+-]\d{4}$/.test(offset)) return null;
  const date = `@${seconds} ${offset}`;
  return {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  };
}
