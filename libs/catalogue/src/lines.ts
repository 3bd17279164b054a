/**
 * A file as lines, for the formats whose texts do not say how lines end. Must never change a byte that a patch does not name: what cannot be told apart
 * is joined again exactly as it was.
 */
import { type Bytes, concatBytes, utf8Decode } from '@openexec/canon';
import { shown } from './paths.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const CRLF = Uint8Array.of(RETURN, NEWLINE);
const LF = Uint8Array.of(NEWLINE);

/** Lines without their ends. `closed`: the last line has an end too; an empty file counts as closed. */
export interface FileLines {
  readonly lines: readonly Bytes[];
  readonly end: Bytes;
  readonly closed: boolean;
}

/** Whether every line of the file ends with CR LF, and there is one. */
export function endsInCrLf(bytes: Bytes): boolean {
  let found = false;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) {
    if (bytes[at - 1] !== RETURN) return false;
    found = true;
  }
  return found;
}

/** Splits a file; with `crlf` the carriage returns belong to the ends, else to the lines. */
export function linesOf(bytes: Bytes, crlf: boolean): FileLines {
  const lines: Bytes[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    if (newline < 0) return { lines: [...lines, bytes.subarray(from)], end: crlf ? CRLF : LF, closed: false };
    lines.push(bytes.subarray(from, crlf ? newline - 1 : newline));
    from = newline + 1;
  }
  return { lines, end: crlf ? CRLF : LF, closed: true };
}

/** The bytes of lines again. */
export function joinLines({ lines, end, closed }: FileLines): Bytes {
  const parts = lines.flatMap((line, at) => (at < lines.length - 1 || closed ? [line, end] : [line]));
  return concatBytes(...parts);
}

/** A number for each different line, the same for equal bytes: sequences of lines are then searched as sequences of numbers. */
export class LineNumbers {
  readonly #known = new Map<string, number>();

  /** The number of these bytes. */
  of(line: Bytes): number {
    const key = keyOf(line);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.#known.size);
    return this.#known.size - 1;
  }
}

/** Bytes as one code unit each: unlike decoding, this keeps bytes apart that are not UTF-8. */
function keyOf(bytes: Bytes): string {
  let key = '';
  for (let at = 0; at < bytes.length; at += 4096) key += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return key;
}

/** The line without spaces, tabs and carriage returns around it. */
export function trimmed(line: Bytes): Bytes {
  let [from, to] = [0, line.length];
  while (from < to && isBlank(line[from])) from += 1;
  while (to > from && isBlank(line[to - 1])) to -= 1;
  return line.subarray(from, to);
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === RETURN;
}

/** One line for people: bounded, control characters visible. Null where there is no such line. */
export function excerptOf(line: Bytes | undefined): string | null {
  if (line === undefined) return null;
  for (let cut = Math.min(line.length, 400); cut >= Math.min(line.length, 397); cut -= 1) {
    // A cut may fall inside a character of up to four bytes.
    const text = utf8Decode(line.subarray(0, cut));
    if (text.ok) return shown(text.value);
  }
  return `${line.length} bytes that are not UTF-8`;
}
