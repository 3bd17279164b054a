/**
 * build_context_pack: a small, deterministic choice of what a model should see first. Must never depend on time, chance, locale or the order of a
 * directory: the same tree, task and reports give the same bytes. Files with anything like a secret in them are left out.
 */
import { type Bytes, canonicalBytes, type Json, ok, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import type { ExecutionOrder, StopSignal } from '@openexec/catalogue';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import {
  cutText,
  type Hands,
  isHidden,
  jsonArtifact,
  lossyText,
  type Outcome,
  numberArgument,
  shownPath,
  textArgument,
  textOutcome,
  withheldNote,
} from './execution.ts';
import { byRank, pathScore, reportScore, taskWords, wordsIn, wordWeight } from './rank.ts';

/** Bounds of the look: files read, bytes of one file and of all. */
const READ_FILES = 2000;
const READ_FILE_BYTES = 128 * 1024;
const READ_TOTAL_BYTES = 16 * 1024 * 1024;
const PACK_BYTES = 64 * 1024;
const PACK_FILES = 40;
const SAMPLE_PATHS = 200;
const EXCERPT_BYTES = 6 * 1024;
/** Lines shown around a line that holds a word of the task. */
const AROUND = 12;
const TASK_BYTES = 4 * 1024;
/** As much of each report as is looked through. */
const REPORT_BYTES = 256 * 1024;
/** Shown when they exist, whatever the task says: they tell how the project is built and run. */
const ROOT_FILES = ['README.md', 'package.json', 'pyproject.toml', 'Cargo.toml', 'go.mod', 'Makefile'];
const ROOT_SCORE = 1;

interface Candidate {
  readonly path: string;
  readonly score: number;
}
interface Read {
  readonly path: string;
  readonly nameScore: number;
  readonly text: string;
  readonly words: readonly string[];
}

/** Answers with the artifact `context_pack`: bounded excerpts, in an order that tree, task and the reports among the inputs alone decide. */
export async function buildContextPack(order: ExecutionOrder, hands: Hands, stop: StopSignal): Promise<Result<Outcome, ActionFailure>> {
  const listed = await hands.workspace.list(textArgument(order, 'directory') ?? '');
  if (!listed.ok) return failWorkspace(listed.error);
  const seen = listed.value.filter(({ path }) => !isHidden(order, path));
  const words = taskWords(order.task);
  const reports = reportsOf(order);
  const regular = seen.filter((entry) => entry.mode === '100644' || entry.mode === '100755').map((entry) => entry.path);
  const candidates = regular
    .map((path): Candidate => {
      const score = pathScore(path, order.task, words) + reportScore(path, reports) + (ROOT_FILES.includes(path) ? ROOT_SCORE : 0);
      return { path, score };
    })
    .sort(byRank);
  const read = await readCandidates(candidates, words, hands, stop);
  if (!read.ok) return read;
  const pack = assemble(order, { paths: seen.map((entry) => entry.path), ranked: rank(read.value, words), words });
  const files = pack.files.map((file) => file.path);
  const summary = `${files.length} of ${seen.length} files are in the context pack${withheldNote(listed.value.length - seen.length)}`;
  return ok(
    textOutcome(summary, utf8Encode(`${[summary, ...files.map(shownPath)].join('\n')}\n`), {
      artifacts: [jsonArtifact('context_pack', pack.json)],
    }),
  );
}

/** What checks reported, where the stage takes their reports in: a failing check names the files that matter. */
function reportsOf(order: ExecutionOrder): string {
  const reports = [...order.artifacts].filter(([name]) => name.endsWith('_report')).sort(([a], [b]) => (a < b ? -1 : 1));
  return reports.map(([, bytes]) => lossyText(bytes.subarray(0, REPORT_BYTES))).join('\n');
}

async function readCandidates(
  candidates: readonly Candidate[],
  words: readonly string[],
  hands: Hands,
  stop: StopSignal,
): Promise<Result<readonly Read[], ActionFailure>> {
  const read: Read[] = [];
  let total = 0;
  for (const { path, score } of candidates.slice(0, READ_FILES)) {
    if (stop.stopped) return fail('run.stopped', 'the run was stopped while its context was being packed');
    if (total >= READ_TOTAL_BYTES) break;
    const bytes = await hands.workspace.read(path, { maxBytes: READ_FILE_BYTES });
    if (!bytes.ok) {
      // Too large, or a name that a portable path cannot have: such files are not shown, and their absence changes nothing else.
      if (
        bytes.error.code === 'workspace.tooLarge' ||
        bytes.error.code === 'workspace.pathRefused' ||
        bytes.error.code === 'workspace.notAFile'
      )
        continue;
      return failWorkspace(bytes.error);
    }
    total += bytes.value.length;
    const text = textOf(bytes.value);
    if (text === null || hands.redactor.findSecrets(bytes.value).length > 0) continue;
    read.push({ path, nameScore: score, text, words: wordsIn(text, words) });
  }
  return ok(read);
}

function textOf(bytes: Bytes): string | null {
  if (bytes.includes(0)) return null;
  const text = utf8Decode(bytes);
  return text.ok ? text.value : null;
}

interface Ranked extends Read {
  readonly score: number;
}
/** Name and content together; only files with something to say. */
function rank(read: readonly Read[], words: readonly string[]): readonly Ranked[] {
  const weights = new Map(words.map((word) => [word, wordWeight(read.length, read.filter((file) => file.words.includes(word)).length)]));
  return read
    .map((file): Ranked => ({ ...file, score: file.nameScore + file.words.reduce((sum, word) => sum + (weights.get(word) ?? 0), 0) }))
    .filter((file) => file.score > 0)
    .sort(byRank);
}

interface PackFile {
  readonly path: string;
  readonly score: number;
  readonly bytes: number;
  readonly whole: boolean;
  readonly excerpt: string;
}

/** Takes files in order of rank while they fit; one that does not fit makes room for the next. */
function assemble(
  order: ExecutionOrder,
  found: { readonly paths: readonly string[]; readonly ranked: readonly Ranked[]; readonly words: readonly string[] },
): { readonly files: readonly PackFile[]; readonly json: Json } {
  const maxBytes = numberArgument(order, 'maxBytes', PACK_BYTES);
  const frame = (files: readonly PackFile[], sample: readonly string[]): Json => ({
    version: 1,
    task: cutText(order.task, Math.min(TASK_BYTES, maxBytes >> 2)),
    words: [...found.words],
    listing: { files: found.paths.length, sample: [...sample] },
    files: files.map((file) => ({ ...file })),
  });
  // A quarter of the pack at most says what else exists.
  const sample = fitPaths(found.paths, maxBytes >> 2);
  let used = canonicalBytes(frame([], sample)).length;
  const files: PackFile[] = [];
  for (const file of found.ranked) {
    if (files.length >= PACK_FILES) break;
    const part = excerptOf(file, found.words);
    const size = canonicalBytes({ ...part }).length + 1;
    if (used + size > maxBytes) continue;
    used += size;
    files.push(part);
  }
  return { files, json: frame(files, sample) };
}

function fitPaths(paths: readonly string[], maxBytes: number): readonly string[] {
  const kept: string[] = [];
  let bytes = 0;
  for (const path of paths.slice(0, SAMPLE_PATHS)) {
    bytes += canonicalBytes(path).length + 1;
    if (bytes > maxBytes) break;
    kept.push(path);
  }
  return kept;
}

/** The whole file where it is short, else the lines around words of the task, numbered, or its beginning. */
function excerptOf(file: Ranked, words: readonly string[]): PackFile {
  const bytes = utf8Encode(file.text).length;
  const common = { path: file.path, score: file.score, bytes };
  if (bytes <= EXCERPT_BYTES) return { ...common, whole: true, excerpt: file.text };
  const lines = file.text.split('\n');
  const wanted = new Set<number>();
  for (const [index, line] of lines.entries()) {
    if (wordsIn(line, words).length === 0) continue;
    for (let near = Math.max(0, index - AROUND); near <= Math.min(lines.length - 1, index + AROUND); near += 1) wanted.add(near);
  }
  const chosen = wanted.size === 0 ? lines.map((_, index) => index) : [...wanted].sort((a, b) => a - b);
  const numbered = chosen.map((index, at) => `${at > 0 && chosen[at - 1] !== index - 1 ? '…\n' : ''}${index + 1}: ${lines[index] ?? ''}`);
  return { ...common, whole: false, excerpt: cutText(numbered.join('\n'), EXCERPT_BYTES) };
}
