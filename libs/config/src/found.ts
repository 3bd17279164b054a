/**
 * What `init` finds in a repository: commands for tests and linters, folders the sandbox has to be given. Must never run anything; each find says
 * where it comes from, so that a person can judge it (MECHANICS part 2 "no lint command", "project dependencies in the sandbox").
 */
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '@openexec/canon';

/** A command that a repository seems to have. */
export interface FoundCommand {
  readonly argv: readonly string[];
  /** For people: where it was found. */
  readonly because: string;
}
/** Everything that was found. */
export interface Findings {
  readonly test: FoundCommand | null;
  readonly lint: FoundCommand | null;
  /** Untracked folders that commands need, relative to the root. */
  readonly provide: readonly string[];
}

/** What `npm init` writes where there is no test yet. */
const NPM_PLACEHOLDER = /no test specified/;
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** Looks at the usual files of a repository's top folder. */
export function findCommands(root: string): Findings {
  const scripts = packageScripts(root);
  const has = (name: string) => existsSync(join(root, name));
  const script = (name: string): FoundCommand | null => {
    const text = scripts[name];
    if (text === undefined || NPM_PLACEHOLDER.test(text)) return null;
    return { argv: name === 'test' ? ['npm', 'test'] : ['npm', 'run', name], because: `package.json has a script "${name}"` };
  };
  const when = (name: string, argv: readonly string[]): FoundCommand | null => (has(name) ? { argv, because: `there is ${name}` } : null);
  const pytest = ['pytest.ini', 'conftest.py', 'tox.ini'].find(has);
  const test =
    script('test') ??
    when('Cargo.toml', ['cargo', 'test', '--offline']) ??
    when('go.mod', ['go', 'test', './...']) ??
    (pytest === undefined ? null : when(pytest, ['python3', '-m', 'pytest'])) ??
    (makeTarget(root, 'test') ? { argv: ['make', 'test'], because: 'Makefile has a target test' } : null);
  const lint = script('lint') ?? (makeTarget(root, 'lint') ? { argv: ['make', 'lint'], because: 'Makefile has a target lint' } : null);
  const provide = ['node_modules'].filter((name) => lstatSync(join(root, name), { throwIfNoEntry: false })?.isDirectory() === true);
  return { test, lint, provide };
}

function packageScripts(root: string): { readonly [name: string]: string | undefined } {
  const text = readSmall(join(root, 'package.json'));
  const parsed = text === null ? null : parseJson(text, { numbers: 'doubles', maxBytes: MAX_MANIFEST_BYTES });
  const manifest = parsed?.ok === true ? parsed.value : null;
  const scripts = isObject(manifest) ? manifest['scripts'] : null;
  if (!isObject(scripts)) return {};
  return Object.fromEntries(Object.entries(scripts).map(([name, value]) => [name, typeof value === 'string' ? value : undefined]));
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function makeTarget(root: string, target: string): boolean {
  return new RegExp(`^${target}\\s*:`, 'm').test(readSmall(join(root, 'Makefile')) ?? '');
}

function readSmall(file: string): string | null {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size <= MAX_MANIFEST_BYTES ? readFileSync(file, 'utf8') : null;
}
