/**
 * The modes of replay through the bundle: one run derived, one stage of it derived, its actions performed and its questions asked again, each ending at
 * the git tree and each naming what deviates; and two runs as a page. PROTOCOL §10; CLI.md.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { patchSum, type Reply } from './place.ts';
import { commitAll, inOnePlace, openexec, openexecWith, place, provider } from './scene.ts';

const TIME_MS = 240_000;
/** What the two runs are made of, and what a model of the same mind says again. */
const FIRST: readonly Reply[] = [
  { calls: [{ name: 'read_file', arguments: { path: 'sum.js' } }, patchSum('-', '*')] },
  { text: 'done' },
  { calls: [patchSum('*', '+')] },
  { text: 'done' },
];
let run = '';

/** Commands see a folder of the checkout that git does not: what the tests need of it may change behind the run's back. */
inOnePlace(async () => {
  mkdirSync(join(place.root, 'node_modules/five'), { recursive: true });
  place.write('.gitignore', 'node_modules/\n');
  place.write('node_modules/five/package.json', '{ "name": "five", "version": "1.0.0", "type": "module", "main": "index.js" }\n');
  place.write('node_modules/five/index.js', 'export const five = 5;\n');
  place.write(
    'sum.test.js',
    "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { five } from 'five';\nimport { sum } from './sum.js';\ntest('sum', () => assert.equal(sum(2, 3), five));\n",
  );
  commitAll();
  const made = await openexec('init', '--model', 'openai:gpt-test');
  expect({ exit: made.exit, provided: /provided folders +(.*)/.exec(made.stdout)?.[1] }).toEqual({ exit: 0, provided: 'node_modules' });
  provider.say(...FIRST);
  const ran = await openexec('run', 'Make sum add', '--json');
  expect({ exit: ran.exit, stderr: ran.exit === 0 ? '' : ran.stderr }).toEqual({ exit: 0, stderr: '' });
  run = (JSON.parse(ran.stdout) as { readonly run: string }).run;
});

interface Printed {
  readonly verdict: string;
  readonly expectedTree?: string;
  readonly actualTree?: string;
  readonly actions?: readonly {
    readonly action: string;
    readonly skipped: string | null;
    readonly differs: readonly object[];
    readonly varied: readonly string[];
  }[];
  readonly asks?: readonly {
    readonly verdict: string;
    readonly because: object | null;
    readonly differs: readonly { readonly path: string }[];
  }[];
  readonly spent?: object;
}
async function replay(exit: number, ...args: readonly string[]): Promise<Printed> {
  const ended = await openexec('replay', run, ...args, '--json');
  expect({ args, exit: ended.exit, stderr: ended.exit === exit ? '' : ended.stderr + ended.stdout }).toEqual({ args, exit, stderr: '' });
  return JSON.parse(ended.stdout) as Printed;
}
async function code(...args: readonly string[]): Promise<readonly [number | null, string]> {
  const ended = await openexec(...args, '--json');
  return [ended.exit, (JSON.parse(ended.stdout) as { readonly error: { readonly code: string } }).error.code];
}
/** All that a replay may not touch: the ledger, the branches, the folders of runs. */
async function untouched(): Promise<object> {
  const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { readonly size: string; readonly root: string };
  const ledger = readdirSync(place.state).find((name) => /^[0-9a-f]{32}$/.test(name)) ?? '';
  const replays = join(place.state, ledger, 'replays');
  return {
    size: info.size,
    root: info.root,
    refs: place.git('for-each-ref'),
    status: place.git('status', '--porcelain'),
    left: existsSync(replays) ? readdirSync(replays) : [],
  };
}
const tree = (): string => place.git('rev-parse', `openexec/${run.slice('run/'.length, 'run/'.length + 12)}^{tree}`).trim();

describe('exact and step', () => {
  test(
    'exact says both trees, and prints the same bytes under other time zones and languages',
    async () => {
      expect(await replay(0)).toMatchObject({ mode: 'exact', verdict: 'agrees', tree: tree(), recordedTree: tree() });
      for (const format of [[], ['--json']]) {
        const here = await openexec('replay', run, ...format);
        for (const env of [
          { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' },
          { TZ: 'America/St_Johns', LANG: 'ja_JP.UTF-8', LC_ALL: 'ja_JP.UTF-8' },
        ])
          expect(await openexecWith(['replay', run, ...format], { env })).toEqual(here);
        expect(here.stdout).toContain(tree());
      }
    },
    TIME_MS,
  );

  test(
    'step derives one visit, says which entries, and names the visits where there is no such one',
    async () => {
      expect(await replay(0, '--mode', 'step', '--stage', 'run_tests#1')).toMatchObject({
        mode: 'step',
        stage: 'run_tests',
        visit: 1,
        outcome: 'failed',
        verdict: 'agrees',
      });
      expect(await replay(0, '--mode', 'step', '--stage', 'run_tests')).toMatchObject({
        visit: 2,
        outcome: 'succeeded',
        tree: tree(),
        recordedTree: tree(),
      });
      const none = await openexec('replay', run, '--mode', 'step', '--stage', 'run_tests#9');
      expect([none.exit, none.stderr]).toEqual([2, expect.stringContaining('run_tests#2')]);
      expect(await code('replay', run, '--mode', 'step', '--stage', 'run_tests#9')).toEqual([2, 'replay.stageUnknown']);
      for (const args of [
        ['--mode', 'step'],
        ['--mode', 'step', '--stage', 'a b'],
        ['--mode', 'everything'],
        ['--stage', 'fix_tests'],
        ['--mode', 'effects', '--budget-usd', '1'],
      ])
        expect(await code('replay', run, ...args)).toEqual([2, 'usage.invalid']);
    },
    TIME_MS,
  );
});

describe('effects', () => {
  test(
    'performs the recorded actions again in a fresh workspace, ends at the tree by git, lands nothing and leaves nothing',
    async () => {
      const before = await untouched();
      const done = await replay(0, '--mode', 'effects');
      expect(done).toMatchObject({ verdict: 'agrees', expectedTree: tree(), actualTree: tree() });
      expect(done.actions?.map(({ action, skipped }) => [action, skipped])).toEqual([
        ['read_file', null],
        ['apply_patch', null],
        ['run_tests', null],
        ['apply_patch', null],
        ['run_tests', null],
        ['commit_changes', 'external'],
      ]);
      expect(done.actions?.every(({ differs }) => differs.length === 0)).toBe(true);
      const told = await openexec('replay', run, '--mode', 'effects');
      expect(told.stdout).toContain('not performed: it reaches beyond the workspace');
      expect(told.stdout).toMatch(/not {8}durations/);
      expect(await untouched()).toEqual(before);
    },
    TIME_MS,
  );

  test(
    'ends with 21 where an action comes out otherwise, and names it with both values',
    async () => {
      const before = await untouched();
      place.write('node_modules/five/index.js', 'export const five = 7;\n');
      try {
        const done = await replay(21, '--mode', 'effects');
        expect(done).toMatchObject({ verdict: 'diverges', expectedTree: tree(), actualTree: tree() });
        expect(done.actions?.filter(({ differs }) => differs.length > 0)).toMatchObject([
          {
            action: 'run_tests',
            differs: [
              { path: '/exitCode', expected: '0', recorded: '1' },
              { path: '/status', expected: '"ok"', recorded: '"failed"' },
            ],
          },
        ]);
        const told = await openexec('replay', run, '--mode', 'effects');
        expect([told.exit, told.stdout]).toEqual([21, expect.stringMatching(/\/exitCode\n +recorded 0\n +now +1\n/)]);
        expect(await untouched()).toEqual(before);
      } finally {
        place.write('node_modules/five/index.js', 'export const five = 5;\n');
      }
    },
    TIME_MS,
  );
});

describe('model', () => {
  test(
    'asks the recorded questions again: the same calls are the same tree, other words are no divergence',
    async () => {
      const before = await untouched();
      const asked = provider.requests.length;
      provider.say(...FIRST.slice(0, 3), { text: 'finished' });
      const done = await replay(0, '--mode', 'model');
      expect(done).toMatchObject({ verdict: 'agrees', expectedTree: tree(), actualTree: tree(), spent: { calls: 4, tokens: 480 } });
      expect(done.asks?.map(({ verdict }) => verdict)).toEqual(['same', 'same', 'same', 'text']);
      const questions = provider.requests.map(({ messages }) => messages);
      // Those of the run stand before them; the very same words went out.
      expect(questions.slice(asked)).toEqual(questions.slice(asked - 4, asked));
      expect(await untouched()).toEqual(before);
    },
    TIME_MS,
  );

  test(
    'ends with 21 at other calls, 30 where the provider does not answer or no key is there, 13 where the budget does not reach',
    async () => {
      provider.say(FIRST[0] ?? {}, FIRST[1] ?? {}, { calls: [patchSum('*', '-')] }, { text: 'done' });
      const other = await replay(21, '--mode', 'model');
      expect(other).toMatchObject({ verdict: 'diverges', actualTree: null });
      expect(other.asks?.[2]).toMatchObject({ verdict: 'differs', differs: [{ path: '/calls/0/arguments/patch' }] });

      provider.say({ status: 401 }, { status: 401 }, { status: 401 }, { status: 401 });
      const refused = await replay(30, '--mode', 'model');
      expect(refused.asks?.map(({ because }) => because)).toMatchObject(Array.from({ length: 4 }, () => ({ code: 'model.unauthorized' })));

      const keyless = await openexecWith(['replay', run, '--mode', 'model', '--json'], { env: { OPENAI_API_KEY: '' } });
      expect([keyless.exit, JSON.parse(keyless.stdout)]).toMatchObject([30, { error: { code: 'model.keyMissing' } }]);
      expect(await code('replay', run, '--mode', 'model', '--model', 'nobody:x')).toEqual([2, 'model.unknownProvider']);
      expect(await code('replay', run, '--mode', 'model', '--budget-usd', '1')).toEqual([2, 'config.priceMissing']);

      const script = join(place.folder, 'script.json');
      writeFileSync(script, JSON.stringify({ answers: [{ text: 'I give up.' }] }));
      const scripted = await replay(21, '--mode', 'model', '--model', `scripted:${script}`);
      expect(scripted).toMatchObject({ asked: { provider: 'scripted', model: 'script.json' } });

      const config = readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8');
      writeFileSync(
        join(place.root, '.openexec/config.yaml'),
        `${config}\nmodels:\n  openai:\n    pricing: { gpt-test: { input: 1, output: 2 } }\n`,
      );
      try {
        const poor = await replay(13, '--mode', 'model', '--budget-usd', '0.0001');
        expect(poor.asks?.every(({ verdict }) => verdict === 'budget')).toBe(true);
        expect(poor.spent).toEqual({ tokens: 0, usdMicros: 0, calls: 0 });
      } finally {
        writeFileSync(join(place.root, '.openexec/config.yaml'), config);
      }
    },
    TIME_MS,
  );
});

describe('runs in which a mode has nothing to compare, and two runs as a page', () => {
  test(
    'a run without an answer and without an action is refused by model and effects, never passed',
    async () => {
      provider.say({ status: 401 });
      expect((await openexec('run', 'Look <b>around</b>')).exit).toBe(30);
      expect(await code('replay', 'latest', '--mode', 'model')).toEqual([2, 'replay.nothing']);
      expect(await code('replay', 'latest', '--mode', 'effects')).toEqual([2, 'replay.nothing']);
    },
    TIME_MS,
  );

  test(
    'the page of two runs has verdicts and cost of both, no script, nothing from outside, and spells out what a task says',
    async () => {
      const file = join(place.folder, 'runs.html');
      const told = await openexec('diff', run, 'latest', '--html', file);
      expect([told.exit, told.stdout]).toEqual([1, expect.stringMatching(/6 permitted, 0 denied.*480 tokens/)]);
      const page = readFileSync(file, 'utf8');
      expect(page).toContain('Look &lt;b&gt;around&lt;/b&gt;');
      expect(page).not.toMatch(/<script|<b>|https?:|src=/);
      expect(page).toContain("default-src 'none'");
      expect(page).toContain('prefers-color-scheme:dark');
      expect(page).toMatch(/<td>Tokens spent<\/td><td>480<\/td>/);
      expect(page).toMatch(/<td>Permitted<\/td><td>6<\/td><td>0<\/td>/);
      expect(await code('diff', run, 'latest', '--html', file)).toEqual([2, 'file.exists']);
      expect(await code('diff', run, '--html', join(place.folder, 'one.html'))).toEqual([2, 'usage.invalid']);
      const verified = await openexec('verify', '--deep', '--json');
      expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, deep: { totals: { divergences: 0, violations: 0 } } });
    },
    TIME_MS,
  );

  test(
    'a run that was erased is not derivable: every mode says from where and ends with 0, and performs and asks nothing',
    async () => {
      const asked = provider.requests.length;
      expect((await openexec('ledger', 'erase', run, '--because', 'asked by the customer')).exit).toBe(0);
      expect(await replay(0)).toMatchObject({ verdict: 'notDerivable', tree: null, recordedTree: null });
      expect(await replay(0, '--mode', 'effects')).toMatchObject({
        verdict: 'notDerivable',
        actions: [],
        expectedTree: null,
        actualTree: null,
      });
      expect(await replay(0, '--mode', 'model')).toMatchObject({ verdict: 'notDerivable', asked: null, asks: [] });
      expect(provider.requests).toHaveLength(asked);
      expect(await code('golden', 'add', run)).toEqual([2, 'golden.invalid']);
    },
    TIME_MS,
  );
});
