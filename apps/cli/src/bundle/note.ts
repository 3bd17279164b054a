/**
 * Git notes that point from the commits of a bundle's runs to the bundle: what a release gate looks for. Must never change a commit: its id follows from
 * the ledger, and a replay ends at the same one (DECISIONS D-7).
 */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { canonicalText, type Digest, err, instantToMs, ok, parseJson, type Result, type TrajectoryId } from '@openexec/canon';
import { type ChangePointer, changePointer } from '@openexec/protocol';
import { inspectRepository, keepBundle, noteLines, NOTES_REF, type RepositoryFacts, resolveCommit, writeNote } from '@openexec/workspace';
import type { CommandContext } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import type { Exported } from './out.ts';

/** A commit that now has a note. */
export interface NotedCommit {
  readonly commit: string;
  readonly ref: string;
}
/** What is noted: the tar file at `path`; `where` is `git`, or the path at which a gate will find it. */
interface Noting {
  readonly exported: Exported;
  readonly path: string;
  readonly where: string;
}

/** Hosts of git refuse files of 100 MB. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/** Notes the bundle on every commit that its runs landed and that the repository has. None is an error. */
export async function noteBundle(context: CommandContext, noting: Noting): Promise<Result<readonly NotedCommit[], Refusal>> {
  const { exported, path, where } = noting;
  const repository = await inspectRepository(context.cwd);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const { bytes, digest } = await fileFacts(path);
  if (where === 'git' && bytes > MAX_KEPT_BYTES)
    return refuse(
      'usage.invalid',
      `the bundle has ${bytes} bytes; --note git keeps at most ${MAX_KEPT_BYTES}: keep it elsewhere and give its path`,
    );
  const noted: NotedCommit[] = [];
  for (const { run, commit, tree } of exported.built.statement.runs) {
    if (commit === null || tree === null) continue;
    const there = await resolveCommit(repository.value, commit);
    if (!there.ok) continue;
    const on = { commit, atMs: instantToMs(context.clock.now()) };
    const at = await placeOf(repository.value, on, noting);
    if (!at.ok) return at;
    const pointer = changePointer.safeParse({
      v: 1,
      type: 'openexec.change',
      ledger: exported.built.statement.ledger,
      run: run as TrajectoryId,
      commit,
      tree,
      bundle: { digest, bytes, at: at.value },
    });
    if (!pointer.success) return refuse('usage.invalid', `--note takes "git" or a path below a folder, not "${safeLine(where)}"`);
    const written = await note(repository.value, on, pointer.data);
    if (!written.ok) return written;
    noted.push({ commit, ref: NOTES_REF });
  }
  if (noted.length === 0)
    return refuse('usage.invalid', 'no run of the bundle landed a commit that this repository has: there is nothing to note');
  return ok(noted);
}

async function placeOf(
  repository: RepositoryFacts,
  on: { readonly commit: string; readonly atMs: number },
  { path, where }: Noting,
): Promise<Result<ChangePointer['bundle']['at'], Refusal>> {
  if (where !== 'git') return ok({ is: 'file', path: where });
  const blob = await keepBundle(repository, on, path);
  return blob.ok ? ok({ is: 'git', blob: blob.value }) : err(refusalFor(blob.error, 'workspace.failed'));
}

/** Beside lines of other runs and tools; in place of an older one of the same run. */
async function note(
  repository: RepositoryFacts,
  on: { readonly commit: string; readonly atMs: number },
  pointer: ChangePointer,
): Promise<Result<void, Refusal>> {
  const lines = await noteLines(repository, on.commit);
  if (!lines.ok) return err(refusalFor(lines.error, 'workspace.failed'));
  const others = lines.value.filter((line) => {
    const json = parseJson(line);
    const parsed = json.ok ? changePointer.safeParse(json.value) : null;
    return parsed?.success !== true || parsed.data.run !== pointer.run;
  });
  const written = await writeNote(repository, on, [...others, canonicalText(pointer)]);
  return written.ok ? ok(undefined) : err(refusalFor(written.error, 'workspace.failed'));
}

async function fileFacts(path: string): Promise<{ readonly bytes: number; readonly digest: Digest }> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) hash.update(piece);
  return { bytes: statSync(path).size, digest: `sha256:${hash.digest('hex')}` as Digest }; // 32 bytes of SHA-256
}
