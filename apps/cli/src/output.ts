/**
 * What a person and a program see: results on stdout, progress on stderr, colour only on a terminal. Must never print control or bidirectional
 * characters that came from outside. CLI.md, SECURITY §7.
 */
import type { CliDocument, DocumentName } from '@openexec/protocol';

/** The parts of a stream that output needs. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** Width of the terminal in characters. */
  readonly columns?: number | undefined;
}
/** Marks text for a terminal; the identity where colour is off. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}
/** Where a command writes. */
export interface Output {
  /** One line (or several) of the result, on stdout. Text from outside goes through {@link safe} first. */
  result(text: string): void;
  /** The one JSON document of `--json`, on stdout, as published under this name; what could steer a terminal is escaped inside its texts. */
  json<N extends DocumentName>(name: N, document: CliDocument<N>): void;
  /** One line of `--jsonl`, on stdout, as published under this name. */
  jsonLine<N extends DocumentName>(name: N, document: CliDocument<N>): void;
  /** A line of progress, on stderr. */
  progress(text: string): void;
  /** A line that starts with "warning:", on stderr. */
  warn(text: string): void;
  /**
   * One line below the progress that is written over in place, or null for none. Only on a terminal that is not dumb and never under CI; elsewhere
   * nothing is written. Text from outside goes through {@link safeLine} first.
   */
  status(text: string | null): void;
  /** Whether long text goes through a pager: stdout is a terminal and CI is not set. */
  readonly paged: boolean;
  /** For text on stdout. */
  readonly style: Style;
  /** For text on stderr. */
  readonly progressStyle: Style;
}

/** C0 but tab and line feed, DEL, C1, and what steers direction or hides: bidi controls, zero-width, line separators, tags, BOM. */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\ud800-\udfff]/gu;

/** Text from outside made fit for a terminal: what could steer it is shown as `\u{hex}`. Tabs and line feeds stay. */
export function safe(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same on one line: line feeds and tabs are escaped too, and it is cut after `max` characters. */
export function safeLine(text: string, max = 400): string {
  const whole = safe(text).replace(/\n/g, '\\n').replace(/\t/g, '\\t');
  const cut = [...whole];
  return cut.length <= max ? whole : `${cut.slice(0, max).join('')}…`;
}

/** Whether colour is wanted on a stream: never under NO_COLOR, always under FORCE_COLOR, else on a terminal that is not dumb. */
export function wantsColour(env: { readonly [name: string]: string | undefined }, sink: Sink): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '' && forced !== '0') return true;
  return forced !== '0' && sink.isTTY === true && env['TERM'] !== 'dumb';
}

function styleOf(colour: boolean): Style {
  const mark = (open: number, close: number) => (text: string) => (colour ? `\u001b[${open}m${text}\u001b[${close}m` : text);
  return { bold: mark(1, 22), dim: mark(2, 22), red: mark(31, 39), green: mark(32, 39), yellow: mark(33, 39), cyan: mark(36, 39) };
}

const ERASE_LINE = '\r\u001b[K';
const NARROWEST = 20;

/** The line that is written over in place: every other write takes it away first and puts it back after. */
function statusOn(sink: Sink, env: { readonly [name: string]: string | undefined }) {
  const live = sink.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === '';
  let shown: string | null = null;
  const fit = (text: string): string => [...text].slice(0, Math.max(NARROWEST, sink.columns ?? 80) - 1).join('');
  return {
    set(text: string | null): void {
      if (!live || (text === null && shown === null)) return;
      shown = text === null ? null : fit(text);
      sink.write(`${ERASE_LINE}${shown ?? ''}`);
    },
    around(write: () => void): void {
      if (shown !== null) sink.write(ERASE_LINE);
      write();
      if (shown !== null) sink.write(shown);
    },
  };
}

/** Bigints as decimal strings: JSON has no safe number for them. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** The same JSON with what could steer a terminal written as escapes of JSON: such characters can only stand inside its strings. */
function printable(document: unknown, indent?: number): string {
  const escape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(document, plain, indent).replace(UNSAFE, (character) => character.split('').map(escape).join(''));
}

/** Output over two streams. */
export function createOutput(options: {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: { readonly [name: string]: string | undefined };
}): Output {
  const { stdout, stderr, env } = options;
  const style = styleOf(wantsColour(env, stdout));
  const progressStyle = styleOf(wantsColour(env, stderr));
  const status = statusOn(stderr, env);
  const write = (sink: Sink, text: string): void => status.around(() => void sink.write(`${text}\n`));
  return {
    result: (text) => write(stdout, text),
    json: (_name, document) => write(stdout, printable(document, 2)),
    jsonLine: (_name, document) => write(stdout, printable(document)),
    progress: (text) => write(stderr, text),
    warn: (text) => write(stderr, `${progressStyle.yellow('warning:')} ${text}`),
    status: (text) => status.set(text),
    paged: stdout.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === '',
    style,
    progressStyle,
  };
}
