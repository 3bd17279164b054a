/**
 * Places mutants: every change of every source file at once, each behind a switch (`globalThis.__stryker__.activeMutant`), by Stryker's instrumenter.
 * The tool is installed on demand, in the versions of scripts/mutate/tool, and is no dependency of the house.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

/** One change to one place of one file. */
export interface Mutant {
  readonly id: string;
  /** Relative to the root. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Which kind of change, in Stryker's words. */
  readonly mutator: string;
  readonly original: string;
  readonly replacement: string;
  /** The first line of the place, trimmed: with the change it names the mutant when lines move. */
  readonly context: string;
}
/** Sources with every mutant in them, by absolute path, and the mutants. */
export interface Instrumented {
  readonly sources: ReadonlyMap<string, string>;
  readonly mutants: readonly Mutant[];
}

interface Position {
  readonly line: number;
  readonly column: number;
}
interface PlacedMutant {
  readonly id: string;
  readonly fileName: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly location: { readonly start: Position; readonly end: Position };
}
interface SourceFile {
  readonly name: string;
  readonly content: string;
  readonly mutate: boolean;
}
interface Instrumenter {
  instrument(
    files: readonly SourceFile[],
    options: object,
  ): Promise<{ readonly files: readonly SourceFile[]; readonly mutants: readonly PlacedMutant[] }>;
}
interface Tool {
  readonly createInstrumenter: unknown;
}
interface Injector {
  provideValue(token: string, value: unknown): Injector;
  injectFunction(factory: unknown): Instrumenter;
}

const quiet = (): void => {};
/** What the tool asks of a logger. */
const LOGGER = {
  isDebugEnabled: () => false,
  isTraceEnabled: () => false,
  isInfoEnabled: () => false,
  isWarnEnabled: () => false,
  isErrorEnabled: () => false,
  isFatalEnabled: () => false,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
  fatal: quiet,
};

/** Installs the tool unless its lockfile was installed before; returns the folder. Throws when npm fails. */
function installed(root: string): string {
  const from = path.join(root, 'scripts/mutate/tool');
  const into = path.join(root, '.cache/mutate/tool');
  const lock = fs.readFileSync(path.join(from, 'package-lock.json'), 'utf8');
  const done = path.join(into, 'installed.lock');
  if (fs.existsSync(done) && fs.readFileSync(done, 'utf8') === lock) return into;
  fs.rmSync(into, { recursive: true, force: true });
  fs.mkdirSync(into, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) fs.copyFileSync(path.join(from, name), path.join(into, name));
  const child = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: into,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (child.status !== 0) throw new Error('the mutation tool could not be installed: npm ci failed in .cache/mutate/tool');
  fs.writeFileSync(done, lock);
  return into;
}

/** A module of the tool, whose types the house does not have: only what is named here is relied on. */
async function toolModule<T>(folder: string, specifier: string): Promise<T> {
  const file = path.join(folder, 'node_modules', specifier);
  return (await import(pathToFileURL(file).href)) as T;
}

/** The text between two places of the tool, whose lines and columns start at 0. */
function between(text: string, { start, end }: PlacedMutant['location']): string {
  const lines = text.split('\n').slice(start.line, end.line + 1);
  const last = lines.length - 1;
  return lines.map((line, at) => line.slice(at === 0 ? start.column : 0, at === last ? end.column : undefined)).join('\n');
}

/** Puts every mutant of the files, named relative to the root, behind its switch. */
export async function instrument(root: string, files: readonly string[]): Promise<Instrumented> {
  const folder = installed(root);
  const { createInstrumenter } = await toolModule<Tool>(folder, '@stryker-mutator/instrumenter/dist/src/index.js');
  const { createInjector } = await toolModule<{ createInjector(): Injector }>(folder, 'typed-inject/dist/src/index.js');
  const instrumenter = createInjector().provideValue('logger', LOGGER).injectFunction(createInstrumenter);
  const texts = new Map(files.map((file) => [path.join(root, file), fs.readFileSync(path.join(root, file), 'utf8')]));
  const given = [...texts].map(([name, content]) => ({ name, content, mutate: true }));
  const placed = await instrumenter.instrument(given, { plugins: null, excludedMutations: [], ignorers: [], noHeader: false });
  const mutants = placed.mutants.map(({ id, fileName, mutatorName, replacement, location }) => {
    const text = texts.get(fileName) ?? '';
    const context = (text.split('\n')[location.start.line] ?? '').trim();
    const { line, column } = location.start;
    const original = between(text, location);
    return {
      id,
      file: path.relative(root, fileName),
      line: line + 1,
      column: column + 1,
      mutator: mutatorName,
      original,
      replacement,
      context,
    };
  });
  return { sources: new Map(placed.files.map(({ name, content }) => [name, content])), mutants };
}
