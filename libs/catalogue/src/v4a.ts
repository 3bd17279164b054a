/**
 * The strict reader of the V4A envelope, `*** Begin Patch` to `*** End Patch`, that coding models emit. Must never guess: a line is exactly one of the
 * forms of the grammar, and what models add around it (fences, here-documents, line numbers) is refused with a word on what to leave out.
 *
 *     *** Begin Patch
 *     *** Update File: PATH      then, optionally, *** Move to: PATH, then hunks
 *     *** Add File: PATH         then the lines of the file, each after "+"
 *     *** Delete File: PATH
 *     *** End Patch
 *
 * A hunk: any number of "@@ LINE" (lines that stand above it, outermost first) or one bare "@@", left out before the first hunk; then lines after " ",
 * "-" or "+" (an empty line is an empty line of context; behind the last line of a hunk it separates); then, optionally, "*** End of File". Under a
 * line, "\ No newline at end of file" says so of it, as in a diff.
 */
import { type Bytes, concatBytes, type Result, utf8Encode } from '@openexec/canon';
import type { PatchProblem } from './errors.ts';
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

/** One line of a hunk, without an end. */
export interface V4aLine {
  readonly op: ' ' | '-' | '+';
  readonly bytes: Bytes;
}
/** `open` says, where the hunk speaks of it, which sides end without a newline; the hunk then reaches the end of the file. */
export interface V4aHunk {
  readonly anchors: readonly Bytes[];
  readonly lines: readonly V4aLine[];
  readonly atEnd: boolean;
  readonly open: { readonly before: boolean; readonly after: boolean } | null;
}
/** One section. `content` only where the file is new; `moveTo` only where it is changed. */
export interface V4aFile {
  readonly path: string;
  readonly kind: 'modify' | 'create' | 'delete';
  readonly moveTo: string | null;
  readonly hunks: readonly V4aHunk[];
  readonly content: Bytes | null;
}
/** A whole envelope; `files` are in the order of its text, no path twice. */
export interface V4aPatch {
  readonly files: readonly V4aFile[];
}

const BEGIN = '*** Begin Patch';
const END = '*** End Patch';
const END_OF_FILE = '*** End of File';
const SECTION = /^\*\*\* (Update|Add|Delete) File: (.*)$/s;
const MOVE = /^\*\*\* Move to: (.*)$/s;
const RANGES = /^-\d+(?:,\d+)? \+\d+(?:,\d+)? @@/;
const KIND = { Update: 'modify', Add: 'create', Delete: 'delete' } as const;

/** Reads a whole envelope. Every path is in normal form and occurs once; every hunk changes something and says where it stands. */
export function parseV4a(text: string): Result<V4aPatch, PatchProblem> {
  return orRefusal(() => ({ files: readEnvelope(text) }));
}

/** A line of the envelope itself: a carriage return behind it is none of its own. */
const bare = (line: string | null): string | null => (line?.endsWith('\r') === true ? line.slice(0, -1) : line);

function readEnvelope(text: string): readonly V4aFile[] {
  refuseLarge(text);
  const reader = new Reader(text);
  skipEmpty(reader);
  if (bare(reader.peek()) !== BEGIN)
    throw new Refused(
      'patch.malformed',
      `the patch begins with the line "${BEGIN}", without fences, prose or a here-document before it`,
      reader.line,
    );
  reader.next();
  const files: V4aFile[] = [];
  const seen = new Set<string>();
  for (skipEmpty(reader); bare(reader.peek()) !== END; skipEmpty(reader)) {
    const at = reader.line;
    const file = readSection(reader);
    for (const path of file.moveTo === null ? [file.path] : [file.path, file.moveTo]) {
      if (seen.has(path)) throw new Refused('patch.duplicate', `"${shown(path)}" is changed twice; join both changes in one section`, at);
      seen.add(path);
    }
    files.push(file);
    if (files.length > PATCH_LIMITS.files)
      throw new Refused('patch.tooLarge', `the patch changes more than ${PATCH_LIMITS.files} files; split it`, at);
  }
  reader.next();
  skipEmpty(reader);
  if (reader.peek() !== null) throw new Refused('patch.malformed', `nothing follows "${END}"`, reader.line);
  if (files.length === 0)
    throw new Refused('patch.empty', 'the patch changes no file; give a section such as "*** Update File: src/main.ts"', 0);
  refuseMarker(text);
  return files;
}

function skipEmpty(reader: Reader): void {
  while (bare(reader.peek()) === '') reader.next();
}

function readSection(reader: Reader): V4aFile {
  const at = reader.line;
  const line = bare(reader.peek());
  const head = SECTION.exec(line ?? '');
  if (head === null)
    throw new Refused(
      'patch.malformed',
      line === null
        ? `the patch ends without the line "${END}"`
        : `"${shown(line, 80)}" is neither the head of a section ("*** Update File: PATH", "*** Add File: PATH", "*** Delete File: PATH") nor "${END}"`,
      at,
    );
  reader.next();
  const kind = KIND[head[1] as keyof typeof KIND];
  const path = pathOrRefuse(head[2] ?? '', at);
  if (kind === 'delete') return { path, kind, moveTo: null, hunks: [], content: null };
  if (kind === 'create') return { path, kind, moveTo: null, hunks: [], content: readContent(reader) };
  const moveTo = readMove(reader, path);
  const hunks = readHunks(reader);
  if (hunks.length === 0 && moveTo === null)
    throw new Refused('patch.malformed', `nothing changes in "${shown(path)}": no hunk follows`, at);
  return { path, kind, moveTo, hunks, content: null };
}

function readMove(reader: Reader, path: string): string | null {
  const move = MOVE.exec(bare(reader.peek()) ?? '');
  if (move === null) return null;
  const target = pathOrRefuse(move[1] ?? '', reader.line);
  if (target === path) throw new Refused('patch.malformed', `"${shown(path)}" is moved to itself`, reader.line);
  reader.next();
  return target;
}

/** The lines of a new file. */
function readContent(reader: Reader): Bytes {
  const parts: Bytes[] = [];
  for (let line = reader.peek(); line?.startsWith('+') === true; line = reader.peek()) {
    reader.next();
    const open = NO_NEWLINE.test(reader.peek() ?? '');
    parts.push(open ? utf8Encode(line.slice(1)) : terminated(utf8Encode(line.slice(1))));
    if (!open) continue;
    reader.next();
    break;
  }
  const after = bare(reader.peek());
  if (after !== null && after !== '' && !after.startsWith('*** '))
    throw new Refused('patch.malformed', `each line of a new file begins with "+"; "${shown(after, 80)}" does not`, reader.line);
  return concatBytes(...parts);
}

function readHunks(reader: Reader): readonly V4aHunk[] {
  const hunks: V4aHunk[] = [];
  for (;;) {
    skipSeparators(reader);
    const line = reader.peek();
    if (line === null || isHead(line)) return hunks;
    hunks.push(readHunk(reader, hunks.length === 0));
  }
}

/** Empty lines between a hunk and what comes after it. */
function skipSeparators(reader: Reader): void {
  let ahead = 0;
  while (reader.peek(ahead) === '') ahead += 1;
  const line = reader.peek(ahead);
  if (line === null || isHead(line) || line.startsWith('@@')) for (; ahead > 0; ahead -= 1) reader.next();
}

const isHead = (line: string): boolean => line.startsWith('*** ') && bare(line) !== END_OF_FILE;

function readHunk(reader: Reader, first: boolean): V4aHunk {
  const at = reader.line;
  const anchors = readAnchors(reader);
  if (anchors === null && !first)
    throw new Refused('patch.malformed', 'a hunk after the first begins with "@@"; its lines begin with " ", "-" or "+"', at);
  const lines: V4aLine[] = [];
  const open = { before: false, after: false };
  const ended = { before: false, after: false };
  for (let line = nextLine(reader); line !== null; line = nextLine(reader)) {
    if ((line.op !== '+' && ended.before) || (line.op !== '-' && ended.after))
      throw new Refused('patch.malformed', 'a line follows one that was said to end the file without a newline', reader.line);
    reader.next();
    lines.push(line);
    if (!NO_NEWLINE.test(reader.peek() ?? '')) continue;
    reader.next();
    if (line.op !== '+') open.before = ended.before = true;
    if (line.op !== '-') open.after = ended.after = true;
  }
  const atEnd = bare(reader.peek()) === END_OF_FILE;
  if (atEnd) reader.next();
  const spoken = open.before || open.after;
  checkHunk({ lines, atEnd: atEnd || spoken, at, stop: reader.peek(), stopAt: reader.line });
  return { anchors: anchors ?? [], lines, atEnd: atEnd || spoken, open: spoken ? open : null };
}

/** The lines above the hunk; null where no "@@" stands there. */
function readAnchors(reader: Reader): readonly Bytes[] | null {
  let anchors: Bytes[] | null = null;
  for (let line = bare(reader.peek()); line?.startsWith('@@') === true; line = bare(reader.peek())) {
    if (line !== '@@' && !line.startsWith('@@ '))
      throw new Refused('patch.malformed', 'a hunk begins with "@@" alone or with "@@ " and a line that stands above it', reader.line);
    const anchor = line.slice(3);
    if (RANGES.test(anchor))
      throw new Refused(
        'patch.malformed',
        'line numbers belong to format unified; write "@@" alone or "@@ " and a line above',
        reader.line,
      );
    anchors ??= [];
    if (anchor.trim() !== '') anchors.push(utf8Encode(anchor));
    reader.next();
  }
  return anchors;
}

/** The next line of the hunk, not taken yet; null where the hunk ends. */
function nextLine(reader: Reader): V4aLine | null {
  const line = reader.peek();
  if (line === null) return null;
  if (line === '') {
    let ahead = 1;
    while (reader.peek(ahead) === '') ahead += 1;
    const after = reader.peek(ahead);
    return after === null || isHead(after) || after.startsWith('@@') ? null : { op: ' ', bytes: new Uint8Array() };
  }
  const op = line[0];
  return op === ' ' || op === '-' || op === '+' ? { op, bytes: utf8Encode(line.slice(1)) } : null;
}

function checkHunk(hunk: {
  readonly lines: readonly V4aLine[];
  readonly atEnd: boolean;
  readonly at: number;
  readonly stop: string | null;
  readonly stopAt: number;
}): void {
  const { lines, stop } = hunk;
  if (stop !== null && stop !== '' && !stop.startsWith('*** ') && !stop.startsWith('@@'))
    throw new Refused('patch.malformed', `each line of a hunk begins with " ", "-" or "+"; "${shown(stop, 80)}" does not`, hunk.stopAt);
  if (lines.every((line) => line.op === ' ')) throw new Refused('patch.malformed', 'the hunk changes nothing', hunk.at);
  if (!hunk.atEnd && lines.every((line) => line.op === '+'))
    throw new Refused(
      'patch.malformed',
      'the hunk adds lines without saying where: give lines of context (after a space) above or below them, or "*** End of File" after them',
      hunk.at,
    );
}
