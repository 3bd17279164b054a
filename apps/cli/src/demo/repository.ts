/**
 * The sample repository of the demo, made from a shipped folder: git is asked with a fixed author, a fixed date and no configuration but
 * its own, so that the base commit is the same everywhere.
 */
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ok, type Result } from '@openexec/canon';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';

/** npm and git treat some names in their own way, so fixtures store them under this prefix. */
const DOT = 'dot-';
const DATE = '2026-01-05T09:00:00+00:00';
const run = promisify(execFile);

/** Git in a folder, away from the user's configuration, hooks and prompts. Rejects when git does. */
export async function git(folder: string, args: readonly string[]): Promise<string> {
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Sample',
    GIT_AUTHOR_EMAIL: 'sample@example.org',
    GIT_AUTHOR_DATE: DATE,
    GIT_COMMITTER_NAME: 'Sample',
    GIT_COMMITTER_EMAIL: 'sample@example.org',
    GIT_COMMITTER_DATE: DATE,
  };
  const { stdout } = await run('git', ['-C', folder, '-c', 'core.hooksPath=/dev/null', '-c', 'core.autocrlf=false', ...args], {
    env,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

/** Copies the sample and commits it on `main`; refuses where git is missing or will not. */
export async function makeRepository(sample: string, folder: string): Promise<Result<void, Refusal>> {
  cpSync(sample, folder, { recursive: true });
  openUp(folder);
  try {
    await git(folder, ['init', '--quiet', '--template=', '--initial-branch=main']);
    await git(folder, ['add', '--all']);
    await git(folder, ['commit', '--quiet', '--message', 'The sample, with its bug']);
    return ok(undefined);
  } catch (error) {
    // What execFile rejects with: git is not there, or it said why it will not.
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: unknown };
    return refuse(
      'workspace.failed',
      code === 'ENOENT'
        ? 'git is not installed; the demo makes a repository with it'
        : `git made no sample repository: ${safeLine(String(stderr))}`,
    );
  }
}

/** Gives stored names back their dot; modes do not depend on how the package was unpacked. */
function openUp(folder: string): void {
  chmodSync(folder, 0o755);
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const name = item.name.startsWith(DOT) ? `.${item.name.slice(DOT.length)}` : item.name;
    const path = join(folder, name);
    if (name !== item.name) renameSync(join(folder, item.name), path);
    if (item.isDirectory()) openUp(path);
    else chmodSync(path, 0o644);
  }
}
