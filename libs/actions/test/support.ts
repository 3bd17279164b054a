/**
 * A committed repository, its real workspace and the real sandbox, for tests of the actions.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Bytes, Digest, Json, Result } from '@openexec/canon';
import {
  type ActionHost,
  type BaseTree,
  builtinActions,
  compileProfile,
  type Execution,
  type ExecutionFailure,
  type ExecutionOrder,
  type Sandbox,
  type StopSignal,
  TIMEOUT_MS,
  type Workspace,
} from '@openexec/catalogue';
import {
  createRedactor,
  createSandbox,
  describeToolchain,
  inspectRepository,
  openWorkspace,
  sandboxIdentity,
  seccompArch,
  seccompDigest,
} from '@openexec/workspace';
import { createActionHost } from '../src/index.ts';

export const SECRET = 'correct-horse/battery+staple=42';
const redactor = createRedactor({ secrets: [{ kind: 'install', value: SECRET }], tagKey: new Uint8Array(32).fill(7) });
export const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
export type Files = Readonly<Record<string, string | Buffer>>;

const made: string[] = [];
/** A fresh folder that the sandbox's id may pass through. */
function temporary(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `openexec-actions-${name}-`));
  chmodSync(folder, 0o755);
  made.push(folder);
  return folder;
}
export function cleanUp(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

const WHO = {
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_AUTHOR_DATE: '@1700000000 +0000',
  GIT_COMMITTER_DATE: '@1700000000 +0000',
};
const ENV = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  ...WHO,
};
export function git(directory: string, ...args: readonly string[]): string {
  return execFileSync('git', ['-C', directory, ...args], { env: ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}
function write(root: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(`${root}/${path}`), { recursive: true });
    writeFileSync(`${root}/${path}`, content);
  }
}

let shared: Sandbox | null = null;
/** One sandbox for the whole suite: its canaries run once. */
export function sandbox(): Sandbox {
  shared ??= createSandbox({ redactor });
  return shared;
}

export function value<T>(result: Result<T, { readonly code: string; readonly message: string }>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

export interface Scene {
  readonly host: ActionHost;
  readonly workspace: Workspace;
  readonly base: BaseTree;
  readonly repository: string;
  run(action: string, args: Json, more?: Partial<ExecutionOrder>, stop?: StopSignal): Promise<Result<Execution, ExecutionFailure>>;
}
/** A workspace on the first commit of a repository with these files. */
export async function scene(
  files: Files,
  more: { readonly link?: readonly [string, string]; readonly executable?: string; readonly sandbox?: Sandbox } = {},
): Promise<Scene> {
  const repository = temporary('repo');
  git(repository, 'init', '-q', '-b', 'main');
  write(repository, files);
  if (more.link !== undefined) execFileSync('ln', ['-s', more.link[1], join(repository, more.link[0])]);
  if (more.executable !== undefined) chmodSync(join(repository, more.executable), 0o755);
  git(repository, 'add', '-A', '-f');
  git(repository, 'commit', '-q', '-m', 'first');
  const facts = value(await inspectRepository(repository));
  const { workspace, base } = value(
    await openWorkspace({ repository: facts, base: facts.head, directory: temporary('run'), identity: sandboxIdentity(), redactor }),
  );
  value(await workspace.rebuild([]));
  const host = createActionHost({ workspace, sandbox: more.sandbox ?? sandbox(), redactor });
  const run: Scene['run'] = async (action, args, order = {}, stop = NEVER) => host.execute({ ...orderOf(action, args), ...order }, stop);
  return { host, workspace, base, repository, run };
}

const DIGEST = `sha256:${'0'.repeat(64)}` as Digest;
/** An order as the kernel would give it, with the deadline of the action's class. */
export function orderOf(action: string, args: Json): ExecutionOrder {
  const arch = seccompArch();
  if (arch === null) throw new Error('no system-call filter for this CPU: the suite cannot run');
  const profile = compileProfile({
    writ: { ceiling: ['read', 'write'], writePaths: ['**'] },
    mode: 'workspace_write',
    provide: [],
    toolchain: [describeToolchain().symbol],
    seccompDigest: seccompDigest(arch),
    limits: { memoryBytes: 1024 ** 3 },
  });
  const contract = builtinActions.find((each) => each.name === action);
  return {
    execution: DIGEST,
    idempotencyKey: DIGEST,
    action,
    arguments: args,
    command: null,
    profile,
    deadlineMs: Math.max(TIMEOUT_MS[contract?.timeout ?? 'fast'], AMPLE_MS),
    artifacts: new Map(),
    task: '',
  };
}

/** For a command that must come to its end: a busy machine is slow, and only a hang takes minutes. */
export const AMPLE_MS = 120_000;
/** What a command came to under a deadline that left it the time to get ready. A quick machine needs only the shortest of them. */
export async function stoppedWhenReady<T>(go: (deadlineMs: number) => Promise<T>, ready: (ran: T) => boolean): Promise<T> {
  let ran = await go(500);
  for (const deadlineMs of [5_000, 40_000]) if (!ready(ran)) ran = await go(deadlineMs);
  return ran;
}

export const textOf = (bytes: Bytes | null | undefined): string => Buffer.from(bytes ?? []).toString('utf8');
export const codeOf = (result: Result<Execution, ExecutionFailure>): string => (result.ok ? result.value.status : result.error.code);
export function artifactOf(execution: Execution, name: string): Json {
  const found = execution.artifacts.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no artifact ${name}`);
  return JSON.parse(textOf(found.bytes)) as Json;
}
