/**
 * run_formatter and the other commands against a real workspace in the real sandbox: what stays, what is put back, what fails.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { artifactOf, cleanUp, codeOf, SECRET, sandbox, type Scene, scene, textOf, value } from './support.ts';

const FILES = { 'src/a.txt': 'one  \n', 'src/b.txt': 'two\n', 'docs/c.txt': 'three\n', 'bin/run': '#!/bin/sh\n' };
const everywhere: Json = { writePaths: ['**'] };
const inside: Json = { writePaths: ['src/**'] };
const sh = (script: string) => ({ command: ['sh', '-c', script] });

beforeAll(async () => {
  const report = await sandbox().check();
  if (!report.sound) throw new Error(`no sound sandbox: ${report.problem ?? ''}`);
});
afterAll(cleanUp);

async function changed({ workspace }: Scene): Promise<readonly string[]> {
  return value(await workspace.changes()).changes.map(({ path }) => path);
}

describe('run_formatter', () => {
  test('keeps what it changed, made and removed within its patterns, with bytes and modes', async () => {
    const place = await scene(FILES, { executable: 'bin/run' });
    const done = value(
      await place.run('run_formatter', everywhere, sh("printf 'one\\n' >src/a.txt; rm src/b.txt; echo new >docs/d.txt; echo x >>bin/run")),
    );
    expect([done.status, done.scratch, done.undeclared]).toEqual(['ok', [], []]);
    expect(done.changes.map(({ path, after }) => [path, after?.mode ?? null])).toEqual([
      ['bin/run', '100755'],
      ['docs/d.txt', '100644'],
      ['src/a.txt', '100644'],
      ['src/b.txt', null],
    ]);
    expect(await changed(place)).toEqual(['bin/run', 'docs/d.txt', 'src/a.txt', 'src/b.txt']);
    expect(artifactOf(done, 'format_report')).toMatchObject({ status: 'passed', changedFiles: 4, putBack: [] });
  });

  test('puts back what lies outside its patterns and keeps the rest byte for byte', async () => {
    const place = await scene(FILES);
    const done = value(
      await place.run('run_formatter', inside, sh("printf 'one\\n' >src/a.txt; rm src/b.txt; echo gone >docs/c.txt; echo 1 >cache")),
    );
    expect(done.changes.map(({ path }) => path)).toEqual(['src/a.txt', 'src/b.txt']);
    expect(done.scratch).toEqual(['cache', 'docs/c.txt']);
    expect(await changed(place)).toEqual(['src/a.txt', 'src/b.txt']);
    expect(textOf(value(await place.workspace.read('docs/c.txt', { maxBytes: 100 })))).toBe('three\n');
    expect(textOf(value(await place.workspace.read('src/a.txt', { maxBytes: 100 })))).toBe('one\n');
  });

  test.each<readonly [string, string, number, string]>([
    ['that fails says so with its verdict', 'echo broken >src/a.txt; echo why; exit 3', 60_000, 'failed'],
    ['that takes too long is an error', 'echo broken >src/a.txt; sleep 600', 500, 'command.timeout'],
    ['that writes a secret of the installation is refused', `echo '${SECRET}' >src/a.txt`, 60_000, 'secret.known'],
  ])('a formatter %s, and keeps nothing', async (_name, script, deadlineMs, code) => {
    const place = await scene(FILES);
    const done = await place.run('run_formatter', everywhere, { ...sh(script), deadlineMs });
    expect(codeOf(done)).toBe(code);
    expect(await changed(place)).toEqual([]);
  });

  test('a link within its patterns beside a stray file cannot be kept apart: nothing is kept', async () => {
    const place = await scene(FILES);
    const done = await place.run('run_formatter', inside, sh('ln -s a.txt src/link; echo 1 >stray'));
    expect(codeOf(done)).toBe('format.notKept');
    expect(await changed(place)).toEqual([]);
  });

  test('nothing to change is a success without a change; no command is an error', async () => {
    const place = await scene(FILES);
    const done = value(await place.run('run_formatter', everywhere, sh('true')));
    expect([done.summary, done.changes]).toEqual(['the formatter is done: nothing to change', []]);
    expect(codeOf(await place.run('run_formatter', everywhere))).toBe('command.notConfigured');
    expect(codeOf(await place.run('run_formatter', {}, sh('true')))).toBe('arguments.invalid');
  });
});

describe('the checks', () => {
  test.each<readonly [string, string, string]>([
    ['run_linters', 'lint_report', 'the linters failed (exit code 7)'],
    ['run_typecheck', 'typecheck_report', 'the type check failed (exit code 7)'],
    ['run_build', 'build_report', 'the build failed (exit code 7)'],
  ])('%s takes its verdict from the exit code, reports it and puts the tree back', async (action, artifact, said) => {
    const place = await scene(FILES);
    const red = value(await place.run(action, {}, sh('echo all is well; echo 1 >left; exit 7')));
    expect([red.status, red.exitCode, red.summary, red.scratch, red.changes]).toEqual(['failed', 7, said, ['left'], []]);
    expect(artifactOf(red, artifact)).toMatchObject({ version: 1, status: 'failed', exitCode: 7, tail: 'all is well\n' });
    const green = value(await place.run(action, {}, sh('echo errors everywhere; exit 0')));
    expect([green.status, artifactOf(green, artifact)]).toMatchObject(['ok', { status: 'passed', exitCode: 0 }]);
    expect(codeOf(await place.run(action, {}))).toBe('command.notConfigured');
    expect(await changed(place)).toEqual([]);
  });
});
