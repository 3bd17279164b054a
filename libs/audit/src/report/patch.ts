/**
 * A change as `git apply` takes it, there and back: text as unified diffs, everything else as git's binary patches. Made of bytes whose ids were checked;
 * must never hold half a change, for a patch that applies and gives another tree is worse than none (git "gitformat-patch").
 */
import { type Bytes, utf8Decode, utf8Encode } from '@openexec/canon';
import { literal } from './gitBinary.ts';
import { diffLines, type Hunk } from './lineDiff.ts';

/** One side of one file. */
export interface PatchSide {
  readonly oid: string;
  readonly mode: string;
  readonly bytes: Bytes;
}
/** One file; null where it is not there on that side. */
export interface PatchFile {
  readonly path: string;
  readonly before: PatchSide | null;
  readonly after: PatchSide | null;
}

const NO_NEWLINE = utf8Encode('\n\\ No newline at end of file\n');
/** The part of a mode that says what a file is: git changes no file into a link. */
const FORM_DIGITS = 2;

/** The patch of these files, in their order. */
export function patchOf(files: readonly PatchFile[]): Bytes {
  return joined(files.flatMap(onePatch));
}

/** One after the other; there may be more of them than a call takes arguments. */
function joined(pieces: readonly Bytes[]): Bytes {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The way back. */
export function reversed(files: readonly PatchFile[]): readonly PatchFile[] {
  return files.map(({ path, before, after }) => ({ path, before: after, after: before }));
}

function onePatch(file: PatchFile): readonly Bytes[] {
  const { path, before, after } = file;
  // A file that becomes a link, or a link that becomes a file, is taken away and made anew, as git says it.
  if (before !== null && after !== null && before.mode.slice(0, FORM_DIGITS) !== after.mode.slice(0, FORM_DIGITS))
    return [...onePatch({ path, before, after: null }), ...onePatch({ path, before: null, after })];
  return [utf8Encode(headOf(file)), ...contentOf(file)];
}

function headOf({ path, before, after }: PatchFile): string {
  const lines = [`diff --git ${quoted(`a/${path}`)} ${quoted(`b/${path}`)}`];
  if (before === null && after !== null) lines.push(`new file mode ${after.mode}`);
  if (after === null && before !== null) lines.push(`deleted file mode ${before.mode}`);
  const sameMode = before !== null && after !== null && before.mode === after.mode;
  if (before !== null && after !== null && !sameMode) lines.push(`old mode ${before.mode}`, `new mode ${after.mode}`);
  const none = '0'.repeat((before ?? after)?.oid.length ?? 40);
  if (before?.oid !== after?.oid) lines.push(`index ${before?.oid ?? none}..${after?.oid ?? none}${sameMode ? ` ${after.mode}` : ''}`);
  return `${lines.join('\n')}\n`;
}

function contentOf({ path, before, after }: PatchFile): readonly Bytes[] {
  const [from, to] = [before?.bytes ?? new Uint8Array(), after?.bytes ?? new Uint8Array()];
  if (before?.oid === after?.oid) return [];
  if (!isText(from) || !isText(to)) return [utf8Encode('GIT binary patch\n'), literal(to), literal(from)];
  const hunks = diffLines(from, to);
  if (hunks.length === 0) return []; // An empty file that comes or goes.
  const named = (prefix: string, side: PatchSide | null): string =>
    side === null ? '/dev/null' : `${quoted(`${prefix}${path}`)}${tab(path)}`;
  return [utf8Encode(`--- ${named('a/', before)}\n+++ ${named('b/', after)}\n`), ...hunks.flatMap(hunkBytes)];
}

function hunkBytes({ oldStart, oldLines, newStart, newLines, lines }: Hunk): readonly Bytes[] {
  const head = utf8Encode(`@@ -${oldStart},${oldLines} +${newStart},${newLines} @@\n`);
  return [
    head,
    ...lines.flatMap(({ sign, bytes }) => (bytes.at(-1) === 10 ? [utf8Encode(sign), bytes] : [utf8Encode(sign), bytes, NO_NEWLINE])),
  ];
}

/** As git tells them apart, by a NUL; and what is no UTF-8 goes the same way, so that every patch is one text. */
function isText(bytes: Bytes): boolean {
  return !bytes.includes(0) && utf8Decode(bytes).ok;
}

/** A name with white space ends with a tab, so that nobody takes its end for a date. */
function tab(path: string): string {
  return path.includes(' ') ? '\t' : '';
}

const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };

/** A name as git quotes it: as it is, or in C's spelling where it holds quotes, backslashes or control characters. */
function quoted(name: string): string {
  const unsafe = /["\\\u0000-\u001f\u007f]/g;
  if (name.search(unsafe) < 0) return name;
  const escape = (char: string): string => ESCAPES[char] ?? `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`;
  return `"${name.replace(unsafe, escape)}"`;
}
