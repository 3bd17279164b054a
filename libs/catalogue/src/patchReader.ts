/**
 * What the readers of patch texts share: lines with their numbers, refusals, and the bounds of a text. Must never let a text in that is too large or
 * that holds a redaction marker (PROTOCOL §2, SECURITY §3.3).
 */
import { type Bytes, err, ok, type Result, utf8Encode } from '@openexec/canon';
import type { PatchProblem, PatchProblemCode } from './errors.ts';
import { checkPath } from './paths.ts';

/** 1 MiB of text and 500 files: more is not one change that anybody reviews. */
export const PATCH_LIMITS = { bytes: 1_048_576, files: 500 } as const;
/** Where redaction replaced something; written into a file it would destroy what it stands for. */
export const REDACTION_MARKER = '[redacted:';
/** The line under a line that ends its file without a newline, as diff prints it. */
export const NO_NEWLINE = /^\\ /;

/** Thrown inside the readers only and turned into a value at their door: a parser of nested forms reads better without a Result at each step. */
const REFUSED = Symbol('refused');
/** A refusal on its way out; `line` 0 speaks of the whole. A list of edits has no lines: there it is the number of the edit. */
export class Refused {
  readonly [REFUSED]: PatchProblem;
  constructor(code: PatchProblemCode, message: string, line: number, unit: 'line' | 'edit' = 'line') {
    const where = line === 0 ? '' : unit === 'line' ? `line ${line} of the patch: ` : `edit ${line}: `;
    this[REFUSED] = { code, message: `${where}${message}`, line };
  }
}

/** Runs a reader and gives its refusal as a value; anything else that is thrown goes on. */
export function orRefusal<T>(read: () => T): Result<T, PatchProblem> {
  try {
    return ok(read());
  } catch (caught) {
    const problem = typeof caught === 'object' && caught !== null && REFUSED in caught ? (caught as Refused)[REFUSED] : null;
    if (problem !== null) return err(problem);
    throw caught;
  }
}

/** Refuses a text over the limit before anything reads it. */
export function refuseLarge(text: string): void {
  if (text.length > PATCH_LIMITS.bytes || utf8Encode(text).length > PATCH_LIMITS.bytes)
    throw new Refused('patch.tooLarge', `the patch is larger than ${PATCH_LIMITS.bytes} bytes; split it`, 0);
}

/** Refuses a text with a redaction marker in it. */
export function refuseMarker(text: string): void {
  const marker = text.indexOf(REDACTION_MARKER);
  if (marker >= 0)
    throw new Refused(
      'patch.redactionMarker',
      'a redaction marker stands in the patch and would replace what it stands for; leave that part of the file alone',
      text.slice(0, marker).split('\n').length,
    );
}

/** The path in its normal form, or the refusal at `line`. */
export function pathOrRefuse(path: string, line: number, unit: 'line' | 'edit' = 'line'): string {
  const checked = checkPath(path);
  if (!checked.ok) throw new Refused('patch.path', checked.error.message, line, unit);
  return checked.value;
}

/** Lines of a text. A carriage return belongs to its line; a last line without newline counts as one with it. */
export class Reader {
  readonly #lines: readonly string[];
  #at = 0;
  constructor(text: string) {
    const lines = text.split('\n');
    this.#lines = lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  }
  /** 1-based number of the line that `peek` shows. */
  get line(): number {
    return this.#at + 1;
  }
  /** The line `ahead` lines further on, or null after the last. */
  peek(ahead = 0): string | null {
    return this.#lines[this.#at + ahead] ?? null;
  }
  next(): void {
    this.#at += 1;
  }
}

const NEWLINE = 0x0a;

/** The bytes with a newline behind them. */
export function terminated(body: Bytes): Bytes {
  const bytes = new Uint8Array(body.length + 1);
  bytes.set(body);
  bytes[body.length] = NEWLINE;
  return bytes;
}
