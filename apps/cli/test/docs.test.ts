/**
 * The commands of the tutorial and of the how-to that follows it, run as they are written, one after the other in one shell.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Bundle, buildBundle } from './cli.ts';

const DOCS = resolve(dirname(fileURLToPath(import.meta.url)), '../../../docs');
jest.setTimeout(600_000);

let bundle: Bundle;
let folder = '';
beforeAll(async () => {
  bundle = await buildBundle();
  folder = mkdtempSync(join(tmpdir(), 'openexec-docs-'));
  chmodSync(folder, 0o755);
  for (const name of ['bin', 'home']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'bin/openexec'), `#!/bin/sh\nexec "${process.execPath}" "${bundle.entry}" "$@"\n`, { mode: 0o755 });
});
afterAll(() => {
  bundle.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The shell blocks of a page, from a heading on. */
function blocks(page: string, from = ''): string[] {
  const text = readFileSync(join(DOCS, page), 'utf8');
  const start = text.indexOf(from);
  if (start < 0) throw new Error(`${page} has no ${from}`);
  return [...text.slice(start).matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
}

/** Runs a script in bash with an own home, in which nothing of this machine's configuration is found. */
function shell(script: string) {
  const env = {
    PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: join(folder, 'home'),
    OPENEXEC_STATE_DIR: join(folder, 'state'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Reader',
    GIT_AUTHOR_EMAIL: 'reader@example.org',
    GIT_COMMITTER_NAME: 'Reader',
    GIT_COMMITTER_EMAIL: 'reader@example.org',
    NO_COLOR: '1',
    CI: 'true',
  };
  return spawnSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env, encoding: 'utf8' });
}

describe('the documents', () => {
  test('the tutorial works as it is written, and the how-to about crashes after it', () => {
    const tutorial = blocks('tutorial/first-run.md', '## A repository with a bug');
    expect(tutorial).toHaveLength(5);
    const first = shell(tutorial.join('\n'));
    expect(first.stderr).toContain('denied by rule shipped/deny-secret-reads: read_file .env');
    expect([first.status, first.stdout]).toEqual([0, expect.stringContaining('every judgement agrees')]);

    const crash = blocks('how-to/resume-after-a-crash.md');
    expect(crash).toHaveLength(3);
    const second = shell(['cd greeting', ...crash].join('\n'));
    expect([second.status, second.stderr]).toEqual([0, expect.stringContaining('done')]);
    expect(second.stdout).toMatch(/ open +Fix the failing test/);
    expect(second.stdout).toContain('resumed by another driver');
    expect(second.stdout).toContain('started run_tests, attempt 2');
    expect(second.stdout).toContain('every judgement agrees');
  });
});
