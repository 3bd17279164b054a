/**
 * The run's git directory, which only the runtime can write, and the git view shown read-only to commands. Must never use the user's
 * repository as anything but a source of objects, and never run git in the view once a command has seen it (SECURITY §3, MECHANICS part 1).
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { err, ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { type TreeEntry, treeListing } from '@openexec/protocol';
import { handOverFolder } from './descriptor.ts';
import { refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer, gitLine, gitPipe } from './git.ts';
import type { Identity } from './identity.ts';
import { byBytes, isGitName } from './paths.ts';

/** Names inside the run's state folder. */
export interface StorePlaces {
  readonly git: string;
  readonly view: string;
  readonly tree: string;
  readonly staging: string;
  readonly trash: string;
}
/** Called before each durable step with its name; a test makes it throw to stand for a crash there. */
export type StepListener = (step: string) => void;
/** The steps of making a store, in order; each has a crash test of its name. */
export const STORE_STEPS = [
  'store.folders',
  'store.init',
  'store.base',
  'store.publish',
  'view.init',
  'view.fill',
  'view.publish',
] as const;

/** What a run’s git directory is made of: its places, its base commit and the objects it borrows. */
export interface StoreOptions {
  readonly places: StorePlaces;
  readonly commit: string;
  readonly format: 'sha1' | 'sha256';
  /** Object folder of the user's repository. */
  readonly source: string;
  readonly owner: Identity;
  readonly onStep: StepListener;
}

/** Names for places below `directory`. */
export function storePlaces(directory: string): StorePlaces {
  return {
    git: `${directory}/git`,
    view: `${directory}/view`,
    tree: `${directory}/tree`,
    staging: `${directory}/staging`,
    trash: `${directory}/trash`,
  };
}

/**
 * Makes git directory and view, or finds them whole from before: each is filled under a temporary name and renamed into place, so that a crash
 * leaves either a temporary folder, which is thrown away, or the finished one.
 */
export async function openStore(options: StoreOptions): Promise<Result<GitPlace, WorkspaceFailure>> {
  const { places, onStep } = options;
  onStep('store.folders');
  for (const folder of [places.staging, places.trash]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(places.staging)) rmSync(`${places.staging}/${name}`, { recursive: true, force: true });
  const at: GitPlace = { gitDir: places.git };
  if (!existsSync(places.git)) {
    const made = await makeStore(options);
    if (!made.ok) return made;
  }
  const type = await gitAnswer({ at, args: ['cat-file', '-t', options.commit] });
  if (!type.ok) return type;
  if (type.value.stdout.toString() !== 'commit\n') {
    return refuse(
      'workspace.conflict',
      `the run's git directory ${shown(places.git)} does not hold base ${options.commit}; it belongs to another run: use another state folder`,
    );
  }
  if (!existsSync(places.view)) {
    const packs = `${places.git}/objects/pack`;
    const made = await makeView(options, places.view, async (making) => {
      mkdirSync(`${making}/objects/pack`, { recursive: true });
      for (const name of readdirSync(packs)) copyFileSync(`${packs}/${name}`, `${making}/objects/pack/${name}`);
      return ok(undefined);
    });
    if (!made.ok) return made;
  }
  return ok(at);
}

async function init(gitDir: string, format: string): Promise<Result<void, WorkspaceFailure>> {
  rmSync(gitDir, { recursive: true, force: true });
  const made = await git({
    at: { gitDir: null },
    args: ['init', '-q', '--bare', '--template=', `--object-format=${format}`, '--initial-branch=base', '--', gitDir],
  });
  if (!made.ok) return made;
  chmodSync(gitDir, 0o700);
  return ok(undefined);
}

async function makeStore(options: StoreOptions): Promise<Result<void, WorkspaceFailure>> {
  const making = `${options.places.git}.making`;
  options.onStep('store.init');
  const made = await init(making, options.format);
  if (!made.ok) return made;
  // The base is where history ends, for git as for this run.
  writeFileSync(`${making}/shallow`, `${options.commit}\n`, { mode: 0o600 });
  options.onStep('store.base');
  // Objects are read as an alternate of our own directory: the user's configuration is not even opened.
  const from: GitPlace = { gitDir: making, alternates: options.source };
  const copied = await gitPipe(
    {
      at: from,
      args: ['pack-objects', '-q', '--revs', '--stdout', '--delta-base-offset', '--no-reuse-object'],
      stdin: Buffer.from(`${options.commit}\n`),
    },
    { at: { gitDir: making }, args: ['index-pack', '--stdin'] },
  );
  if (!copied.ok) return copied;
  options.onStep('store.publish');
  renameSync(making, options.places.git);
  return ok(undefined);
}

const VIEW_CONFIG = (format: string): string =>
  `[core]\n\trepositoryformatversion = ${format === 'sha1' ? 0 : 1}\n\tbare = false\n\tfilemode = true\n\tlogallrefupdates = false\n[gc]\n\tauto = 0\n${format === 'sha1' ? '' : `[extensions]\n\tobjectformat = ${format}\n`}`;

/** A stub with the base only, so that status, log and diff work inside; owned by the sandbox's id, else git there calls it dubious. */
export async function makeView(
  options: Pick<StoreOptions, 'places' | 'commit' | 'format' | 'owner' | 'onStep'>,
  place: string,
  fill: (making: string) => Promise<Result<void, WorkspaceFailure>>,
  hidden: readonly string[] = [],
): Promise<Result<void, WorkspaceFailure>> {
  const making = `${place}.making`;
  options.onStep('view.init');
  const made = await init(making, options.format);
  if (!made.ok) return made;
  options.onStep('view.fill');
  const filled = await fill(making);
  if (!filled.ok) return filled;
  writeFileSync(`${making}/shallow`, `${options.commit}\n`);
  writeFileSync(`${making}/config`, VIEW_CONFIG(options.format));
  const at: GitPlace = { gitDir: making, indexFile: `${making}/index` };
  for (const args of [
    ['update-ref', 'refs/heads/base', options.commit],
    ['symbolic-ref', 'HEAD', 'refs/heads/base'],
    ['read-tree', options.commit],
  ]) {
    const done = await git({ at, args });
    if (!done.ok) return done;
  }
  if (hidden.length > 0) {
    // Git asks the tree about none of them, so that `status` and `diff` work without their content.
    const done = await git({
      at,
      args: ['update-index', '-z', '--skip-worktree', '--stdin'],
      stdin: Buffer.from(hidden.map((path) => `${path}\0`).join('')),
    });
    if (!done.ok) return done;
  }
  handOverFolder(making, options.owner);
  options.onStep('view.publish');
  renameSync(making, place);
  return ok(undefined);
}

/** The base tree as a listing in git's order, and the bytes of all its files. Names that are not UTF-8, or that read as `.git`, are refused: they could not be kept apart. */
export async function listTree(
  at: GitPlace,
  commit: string,
): Promise<Result<{ readonly tree: string; readonly listing: readonly TreeEntry[]; readonly bytes: number }, WorkspaceFailure>> {
  const tree = await gitLine({ at, args: ['rev-parse', '--verify', `${commit}^{tree}`] });
  if (!tree.ok) return tree;
  const listed = await git({ at, args: ['ls-tree', '-r', '-z', '--long', '--full-tree', tree.value] });
  if (!listed.ok) return listed;
  const text = listed.value.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(listed.value)) {
    return refuse(
      'workspace.pathRefused',
      `commit ${commit} has a file name that is not UTF-8; rename it (git ls-tree -r --name-only ${commit}) and commit before running`,
    );
  }
  const lines = text.split('\0').filter((line) => line !== '');
  // Very old commits hold 100664; git itself reads it as an ordinary file.
  let bytes = 0;
  const raw = lines.map((line) => {
    const [, mode, oid, size, path] = /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t(.+)$/s.exec(line) ?? [];
    bytes += size === undefined || size === '-' ? 0 : Number(size);
    return { path, mode: mode === '100664' ? '100644' : mode, oid };
  });
  const listing = treeListing.safeParse(raw);
  if (!listing.success) {
    const at = Number(listing.error.issues[0]?.path[0] ?? 0);
    return refuse('workspace.git', `the base tree has an entry that is not understood: ${shown(lines[at] ?? '')}`);
  }
  const odd = listing.data.find((entry) => entry.path.split('/').some(isGitName));
  if (odd !== undefined)
    return refuse('workspace.pathRefused', `"${shown(odd.path)}" of the base would be read as ".git"; remove it from the commit`, odd.path);
  return ok({ tree: tree.value, listing: listing.data, bytes });
}

/** Writes blobs into the run's git directory and compares the ids git computed with ours: two computations must agree. */
export async function writeBlobs(
  at: GitPlace,
  staging: string,
  blobs: readonly { readonly oid: string; readonly content: Uint8Array }[],
): Promise<Result<void, WorkspaceFailure>> {
  if (blobs.length === 0) return ok(undefined);
  const files = blobs.map((blob, index) => {
    const file = `${staging}/blob-${index}`;
    writeFileSync(file, blob.content, { mode: 0o600 });
    return file;
  });
  const written = await git({
    at,
    args: ['hash-object', '-w', '--no-filters', '--stdin-paths'],
    stdin: Buffer.from(`${files.join('\n')}\n`),
  });
  for (const file of files) unlinkSync(file);
  if (!written.ok) return written;
  const oids = written.value.toString('ascii').trimEnd().split('\n');
  const differs = blobs.findIndex((blob, index) => oids[index] !== blob.oid);
  return differs < 0 && oids.length === blobs.length
    ? ok(undefined)
    : refuse(
        'workspace.conflict',
        'git and the runtime computed different ids for the same bytes; the disk or git is broken: do not trust this run',
      );
}

/**
 * Git tree of a listing, through a fresh index of our own. `update-index` drops names it dislikes with exit status 0, so the index is read
 * back and compared entry by entry (SECURITY §3.1).
 */
export async function writeTree(gitDir: string, staging: string, listing: readonly TreeEntry[]): Promise<Result<string, WorkspaceFailure>> {
  const at: GitPlace = { gitDir, indexFile: `${staging}/index` };
  rmSync(`${staging}/index`, { force: true });
  const wanted = listing.toSorted((a, b) => byBytes(a.path, b.path)).map((entry) => `${entry.mode} ${entry.oid} 0\t${entry.path}`);
  try {
    const filled = await git({
      at,
      args: ['update-index', '-z', '--index-info'],
      stdin: Buffer.from(wanted.map((line) => `${line}\0`).join('')),
    });
    if (!filled.ok) return filled;
    const held = await git({ at, args: ['ls-files', '-s', '-z'] });
    if (!held.ok) return held;
    if (held.value.toString('utf8') !== wanted.map((line) => `${line}\0`).join('')) {
      return refuse(
        'workspace.pathRefused',
        `git kept ${held.value.toString('utf8').split('\0').length - 1} of ${wanted.length} entries; a path is one that git refuses to store`,
      );
    }
    return await gitLine({ at, args: ['write-tree'] });
  } finally {
    rmSync(`${staging}/index`, { force: true });
  }
}

/** True when every id is an object of the run's own directory. */
export async function firstMissing(at: GitPlace, oids: readonly string[]): Promise<Result<string | null, WorkspaceFailure>> {
  if (oids.length === 0) return ok(null);
  const checked = await git({ at, args: ['cat-file', '--batch-check'], stdin: Buffer.from(`${oids.join('\n')}\n`) });
  if (!checked.ok) return err(checked.error);
  const line = checked.value
    .toString('ascii')
    .split('\n')
    .find((text) => text.endsWith(' missing'));
  return ok(line === undefined ? null : (line.split(' ')[0] ?? null));
}
