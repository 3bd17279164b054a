/**
 * The patch reader and applier: against real git in both directions, and the refusals one by one.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, utf8Encode } from '@openexec/canon';
import fc from 'fast-check';
import { applyPatch, type PatchEdit, parsePatch } from '../src/index.ts';

const ENV = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };
let root = '';
let repo = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'openexec-patch-'));
  repo = join(root, 'repo');
  execFileSync('git', ['init', '-q', repo], { env: ENV });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Files = Readonly<Record<string, string | Buffer>>;
function folder(name: string, files: Files): string {
  const path = join(root, name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), content);
  }
  return path;
}
/** What `git diff` prints from one committed tree to another. */
function gitDiff(before: Files, after: Files, ...options: readonly string[]): string {
  const [from, to] = [gitTree(before), gitTree(after)];
  return execFileSync('git', ['-C', repo, 'diff', '--no-renames', '--no-ext-diff', '--no-textconv', ...options, from, to], {
    env: ENV,
    encoding: 'utf8',
  });
}
function gitTree(files: Files): string {
  const lines = Object.entries(files).map(([path, content]) => {
    const oid = execFileSync('git', ['-C', repo, 'hash-object', '-w', '--no-filters', '--stdin'], {
      env: ENV,
      input: content,
      encoding: 'utf8',
    }).trim();
    return `100644 ${oid}\t${path}\0`;
  });
  const index = { ...ENV, GIT_INDEX_FILE: join(repo, 'index-of-test') };
  rmSync(index.GIT_INDEX_FILE, { force: true });
  execFileSync('git', ['-C', repo, 'update-index', '-z', '--index-info'], { env: index, input: lines.join('') });
  return execFileSync('git', ['-C', repo, 'write-tree'], { env: index, encoding: 'utf8' }).trim();
}
const reader =
  (files: Files) =>
  (path: string): Bytes | null => {
    const content = Object.hasOwn(files, path) ? files[path] : undefined;
    return content === undefined ? null : typeof content === 'string' ? utf8Encode(content) : new Uint8Array(content);
  };
function edits(patch: string, files: Files): readonly PatchEdit[] {
  const parsed = parsePatch(patch);
  if (!parsed.ok) throw new Error(`${parsed.error.message}\n${patch}`);
  const applied = applyPatch(parsed.value, reader(files));
  if (!applied.ok) throw new Error(`${applied.error.message}\n${JSON.stringify(applied.error)}\n${patch}`);
  return applied.value;
}
function outcome(files: Files, changes: readonly PatchEdit[]): Record<string, string> {
  const all = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content).toString('hex')]));
  for (const edit of changes) {
    if (edit.content === null) all.delete(edit.path);
    else all.set(edit.path, Buffer.from(edit.content).toString('hex'));
  }
  return Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
const hexed = (files: Files): Record<string, string> => outcome(files, []);
const problem = (patch: string): string => {
  const parsed = parsePatch(patch);
  return parsed.ok ? 'ok' : parsed.error.code;
};
const conflictOf = (patch: string, files: Files) => {
  const parsed = parsePatch(patch);
  if (!parsed.ok) throw new Error(parsed.error.message);
  const applied = applyPatch(parsed.value, reader(files));
  return applied.ok ? null : applied.error;
};

const line = fc.constantFrom(
  '',
  'a',
  'b',
  'c',
  '}',
  '  return x;',
  '+plus',
  '-minus',
  ' space',
  '@@ -1 +1 @@',
  '--- a/x',
  '\\ odd',
  'é😀',
  'cr\r',
  'tab\t',
);
const text = fc
  .tuple(fc.array(line, { maxLength: 40 }), fc.boolean())
  .map(([lines, ends]) => lines.join('\n') + (ends && lines.length > 0 ? '\n' : ''));
const names = ['x.txt', 'dir/y z.txt', 'dir/sub/été.md', 'q"uote.txt', 'a/a', 'b/b b/b'];
const tree = fc.dictionary(fc.constantFrom(...names), text, { maxKeys: 4 });
const same = (a: Files, b: Files): boolean => JSON.stringify(hexed(a)) === JSON.stringify(hexed(b));

describe('against git', () => {
  test('whatever git diff prints is parsed and gives exactly the files it was made from', () => {
    fc.assert(
      fc.property(tree, tree, fc.constantFrom('-U3', '-U0', '-U1', '-U10'), (before, after, context) => {
        fc.pre(!same(before, after));
        const patch = gitDiff(before, after, context);
        expect(outcome(before, edits(patch, before))).toEqual(hexed(after));
      }),
      { numRuns: 60 },
    );
  });

  test('what this applier takes, git apply takes with the same result', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        fc.pre(before !== after);
        const patch = gitDiff({ 'x.txt': before }, { 'x.txt': after });
        const ours = outcome({ 'x.txt': before }, edits(patch, { 'x.txt': before }));
        const place = folder('work', { 'x.txt': before });
        execFileSync('git', ['apply', '--unsafe-paths', '-'], {
          cwd: place,
          env: { ...ENV, GIT_CEILING_DIRECTORIES: root },
          input: patch,
          stdio: ['pipe', 'pipe', 'ignore'],
        });
        expect(ours).toEqual(hexed({ 'x.txt': readFileSync(join(place, 'x.txt')) }));
      }),
      { numRuns: 40 },
    );
  });

  test('a patch made from a file that has since grown at its top applies, and says how far each hunk moved', () => {
    const distinct = fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        distinct,
        fc.array(fc.tuple(fc.nat(39), fc.constantFrom('drop', 'add', 'both')), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        (numbers, changes, grown) => {
          const base = numbers.map((number) => `line ${number}\n`);
          const changed = base.flatMap((text, index) => {
            const change = changes.find(([at]) => at % base.length === index)?.[1];
            return change === 'drop' ? [] : change === 'add' ? [text, `new ${index}\n`] : change === 'both' ? [`new ${index}\n`] : [text];
          });
          fc.pre(changed.length > 0);
          const top = Array.from({ length: grown }, (_, index) => `top ${index}\n`);
          const files = { f: [...top, ...base].join('') };
          const made = edits(gitDiff({ f: base.join('') }, { f: changed.join('') }), files);
          expect(outcome(files, made)).toEqual(hexed({ f: [...top, ...changed].join('') }));
          expect(made[0]?.shifted.every((shift) => shift.found - shift.stated === grown)).toBe(true);
          expect(made[0]?.shifted.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('modes: a new executable file, a mode change alone, and a change of both', () => {
    const patch =
      'diff --git a/run.sh b/run.sh\nnew file mode 100755\nindex 0000000..1111111\n--- /dev/null\n+++ b/run.sh\n@@ -0,0 +1 @@\n+echo\ndiff --git a/tool b/tool\nold mode 100644\nnew mode 100755\n';
    const made = edits(patch, { tool: 'x\n' });
    expect(made.map((edit) => [edit.path, edit.kind, edit.mode])).toEqual([
      ['run.sh', 'create', '100755'],
      ['tool', 'modify', '100755'],
    ]);
    expect(Buffer.from(made[1]?.content ?? []).toString()).toBe('x\n');
  });

  test('empty files are made and removed by the header alone', () => {
    const before = { gone: '', kept: 'k\n' };
    const after = { fresh: '', kept: 'k\n' };
    expect(outcome(before, edits(gitDiff(before, after), before))).toEqual(hexed(after));
  });
});

const CHANGE = '--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n';
describe('matching', () => {
  test('bytes that are not UTF-8 and carriage returns outside the hunk stay as they are', () => {
    const before = Buffer.from([0xff, 0xfe, 0x0a, 0x61, 0x0a, 0x62, 0x0a, 0x63, 0x0a, 0x80, 0x0d, 0x0a]);
    const patch = '--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n a\n-b\n+B\n c\n';
    expect(Buffer.from(edits(patch, { f: before })[0]?.content ?? []).toString('hex')).toBe('fffe0a610a420a630a800d0a');
  });

  test('a CRLF file needs CRLF in the patch, and keeps it', () => {
    const crlf = CHANGE.replace(' a\n', ' a\r\n').replace('-b\n', '-b\r\n').replace('+B\n', '+B\r\n').replace(' c\n', ' c\r\n');
    expect(Buffer.from(edits(crlf, { f: 'a\r\nb\r\nc\r\n' })[0]?.content ?? []).toString()).toBe('a\r\nB\r\nc\r\n');
    expect(conflictOf(CHANGE, { f: 'a\r\nb\r\nc\r\n' })?.code).toBe('patch.context');
  });

  test('the stated place wins; elsewhere only a single exact match counts, and it is recorded', () => {
    expect(edits(CHANGE, { f: 'a\nb\nc\na\nb\nc\n' })[0]?.shifted).toEqual([]);
    const moved = edits(CHANGE, { f: 'x\ny\na\nb\nc\n' })[0];
    expect(moved?.shifted).toEqual([{ hunk: 1, stated: 0, found: 2 }]);
    expect(Buffer.from(moved?.content ?? []).toString()).toBe('x\ny\na\nB\nc\n');
    expect(conflictOf(CHANGE, { f: 'x\na\nb\nc\na\nb\nc\n' })?.code).toBe('patch.ambiguous');
  });

  test('a conflict says file, hunk, what was expected and what stands there', () => {
    expect(conflictOf(CHANGE, { f: 'a\nZ\nc\n' })).toMatchObject({ code: 'patch.context', path: 'f', hunk: 1, expected: 'b', found: 'Z' });
    expect(conflictOf(CHANGE, { f: 'a\nb\nc' })).toMatchObject({ code: 'patch.context', expected: 'c', found: 'c (no newline)' });
    expect(conflictOf(CHANGE, {})?.code).toBe('patch.absent');
    expect(conflictOf('--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n', { f: '' })?.code).toBe('patch.exists');
    expect(conflictOf('--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n', { f: 'a\nb\n' })?.code).toBe('patch.remainder');
    expect(conflictOf('--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+A\n\\ No newline at end of file\n', { f: 'a\nb\n' })?.code).toBe(
      'patch.newline',
    );
  });

  test('one conflict leaves nothing: no edit is returned for the files before it', () => {
    const both = `--- a/ok\n+++ b/ok\n@@ -1 +1 @@\n-1\n+2\n${CHANGE}`;
    expect(conflictOf(both, { ok: '1\n', f: 'other\n' })?.path).toBe('f');
  });

  test('later hunks are looked for only after what earlier hunks took', () => {
    const two = '--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+A\n@@ -2 +2 @@\n-z\n+Z\n';
    expect(conflictOf(two, { f: 'z\na\n' })).toMatchObject({ code: 'patch.context', hunk: 2 });
  });

  test('a file of equal lines cannot make the search take quadratic time', () => {
    const patch = `--- a/f\n+++ b/f\n@@ -1,20001 +1,20001 @@\n${' x\n'.repeat(20_000)}-y\n+z\n`;
    const before = process.cpuUsage();
    expect(conflictOf(patch, { f: 'x\n'.repeat(60_000) })?.code).toBe('patch.tooCostly');
    // Quadratic, it would take minutes; time on the processor is what a busy machine cannot lengthen.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });
});

describe('refusals', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'patch.empty'],
    ['blank lines only', '\n\n', 'patch.empty'],
    ['prose before the diff', `Here it is:\n${CHANGE}`, 'patch.malformed'],
    ['a code fence', '```diff\n', 'patch.malformed'],
    ['a missing +++ line', '--- a/f\n@@ -1 +1 @@\n-a\n+b\n', 'patch.malformed'],
    ['a header without hunks', '--- a/f\n+++ b/f\n', 'patch.malformed'],
    ['too few lines', '--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n', 'patch.counts'],
    ['too many new lines', '--- a/f\n+++ b/f\n@@ -1,2 +1,1 @@\n-a\n+b\n+c\n', 'patch.counts'],
    ['an empty context line without its space', '--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n\n-b\n+B\n', 'patch.counts'],
    ['lines after a full hunk', `${CHANGE} d\n`, 'patch.malformed'],
    ['a hunk that changes nothing', '--- a/f\n+++ b/f\n@@ -1 +1 @@\n a\n', 'patch.malformed'],
    ['overlapping hunks', '--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+B\n@@ -2 +2 @@\n-b\n+C\n', 'patch.malformed'],
    ['line zero', '--- a/f\n+++ b/f\n@@ -0,1 +1 @@\n-a\n+b\n', 'patch.malformed'],
    ['combined diffs', '--- a/f\n+++ b/f\n@@@ -1 -1 +1 @@@\n- a\n', 'patch.malformed'],
    ['a rename', 'diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n', 'patch.rename'],
    ['rename lines under equal names', 'diff --git a/f b/f\nrename from f\nrename to g\n', 'patch.rename'],
    ['a copy', 'diff --git a/f b/f\ncopy from f\ncopy to g\n', 'patch.rename'],
    ['different plain names', '--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n', 'patch.rename'],
    ['a binary patch', 'diff --git a/f b/f\nindex 1111111..2222222 100644\nGIT binary patch\nliteral 1\n', 'patch.binary'],
    ['a binary note', 'diff --git a/f b/f\nindex 1111111..2222222 100644\nBinary files a/f and b/f differ\n', 'patch.binary'],
    ['a symbolic link', 'diff --git a/f b/f\nnew file mode 120000\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+/etc/passwd\n', 'patch.mode'],
    ['a submodule', 'diff --git a/f b/f\nindex 1111111..2222222 160000\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n', 'patch.mode'],
    ['an odd mode', 'diff --git a/f b/f\nold mode 100644\nnew mode 100666\n', 'patch.mode'],
    ['the same file twice', CHANGE + CHANGE, 'patch.duplicate'],
    ['a climb', '--- a/../f\n+++ b/../f\n@@ -1 +1 @@\n-a\n+b\n', 'patch.path'],
    ['an absolute path', '--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n', 'patch.path'],
    ['a git folder', '--- /dev/null\n+++ b/.git/hooks/pre-commit\n@@ -0,0 +1 @@\n+x\n', 'patch.path'],
    ['a disguised git folder', '--- /dev/null\n+++ b/.g\u200cit/config\n@@ -0,0 +1 @@\n+x\n', 'patch.path'],
    ['a quoted newline in a name', '--- "a/f\\ng"\n+++ "b/f\\ng"\n@@ -1 +1 @@\n-a\n+b\n', 'patch.path'],
    ['a broken quote', '--- "a/f\n+++ "b/f\n@@ -1 +1 @@\n-a\n+b\n', 'patch.malformed'],
    ['names that disagree with the header', 'diff --git a/f b/f\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n', 'patch.malformed'],
    ['a deletion that keeps lines', '--- a/f\n+++ /dev/null\n@@ -1,2 +1 @@\n a\n-b\n', 'patch.malformed'],
    ['a new file with old lines', '--- /dev/null\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n', 'patch.malformed'],
    [
      'lines after the end of a file without newline',
      '--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n-b\n+c\n+d\n',
      'patch.malformed',
    ],
    ['a redaction marker', '--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+key=[redacted:openai:0123abcd]\n', 'patch.redactionMarker'],
    ['more than a mebibyte', `--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+${'x'.repeat(1_048_576)}\n`, 'patch.tooLarge'],
  ];
  test.each(cases)('%s', (_name, patch, code) => {
    expect(problem(patch)).toBe(code);
  });

  test('a problem names the line of the patch', () => {
    const parsed = parsePatch(`${CHANGE}nonsense\n`);
    expect(parsed.ok ? null : parsed.error.line).toBe(8);
  });

  test('no text makes the parser throw', () => {
    const piece = fc.constantFrom(
      'diff --git a/f b/f',
      '--- a/f',
      '+++ b/f',
      '--- /dev/null',
      '+++ /dev/null',
      '@@ -1,2 +1,2 @@',
      '@@ -0,0 +1 @@',
      ' a',
      '-a',
      '+a',
      '\\ No newline at end of file',
      'new file mode 100644',
      '"',
      '',
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ unit: 'grapheme' })), { maxLength: 20 }),
        (lines) => typeof parsePatch(lines.join('\n')).ok === 'boolean',
      ),
      { numRuns: 500 },
    );
  });
});
