/**
 * Taking the result of a run and comparing runs, through the bundle: apply onto a HEAD that has moved, its conflicts, its dry run, the files that
 * stand out, its record; diff of one run and of two.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { patchScripts, patchSum } from './place.ts';
import { inEachPlace, initialised, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;
const PERSON = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];

afterEach(async () => {
  expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0 });
});
inEachPlace(async () => {
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
  await initialised();
});

async function ranWith(from: string, to: string): Promise<string> {
  provider.say({ calls: [patchSum(from, to)] }, { text: 'done' });
  const ended = await openexec('run', 'Make sum add', '--json');
  expect(ended.exit).toBe(0);
  return (JSON.parse(ended.stdout) as { readonly run: string }).run;
}
function commit(path: string, text: string): void {
  place.write(path, text);
  place.git('add', path);
  place.git(...PERSON, 'commit', '-q', '-m', 'moved on');
}
async function applications(): Promise<number> {
  const read = await openexec('ledger', 'read', '--jsonl');
  expect(read.exit).toBe(0);
  return read.stdout
    .split('\n')
    .filter((line) => line.includes('"kind":"result.applied"') || line.includes('\\"kind\\":\\"result.applied\\"')).length;
}

describe('apply', () => {
  test(
    'merges when HEAD has moved, says so before in a dry run, is recorded once, and is undone by the command it prints',
    async () => {
      await ranWith('-', '+');
      commit('README.md', 'written meanwhile\n');
      const head = place.git('rev-parse', 'HEAD').trim();
      const dry = await openexec('apply', 'latest', '--dry-run');
      expect(dry).toMatchObject({
        exit: 0,
        stdout: expect.stringMatching(/^would go into refs\/heads\/main as a merge.*\nfiles {5}1 changed\n {10}~ sum\.js\n$/),
      });
      expect(place.git('rev-parse', 'HEAD').trim()).toBe(head);
      const applied = await openexec('apply', 'latest', '--json');
      const told = JSON.parse(applied.stdout) as { readonly head: string; readonly undo: string };
      expect(told).toMatchObject({ outcome: 'merged', previous: head, files: [{ path: 'sum.js', change: 'modified' }], autoRun: [] });
      expect(place.git('rev-parse', 'HEAD').trim()).toBe(told.head);
      expect(place.git('rev-parse', 'HEAD^1').trim()).toBe(head);
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('a + b');
      expect(await applications()).toBe(1);
      expect(await openexec('apply', 'latest')).toMatchObject({ exit: 0, stdout: expect.stringContaining('already there') });
      expect(await applications()).toBe(1);
      place.git(...told.undo.split(' ').slice(1));
      expect([place.git('rev-parse', 'HEAD').trim(), place.git('status', '--porcelain', '--untracked-files=no')]).toEqual([head, '']);
    },
    TIME_MS,
  );

  test(
    'names the path and the kind of a conflict, ends with 1, and leaves the checkout as it was; a dirty checkout is refused with 2',
    async () => {
      await ranWith('-', '+');
      commit('sum.js', 'export function sum(a, b) {\n  return b - a;\n}\n');
      const head = place.git('rev-parse', 'HEAD').trim();
      const refused = await openexec('apply', 'latest', '--json');
      expect(refused.exit).toBe(1);
      expect(JSON.parse(refused.stdout)).toMatchObject({
        error: { code: 'workspace.conflict', exit: 1, details: { head, conflicts: [{ kind: 'contents', paths: ['sum.js'] }] } },
      });
      expect((await openexec('apply', 'latest')).stderr).toContain('  contents: sum.js');
      expect([place.git('rev-parse', 'HEAD').trim(), place.git('status', '--porcelain', '--untracked-files=no')]).toEqual([head, '']);
      place.write('sum.js', 'work of a person\n');
      expect(await openexec('apply', 'latest')).toMatchObject({ exit: 2, stderr: expect.stringContaining('workspace.dirty') });
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toBe('work of a person\n');
      place.git('checkout', '-q', '--', '.');
    },
    TIME_MS,
  );

  test(
    'names the files that tools run without being asked before it writes, and records what an apply that died could not',
    async () => {
      provider.say({ calls: [patchScripts(), patchSum('-', '+')] }, { text: 'done' });
      expect(await openexec('run', 'Add a script')).toMatchObject({ exit: 11 });
      for (let exit = 11; exit === 11; ) {
        const { approvals } = JSON.parse((await openexec('approvals', '--json')).stdout) as {
          readonly approvals: readonly { readonly id: string }[];
        };
        expect(await openexec('approve', approvals[0]?.id ?? '')).toMatchObject({ exit: 0 });
        exit = (await openexec('resume', 'latest')).exit ?? 1;
      }
      const { stderr } = await openexec('apply', 'latest', '--dry-run');
      expect(stderr).toMatch(/1 of the files are run by tools without being asked.*\n {2}~ package\.json\n/);
      // As an apply leaves it that died after HEAD was moved: the checkout has the result, the ledger does not say so.
      place.git('merge', '-q', '--ff-only', place.git('branch', '--list', 'openexec/*').trim());
      expect(await applications()).toBe(0);
      expect(await openexec('apply', 'latest')).toMatchObject({ exit: 0, stdout: expect.stringContaining('already there') });
      expect(await applications()).toBe(1);
    },
    TIME_MS,
  );
});

describe('diff', () => {
  test(
    'of one run is its patch against its base; of two it is the first difference and all others, with 1, and 0 of a run with itself',
    async () => {
      const left = await ranWith('-', '+');
      const patch = await openexec('diff', left);
      expect(patch).toMatchObject({ exit: 0, stdout: expect.stringContaining('-  return a - b;\n+  return a + b;') });
      expect(JSON.parse((await openexec('diff', left, '--json')).stdout)).toMatchObject({
        files: [{ path: 'sum.js', change: 'modified' }],
      });
      provider.say({ calls: [patchSum('-', '*')] }, { text: 'done' }, { calls: [patchSum('*', '+')] }, { text: 'repaired' });
      expect(await openexec('run', 'Make sum add')).toMatchObject({ exit: 0 });
      expect(await openexec('diff', left, left)).toMatchObject({ exit: 0, stdout: expect.stringContaining('nothing differs') });
      const compared = await openexec('diff', left, 'latest', '--json');
      expect(compared.exit).toBe(1);
      const told = JSON.parse(compared.stdout) as {
        readonly first: { readonly left: { readonly seq: number; readonly text: string }; readonly right: { readonly seq: number } };
        readonly stages: readonly unknown[];
        readonly intents: readonly unknown[];
      };
      expect(told).toMatchObject({ v: 1, left, same: false, facets: [], files: [] });
      // Both asked the model first and in the same way; they part at what it wanted.
      expect(told.first.left.text).toMatch(/^model wants apply_patch with sha256:/);
      expect(told.first.left.seq).toBe(told.first.right.seq);
      expect([told.stages.length > 0, told.intents.length > 0]).toEqual([true, true]);
      const text = await openexec('diff', left, 'latest');
      expect(text).toMatchObject({ exit: 1, stdout: expect.stringContaining('First difference') });
      expect(await openexec('diff', left, 'ffffffff')).toMatchObject({ exit: 2 });
    },
    TIME_MS,
  );
});
