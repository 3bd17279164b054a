/**
 * The user's repository as it is read: where it is, what its head is, whether its checkout is clean. Must never write to it, run its hooks,
 * filters or monitors, or descend into submodules (SECURITY §3.4).
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { guarded, refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer } from './git.ts';

/** The parts of a repository that stay the same while it is used. */
export interface RepositoryPlace {
  /** Top folder of the checkout. */
  readonly root: string;
  /** Git directory of this checkout (a linked worktree has its own). */
  readonly gitDir: string;
  /** Where objects and branches live; equals `gitDir` except in a linked worktree. */
  readonly commonDir: string;
  readonly objectFormat: 'sha1' | 'sha256';
}
/** The state of the user’s checkout at one moment; only read, never repaired. */
export interface RepositoryFacts extends RepositoryPlace {
  /** Commit that HEAD names. */
  readonly head: string;
  /** Short name of the checked-out branch, or null where HEAD is detached. */
  readonly branch: string | null;
  /** Tracked paths that differ from HEAD (staged or not), outside `.openexec/`. */
  readonly dirty: readonly string[];
  /** Files that are neither tracked nor ignored, outside `.openexec/`; an untracked folder counts once. */
  readonly untracked: number;
}

/** The runtime's own folder inside a checkout; never counted as a change of the user. */
const OWN_FOLDER = '.openexec';

/** Finds and reads the repository that holds `directory`. Refuses bare repositories and ones without a commit. */
export async function inspectRepository(directory: string): Promise<Result<RepositoryFacts, WorkspaceFailure>> {
  return guarded('reading the repository', async () => {
    const place = await findRepository(directory);
    if (!place.ok) return place;
    const head = await resolveCommit(place.value, 'HEAD');
    if (!head.ok)
      return refuse(
        'workspace.objectMissing',
        `the repository at "${shown(place.value.root)}" has no commit yet; commit once and run again`,
      );
    const symbolic = await gitAnswer({ at: { gitDir: place.value.gitDir }, args: ['symbolic-ref', '--quiet', '--short', 'HEAD'] });
    if (!symbolic.ok) return symbolic;
    const branch = symbolic.value.exitCode === 0 ? symbolic.value.stdout.toString('utf8').trim() : null;
    const checkout = await readCheckout(place.value, head.value);
    return checkout.ok ? ok({ ...place.value, head: head.value, branch, ...checkout.value }) : checkout;
  });
}

/** Full id of the commit that `revision` names. */
export async function resolveCommit(place: Pick<RepositoryPlace, 'gitDir'>, revision: string): Promise<Result<string, WorkspaceFailure>> {
  const no = (): Result<never, WorkspaceFailure> =>
    refuse(
      'workspace.objectMissing',
      `"${shown(revision)}" names no commit here; use a branch, a tag or a full commit id that git log shows`,
    );
  if (revision === '' || revision.startsWith('-') || /\p{Cc}/u.test(revision)) return no();
  const answer = await gitAnswer({
    at: { gitDir: place.gitDir },
    args: ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`],
  });
  if (!answer.ok) return answer;
  const id = answer.value.stdout.toString('ascii').trim();
  return answer.value.exitCode === 0 && /^[0-9a-f]{40,64}$/.test(id) ? ok(id) : no();
}

async function findRepository(directory: string): Promise<Result<RepositoryPlace, WorkspaceFailure>> {
  if (!existsSync(directory) || !statSync(directory).isDirectory())
    return refuse('workspace.notARepository', `"${shown(directory)}" is not a folder; run inside a git checkout`);
  const at: GitPlace = { gitDir: null, directory: realpathSync(directory) };
  const trusted = await trustedFolders();
  if (!trusted.ok) return trusted;
  const found = await gitAnswer({
    at,
    args: ['rev-parse', '--show-object-format', '--absolute-git-dir', '--git-common-dir', '--show-toplevel'],
    config: trusted.value,
  });
  if (!found.ok) return found;
  if (found.value.exitCode !== 0) {
    const why = found.value.stderr;
    const remedy = /dubious ownership/.test(why)
      ? 'it belongs to another user: run as its owner, or trust it with git config --global --add safe.directory <folder>'
      : 'run inside a git checkout, or make one with git init and a first commit';
    return refuse('workspace.notARepository', `"${shown(directory)}" is not a usable git checkout (${shown(why)}); ${remedy}`);
  }
  const [format, gitDir, common, root] = found.value.stdout.toString('utf8').split('\n');
  if (gitDir === undefined || common === undefined || root === undefined || root === '' || (format !== 'sha1' && format !== 'sha256')) {
    return refuse(
      'workspace.notARepository',
      `"${shown(directory)}" has no work tree or an unknown object format; run inside an ordinary checkout`,
    );
  }
  return ok({
    root,
    gitDir,
    commonDir: realpathSync(join(common.startsWith('/') ? '/' : (at.directory ?? '/'), common)),
    objectFormat: format,
  });
}

/** What the user told git to trust in their own configuration; nothing else of it is read. */
async function trustedFolders(): Promise<Result<readonly string[], WorkspaceFailure>> {
  const answer = await gitAnswer({
    at: { gitDir: '/dev/null', userConfig: true },
    args: ['config', '--global', '--null', '--get-all', 'safe.directory'],
  });
  if (!answer.ok) return answer;
  const folders = answer.value.stdout
    .toString('utf8')
    .split('\0')
    .filter((folder) => folder !== '');
  return ok(folders.map((folder) => `safe.directory=${folder}`));
}

/**
 * Compares the checkout with a commit or tree through a git directory of our own: a copy of the user's index, their objects as an alternate, no
 * drivers. A file whose times differ from the index is compared byte by byte without filters, so an error can only be towards "dirty".
 */
export async function readCheckout(
  place: RepositoryPlace,
  head: string,
): Promise<Result<{ readonly dirty: readonly string[]; readonly untracked: number }, WorkspaceFailure>> {
  const own = mkdtempSync(join(tmpdir(), 'openexec-read-'));
  try {
    const made = await git({
      at: { gitDir: null },
      args: ['init', '-q', '--bare', '--template=', `--object-format=${place.objectFormat}`, '--', own],
    });
    if (!made.ok) return made;
    for (const name of readdirSync(place.gitDir))
      if (name === 'index' || name.startsWith('sharedindex.')) copyFileSync(`${place.gitDir}/${name}`, `${own}/${name}`);
    const at: GitPlace = {
      gitDir: own,
      workTree: place.root,
      indexFile: `${own}/index`,
      alternates: `${place.commonDir}/objects`,
      directory: place.root,
    };
    const fileMode = await gitAnswer({ at: { gitDir: place.gitDir }, args: ['config', '--type=bool', '--get', 'core.fileMode'] });
    if (!fileMode.ok) return fileMode;
    const config = [`core.bare=false`, `core.fileMode=${fileMode.value.stdout.toString().trim() === 'false' ? 'false' : 'true'}`];
    const refreshed = await gitAnswer({ at, config, args: ['update-index', '-q', '--ignore-submodules', '--refresh'] });
    if (!refreshed.ok) return refreshed;
    const changed = await git({
      at,
      config,
      args: ['diff-index', '--name-only', '-z', '--no-renames', '--no-ext-diff', '--ignore-submodules=dirty', head, '--'],
    });
    if (!changed.ok) return changed;
    const exclude = existsSync(`${place.commonDir}/info/exclude`) ? [`--exclude-from=${place.commonDir}/info/exclude`] : [];
    const others = await git({
      at,
      config,
      args: ['ls-files', '--others', '--directory', '--no-empty-directory', '-z', '--exclude-per-directory=.gitignore', ...exclude],
    });
    if (!others.ok) return others;
    const outside = (listed: Buffer): readonly string[] =>
      listed
        .toString('utf8')
        .split('\0')
        .filter((path) => path !== '' && path !== `${OWN_FOLDER}/` && !path.startsWith(`${OWN_FOLDER}/`));
    return ok({ dirty: outside(changed.value), untracked: outside(others.value).length });
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}
