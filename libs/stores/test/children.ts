/** Children of these tests: bundling the TypeScript they run, and running them to a natural or a violent end. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** Bundles a child of these tests once; add-ons and other packages come from node_modules, so the result lies below the repository. */
export async function bundled(name: string): Promise<string> {
  const outfile = join(root, '.cache/stores-children', `${name}-${process.pid}.mjs`);
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    entryPoints: [join(root, 'libs/stores/test', `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    conditions: ['@openexec/source', 'node'],
    external: ['better-sqlite3', '@eventstore/db-client', '@noble/*', 'zod', 'pg', 'kysely'],
    logLevel: 'error',
  });
  return outfile;
}

/** A folder on a memory file system where there is one: what is simulated needs no real disk. */
export function scratch(name: string): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), name));
}

/** What became of a child. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly errors: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs a command to its end; with `killAfterMs` it is killed that long after what `onLine` does on its first line is done. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly killAfterMs?: number; readonly onLine?: () => void | Promise<void>; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((settle, fail) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(options.env === undefined ? {} : { env: options.env }) });
    let text = '';
    let errors = '';
    let isArmed = false;
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (options.killAfterMs === undefined || isArmed || !text.includes('\n')) return;
      isArmed = true;
      Promise.resolve(options.onLine?.()).then(
        () => setTimeout(() => child.kill('SIGKILL'), options.killAfterMs),
        (caught: unknown) => {
          child.kill('SIGKILL');
          fail(caught);
        },
      );
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString('utf8');
    });
    child.on('error', fail);
    // What was written before a kill is still in the pipe: wait for its end.
    child.on('close', (code, signal) =>
      settle({
        lines: text
          .slice(0, text.lastIndexOf('\n') + 1)
          .split('\n')
          .slice(0, -1),
        errors,
        code,
        signal,
      }),
    );
  });
}
