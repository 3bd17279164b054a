/**
 * The deterministic actions end to end through the bundle: a repository with lint, type-check, format, build and test commands, a blueprint of its own
 * that uses all of them, a red lint routed to a repair, a note kept by the agent and read by a stage, and the three reports read from the ledger.
 */
import { describe, expect, test } from '@jest/globals';
import { join } from 'node:path';
import { openSqliteLedger } from '@openexec/stores';
import type { Json } from '@openexec/canon';
import { patchScripts, type Reply } from './place.ts';
import { commitAll, inEachPlace, initialised, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;
const TOOLS: Readonly<Record<string, string>> = {
  // Red as long as a file says "var"; leaves a cache behind, which is scratch.
  'tools/lint.mjs':
    "import { readFileSync, writeFileSync } from 'node:fs';\nwriteFileSync('.lintcache', 'x');\nif (readFileSync('sum.js', 'utf8').includes('var ')) { console.log('sum.js:2: no var'); process.exit(1); }\nconsole.log('clean');\n",
  'tools/typecheck.mjs':
    "import { spawnSync } from 'node:child_process';\nprocess.exit(spawnSync(process.execPath, ['--check', 'sum.js']).status);\n",
  // Takes blanks off line ends in sum.js, and rewrites a file that lies outside the write paths.
  'tools/format.mjs':
    "import { readFileSync, writeFileSync } from 'node:fs';\nwriteFileSync('sum.js', readFileSync('sum.js', 'utf8').replace(/[ ]+$/gm, ''));\nwriteFileSync('tools/stamp.txt', 'formatted');\n",
  'tools/build.mjs':
    "import { copyFileSync, mkdirSync } from 'node:fs';\nmkdirSync('dist', { recursive: true });\ncopyFileSync('sum.js', 'dist/out.js');\nconsole.log('built');\n",
  '.gitattributes': '*.js -diff\n*.bin diff\n',
};
const CONFIG = `version: 1
model: openai:gpt-test
commands:
  test: {argv: [npm, test]}
  lint: {argv: [node, tools/lint.mjs]}
  typecheck: {argv: [node, tools/typecheck.mjs], timeout: fast}
  format: {argv: [node, tools/format.mjs]}
  build: {argv: [node, tools/build.mjs]}
paths: {write: [sum.js, docs/**]}
`;
const BLUEPRINT = `version: 1
name: everything
defaults: {toolset: coding_backend, sandbox: workspace_write}
stages:
  - {id: implement, type: agent, goal: Do the task., outputs: [patch], on_success: format, on_failure: fail}
  - {id: format, type: deterministic, action: run_formatter, inputs: [patch], outputs: [format_report], on_success: lint, on_failure: fail}
  - {id: lint, type: deterministic, action: run_linters, inputs: [patch], outputs: [lint_report], on_success: typecheck, on_failure: fix_lints}
  - {id: fix_lints, type: agent, goal: Repair what the linters found., inputs: [patch, lint_report], outputs: [patch], on_success: lint, on_failure: fail}
  - {id: typecheck, type: deterministic, action: run_typecheck, inputs: [patch], outputs: [typecheck_report], on_success: build, on_failure: fail}
  - {id: build, type: deterministic, action: run_build, inputs: [patch], outputs: [build_report], on_success: run_tests, on_failure: fail}
  - {id: run_tests, type: deterministic, action: run_tests, inputs: [patch], outputs: [test_report], on_success: recall, on_failure: fail}
  - {id: recall, type: deterministic, action: kv_get, arguments: {key: plan}, outputs: [kv_value], on_success: never, on_failure: fail}
  - {id: never, type: deterministic, action: kv_set, arguments: {key: other, value: 1}, when: {artifact: kv_value, field: version, eq: 7}, on_success: diff, on_failure: fail}
  - {id: diff, type: deterministic, action: generate_diff_report, outputs: [diff_report], on_success: review, on_failure: fail}
  - {id: review, type: deterministic, action: prepare_review_bundle, outputs: [review_bundle], on_success: summary, on_failure: fail}
  - {id: summary, type: deterministic, action: summarize_run, outputs: [summary], on_success: commit, on_failure: fail}
  - {id: commit, type: deterministic, action: commit_changes, sandbox: repo_write, inputs: [patch], outputs: [result], on_success: done, on_failure: fail}
`;

inEachPlace(async () => {
  for (const [path, text] of Object.entries(TOOLS)) place.write(path, text);
  commitAll('tools');
  await initialised();
  place.write('.openexec/config.yaml', CONFIG);
  place.write('.openexec/blueprints/everything.yaml', BLUEPRINT);
});

const call = (name: string, args: object): NonNullable<Reply['calls']>[number] => ({ name, arguments: args });
const write = (path: string, content: string) => call('apply_patch', { format: 'whole_file', path, content });

interface Entry {
  readonly kind: string;
  readonly body: { readonly [member: string]: Json };
}
/** Every entry of the one run, and the artifacts of its commits by name: the last version of each. */
async function recorded(): Promise<{
  readonly entries: readonly Entry[];
  readonly artifacts: ReadonlyMap<string, { readonly [member: string]: Json }>;
}> {
  const opened = await openSqliteLedger({
    path: join(place.root, '.openexec/ledger.db'),
    clock: { now: () => '2026-01-01T00:00:00.000Z' as never },
    randomness: { bytes: (count) => new Uint8Array(count) },
    access: 'readOnly',
  });
  if (!opened.ok) throw new Error(opened.error.message);
  const ledger = opened.value;
  const entries: Entry[] = [];
  const artifacts = new Map<string, { readonly [member: string]: Json }>();
  try {
    for await (const { trajectory } of ledger.trajectories('run/')) {
      for await (const { entry, payload } of ledger.read(trajectory)) {
        const body = JSON.parse(Buffer.from(payload ?? []).toString('utf8')) as Entry['body'];
        entries.push({ kind: entry.kind, body });
        if (entry.kind !== 'commit.recorded') continue;
        for (const { name, blob } of body['artifacts'] as unknown as { name: string; blob: { digest: never; mediaType: string } }[]) {
          const bytes = await ledger.blob(blob.digest);
          if (bytes.ok && blob.mediaType === 'application/json')
            artifacts.set(name, JSON.parse(Buffer.from(bytes.value).toString('utf8')) as { readonly [member: string]: Json });
        }
      }
    }
  } finally {
    await ledger.close();
  }
  return { entries, artifacts };
}

describe('a blueprint with every deterministic action', () => {
  test(
    'formats, lints, repairs, checks, builds, tests, recalls a note, reports and lands; deep verification and replay agree',
    async () => {
      provider.say(
        {
          calls: [
            call('kv_set', { key: 'plan', value: { step: 'make sum add', ratio: 0.5 }, expectedVersion: 0 }),
            call('kv_set', { key: 'plan', value: 'late', expectedVersion: 0 }),
            write('sum.js', 'export function sum(a, b) {\n  var c = a + b;   \n  return c;\n}\n'),
            write('docs/blob.bin', 'a\u0000b\n'),
          ],
        },
        { text: 'done' },
        { calls: [call('kv_get', { key: 'plan' }), write('sum.js', 'export function sum(a, b) {\n  return a + b;\n}\n')] },
        { text: 'repaired' },
      );
      const ended = await openexec('run', 'Make sum add', '--blueprint', 'everything', '--json');
      expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr + ended.stdout }).toEqual({ exit: 0, stderr: '' });
      const { entries, artifacts } = await recorded();

      // What the model was told of its notes: the version made, the refusal of a stale one, the value.
      const told = JSON.stringify(provider.requests.map(({ messages }) => messages));
      expect(told).toContain('precondition.version');
      expect(told).toContain(JSON.stringify(JSON.stringify({ key: 'plan', version: 1 })).slice(1, -1));
      expect(artifacts.get('kv_value')).toEqual({ key: 'plan', found: true, version: 1, value: { step: 'make sum add', ratio: 0.5 } });

      // The stage whose condition on the note is false was skipped.
      const left = entries.filter(({ kind }) => kind === 'stage.left').map(({ body }) => JSON.stringify([body['stage'], body['outcome']]));
      expect(left).toEqual([
        '["implement","succeeded"]',
        '["format","succeeded"]',
        '["lint","failed"]',
        '["fix_lints","succeeded"]',
        '["lint","succeeded"]',
        '["typecheck","succeeded"]',
        '["build","succeeded"]',
        '["run_tests","succeeded"]',
        '["recall","succeeded"]',
        '["never","skipped"]',
        '["diff","succeeded"]',
        '["review","succeeded"]',
        '["summary","succeeded"]',
        '["commit","succeeded"]',
      ]);
      const observed = entries.filter(({ kind }) => kind === 'execution.observed').map(({ body }) => body);
      expect(observed.some(({ scratch }) => JSON.stringify(scratch) === '[".lintcache"]')).toBe(true);
      expect(observed.some(({ scratch }) => JSON.stringify(scratch) === '["dist/out.js"]')).toBe(true);
      expect(artifacts.get('format_report')).toMatchObject({ status: 'passed', changed: ['sum.js'], putBack: ['tools/stamp.txt'] });
      expect(artifacts.get('lint_report')).toMatchObject({ status: 'passed', exitCode: 0 });
      expect(artifacts.get('typecheck_report')).toMatchObject({ status: 'passed' });
      expect(artifacts.get('build_report')).toMatchObject({ status: 'passed', tail: 'built\n' });
      expect(artifacts.get('test_report')).toMatchObject({ status: 'passed' });

      checkReports(artifacts);
      const landed = JSON.parse(ended.stdout) as { readonly result: { readonly commit: string } };
      expect(place.git('show', '--stat', '--format=', landed.result.commit)).not.toContain('stamp.txt');
      expect((await openexec('verify', '--deep', '--json')).exit).toBe(0);
      expect((await openexec('replay', 'latest', '--json')).exit).toBe(0);
      expect((await openexec('show', 'latest')).stdout).toContain('run_formatter');
    },
    TIME_MS,
  );

  test(
    'needs each command configured: a missing one is refused by name, and none skips its stage',
    async () => {
      for (const name of ['lint', 'typecheck', 'format', 'build', 'test']) {
        place.write('.openexec/config.yaml', CONFIG.replace(new RegExp(`^  ${name}:.*\\n`, 'm'), ''));
        const refused = await openexec('run', 'Make sum add', '--blueprint', 'everything', '--json');
        expect([name, refused.exit, JSON.parse(refused.stdout)]).toMatchObject([name, 2, { error: { code: `config.${name}Missing` } }]);
      }
      place.write('.openexec/config.yaml', CONFIG.replace(/^ {2}(lint|typecheck|format|build):.*$/gm, "  $1: 'none'"));
      provider.say({ calls: [write('sum.js', 'export function sum(a, b) {\n  return a + b;\n}\n')] }, { text: 'done' });
      expect((await openexec('run', 'Make sum add', '--blueprint', 'everything', '--json')).exit).toBe(0);
      const { entries, artifacts } = await recorded();
      const skipped = entries.filter(({ kind, body }) => kind === 'stage.left' && body['outcome'] === 'skipped');
      expect(skipped.map(({ body }) => [body['stage'], (body['because'] as { code: string }).code])).toEqual([
        ['format', 'command.none'],
        ['lint', 'command.none'],
        ['typecheck', 'command.none'],
        ['build', 'command.none'],
        ['never', 'condition.false'],
      ]);
      expect(artifacts.get('kv_value')).toEqual({ key: 'plan', found: false, version: 0, value: null });
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );
});

describe('a review bundle', () => {
  test(
    'tells of approvals given in another process and of files that some tool runs by itself, also after the run was taken up again',
    async () => {
      place.write('.openexec/config.yaml', CONFIG.replace(/^paths:.*\n/m, ''));
      provider.say({ calls: [patchScripts(), write('sum.js', 'export function sum(a, b) {\n  return a + b;\n}\n')] });
      const parked = await openexec('run', 'Add a start script', '--blueprint', 'everything', '--json');
      expect(parked.exit).toBe(11);
      const { request } = JSON.parse(parked.stdout) as { readonly request: string };
      expect((await openexec('approve', request, '--because', 'it is wanted')).exit).toBe(0);
      provider.say({ text: 'done' });
      // The landing asks too, because of the same file; by then the reports are made.
      expect((await openexec('resume', 'latest', '--json')).exit).toBe(11);
      const { artifacts } = await recorded();
      expect(artifacts.get('review_bundle')).toMatchObject({
        approvals: [
          {
            action: 'apply_patch',
            stage: 'implement',
            outcome: 'approved',
            rule: { layer: 'shipped', rule: 'ask-auto-run' },
            votes: [{ decision: 'approve', assurance: 'file', because: 'it is wanted' }],
          },
        ],
        autoRunFiles: ['package.json'],
      });
      // Without narrower write paths the formatter may change any file.
      expect(artifacts.get('format_report')).toMatchObject({ changed: ['tools/stamp.txt'], putBack: [] });
      expect(artifacts.get('diff_report')).toMatchObject({ autoRun: ['package.json'], totals: { files: 3 } });
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );
});

/** The reports are the run as it was: nothing that git attributes hide is hidden, every refusal has its reason. */
function checkReports(artifacts: ReadonlyMap<string, { readonly [member: string]: Json }>): void {
  const diff = artifacts.get('diff_report');
  expect(diff).toMatchObject({
    totals: { files: 2, added: 1, removed: 1, binary: 1, notShown: 0 },
    files: [
      { path: 'docs/blob.bin', status: 'added', added: null, removed: null, binary: true, autoRun: false },
      { path: 'sum.js', status: 'changed', added: 1, removed: 1, binary: false, shown: true },
    ],
    autoRun: [],
  });
  expect(diff?.['diff']).toContain('-  return a - b;\n+  return a + b;\n');
  const review = artifacts.get('review_bundle');
  expect(review).toMatchObject({
    task: 'Make sum add',
    blueprint: 'everything',
    diffStat: { files: 2, added: 1, removed: 1 },
    refusals: [{ action: 'kv_set', author: 'model', at: 'compile', stage: 'implement', because: { code: 'precondition.version' } }],
    approvals: [],
    undeclaredEffects: [],
    autoRunFiles: [],
    model: { asks: 4, answers: 4, failures: 0 },
  });
  const checks = review?.['checks'] as readonly { readonly action: string; readonly status: string }[];
  expect(checks.map(({ action, status }) => `${action} ${status}`)).toEqual([
    'run_formatter ok',
    'run_linters failed',
    'run_linters ok',
    'run_typecheck ok',
    'run_build ok',
    'run_tests ok',
  ]);
  expect(review?.['text']).toContain('# Review of the run');
  const summary = artifacts.get('summary');
  expect(summary).toMatchObject({ notes: [{ key: 'plan', version: 1 }], spend: { settled: { tokens: 480 } } });
  const counts = summary?.['actions'] as readonly { readonly action: string }[];
  expect(counts.find(({ action }) => action === 'kv_set')).toEqual({
    action: 'kv_set',
    intents: 2,
    refused: 1,
    executed: 1,
    committed: 1,
    failed: 0,
  });
}

describe('openexec action', () => {
  test(
    'lists every action and shows each with schema, effect, time and examples; an unknown one is refused',
    async () => {
      const listed = JSON.parse((await openexec('action', 'list', '--json')).stdout) as {
        readonly actions: readonly { readonly name: string }[];
      };
      const names = listed.actions.map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['run_linters', 'run_typecheck', 'run_formatter', 'run_build', 'kv_set', 'kv_get']));
      expect((await openexec('action', 'list')).stdout.trim().split('\n')).toHaveLength(names.length);
      for (const name of names) {
        const shown = JSON.parse((await openexec('action', 'show', name, '--json')).stdout) as {
          readonly action: { readonly [member: string]: Json };
        };
        expect(shown.action).toMatchObject({
          name,
          capability: name,
          examples: { accepted: expect.anything(), refused: expect.anything() },
        });
        expect(Object.keys(shown.action)).toEqual(
          expect.arrayContaining([
            'effect',
            'risk',
            'timeoutMs',
            'idempotence',
            'compensable',
            'writes',
            'paths',
            'arguments',
            'outputs',
            'toolsets',
            'errors',
            'outputBytes',
          ]),
        );
      }
      expect((await openexec('action', 'show', 'kv_set')).stdout).toContain('precondition.version');
      const refused = await openexec('action', 'show', 'run_linter', '--json');
      expect([refused.exit, JSON.parse(refused.stdout)]).toMatchObject([
        2,
        { error: { code: 'action.unknown', message: expect.stringContaining('run_linters') } },
      ]);
    },
    TIME_MS,
  );
});
