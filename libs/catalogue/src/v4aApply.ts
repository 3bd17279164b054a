/**
 * Applies a V4A patch to pre-images, all files or none. The envelope gives no line numbers, so a hunk's old lines must stand in exactly one place: of
 * the block that its anchors name, else of the whole file. Must never take the first of several places, nor one outside the block (D-14).
 */
import { type Bytes, equalBytes, ok, type Result } from '@openexec/canon';
import { conflictAt, type ConflictPlace } from './conflict.ts';
import type { PatchConflict } from './errors.ts';
import { findPlaces, type Meter } from './find.ts';
import { endsInCrLf, excerptOf, type FileLines, joinLines, LineNumbers, linesOf, trimmed } from './lines.ts';
import type { PatchEdit } from './patchApply.ts';
import type { V4aFile, V4aHunk, V4aPatch } from './v4a.ts';

/** What anchors ask of a line: its text without white space around it, as a number, and how deep it stands; null for a blank line. */
interface Shape {
  readonly text: number;
  readonly depth: number | null;
}
/** A file while its hunks are placed. `shapes` is empty where no hunk has an anchor. */
interface Work {
  readonly file: V4aFile;
  readonly before: FileLines;
  readonly known: LineNumbers;
  readonly numbers: readonly number[];
  readonly shapes: readonly Shape[];
  readonly meter: Meter;
}
interface Range {
  readonly from: number;
  readonly to: number;
}
interface Placed {
  readonly at: number;
  readonly old: readonly Bytes[];
  readonly hunk: V4aHunk;
  readonly number: number;
}

const RETURN = 0x0d;
/** A line that begins with one of these goes on with the block above it: `) {`, `} else {`, `]`. */
const BRACKETS = [0x7b, 0x7d, 0x28, 0x29, 0x5b, 0x5d];

/** The edits, in the order of the patch, or the first conflict. A move is the removal of one file and the creation of another. */
export function applyV4a(
  patch: V4aPatch,
  readPreImage: (path: string) => Bytes | null,
  meter: Meter,
): Result<readonly PatchEdit[], PatchConflict> {
  const edits: PatchEdit[] = [];
  for (const file of patch.files) {
    const { path, kind, moveTo } = file;
    const place: ConflictPlace = { path, part: 'hunk', number: 0 };
    const before = readPreImage(path);
    if (kind === 'create' && before !== null) return conflictAt('patch.exists', place, 'exists already; use "*** Update File"');
    if (kind !== 'create' && before === null)
      return conflictAt('patch.absent', place, `does not exist${kind === 'modify' ? '; create it with "*** Add File"' : ''}`);
    if (moveTo !== null && readPreImage(moveTo) !== null)
      return conflictAt('patch.exists', { ...place, path: moveTo }, 'exists already, so nothing can be moved there');
    const shared = { mode: null, shifted: [] };
    if (kind === 'delete' || before === null) {
      edits.push({ path, kind, content: file.content, from: null, ...shared });
      continue;
    }
    const content = applyHunks(file, before, meter);
    if (!content.ok) return content;
    if (moveTo === null) edits.push({ path, kind, content: content.value, from: null, ...shared });
    else {
      edits.push({ path, kind: 'delete', content: null, from: null, ...shared });
      edits.push({ path: moveTo, kind: 'create', content: content.value, from: path, ...shared });
    }
  }
  return ok(edits);
}

function applyHunks(file: V4aFile, bytes: Bytes, meter: Meter): Result<Bytes, PatchConflict> {
  const returns = file.hunks.some((hunk) => hunk.lines.some((line) => line.bytes.at(-1) === RETURN));
  const before = linesOf(bytes, !returns && endsInCrLf(bytes));
  const known = new LineNumbers();
  const anchored = file.hunks.some((hunk) => hunk.anchors.length > 0);
  // Worked out once a file: an anchor then costs one step a line, however long the lines are.
  const shapes = anchored ? before.lines.map((line) => ({ text: known.of(trimmed(line)), depth: depthOf(line) })) : [];
  const work: Work = { file, before, known, numbers: before.lines.map((line) => known.of(line)), shapes, meter };
  const placed: Placed[] = [];
  for (const [index, hunk] of file.hunks.entries()) {
    const old = hunk.lines.filter((line) => line.op !== '+').map((line) => line.bytes);
    const at = placeOf(work, hunk, old, index + 1);
    if (!at.ok) return at;
    placed.push({ at: at.value, old, hunk, number: index + 1 });
  }
  placed.sort((a, b) => a.at - b.at || a.number - b.number);
  return rebuild(work, placed);
}

function rebuild({ file, before }: Work, placed: readonly Placed[]): Result<Bytes, PatchConflict> {
  const out: Bytes[] = [];
  let taken = 0;
  let closed = before.closed;
  for (const [index, { at, old, hunk, number }] of placed.entries()) {
    const previous = placed[index - 1];
    if (previous !== undefined && (at < taken || (at === taken && old.length + previous.old.length === 0)))
      return conflictAt('patch.overlap', { path: file.path, part: 'hunk', number }, `overlaps hunk ${previous.number}; join both`, {
        expected: excerptOf(old[0]),
      });
    for (; taken < at; taken += 1) out.push(before.lines[taken] ?? new Uint8Array());
    for (const line of hunk.lines) if (line.op !== '-') out.push(line.bytes);
    taken += old.length;
    if (hunk.open !== null) closed = !hunk.open.after;
  }
  for (; taken < before.lines.length; taken += 1) out.push(before.lines[taken] ?? new Uint8Array());
  return ok(joinLines({ lines: out, end: before.end, closed }));
}

/** The one place of a hunk. */
function placeOf(work: Work, hunk: V4aHunk, old: readonly Bytes[], number: number): Result<number, PatchConflict> {
  const { file, before } = work;
  const place: ConflictPlace = { path: file.path, part: 'hunk', number };
  const range = rangeOf(work, hunk, place);
  if (!range.ok) return range;
  if (hunk.open !== null && hunk.open.before === before.closed)
    return conflictAt(
      'patch.newline',
      place,
      `the last line of the file has ${before.closed ? 'a' : 'no'} newline; say "\\ No newline at end of file" only of a line that has none`,
    );
  const last = before.lines.length - old.length;
  if (hunk.atEnd && old.length === 0) return ok(last);
  const within = hunk.atEnd ? { from: Math.max(range.value.from, last), to: Math.min(range.value.to, last) } : range.value;
  const needle = old.map((line) => work.known.of(line));
  const found = findPlaces(work.numbers, needle, work.meter, within);
  if (found === null) return conflictAt('patch.tooCostly', place, 'looking for its lines takes too long; split the patch');
  const [only, second] = found.places;
  if (only !== undefined && second === undefined) return ok(only);
  if (only !== undefined)
    return conflictAt(
      'patch.ambiguous',
      place,
      `its lines stand at lines ${found.places.map((at) => at + 1).join(', ')}; give more lines of context, or "@@ " and a line above that stands once`,
      { expected: excerptOf(old[0]) },
    );
  return missing(work, { hunk, old, needle, place }, found.nearest);
}

/** Where a hunk may begin: the whole file, or the block under its last anchor. */
function rangeOf(work: Work, hunk: V4aHunk, place: ConflictPlace): Result<Range, PatchConflict> {
  const { lines } = work.before;
  let range: Range = { from: 0, to: lines.length };
  for (const anchor of hunk.anchors) {
    work.meter.left -= 2 * lines.length;
    if (work.meter.left < 0) return conflictAt('patch.tooCostly', place, 'looking for its "@@" lines takes too long; split the patch');
    const wanted = work.known.of(trimmed(anchor));
    const places: number[] = [];
    for (let at = range.from; at < range.to; at += 1) if (work.shapes[at]?.text === wanted) places.push(at);
    const [only, second] = places;
    if (only === undefined)
      return conflictAt('patch.context', place, 'no line of the file is the one after "@@"; give a whole line that stands above', {
        expected: excerptOf(anchor),
      });
    if (second !== undefined)
      return conflictAt(
        'patch.ambiguous',
        place,
        `the line after "@@" stands at lines ${only + 1} and ${second + 1}; put "@@ " and a line above it before, or give more lines of context instead`,
        { expected: excerptOf(anchor) },
      );
    range = { from: only, to: Math.min(range.to, endOfBlock(work, only)) };
  }
  return ok(range);
}

/**
 * The line behind the block that `at` opens: what follows it and is blank, deeper, or at its depth but begins with a bracket. Where it opens none, the
 * rest of the file: an anchor is then only a place to begin at.
 */
function endOfBlock({ before: { lines }, shapes }: Work, at: number): number {
  const depth = shapes[at]?.depth ?? 0;
  let end = at + 1;
  let deeper = false;
  for (; end < lines.length; end += 1) {
    const here = shapes[end]?.depth ?? null;
    if (here === null || here > depth) deeper ||= here !== null;
    else if (here < depth || !BRACKETS.includes(lines[end]?.[here] ?? 0)) break;
  }
  return deeper ? end : lines.length;
}

/** Bytes of white space before a line's text; null for a line without any. */
function depthOf(line: Bytes): number | null {
  const depth = line.findIndex((byte) => byte !== 0x20 && byte !== 0x09 && byte !== RETURN);
  return depth < 0 ? null : depth;
}

/** Why the lines stand nowhere: the nearest place, and whether only white space differs there. */
function missing(
  work: Work,
  wanted: { readonly hunk: V4aHunk; readonly old: readonly Bytes[]; readonly needle: readonly number[]; readonly place: ConflictPlace },
  nearest: { readonly at: number; readonly length: number },
): Result<never, PatchConflict> {
  const { lines } = work.before;
  const { hunk, old, needle, place } = wanted;
  const everywhere = findPlaces(work.numbers, needle, work.meter, { from: 0, to: lines.length });
  const elsewhere = everywhere?.places[0];
  if (elsewhere !== undefined)
    return conflictAt(
      'patch.context',
      place,
      `its lines stand at line ${elsewhere + 1}, but not ${hunk.atEnd ? 'at the end of the file' : 'in the block of the line after "@@"'}; correct one of the two`,
      { expected: excerptOf(old[0]), found: excerptOf(lines[hunk.atEnd ? lines.length - old.length : nearest.at]) },
    );
  const best = (everywhere?.nearest.length ?? 0) > nearest.length && everywhere !== null ? everywhere.nearest : nearest;
  const first = old[best.length];
  const alike = first === undefined ? -1 : lines.findIndex((line) => equalBytes(trimmed(line), trimmed(first)));
  if (best.length === 0 && alike < 0) {
    const near = first === undefined ? null : mostAlike(lines, first);
    const told = near === null ? '' : `, the nearest is line ${near + 1}`;
    return conflictAt('patch.context', place, `its first line stands nowhere in the file${told}; read the file again`, {
      expected: excerptOf(first),
      found: near === null ? null : excerptOf(lines[near]),
    });
  }
  const at = best.length === 0 ? alike : best.at + best.length;
  const present = lines[at];
  const blank = first !== undefined && present !== undefined && equalBytes(trimmed(present), trimmed(first));
  return conflictAt(
    'patch.context',
    place,
    `does not match the file at line ${at + 1}${blank ? ', where only white space differs' : ''}; read the file again and take its lines exactly`,
    { expected: excerptOf(first), found: excerptOf(present) },
  );
}

/** The line that shares the longest beginning and end with the wanted one, if that is half of it at least. */
function mostAlike(lines: readonly Bytes[], wanted: Bytes): number | null {
  const text = trimmed(wanted);
  let best = { at: 0, shared: 0 };
  for (const [at, line] of lines.entries()) {
    const other = trimmed(line);
    const most = Math.min(text.length, other.length);
    let [head, tail] = [0, 0];
    while (head < most && text[head] === other[head]) head += 1;
    while (tail < most - head && text[text.length - 1 - tail] === other[other.length - 1 - tail]) tail += 1;
    if (head + tail > best.shared) best = { at, shared: head + tail };
  }
  return best.shared * 2 > text.length ? best.at : null;
}
