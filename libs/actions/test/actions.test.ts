/**
 * Every action against a real workspace and the real sandbox.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, digestOf, type Json, utf8Encode } from '@openexec/canon';
import type { Sandbox } from '@openexec/catalogue';
import { gitCommitId } from '@openexec/proof';
import { actionHostContract } from './actionHost.contract.ts';
import {
  artifactOf,
  cleanUp,
  codeOf,
  git,
  orderOf,
  SECRET,
  type Scene,
  sandbox,
  scene,
  stoppedWhenReady,
  textOf,
  value,
} from './support.ts';

const FILES = {
  'README.md': '# sample\n\nAdds numbers.\n',
  'package.json': '{"name":"sample","version":"1.0.0","type":"module"}\n',
  'src/sum.js': 'export const sum = (a, b) => a - b;\n',
  'src/deep/other file.txt': 'one\ntwo\nthree',
  'src/empty.txt': '',
  'src/binary.bin': Buffer.from([0, 1, 2, 3]),
  'src/latin.txt': Buffer.from([0x66, 0xfc, 0x72]),
  'test/sum.test.js':
    "import test from 'node:test';\nimport assert from 'node:assert';\nimport { sum } from '../src/sum.js';\ntest('adds', () => assert.equal(sum(1, 2), 3));\ntest('zero', () => assert.equal(sum(0, 0), 0));\ntest('later', { skip: true }, () => undefined);\n",
  '.gitignore': 'ignored/\n',
  'ignored/note.txt': 'find me in ignored\n',
  'secret.txt': `before\n${SECRET}\nafter\n`,
};
const FIX = '--- a/src/sum.js\n+++ b/src/sum.js\n@@ -1 +1 @@\n-export const sum = (a, b) => a - b;\n+export const sum = (a, b) => a + b;\n';
let place: Scene;
beforeAll(async () => {
  const report = await sandbox().check();
  if (!report.sound) throw new Error(`no sound sandbox: ${report.problem ?? ''}`);
  place = await scene(FILES, { link: ['src/link', '/etc/passwd'], executable: 'test/sum.test.js' });
});
afterAll(cleanUp);
const output = async (action: string, args: Json): Promise<string> => textOf(value(await place.run(action, args)).output);

describe('read_file', () => {
  test('shows lines with a header that tells range, total and digest', async () => {
    const digest = digestOf('one\ntwo\nthree');
    expect(await output('read_file', { path: 'src/deep/other file.txt' })).toBe(
      `src/deep/other file.txt: lines 1-3 of 3, no newline at the end, ${digest}\none\ntwo\nthree`,
    );
    expect(await output('read_file', { path: 'src/deep/other file.txt', offset: 2, limit: 1 })).toBe(
      `src/deep/other file.txt: lines 2-2 of 3, no newline at the end, ${digest}\ntwo\n`,
    );
    expect(await output('read_file', { path: 'README.md' })).toContain('\n# sample\n\nAdds numbers.\n');
    expect(await output('read_file', { path: 'src/empty.txt' })).toBe(`src/empty.txt: empty, ${digestOf('')}\n`);
  });
  test.each<readonly [Json, string]>([
    [{ path: 'no/such' }, 'file.notFound'],
    [{ path: 'src' }, 'file.notFound'],
    [{ path: 'src/binary.bin' }, 'file.binary'],
    [{ path: 'src/latin.txt' }, 'file.binary'],
    [{ path: 'README.md', offset: 4 }, 'file.range'],
    [{ path: 'src/link' }, 'file.notFound'],
    [{ path: '../README.md' }, 'workspace.pathRefused'],
    [{ path: '.git/config' }, 'workspace.pathRefused'],
    [{ path: 3 }, 'arguments.invalid'],
  ])('%j is %s', async (args, code) => {
    expect(codeOf(await place.run('read_file', args))).toBe(code);
  });
  test('a secret of the installation is redacted, whatever file holds it', async () => {
    const shown = await output('read_file', { path: 'secret.txt' });
    expect(shown).not.toContain(SECRET);
    expect(shown).toMatch(/before\n\[redacted:install:[0-9a-f]{8}\]\nafter\n/);
  });
  test('a file over the bound is refused, many lines are shown in part', async () => {
    const big = await scene({
      'big.txt': 'x'.repeat(5 * 1024 * 1024),
      'long.txt': `${'é'.repeat(300_000)}\n`,
      'many.txt': `${'line\n'.repeat(100_000)}`,
    });
    expect(codeOf(await big.run('read_file', { path: 'big.txt' }))).toBe('file.tooLarge');
    const long = textOf(value(await big.run('read_file', { path: 'long.txt' })).output);
    expect(long).toMatch(/^long.txt: lines 1-1 of 1, the last one cut, /);
    expect(long).not.toContain('\ufffd');
    const many = value(await big.run('read_file', { path: 'many.txt', offset: 10, limit: 5000 }));
    expect(textOf(many.output)).toMatch(/^many.txt: lines 10-5009 of 100000,/);
    expect(many.output.length).toBeLessThan(300 * 1024);
  });
});

describe('list_files', () => {
  test('lists by bytes, marks what is not a plain file, and says when it shows a part', async () => {
    expect(await output('list_files', { directory: 'src' })).toBe(
      '6 files in src\nsrc/binary.bin\nsrc/deep/other file.txt\nsrc/empty.txt\nsrc/latin.txt\nsrc/link (link)\nsrc/sum.js\n',
    );
    expect(await output('list_files', { directory: 'test' })).toBe('1 files in test\ntest/sum.test.js (executable)\n');
    expect(await output('list_files', { limit: 1 })).toBe(
      '12 files in the repository, the first 1 are shown: name a folder to see the others\n.gitignore\n',
    );
    expect(codeOf(await place.run('list_files', { directory: 'nowhere' }))).toBe('file.notFound');
  });
});

describe('search', () => {
  test('finds lines, also in ignored folders and in names with spaces', async () => {
    expect(await output('search', { pattern: 'find me' })).toBe('1 matches in the repository\nignored/note.txt:1:find me in ignored\n');
    expect(await output('search', { pattern: '^t(wo|hree)$' })).toBe(
      '2 matches in the repository\nsrc/deep/other file.txt:2:two\nsrc/deep/other file.txt:3:three\n',
    );
    expect(await output('search', { pattern: 'sum', directory: 'src' })).toBe(
      '1 matches in src\nsrc/sum.js:1:export const sum = (a, b) => a - b;\n',
    );
    expect(await output('search', { pattern: 'nothing like this' })).toBe('0 matches in the repository\n');
    expect(await output('search', { pattern: 'sum', limit: 1 })).toMatch(/^1 matches in the repository are shown, there are more/);
  });
  test('a broken pattern is typed; an option is only a pattern; a link to the host finds nothing', async () => {
    expect(codeOf(await place.run('search', { pattern: '(' }))).toBe('search.badPattern');
    expect(await output('search', { pattern: '--help' })).toBe('0 matches in the repository\n');
    expect(await output('search', { pattern: 'root:' })).toBe('0 matches in the repository\n');
    expect(await output('search', { pattern: 'x', directory: ':(glob)**' })).toBe('0 matches in :(glob)**\n');
  });
  test('a hostile pattern ends at the deadline, and the tree cannot be written', async () => {
    const slow = await scene({ 'a.txt': `${'a'.repeat(60_000)}b\n`.repeat(40) });
    // Left alone it would search for days.
    const result = await slow.run('search', { pattern: '(a*)*(a*)*(a*)*(a*)*\\1\\2\\3c' }, { deadlineMs: 300 });
    expect(codeOf(result)).toBe('command.timeout');
  });
  test('secrets of the installation do not come back as matches', async () => {
    expect(await output('search', { pattern: 'battery' })).not.toContain(SECRET);
  });
});

describe('apply_patch', () => {
  test('a unified diff changes the tree; the changes carry before, after and bytes', async () => {
    const { run, workspace } = await scene(FILES);
    const done = value(
      await run('apply_patch', {
        format: 'unified',
        patch: `${FIX}diff --git a/bin/run b/bin/run\nnew file mode 100755\n--- /dev/null\n+++ b/bin/run\n@@ -0,0 +1 @@\n+#!/bin/sh\n--- a/README.md\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-# sample\n-\n-Adds numbers.\n`,
      }),
    );
    expect(done.changes.map((change) => [change.path, change.before !== null, change.after?.mode ?? null])).toEqual([
      ['README.md', true, null],
      ['bin/run', false, '100755'],
      ['src/sum.js', true, '100644'],
    ]);
    const sum = done.changes.find((change) => change.path === 'src/sum.js');
    expect(textOf(done.contents.get(sum?.after?.blob ?? digestOf('')))).toBe('export const sum = (a, b) => a + b;\n');
    expect(readFileSync(join(workspace.root, 'src/sum.js'), 'utf8')).toBe('export const sum = (a, b) => a + b;\n');
    expect(textOf(done.output)).toContain('created bin/run');
    expect(done.undeclared).toEqual([]);
  });
  test('one hunk that does not fit leaves the whole tree as it was, and tells what stands there', async () => {
    const { run, workspace } = await scene(FILES);
    const result = await run('apply_patch', {
      format: 'unified',
      patch: `${FIX}--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-# other\n+# new\n`,
    });
    expect(result.ok ? null : result.error).toMatchObject({ code: 'patch.context', effectUnknown: false });
    expect(textOf(result.ok ? null : result.error.output)).toContain('the file has:   # sample');
    expect(value(await workspace.changes()).changes).toEqual([]);
  });
  test('a whole file needs the digest it was read with', async () => {
    const { run, workspace } = await scene(FILES);
    const args = (expected?: string, content = 'new\n'): Json => ({
      format: 'whole_file',
      path: 'README.md',
      content,
      ...(expected === undefined ? {} : { expected }),
    });
    expect(codeOf(await run('apply_patch', args('absent')))).toBe('preImage.changed');
    expect(codeOf(await run('apply_patch', args(digestOf('else'))))).toBe('preImage.changed');
    expect(value(await run('apply_patch', args(digestOf(FILES['README.md']), FILES['README.md']))).changes).toEqual([]);
    const replaced = value(await run('apply_patch', args(digestOf(FILES['README.md']))));
    expect(replaced.changes).toHaveLength(1);
    value(await workspace.accept(replaced.changes));
    expect(codeOf(await run('apply_patch', { format: 'whole_file', path: 'fresh.txt', content: 'x', expected: 'absent' }))).toBe('ok');
  });
  test('the mode of a file stays when the patch does not speak of it', async () => {
    const { run } = await scene(FILES, { executable: 'src/sum.js' });
    expect(value(await run('apply_patch', { format: 'unified', patch: FIX })).changes[0]?.after?.mode).toBe('100755');
  });
  test.each<readonly [string, Json, string]>([
    ['a link', { format: 'whole_file', path: 'src/link', content: 'x' }, 'patch.mode'],
    ['a known secret', { format: 'whole_file', path: 'a.txt', content: `key = ${SECRET}\n` }, 'secret.known'],
    [
      'a known secret in base64',
      { format: 'whole_file', path: 'a.txt', content: Buffer.from(`key = ${SECRET}\n`).toString('base64') },
      'secret.known',
    ],
    ['a redaction marker', { format: 'whole_file', path: 'a.txt', content: '[redacted:install:00000000]' }, 'patch.redactionMarker'],
    ['a climb', { format: 'whole_file', path: '../a.txt', content: '' }, 'path.segment'],
    ['a git folder', { format: 'whole_file', path: 'sub/.GIT/hooks/x', content: '' }, 'path.git'],
    ['a missing file', { format: 'unified', patch: '--- a/none\n+++ b/none\n@@ -1 +1 @@\n-a\n+b\n' }, 'patch.absent'],
    ['a file that exists', { format: 'unified', patch: '--- /dev/null\n+++ b/README.md\n@@ -0,0 +1 @@\n+x\n' }, 'patch.exists'],
    ['a file below a file', { format: 'whole_file', path: 'README.md/x', content: '' }, 'workspace.pathRefused'],
    ['mixed formats', { format: 'unified', patch: FIX, content: '' }, 'arguments.invalid'],
    ['no object', [], 'arguments.invalid'],
  ])('%s is refused and nothing changes', async (_name, args, code) => {
    expect(codeOf(await place.run('apply_patch', args))).toBe(code);
    expect(value(await place.workspace.changes()).changes).toEqual([]);
  });
});

describe('run_tests', () => {
  const node = ['node', '--test'];
  test('the exit code is the verdict: red, then green after the patch was accepted', async () => {
    const { run, workspace } = await scene(FILES);
    const red = value(await run('run_tests', {}, { command: node }));
    expect(red).toMatchObject({ status: 'failed', exitCode: 1, changes: [], undeclared: [] });
    expect(artifactOf(red, 'test_report')).toMatchObject({
      version: 1,
      status: 'failed',
      exitCode: 1,
      counts: { passed: 1, failed: 1, skipped: 1 },
    });
    expect(textOf(red.output)).toContain('adds');
    value(await workspace.accept(value(await run('apply_patch', { format: 'unified', patch: FIX })).changes));
    const green = value(await run('run_tests', {}, { command: node }));
    expect(green).toMatchObject({ status: 'ok', exitCode: 0 });
    expect(artifactOf(green, 'test_report')).toMatchObject({ status: 'passed', counts: { passed: 2, failed: 0, skipped: 1 } });
  });
  test('a protected path that appears is undeclared', async () => {
    const { run } = await scene(FILES);
    expect(
      value(await run('run_tests', {}, { command: ['sh', '-c', 'mkdir .openexec; echo 1 >.openexec/policy.yaml'] })).undeclared,
    ).toEqual(['.openexec/policy.yaml']);
  });
  test.each([
    ['a repository in a folder', 'git init -q sub', 'sub/.git'],
    ['a .git file that points elsewhere', 'mkdir sub; echo "gitdir: /tmp" >sub/.git', 'sub/.git'],
    ['a hook', 'mkdir .husky; echo x >.husky/pre-commit', '.husky/pre-commit'],
    ['an editor task', 'mkdir -p app/.vscode; echo {} >app/.vscode/tasks.json', 'app/.vscode/tasks.json'],
    ['an agent configuration, whatever its case', 'echo x >Claude.md', 'Claude.md'],
    ['an environment that a shell loads', 'echo x >.envrc', '.envrc'],
    ['one behind hundreds of other files', 'for n in $(seq 300); do echo >"!$n"; done; echo {} >.mcp.json', '.mcp.json'],
    ['one of a command that then runs into its deadline', 'echo {} >.mcp.json; sleep 600', '.mcp.json'],
  ])('%s that appears is undeclared, and gone', async (_name, text, path) => {
    const { run, workspace } = await scene(FILES);
    const done = await stoppedWhenReady(
      async (deadlineMs) =>
        value(await run('run_tests', {}, { command: ['sh', '-c', text], ...(text.includes('sleep') ? { deadlineMs } : {}) })),
      ({ undeclared }) => undeclared.length > 0,
    );
    expect(done.undeclared).toEqual([path]);
    expect(done.scratch).not.toContain(path);
    expect(value(await workspace.changes())).toMatchObject({ changes: [], gitEntries: [] });
  });
  test('what projects and tests write all day is scratch', async () => {
    const { run } = await scene(FILES);
    const text = 'mkdir -p fixture/.github; echo {} >fixture/package.json; echo A=1 >.env; echo x >fixture/.github/x; echo x >.gitignore';
    expect(value(await run('run_tests', {}, { command: ['sh', '-c', text] }))).toMatchObject({
      undeclared: [],
      scratch: ['.env', '.gitignore', 'fixture/.github/x', 'fixture/package.json'],
      network: { attempts: 0 },
    });
  });
  test('an attempt on the network is observed, also beside a failure; an action that runs no command observes nothing', async () => {
    const { run } = await scene(FILES);
    const tries = 'echo x >/dev/tcp/192.0.2.1/80';
    expect(value(await run('run_tests', {}, { command: ['bash', '-c', tries] })).network).toEqual({ attempts: 1, ipv4: 1, ipv6: 0 });
    const late = await stoppedWhenReady(
      (deadlineMs) => run('run_tests', {}, { command: ['bash', '-c', `${tries}; sleep 600`], deadlineMs }),
      (ran) => ran.ok,
    );
    expect(value(late)).toMatchObject({
      status: 'failed',
      network: { attempts: 1 },
      summary: expect.stringMatching(/longer than (500|5000|40000) ms/),
    });
    expect(codeOf(await run('run_tests', {}, { command: ['bash', '-c', 'sleep 600'], deadlineMs: 500 }))).toBe('command.timeout');
    expect(value(await run('read_file', { path: 'README.md' })).network).toBeNull();
    expect(value(await run('search', { pattern: 'a' })).network).toEqual({ attempts: 0, ipv4: 0, ipv6: 0 });
  });
  test('a secret that the command leaves behind does not hide the verdict, and is gone', async () => {
    const { run, workspace } = await scene(FILES);
    const done = value(await run('run_tests', {}, { command: ['sh', '-c', 'cp secret.txt copy.txt; cat secret.txt; exit 3'] }));
    expect(done).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(textOf(done.output)).not.toContain(SECRET);
    expect(value(await workspace.changes()).changes).toEqual([]);
  });
  test('a claim in the output does not count', async () => {
    const { run } = await scene(FILES);
    const done = value(await run('run_tests', {}, { command: ['sh', '-c', 'printf "# tests 5\\n# pass 5\\n# fail 0\\n"; exit 7'] }));
    expect(done).toMatchObject({ status: 'failed', exitCode: 7 });
  });
  test('no command and no sandbox are typed; nothing is run unconfined', async () => {
    expect(codeOf(await place.run('run_tests', {}))).toBe('command.notConfigured');
    const broken: Sandbox = {
      check: () => sandbox().check(),
      run: () => Promise.resolve({ ok: false, error: { code: 'sandbox.unavailable', message: 'none' } }),
    };
    const without = await scene(FILES, { sandbox: broken });
    expect(codeOf(await without.run('run_tests', {}, { command: node }))).toBe('sandbox.unavailable');
    expect(codeOf(await without.run('search', { pattern: 'x' }))).toBe('sandbox.unavailable');
  });
});

describe('build_context_pack', () => {
  const task = 'Fix the failing sum function in src/sum.js';
  const pack = async (
    at: Scene,
    args: Json = {},
    words = task,
  ): Promise<{
    readonly bytes: string;
    readonly json: {
      readonly files: readonly { readonly path: string; readonly excerpt: string; readonly whole: boolean }[];
      readonly listing: { readonly sample: readonly string[] };
    };
  }> => {
    const done = value(await at.run('build_context_pack', args, { task: words }));
    // The shape is the artifact's own, checked by the assertions below.
    return { bytes: textOf(done.artifacts[0]?.bytes), json: artifactOf(done, 'context_pack') as never };
  };
  test('ranks the named file first, then what shares its words, and leaves out secrets and binaries', async () => {
    const { json } = await pack(place);
    expect(json.files.map((file) => file.path)).toEqual(['src/sum.js', 'test/sum.test.js', 'README.md', 'package.json']);
    expect(json.files[0]).toMatchObject({ whole: true, excerpt: FILES['src/sum.js'] });
  });
  test('is the same bytes in another workspace of the same tree', async () => {
    const one = await pack(await scene(FILES));
    const two = await pack(await scene(FILES));
    expect(one.bytes).toBe(two.bytes);
  });
  test('keeps its bound, whatever the tree', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [
        `src/widget${index}.ts`,
        `// widget ${index}\n${'const filler = 1;\n'.repeat(900)}// the frobnicate function\n`,
      ]),
    );
    const big = await scene(files);
    const { bytes, json } = await pack(big, {}, 'widget frobnicate');
    expect(bytes.length).toBeLessThanOrEqual(64 * 1024);
    expect(json.files.length).toBeGreaterThan(3);
    expect(json.files[0]?.excerpt).toContain('frobnicate');
    expect((await pack(big, { maxBytes: 4096 }, 'widget '.repeat(5000))).bytes.length).toBeLessThanOrEqual(4096);
  });
  test('takes what a check reports among its inputs for a hint, and is the same bytes for the same report', async () => {
    const files = { ...FILES, 'lib/deep/odd.js': 'export const odd = 1;\n', 'lib/deep/even.js': 'export const even = 2;\n' };
    const at = await scene(files);
    const packed = async (artifacts: ReadonlyMap<string, Bytes>): Promise<string> => {
      const done = value(await at.run('build_context_pack', {}, { task: 'repair it', artifacts }));
      return textOf(done.artifacts[0]?.bytes);
    };
    const pathsIn = (pack: string) => (JSON.parse(pack) as { files: { path: string }[] }).files.map(({ path }) => path);
    const report = utf8Encode('{"tail":"not ok 1 - odd\\n  at lib/deep/odd.js:1:1"}');
    expect(pathsIn(await packed(new Map()))).not.toContain('lib/deep/odd.js');
    const hinted = await packed(new Map([['test_report', report]]));
    expect(pathsIn(hinted)[0]).toBe('lib/deep/odd.js');
    expect(pathsIn(hinted)).not.toContain('lib/deep/even.js');
    expect(await packed(new Map([['test_report', report]]))).toBe(hinted);
    // An artifact that is no report says nothing.
    expect(pathsIn(await packed(new Map([['patch', report]])))).not.toContain('lib/deep/odd.js');
  });
  test('a folder narrows it', async () => {
    expect((await pack(place, { directory: 'test' })).json.files.map((file) => file.path)).toEqual(['test/sum.test.js']);
  });
});

describe('commit_changes', () => {
  const author = { name: 'OpenExec', email: 'runtime@openexec.invalid', seconds: 1_700_000_000, offset: '+0000' };
  async function landing(at: Scene, more: { readonly [name: string]: Json } = {}): Promise<Json> {
    const order = {
      branch: 'openexec/abc',
      tree: value(await at.workspace.tree()),
      parent: at.base.commit,
      message: 'Fix\n\nOpenExec-Run: run/abc\n',
      author,
    };
    return {
      ...order,
      commit: gitCommitId({ tree: order.tree, parents: [order.parent], author, committer: author, message: order.message }, 'sha1'),
      ...more,
    };
  }
  async function changed(): Promise<Scene> {
    const at = await scene(FILES);
    value(await at.workspace.accept(value(await at.run('apply_patch', { format: 'unified', patch: FIX })).changes));
    return at;
  }
  test('lands the commit that was computed, once and again the same', async () => {
    const at = await changed();
    const args = await landing(at);
    const done = value(await at.run('commit_changes', args));
    expect(done.landed).toMatchObject({ ref: 'refs/heads/openexec/abc', commit: (args as { commit: string }).commit });
    expect(git(at.repository, 'rev-parse', 'openexec/abc')).toBe(done.landed?.commit);
    expect(git(at.repository, 'diff', '--name-only', 'main', 'openexec/abc')).toBe('src/sum.js');
    expect(artifactOf(done, 'result')).toMatchObject({ ref: 'refs/heads/openexec/abc', tree: done.landed?.tree });
    expect(codeOf(await at.run('commit_changes', args))).toBe('ok');
  });
  test('another tree, another commit or a foreign branch is refused before anything is written', async () => {
    const at = await changed();
    const certain = async (more: { readonly [name: string]: Json }, code: string): Promise<void> => {
      const result = await at.run('commit_changes', await landing(at, more));
      expect(result.ok ? 'ok' : [result.error.code, result.error.effectUnknown]).toEqual([code, false]);
    };
    await certain({ tree: at.base.tree }, 'landing.mismatch');
    await certain({ commit: '0'.repeat(40) }, 'landing.mismatch');
    await certain({ branch: 'main' }, 'workspace.pathRefused');
    await certain({ commit: 'x'.repeat(40) }, 'arguments.invalid');
    await certain({ extra: 1 }, 'arguments.invalid');
    git(at.repository, 'branch', 'openexec/abc', 'main');
    await certain({}, 'workspace.refExists');
    expect(git(at.repository, 'for-each-ref', '--format=%(refname)').split('\n')).toEqual(['refs/heads/main', 'refs/heads/openexec/abc']);
  });
});

actionHostContract({
  open: async (files) => {
    const { host, workspace } = await scene(files);
    return { host, workspace, order: (action, args, more = {}) => ({ ...orderOf(action, args), ...more }) };
  },
  secret: SECRET,
});
