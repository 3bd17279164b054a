/** Contract of the port `Workspace`: edit, read, list and diff. */
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, lstatSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { code, FILES, type Opened, repository, value } from '../harness.ts';
import { gone, paths, text, type WorkspaceContract } from './common.ts';

export function edits(contract: WorkspaceContract): void {
  test('edits create, change, re-mode and remove; empty folders go; the owner is the one of the tree', async () => {
    const { workspace } = await contract.open(repository());
    value(
      await workspace.edit([
        text('a/b/c.txt', 'c'),
        text('README.md', '# new\n'),
        gone('src/sum.js'),
        text('run.sh', '#!/bin/sh\n', '100755'),
      ]),
    );
    expect(await paths(workspace)).toEqual(['~README.md', '+a/b/c.txt', '+run.sh', '-src/sum.js']);
    expect(existsSync(`${workspace.root}/src`)).toBe(false);
    const owner = lstatSync(workspace.root).uid;
    for (const path of ['a', 'a/b', 'a/b/c.txt', 'README.md', 'run.sh']) expect(lstatSync(`${workspace.root}/${path}`).uid).toBe(owner);
    expect(Buffer.from(value(await workspace.read('a/b/c.txt', { maxBytes: 1 }))).toString()).toBe('c');
    value(await workspace.edit([gone('a/b/c.txt'), text('a', 'now a file')]));
    expect(readFileSync(`${workspace.root}/a`, 'utf8')).toBe('now a file');
  });
  test('one bad edit undoes all of them', async () => {
    const { workspace } = await contract.open(repository());
    symlinkSync('src', `${workspace.root}/link`);
    const before = await paths(workspace);
    for (const [bad, reason] of [
      [text('link/x', 'x'), 'workspace.pathRefused'],
      [text('package.json/x', 'x'), 'workspace.pathRefused'],
      [text('test', 'x'), 'workspace.notAFile'],
      [text('link', 'x'), 'workspace.notAFile'],
      [gone('nothing'), 'workspace.notAFile'],
      [gone('no/thing'), 'workspace.notAFile'],
      [text('zz/../y', 'x'), 'workspace.pathRefused'],
      [text('README.md', 'twice'), 'workspace.conflict'],
      [text('fresh/file/below', 'x'), 'workspace.conflict'],
    ] as const) {
      const edits = [text('README.md', 'changed'), gone('src/sum.js'), text('fresh/file', 'f'), bad];
      expect([bad.path, code(await workspace.edit(edits))]).toEqual([bad.path, reason]);
      expect([bad.path, await paths(workspace)]).toEqual([bad.path, before]);
      expect(existsSync(`${workspace.root}/fresh`)).toBe(false);
    }
  });
}

export function readingAndListing(contract: WorkspaceContract): void {
  let once: Promise<Opened> | null = null;
  /** One workspace for tests that change nothing. */
  function shared(): Promise<Opened> {
    once ??= contract.open(repository());
    return once;
  }
  test.each([
    '',
    '/etc/passwd',
    '..',
    '../x',
    'a/../../x',
    './a',
    'a//b',
    'a/',
    'a\0b',
    'a\nb',
    'a\\b',
    '.git/config',
    'x/.git/y',
    '.GIT/config',
    'git~1/config',
    '.g\u200cit/config',
    '.git./x',
    '.git /x',
    '.git::$INDEX_ALLOCATION/x',
    '\ud800',
    'n'.repeat(256),
  ])('the path %j is refused for reading, editing and listing', async (path) => {
    const { workspace } = await shared();
    expect(code(await workspace.edit([text(path, 'x')]))).toBe('workspace.pathRefused');
    expect(code(await workspace.edit([gone(path)]))).toBe('workspace.pathRefused');
    expect(code(await workspace.read(path, { maxBytes: 100 }))).toBe('workspace.pathRefused');
    // For a listing the empty path is the root.
    expect(code(await workspace.list(path))).toBe(path === '' ? 'ok' : 'workspace.pathRefused');
    expect(await paths(workspace)).toEqual([]);
  });
  test('reading refuses what is absent, too large, a folder, a pipe or hard-linked', async () => {
    const { workspace } = await contract.open(repository());
    execFileSync('mkfifo', [`${workspace.root}/pipe`]);
    linkSync(`${workspace.root}/package.json`, `${workspace.root}/hard`);
    symlinkSync('src', `${workspace.root}/link`);
    const codes = await Promise.all(
      ['absent', 'src', 'pipe', 'hard', 'link/sum.js', 'README.md/x'].map(async (path) =>
        code(await workspace.read(path, { maxBytes: 1000 })),
      ),
    );
    expect(codes).toEqual([
      'workspace.notAFile',
      'workspace.notAFile',
      'workspace.notAFile',
      'workspace.pathRefused',
      'workspace.pathRefused',
      'workspace.pathRefused',
    ]);
    expect(code(await workspace.read('README.md', { maxBytes: 3 }))).toBe('workspace.tooLarge');
  });
  test('list gives the committed state below a folder, sorted by bytes', async () => {
    const { workspace } = await contract.open(repository({ 'a/z': '', 'a-b': '', 'a.b': '', 'a/a': '', B: '', é: '' }));
    const listed = async (folder: string) => value(await workspace.list(folder)).map((entry) => entry.path);
    expect(await listed('')).toEqual(['B', 'a-b', 'a.b', 'a/a', 'a/z', 'é']);
    expect(await listed('a')).toEqual(['a/a', 'a/z']);
    expect(await listed('none')).toEqual([]);
  });
}

export function comparing(contract: WorkspaceContract): void {
  const attributes = '* -diff -text\n*.txt diff=driver filter=gone eol=crlf\n';

  test('the difference from the base names every file with its counts, whatever attributes say, and changes nothing', async () => {
    const root = repository({ ...FILES, '.gitattributes': attributes, 'a.txt': 'one\ntwo\n', 'kind.txt': 'x\n', 'bin/run': 'run\n' });
    const opened = await contract.open(root);
    expect(value(await opened.workspace.diff({ maxBytes: 1000 }))).toEqual([]);
    value(
      await opened.workspace.edit([
        text('a.txt', 'one\nthree\n'),
        gone('README.md'),
        text('bin/run', 'run\n', '100755'),
        text('raw.bin', '\0\u0001'),
        text('sub/new.txt', 'n'),
      ]),
    );
    rmSync(`${opened.workspace.root}/kind.txt`);
    symlinkSync('a.txt', `${opened.workspace.root}/kind.txt`);
    value(await opened.workspace.accept(value(await opened.workspace.changes()).changes));
    const found = value(await opened.workspace.diff({ maxBytes: 100_000 }));
    const readme = (FILES['README.md'] ?? '').split('\n').length - 1;
    expect(found.map(({ path, status, added, removed }) => [path, status, added, removed])).toEqual([
      ['README.md', 'deleted', 0, readme],
      ['a.txt', 'changed', 1, 1],
      ['bin/run', 'changed', 0, 0],
      ['kind.txt', 'changed', 1, 1],
      ['raw.bin', 'added', null, null],
      ['sub/new.txt', 'added', 1, 0],
    ]);
    const shown = (path: string) => Buffer.from(found.find((file) => file.path === path)?.text ?? []).toString('utf8');
    expect(shown('a.txt')).toContain('--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n');
    expect(shown('kind.txt')).toMatch(/deleted file mode 100644[^]*-x\n[^]*new file mode 120000[^]*\+a\.txt\n/);
    expect(shown('bin/run')).toContain('old mode 100644\nnew mode 100755\n');
    expect(found.find(({ path }) => path === 'raw.bin')?.text).toBeNull();
    expect(await paths(opened.workspace)).toEqual([]);
    // Within a bound, some texts are left out, no file is.
    const short = value(await opened.workspace.diff({ maxBytes: shown('a.txt').length }));
    expect(short.map(({ path }) => path)).toEqual(found.map(({ path }) => path));
    expect(short.reduce((sum, file) => sum + (file.text?.length ?? 0), 0)).toBeLessThanOrEqual(shown('a.txt').length);
  });
}
