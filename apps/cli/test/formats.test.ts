/**
 * The four formats of apply_patch and the parsed report, end to end through the bundle: a model that patches in each, one patch that does not fit and comes
 * back with what stands there, a red test that the model is shown by file and line, a result that verifies deep and replays.
 */
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Reply } from './place.ts';
import { inEachPlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;

inEachPlace();

const patch = (args: object): Reply => ({ calls: [{ name: 'apply_patch', arguments: args }] });
const v4a = (...lines: readonly string[]): Reply =>
  patch({ format: 'v4a', patch: ['*** Begin Patch', ...lines, '*** End Patch', ''].join('\n') });
/** What the model was told in answer to its last call before the request `index`. */
function toldAt(index: number): string {
  const last = provider.requests[index]?.messages.at(-1);
  expect(last?.role).toBe('tool');
  return String(last?.content);
}
async function contents(): Promise<readonly string[]> {
  const shown = await openexec('approvals', '--json');
  return (JSON.parse(shown.stdout) as { approvals: readonly { content: string }[] }).approvals.map(({ content }) => content);
}

describe('a run whose model patches in every format', () => {
  test(
    'repairs what did not fit, is shown the failing test by file and line, lands, verifies deep and replays',
    async () => {
      provider.say(
        // What it remembers of the file is wrong.
        v4a('*** Update File: sum.js', '@@ export function sum(a, b) {', '-  return b - a;', '+  return a * b;'),
        v4a(
          '*** Update File: sum.js',
          '@@ export function sum(a, b) {',
          '-  return a - b;',
          '+  return a * b;',
          '*** Add File: docs/draft.md',
          '+# Sum',
          '+',
          '+It multiplies.',
        ),
        v4a('*** Update File: docs/draft.md', '*** Move to: docs/sum.md', '@@', '-# Sum', '+# The sum'),
        patch({
          format: 'search_replace',
          edits: [
            { path: 'docs/sum.md', search: 'multiplies', replace: 'divides' },
            { path: 'docs/more.md', search: '', replace: 'More.\n' },
          ],
        }),
        patch({
          format: 'unified',
          patch: '--- a/sum.js\n+++ b/sum.js\n@@ -1,3 +1,3 @@\n export function sum(a, b) {\n-  return a * b;\n+  return a / b;\n }\n',
        }),
        { text: 'done' },
        patch({ format: 'whole_file', path: 'sum.js', content: 'export function sum(a, b) {\n  return a + b;\n}\n' }),
        { text: 'repaired' },
      );
      const ended = await openexec('run', 'Make sum add', '--json');
      expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
      const { result, run } = JSON.parse(ended.stdout) as { result: { commit: string }; run: string };
      const conflict = toldAt(1);
      expect(conflict).toContain('patch.context');
      expect(JSON.parse(conflict)).toEqual({
        failed: {
          code: 'patch.context',
          message:
            '"sum.js", hunk 1: its first line stands nowhere in the file, the nearest is line 2; read the file again\nthe patch has:    return b - a;\nthe file has:     return a - b;',
        },
      });
      expect(place.git('show', '--format=', '--name-status', result.commit).trim().split('\n').sort()).toEqual([
        'A\tdocs/more.md',
        'A\tdocs/sum.md',
        'M\tsum.js',
      ]);
      expect(place.git('show', `${result.commit}:docs/sum.md`)).toBe('# The sum\n\nIt divides.\n');
      expect(place.git('show', `${result.commit}:sum.js`)).toContain('return a + b');
      // The stage that repairs sees the parsed report, first failures first.
      const repair = JSON.stringify(provider.requests[6]?.messages);
      expect(repair).toContain('\\"counts\\":{\\"errors\\":null,\\"failed\\":1,\\"passed\\":0,\\"skipped\\":0');
      expect(repair).toContain('\\"file\\":\\"sum.test.js\\",\\"line\\":4,');
      const shown = (await openexec('show', 'latest')).stdout;
      expect(shown).toContain('0 passed, 1 failed, 0 skipped; first: sum (sum.test.js:4)');
      expect(shown).toContain('apply_patch docs/draft.md, docs/sum.md');
      const timeline = (await openexec('timeline', 'latest')).stdout;
      expect(timeline).toContain('0 passed, 1 failed, 0 skipped; first: sum (sum.test.js:4)');
      expect(timeline).toContain('1 passed, 0 failed, 0 skipped');
      const verified = await openexec('verify', '--deep', '--json');
      expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, deep: { totals: { divergences: 0 } } });
      expect(await openexec('replay', run, '--json')).toMatchObject({ exit: 0 });
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('return a - b');
    },
    TIME_MS,
  );

  test(
    'waits for a person where a format names a file that runs by itself, and shows the exact change',
    async () => {
      provider.say(
        patch({
          format: 'search_replace',
          edits: [{ path: 'package.json', search: '"node --test"', replace: '"node --test", "start": "node sum.js"' }],
        }),
      );
      expect((await openexec('run', 'Give it a start script', '--json')).exit).toBe(11);
      expect(await contents()).toEqual([
        'edit 1: changes package.json\n-"node --test"\n\\ No newline at end of text\n+"node --test", "start": "node sum.js"\n\\ No newline at end of text\n',
      ]);
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );

  test(
    'waits for a person where only the target of a move is such a file',
    async () => {
      provider.say(v4a('*** Update File: sum.js', '*** Move to: .husky/pre-commit'));
      expect((await openexec('run', 'Move it', '--json')).exit).toBe(11);
      expect(await contents()).toEqual(['*** Begin Patch\n*** Update File: sum.js\n*** Move to: .husky/pre-commit\n*** End Patch\n']);
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );
});
