/**
 * Making the output of a command safe to read: bounded, without escape sequences and invisible characters. Must never use an expression that can take
 * more than linear time in a line.
 */
import { checkPath } from '@openexec/catalogue';
import type { CleanOutput, ReportFailure } from './types.ts';

/** The end of a larger output is read: summaries come last. */
const TEXT_MAX = 4 * 1024 * 1024;
const LINE_MAX = 2000;
/** Items that a reader looks up one by one; more are not told apart any further. */
export const ITEMS_MAX = 1000;
const NAME_MAX = 300;
const MESSAGE_MAX = 600;
const MESSAGE_LINES = 6;
/** Where the sandbox shows the run's tree. */
const ROOT = '/workspace/';

/** Colours and other control sequences (ECMA-48 CSI, OSC and two-character escapes); each alternative stops at the next escape. */
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]?|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])?/g;
/** Control characters but tab and newline, and those that hide or reorder text. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;

/** Halves of surrogate pairs, which have no UTF-8 form. */
const HALVES = /\p{Surrogate}/gu;

/** The output as readers see it. */
export function cleanOutput(output: string): CleanOutput {
  const text = output.slice(-TEXT_MAX).replace(ESCAPES, '').replace(/\r\n?/g, '\n').replace(HIDDEN, '').replace(HALVES, '\ufffd');
  return { text, lines: text.split('\n').map((line) => line.slice(0, LINE_MAX)) };
}

/** Whole characters only: a cut between surrogates is mended. */
const cut = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`;

/** A path of the workspace in its normal form, or null: what stands outside it, or is no path, is not shown as a place. */
export function fileOf(shown: string): string | null {
  const plain = shown.replace(/^file:\/\//, '');
  const inside = plain.startsWith(ROOT) ? plain.slice(ROOT.length) : plain.replace(/^(?:\.\/)+/, '');
  const path = checkPath(inside);
  return path.ok ? path.value : null;
}

/** A failure with bounded members; message lines without blank ones around them. */
export function failureOf(parts: {
  readonly name: string | null;
  readonly file?: string | null;
  readonly line?: number | string | null;
  readonly message: readonly string[];
}): ReportFailure {
  const file = parts.file === undefined || parts.file === null ? null : fileOf(parts.file);
  const line = Number(parts.line ?? Number.NaN);
  const message = parts.message
    .flatMap((text) => text.replace(HIDDEN, '').split('\n'))
    .filter((text) => text.trim() !== '')
    .slice(0, MESSAGE_LINES)
    .map((text) => text.trim().replaceAll('\t', ' '));
  const name =
    parts.name
      ?.replace(HIDDEN, '')
      .replace(/[\t\n]/g, ' ')
      .trim() ?? '';
  return {
    name: name === '' ? null : cut(name.replace(HALVES, '\ufffd'), NAME_MAX),
    file,
    line: file !== null && Number.isSafeInteger(line) && line > 0 ? line : null,
    message: cut(message.join('\n').replace(HALVES, '\ufffd'), MESSAGE_MAX),
  };
}

/** A place in a file. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** The place at the end of a stack frame of JavaScript, `at name (FILE:LINE:COLUMN)`, where it is a file of the repository's own. */
export function framePlace(line: string): Place | null {
  const frame = line.trim();
  if (!frame.startsWith('at ')) return null;
  return placeAtEnd(frame.slice(3));
}

/** `FILE:LINE:COLUMN` at the end of a text, behind the last opening parenthesis if one stands there. */
export function placeAtEnd(text: string): Place | null {
  const bare = text.endsWith(')') ? text.slice(0, -1) : text;
  const numbers = /:(\d{1,9}):\d{1,9}$/.exec(bare);
  if (numbers === null) return null;
  const shown = bare.slice(text.endsWith(')') ? bare.lastIndexOf('(', numbers.index) + 1 : 0, numbers.index);
  const file = fileOf(shown);
  if (file === null || file.startsWith('node_modules/') || file.startsWith('node:')) return null;
  return { file, line: Number(numbers[1]) };
}

/** A member of a parsed value, undefined where there is none. */
export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as { readonly [key: string]: unknown })[name]
    : undefined;
}
/** A text member, or ''. */
export function textField(value: unknown, name: string): string {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : '';
}
/** A count, or null where there is none. */
export function countField(value: unknown, name: string): number | null {
  const field = fieldOf(value, name);
  return typeof field === 'number' && Number.isSafeInteger(field) && field >= 0 ? field : null;
}
/** A list member, or none. */
export function listField(value: unknown, name: string): readonly unknown[] {
  const field = fieldOf(value, name);
  return Array.isArray(field) ? (field as readonly unknown[]) : [];
}
/** A line of JSON, or undefined. What is too deep to be read is not JSON of ours. */
export function jsonLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
