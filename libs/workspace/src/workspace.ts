/**
 * The run's own tree: the adapter of the port `Workspace`. Must never write the user's repository except through `land`, and never believe its
 * memory after a crash: whoever drives the run calls `rebuild` first (ARCHITECTURE §1 step 2, MECHANICS part 1).
 */
import { closeSync, mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { type Bytes, type Digest, digestOf, ok, type Result } from '@openexec/canon';
import type { BaseTree, FileDiff, FileEdit, LandOrder, TreeChanges, Workspace, WorkspaceFailure } from '@openexec/catalogue';
import type { FileChange, TreeEntry } from '@openexec/protocol';
import { below, Cursor, openRegular, readExactly } from './descriptor.ts';
import { applyEdits } from './edit.ts';
import { diffTrees } from './diff.ts';
import { fault, guarded, refuse, shown, systemCode } from './failure.ts';
import { type GitPlace, gitObjects } from './git.ts';
import { canReach, type Identity } from './identity.ts';
import { land } from './land.ts';
import { maskedView } from './maskedView.ts';
import { materialize } from './materialize.ts';
import { byBytes, checkDirectory, checkPath, leavesTree } from './paths.ts';
import type { Redactor } from './redaction.ts';
import type { RepositoryPlace } from './repository.ts';
import { blobId, HashCache, hasDescriptorPaths, type SnapshotEntry, snapshot, TREE_LIMITS, type TreeLimits } from './snapshot.ts';
import { firstMissing, listTree, openStore, type StepListener, type StorePlaces, storePlaces, writeBlobs, writeTree } from './store.ts';
import { checkWithheld } from './withheld.ts';

/** What a run’s tree is opened with; the same options open it again after a crash. */
export interface OpenWorkspaceOptions {
  readonly repository: RepositoryPlace;
  /** Full id of the base commit. */
  readonly base: string;
  /** The run's state folder, absolute; it and its parents must be searchable by `identity`. */
  readonly directory: string;
  readonly identity: Identity;
  readonly redactor: Redactor;
  readonly limits?: Partial<TreeLimits>;
  /** Hears of each durable step; tests let it throw. */
  readonly onStep?: StepListener;
}
interface Parts {
  readonly places: StorePlaces;
  readonly store: GitPlace;
  readonly base: BaseTree;
  readonly options: OpenWorkspaceOptions;
  readonly limits: TreeLimits;
}
type Committed = Map<string, TreeEntry>;

/**
 * Makes or finds the run's git directory and git view and reads the base tree. The tree itself is filled by `rebuild`, the same call that repairs
 * it after a crash. May be repeated after a crash at any point.
 */
export async function openWorkspace(
  options: OpenWorkspaceOptions,
): Promise<Result<{ readonly workspace: Workspace; readonly base: BaseTree }, WorkspaceFailure>> {
  const { directory, repository, identity } = options;
  return guarded('opening the workspace', async () => {
    if (!directory.startsWith('/') || /[\n\r]/.test(directory))
      return refuse('workspace.io', `the run's state folder "${shown(directory)}" must be an absolute path without line breaks`);
    // Searchable, not readable: the tree and the view below it belong to the sandbox's id, everything else to the runtime alone.
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    if (!hasDescriptorPaths(directory)) return refuse('workspace.io', 'this system has no /proc/self/fd; the workspace needs Linux');
    if (!canReach(`${directory}/.`, identity) || !canReach(directory, identity)) {
      return refuse(
        'workspace.io',
        `user ${identity.uid}, which runs commands, cannot reach "${shown(directory)}"; keep run state in a folder whose parents it may search`,
      );
    }
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(options.base))
      return refuse('workspace.objectMissing', `"${shown(options.base)}" is not a full commit id`);
    const places = storePlaces(directory);
    const onStep = options.onStep ?? (() => undefined);
    const format = repository.objectFormat;
    const store = await openStore({
      places,
      commit: options.base,
      format,
      source: `${repository.commonDir}/objects`,
      owner: identity,
      onStep,
    });
    if (!store.ok) return store;
    const listed = await listTree(store.value, options.base);
    if (!listed.ok) return listed;
    const limits = { ...TREE_LIMITS, ...options.limits };
    if (listed.value.listing.length > limits.files)
      return refuse(
        'workspace.quota',
        `the base tree has ${listed.value.listing.length} files, more than the ${limits.files} allowed; take generated files out of the commit`,
      );
    if (listed.value.bytes > limits.totalBytes)
      return refuse(
        'workspace.quota',
        `the base tree holds ${listed.value.bytes} bytes, more than the ${limits.totalBytes} allowed; keep large files outside of the commit (git lfs)`,
      );
    const base: BaseTree = { commit: options.base, tree: listed.value.tree, objectFormat: format, listing: listed.value.listing };
    return ok({ workspace: new RunWorkspace({ places, store: store.value, base, options, limits }), base });
  });
}

/** One holder at a time (the run's lease); no method runs beside another or beside a command of the run. */
class RunWorkspace implements Workspace {
  readonly root: string;
  readonly gitView: string;
  readonly #parts: Parts;
  readonly #gitlinks: ReadonlySet<string>;
  readonly #cache = new HashCache();
  /** Base plus what was accepted; null until `rebuild` has made the tree equal to it. */
  #committed: Committed | null = null;
  /** Objects with a token-like pattern that `changes` wrote and nothing has accepted yet; `restore` takes them out again. */
  readonly #withheld = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.root = parts.places.tree;
    this.gitView = parts.places.view;
    this.#gitlinks = new Set(parts.base.listing.filter((entry) => entry.mode === '160000').map((entry) => entry.path));
  }

  async maskedGitView(masked: readonly string[]): Promise<Result<string | null, WorkspaceFailure>> {
    return guarded('hiding files from git', async () => {
      const { places, store, base, options } = this.#parts;
      const made = await maskedView({ places, store, base, owner: options.identity, onStep: options.onStep ?? (() => undefined) }, masked);
      return made.ok ? ok(made.value ?? this.gitView) : made;
    });
  }

  async rebuild(
    files: readonly { readonly change: FileChange; readonly content: Bytes | null }[],
  ): Promise<Result<void, WorkspaceFailure>> {
    return guarded('rebuilding the workspace', async () => {
      const { base, store, places } = this.#parts;
      this.#committed = null;
      const given = files.flatMap(({ change, content }) =>
        change.after === null || content === null ? [] : [{ oid: change.after.oid, content, path: change.path }],
      );
      const wrong = given.find((file) => blobId(base.objectFormat, file.content) !== file.oid);
      if (wrong !== undefined)
        return refuse(
          'workspace.conflict',
          `the recorded bytes of "${shown(wrong.path)}" are not those of ${wrong.oid}; the ledger or its blobs are damaged: run openexec verify`,
          wrong.path,
        );
      const written = await writeBlobs(store, places.staging, given);
      if (!written.ok) return written;
      const next = await this.#withChanges(
        new Map(base.listing.map((entry) => [entry.path, entry])),
        files.map((file) => file.change),
      );
      if (!next.ok) return next;
      const withheld = files.flatMap(({ change, content }) => (change.after !== null && content === null ? [change] : []));
      const kept = await checkWithheld(withheld, { store, format: base.objectFormat, maxBytes: this.#parts.limits.fileBytes });
      if (!kept.ok) return kept;
      const made = await this.#materialize(next.value);
      if (made.ok) this.#committed = next.value;
      return made;
    });
  }

  async changes(): Promise<Result<TreeChanges, WorkspaceFailure>> {
    const committed = this.#state();
    return guarded('reading the workspace', async () => {
      const { base, limits, places } = this.#parts;
      const format = base.objectFormat;
      const gitEntries: string[] = [];
      const found = await snapshot(this.root, {
        format,
        limits,
        cache: this.#cache,
        probe: `${places.staging}/clock`,
        gitlinks: this.#gitlinks,
        onGit: (path) => gitEntries.push(path),
      });
      const added = [...found].filter(([path, entry]) => !same(committed.get(path), entry));
      const gone = [...committed.values()].filter((entry) => entry.mode !== '160000' && !found.has(entry.path));
      const read = this.#readAll(added);
      if (!read.ok) return read;
      const written = await writeBlobs(
        this.#parts.store,
        places.staging,
        dedupe(read.value.map(({ entry, content }) => ({ oid: entry.oid, content }))),
      );
      if (!written.ok) return written;
      const contents = new Map<Digest, Bytes>();
      const changes: FileChange[] = gone.map((entry) => ({ path: entry.path, before: entry.oid, after: null }));
      for (const { path, entry, content, withheld } of read.value) {
        const blob = digestOf(content);
        if (withheld) this.#withheld.add(entry.oid);
        else contents.set(blob, content);
        changes.push({
          path,
          before: committed.get(path)?.oid ?? null,
          after: { blob, bytes: content.length, mode: entry.mode, oid: entry.oid },
        });
      }
      return ok({ changes: changes.sort((a, b) => byBytes(a.path, b.path)), contents, gitEntries: gitEntries.sort(byBytes) });
    });
  }

  async accept(changes: readonly FileChange[]): Promise<Result<void, WorkspaceFailure>> {
    const committed = this.#state();
    return guarded('accepting changes', async () => {
      const next = await this.#withChanges(new Map(committed), changes);
      if (!next.ok) return next;
      this.#committed = next.value;
      return ok(undefined);
    });
  }

  async restore(): Promise<Result<void, WorkspaceFailure>> {
    const committed = this.#state();
    return guarded('restoring the workspace', async () => {
      this.#forgetWithheld(committed);
      return this.#materialize(committed);
    });
  }

  async read(path: string, limits: { readonly maxBytes: number }): Promise<Result<Bytes, WorkspaceFailure>> {
    this.#state();
    return guarded('reading a file', async () => {
      const segments = checkPath(path);
      return segments.ok ? ok(this.#readFile(path, segments.value, limits.maxBytes)) : segments;
    });
  }

  async list(directory: string): Promise<Result<readonly TreeEntry[], WorkspaceFailure>> {
    const committed = this.#state();
    const segments = checkDirectory(directory);
    if (!segments.ok) return segments;
    const prefix = directory === '' ? '' : `${directory}/`;
    return ok([...committed.values()].filter((entry) => entry.path.startsWith(prefix)).sort((a, b) => byBytes(a.path, b.path)));
  }

  async edit(edits: readonly FileEdit[]): Promise<Result<void, WorkspaceFailure>> {
    this.#state();
    return guarded('editing the workspace', async () => {
      for (const edit of edits) {
        if (edit.content === null) continue;
        const clean = this.#noSecret(edit.path, edit.content);
        if (!clean.ok) return clean;
      }
      const { places, options, limits } = this.#parts;
      return applyEdits(edits, {
        root: this.root,
        staging: places.staging,
        owner: options.identity,
        maxBytes: limits.fileBytes,
        gitlinks: this.#gitlinks,
      });
    });
  }

  async diff(limits: { readonly maxBytes: number }): Promise<Result<readonly FileDiff[], WorkspaceFailure>> {
    const committed = this.#state();
    const tree = await this.tree();
    if (!tree.ok) return tree;
    const { store, base } = this.#parts;
    return guarded('comparing with the base', async () => {
      const found = await diffTrees(store, { from: base.tree, to: tree.value, maxBytes: limits.maxBytes });
      if (!found.ok) return found;
      const before = new Set(base.listing.map(({ path }) => path));
      return ok(
        found.value.map((file) => ({
          ...file,
          status: !before.has(file.path) ? ('added' as const) : committed.has(file.path) ? ('changed' as const) : ('deleted' as const),
        })),
      );
    });
  }

  async tree(): Promise<Result<string, WorkspaceFailure>> {
    const committed = this.#state();
    return guarded('writing the tree', () => writeTree(this.#parts.places.git, this.#parts.places.staging, [...committed.values()]));
  }

  async land(order: LandOrder): Promise<Result<{ readonly commit: string; readonly ref: string }, WorkspaceFailure>> {
    const { store, options, base } = this.#parts;
    return guarded('landing', () =>
      land(order, { store, target: options.repository.commonDir, format: base.objectFormat, base: base.commit }),
    );
  }

  #state(): Committed {
    if (this.#committed === null) throw new Error('the workspace was used before rebuild, or after a rebuild that failed');
    return this.#committed;
  }

  /** What a command left behind and nobody took may hold a secret: its object goes with it. Packed objects are the base's own and stay. */
  #forgetWithheld(committed: Committed): void {
    if (this.#withheld.size === 0) return;
    const kept = new Set([...committed.values()].map((entry) => entry.oid));
    for (const oid of this.#withheld) {
      if (kept.has(oid)) continue;
      rmSync(`${this.#parts.places.git}/objects/${oid.slice(0, 2)}/${oid.slice(2)}`, { force: true });
      this.#withheld.delete(oid);
    }
  }

  #materialize(listing: Committed): Promise<Result<void, WorkspaceFailure>> {
    const { places, options, base, store } = this.#parts;
    return materialize(listing, {
      root: this.root,
      trash: places.trash,
      owner: options.identity,
      format: base.objectFormat,
      objects: store,
    });
  }

  /** The state after these changes: each `before` must be what stands there, each new object must be ours, no link may leave the tree. */
  async #withChanges(state: Committed, changes: readonly FileChange[]): Promise<Result<Committed, WorkspaceFailure>> {
    const links: { readonly path: string; readonly oid: string }[] = [];
    for (const { path, before, after } of changes) {
      const checked = checkPath(path);
      // Odd but harmless names of the base stay editable by commands; a name git would confuse does not.
      if (!checked.ok && !state.has(path)) return checked;
      if ((state.get(path)?.oid ?? null) !== before)
        return refuse('workspace.conflict', `"${shown(path)}" is not at ${before ?? 'absent'}, which the change was made against`, path);
      if (after === null) state.delete(path);
      else state.set(path, { path, mode: after.mode, oid: after.oid });
      if (after?.mode === '120000') links.push({ path, oid: after.oid });
    }
    const wanted = changes.flatMap(({ after }) => (after === null ? [] : [after.oid]));
    const missing = await firstMissing(this.#parts.store, wanted);
    if (!missing.ok) return missing;
    if (missing.value !== null)
      return refuse(
        'workspace.objectMissing',
        `object ${missing.value} of an accepted change is not in the run's git directory and its bytes are not recorded; the run cannot go on from here`,
      );
    const escaping: string[] = [];
    const read = await gitObjects(
      this.#parts.store,
      links.map((link) => link.oid),
      1 << 16,
      (index, target) => {
        const path = links[index]?.path ?? '';
        if (leavesTree(path, target)) escaping.push(path);
      },
    );
    if (!read.ok) return read;
    const first = escaping[0];
    if (first !== undefined)
      return refuse(
        'workspace.pathRefused',
        `"${shown(first)}" is a link that leads out of the workspace; use a relative link to a file of the tree`,
        first,
      );
    return ok(state);
  }

  /** Bytes of what changed. A known secret refuses the whole set; a pattern hit keeps the blob out (PROTOCOL §2). */
  #readAll(
    added: readonly (readonly [string, SnapshotEntry])[],
  ): Result<
    readonly { readonly path: string; readonly entry: SnapshotEntry; readonly content: Buffer; readonly withheld: boolean }[],
    WorkspaceFailure
  > {
    const read: { path: string; entry: SnapshotEntry; content: Buffer; withheld: boolean }[] = [];
    const cursor = new Cursor(this.root, this.#parts.options.identity);
    let total = 0;
    try {
      for (const [path, entry] of added.toSorted(([a], [b]) => byBytes(a, b))) {
        total += entry.bytes;
        const max = this.#parts.limits.fileBytes;
        if (entry.bytes > max)
          return refuse(
            'workspace.quota',
            `"${shown(path)}" has ${entry.bytes} bytes; a changed file may have at most ${max}: remove it or make it smaller`,
            path,
          );
        if (total > max * 4)
          return refuse('workspace.quota', `the changed files hold more than ${max * 4} bytes; remove generated files`, path);
        const content = readEntry(cursor, path, entry);
        if (blobId(this.#parts.base.objectFormat, content) !== entry.oid)
          return refuse('workspace.conflict', `"${shown(path)}" changed while it was read; stop what writes to the workspace`, path);
        const clean = this.#noSecret(path, content);
        if (!clean.ok) return clean;
        read.push({ path, entry, content, withheld: clean.value.withheld });
      }
      return ok(read);
    } finally {
      cursor.close();
    }
  }

  #noSecret(path: string, content: Bytes): Result<{ readonly withheld: boolean }, WorkspaceFailure> {
    const { redactor } = this.#parts.options;
    // A name is recorded as it is, so it may not even look like a secret.
    const inName = redactor.findSecrets(Buffer.from(path, 'utf8'))[0];
    if (inName !== undefined)
      return refuse(
        'workspace.secret',
        `the name of a file holds what looks like a secret (${inName.kind}, ${inName.tag}); give it another name`,
        path,
      );
    const hits = redactor.findSecrets(content);
    const known = hits.find((hit) => hit.known);
    if (known === undefined) return ok({ withheld: hits.length > 0 });
    return refuse(
      'workspace.secret',
      `"${shown(path)}" would hold a secret of this installation (${known.kind}, ${known.tag}); take it out`,
      path,
    );
  }

  #readFile(path: string, segments: readonly string[], maxBytes: number): Bytes {
    const cursor = new Cursor(this.root, this.#parts.options.identity);
    try {
      const { fd, size } = openRegular(cursor.folder(segments.slice(0, -1)), segments.at(-1) ?? '', path);
      try {
        if (size > maxBytes)
          throw fault(
            'workspace.tooLarge',
            `"${shown(path)}" has ${size} bytes, more than the ${maxBytes} that may be read at once; read a part by search`,
            path,
          );
        return readExactly(fd, size, path);
      } finally {
        closeSync(fd);
      }
    } catch (caught) {
      const code = systemCode(caught);
      if (code === 'ENOENT') throw fault('workspace.notAFile', `"${shown(path)}" does not exist; list the folder to see what does`, path);
      if (code === 'ENOTDIR' || code === 'ELOOP')
        throw fault(
          'workspace.pathRefused',
          `a parent of "${shown(path)}" is a link or a file, not a folder; links are not followed`,
          path,
        );
      throw caught;
    } finally {
      cursor.close();
    }
  }
}

function same(committed: TreeEntry | undefined, found: SnapshotEntry): boolean {
  return committed !== undefined && committed.oid === found.oid && committed.mode === found.mode;
}

function dedupe(
  blobs: readonly { readonly oid: string; readonly content: Buffer }[],
): readonly { readonly oid: string; readonly content: Buffer }[] {
  return [...new Map(blobs.map((blob) => [blob.oid, blob])).values()];
}

function readEntry(cursor: Cursor, path: string, entry: SnapshotEntry): Buffer {
  const segments = path.split('/');
  const name = segments.pop() ?? '';
  const folder = cursor.folder(segments);
  if (entry.mode === '120000') return readlinkSync(below(folder, name), { encoding: 'buffer' });
  const { fd, size } = openRegular(folder, name, path);
  try {
    return readExactly(fd, size, path);
  } finally {
    closeSync(fd);
  }
}
