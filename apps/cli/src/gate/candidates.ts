/**
 * Where the audit bundles of a change may be: what was named by hand, else what git notes point at. Nothing is fetched, and nothing is believed: a
 * pointer only says which file to check. Must never follow a path out of its folder.
 */
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, realpathSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { err, ok, parseJson, type Result } from '@openexec/canon';
import { type ChangePointer, changePointer } from '@openexec/protocol';
import { blobToFile, noteLines, NOTES_REF, type RepositoryFacts } from '@openexec/workspace';
import { type Refusal, refusalFor } from '../exit.ts';
import type { TestedCommit } from './change.ts';

/** A bundle to look into. */
export interface Candidate {
  /** What it is called in what the gate says. */
  readonly name: string;
  /** Path of a folder or tar file; null: it is not at hand. */
  readonly path: string | null;
  /** Why it cannot be used although it is there: it is not the file that was pointed at. */
  readonly refused: string | null;
  /** Runs that a pointer names. */
  readonly run: string | null;
}
/** Where to look. */
export interface Places {
  readonly cwd: string;
  /** Named by hand; then no note is read. */
  readonly named: readonly string[];
  /** Folder of the files that pointers name. */
  readonly folder: string | undefined;
  /** A folder of our own, for bundles out of git. */
  readonly own: string;
}

/** A larger one is no bundle of a change. */
const MAX_BUNDLE_BYTES = 512 * 1024 * 1024;
/** A trailer that somebody, or a forge, writes into a message. */
const TRAILER = /^OpenExec-Run: *(run\/[0-9a-f]{32}) *$/gm;
const PICKED = /^\(cherry picked from commit ([0-9a-f]{40,64})\)$/gm;

/** The pointers of a repository, by what they may belong to. Lines of other tools are passed over. */
export async function readPointers(repository: RepositoryFacts): Promise<Result<readonly ChangePointer[], Refusal>> {
  const lines = await noteLines(repository, null);
  if (!lines.ok) return err(refusalFor(lines.error, 'workspace.failed'));
  return ok(
    lines.value.flatMap((line) => {
      const json = parseJson(line);
      const parsed = json.ok ? changePointer.safeParse(json.value) : null;
      return parsed?.success === true ? [parsed.data] : [];
    }),
  );
}

/** Those of the pointers that may be about this commit: by id, by tree, by a parent of a merge, or because its message says so. */
export function pointersFor(commit: TestedCommit, pointers: readonly ChangePointer[]): readonly ChangePointer[] {
  const runs = new Set([...commit.message.matchAll(TRAILER)].map(([, run]) => run));
  const commits = new Set<string | undefined>([
    commit.commit,
    ...commit.parents.slice(1).map((parent) => parent.commit),
    ...[...commit.message.matchAll(PICKED)].map(([, picked]) => picked),
  ]);
  return pointers.filter((each) => commits.has(each.commit) || each.tree === commit.tree || runs.has(each.run));
}

/** The bundles that were named by hand. */
export function namedBundles({ cwd, named }: Places): readonly Candidate[] {
  return named.map((path) => ({ name: path, path: isAbsolute(path) ? path : resolve(cwd, path), refused: null, run: null }));
}

/** What a pointer leads to: a file of exactly the digest and length that it names. */
export async function bundleAt(pointer: ChangePointer, repository: RepositoryFacts, places: Places): Promise<Result<Candidate, Refusal>> {
  const { bundle, run } = pointer;
  const found =
    bundle.at.is === 'git'
      ? await fromGit(bundle, bundle.at.blob, { repository, places })
      : await fromFile(bundle.at.path, repository, places);
  if (!found.ok) return found;
  const name = bundle.at.is === 'git' ? `${NOTES_REF}:${bundle.at.blob.slice(0, 12)}` : bundle.at.path;
  if (found.value === null) return ok({ name, path: null, refused: null, run });
  const { path, digest } = found.value;
  const refused = digest === bundle.digest ? null : `its bytes are ${digest}; the note names ${bundle.digest}`;
  return ok({ name, path, refused, run });
}

type Found = { readonly path: string; readonly digest: string } | null;

async function fromGit(
  bundle: ChangePointer['bundle'],
  oid: string,
  { repository, places }: { readonly repository: RepositoryFacts; readonly places: Places },
): Promise<Result<Found, Refusal>> {
  const path = join(places.own, `${bundle.digest.slice('sha256:'.length)}-${oid}.tar`);
  const hash = createHash('sha256');
  const read = await blobToFile(repository, { oid, maxBytes: MAX_BUNDLE_BYTES }, { file: path, onPart: (part) => void hash.update(part) });
  if (!read.ok) return err(refusalFor(read.error, 'workspace.failed'));
  return ok(read.value ? { path, digest: `sha256:${hash.digest('hex')}` } : null);
}

/** A path in a note is anybody's: it stays below its folder also behind links. */
async function fromFile(path: string, { root }: RepositoryFacts, { cwd, folder }: Places): Promise<Result<Found, Refusal>> {
  try {
    const below = realpathSync(folder === undefined ? root : resolve(cwd, folder));
    const real = realpathSync(join(below, path));
    const inside = relative(below, real);
    const stat = lstatSync(real);
    if (inside.startsWith('..') || isAbsolute(inside) || !stat.isFile() || stat.size > MAX_BUNDLE_BYTES) return ok(null);
    const hash = createHash('sha256');
    for await (const piece of createReadStream(real) as AsyncIterable<Buffer>) hash.update(piece);
    return ok({ path: real, digest: `sha256:${hash.digest('hex')}` });
  } catch (error) {
    if (typeof (error as { readonly code?: unknown }).code === 'string') return ok(null);
    throw error;
  }
}
