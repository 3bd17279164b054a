/**
 * Object ids against a real git, in both object formats: blobs, odd names, nesting, modes, commits.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type GitCommit,
  type GitFormat,
  type GitMode,
  type GitTreeEntry,
  gitBlobId,
  gitCommitBytes,
  gitCommitId,
  gitTreeId,
} from '../../src/index.ts';
import { thrownCode, utf8 } from './common.ts';

const HAS_GIT = spawnSync('git', ['--version']).status === 0;
const ENVIRONMENT = { PATH: process.env['PATH'] ?? '', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', LC_ALL: 'C' };
const PERSON = { name: 'Ada Lovelace', email: 'ada@example.org', seconds: 1_700_000_000, offset: '+0130' };

/** Names around git's sort rule: a directory sorts as if it ended in a slash. */
const NAME = fc.oneof(
  fc.constantFrom(
    'a',
    'a.b',
    'a-b',
    'a0',
    'a~',
    'A',
    'b',
    'é',
    'z',
    '日本',
    '\ufb33',
    '😀',
    'ab',
    'a b',
    'lib',
    'lib.c',
    'lib-x',
    '.gitignore',
    '-',
  ),
  fc
    .string({ unit: fc.constantFrom('a', '-', '.', '0', '~', 'é'), minLength: 1, maxLength: 3 })
    .filter((name) => name !== '.' && name !== '..'),
);
const MODE = fc.constantFrom<GitMode>('100644', '100755', '120000', '160000');

/** Files under random paths, without one that would also be a directory. */
const FILES = fc.array(fc.tuple(fc.array(NAME, { minLength: 1, maxLength: 4 }), MODE), { minLength: 1, maxLength: 25 }).map((items) => {
  const files = new Map<string, GitMode>();
  for (const [names, mode] of items) {
    const path = names.join('/');
    const clashes = [...files.keys()].some((other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`));
    if (!clashes) files.set(path, mode);
  }
  return [...files];
});

function describeFormat(format: GitFormat): void {
  let folder = '';
  const git = (args: readonly string[], input: string | Uint8Array = '', extra: Readonly<Record<string, string>> = {}): string =>
    execFileSync('git', args, { cwd: folder, input, env: { ...ENVIRONMENT, ...extra }, stdio: ['pipe', 'pipe', 'pipe'] })
      .toString()
      .trimEnd();

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'openexec-git-'));
    git(['init', '-q', '--bare', `--object-format=${format}`]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test(`${format}: blobs have git's ids`, () => {
    for (const bytes of [new Uint8Array(0), utf8('hello\n'), Uint8Array.from({ length: 70_000 }, (_, i) => i % 251)]) {
      expect(gitBlobId(bytes, format)).toBe(git(['hash-object', '--stdin'], bytes));
    }
  });

  test(`${format}: trees of any names, modes and nesting have git's ids`, () => {
    const oid = gitBlobId(utf8('x'), format);
    fc.assert(
      fc.property(FILES, (files) => {
        const entries = files.map(([path, mode]): GitTreeEntry => ({ path, mode, oid }));
        git(['read-tree', '--empty']);
        git(['update-index', '-z', '--index-info'], entries.map(({ path, mode, oid }) => `${mode} ${oid}\t${path}\0`).join(''));
        const expected = git(['write-tree', '--missing-ok']);
        expect(gitTreeId(entries, format)).toBe(expected);
        expect(gitTreeId([...entries].reverse(), format)).toBe(expected);
      }),
      { numRuns: 15 },
    );
  });

  test(`${format}: the tree without files is git's empty tree`, () => {
    expect(gitTreeId([], format)).toBe(git(['hash-object', '-t', 'tree', '--stdin']));
  });

  test(`${format}: commits have git's ids and pass git's checks`, () => {
    // A repository of its own: fsck looks at every object, and the trees above name blobs that do not exist.
    git(['init', '-q', '--bare', `--object-format=${format}`, 'commits']);
    const inCommits = { GIT_DIR: join(folder, 'commits') };
    const tree = git(['hash-object', '-t', 'tree', '-w', '--stdin'], '', inCommits);
    const committer = { name: 'Émile', email: 'e@example.org', seconds: 1_700_000_001, offset: '-0800' };
    const who = {
      ...inCommits,
      GIT_AUTHOR_NAME: PERSON.name,
      GIT_AUTHOR_EMAIL: PERSON.email,
      GIT_AUTHOR_DATE: `${PERSON.seconds} ${PERSON.offset}`,
      GIT_COMMITTER_NAME: committer.name,
      GIT_COMMITTER_EMAIL: committer.email,
      GIT_COMMITTER_DATE: `${committer.seconds} ${committer.offset}`,
    };
    const parents: string[] = [];
    for (const message of ['first\n', 'second\n\nwith a body and ü\n', 'third\n']) {
      const commit: GitCommit = { tree, parents: [...parents], author: PERSON, committer, message };
      const expected = git(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent])], message, who);
      expect(gitCommitId(commit, format)).toBe(expected);
      expect(git(['hash-object', '-t', 'commit', '-w', '--stdin'], gitCommitBytes(commit), inCommits)).toBe(expected);
      parents.push(expected);
    }
    expect(git(['fsck', '--strict', '--no-dangling', parents.at(-1) ?? ''], '', inCommits)).toBe('');
  });
}

export function describeGit(): void {
  describe('git ids against a real git', () => {
    if (HAS_GIT) {
      describeFormat('sha1');
      describeFormat('sha256');
    } else test.skip('skipped: there is no git on the PATH', () => {});
  });

  describe('git ids', () => {
    const oid = gitBlobId(utf8(''), 'sha1');
    const commit: GitCommit = { tree: oid, parents: [], author: PERSON, committer: PERSON, message: 'm\n' };

    test('the published ids of the empty blob and the empty tree', () => {
      expect(oid).toBe('e69de29bb2d1d6434b8b29ae775ad8c2e48c5391');
      expect(gitTreeId([], 'sha1')).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
    });

    test('a directory of 150,000 files has an id, and each file counts', () => {
      const files = Array.from({ length: 150_000 }, (_, i): GitTreeEntry => ({ path: `${i}`, mode: '100644', oid }));
      expect(gitTreeId(files, 'sha1')).not.toBe(gitTreeId(files.slice(1), 'sha1'));
    });

    test.each(['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', './a', '.git', 'a/.git/config', '.GIT/x', 'a\0b'])(
      'the path %j is refused',
      (path) => {
        expect(thrownCode(() => gitTreeId([{ path, mode: '100644', oid }], 'sha1'))).toBe('fault.badPath');
      },
    );

    test('the same path twice, and a file that is also a directory, are refused', () => {
      const of = (...paths: string[]) =>
        thrownCode(() =>
          gitTreeId(
            paths.map((path): GitTreeEntry => ({ path, mode: '100644', oid })),
            'sha1',
          ),
        );
      expect([of('a', 'a'), of('a', 'a/b'), of('a/b', 'a')]).toEqual(['fault.badPath', 'fault.badPath', 'fault.badPath']);
    });

    test('ids of the other format, and unknown modes, are refused', () => {
      expect(thrownCode(() => gitTreeId([{ path: 'a', mode: '100644', oid }], 'sha256'))).toBe('fault.badArgument');
      expect(thrownCode(() => gitTreeId([{ path: 'a', mode: '100644', oid: oid.toUpperCase() }], 'sha1'))).toBe('fault.badArgument');
      expect(thrownCode(() => gitTreeId([{ path: 'a', mode: '100664' as GitMode, oid }], 'sha1'))).toBe('fault.badArgument');
      expect(thrownCode(() => gitCommitId(commit, 'sha256'))).toBe('fault.badArgument');
      expect(thrownCode(() => gitCommitId({ ...commit, parents: ['HEAD'] }, 'sha1'))).toBe('fault.badArgument');
    });

    test.each([
      { name: 'a\nb' },
      { name: 'a <b' },
      { name: '' },
      { email: 'a>' },
      { email: 'a\0' },
      { seconds: -1 },
      { seconds: 0.5 },
      { offset: 'Z' },
      { offset: '+01:00' },
    ])('an identity with %j is refused', (change) => {
      expect(thrownCode(() => gitCommitBytes({ ...commit, author: { ...PERSON, ...change } }))).toBe('fault.badIdentity');
      expect(thrownCode(() => gitCommitBytes({ ...commit, committer: { ...PERSON, ...change } }))).toBe('fault.badIdentity');
    });

    test('a message with NUL is refused', () => {
      expect(thrownCode(() => gitCommitBytes({ ...commit, message: 'a\0' }))).toBe('fault.badArgument');
    });
  });
}
