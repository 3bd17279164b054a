/**
 * Rewinding through the bundle: real files of every sort back to what they were at each stage entry, the same words to the model, a run that goes on
 * to its end, and every refusal with its code. PROTOCOL §4.3; E08.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { patchSum } from './place.ts';
import { commitAll, inEachPlace, initialised, openexec, place, provider, start } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 240_000;

inEachPlace(async () => {
  place.write('old.txt', 'old\n');
  place.write('tool.sh', 'echo tool\n');
  writeFileSync(join(place.root, 'data.bin'), Buffer.from([0, 1, 2, 255, 254]));
  commitAll();
  await initialised();
});

async function soundLedger(): Promise<void> {
  const verified = await openexec('verify', '--deep', '--json');
  expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, deep: { totals: { divergences: 0, violations: 0 } } });
}
async function code(...args: readonly string[]): Promise<readonly [number | null, string]> {
  const ended = await openexec(...args, '--json');
  return [ended.exit, (JSON.parse(ended.stdout) as { error: { code: string } }).error.code];
}

const BINARY = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'new.bin', content: 'one\u0000two\n' } };
const BINARY_AGAIN = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'new.bin', content: 'three\u0000four\n' } };
const DATA = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'data.bin', content: 'text now\n' } };
const DELETE = { name: 'apply_patch', arguments: { format: 'unified', patch: '--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n' } };
const MODE = {
  name: 'apply_patch',
  arguments: { format: 'unified', patch: 'diff --git a/tool.sh b/tool.sh\nold mode 100644\nnew mode 100755\n' },
};

/** Git's own tree id of a folder, by real git in a throw-away repository. */
function treeOf(folder: string): string {
  const scratch = mkdtempSync(join(place.folder, 'tree-'));
  const env = { PATH: process.env['PATH'], GIT_DIR: scratch, GIT_WORK_TREE: folder, GIT_CONFIG_GLOBAL: '/dev/null' };
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-c', 'safe.directory=*', ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] }).toString('utf8');
  execFileSync('git', ['init', '-q', '--bare', scratch]);
  git('add', '-A', '-f');
  return git('write-tree').trim();
}

/** The tree of the one run, as files on this disk. */
function runTree(): string {
  const ledger = readdirSync(place.state).find((name) => /^[0-9a-f]{32}$/.test(name));
  const runs = join(place.state, ledger ?? '', 'runs');
  const run = readdirSync(runs, { withFileTypes: true }).find((entry) => entry.isDirectory());
  return join(runs, run?.name ?? '', 'tree');
}

/** What the checkout would be after the first stage, as real files. */
function afterImplement(): string {
  const folder = join(place.folder, 'expected');
  place.git('worktree', 'add', '-q', '--detach', folder, 'HEAD');
  writeFileSync(join(folder, 'new.bin'), 'one\u0000two\n');
  writeFileSync(join(folder, 'data.bin'), 'text now\n');
  rmSync(join(folder, 'old.txt'));
  chmodSync(join(folder, 'tool.sh'), 0o755);
  writeFileSync(join(folder, 'sum.js'), 'export function sum(a, b) {\n  return a * b;\n}\n');
  rmSync(join(folder, '.git'));
  return treeOf(folder);
}

/** A run that was killed while the model of its third stage was asked a second time. */
async function killedInFix(): Promise<void> {
  provider.say(
    { calls: [patchSum('-', '*'), BINARY, DATA, DELETE, MODE] },
    { text: 'done' },
    { calls: [BINARY_AGAIN, patchSum('*', '+')] },
    { after: new Promise(() => undefined) },
  );
  const child = start('run', 'Make sum add');
  await provider.arrived(4);
  child.kill('SIGKILL');
  await child.ended;
}

describe('openexec rewind', () => {
  verifies(
    'E08',
    'a killed run is rewound to each of its stages with byte-equal files, then goes on with the same words and lands',
    async () => {
      await killedInFix();
      const base = place.git('rev-parse', 'HEAD^{tree}').trim();
      const implemented = afterImplement();
      const listed = JSON.parse((await openexec('rewind', 'latest', '--json')).stdout) as { targets: { stage: string; undoes: number }[] };
      expect(listed.targets.map(({ stage, undoes }) => [stage, undoes])).toEqual([
        ['fix_tests', 2],
        ['run_tests', 2],
        ['implement', 7],
      ]);
      const text = await openexec('rewind', 'latest');
      expect(text).toMatchObject({ exit: 0 });
      expect(text.stdout).toMatch(/implement#1 +entered at \d+ +7 commits since +openexec rewind [0-9a-f]{12} --to implement#1/);
      expect(treeOf(runTree())).not.toBe(implemented);

      const fix = await openexec('rewind', 'latest', '--to', 'fix_tests');
      expect(fix).toMatchObject({ exit: 0 });
      expect(fix.stdout).toContain('undone    2 commits, 2 files put back');
      expect(fix.stdout).toMatch(/changed back +new\.bin/);
      expect(fix.stdout).toMatch(/resume +openexec resume [0-9a-f]{12}/);
      expect(treeOf(runTree())).toBe(implemented);
      await soundLedger();

      expect(await openexec('rewind', 'latest', '--to', 'run_tests#1')).toMatchObject({ exit: 0 });
      expect(treeOf(runTree())).toBe(implemented);

      const back = JSON.parse((await openexec('rewind', 'latest', '--to', 'implement', '--json')).stdout) as object;
      expect(back).toMatchObject({
        v: 1,
        status: 'parked',
        to: { stage: 'implement', visit: 1 },
        visit: 2,
        tree: base,
        files: [
          { path: 'data.bin', how: 'changed back' },
          { path: 'new.bin', how: 'removed' },
          { path: 'old.txt', how: 'restored' },
          { path: 'sum.js', how: 'changed back' },
          { path: 'tool.sh', how: 'changed back' },
        ],
      });
      expect(treeOf(runTree())).toBe(base);
      const replayed = JSON.parse((await openexec('replay', 'latest', '--json')).stdout) as { tree: string; verdict: string };
      expect(replayed).toMatchObject({ tree: base, verdict: 'agrees' });
      await soundLedger();
      const shown = (await openexec('timeline', 'latest')).stdout;
      expect(shown).toContain('rewound to stage implement, visit 1');
      expect((await openexec('show', 'latest')).stdout).toMatch(/fix_tests +rewound +the run was rewound/);

      const asked = provider.requests.length;
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const done = await openexec('rewind', 'latest', '--to', 'implement', '--run', '--json');
      expect({ exit: done.exit, stderr: done.exit === 0 ? '' : done.stderr }).toEqual({ exit: 0, stderr: '' });
      expect(provider.requests[asked]?.messages).toEqual(provider.requests[0]?.messages);
      const { result } = JSON.parse(done.stdout) as { result: { commit: string } };
      expect(place.git('show', `${result.commit}:sum.js`)).toContain('return a + b');
      expect(place.git('diff', '--name-only', 'HEAD', result.commit).trim()).toBe('sum.js');
      await soundLedger();
      expect(await code('rewind', 'latest', '--to', 'implement')).toEqual([2, 'run.closed']);
    },
    TIME_MS * 2,
  );

  test(
    'refuses what is no stage entry, what is used up, and what it does not understand, with 2 and a code; nothing is recorded',
    async () => {
      provider.say({ calls: [patchSum('-', '*')] }, { after: new Promise(() => undefined) });
      const child = start('run', 'Make sum add');
      await provider.arrived(2);
      expect(await code('rewind', 'latest', '--to', 'implement')).toEqual([2, 'run.busy']);
      child.kill('SIGKILL');
      await child.ended;
      const entries = (await openexec('timeline', 'latest', '--jsonl')).stdout;
      expect(await code('rewind', 'latest', '--to', 'run_tests')).toEqual([2, 'rewind.unknown']);
      expect(await code('rewind', 'latest', '--to', 'implement#7')).toEqual([2, 'rewind.unknown']);
      expect(await code('rewind', 'latest', '--to', 'implement#x')).toEqual([2, 'usage.invalid']);
      expect(await code('rewind', 'latest', '--run')).toEqual([2, 'usage.invalid']);
      expect(await code('rewind', 'abcd', '--to', 'implement')).toEqual([2, 'run.unknown']);
      expect((await openexec('timeline', 'latest', '--jsonl')).stdout).toBe(entries);
      for (const exit of [0, 0]) expect((await openexec('rewind', 'latest', '--to', 'implement')).exit).toBe(exit);
      expect(await code('rewind', 'latest', '--to', 'implement')).toEqual([2, 'rewind.visits']);
      expect((await openexec('rewind', 'latest')).stdout).toContain('not possible: stage implement was visited 3 times');
    },
    TIME_MS,
  );
});

describe('a changed file that holds what looks like a secret', () => {
  const lines = ['const mode = 1;', '', '', '', '', `const token = 'gh${'p_'}${'zY9'.repeat(12)}';`, ''];
  const PATCH = {
    name: 'apply_patch',
    arguments: { format: 'unified', patch: '--- a/config.js\n+++ b/config.js\n@@ -1,2 +1,2 @@\n-const mode = 1;\n+const mode = 2;\n \n' },
  };
  /** A run that changed another line of it and was killed while the model was asked again; the ledger holds no content of that file. */
  async function killed(): Promise<void> {
    place.write('config.js', lines.join('\n'));
    place.git('add', '-A');
    place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'config');
    provider.say({ calls: [PATCH] }, { after: new Promise(() => undefined) });
    const child = start('run', 'Make sum add');
    await provider.arrived(2);
    child.kill('SIGKILL');
    await child.ended;
  }

  test(
    'is made again after a crash from the run’s own git directory',
    async () => {
      await killed();
      rmSync(join(runTree(), 'config.js'));
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const done = await openexec('resume', 'latest', '--json');
      expect({ exit: done.exit, stderr: done.exit === 0 ? '' : done.stderr }).toEqual({ exit: 0, stderr: '' });
      const { result } = JSON.parse(done.stdout) as { result: { commit: string } };
      expect(place.git('show', `${result.commit}:config.js`)).toBe(['const mode = 2;', ...lines.slice(1)].join('\n'));
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'is a failure with a reason where that directory is gone, and the run can still be rewound to before it',
    async () => {
      await killed();
      rmSync(dirname(runTree()), { recursive: true });
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const refused = await openexec('resume', 'latest', '--json');
      expect(refused.exit).toBe(1);
      expect(refused.stdout).toMatch(/the content of config\.js was kept out of the ledger/);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const done = await openexec('rewind', 'latest', '--to', 'implement', '--run', '--json');
      expect({ exit: done.exit, stderr: done.exit === 0 ? '' : done.stderr }).toEqual({ exit: 0, stderr: '' });
      await soundLedger();
    },
    TIME_MS,
  );
});
