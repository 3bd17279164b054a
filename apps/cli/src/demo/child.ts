/**
 * The demo types what a user would type: every step is this very command as a process of its own, in the sample repository, with
 * configuration and state in the demo's folder.
 */
import { spawn } from 'node:child_process';
import process from 'node:process';
import type { Output } from '../output.ts';

export interface Finished {
  readonly exit: number;
  readonly stdout: string;
}
interface ChildOptions {
  readonly cwd: string;
  readonly env: { readonly [name: string]: string | undefined };
  /** Shows what the child says while it says it; left out, only stdout is collected. */
  readonly show?: Output;
}

/** Runs `openexec ARGS`. Exit is 1 where a signal ended it. */
export async function openexec(args: readonly string[], options: ChildOptions): Promise<Finished> {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('this process does not know its own entry file');
  const child = spawn(process.execPath, [entry, ...args], { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'] });
  const collected: string[] = [];
  const lines = new LineSplitter((line) => options.show?.progress(line));
  child.stdout.setEncoding('utf8').on('data', (text: string) => void collected.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => lines.take(text));
  const exit = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
  lines.end();
  const stdout = collected.join('');
  if (options.show !== undefined && stdout !== '') options.show.result(stdout.replace(/\n$/, ''));
  return { exit, stdout };
}

class LineSplitter {
  readonly #line: (line: string) => void;
  #rest = '';

  constructor(line: (line: string) => void) {
    this.#line = line;
  }

  take(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) this.#line(part);
  }

  end(): void {
    if (this.#rest !== '') this.#line(this.#rest);
  }
}
