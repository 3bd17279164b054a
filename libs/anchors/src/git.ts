/**
 * A git ref as an anchor: a chain of commits, each with the checkpoint as its one file. Whoever fetches the ref has a copy that a later rewrite
 * contradicts. Must never run a hook, read a global configuration, or move the ref to what does not continue it.
 */
import { execFile } from 'node:child_process';
import process from 'node:process';
import { canonicalBytes, digestOf, err, ok, type Result } from '@openexec/canon';
import type { Anchor, AnchorError, AnchorSubmission } from '@openexec/proof';
import { bodyOfNote, continues } from './held.ts';

/** Where checkpoints stand by default. */
export const DEFAULT_REF = 'refs/openexec/checkpoints';
const FILE = 'checkpoint';
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT = 2 * 1024 * 1024;
const IDENTITY = 'openexec anchor <anchor@openexec.invalid>';
/** No hook, no helper and no other host can be reached from here. */
const QUIET = ['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-c', 'protocol.allow=never', '-c', 'gc.auto=0'];
const ABSENT = /^0+$/;

/** Which repository and ref. */
export interface GitOptions {
  readonly name: string;
  /** A folder inside the repository. */
  readonly repository: string;
  readonly ref: string;
  /** POSIX seconds for the commit. */
  now(): number;
  /** Of each call of git. */
  readonly timeoutMs?: number;
}
/** The repository, the ref, and how long git may take. */
type Where = Pick<GitOptions, 'repository' | 'ref' | 'timeoutMs'>;

/** Opens the anchor. */
export function gitAnchor(options: GitOptions): Anchor {
  return {
    name: options.name,
    type: 'git',
    submit: async (submission) => {
      const tip = await tipOf(options);
      if (!tip.ok) return tip;
      const held = await noteAt(options, tip.value);
      if (!held.ok) return held;
      const how = await continues(held.value, submission);
      if (!how.ok) return err({ ...how.error, message: `${options.name}: ${how.error.message}` });
      const commit = how.value === 'same' && tip.value !== null ? ok(tip.value) : await add(options, submission, tip.value);
      if (!commit.ok) return commit;
      const bytes = canonicalBytes({ commit: commit.value, ref: options.ref, v: 1 });
      return ok({ mediaType: 'application/json', bytes, digest: digestOf(bytes) });
    },
  };
}

/** The note at the tip of the ref; null where the ref is not there. */
export async function heldByGit(options: Where): Promise<Result<string | null, AnchorError>> {
  const tip = await tipOf(options);
  return tip.ok ? noteAt(options, tip.value) : tip;
}

async function tipOf(where: Where): Promise<Result<string | null, AnchorError>> {
  const { ref } = where;
  const found = await git(where, ['for-each-ref', '--format=%(objectname) %(refname)', '--', ref]);
  if (!found.ok) return found;
  const line = found.value.split('\n').find((each) => each.endsWith(` ${ref}`));
  return ok(line === undefined ? null : (line.split(' ')[0] ?? null));
}

async function noteAt(where: Where, commit: string | null): Promise<Result<string | null, AnchorError>> {
  if (commit === null) return ok(null);
  const note = await git(where, ['cat-file', 'blob', `${commit}:${FILE}`]);
  return note.ok ? note : err({ code: 'anchor.conflict', message: `the ref holds something else than checkpoints: ${note.error.message}` });
}

/** A commit behind the tip that was read; another writer in between makes git refuse the move. */
async function add(options: GitOptions, { checkpoint }: AnchorSubmission, tip: string | null): Promise<Result<string, AnchorError>> {
  const { ref } = options;
  const body = bodyOfNote(checkpoint);
  if (!body.ok) return body;
  const blob = await git(options, ['hash-object', '-w', '--no-filters', '--stdin'], checkpoint);
  if (!blob.ok) return blob;
  const tree = await git(options, ['mktree'], `100644 blob ${blob.value.trim()}\t${FILE}\n`);
  if (!tree.ok) return tree;
  const when = `${IDENTITY} ${options.now()} +0000`;
  const parent = tip === null ? '' : `parent ${tip}\n`;
  const text = `tree ${tree.value.trim()}\n${parent}author ${when}\ncommitter ${when}\n\ncheckpoint of ${body.value.origin}, size ${body.value.size}\n`;
  const commit = await git(options, ['hash-object', '-w', '-t', 'commit', '--stdin'], text);
  if (!commit.ok) return commit;
  const name = commit.value.trim();
  const none = '0'.repeat(name.length);
  const moved = await git(options, ['update-ref', '--create-reflog', ref, name, tip === null || ABSENT.test(tip) ? none : tip]);
  return moved.ok ? ok(name) : moved;
}

function git({ repository, timeoutMs = TIMEOUT_MS }: Where, args: readonly string[], input?: string): Promise<Result<string, AnchorError>> {
  return new Promise((resolve) => {
    const child = execFile(
      'git',
      [...QUIET, '-C', repository, ...args],
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT,
        env: {
          PATH: process.env['PATH'] ?? '/usr/bin:/bin',
          HOME: process.env['HOME'] ?? '/',
          LC_ALL: 'C',
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_TERMINAL_PROMPT: '0',
        },
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(ok(stdout));
        else resolve(err({ code: 'anchor.unknown', message: `git ${args[0] ?? ''}: ${stderr.trim() || error.message}` }));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input ?? '');
  });
}
