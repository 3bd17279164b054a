/**
 * The reports on a real workspace: no attribute of the repository hides a file, what is too long is named, binary files are counted, auto-run files
 * stand apart, and a tree that the ledger did not compute is refused.
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Json, KeyId } from '@openexec/canon';
import { accountOf } from '@openexec/catalogue';
import { artifactOf, cleanUp, codeOf, git, sandbox, type Scene, scene, textOf, value } from './support.ts';

const FILES = {
  '.gitattributes': '* -diff\n*.txt diff=hidden filter=hidden text eol=crlf\nvendored/** linguist-generated binary\n',
  'src/a.txt': 'one\ntwo\n',
  'src/gone.txt': 'x\n',
  'vendored/lib.js': 'old\n',
  'package.json': '{}\n',
};
beforeAll(async () => {
  const report = await sandbox().check();
  if (!report.sound) throw new Error(`no sound sandbox: ${report.problem ?? ''}`);
});
afterAll(cleanUp);

/** Writes, removes and commits; null removes. */
async function commit({ workspace }: Scene, files: { readonly [path: string]: string | Buffer | null }): Promise<void> {
  const edits = Object.entries(files).map(([path, content]) => ({
    path,
    content: content === null ? null : Buffer.from(content),
    mode: '100644' as const,
  }));
  value(await workspace.edit(edits));
  value(await workspace.accept(value(await workspace.changes()).changes));
}
async function input({ base, workspace }: Scene): Promise<{ readonly base: string; readonly baseTree: string; readonly tree: string }> {
  return { base: base.commit, baseTree: base.tree, tree: value(await workspace.tree()) };
}
interface Report {
  readonly totals: { readonly files: number; readonly notShown: number };
  readonly files: readonly { readonly path: string; readonly status: string; readonly shown: boolean }[];
  readonly autoRun: readonly string[];
  readonly filesOmitted: number;
  readonly diff: string;
}

describe('generate_diff_report', () => {
  test('shows every changed file whatever .gitattributes say, with git headers, and lists auto-run files apart', async () => {
    const place = await scene(FILES);
    await commit(place, {
      'src/a.txt': 'one\r\ntwo\r\n',
      'src/gone.txt': null,
      'vendored/lib.js': 'new\n',
      'package.json': '{"scripts":{}}\n',
      'new/ä ".md': 'hello\n',
      'raw.bin': Buffer.from([0, 1, 2]),
    });
    const done = value(await place.run('generate_diff_report', await input(place)));
    const report = artifactOf(done, 'diff_report') as unknown as Report;
    expect(report.files.map(({ path, status, shown }) => [path, status, shown])).toEqual([
      ['new/ä ".md', 'added', true],
      ['package.json', 'changed', true],
      ['raw.bin', 'added', false],
      ['src/a.txt', 'changed', true],
      ['src/gone.txt', 'deleted', true],
      ['vendored/lib.js', 'changed', true],
    ]);
    expect(report).toMatchObject({ totals: { files: 6, added: 5, removed: 5, binary: 1, notShown: 0 }, autoRun: ['package.json'] });
    // Only line ends changed, and that is shown.
    expect(report.diff).toContain('-one\n-two\n+one\r\n+two\r\n');
    expect(report.diff).toContain('-old\n+new\n');
    expect(textOf(done.output)).toContain('run or obeyed by some tool without being asked:\nchanged +1 -1        package.json\n');
    expect(textOf(done.output)).toContain('"new/ä \\".md"');
  });

  test('its text is a patch that git applies to the base', async () => {
    const place = await scene({ 'src/a.txt': 'one\ntwo\n', 'src/gone.txt': 'x\n' });
    await commit(place, { 'src/a.txt': 'one\nthree', 'src/gone.txt': null, 'deep/new.txt': 'n\n' });
    const report = artifactOf(value(await place.run('generate_diff_report', await input(place))), 'diff_report') as unknown as Report;
    execFileSync('git', ['-C', place.repository, 'apply', '--index', '-'], { input: report.diff, stdio: ['pipe', 'pipe', 'pipe'] });
    expect(git(place.repository, 'write-tree')).toBe(value(await place.workspace.tree()));
    expect(report.diff.match(/^diff --git /gm)).toHaveLength(3);
    expect(report.diff).toContain('\\ No newline at end of file\n');
  });

  test('names what is too long to show, with its counts, and still shows the rest', async () => {
    const place = await scene(FILES);
    const many = Object.fromEntries(Array.from({ length: 130 }, (_, at) => [`many/f${at}.txt`, `line ${at}\n`]));
    await commit(place, { 'a-long.txt': `${'x'.repeat(300)}\n`.repeat(1000), ...many });
    const done = value(await place.run('generate_diff_report', await input(place)));
    const report = artifactOf(done, 'diff_report') as unknown as Report;
    expect(report.totals).toMatchObject({ files: 131, notShown: 1, added: 1130 });
    expect(report.files.find(({ path }) => path === 'a-long.txt')).toMatchObject({ shown: false, added: 1000 });
    expect(report.diff.match(/^\+line /gm)).toHaveLength(130);
    expect(done.summary).toContain('the text of 1 is too long to show');
    expect(done.output.length).toBeLessThanOrEqual(256 * 1024);
  });

  test('no change is an empty report; another tree than the ledger computed is refused', async () => {
    const place = await scene(FILES);
    const order = await input(place);
    expect(artifactOf(value(await place.run('generate_diff_report', order)), 'diff_report')).toMatchObject({
      totals: { files: 0 },
      diff: '',
    });
    expect(codeOf(await place.run('generate_diff_report', { ...order, tree: '0'.repeat(40) }))).toBe('report.otherTree');
    expect(codeOf(await place.run('generate_diff_report', {}))).toBe('arguments.invalid');
  });
});

describe('prepare_review_bundle and summarize_run', () => {
  test('tell what was recorded, in JSON and in Markdown that nobody steers from outside; an account of another shape is refused', async () => {
    const place = await scene(FILES);
    await commit(place, { 'src/a.txt': 'new\n', 'package.json': '{"scripts":{}}\n' });
    const { base, baseTree, tree } = await input(place);
    const amount = { tokens: 1, usdMicros: 2, calls: 3 };
    const account: Json = accountOf(null, {
      run: 'run/example',
      task: '# not a heading\n[click](http://evil.test) \u202e',
      blueprint: 'example',
      opener: '0'.repeat(32) as KeyId,
      until: 9,
      base: { commit: base, tree: baseTree },
      tree,
      model: { provider: 'test', model: 'm' },
      files: [],
      notes: [],
      spend: { settled: amount, reserved: amount, grant: amount },
    });
    const review = value(await place.run('prepare_review_bundle', { account }));
    expect(artifactOf(review, 'review_bundle')).toMatchObject({
      diffStat: { files: 2, added: 2, removed: 3 },
      autoRunFiles: ['package.json'],
    });
    const text = textOf(review.output);
    expect(text).toContain('- task: "\\# not a heading \\[click\\](http://evil.test)');
    expect(text).not.toContain('\u202e');
    expect(text.split('\n').filter((line) => line.startsWith('# '))).toEqual(['# Review of the run']);
    const summary = value(await place.run('summarize_run', { account }));
    expect(artifactOf(summary, 'summary')).toMatchObject({ run: 'run/example', spend: { settled: amount } });
    expect(codeOf(await place.run('summarize_run', { account: { version: 2 } }))).toBe('arguments.invalid');
    expect(codeOf(await place.run('prepare_review_bundle', { account: null }))).toBe('arguments.invalid');
  });
});
