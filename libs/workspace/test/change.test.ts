/**
 * Commits and notes as a gate reads them, over real git: nothing of a cut or grafted history is taken for a whole one, and no link is followed.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  blobToFile,
  commitsBeyond,
  fileAt,
  inspectRepository,
  keepBundle,
  mergedTree,
  noteLines,
  pathsBetween,
  readCommit,
  type RepositoryFacts,
  writeNote,
} from '@openexec/workspace';

let folder = '';
let root = '';
let repository: RepositoryFacts;
const git = (args: readonly string[], input = ''): string =>
  execFileSync('git', ['-C', root, '-c', 'user.name=T', '-c', 'user.email=t@example.org', ...args], {
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
    .toString()
    .trim();
function commit(message: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) writeFileSync(join(root, path), text);
  git(['add', '-A']);
  git(['commit', '-q', '--allow-empty', '-m', message]);
  return git(['rev-parse', 'HEAD']);
}
function value<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: { readonly message: string } },
): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-change-'));
  root = join(folder, 'repo');
  mkdirSync(root);
  git(['init', '-q', '-b', 'main']);
  commit('one', { 'a.txt': 'a\n' });
  repository = value(await inspectRepository(root));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a commit', () => {
  test('has the parents that git reads, and no line further down is one', async () => {
    const one = git(['rev-parse', 'HEAD']);
    const text = `tree ${git(['rev-parse', 'HEAD^{tree}'])}\nparent ${one}\nauthor T <t@example.org> 1 +0000\ncommitter T <t@example.org> 1 +0000\nparent ${'0'.repeat(40)}\n\nmessage\n\nbody\n`;
    const id = git(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], text);
    expect(value(await readCommit(repository, id))).toMatchObject({ commit: id, parents: [one], message: 'message\n\nbody\n' });
  });

  test('is walked to the base and not past it; more than the bound, and what is not here, are refused', async () => {
    const base = git(['rev-parse', 'HEAD']);
    const two = commit('two', { 'b.txt': 'b\n' });
    const three = commit('three', { 'c.txt': 'c\n' });
    const beyond = await commitsBeyond(repository, { base, tip: three, max: 2 });
    expect(value(beyond).map((each) => each.commit)).toEqual([three, two]);
    expect(await commitsBeyond(repository, { base, tip: three, max: 1 })).toMatchObject({ ok: false, error: { code: 'workspace.quota' } });
    expect(value(await commitsBeyond(repository, { base: three, tip: base, max: 1 }))).toEqual([]);
    const missing = { ok: false, error: { code: 'workspace.objectMissing' } };
    expect(await commitsBeyond(repository, { base: '1'.repeat(40), tip: three, max: 9 })).toMatchObject(missing);
    // A graft hides a commit from git's own walk; not from this one.
    writeFileSync(join(repository.gitDir, 'shallow'), `${three}\n`);
    expect(git(['rev-list', '--count', three])).toBe('1');
    expect(value(await commitsBeyond(repository, { base, tip: three, max: 2 })).map((each) => each.commit)).toEqual([three, two]);
    rmSync(join(repository.gitDir, 'shallow'));
    execFileSync('git', ['clone', '-q', '--depth', '1', `file://${root}`, join(folder, 'cut')]);
    const cut = value(await inspectRepository(join(folder, 'cut')));
    expect(await commitsBeyond(cut, { base: three, tip: three, max: 9 })).toMatchObject({ ok: true, value: [] });
    expect(await commitsBeyond(cut, { base, tip: three, max: 9 })).toMatchObject(missing);
  });

  test('differs from another by path, content and mode, links and renames included as what they are', async () => {
    const from = git(['rev-parse', 'HEAD']);
    rmSync(join(root, 'a.txt'));
    symlinkSync('b.txt', join(root, 'link'));
    const to = commit('two', { 'b.txt': 'a\n' });
    const paths = value(await pathsBetween(repository, { from, to }));
    expect(paths.map(({ path, before, after }) => [path, before?.mode, after?.mode])).toEqual([
      ['a.txt', '100644', undefined],
      ['b.txt', undefined, '100644'],
      ['link', undefined, '120000'],
    ]);
    expect(paths[0]?.before?.oid).toBe(paths[1]?.after?.oid);
  });

  test('gives up a plain file of its tree, nothing where there is none, and refuses a link', async () => {
    symlinkSync('a.txt', join(root, 'link'));
    const id = commit('two', {});
    const at = (path: string) => fileAt(repository, { commit: id, path, maxBytes: 10 });
    expect([value(await at('a.txt')), value(await at('nothing'))]).toEqual(['a\n', null]);
    expect(await at('link')).toMatchObject({ ok: false, error: { code: 'workspace.pathRefused' } });
  });

  test('merges by itself or not at all', async () => {
    const base = git(['rev-parse', 'HEAD']);
    const left = commit('left', { 'l.txt': 'l\n' });
    git(['checkout', '-q', '-b', 'right', base]);
    const right = commit('right', { 'r.txt': 'r\n' });
    const clash = commit('clash', { 'l.txt': 'other\n' });
    const tree = value(await mergedTree(repository, { head: left, commit: right }));
    git(['checkout', '-q', '--detach', right]);
    git(['merge', '-q', '--no-edit', left]);
    expect(tree).toBe(git(['rev-parse', 'HEAD^{tree}']));
    expect(value(await mergedTree(repository, { head: left, commit: clash }))).toBeNull();
    const alone = git(['commit-tree', `${base}^{tree}`, '-m', 'alone']);
    expect(value(await mergedTree(repository, { head: left, commit: alone }))).toBeNull();
  });
});

describe('a note', () => {
  test('is read line by line, of one commit or of all, and there is none before the first', async () => {
    const one = git(['rev-parse', 'HEAD']);
    expect(value(await noteLines(repository, null))).toEqual([]);
    const two = commit('two', { 'b.txt': 'b\n' });
    value(await writeNote(repository, { commit: one, atMs: 5000 }, ['first', 'second']));
    value(await writeNote(repository, { commit: two, atMs: 5000 }, ['third']));
    expect(value(await noteLines(repository, one))).toEqual(['first', 'second']);
    expect([...value(await noteLines(repository, null))].sort()).toEqual(['first', 'second', 'third']);
    expect(git(['notes', '--ref=openexec', 'show', two])).toBe('third');
    expect(git(['log', '-1', '--format=%an %at', 'refs/notes/openexec'])).toBe('OpenExec 5');
  });

  test('keeps a file of any bytes, which comes back part by part; what is not here is said', async () => {
    const one = git(['rev-parse', 'HEAD']);
    const bytes = Buffer.from([0, 13, 10, 255, 0, 10]);
    writeFileSync(join(folder, 'file'), bytes);
    const oid = value(await keepBundle(repository, { commit: one, atMs: 0 }, join(folder, 'file')));
    git(['gc', '-q', '--prune=now']);
    const parts: Buffer[] = [];
    const to = { file: join(folder, 'back'), onPart: (part: Buffer) => void parts.push(Buffer.from(part)) };
    expect(value(await blobToFile(repository, { oid, maxBytes: 100 }, to))).toBe(true);
    expect([readFileSync(join(folder, 'back')), Buffer.concat(parts)]).toEqual([bytes, bytes]);
    const elsewhere = { ...to, file: join(folder, 'other') };
    expect(value(await blobToFile(repository, { oid: '2'.repeat(40), maxBytes: 100 }, elsewhere))).toBe(false);
    expect(await blobToFile(repository, { oid, maxBytes: 3 }, elsewhere)).toMatchObject({
      ok: false,
      error: { code: 'workspace.tooLarge' },
    });
    expect(await blobToFile(repository, { oid: one, maxBytes: 100 }, { ...to, file: join(folder, 'third') })).toMatchObject({ ok: false });
  });
});
