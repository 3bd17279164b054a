/**
 * Bringing a result into a checkout whose HEAD has moved: merges that go through, conflicts of every kind by path, and a process that dies between
 * any two steps. Real git throughout; nothing of the repository may run.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Applied, applyBranch, inspectRepository } from '../src/index.ts';
import { bundle } from './bundle.ts';
import { cleanUp, code, git, repository, temporary, value, write } from './harness.ts';

afterAll(cleanUp);

const BRANCH = 'openexec/r1';
const LINES = Array.from({ length: 20 }, (_, index) => `line ${index}`);
const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
const changed = (at: number, to: string): string => text(LINES.map((line, index) => (index === at ? to : line)));
const BASE = { 'list.txt': text(LINES), 'gone.txt': 'gone\n', 'kept.txt': 'kept\n' };

/** A repository whose branch `openexec/r1` holds `theirs` on the base, and whose main has moved on with `ours`; null deletes. */
function diverged(
  theirs: Readonly<Record<string, string | null>>,
  ours: Readonly<Record<string, string | null>>,
  base: Readonly<Record<string, string>> = BASE,
): string {
  const root = repository(base);
  git(root, 'config', 'user.name', 'A Person');
  git(root, 'config', 'user.email', 'person@example.org');
  const put = (files: Readonly<Record<string, string | null>>): void => {
    for (const [path, content] of Object.entries(files)) {
      if (content === null) git(root, 'rm', '-q', '--', path);
      else write(root, { [path]: content });
    }
    git(root, 'add', '-A');
    git(root, 'commit', '-q', '-m', 'change');
  };
  const main = git(root, 'symbolic-ref', '--short', 'HEAD');
  git(root, 'checkout', '-q', '-b', BRANCH);
  put(theirs);
  git(root, 'checkout', '-q', main);
  if (Object.keys(ours).length > 0) put(ours);
  return root;
}
const apply = async (root: string, dryRun = false) =>
  applyBranch({ repository: value(await inspectRepository(root)), branch: BRANCH, dryRun });
/** All that a person could lose: HEAD, the state of the checkout, and the bytes of its files. */
function stateOf(root: string): readonly string[] {
  const files = git(root, 'ls-files', '-co').split('\n');
  return [
    git(root, 'rev-parse', 'HEAD'),
    git(root, 'status', '--porcelain'),
    ...files.map((path) => `${path}: ${readFileSync(`${root}/${path}`, 'utf8')}`),
  ];
}
function conflictsOf(applied: Applied): readonly (readonly [string, readonly string[]])[] {
  return applied.conflicts.map(({ kind, paths }) => [kind, paths]);
}

describe('a HEAD that has moved', () => {
  test('is merged with two parents under the name of the person; both changes are there and the checkout is clean', async () => {
    const root = diverged({ 'list.txt': changed(2, 'theirs'), 'new.txt': 'new\n' }, { 'list.txt': changed(17, 'ours'), 'gone.txt': null });
    const head = git(root, 'rev-parse', 'HEAD');
    const commit = git(root, 'rev-parse', BRANCH);
    const before = stateOf(root);
    expect(value(await apply(root, true))).toMatchObject({ outcome: 'merged', previous: head, head });
    expect(stateOf(root)).toEqual(before);
    const applied = value(await apply(root));
    expect(applied).toMatchObject({
      outcome: 'merged',
      commit,
      previous: head,
      files: [
        { path: 'list.txt', change: 'modified' },
        { path: 'new.txt', change: 'added' },
      ],
    });
    expect(git(root, 'log', '-1', '--format=%P|%an|%ae|%s')).toBe(`${head} ${commit}|A Person|person@example.org|Merge branch '${BRANCH}'`);
    expect(git(root, 'rev-parse', 'HEAD')).toBe(applied.head);
    expect(git(root, 'status', '--porcelain')).toBe('');
    const merged = readFileSync(`${root}/list.txt`, 'utf8');
    expect([merged.includes('theirs'), merged.includes('ours'), existsSync(`${root}/gone.txt`)]).toEqual([true, true, false]);
    git(root, 'fsck', '--strict');
    expect(value(await apply(root))).toMatchObject({ outcome: 'already', previous: head, head: applied.head });
  });

  test('and that agrees nowhere is told path by path with the kind of each conflict, and nothing is touched', async () => {
    const root = diverged(
      { 'list.txt': changed(2, 'theirs'), 'gone.txt': 'changed\n', 'kept.txt': null, 'both.txt': 'theirs\n' },
      { 'list.txt': changed(2, 'ours'), 'gone.txt': null, 'kept.txt': 'changed too\n', 'both.txt': 'ours\n' },
    );
    const before = stateOf(root);
    for (const dryRun of [true, false]) {
      const applied = value(await apply(root, dryRun));
      expect(applied.outcome).toBe('conflicted');
      expect(conflictsOf(applied)).toEqual(
        expect.arrayContaining([
          ['contents', ['list.txt']],
          ['contents', ['both.txt']],
          ['modify/delete', ['gone.txt']],
          ['modify/delete', ['kept.txt']],
        ]),
      );
      expect(stateOf(root)).toEqual(before);
    }
    expect(existsSync(`${root}/.git/MERGE_HEAD`)).toBe(false);
  });

  test('runs no hook and no merge driver of the repository; a path that asks for one is a conflict', async () => {
    const root = diverged(
      { 'list.txt': changed(2, 'theirs') },
      { 'list.txt': changed(17, 'ours') },
      { ...BASE, '.gitattributes': 'list.txt merge=evil\n' },
    );
    const marker = `${root}/.git/MARKER`;
    git(root, 'config', 'merge.evil.driver', `touch '${marker}'; true`);
    for (const hook of ['post-merge', 'pre-merge-commit', 'reference-transaction', 'post-index-change'])
      writeFileSync(`${root}/.git/hooks/${hook}`, `#!/bin/sh\ntouch '${marker}'\n`, { mode: 0o755 });
    expect(conflictsOf(value(await apply(root)))).toEqual([['merge driver', ['list.txt']]]);
    expect(existsSync(marker)).toBe(false);
    // The control: git as a person runs it does run the driver.
    git(root, 'merge', '--no-edit', BRANCH);
    expect(existsSync(marker)).toBe(true);
  });

  test('with an untracked file where the merge adds one keeps that file', async () => {
    const root = diverged({ 'new.txt': 'new\n' }, { 'list.txt': changed(17, 'ours') });
    write(root, { 'new.txt': 'mine\n' });
    const before = stateOf(root);
    expect(conflictsOf(value(await apply(root)))).toEqual([['untracked file', ['new.txt']]]);
    expect(stateOf(root)).toEqual(before);
  });
});

describe('a process that dies while applying', () => {
  const driver = bundle('apply-driver', temporary('driver'));
  chmodSync(driver, 0o644);
  test.each([
    ['A1.merged', {}, false],
    ['A2.written', {}, true],
    ['A3.moved', {}, true],
    ['A1.merged', { 'list.txt': changed(17, 'ours') }, true],
    ['A2.written', { 'list.txt': changed(17, 'ours') }, true],
    ['A3.moved', { 'list.txt': changed(17, 'ours') }, true],
  ] as const)(
    'in window %s, with changes %j on the other side, loses nothing, and the next apply ends as if nothing had been',
    async (window, ours, dies) => {
      const theirs = { 'list.txt': changed(2, 'theirs'), 'new.txt': 'new\n', 'gone.txt': null };
      const calm = diverged(theirs, ours);
      value(await apply(calm));
      const root = diverged(theirs, ours);
      const previous = git(root, 'rev-parse', 'HEAD');
      expect(spawnSync(process.execPath, [driver, root, BRANCH, window]).signal).toBe(dies ? 'SIGKILL' : null);
      const again = value(await apply(root));
      expect(again).toMatchObject({
        outcome: window === 'A3.moved' || !dies ? 'already' : Object.keys(ours).length > 0 ? 'merged' : 'forwarded',
        previous,
      });
      expect(git(root, 'rev-parse', 'HEAD^{tree}')).toBe(git(calm, 'rev-parse', 'HEAD^{tree}'));
      expect(git(root, 'status', '--porcelain')).toBe('');
      git(root, 'fsck', '--strict');
    },
  );

  test('leaves a checkout with work of a person in it alone', async () => {
    const root = diverged({ 'list.txt': changed(2, 'theirs') }, {});
    spawnSync(process.execPath, [driver, root, BRANCH, 'A2.written']);
    write(root, { 'kept.txt': 'work of a person\n' });
    const before = stateOf(root);
    expect(code(await apply(root))).toBe('workspace.dirty');
    expect(stateOf(root)).toEqual(before);
  });
});
