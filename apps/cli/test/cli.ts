/**
 * The bundle under test: built once per test file, run as a process of its own with throw-away places. Nothing else is ever executed.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** A bundle of other sources is kept this long. */
const MAX_AGE_MS = 3_600_000;

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

/** The bundle, built once for all suites of these very sources, below the repository so that the native add-on is found. Nobody may change it. */
export async function buildBundle(): Promise<Bundle> {
  const shared = join(HOUSE, '.cache/cli-test');
  const folder = join(shared, sourcesKey());
  const entry = join(folder, 'openexec.mjs');
  if (!existsSync(entry)) await buildInto(shared, folder);
  const start: Bundle['start'] = (args, { cwd, env = {} }) =>
    collect(process.execPath, [entry, ...args], { cwd, env: { ...plainEnv(), ...env } });
  return {
    entry,
    start,
    run: (args, options) => start(args, options).ended,
    remove: () => undefined,
  };
}

/** Two suites may build at once; whoever is first puts it there. */
async function buildInto(shared: string, folder: string): Promise<void> {
  mkdirSync(shared, { recursive: true });
  for (const name of readdirSync(shared)) {
    const old = join(shared, name);
    // Of sources that are no more; one that is young may be in use by another run of the suites.
    if (old !== folder && Date.now() - statSync(old).mtimeMs > MAX_AGE_MS) rmSync(old, { recursive: true, force: true });
  }
  const fresh = mkdtempSync(join(shared, 'new-'));
  const built = await collect(process.execPath, [join(HOUSE, 'apps/cli/scripts/build.mjs'), fresh], { cwd: HOUSE, env: plainEnv() }).ended;
  if (built.exit !== 0) throw new Error(`the bundle was not built: ${built.stderr}`);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    if (!existsSync(join(folder, 'openexec.mjs'))) throw error;
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Names, lengths and times of everything that goes into the bundle. */
function sourcesKey(): string {
  const hash = createHash('sha256');
  const folders = ['blueprints', 'test-fixtures/repos', 'test-fixtures/models', 'apps/cli/assets', 'apps/cli/src', 'apps/cli/scripts'];
  const libs = readdirSync(join(HOUSE, 'libs')).map((name) => `libs/${name}/src`);
  for (const folder of [...folders, ...libs]) {
    const root = join(HOUSE, folder);
    if (!existsSync(root)) continue;
    for (const file of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      const { size, mtimeNs } = statSync(join(file.parentPath, file.name), { bigint: true });
      hash.update(`${file.parentPath}/${file.name} ${size} ${mtimeNs}\n`);
    }
  }
  for (const file of ['package-lock.json', 'apps/cli/package.json']) hash.update(readFileSync(join(HOUSE, file)));
  return hash.digest('hex').slice(0, 32);
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
