/**
 * The difference of two trees of the run's own git directory, file by file, within a bound. Must never consult attributes, drivers or filters: the
 * directory is bare, has no HEAD commit and no info/attributes, and both sides are stored objects (SECURITY §3.4, A20).
 */
import { ok, type Result } from '@openexec/canon';
import type { FileDiff, WorkspaceFailure } from '@openexec/catalogue';
import { refuse, shown } from './failure.ts';
import { type GitPlace, git, gitAnswer } from './git.ts';
import { byBytes } from './paths.ts';

/** Which trees, and how many bytes of text in all. */
export interface DiffOrder {
  readonly from: string;
  readonly to: string;
  readonly maxBytes: number;
}

/** Files asked for in one call: their names fit on any command line. */
const BATCH = 64;
const BATCH_NAME_BYTES = 64 * 1024;
/** What one call may print; a batch that prints more is asked for file by file. */
const CALL_BYTES = 8 * 1024 * 1024;
const COMMON = ['diff-tree', '-r', '--no-renames', '--no-ext-diff', '--no-textconv', '--no-color', '--submodule=short'];
const PATCH = ['-p', '--full-index', '--unified=3', '--diff-algorithm=myers', '--src-prefix=a/', '--dst-prefix=b/'];

type Counted = Omit<FileDiff, 'text' | 'status'>;
/** A file without what the caller knows of it. */
export type TreeDiff = Omit<FileDiff, 'status'>;

/** Every file that differs, with counts, and texts until `maxBytes` are used up. */
export async function diffTrees(at: GitPlace, order: DiffOrder): Promise<Result<readonly TreeDiff[], WorkspaceFailure>> {
  const counted = await counts(at, order);
  if (!counted.ok) return counted;
  const shownTexts = counted.value.filter(({ added }) => added !== null).map(({ path }) => path);
  const texts = new Map<string, Buffer>();
  let left = order.maxBytes;
  for (const batch of batches(shownTexts)) {
    if (left <= 0) break;
    const found = await patches(at, order, batch);
    if (!found.ok) return found;
    for (const [path, text] of found.value) {
      if (text.length > left) continue;
      texts.set(path, text);
      left -= text.length;
    }
  }
  return ok(counted.value.map((file) => ({ ...file, text: texts.get(file.path) ?? null })));
}

async function counts(at: GitPlace, { from, to }: DiffOrder): Promise<Result<readonly Counted[], WorkspaceFailure>> {
  const listed = await git({ at, args: [...COMMON, '--numstat', '-z', from, to] });
  if (!listed.ok) return listed;
  const files = new Map<string, Counted>();
  for (const record of listed.value.toString('utf8').split('\0').slice(0, -1)) {
    const [, added, removed, path] = /^(\d+|-)\t(\d+|-)\t(.+)$/s.exec(record) ?? [];
    if (added === undefined || removed === undefined || path === undefined)
      return refuse('workspace.git', `git counted a difference in a form that is not understood: ${shown(record)}`);
    const before = files.get(path);
    // A file that became a link counts as one taken away and one added.
    const sum = (count: string, more: number | null | undefined) => (count === '-' || more === null ? null : Number(count) + (more ?? 0));
    files.set(path, { path, added: sum(added, before?.added), removed: sum(removed, before?.removed) });
  }
  return ok([...files.values()].sort((a, b) => byBytes(a.path, b.path)));
}

function batches(paths: readonly string[]): string[][] {
  const made: string[][] = [];
  let bytes = 0;
  for (const path of paths) {
    const last = made.at(-1);
    bytes += Buffer.byteLength(path);
    if (last === undefined || last.length >= BATCH || bytes > BATCH_NAME_BYTES) {
      made.push([path]);
      bytes = Buffer.byteLength(path);
    } else last.push(path);
  }
  return made;
}

/** The texts of these files; a file whose text alone is too long for one call is left out. */
async function patches(
  at: GitPlace,
  order: DiffOrder,
  batch: readonly string[],
): Promise<Result<ReadonlyMap<string, Buffer>, WorkspaceFailure>> {
  const answer = await gitAnswer({ at, args: [...COMMON, ...PATCH, order.from, order.to, '--', ...batch], maxOutputBytes: CALL_BYTES });
  if (!answer.ok && answer.error.code !== 'workspace.quota') return answer;
  if (answer.ok && answer.value.exitCode !== 0)
    return refuse('workspace.git', `git compared with ${answer.value.exitCode}: ${answer.value.stderr}`);
  const [only] = batch;
  if (batch.length === 1 && only !== undefined) return ok(answer.ok ? new Map([[only, answer.value.stdout]]) : new Map());
  const pieces = answer.ok ? split(answer.value.stdout) : [];
  // git prints in the order of its index, which is the order of bytes that the batch is in.
  if (pieces.length === batch.length) return ok(new Map(batch.map((path, index) => [path, pieces[index] ?? Buffer.alloc(0)])));
  const found = new Map<string, Buffer>();
  for (const path of batch) {
    const one = await patches(at, order, [path]);
    if (!one.ok) return one;
    for (const [name, text] of one.value) found.set(name, text);
  }
  return ok(found);
}

/** Headers stand at the start of a line; every line of content begins with a sign of its own. */
function split(output: Buffer): Buffer[] {
  const starts: number[] = [];
  for (let from = 0; from >= 0 && from < output.length; ) {
    const found = output.indexOf('diff --git ', from);
    if (found < 0) break;
    if (found === 0 || output[found - 1] === 0x0a) starts.push(found);
    from = found + 1;
  }
  return starts.map((start, index) => output.subarray(start, starts[index + 1] ?? output.length));
}
