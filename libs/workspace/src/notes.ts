/**
 * Git notes of our own beside commits: a line that points at an audit bundle, and the bundle itself. Must never change a commit, a branch or the
 * checkout; what a note says is a hint that its reader checks (docs/how-to/gate-a-change.md).
 */
import { openSync, closeSync, createReadStream, writeSync } from 'node:fs';
import { ok, type Result, utf8Encode } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { refuse } from './failure.ts';
import { type GitCall, git, gitAnswer, gitLine, gitObjects, type GitPlace } from './git.ts';
import { ownerOf } from './land.ts';
import type { RepositoryPlace } from './repository.ts';

/** Where pointers are. */
export const NOTES_REF = 'refs/notes/openexec';
/** Where bundles are, each as the note of the commit that it proves. */
export const BUNDLES_REF = 'refs/notes/openexec-bundles';

type Place = Pick<RepositoryPlace, 'gitDir' | 'commonDir'>;

const MAX_NOTE_BYTES = 256 * 1024;
const MAX_LIST_BYTES = 64 * 1024 * 1024;

/** The lines of the notes of `NOTES_REF`: of one commit, or of all. None where there is no such ref. */
export async function noteLines(place: Place, commit: string | null): Promise<Result<readonly string[], WorkspaceFailure>> {
  const at: GitPlace = { gitDir: place.gitDir };
  const args = ['notes', `--ref=${NOTES_REF}`, 'list', ...(commit === null ? [] : [commit])];
  const listed = await gitAnswer({ at, args, maxOutputBytes: MAX_LIST_BYTES });
  if (!listed.ok) return listed;
  // Of a commit without a note git says so and ends with 1.
  if (listed.value.exitCode !== 0) return ok([]);
  const blobs = listed.value.stdout
    .toString('ascii')
    .split('\n')
    .flatMap((line) => /^([0-9a-f]{40,64})(?: |$)/.exec(line)?.[1] ?? []);
  const lines: string[] = [];
  const held: Buffer[] = [];
  const read = await gitObjects(at, blobs, MAX_NOTE_BYTES, (_, part, last) => {
    held.push(part);
    if (!last) return;
    lines.push(
      ...Buffer.concat(held.splice(0))
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== ''),
    );
  });
  return read.ok ? ok(lines) : read;
}

/** A commit, and when its note is made, in milliseconds since 1970. */
export interface Noted {
  readonly commit: string;
  readonly atMs: number;
}

/** Who writes notes: the program, whoever calls it. */
function identityAt(atMs: number): NonNullable<GitCall['identity']> {
  const [name, email, date] = ['OpenExec', 'openexec@localhost', `@${Math.floor(atMs / 1000)} +0000`];
  return {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  };
}

/** Keeps the file at `bundle` as a note of the commit and answers with its git id; one that is there is replaced. */
export async function keepBundle(place: Place, { commit, atMs }: Noted, bundle: string): Promise<Result<string, WorkspaceFailure>> {
  const at: GitPlace = { gitDir: place.commonDir, as: ownerOf(place.commonDir) };
  const blob = await gitLine({ at, args: ['hash-object', '-w', '--no-filters', '--stdin'], stdin: await whole(bundle) });
  if (!blob.ok) return blob;
  const noted = await git({
    at,
    identity: identityAt(atMs),
    args: ['notes', `--ref=${BUNDLES_REF}`, 'add', '-f', '-C', blob.value, commit],
  });
  return noted.ok ? blob : noted;
}

async function whole(file: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of createReadStream(file) as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Puts these lines into the note of the commit, in place of what is there. */
export async function writeNote(place: Place, { commit, atMs }: Noted, lines: readonly string[]): Promise<Result<void, WorkspaceFailure>> {
  const at: GitPlace = { gitDir: place.commonDir, as: ownerOf(place.commonDir) };
  const stdin = utf8Encode(lines.map((line) => `${line}\n`).join(''));
  const blob = await gitLine({ at, args: ['hash-object', '-w', '--no-filters', '--stdin'], stdin });
  if (!blob.ok) return blob;
  const noted = await git({ at, identity: identityAt(atMs), args: ['notes', `--ref=${NOTES_REF}`, 'add', '-f', '-C', blob.value, commit] });
  return noted.ok ? ok(undefined) : noted;
}

/** Writes the object into a new file, part by part; false where this clone does not have it. `onPart` sees every part. */
export async function blobToFile(
  place: Pick<RepositoryPlace, 'gitDir'>,
  blob: { readonly oid: string; readonly maxBytes: number },
  to: { readonly file: string; onPart(part: Buffer): void },
): Promise<Result<boolean, WorkspaceFailure>> {
  const at: GitPlace = { gitDir: place.gitDir };
  const there = await gitAnswer({ at, args: ['cat-file', '-t', blob.oid] });
  if (!there.ok) return there;
  if (there.value.exitCode !== 0) return ok(false);
  if (there.value.stdout.toString('ascii').trim() !== 'blob') return refuse('workspace.git', `${blob.oid} is no file`);
  const handle = openSync(to.file, 'wx', 0o600);
  try {
    const read = await gitObjects(at, [blob.oid], blob.maxBytes, (_, part) => {
      to.onPart(part);
      for (let written = 0; written < part.length; ) written += writeSync(handle, part, written);
    });
    return read.ok ? ok(true) : read;
  } finally {
    closeSync(handle);
  }
}
