/**
 * Applies a parsed patch to pre-images, all files or none. Must never use fuzz: every context and removed line matches byte for byte, at the stated
 * place or at the only other place where the whole hunk matches (PROTOCOL §6 step 7; SECURITY §3.3).
 */
import { type Bytes, concatBytes, equalBytes, ok, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import { conflictAt } from './conflict.ts';
import type { PatchConflict, PatchConflictCode } from './errors.ts';
import type { FileMode, Hunk, ParsedPatch, PatchFile } from './patch.ts';
import { shown } from './paths.ts';

/** A hunk that matched elsewhere: 0-based line where it was stated and where it was found. */
export interface Shift {
  readonly hunk: number;
  readonly stated: number;
  readonly found: number;
}
/** `content` null removes the file; `mode` null keeps the mode it has, or that of `from`, the file that was moved here. */
export interface PatchEdit {
  readonly path: string;
  readonly kind: PatchFile['kind'];
  readonly content: Bytes | null;
  readonly from: string | null;
  readonly mode: FileMode | null;
  readonly shifted: readonly Shift[];
}

const NEWLINE = 0x0a;
/** Bytes that one application may compare while it looks for other places; a hostile file of equal lines would otherwise cost quadratic time. */
const SEARCH_BUDGET_BYTES = 64 * 1024 * 1024;

interface Work {
  readonly file: PatchFile;
  readonly lines: readonly Bytes[];
  readonly budget: { left: number };
}

/** The edits, in the order of the patch, or the first conflict. `readPreImage` gives null where there is no such file. */
export function applyPatch(
  patch: ParsedPatch,
  readPreImage: (path: string) => Bytes | string | null,
): Result<readonly PatchEdit[], PatchConflict> {
  const edits: PatchEdit[] = [];
  const budget = { left: SEARCH_BUDGET_BYTES };
  for (const file of patch.files) {
    const before = readPreImage(file.path);
    if (file.kind === 'create' && before !== null)
      return conflict('patch.exists', file, 0, 'exists already; change it instead of creating it');
    if (file.kind !== 'create' && before === null) return conflict('patch.absent', file, 0, 'does not exist; create it with --- /dev/null');
    const lines = splitLines(before === null ? new Uint8Array() : typeof before === 'string' ? utf8Encode(before) : before);
    const applied = applyHunks({ file, lines, budget });
    if (!applied.ok) return applied;
    edits.push({
      path: file.path,
      kind: file.kind,
      content: file.kind === 'delete' ? null : applied.value.content,
      from: null,
      mode: file.newMode,
      shifted: applied.value.shifted,
    });
  }
  return ok(edits);
}

function conflict(
  code: PatchConflictCode,
  file: PatchFile,
  hunk: number,
  why: string,
  lines: { readonly expected?: string | null; readonly found?: string | null } = {},
): Result<never, PatchConflict> {
  return conflictAt(code, { path: file.path, part: 'hunk', number: hunk }, why, lines);
}

/** Lines with their newlines; the last one may have none. */
function splitLines(bytes: Bytes): readonly Bytes[] {
  const lines: Bytes[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline < 0 ? bytes.length : newline + 1;
    lines.push(bytes.subarray(from, to));
    from = to;
  }
  return lines;
}

function applyHunks(work: Work): Result<{ readonly content: Bytes; readonly shifted: readonly Shift[] }, PatchConflict> {
  const { file, lines } = work;
  const out: Bytes[] = [];
  const shifted: Shift[] = [];
  let taken = 0;
  for (const [index, hunk] of file.hunks.entries()) {
    const place = locate(work, hunk, index + 1, taken);
    if (!place.ok) return place;
    if (place.value !== hunk.start) shifted.push({ hunk: index + 1, stated: hunk.start, found: place.value });
    for (; taken < place.value; taken += 1) out.push(lines[taken] ?? new Uint8Array());
    for (const line of hunk.lines) if (line.op !== '-') out.push(line.bytes);
    taken += hunk.oldLines;
  }
  for (; taken < lines.length; taken += 1) out.push(lines[taken] ?? new Uint8Array());
  if (file.kind === 'delete' && out.length > 0)
    return conflict('patch.remainder', file, 0, 'is to be deleted, but has lines that the patch does not remove', {
      found: excerpt(out[0]),
    });
  const open = out.findIndex((line, at) => at < out.length - 1 && line.at(-1) !== NEWLINE);
  if (open >= 0)
    return conflict('patch.newline', file, 0, 'would have a line without newline before its end', { found: excerpt(out[open]) });
  return ok({ content: concatBytes(...out), shifted });
}

/** Where the hunk's old lines stand: as stated, or at the only other place after what was taken. */
function locate(work: Work, hunk: Hunk, number: number, taken: number): Result<number, PatchConflict> {
  const { file, lines, budget } = work;
  const old = hunk.lines.filter((line) => line.op !== '+').map((line) => line.bytes);
  if (hunk.start >= taken && hunk.start + old.length <= lines.length && matches(lines, old, hunk.start, budget)) return ok(hunk.start);
  const first = mismatch(lines, old, hunk.start);
  if (old.length === 0)
    return conflict(
      'patch.context',
      file,
      number,
      `inserts without context after line ${hunk.start}, which the file does not have; add context lines`,
      first,
    );
  let place = -1;
  for (let at = taken; at + old.length <= lines.length; at += 1) {
    if (budget.left <= 0)
      return conflict(
        'patch.tooCostly',
        file,
        number,
        'does not stand where it says, and looking for it elsewhere takes too long; give the right line numbers',
        first,
      );
    if (at === hunk.start || !matches(lines, old, at, budget)) continue;
    if (place >= 0)
      return conflict(
        'patch.ambiguous',
        file,
        number,
        `does not stand at line ${hunk.start + 1} but at lines ${place + 1} and ${at + 1}; give the right line number or more context`,
        first,
      );
    place = at;
  }
  if (place >= 0) return ok(place);
  return conflict(
    'patch.context',
    file,
    number,
    `does not match the file at line ${first.line + 1}; read the file again and make the diff from what it says now`,
    first,
  );
}

function matches(lines: readonly Bytes[], old: readonly Bytes[], at: number, budget: { left: number }): boolean {
  for (const [index, line] of old.entries()) {
    const present = lines[at + index];
    budget.left -= 1;
    if (present === undefined || present.length !== line.length) return false;
    budget.left -= line.length;
    if (!equalBytes(present, line)) return false;
  }
  return true;
}

function mismatch(
  lines: readonly Bytes[],
  old: readonly Bytes[],
  at: number,
): { readonly line: number; readonly expected: string | null; readonly found: string | null } {
  const index = old.findIndex((line, offset) => {
    const present = lines[at + offset];
    return present === undefined || !equalBytes(present, line);
  });
  return { line: at + Math.max(0, index), expected: excerpt(old[index]), found: excerpt(lines[at + Math.max(0, index)]) };
}

/** One line for people: bounded, without its newline, control characters visible. Null where there is no such line. */
function excerpt(line: Bytes | undefined): string | null {
  if (line === undefined) return null;
  const bare = line.at(-1) === NEWLINE ? line.subarray(0, -1) : line;
  const text = utf8Decode(bare.subarray(0, 800));
  const note = bare.length === line.length ? ' (no newline)' : '';
  return `${text.ok ? shown(text.value) : `${bare.length} bytes that are not UTF-8`}${note}`;
}
