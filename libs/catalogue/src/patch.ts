/**
 * The strict reader of unified diffs, git's form and the plain `---`/`+++` form. Must never guess: what it cannot read in exactly one way is refused
 * with the line, and what the runtime does not do (renames, binary files, links) has a reason of its own (SECURITY §3.3, PROTOCOL §2).
 */
import { type Bytes, type Result, utf8Encode } from '@openexec/canon';
import type { PatchProblem } from './errors.ts';
import { gitHeaderPath, nameOf, stripSides } from './patchNames.ts';
import {
  NO_NEWLINE,
  orRefusal,
  PATCH_LIMITS,
  pathOrRefuse,
  Reader,
  refuseLarge,
  refuseMarker,
  Refused,
  terminated,
} from './patchReader.ts';
import { shown } from './paths.ts';

/** Git’s modes of regular files: plain and executable. Links and submodules are never patched. */
export type FileMode = '100644' | '100755';
/** One line of a hunk; `bytes` ends with its newline unless the diff says that there is none. */
export interface PatchLine {
  readonly op: ' ' | '-' | '+';
  readonly bytes: Bytes;
}
/** `start` is the 0-based index of the first line in the old file that the hunk covers, or before which it inserts. */
export interface Hunk {
  readonly start: number;
  readonly oldLines: number;
  readonly newLines: number;
  readonly lines: readonly PatchLine[];
}
/** `newMode` is null where the patch does not speak of it. */
export interface PatchFile {
  readonly path: string;
  readonly kind: 'modify' | 'create' | 'delete';
  readonly newMode: FileMode | null;
  readonly hunks: readonly Hunk[];
}
/** A whole patch; `files` are in the order of its text, no path twice. */
export interface ParsedPatch {
  readonly files: readonly PatchFile[];
}

const HUNK = /^@@ -(\d{1,8})(?:,(\d{1,8}))? \+(\d{1,8})(?:,(\d{1,8}))? @@(?: .*)?$/s;
const INDEX = /^index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: (\d{6}))?$/;
const HEADERS = /^(old mode|new mode|deleted file mode|new file mode) (\d{6})$/;
const RENAMES = /^(?:rename (?:from|to)|copy (?:from|to)|similarity index|dissimilarity index) /;
const BINARY = /^(?:GIT binary patch$|Binary files .* differ$)/;

/** Reads a whole patch. Every path is in normal form and occurs once; hunk counts agree with their lines. */
export function parsePatch(text: string): Result<ParsedPatch, PatchProblem> {
  return orRefusal(() => ({ files: readFiles(text) }));
}

function readFiles(text: string): readonly PatchFile[] {
  refuseLarge(text);
  const reader = new Reader(text);
  const files: PatchFile[] = [];
  const seen = new Set<string>();
  for (let line = reader.peek(); line !== null; line = reader.peek()) {
    if (line === '') {
      reader.next();
      continue;
    }
    const at = reader.line;
    const file = line.startsWith('diff --git ')
      ? readGitFile(reader)
      : line.startsWith('--- ')
        ? readPlainFile(reader)
        : unexpected(line, at);
    if (seen.has(file.path)) throw new Refused('patch.duplicate', `"${shown(file.path)}" is changed twice; join both changes`, at);
    seen.add(file.path);
    files.push(file);
    if (files.length > PATCH_LIMITS.files)
      throw new Refused('patch.tooLarge', `the patch changes more than ${PATCH_LIMITS.files} files; split it`, at);
  }
  if (files.length === 0)
    throw new Refused('patch.empty', 'the patch changes no file; give a unified diff that starts with "--- " or "diff --git "', 0);
  refuseMarker(text);
  return files;
}

function unexpected(line: string, at: number): never {
  if (BINARY.test(line)) throw new Refused('patch.binary', 'binary files cannot be patched', at);
  throw new Refused(
    'patch.malformed',
    `"${shown(line, 80)}" is neither a file header nor part of a hunk; give the diff alone, without fences or prose, and check the counts of the hunk before it`,
    at,
  );
}

interface Header {
  kind: 'create' | 'delete' | null;
  oldMode: FileMode | null;
  newMode: FileMode | null;
}

function readGitFile(reader: Reader): PatchFile {
  const at = reader.line;
  const path = gitHeaderPath((reader.peek() ?? '').slice('diff --git '.length));
  if (path === null)
    throw new Refused(
      'patch.rename',
      'the two names differ or are not a/… and b/…; renames are not applied: delete the one file and create the other',
      at,
    );
  reader.next();
  const header = readHeader(reader);
  const inner = reader.peek()?.startsWith('--- ') === true ? readPlainFile(reader, path) : null;
  const kind = inner?.kind ?? header.kind ?? 'modify';
  if (header.kind !== null && header.kind !== kind)
    throw new Refused('patch.malformed', 'the file header and the "---"/"+++" lines disagree on whether the file is new or deleted', at);
  if (inner === null && header.kind === null && (header.newMode === null || header.newMode === header.oldMode))
    throw new Refused('patch.malformed', `nothing changes in "${shown(path)}"`, at);
  const newMode = kind === 'delete' ? null : header.newMode;
  return { path: inner?.path ?? pathOrRefuse(path, at), kind, newMode, hunks: inner?.hunks ?? [] };
}

function readHeader(reader: Reader): Header {
  const header: Header = { kind: null, oldMode: null, newMode: null };
  for (let line = reader.peek(); line !== null; line = reader.peek()) {
    if (RENAMES.test(line))
      throw new Refused('patch.rename', 'renames and copies are not applied: delete the one file and create the other', reader.line);
    if (BINARY.test(line)) throw new Refused('patch.binary', 'binary files cannot be patched', reader.line);
    const mode = HEADERS.exec(line);
    const index = mode === null ? INDEX.exec(line) : null;
    if (mode === null && index === null) return header;
    const value = mode?.[2] ?? index?.[1];
    const bits = value === undefined ? null : fileMode(value, reader.line);
    if (mode?.[1] === 'deleted file mode') header.kind = 'delete';
    else if (mode?.[1] === 'new file mode') header.kind = 'create';
    if (mode?.[1] === 'old mode') header.oldMode = bits;
    else if (mode?.[1] === 'new mode' || mode?.[1] === 'new file mode') header.newMode = bits;
    reader.next();
  }
  return header;
}

function fileMode(bits: string, line: number): FileMode {
  if (bits === '100644' || bits === '100755') return bits;
  throw new Refused(
    'patch.mode',
    `mode ${bits} is not that of a regular file; only 100644 and 100755 can be patched (no links, no submodules)`,
    line,
  );
}

/** The `---` and `+++` lines and the hunks; `expected` is the name of an enclosing git header. */
function readPlainFile(reader: Reader, expected: string | null = null): PatchFile {
  const at = reader.line;
  const before = nameOf((reader.peek() ?? '').slice(4));
  reader.next();
  const line = reader.peek();
  if (line === null || !line.startsWith('+++ '))
    throw new Refused('patch.malformed', 'a "--- " line must be followed by a "+++ " line', reader.line);
  const after = nameOf(line.slice(4));
  reader.next();
  if (before === null || after === null) throw new Refused('patch.malformed', 'a quoted file name is broken', at);
  const sides = stripSides(before, after);
  if (sides === null)
    throw new Refused(
      'patch.rename',
      `"${shown(before)}" and "${shown(after)}" differ; renames are not applied: delete the one file and create the other`,
      at,
    );
  const path = pathOrRefuse(sides.path, at);
  if (expected !== null && expected !== path)
    throw new Refused('patch.malformed', `the header names "${shown(expected)}", the "---"/"+++" lines name "${shown(path)}"`, at);
  const hunks = readHunks(reader);
  checkKind(sides.kind, hunks, at);
  return { path, kind: sides.kind, newMode: null, hunks };
}

/** A new file has nothing before, a deleted one nothing after. */
function checkKind(kind: PatchFile['kind'], hunks: readonly Hunk[], line: number): void {
  if (hunks.length === 0) throw new Refused('patch.malformed', 'no hunk follows the file header', line);
  if (kind === 'create' && (hunks.length !== 1 || hunks.some((hunk) => hunk.oldLines > 0 || hunk.start > 0)))
    throw new Refused('patch.malformed', 'a new file has exactly one hunk that starts with "@@ -0,0"', line);
  if (kind === 'delete' && hunks.some((hunk) => hunk.newLines > 0))
    throw new Refused('patch.malformed', 'a deleted file keeps no line', line);
}

/** Whether a side's last line was said to have no newline: nothing may follow it on that side. */
interface Ended {
  before: boolean;
  after: boolean;
}

function readHunks(reader: Reader): readonly Hunk[] {
  const hunks: Hunk[] = [];
  const ended: Ended = { before: false, after: false };
  let covered = 0;
  for (let line = reader.peek(); line?.startsWith('@@'); line = reader.peek()) {
    const at = reader.line;
    const hunk = readHunk(reader, ended);
    if (hunk.start < covered) throw new Refused('patch.malformed', 'the hunk overlaps the one before it or stands before it', at);
    covered = hunk.start + hunk.oldLines;
    hunks.push(hunk);
  }
  return hunks;
}

function readHunk(reader: Reader, ended: Ended): Hunk {
  const at = reader.line;
  const head = HUNK.exec(reader.peek() ?? '');
  if (head === null) throw new Refused('patch.malformed', 'a hunk header has the form "@@ -START,COUNT +START,COUNT @@"', at);
  reader.next();
  const [oldStart, oldLines, newLines] = [Number(head[1]), Number(head[2] ?? 1), Number(head[4] ?? 1)];
  if (oldStart === 0 && oldLines > 0) throw new Refused('patch.malformed', 'lines are counted from 1', at);
  const lines: PatchLine[] = [];
  const left = { before: oldLines, after: newLines };
  while (left.before > 0 || left.after > 0) lines.push(readLine(reader, ended, left, at));
  if (lines.every((line) => line.op === ' ')) throw new Refused('patch.malformed', 'the hunk changes nothing', at);
  return { start: oldLines === 0 ? oldStart : oldStart - 1, oldLines, newLines, lines };
}

function readLine(reader: Reader, ended: Ended, left: { before: number; after: number }, hunkLine: number): PatchLine {
  const at = reader.line;
  const text = reader.peek();
  const op = text?.[0];
  if (text === null || (op !== ' ' && op !== '-' && op !== '+')) {
    const hint = text === '' ? ' (an empty context line still begins with a space)' : '';
    throw new Refused(
      'patch.counts',
      `the hunk at line ${hunkLine} has fewer lines than its header says${hint}: ${left.before} old and ${left.after} new lines are missing`,
      at,
    );
  }
  if (op !== '+') left.before -= 1;
  if (op !== '-') left.after -= 1;
  if (left.before < 0 || left.after < 0)
    throw new Refused(
      'patch.counts',
      `the hunk at line ${hunkLine} has more ${left.before < 0 ? 'old' : 'new'} lines than its header says`,
      at,
    );
  if ((op !== '+' && ended.before) || (op !== '-' && ended.after))
    throw new Refused('patch.malformed', 'a line follows one that was said to end the file without a newline', at);
  reader.next();
  const bare = reader.peek();
  const unterminated = bare !== null && NO_NEWLINE.test(bare);
  if (unterminated) {
    reader.next();
    if (op !== '+') ended.before = true;
    if (op !== '-') ended.after = true;
  }
  const body = utf8Encode(text.slice(1));
  return { op, bytes: unterminated ? body : terminated(body) };
}
