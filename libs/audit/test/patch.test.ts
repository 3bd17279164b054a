/**
 * Patches against the real thing: `git apply` takes every one, forward gives the tree that is wanted, reverse gives the base again. Random trees with texts,
 * binary files, links, modes and odd names.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, utf8Encode } from '@openexec/canon';
import { gitBlobId } from '@openexec/proof';
import fc from 'fast-check';
import { type PatchFile, type PatchSide, patchOf, reversed } from '../src/report/patch.ts';

let folder = '';
const git = (input: Bytes | string | null, ...args: readonly string[]): string =>
  execFileSync('git', ['-C', folder, ...args], { ...(input === null ? {} : { input }), stdio: ['pipe', 'pipe', 'pipe'] }).toString('utf8');

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-patch-'));
  execFileSync('git', ['init', '-q', folder]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Content {
  readonly mode: string;
  readonly bytes: Bytes;
}
type Tree = ReadonlyMap<string, Content>;

/** The id of the tree, made by git itself; the index holds it afterwards. */
function stage(tree: Tree): string {
  git(null, 'read-tree', '--empty');
  for (const [path, { mode, bytes }] of tree) {
    const oid = git(bytes, 'hash-object', '-w', '--stdin').trim();
    expect(oid).toBe(gitBlobId(bytes, 'sha1'));
    git(`${mode} ${oid}\t${path}\0`, 'update-index', '-z', '--index-info');
  }
  return git(null, 'write-tree').trim();
}

const sideOf = (content: Content | undefined): PatchSide | null =>
  content === undefined ? null : { oid: gitBlobId(content.bytes, 'sha1'), mode: content.mode, bytes: content.bytes };

function filesBetween(before: Tree, after: Tree): readonly PatchFile[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  const files = paths.map((path) => ({ path, before: sideOf(before.get(path)), after: sideOf(after.get(path)) }));
  return files.filter(({ before: from, after: to }) => from?.oid !== to?.oid || from?.mode !== to?.mode);
}

/** Applies the patch to the index that stands, and says which tree it is then. */
function applied(patch: Bytes): string {
  const file = join(folder, '.git', 'change.patch');
  writeFileSync(file, patch);
  git(null, 'apply', '--cached', '--whitespace=nowarn', file);
  return git(null, 'write-tree').trim();
}

function thereAndBack(before: Tree, after: Tree): void {
  const files = filesBetween(before, after);
  const wanted = stage(after);
  const base = stage(before);
  // git apply takes no empty patch.
  expect(files.length === 0 ? base : applied(patchOf(files))).toBe(wanted);
  expect(files.length === 0 ? wanted : applied(patchOf(reversed(files)))).toBe(base);
}

const text = (content: string, mode = '100644'): Content => ({ mode, bytes: utf8Encode(content) });
const binary = (...bytes: readonly number[]): Content => ({ mode: '100644', bytes: new Uint8Array(bytes) });
const numbered = (count: number, change: (line: number) => string | null = () => null): string =>
  Array.from({ length: count }, (_, line) => `${change(line) ?? `line ${line}`}\n`).join('');

describe('a patch and its reverse are taken by git apply and give the trees they should', () => {
  test.each<readonly [string, Tree, Tree]>([
    ['a line changed', new Map([['a', text(numbered(30))]]), new Map([['a', text(numbered(30, (l) => (l === 12 ? 'x' : null)))]])],
    [
      'changes far apart and at both ends',
      new Map([['a', text(numbered(60))]]),
      new Map([['a', text(`first\n${numbered(60, (l) => (l % 17 === 0 ? 'x' : null))}last\n`)]]),
    ],
    [
      'no newline at the end, before, after and both',
      new Map([
        ['a', text('x\ny')],
        ['b', text('x\n')],
        ['c', text('x')],
      ]),
      new Map([
        ['a', text('x\ny\n')],
        ['b', text('x')],
        ['c', text('y')],
      ]),
    ],
    ['a file that comes and one that goes', new Map([['gone', text('a\nb\n')]]), new Map([['new/deep', text('c\n')]])],
    [
      'empty files that come, go and fill',
      new Map([
        ['a', text('')],
        ['b', text('')],
      ]),
      new Map([
        ['b', text('now\n')],
        ['c', text('')],
      ]),
    ],
    [
      'a mode alone, and a mode with content',
      new Map([
        ['a', text('x\n')],
        ['b', text('x\n')],
      ]),
      new Map([
        ['a', text('x\n', '100755')],
        ['b', text('y\n', '100755')],
      ]),
    ],
    [
      'a link that is made, turned, and taken for a file',
      new Map([
        ['b', text('x', '120000')],
        ['c', text('x', '120000')],
      ]),
      new Map([
        ['a', text('t', '120000')],
        ['b', text('y', '120000')],
        ['c', text('x\n')],
      ]),
    ],
    [
      'binary files',
      new Map([
        ['a', binary(0, 1, 2)],
        ['b', binary(255, 254)],
      ]),
      new Map([
        ['a', binary(...Array.from({ length: 70_000 }, (_, i) => (i * 7) & 255))],
        ['c', binary(0)],
      ]),
    ],
    ['a binary file that becomes text', new Map([['a', binary(0)]]), new Map([['a', text('words\n')]])],
    [
      'carriage returns and no UTF-8',
      new Map([
        ['a', text('x\r\ny\r\n')],
        ['b', binary(200, 10)],
      ]),
      new Map([
        ['a', text('x\r\nz\r\n')],
        ['b', binary(201, 10)],
      ]),
    ],
    [
      'odd names',
      new Map([
        ['a b', text('1\n')],
        ['"q"\\', text('1\n')],
        ['ü\t', text('1\n')],
      ]),
      new Map([
        ['a b', text('2\n')],
        ['"q"\\', text('2\n')],
        ['ü\t', text('2\n')],
        [' lead', text('n\n')],
      ]),
    ],
    [
      'more changes than the shortest script is looked for',
      new Map([['a', text(numbered(1500))]]),
      new Map([['a', text(numbered(1500, (l) => `other ${l}`))]]),
    ],
  ])('%s', (_, before, after) => thereAndBack(before, after));

  test('random trees', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', '', ' x', '--- a', '+++ b', '@@ -1 +1 @@'), { maxLength: 25 });
    const ended = fc.tuple(lines, fc.boolean()).map(([all, end]) => utf8Encode(all.join('\n') + (end ? '\n' : '')));
    const content = fc.record({
      mode: fc.constantFrom('100644', '100755', '120000'),
      bytes: fc.oneof(ended, fc.uint8Array({ minLength: 1, maxLength: 200 })),
    });
    // An empty link is none.
    const sound = content.filter(({ mode, bytes }) => mode !== '120000' || (bytes.length > 0 && !bytes.includes(0)));
    const tree = fc
      .dictionary(fc.constantFrom('a', 'b c', 'd/e', 'f"', 'ö'), sound, { maxKeys: 5 })
      .map((files) => new Map(Object.entries(files)));
    fc.assert(
      fc.property(tree, tree, (before, after) => thereAndBack(before, after)),
      { numRuns: 40 },
    );
  }, 120_000);
});
