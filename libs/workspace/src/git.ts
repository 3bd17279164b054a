/**
 * The one door through which git runs on the host. Plumbing verbs with hooks, monitors, drivers, pagers, prompts and transports off, an empty
 * environment, an absolute path and never a shell. Must never be pointed at a git directory that a sandboxed command can write
 * (SECURITY §3.4: with a trusted GIT_DIR 0 of 9 hostile work trees ran anything, with flags alone 12 of 37 still did).
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Bytes, err, ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import { fault, refuse, shown, systemCode } from './failure.ts';

/** Where git works. Everything is explicit; nothing is discovered unless `gitDir` is null (used once, to find the user's repository). */
export interface GitPlace {
  readonly gitDir: string | null;
  readonly workTree?: string;
  readonly indexFile?: string;
  /** Object folder of another repository that is only read. */
  readonly alternates?: string;
  /** Working directory of the process. */
  readonly directory?: string;
  /** Who runs git; only root can choose another id than its own (objects landed in a user's repository stay the user's). */
  readonly as?: { readonly uid: number; readonly gid: number } | undefined;
  /** Reads the user's own global and system configuration; only for changing the user's checkout at the user's command. */
  readonly userConfig?: boolean;
}
/** One call of git: `args` follow the fixed options, `config` adds `-c` pairs, `deadlineMs` and `maxOutputBytes` bound it. */
export interface GitCall {
  readonly at: GitPlace;
  readonly args: readonly string[];
  readonly stdin?: Bytes;
  /** Author, committer and dates: the only variables a caller may add. */
  readonly identity?: Readonly<Record<`GIT_${'AUTHOR' | 'COMMITTER'}_${'NAME' | 'EMAIL' | 'DATE'}`, string>>;
  readonly config?: readonly string[];
  readonly maxOutputBytes?: number;
  readonly deadlineMs?: number;
}
/** What git answered, whatever its exit code; `stderr` is bounded. */
export interface GitAnswer {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const GIT_PLACES = ['/usr/bin/git', '/usr/local/bin/git', '/opt/homebrew/bin/git', '/bin/git'];
const DEADLINE_MS = 5 * 60_000;
const OUTPUT_MAX = 512 * 1024 * 1024;
const STDERR_MAX = 16 * 1024;
/** SECURITY §3.4. */
const FIXED_ENVIRONMENT: Readonly<Record<string, string>> = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  SSH_ASKPASS: '/bin/false',
  GIT_EDITOR: '/bin/false',
  GIT_PAGER: 'cat',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_ALLOW_PROTOCOL: 'none',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_LFS_SKIP_SMUDGE: '1',
  GIT_LITERAL_PATHSPECS: '1',
  LC_ALL: 'C',
};
const ISOLATED: Readonly<Record<string, string>> = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_ATTR_NOSYSTEM: '1' };
const FIXED_CONFIG = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.protectHFS=true',
  'core.protectNTFS=true',
  'core.sshCommand=/bin/false',
  'core.pager=cat',
  'core.editor=/bin/false',
  'protocol.allow=never',
  'submodule.recurse=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'commit.gpgSign=false',
  'merge.verifySignatures=false',
  'safe.bareRepository=explicit',
  'advice.detachedHead=false',
];
const ISOLATED_CONFIG = ['core.attributesFile=/dev/null', 'core.excludesFile=/dev/null'];

let foundGit: string | null = null;
/** Absolute path of git, from a fixed list of places: PATH never decides. */
export function gitPath(): string {
  if (foundGit !== null) return foundGit;
  for (const place of GIT_PLACES) {
    try {
      accessSync(place, constants.X_OK);
      foundGit = place;
      return place;
    } catch {
      // Not here; the next place is tried and the end of the list refuses.
    }
  }
  throw fault('workspace.git', `git was not found at ${GIT_PLACES.join(', ')}; install git and run again`);
}

function start(call: GitCall): ChildProcessWithoutNullStreams {
  const { at } = call;
  const config = [...FIXED_CONFIG, ...(at.userConfig === true ? [] : ISOLATED_CONFIG), ...(call.config ?? [])].flatMap((c) => ['-c', c]);
  const home = process.env['HOME'];
  const env: Record<string, string> = {
    ...FIXED_ENVIRONMENT,
    ...(at.userConfig === true ? (home === undefined ? {} : { HOME: home }) : ISOLATED),
    ...call.identity,
  };
  // A driver the user configured (LFS, line endings) is looked up by name, as in the user's own `git merge`.
  if (at.userConfig === true) env['PATH'] = process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';
  if (at.gitDir !== null) env['GIT_DIR'] = at.gitDir;
  if (at.workTree !== undefined) env['GIT_WORK_TREE'] = at.workTree;
  if (at.indexFile !== undefined) env['GIT_INDEX_FILE'] = at.indexFile;
  if (at.alternates !== undefined) env['GIT_ALTERNATE_OBJECT_DIRECTORIES'] = quoteAlternate(at.alternates);
  return spawn(gitPath(), [...config, ...call.args], {
    cwd: at.directory ?? '/',
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    shell: false,
    ...at.as,
  });
}

/** The variable is a colon-separated list; git undoes C quoting in it, so a path with a colon stays one path. */
function quoteAlternate(path: string): string {
  return /[:"\\\n]/.test(path) ? `"${path.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')}"` : path;
}

/** Collects what git says about itself, bounded. */
function listenToErrors(child: ChildProcessWithoutNullStreams): () => string {
  const kept: Buffer[] = [];
  let bytes = 0;
  child.stderr.on('data', (chunk: Buffer) => {
    if (bytes < STDERR_MAX) kept.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(kept).toString('utf8').trim();
}

/** Resolves when the process is gone and its pipes are drained; a deadline kills it. */
async function finish(child: ChildProcessWithoutNullStreams, deadlineMs: number): Promise<Result<number, WorkspaceFailure>> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, deadlineMs);
  try {
    const [exitCode, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (late)
      return refuse('workspace.git', `git was stopped after ${deadlineMs} ms; the repository may be too large or its disk too slow`);
    return exitCode === null ? refuse('workspace.git', `git was ended by ${signal ?? 'a signal'}; run again`) : ok(exitCode);
  } catch (caught) {
    return refuse('workspace.git', `git could not be started (${systemCode(caught)})`);
  } finally {
    clearTimeout(timer);
  }
}

/** Writes input; a reader that has already gone shows in its exit status, so a broken pipe is not an error of its own. */
function feed(child: ChildProcessWithoutNullStreams, stdin: Bytes | undefined): void {
  child.stdin.on('error', () => undefined);
  if (stdin === undefined) child.stdin.end();
  else child.stdin.end(stdin);
}

/** Runs git once and hands back whatever it answered, also when its exit status is not zero. */
export async function gitAnswer(call: GitCall): Promise<Result<GitAnswer, WorkspaceFailure>> {
  const child = start(call);
  const stderr = listenToErrors(child);
  const chunks: Buffer[] = [];
  const max = call.maxOutputBytes ?? OUTPUT_MAX;
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= max) chunks.push(chunk);
    else child.kill('SIGKILL');
  });
  feed(child, call.stdin);
  const ended = await finish(child, call.deadlineMs ?? DEADLINE_MS);
  if (bytes > max)
    return refuse('workspace.quota', `git answered with more than ${max} bytes; the repository is larger than the limits of this run`);
  return ended.ok ? ok({ exitCode: ended.value, stdout: Buffer.concat(chunks), stderr: stderr() }) : ended;
}

/** Runs git once; an exit status other than 0 is `workspace.git`, or `workspace.objectMissing` where git says so. */
export async function git(call: GitCall): Promise<Result<Buffer, WorkspaceFailure>> {
  const answer = await gitAnswer(call);
  if (!answer.ok) return answer;
  return answer.value.exitCode === 0
    ? ok(answer.value.stdout)
    : err(gitFailure(call.args[0] ?? 'git', answer.value.exitCode, answer.value.stderr));
}

/** As `git`, with the answer as one line of text. */
export async function gitLine(call: GitCall): Promise<Result<string, WorkspaceFailure>> {
  const answer = await git(call);
  return answer.ok ? ok(answer.value.toString('utf8').replace(/\n$/, '')) : answer;
}

/** What git refused, as a value. */
export function gitFailure(verb: string, exitCode: number, stderr: string): WorkspaceFailure {
  const missing =
    /unable to read|bad object|missing (blob|tree|commit)|could not fetch|not a valid object|unable to find|promisor|cannot read|bad tree object/i.test(
      stderr,
    );
  if (missing) {
    return {
      code: 'workspace.objectMissing',
      message: `git ${verb} lacks an object: ${shown(stderr)}; fetch the missing objects (a shallow or partial clone?) and run again`,
    };
  }
  return { code: 'workspace.git', message: `git ${verb} ended with ${exitCode}: ${shown(stderr)}` };
}

/** Streams what `from` writes into `into`; nothing is held in memory. Both must end with 0. */
export async function gitPipe(from: GitCall, into: GitCall): Promise<Result<Buffer, WorkspaceFailure>> {
  const source = start(from);
  const sink = start(into);
  const sourceErrors = listenToErrors(source);
  const sinkErrors = listenToErrors(sink);
  const chunks: Buffer[] = [];
  sink.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  feed(source, from.stdin);
  const deadlineMs = from.deadlineMs ?? DEADLINE_MS;
  const [sourceEnd, sinkEnd] = await Promise.all([
    finish(source, deadlineMs),
    finish(sink, deadlineMs),
    // A side that died breaks the pipe; its exit status says why.
    pipeline(source.stdout, sink.stdin).catch(() => undefined),
  ]);
  if (!sourceEnd.ok) return sourceEnd;
  if (sourceEnd.value !== 0) return err(gitFailure(from.args[0] ?? 'git', sourceEnd.value, sourceErrors()));
  if (!sinkEnd.ok) return sinkEnd;
  if (sinkEnd.value !== 0) return err(gitFailure(into.args[0] ?? 'git', sinkEnd.value, sinkErrors()));
  return ok(Buffer.concat(chunks));
}

/** An object is handed over whole up to this size, a larger one in parts of it: 64 MiB, the largest file a run may write. */
const PART_BYTES = 64 * 1024 ** 2;

/**
 * Reads objects by `cat-file --batch`, in the order asked, one at a time and each in parts of at most {@link PART_BYTES} (an empty object is one
 * empty part). `onPart` may be slow: reading waits for it. An object that is missing is `workspace.objectMissing`; one larger than `maxBytes` is
 * `workspace.tooLarge`.
 */
export async function gitObjects(
  at: GitPlace,
  oids: readonly string[],
  maxBytes: number,
  onPart: (index: number, part: Buffer, last: boolean) => void,
): Promise<Result<void, WorkspaceFailure>> {
  if (oids.length === 0) return ok(undefined);
  const child = start({ at, args: ['cat-file', '--batch'] });
  const stderr = listenToErrors(child);
  const ended = finish(child, DEADLINE_MS);
  feed(child, Buffer.from(`${oids.join('\n')}\n`, 'ascii'));
  const reader = batchReader(child.stdout);
  let problem: WorkspaceFailure | null = null;
  for (let index = 0; index < oids.length && problem === null; index += 1) {
    problem = await readObject(reader, oids[index] ?? '', maxBytes, (part, last) => onPart(index, part, last));
    if (problem?.code === 'workspace.git') problem = { ...problem, message: `${problem.message}: ${shown(stderr())}` };
  }
  if (problem !== null) child.kill('SIGKILL');
  // What nobody reads any more would keep the pipe open, and the process would never count as ended.
  child.stdout.destroy();
  const end = await ended;
  if (problem !== null) return err(problem);
  if (!end.ok) return end;
  return end.value === 0 ? ok(undefined) : err(gitFailure('cat-file', end.value, stderr()));
}

async function readObject(
  reader: ReturnType<typeof batchReader>,
  oid: string,
  maxBytes: number,
  onPart: (part: Buffer, last: boolean) => void,
): Promise<WorkspaceFailure | null> {
  const header = await reader.line();
  const match = /^([0-9a-f]+) (?:blob|tree|commit|tag) (\d+)$/.exec(header ?? '');
  let missing = Number(match?.[2] ?? 0);
  if (match === null || match[1] !== oid)
    return { code: 'workspace.objectMissing', message: `object ${oid} is missing or unreadable; fetch it and run again` };
  if (missing > maxBytes)
    return {
      code: 'workspace.tooLarge',
      message: `object ${oid} has ${missing} bytes, more than the ${maxBytes} this run allows for one file`,
    };
  do {
    const wanted = Math.min(missing, PART_BYTES);
    const part = await reader.exactly(wanted);
    if (part === null) return { code: 'workspace.git', message: 'git cat-file stopped early' };
    missing -= wanted;
    onPart(part, missing === 0);
  } while (missing > 0);
  return (await reader.exactly(1)) === null ? { code: 'workspace.git', message: 'git cat-file stopped early' } : null;
}

/** Pulls lines and exact byte counts out of a stream, with back-pressure. */
function batchReader(stream: AsyncIterable<Buffer>): { line(): Promise<string | null>; exactly(bytes: number): Promise<Buffer | null> } {
  const source = stream[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await source.next();
    if (next.done === true) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  return {
    async line() {
      let at = held.indexOf(10);
      while (at < 0 && (await more())) at = held.indexOf(10);
      if (at < 0) return null;
      const text = held.toString('latin1', 0, at);
      held = held.subarray(at + 1);
      return text;
    },
    async exactly(bytes) {
      const parts: Buffer[] = [];
      let missing = bytes;
      for (;;) {
        const part = held.subarray(0, missing);
        held = held.subarray(part.length);
        parts.push(part);
        missing -= part.length;
        if (missing === 0) return parts.length === 1 ? part : Buffer.concat(parts, bytes);
        if (!(await more())) return null;
      }
    },
  };
}
