/**
 * The bundle under test: built once per test file, run as a process of its own with throw-away places. Nothing else is ever executed.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
interface Child {
  readonly pid: number | undefined;
  /** What it has said on stdout so far. */
  stdout(): string;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}
export interface Bundle {
  /** Path of the entry file. */
  readonly entry: string;
  start(args: readonly string[], options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Child;
  run(args: readonly string[], options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Promise<Ended>;
  remove(): void;
}

/** Waits for something that is sure to come about; gives up when it has not after so long that it never will. */
export async function until(what: string, is: () => boolean): Promise<void> {
  for (const since = performance.now(); !is(); await new Promise((next) => setTimeout(next, 10)))
    if (performance.now() - since > 120_000) throw new Error(`waited in vain: ${what}`);
}

/** Builds the bundle into a folder of its own, below the repository so that the native add-on is found. */
export async function buildBundle(): Promise<Bundle> {
  mkdirSync(join(HOUSE, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(HOUSE, '.cache/cli-test-'));
  const built = await collect(process.execPath, [join(HOUSE, 'apps/cli/scripts/build.mjs'), folder], { cwd: HOUSE, env: plainEnv() }).ended;
  if (built.exit !== 0) throw new Error(`the bundle was not built: ${built.stderr}`);
  const entry = join(folder, 'openexec.mjs');
  const start: Bundle['start'] = (args, { cwd, env = {} }) =>
    collect(process.execPath, [entry, ...args], { cwd, env: { ...plainEnv(), ...env } });
  return {
    entry,
    start,
    run: (args, options) => start(args, options).ended,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The environment without what would change the outcome: keys of providers, places, colours. */
function plainEnv(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG'].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...(Object.fromEntries(kept) as Record<string, string>), CI: 'true', NO_COLOR: '1' };
}

function collect(command: string, args: readonly string[], options: { readonly cwd: string; readonly env: Record<string, string> }): Child {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolveEnd, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolveEnd({ exit, stdout, stderr }));
  });
  return { pid: child.pid, stdout: () => stdout, ended, kill: (signal) => void child.kill(signal) };
}
