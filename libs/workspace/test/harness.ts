/**
 * What the tests of this package share: temporary repositories, run folders that a dropped id can reach, profiles, a redactor. Plain git runs here
 * as a user would run it, but with the machine's configuration off.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { BaseTree, CommandOutcome, Sandbox, SandboxOrder, StopSignal, Workspace } from '@openexec/catalogue';
import type { SandboxProfile } from '@openexec/protocol';
import {
  createRedactor,
  describeToolchain,
  inspectRepository,
  openWorkspace,
  type RepositoryFacts,
  sandboxIdentity,
  seccompArch,
  seccompDigest,
} from '../src/index.ts';
import type { OpenWorkspaceOptions, Redactor } from '../src/index.ts';

export const SECRET = 'correct-horse/battery+staple=42';
export const redactor: Redactor = createRedactor({ secrets: [{ kind: 'install', value: SECRET }], tagKey: new Uint8Array(32).fill(7) });
export const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };

const made: string[] = [];
/** A fresh folder that other ids may pass through. */
export function temporary(name = 'ws'): string {
  const folder = mkdtempSync(join(tmpdir(), `openexec-test-${name}-`));
  chmodSync(folder, 0o755);
  made.push(folder);
  return folder;
}
export function cleanUp(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

const ENV = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_AUTHOR_DATE: '@1700000000 +0000',
  GIT_COMMITTER_DATE: '@1700000000 +0000',
};
/** Git as a person runs it: hooks, filters and drivers of the repository are on. */
export function git(directory: string, ...args: readonly string[]): string {
  return execFileSync('git', ['-C', directory, ...args], { env: ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

export function write(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(`${root}/${path}`), { recursive: true });
    writeFileSync(`${root}/${path}`, content);
  }
}

export const FILES: Readonly<Record<string, string>> = {
  'README.md': '# sample\n',
  'package.json': '{"name":"sample","version":"1.0.0","type":"module","scripts":{"test":"node --test"}}\n',
  'src/sum.js': 'export const sum = (a, b) => a + b;\n',
  'test/sum.test.js':
    "import test from 'node:test';\nimport assert from 'node:assert';\nimport { sum } from '../src/sum.js';\ntest('adds', () => assert.equal(sum(1, 2), 3));\n",
  '.gitignore': 'ignored/\n*.log\n',
};
/** A committed repository in a folder of its own. */
export function repository(files: Readonly<Record<string, string>> = FILES, format: 'sha1' | 'sha256' = 'sha1'): string {
  const root = temporary('repo');
  git(root, 'init', '-q', '-b', 'main', `--object-format=${format}`);
  write(root, files);
  git(root, 'add', '-A', '-f');
  git(root, 'commit', '-q', '-m', 'first');
  return root;
}

export function value<T>(
  result:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } },
): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}
export function code(result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string {
  return result.ok ? 'ok' : (result.error?.code ?? 'none');
}

export interface Opened {
  readonly workspace: Workspace;
  readonly base: BaseTree;
  readonly facts: RepositoryFacts;
  readonly directory: string;
}
/** Opens and fills a workspace on HEAD. */
export async function opened(root: string, more: Partial<OpenWorkspaceOptions> = {}): Promise<Opened> {
  const facts = value(await inspectRepository(root));
  const directory = more.directory ?? temporary('run');
  const { workspace, base } = value(
    await openWorkspace({ repository: facts, base: facts.head, directory, identity: sandboxIdentity(), redactor, ...more }),
  );
  value(await workspace.rebuild([]));
  return { workspace, base, facts, directory };
}

export function profile(more: Partial<SandboxProfile> = {}, limits: Partial<SandboxProfile['limits']> = {}): SandboxProfile {
  const arch = seccompArch();
  if (arch === null) throw new Error('no system-call filter for this CPU: the suite cannot run');
  return {
    version: 1,
    mode: 'workspace_write',
    network: 'none',
    workspace: 'rw',
    protectedPaths: [],
    provide: [],
    toolchain: [describeToolchain().symbol],
    environment: [],
    limits: {
      memoryBytes: 1024 ** 3,
      processes: 256,
      cpuMs: 60_000,
      fileBytes: 512 * 1024 ** 2,
      tmpBytes: 64 * 1024 ** 2,
      homeBytes: 16 * 1024 ** 2,
      outputBytes: 64 * 1024 ** 2,
      openFiles: 1024,
      diskBytes: 1024 ** 3,
      inodes: 100_000,
      ...limits,
    },
    seccomp: seccompDigest(arch),
    ...more,
  };
}

/** For a command that must come to its end: a busy machine is slow, and only a hang takes minutes. */
export const AMPLE_MS = 120_000;
/** Waits for something that is sure to come about; false when it has not after so long that it never will. */
export async function comesAbout(is: () => boolean, withinMs = AMPLE_MS): Promise<boolean> {
  for (const since = performance.now(); !is(); await pause(10)) if (performance.now() - since > withinMs) return false;
  return true;
}
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** What a command came to under a deadline that left it the time to get ready. A quick machine needs only the shortest of them. */
export async function stoppedWhenReady<T>(go: (deadlineMs: number) => Promise<T>, ready: (ran: T) => boolean, firstMs = 500): Promise<T> {
  let ran = await go(firstMs);
  for (const deadlineMs of [5_000, 40_000]) if (!ready(ran)) ran = await go(deadlineMs);
  return ran;
}
/** The least of up to five measured times, the first that is short enough: a busy machine delays some of them, a defect all. */
export async function leastOf(enoughMs: number, measure: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5 && least >= enoughMs; attempt += 1) least = Math.min(least, await measure());
  return least;
}

export interface Ran extends CommandOutcome {
  readonly out: string;
  readonly errors: string;
}
/** Runs a command in a tree and fails the test when the sandbox itself fails. */
export async function run(sandbox: Sandbox, workspace: string, argv: readonly string[], more: Partial<SandboxOrder> = {}): Promise<Ran> {
  const outcome = value(
    await sandbox.run(
      { profile: profile(), argv, directory: '', workspace, gitView: null, deadlineMs: AMPLE_MS, stdin: null, ...more },
      NEVER,
    ),
  );
  const text = (head: Uint8Array, tail: Uint8Array): string => Buffer.concat([head, tail]).toString('utf8');
  return { ...outcome, out: text(outcome.stdout.head, outcome.stdout.tail), errors: text(outcome.stderr.head, outcome.stderr.tail) };
}
