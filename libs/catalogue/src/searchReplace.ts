/**
 * The format `search_replace`: a list of {path, search, replace}. Must never guess which of several places is meant: each search text stands exactly
 * once in the file as it is before the call. Structured members rather than marked blocks, because a text that holds `=======` cannot be marked.
 */
import { type Bytes, concatBytes, type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import { member } from './arguments.ts';
import { conflictAt, type ConflictPlace } from './conflict.ts';
import type { PatchConflict, PatchProblem } from './errors.ts';
import { findPlaces, type Meter } from './find.ts';
import { endsInCrLf, excerptOf } from './lines.ts';
import type { PatchEdit } from './patchApply.ts';
import { orRefusal, PATCH_LIMITS, pathOrRefuse, REDACTION_MARKER, Refused } from './patchReader.ts';
import { shown } from './paths.ts';

/** One replacement; `number` is its place in the list, from 1. */
export interface Replacement {
  readonly number: number;
  readonly search: string;
  readonly replace: string;
}
/** The replacements of one file, in the order of the list; a new file has exactly one, with an empty search. */
export interface SearchFile {
  readonly path: string;
  readonly kind: 'modify' | 'create';
  readonly replacements: readonly Replacement[];
}
/** A whole list by files, in the order in which they first occur. */
export interface SearchReplace {
  readonly files: readonly SearchFile[];
}

const NEWLINE = 0x0a;

/** Reads the list; its shape has passed the schema. Refusals name the edit, their `line` is its number. */
export function parseEdits(edits: readonly Json[]): Result<SearchReplace, PatchProblem> {
  return orRefusal(() => ({ files: readEdits(edits) }));
}

function refuse(code: PatchProblem['code'], number: number, message: string): never {
  throw new Refused(code, message, number, 'edit');
}

function readEdits(edits: readonly Json[]): readonly SearchFile[] {
  const files = new Map<string, { kind: SearchFile['kind']; replacements: Replacement[] }>();
  let bytes = 0;
  for (const [index, edit] of edits.entries()) {
    const number = index + 1;
    const [path, search, replace] = [text(edit, 'path'), text(edit, 'search'), text(edit, 'replace')];
    bytes += utf8Encode(search).length + utf8Encode(replace).length;
    if (bytes > PATCH_LIMITS.bytes) refuse('patch.tooLarge', number, `the edits are larger than ${PATCH_LIMITS.bytes} bytes; split them`);
    if (search.includes(REDACTION_MARKER) || replace.includes(REDACTION_MARKER))
      refuse(
        'patch.redactionMarker',
        number,
        'it holds a redaction marker, which would replace what it stands for; leave that part of the file alone',
      );
    const normal = pathOrRefuse(path, number, 'edit');
    if (search === replace && search !== '') refuse('patch.malformed', number, `it changes nothing in "${shown(path)}"`);
    const file = files.get(normal);
    if (file !== undefined && (search === '' || file.kind === 'create'))
      refuse('patch.duplicate', number, `"${shown(path)}" is created (empty search) and also changed; give its whole text in one edit`);
    if (file === undefined) files.set(normal, { kind: search === '' ? 'create' : 'modify', replacements: [{ number, search, replace }] });
    else file.replacements.push({ number, search, replace });
    if (files.size > PATCH_LIMITS.files)
      refuse('patch.tooLarge', number, `the edits change more than ${PATCH_LIMITS.files} files; split them`);
  }
  if (files.size === 0) refuse('patch.empty', 0, 'there is no edit; give at least one {path, search, replace}');
  return [...files].map(([path, file]) => ({ path, ...file }));
}

/** A member that the schema has found to be text. */
function text(edit: Json, name: string): string {
  const value = member(edit, name);
  if (typeof value !== 'string') throw new Error(`the member ${name} of a checked edit is no text`);
  return value;
}

/** The edits, in the order of the files, or the first conflict. */
export function applyEdits(
  change: SearchReplace,
  readPreImage: (path: string) => Bytes | null,
  meter: Meter,
): Result<readonly PatchEdit[], PatchConflict> {
  const edits: PatchEdit[] = [];
  for (const file of change.files) {
    const before = readPreImage(file.path);
    const place: ConflictPlace = { path: file.path, part: 'edit', number: file.replacements[0]?.number ?? 0 };
    if (file.kind === 'create' && before !== null)
      return conflictAt('patch.exists', place, 'exists already; search for the text to replace, or use format whole_file');
    if (file.kind === 'modify' && before === null)
      return conflictAt('patch.absent', place, 'does not exist; an edit with an empty search creates it');
    const content = before === null ? ok(utf8Encode(file.replacements[0]?.replace ?? '')) : replaceIn(file, before, meter);
    if (!content.ok) return content;
    edits.push({ path: file.path, kind: file.kind, content: content.value, from: null, mode: null, shifted: [] });
  }
  return ok(edits);
}

interface Spot {
  readonly at: number;
  readonly end: number;
  readonly number: number;
  readonly replace: Bytes;
}

function replaceIn(file: SearchFile, before: Bytes, meter: Meter): Result<Bytes, PatchConflict> {
  const returns = file.replacements.some(({ search, replace }) => search.includes('\r') || replace.includes('\r'));
  // The texts do not speak of carriage returns and every line of the file has one: the same lines are meant.
  const crlf = !returns && endsInCrLf(before);
  const encode = (part: string): Bytes => utf8Encode(crlf ? part.replaceAll('\n', '\r\n') : part);
  const spots: Spot[] = [];
  for (const { number, search, replace } of file.replacements) {
    const needle = encode(search);
    const place: ConflictPlace = { path: file.path, part: 'edit', number };
    const found = findPlaces(before, needle, meter, { from: 0, to: before.length });
    if (found === null) return conflictAt('patch.tooCostly', place, 'looking for its text takes too long; split the edits');
    const [only, second] = found.places;
    if (only === undefined) return missing(before, needle, found.nearest, place);
    if (second !== undefined)
      return conflictAt(
        'patch.ambiguous',
        place,
        `its search text stands at lines ${found.places.map((at) => lineAt(before, at) + 1).join(', ')}; make it longer until it stands once`,
        { expected: excerptOf(lineOf(needle, 0)) },
      );
    spots.push({ at: only, end: only + needle.length, number, replace: encode(replace) });
  }
  return rebuild(file, before, spots);
}

function rebuild(file: SearchFile, before: Bytes, spots: readonly Spot[]): Result<Bytes, PatchConflict> {
  const parts: Bytes[] = [];
  let taken = 0;
  let last = 0;
  for (const spot of [...spots].sort((a, b) => a.at - b.at)) {
    if (spot.at < taken)
      return conflictAt('patch.overlap', { path: file.path, part: 'edit', number: spot.number }, `overlaps edit ${last}; join both`);
    parts.push(before.subarray(taken, spot.at), spot.replace);
    taken = spot.end;
    last = spot.number;
  }
  return ok(concatBytes(...parts, before.subarray(taken)));
}

/** Number of newlines before an offset. */
function lineAt(bytes: Bytes, offset: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < offset; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

/** The whole line around an offset, without its end. */
function lineOf(bytes: Bytes, offset: number): Bytes {
  const from = offset === 0 ? 0 : bytes.lastIndexOf(NEWLINE, offset - 1) + 1;
  const to = bytes.indexOf(NEWLINE, offset);
  return bytes.subarray(from, to < 0 ? bytes.length : to);
}

/** Why the text stands nowhere: the line where the longest beginning of it ends. */
function missing(
  before: Bytes,
  needle: Bytes,
  nearest: { readonly at: number; readonly length: number },
  place: ConflictPlace,
): Result<never, PatchConflict> {
  const offset = Math.min(nearest.at + nearest.length, Math.max(0, before.length - 1));
  return conflictAt(
    'patch.context',
    place,
    before.length === 0
      ? 'the file is empty; use format whole_file'
      : `its search text stands nowhere in the file; the longest part of it that does ends at line ${lineAt(before, offset) + 1}: read the file again and take its text exactly`,
    { expected: excerptOf(lineOf(needle, nearest.length)), found: before.length === 0 ? null : excerptOf(lineOf(before, offset)) },
  );
}
