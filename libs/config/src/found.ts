/**
 * What `init` finds in a repository: commands for tests, linters, formatters, type checkers and builds, folders the sandbox has to be given. Must never
 * run anything, and never guess: each find says where it comes from, and where several fit none is taken (MECHANICS part 2 "no lint command",
 * "project dependencies in the sandbox").
 */
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '@openexec/canon';
import { type CommandName, type FoundCommand, type Look, toolCandidates } from './foundTools.ts';

/** A folder that commands need and that is not in the commits. */
export interface FoundFolder {
  /** Relative to the root. */
  readonly path: string;
  readonly because: string;
}
/** One command, as far as the repository says: found, not there, or not clear; then every candidate is named. */
export interface Finding {
  readonly found: FoundCommand | null;
  /** Why nothing was taken although something was there; null otherwise. */
  readonly unclear: string | null;
  /** Others that would do, for a comment. */
  readonly others: readonly FoundCommand[];
}
/** Everything that was found. */
export interface Findings {
  readonly commands: Readonly<Record<CommandName, Finding>>;
  readonly provide: readonly FoundFolder[];
}
/** What `npm init` writes where there is no test yet. */
const NPM_PLACEHOLDER = /no test specified/;
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Names that scripts and make targets usually have, the best first. */
const WORDS: Readonly<Record<CommandName, readonly string[]>> = {
  test: ['test'],
  lint: ['lint'],
  format: ['format', 'fmt'],
  typecheck: ['typecheck', 'type-check', 'check-types', 'types'],
  build: ['build'],
};
const LOCKFILES = [
  ['npm', 'package-lock.json'],
  ['npm', 'npm-shrinkwrap.json'],
  ['pnpm', 'pnpm-lock.yaml'],
  ['yarn', 'yarn.lock'],
  ['bun', 'bun.lock'],
  ['bun', 'bun.lockb'],
] as const;
/** Folders of dependencies; `ignored`: only where .gitignore says that it is not in the commits. */
const FOLDERS: readonly (readonly [string, string, 'always' | 'ignored'])[] = [
  ['node_modules', 'packages of npm, pnpm or yarn', 'always'],
  ['.venv', 'a Python environment', 'always'],
  ['venv', 'a Python environment', 'ignored'],
  ['vendor', 'vendored dependencies', 'ignored'],
];

/** Looks at the usual files of a repository's top folder. */
export function findCommands(root: string): Findings {
  const look = lookAt(root);
  const scripts = packageScripts(look);
  const runner = runnerOf(look);
  const finding = (name: CommandName): Finding => {
    const [script, ...otherScripts] = scriptsFor(name, scripts);
    if (script !== undefined && runner.unclear !== null)
      return { found: null, unclear: `package.json has a script "${script}", but ${runner.unclear}`, others: [] };
    const words = [
      ...[script, ...otherScripts].flatMap((each) => (each === undefined ? [] : [scriptCommand(runner.name, each)])),
      ...targets(look, name),
    ];
    const tools = toolCandidates(look, name);
    // The repository's own words say what is meant; tools are only signs.
    const [first, ...rest] = words;
    if (first !== undefined) return { found: first, unclear: null, others: [...rest, ...tools] };
    if (tools.length < 2) return { found: tools[0] ?? null, unclear: null, others: [] };
    return { found: null, unclear: `several tools fit (${tools.map(({ because }) => because).join('; ')})`, others: tools };
  };
  return {
    commands: {
      test: finding('test'),
      lint: finding('lint'),
      format: finding('format'),
      typecheck: finding('typecheck'),
      build: finding('build'),
    },
    provide: FOLDERS.filter(([path, , when]) => look.isFolder(path) && (when === 'always' || isIgnored(look, path))).map(
      ([path, because]) => ({
        path,
        because,
      }),
    ),
  };
}

function lookAt(root: string): Look {
  return {
    has: (name) => existsSync(join(root, name)),
    text: (name) => readSmall(join(root, name)) ?? '',
    isFolder: (name) => lstatSync(join(root, name), { throwIfNoEntry: false })?.isDirectory() === true,
  };
}

/** A line of its own in the top .gitignore; anything cleverer is for the person to add. */
function isIgnored(look: Look, path: string): boolean {
  return look
    .text('.gitignore')
    .split(/\r?\n/)
    .some((line) => line.trim().replace(/^\//, '').replace(/\/$/, '') === path);
}

/** Scripts of that name that do what the name says; a formatter that only checks is none. */
function scriptsFor(name: CommandName, scripts: Scripts): string[] {
  return WORDS[name].filter((word) => {
    const text = scripts[word];
    if (text === undefined || NPM_PLACEHOLDER.test(text)) return false;
    return name !== 'format' || !/(^|\s)(--check|--list-different|-c|-l)(\s|$)/.test(text);
  });
}

function scriptCommand(runner: string, script: string): FoundCommand {
  const argv = script === 'test' && runner !== 'bun' ? [runner, 'test'] : [runner, 'run', script];
  return { argv, because: `package.json has a script "${script}"` };
}

/** Which program runs the scripts: what `packageManager` says, else the one lock file; never a guess between two. */
function runnerOf(look: Look): { readonly name: string; readonly unclear: string | null } {
  const declared = manifestOf(look)?.['packageManager'];
  const said = typeof declared === 'string' ? /^(npm|pnpm|yarn|bun)@/.exec(declared)?.[1] : undefined;
  if (said !== undefined) return { name: said, unclear: null };
  const locks = LOCKFILES.filter(([, file]) => look.has(file));
  const names = new Set(locks.map(([name]) => name));
  if (names.size < 2) return { name: locks[0]?.[0] ?? 'npm', unclear: null };
  return { name: 'npm', unclear: `the lock files ${locks.map(([, file]) => file).join(' and ')} do not say which program runs it` };
}

function targets(look: Look, name: CommandName): FoundCommand[] {
  const makefile = ['GNUmakefile', 'Makefile', 'makefile'].find((file) => look.has(file));
  if (makefile === undefined) return [];
  const text = look.text(makefile);
  return WORDS[name]
    .filter((word) => new RegExp(`^${word}\\s*:(?!=)`, 'm').test(text))
    .map((word) => ({ argv: ['make', word], because: `${makefile} has a target ${word}` }));
}

type Scripts = { readonly [name: string]: string | undefined };

function manifestOf(look: Look): { readonly [name: string]: unknown } | null {
  const text = look.text('package.json');
  const parsed = text === '' ? null : parseJson(text, { numbers: 'doubles', maxBytes: MAX_MANIFEST_BYTES });
  return parsed?.ok === true && isObject(parsed.value) ? parsed.value : null;
}

function packageScripts(look: Look): Scripts {
  const scripts = manifestOf(look)?.['scripts'];
  if (!isObject(scripts)) return {};
  return Object.fromEntries(Object.entries(scripts).map(([name, value]) => [name, typeof value === 'string' ? value : undefined]));
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readSmall(file: string): string | null {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size <= MAX_MANIFEST_BYTES ? readFileSync(file, 'utf8') : null;
}
