/**
 * Bringing a landed branch into the user's checkout: a fast-forward, a three-way merge where HEAD has moved, or the list of what conflicts. Must
 * never run a hook or a merge driver of the repository, nor touch a file before all of it is known to go through (SECURITY §3.4).
 *
 * | window | what is there | what the next apply does |
 * | --- | --- | --- |
 * | A1 | a merge commit nobody names | makes the same tree again; git drops the old one in time |
 * | A2 | index and files are those of the result, HEAD is not | finds checkout = result and only moves HEAD |
 * | A3 | HEAD is moved, nobody was told | says `already` |
 */
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { guarded, refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer, gitLine, gitObjects } from './git.ts';
import { type ApplyConflict, blockingFiles, type ChangedFile, copyMerge, mergeTrees, withMergeStore } from './merge.ts';
import { inspectRepository, readCheckout, type RepositoryFacts, resolveCommit } from './repository.ts';

/** The windows of the table above, for tests that end the process there. */
export type ApplyWindow = 'A1.merged' | 'A2.written' | 'A3.moved';
/** Which landed branch goes into which checkout. */
export interface ApplyOptions {
  readonly repository: RepositoryFacts;
  /** Short branch name, such as `openexec/…`. */
  readonly branch: string;
  /** Only says what would happen: nothing is written anywhere. */
  readonly dryRun?: boolean;
  /** Told before the checkout is touched; not called where nothing is to be done or something conflicts. */
  onPlan?(plan: Applied): void;
  /** For tests that end the process here. */
  crashPoint?(window: ApplyWindow): void;
}
/** `already`: HEAD contained the result before. `conflicted`: nothing was touched. `files` are those between HEAD before and after. */
export interface Applied {
  readonly outcome: 'forwarded' | 'merged' | 'already' | 'conflicted';
  /** The result. */
  readonly commit: string;
  /** HEAD before; of `already`, HEAD before it took the result, or HEAD where that cannot be told. */
  readonly previous: string;
  /** HEAD afterwards; in a dry run of a merge, and where something conflicts, HEAD as it is. */
  readonly head: string;
  readonly files: readonly ChangedFile[];
  readonly conflicts: readonly ApplyConflict[];
}

/** Applies the branch, or says why not; see {@link Applied}. A dirty checkout is refused. */
export async function applyBranch(options: ApplyOptions): Promise<Result<Applied, WorkspaceFailure>> {
  const { repository, branch } = options;
  return guarded<Applied>('applying the branch', async () => {
    const commit = await resolveCommit(repository, `refs/heads/${branch}`);
    if (!commit.ok)
      return refuse(
        'workspace.objectMissing',
        `there is no branch "${shown(branch)}"; git branch --list 'openexec/*' shows what has landed`,
      );
    const fresh = await inspectRepository(repository.root);
    if (!fresh.ok) return fresh;
    const at: GitPlace = { gitDir: fresh.value.gitDir };
    const there = await isAncestor(at, commit.value, fresh.value.head);
    if (!there.ok) return there;
    if (there.value) {
      const before = await beforeApplied(fresh.value, commit.value);
      return before.ok ? ok({ ...nothing('already', commit.value, fresh.value.head), previous: before.value }) : before;
    }
    const behind = await isAncestor(at, fresh.value.head, commit.value);
    if (!behind.ok) return behind;
    const work: Work = { options, facts: fresh.value, commit: commit.value };
    return behind.value ? takeOn(work, { outcome: 'forwarded', target: commit.value }) : merge(work);
  });
}

/** More than anybody reads; git log shows larger ones. */
const MAX_PATCH_BYTES = 64 * 1024 * 1024;

interface Work {
  readonly options: ApplyOptions;
  readonly facts: RepositoryFacts;
  readonly commit: string;
}
/** Where HEAD is to go: a commit, or in a dry run of a merge its tree. */
interface Target {
  readonly outcome: 'forwarded' | 'merged';
  readonly target: string;
}

function nothing(outcome: 'already' | 'conflicted', commit: string, head: string, conflicts: readonly ApplyConflict[] = []): Applied {
  return { outcome, commit, previous: head, head, files: [], conflicts };
}

/** Whether `older` is `newer` or one of its ancestors. */
export async function isAncestor(at: GitPlace, older: string, newer: string): Promise<Result<boolean, WorkspaceFailure>> {
  const answer = await gitAnswer({ at, args: ['merge-base', '--is-ancestor', older, newer] });
  if (!answer.ok) return answer;
  if (answer.value.exitCode > 1) return refuse('workspace.git', `git cannot compare ${older} with ${newer}: ${shown(answer.value.stderr)}`);
  return ok(answer.value.exitCode === 0);
}

/** A real three-way merge, made in a git directory of our own. */
async function merge(work: Work): Promise<Result<Applied, WorkspaceFailure>> {
  const { options, facts, commit } = work;
  return withMergeStore(facts, async (store) => {
    const merged = await mergeTrees(store, { head: facts.head, commit, branch: options.branch });
    if (!merged.ok) return merged;
    if (merged.value.conflicts.length > 0 && facts.dirty.length > 0) return dirty(facts);
    if (merged.value.conflicts.length > 0) return ok(nothing('conflicted', commit, facts.head, merged.value.conflicts));
    const { tree } = merged.value;
    if (options.dryRun === true) return takeOn(work, { outcome: 'merged', target: tree }, store.at);
    const target = await copyMerge(store, { tree, head: facts.head, commit, message: `Merge branch '${options.branch}'\n` });
    if (!target.ok) return target;
    options.crashPoint?.('A1.merged');
    return takeOn(work, { outcome: 'merged', target: target.value });
  });
}

/** Moves index, files and HEAD; what is in the way is found before anything is touched. `objects` holds the target where it is not the user's. */
async function takeOn(work: Work, to: Target, objects?: GitPlace): Promise<Result<Applied, WorkspaceFailure>> {
  const { options, facts, commit } = work;
  const files = await changedBetween(objects ?? { gitDir: facts.gitDir }, facts.head, to.target);
  if (!files.ok) return files;
  const dry = options.dryRun === true;
  const head = dry && to.outcome === 'merged' ? facts.head : to.target;
  const plan: Applied = { outcome: to.outcome, commit, previous: facts.head, head, files: files.value, conflicts: [] };
  // Window A2 of an apply that was cut off: the checkout is the result already, and only HEAD is missing.
  const written = facts.dirty.length > 0 && !dry && (await isWritten(facts, to.target));
  if (facts.dirty.length > 0 && !written) return dirty(facts);
  const conflicts = written ? [] : blockingFiles(facts.root, files.value);
  if (conflicts.length > 0) return ok(nothing('conflicted', commit, facts.head, conflicts));
  if (dry) return ok(plan);
  options.onPlan?.(plan);
  const moved = written ? ok(undefined) : await writeCheckout(facts, to.target);
  if (!moved.ok) return moved;
  options.crashPoint?.('A2.written');
  const updated = await moveHead(work, to.target);
  if (!updated.ok) return updated;
  options.crashPoint?.('A3.moved');
  return ok(plan);
}

async function isWritten(facts: RepositoryFacts, target: string): Promise<boolean> {
  const against = await readCheckout(facts, target);
  return against.ok && against.value.dirty.length === 0;
}

function dirty(facts: RepositoryFacts): Result<never, WorkspaceFailure> {
  const [first] = facts.dirty;
  return refuse(
    'workspace.dirty',
    `${facts.dirty.length} tracked file(s) differ from HEAD, first "${shown(first ?? '')}"; commit them, or keep them with git stash -u, then apply again`,
    first ?? '',
  );
}

/** The change between two commits as a patch, for people: no external diff, no textconv, no colour; binary files as such. */
export async function diffCommits(
  place: Pick<RepositoryFacts, 'gitDir'>,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Result<{ readonly files: readonly ChangedFile[]; readonly patch: string }, WorkspaceFailure>> {
  const at: GitPlace = { gitDir: place.gitDir };
  const files = await changedBetween(at, from, to);
  if (!files.ok) return files;
  const args = ['diff-tree', '-r', '-p', '--no-renames', '--no-ext-diff', '--no-textconv', '--full-index', '--no-color', from, to];
  const patch = await git({ at, args, maxOutputBytes: MAX_PATCH_BYTES });
  return patch.ok ? ok({ files: files.value, patch: patch.value.toString('utf8') }) : patch;
}

/** The bytes of one stored file by its git id; refuses one that is missing or larger than `maxBytes`. */
export async function readBlob(
  place: Pick<RepositoryFacts, 'gitDir'>,
  oid: string,
  maxBytes: number,
): Promise<Result<Buffer, WorkspaceFailure>> {
  const parts: Buffer[] = [];
  const read = await gitObjects({ gitDir: place.gitDir }, [oid], maxBytes, (_, part) => void parts.push(part));
  return read.ok ? ok(Buffer.concat(parts)) : read;
}

async function changedBetween(at: GitPlace, from: string, to: string): Promise<Result<readonly ChangedFile[], WorkspaceFailure>> {
  const listed = await git({ at, args: ['diff-tree', '-r', '-z', '--name-status', '--no-renames', from, to] });
  if (!listed.ok) return listed;
  const words = listed.value.toString('utf8').split('\0');
  const files: ChangedFile[] = [];
  for (let index = 0; index + 1 < words.length; index += 2) {
    const change = words[index] === 'A' ? 'added' : words[index] === 'D' ? 'deleted' : 'modified';
    files.push({ path: words[index + 1] ?? '', change });
  }
  return ok(files);
}

/**
 * `read-tree -m -u`: git itself checks every file first and changes none when one is in the way. Line-ending and filter drivers are those of the
 * user's own configuration, as in `git merge`, since the files are written for the user.
 */
async function writeCheckout(facts: RepositoryFacts, target: string): Promise<Result<void, WorkspaceFailure>> {
  const moved = await git({ at: userPlace(facts), args: ['read-tree', '-m', '-u', facts.head, target] });
  if (moved.ok) return ok(undefined);
  return refuse(
    'workspace.conflict',
    `git would not update the checkout (${moved.error.message}); move away what it names, then apply again. git status shows the files`,
  );
}

/** HEAD with its old value; when it has moved in between, the checkout goes back to what it was. */
async function moveHead(work: Work, target: string): Promise<Result<void, WorkspaceFailure>> {
  const { facts, options } = work;
  const at = userPlace(facts);
  const updated = await git({ at, args: ['update-ref', '-m', `openexec apply ${options.branch}`, 'HEAD', target, facts.head] });
  if (updated.ok) return ok(undefined);
  const back = await git({ at, args: ['read-tree', '-m', '-u', target, facts.head] });
  return back.ok
    ? updated
    : refuse(
        'workspace.conflict',
        `HEAD moved while applying and the checkout could not be put back; git status shows the files, git restore . discards them (${updated.error.message})`,
      );
}

function userPlace(facts: RepositoryFacts): GitPlace {
  return { gitDir: facts.gitDir, workTree: facts.root, directory: facts.root, userConfig: true };
}

/** What HEAD was before it took the result, as an apply leaves it: the result itself, or a merge whose second parent it is. Else HEAD. */
async function beforeApplied(facts: RepositoryFacts, commit: string): Promise<Result<string, WorkspaceFailure>> {
  const line = await gitLine({ at: { gitDir: facts.gitDir }, args: ['rev-list', '--parents', '-n', '1', facts.head] });
  if (!line.ok) return line;
  const [head, first, second] = line.value.split(' ');
  const took = head === commit || second === commit;
  return ok(took && first !== undefined ? first : facts.head);
}
