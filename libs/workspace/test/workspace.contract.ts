/**
 * Contract suite of the port `Workspace`: rebuild, changes, accept, restore, read, list, diff, edit, tree and land, told without the adapter's innards.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import type { FileChange } from '@openexec/protocol';
import { code, FILES, git, repository, SECRET, value, write } from './harness.ts';
import { paths, text, type WorkspaceContract } from './workspaceContract/common.ts';
import { landing } from './workspaceContract/landing.ts';
import { comparing, edits, readingAndListing } from './workspaceContract/reading.ts';

function baseAndChanges(contract: WorkspaceContract): void {
  test('rebuild makes the tree equal the base; the listing and the tree id are those of git', async () => {
    const root = repository({ ...FILES, 'bin/run': '#!/bin/sh\n', 'ünï/ code\u200b': 'x', 'a-b': '1', 'a/b': '2', 'a.b': '3' });
    chmodSync(`${root}/bin/run`, 0o755);
    symlinkSync('run', `${root}/bin/link`);
    git(root, 'add', '-A', '-f');
    git(root, 'commit', '-qm', 'second');
    const { workspace, base } = await contract.open(root);
    expect(base.listing.map((entry) => `${entry.mode} ${entry.oid} ${entry.path}`)).toEqual(
      git(root, '-c', 'core.quotePath=false', 'ls-tree', '-r', 'HEAD')
        .split('\n')
        .map((line) => line.replace(/ blob /, ' ').replace('\t', ' ')),
    );
    expect([base.tree, value(await workspace.tree())]).toEqual([
      git(root, 'rev-parse', 'HEAD^{tree}'),
      git(root, 'rev-parse', 'HEAD^{tree}'),
    ]);
    expect(await paths(workspace)).toEqual([]);
    expect(readlinkSync(`${workspace.root}/bin/link`)).toBe('run');
    expect(lstatSync(`${workspace.root}/bin/run`).mode & 0o777).toBe(0o755);
    expect(existsSync(`${workspace.root}/.git`)).toBe(false);
  });
  test('changes tells created, changed, removed and re-moded files with their bytes; accept makes them the base of the next', async () => {
    const { workspace } = await contract.open(repository());
    write(workspace.root, { 'README.md': '# changed\n', 'new/deep/file': 'new' });
    rmSync(`${workspace.root}/src/sum.js`);
    chmodSync(`${workspace.root}/test/sum.test.js`, 0o755);
    const { changes, contents } = value(await workspace.changes());
    expect(changes.map((change) => [change.path, change.before !== null, change.after?.mode ?? null])).toEqual([
      ['README.md', true, '100644'],
      ['new/deep/file', false, '100644'],
      ['src/sum.js', true, null],
      ['test/sum.test.js', true, '100755'],
    ]);
    expect(changes[1]?.after).toEqual({
      blob: digestOf(Buffer.from('new')),
      bytes: 3,
      mode: '100644',
      oid: '3e5126c4e761fd09582fc517918a1601b218dff0',
    });
    expect(Buffer.from(contents.get(digestOf(Buffer.from('# changed\n'))) ?? []).toString()).toBe('# changed\n');
    value(await workspace.accept(changes));
    expect(await paths(workspace)).toEqual([]);
    expect(value(await workspace.list('new')).map((entry) => entry.path)).toEqual(['new/deep/file']);
    rmSync(`${workspace.root}/new`, { recursive: true });
    expect(await paths(workspace)).toEqual(['-new/deep/file']);
  });
  test('a second write of equal length in the same instant is seen', async () => {
    const { workspace } = await contract.open(repository({ f: '0' }));
    for (let round = 1; round < 40; round += 1) {
      writeFileSync(`${workspace.root}/f`, String(round % 10));
      const { changes } = value(await workspace.changes());
      expect(changes.length === 0 ? '0' : Buffer.from(value(await workspace.read('f', { maxBytes: 10 }))).toString()).toBe(
        String(round % 10),
      );
    }
  });
}

function rebuildAndRestore(contract: WorkspaceContract): void {
  test('rebuild with accepted files equals the state before a crash, whatever stood in the tree', async () => {
    const root = repository();
    const first = await contract.open(root);
    write(first.workspace.root, { 'README.md': 'v2', 'added.txt': 'a' });
    rmSync(`${first.workspace.root}/package.json`);
    const { changes, contents } = value(await first.workspace.changes());
    value(await first.workspace.accept(changes));
    const tree = value(await first.workspace.tree());
    write(first.workspace.root, { 'README.md': 'torn', 'half/written': 'x', 'src/sum.js': '' });
    const again = await contract.open(root, { directory: first.directory });
    const files = changes.map((change: FileChange) => ({
      change,
      content: change.after === null ? null : (contents.get(change.after.blob) ?? null),
    }));
    value(await again.workspace.rebuild(files));
    expect(value(await again.workspace.tree())).toBe(tree);
    expect(await paths(again.workspace)).toEqual([]);
    // Elsewhere, from nothing but the recorded bytes, it is the same tree.
    const elsewhere = await contract.open(root);
    value(await elsewhere.workspace.rebuild(files));
    expect(value(await elsewhere.workspace.tree())).toBe(tree);
    const damaged = files.map((file) => ({ ...file, content: file.content === null ? null : Buffer.from('other') }));
    expect(code(await elsewhere.workspace.rebuild(damaged))).toBe('workspace.conflict');
  });
  test('restore undoes everything a command can do to a tree', async () => {
    const { workspace } = await contract.open(repository());
    const root = workspace.root;
    rmSync(`${root}/src`, { recursive: true });
    symlinkSync('/etc', `${root}/src`);
    rmSync(`${root}/README.md`);
    mkdirSync(`${root}/README.md/inner`, { recursive: true });
    execFileSync('mkfifo', [`${root}/pipe`]);
    linkSync(`${root}/package.json`, `${root}/hard`);
    mkdirSync(`${root}/.git/hooks`, { recursive: true });
    mkdirSync(`${root}/closed/in`, { recursive: true });
    chmodSync(`${root}/closed`, 0o000);
    chmodSync(`${root}/test`, 0o000);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe])]), 'x');
    // Deeper than any path the kernel accepts at once.
    execFileSync('bash', ['-c', 'for i in $(seq 300); do mkdir dddddddddddddddddddd && cd -P dddddddddddddddddddd || exit 1; done'], {
      cwd: root,
    });
    value(await workspace.restore());
    expect(await paths(workspace)).toEqual([]);
    expect(readdirSync(root).sort()).toEqual(['.gitignore', 'README.md', 'package.json', 'src', 'test']);
    expect(readFileSync(`${root}/test/sum.test.js`, 'utf8')).toBe(FILES['test/sum.test.js']);
  });
}

function nothingHidden(contract: WorkspaceContract): void {
  test('A72–A74: ignore files, attributes and nested repositories hide nothing', async () => {
    const { workspace } = await contract.open(repository());
    write(workspace.root, {
      '.gitattributes': '* -diff binary filter=evil ident eol=crlf\n',
      '.gitignore': '*\n',
      'ignored/payload.log': 'p',
      'text.txt': 'a\r\nb $Id$\n',
      'nested/inner.txt': 'i',
      'empty/.keep': '',
    });
    git(`${workspace.root}/nested`, 'init', '-q');
    git(`${workspace.root}/nested`, 'add', '-A');
    git(`${workspace.root}/nested`, 'commit', '-qm', 'inner');
    git(workspace.root, 'init', '-q', 'empty');
    // The control: git as people run it is taken in by the ignore file, and by the repository inside.
    const plain = repository();
    write(plain, { '.gitignore': '*\n', 'ignored/payload.log': 'p', 'nested/inner.txt': 'i' });
    git(`${plain}/nested`, 'init', '-q');
    expect(git(plain, 'status', '--porcelain', '--untracked-files=all')).toBe('M .gitignore');
    expect(await paths(workspace)).toEqual([
      '+.gitattributes',
      '~.gitignore',
      '+empty/.keep',
      '+ignored/payload.log',
      '+nested/inner.txt',
      '+text.txt',
    ]);
    const { changes } = value(await workspace.changes());
    value(await workspace.accept(changes));
    value(await workspace.restore());
    expect(readFileSync(`${workspace.root}/text.txt`, 'utf8')).toBe('a\r\nb $Id$\n');
    expect(existsSync(`${workspace.root}/nested/.git`)).toBe(false);
  });
  test('A22: what cannot be recorded is refused by its type: disguises of .git, pipes, hard links, set-id bits, odd names', async () => {
    const { workspace } = await contract.open(repository());
    const root = workspace.root;
    const cases: readonly (readonly [string, () => void])[] = [
      ['pipe', () => execFileSync('mkfifo', [`${root}/pipe`])],
      ['hard link', () => linkSync(`${root}/package.json`, `${root}/hard`)],
      [
        'set-id',
        () => {
          write(root, { suid: '' });
          chmodSync(`${root}/suid`, 0o4755);
        },
      ],
      ['not UTF-8', () => writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), '')],
      ...['.GIT', '.Git/config', 'git~1', 'src/.g\u200cit/config', '.git.', '.git ', '.git::$INDEX_ALLOCATION'].map(
        (name) => [name, () => write(root, { [name]: 'x' })] as const,
      ),
    ];
    for (const [name, plant] of cases) {
      plant();
      expect([name, code(await workspace.changes())]).toEqual([name, 'workspace.pathRefused']);
      value(await workspace.restore());
      expect([name, await paths(workspace)]).toEqual([name, []]);
    }
    // The control: a name that only looks a little like it is recorded.
    write(root, { '.gitx/config': 'x', 'git-1': 'x' });
    expect(await paths(workspace)).toEqual(['+.gitx/config', '+git-1']);
  });
}

function linksQuotasSecrets(contract: WorkspaceContract): void {
  test('links are recorded as links and never followed; one that leaves the tree is not accepted', async () => {
    const { workspace } = await contract.open(repository());
    symlinkSync('../src/sum.js', `${workspace.root}/test/inside`);
    const inside = value(await workspace.changes()).changes;
    expect(inside.map((change) => [change.path, change.after?.mode, change.after?.bytes])).toEqual([['test/inside', '120000', 13]]);
    value(await workspace.accept(inside));
    for (const target of ['/etc/passwd', '../../x', '../src/../../x', 'inside/../x', '.git/config', 'a/../.GIT']) {
      symlinkSync(target, `${workspace.root}/test/bad`);
      const { changes } = value(await workspace.changes());
      expect([target, code(await workspace.accept(changes))]).toEqual([target, 'workspace.pathRefused']);
      rmSync(`${workspace.root}/test/bad`);
    }
    expect(code(await workspace.read('test/inside', { maxBytes: 100 }))).toBe('workspace.notAFile');
  });
  test('quotas are typed: files, bytes, one large file, depth', async () => {
    const { workspace } = await contract.open(repository(), { limits: { files: 50, totalBytes: 200_000, fileBytes: 100_000, depth: 8 } });
    const cases: readonly (readonly [string, Record<string, string>])[] = [
      ['files', Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`f${index}`, '']))],
      ['one file', { big: 'x'.repeat(100_001) }],
      ['all bytes', { a: 'x'.repeat(90_000), b: 'y'.repeat(90_000), c: 'z'.repeat(90_000) }],
      ['depth', { '1/2/3/4/5/6/7/8/9/10': 'x' }],
    ];
    for (const [name, files] of cases) {
      write(workspace.root, files);
      expect([name, code(await workspace.changes())]).toEqual([name, 'workspace.quota']);
      value(await workspace.restore());
    }
    expect(await paths(workspace)).toEqual([]);
  });
  test('accept checks what a change was made against, and that its bytes are known', async () => {
    const { workspace } = await contract.open(repository());
    const oid = '3e5126c4e761fd09582fc517918a1601b218dff0';
    const after = { blob: digestOf(Buffer.from('new')), bytes: 3, mode: '100644' as const, oid };
    expect(code(await workspace.accept([{ path: 'README.md', before: null, after }]))).toBe('workspace.conflict');
    expect(code(await workspace.accept([{ path: 'x', before: null, after }]))).toBe('workspace.objectMissing');
    expect(code(await workspace.accept([{ path: '../x', before: null, after }]))).toBe('workspace.pathRefused');
    expect(await paths(workspace)).toEqual([]);
  });
}

function secrets(contract: WorkspaceContract): void {
  test('a known secret in a file refuses the changes; a token-like one is withheld from the contents', async () => {
    const { workspace } = await contract.open(repository());
    write(workspace.root, { 'config.txt': `token=${Buffer.from(SECRET).toString('base64')}\n` });
    expect(code(await workspace.changes())).toBe('workspace.secret');
    expect(code(await workspace.edit([text('x', SECRET)]))).toBe('workspace.secret');
    value(await workspace.restore());
    write(workspace.root, { 'config.txt': `gh${'p_'}${'aB3'.repeat(12)}\n`, plain: 'p' });
    const { changes, contents } = value(await workspace.changes());
    expect(changes.map((change) => contents.has(change.after?.blob ?? digestOf(new Uint8Array())))).toEqual([false, true]);
    value(await workspace.accept(changes));
    // A withheld blob is rebuilt from the run's own objects.
    value(
      await workspace.rebuild(
        changes.map((change) => ({ change, content: contents.get(change.after?.blob ?? digestOf(new Uint8Array())) ?? null })),
      ),
    );
    expect(await paths(workspace)).toEqual([]);
  });
  test('what was withheld comes back after a crash from the run’s own git directory, from nowhere else, and only as it was committed', async () => {
    const root = repository();
    const first = await contract.open(root);
    const token = `gh${'p_'}${'zY9'.repeat(12)}\n`;
    write(first.workspace.root, { 'config.txt': token });
    const { changes, contents } = value(await first.workspace.changes());
    expect(contents.size).toBe(0);
    value(await first.workspace.accept(changes));
    const tree = value(await first.workspace.tree());
    const files = changes.map((change) => ({ change, content: null }));
    rmSync(`${first.workspace.root}/config.txt`);
    const again = await contract.open(root, { directory: first.directory });
    value(await again.workspace.rebuild(files));
    expect(readFileSync(`${again.workspace.root}/config.txt`, 'utf8')).toBe(token);
    expect(value(await again.workspace.tree())).toBe(tree);
    // Another machine, or a folder that was removed: the same bytes in the user's repository do not count.
    writeFileSync(`${root}/config.txt`, token);
    git(root, 'hash-object', '-w', 'config.txt');
    rmSync(`${root}/config.txt`);
    const elsewhere = await contract.open(root);
    expect(code(await elsewhere.workspace.rebuild(files))).toBe('workspace.objectMissing');
    const other = files.map(({ change, content }) => ({
      change: { ...change, after: change.after === null ? null : { ...change.after, blob: digestOf(Buffer.from('other')) } },
      content,
    }));
    expect(code(await again.workspace.rebuild(other))).toBe('workspace.conflict');
  });
}

/** Registers the suite for one adapter. */
export function workspaceContract(contract: WorkspaceContract): void {
  describe('port Workspace: the tree', () => {
    baseAndChanges(contract);
    rebuildAndRestore(contract);
    secrets(contract);
    nothingHidden(contract);
    linksQuotasSecrets(contract);
  });
  describe('port Workspace: reading and editing', () => {
    edits(contract);
    readingAndListing(contract);
    comparing(contract);
  });
  landing(contract);
}
