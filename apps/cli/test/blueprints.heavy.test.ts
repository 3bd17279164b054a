/**
 * Blueprints through the bundle: each shipped one from its first stage to its landing and along its failure routes, with real repositories, the real
 * sandbox and a scripted model; what a stage may not do; and the command that lists, checks and draws them. After each run the ledger is verified deep.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { inEachBarePlace, openexec, place } from './scene.ts';

type Call = { readonly name: string; readonly arguments: object };
type Turn = { readonly stage: string; readonly visit?: number; readonly calls?: readonly Call[]; readonly text?: string };
interface Line {
  readonly kind: string;
  readonly body: { readonly [member: string]: unknown };
}
interface Summary {
  readonly status: string;
  readonly request: string | null;
  readonly because: { readonly code: string; readonly message: string } | null;
  readonly result: { readonly commit: string } | null;
}

const TIME_MS = 240_000;
const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const BOTH = 'commands:\n  test: {argv: [node, --test]}\n  lint: {argv: [node, lint.mjs]}\n';
/** Objects to `var`. */
const LINT =
  "import { readFileSync } from 'node:fs';\nif (readFileSync('sum.js', 'utf8').includes('var ')) {\n  console.log('sum.js:2:3: no var');\n  process.exit(1);\n}\n";
const WEAK_TEST =
  "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { sum } from './sum.js';\ntest('sum', () => assert.equal(sum(2, 0), 2));\n";
const SHOWING_TEST =
  "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { sum } from './sum.js';\ntest('sum of two', () => assert.equal(sum(2, 3), 5));\n";

inEachBarePlace();

function commit(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) place.write(path, text);
  place.git('add', ...Object.keys(files));
  place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'more');
}
async function setUp(config: string, files: Readonly<Record<string, string>> = { 'lint.mjs': LINT }): Promise<void> {
  commit(files);
  expect(await openexec('init')).toMatchObject({ exit: 0 });
  place.write('.openexec/config.yaml', `version: 1\n${config}`);
}
const write = (path: string, content: string): Call => ({ name: 'apply_patch', arguments: { format: 'whole_file', path, content } });
const sum = (body: string): Call => write('sum.js', `export function sum(a, b) {\n${body}\n}\n`);

/** A run of a blueprint whose model says these turns, and nothing after each of them. */
async function run(
  blueprint: string,
  turns: readonly Turn[],
  ...more: readonly string[]
): Promise<{ readonly exit: number | null; readonly told: Summary; readonly said: string }> {
  const script = join(place.folder, 'script.json');
  const answers = turns.flatMap(({ stage, visit, calls, text }) => {
    const at = { stage, ...(visit === undefined ? {} : { visit }) };
    return calls === undefined
      ? [{ ...at, text: text ?? 'done' }]
      : [
          { ...at, calls },
          { ...at, text: text ?? 'done' },
        ];
  });
  writeFileSync(script, JSON.stringify({ answers }));
  const ended = await openexec('run', 'Make sum add', '--blueprint', blueprint, '--model', `scripted:${script}`, '--json', ...more);
  return { exit: ended.exit, told: JSON.parse(ended.stdout) as Summary, said: ended.stderr };
}
async function timeline(): Promise<readonly Line[]> {
  const lines = (await openexec('timeline', 'latest', '--jsonl')).stdout.trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Line);
}
/** Stages in the order of their entry, and how each was left. */
async function way(): Promise<readonly string[]> {
  return (await timeline()).flatMap(({ kind, body }) =>
    kind === 'stage.left' ? [`${String(body['stage'])} ${String(body['outcome'])}`] : [],
  );
}
async function refusals(): Promise<readonly string[]> {
  return (await timeline()).flatMap(({ kind, body }) =>
    kind === 'proposal.rejected' ? [(body['because'] as { readonly code: string }).code] : [],
  );
}
async function verified(): Promise<void> {
  const deep = await openexec('verify', '--deep', '--json');
  expect({ exit: deep.exit, said: deep.exit === 0 ? '' : deep.stdout }).toEqual({ exit: 0, said: '' });
  expect(await openexec('replay', 'latest')).toMatchObject({ exit: 0 });
}
const shown = (commitId: string | undefined, path: string): string => place.git('show', `${commitId}:${path}`);

describe('backend_bugfix', () => {
  beforeEach(() => setUp(BOTH, { 'lint.mjs': LINT, 'sum.test.js': WEAK_TEST }), TIME_MS);

  test(
    'goes on only from a test that fails, keeps that test from the repair, and goes round for tests and linters before it lands',
    async () => {
      const { exit, told, said } = await run('backend_bugfix', [
        { stage: 'reproduce', visit: 1, calls: [write('two.test.js', WEAK_TEST)] },
        { stage: 'reproduce', visit: 2, calls: [write('two.test.js', SHOWING_TEST)] },
        { stage: 'implement', visit: 1, calls: [write('two.test.js', WEAK_TEST), sum('  return a * b;')] },
        { stage: 'fix_tests', visit: 1, calls: [sum('  var c = a + b;\n  return c;')] },
        { stage: 'fix_lints', visit: 1, calls: [sum('  return a + b;')] },
      ]);
      expect({ exit, said: exit === 0 ? '' : said }).toEqual({ exit: 0, said: '' });
      expect(await way()).toEqual([
        'gather_context succeeded',
        'reproduce succeeded',
        'confirm_failure succeeded',
        'reproduce succeeded',
        'confirm_failure failed',
        'implement succeeded',
        'run_tests failed',
        'fix_tests succeeded',
        'run_tests succeeded',
        'run_linters failed',
        'fix_lints succeeded',
        'run_tests succeeded',
        'run_linters succeeded',
        'diff_report succeeded',
        'review succeeded',
        'commit_changes succeeded',
      ]);
      expect(await refusals()).toEqual(['stage.protected']);
      expect(shown(told.result?.commit, 'sum.js')).toContain('return a + b;');
      expect(shown(told.result?.commit, 'two.test.js')).toBe(SHOWING_TEST);
      await verified();
    },
    TIME_MS,
  );

  test(
    'ends at the cap where no test shows the bug, and lands nothing',
    async () => {
      const { exit, told } = await run('backend_bugfix', [{ stage: 'reproduce', calls: [write('two.test.js', WEAK_TEST)] }]);
      expect({ exit, code: told.because?.code, result: told.result }).toEqual({ exit: 1, code: 'visits.exhausted', result: null });
      expect((await way()).filter((left) => left.startsWith('implement'))).toEqual([]);
      await verified();
    },
    TIME_MS,
  );

  test(
    'is refused where the tests are configured as none: nothing could show the bug',
    async () => {
      place.write('.openexec/config.yaml', "version: 1\ncommands:\n  test: 'none'\n  lint: {argv: [node, lint.mjs]}\n");
      const { exit, told } = await run('backend_bugfix', []);
      expect(exit).toBe(2);
      expect(JSON.stringify(told)).toContain('configured as none');
    },
    TIME_MS,
  );
});

describe('scoped_code_change', () => {
  beforeEach(() => setUp(BOTH), TIME_MS);
  const GOOD: readonly Turn[] = [{ stage: 'implement', calls: [write('README.md', 'no\n'), sum('  return a + b;')] }];

  test(
    'is refused without declared paths, before anything is opened',
    async () => {
      const refused = await openexec('run', 'Make sum add', '--blueprint', 'scoped_code_change', '--model', 'none', '--json');
      expect(refused.exit).toBe(2);
      const scripted = await run('scoped_code_change', GOOD);
      expect({ exit: scripted.exit, told: scripted.told }).toMatchObject({ exit: 2, told: { error: { code: 'config.scopeMissing' } } });
      expect((await openexec('run', 'x', '--write', '../out')).exit).toBe(2);
      expect(JSON.parse((await openexec('runs', '--json')).stdout)).toMatchObject({ runs: [] });
    },
    TIME_MS,
  );

  test(
    'changes what was declared and nothing else, goes round for linters and tests, waits for a person, and lands on a yes',
    async () => {
      const first = await run(
        'scoped_code_change',
        [
          { stage: 'implement', calls: [write('README.md', 'no\n'), sum('  var c = a * b;\n  return c;')] },
          { stage: 'fix_lints', calls: [sum('  return a * b;')] },
          { stage: 'fix_tests', calls: [sum('  return a + b;')] },
        ],
        '--write',
        'sum.js',
      );
      expect({ exit: first.exit, said: first.exit === 11 ? '' : first.said }).toEqual({ exit: 11, said: '' });
      expect(await refusals()).toEqual(['writ.writePaths']);
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      expect((await openexec('approve', first.told.request ?? '')).exit).toBe(0);
      const ended = await openexec('resume', 'latest', '--json');
      expect({ exit: ended.exit, said: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, said: '' });
      expect(await way()).toEqual([
        'gather_context succeeded',
        'implement succeeded',
        'run_linters failed',
        'fix_lints succeeded',
        'run_linters succeeded',
        'run_tests failed',
        'fix_tests succeeded',
        'run_linters succeeded',
        'run_tests succeeded',
        'diff_report succeeded',
        'review succeeded',
        'commit_changes succeeded',
      ]);
      const { result } = JSON.parse(ended.stdout) as Summary;
      expect(place.git('diff', '--name-only', 'HEAD', result?.commit ?? '').trim()).toBe('sum.js');
      await verified();
    },
    TIME_MS,
  );

  test(
    'lands nothing on a no, nor where nobody may be asked',
    async () => {
      const first = await run('scoped_code_change', GOOD, '--write', 'sum.js');
      expect(first.exit).toBe(11);
      expect((await openexec('deny', first.told.request ?? '', '--because', 'not now')).exit).toBe(0);
      expect((await openexec('resume', 'latest', '--json')).exit).toBe(12);
      const silent = await run('scoped_code_change', GOOD, '--write', 'sum.js', '--approve', 'never');
      expect({ exit: silent.exit, code: silent.told.because?.code }).toEqual({ exit: 10, code: 'approval.notAsked' });
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      await verified();
    },
    TIME_MS,
  );
});

describe('debug_ci_failure', () => {
  beforeEach(() => setUp(BOTH), TIME_MS);

  test(
    'starts from the failing check, packs what its report names, never lets a test be weakened, and checks again before it lands',
    async () => {
      const { exit, told, said } = await run('debug_ci_failure', [
        { stage: 'fix', visit: 1, calls: [write('sum.test.js', WEAK_TEST), write('tests/helper.js', 'x\n'), sum('  return a * b;')] },
        { stage: 'fix', visit: 2, calls: [sum('  var c = a + b;\n  return c;')] },
        { stage: 'fix_lints', calls: [write('sum.test.js', WEAK_TEST), sum('  return a + b;')] },
      ]);
      expect({ exit, said: exit === 0 ? '' : said }).toEqual({ exit: 0, said: '' });
      expect(await way()).toEqual([
        'reproduce failed',
        'gather_context succeeded',
        'fix succeeded',
        'run_tests failed',
        'gather_context succeeded',
        'fix succeeded',
        'run_tests succeeded',
        'run_linters failed',
        'fix_lints succeeded',
        'run_tests succeeded',
        'run_linters succeeded',
        'summary succeeded',
        'commit_changes succeeded',
      ]);
      expect(await refusals()).toEqual(['stage.protected', 'stage.protected', 'stage.protected']);
      expect(place.git('diff', '--name-only', 'HEAD', told.result?.commit ?? '').trim()).toBe('sum.js');
      await verified();
    },
    TIME_MS,
  );

  test(
    'starts from the linters where the tests pass, and fails where every check passes: there is nothing to repair',
    async () => {
      commit({ 'sum.js': 'export function sum(a, b) {\n  var c = a + b;\n  return c;\n}\n' });
      const lints = await run('debug_ci_failure', [{ stage: 'fix_lints', calls: [sum('  return a + b;')] }]);
      expect(lints.exit).toBe(0);
      expect((await way()).slice(0, 3)).toEqual(['reproduce succeeded', 'reproduce_lints failed', 'fix_lints succeeded']);
      commit({ 'sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n' });
      const nothing = await run('debug_ci_failure', []);
      expect({ exit: nothing.exit, result: nothing.told.result }).toEqual({ exit: 1, result: null });
      expect(nothing.told.because?.message).toBe('the blueprint leads from reproduce_lints to fail');
      expect(await way()).toEqual(['reproduce succeeded', 'reproduce_lints succeeded']);
      await verified();
    },
    TIME_MS,
  );
});

describe('standard_task', () => {
  test(
    'gathers, implements, repairs and lands; ends at the cap where the tests never pass',
    async () => {
      await setUp(BOTH);
      const { exit } = await run('standard_task', [
        { stage: 'implement', calls: [sum('  return a * b;')] },
        { stage: 'fix_tests', calls: [sum('  return a + b;')] },
      ]);
      expect(exit).toBe(0);
      expect(await way()).toEqual([
        'gather_context succeeded',
        'implement succeeded',
        'run_tests failed',
        'fix_tests succeeded',
        'run_tests succeeded',
        'commit_changes succeeded',
      ]);
      const never = await run('standard_task', [
        { stage: 'implement', calls: [sum('  return a * b;')] },
        { stage: 'fix_tests', text: 'I cannot' },
      ]);
      expect({ exit: never.exit, code: never.told.because?.code }).toEqual({ exit: 1, code: 'visits.exhausted' });
      await verified();
    },
    TIME_MS,
  );
});

describe('a stage', () => {
  /** Passes where a file of the tree can be written, as the argument says. */
  const PROBE =
    "import { writeFileSync } from 'node:fs';\nlet written = true;\ntry {\n  writeFileSync('probe.txt', 'x');\n} catch {\n  written = false;\n}\nprocess.exit(written === (process.argv[2] === 'writable') ? 0 : 1);\n";

  test(
    'runs its commands in a sandbox of its own mode: read-only where it says read_only, though another stage of the run may write',
    async () => {
      await setUp('commands:\n  test: {argv: [node, probe.mjs, readonly]}\n  lint: {argv: [node, probe.mjs, writable]}\n', {
        'probe.mjs': PROBE,
      });
      place.write(
        '.openexec/blueprints/modes.yaml',
        [
          'version: 1',
          'name: modes',
          'stages:',
          '  - {id: look, type: deterministic, action: run_tests, sandbox: read_only}',
          '  - {id: work, type: deterministic, action: run_linters, sandbox: workspace_write}',
          '',
        ].join('\n'),
      );
      const ended = await openexec('run', 'Probe', '--blueprint', 'modes', '--json');
      expect({ exit: ended.exit, said: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, said: '' });
      const sandboxes = (await timeline()).flatMap(({ kind, body }) => (kind === 'execution.started' ? [body['sandbox']] : []));
      expect(sandboxes).toMatchObject([{ mode: 'read_only' }, { mode: 'workspace_write' }]);
      await verified();
    },
    TIME_MS,
  );

  test(
    'that leads to paused parks the run; resumed, it is visited again until its cap parks it for good',
    async () => {
      await setUp(BOTH);
      place.write(
        '.openexec/blueprints/pausing.yaml',
        'version: 1\nname: pausing\ndefaults: {sandbox: workspace_write}\nstages:\n  - {id: check, type: deterministic, action: run_tests, on_failure: paused, visit_limit: 2}\n',
      );
      const parked = await openexec('run', 'Check', '--blueprint', 'pausing', '--json');
      expect({ exit: parked.exit, told: JSON.parse(parked.stdout) }).toMatchObject({ exit: 11, told: { status: 'parked', request: null } });
      expect((await openexec('resume', 'latest', '--json')).exit).toBe(11);
      expect(await way()).toEqual(['check failed', 'check failed']);
      expect((await openexec('resume', 'latest', '--json')).exit).toBe(11);
      expect(await way()).toHaveLength(2);
      expect((await openexec('cancel', 'latest')).exit).toBe(0);
      await verified();
    },
    TIME_MS,
  );

  test(
    'is skipped where its condition is false, and says so; its retries are for broken-off checks only',
    async () => {
      await setUp(BOTH);
      place.write(
        '.openexec/blueprints/conditions.yaml',
        [
          'version: 1',
          'name: conditions',
          'defaults: {sandbox: workspace_write}',
          'stages:',
          '  - {id: check, type: deterministic, action: run_tests, outputs: [test_report], retry_limit: 3, on_failure: again}',
          '  - {id: again, type: deterministic, action: run_linters, when: {artifact: test_report, field: status, eq: passed}}',
          '  - {id: then, type: deterministic, action: run_linters, when: {artifact: test_report, field: status, eq: failed}}',
          '',
        ].join('\n'),
      );
      expect((await openexec('run', 'Check', '--blueprint', 'conditions', '--json')).exit).toBe(0);
      expect(await way()).toEqual(['check failed', 'again skipped', 'then succeeded']);
      expect((await timeline()).filter(({ kind }) => kind === 'execution.started')).toHaveLength(2);
      await verified();
    },
    TIME_MS,
  );
});

describe('the how-to about writing one', () => {
  test(
    'holds a blueprint that checks, draws and runs as it says',
    async () => {
      await setUp(BOTH);
      const page = readFileSync(join(HOUSE, 'docs/how-to/write-a-blueprint.md'), 'utf8');
      const yaml = /<<'YAML'\n(.*?)^YAML$/ms.exec(page)?.[1] ?? '';
      place.write('.openexec/blueprints/look_then_fix.yaml', yaml);
      expect(await openexec('blueprint', 'check', '.openexec/blueprints/look_then_fix.yaml')).toMatchObject({
        exit: 0,
        stdout: 'sound  look_then_fix: 5 stages\n',
      });
      expect((await openexec('blueprint', 'graph', 'look_then_fix')).stdout).toContain('  success: run_tests, failure: fail\n');
      const { exit, said } = await run('look_then_fix', [
        { stage: 'look', calls: [sum('  return a + b;')] },
        { stage: 'implement', calls: [write('sum.test.js', WEAK_TEST), sum('  return a * b;')] },
        { stage: 'repair', calls: [sum('  return a + b;')] },
      ]);
      expect({ exit, said: exit === 0 ? '' : said }).toEqual({ exit: 0, said: '' });
      expect(await refusals()).toEqual(['toolset.missing', 'stage.protected']);
      await verified();
    },
    TIME_MS,
  );
});

describe('openexec blueprint', () => {
  test(
    'lists what ships and what the project has, with one problem not hiding the others',
    async () => {
      place.write('.openexec/blueprints/mine.yaml', 'version: 1\nname: mine\nstages: [{id: a, type: deterministic, action: run_test}]\n');
      const told = JSON.parse((await openexec('blueprint', 'list', '--json')).stdout) as {
        readonly blueprints: readonly { readonly name: string; readonly origin: string; readonly problems: readonly object[] }[];
      };
      expect(told.blueprints.map(({ name, origin }) => `${name} ${origin}`)).toEqual([
        'backend_bugfix shipped',
        'debug_ci_failure shipped',
        'mine project',
        'quick_fix shipped',
        'scoped_code_change shipped',
        'standard_task shipped',
      ]);
      expect(told.blueprints.find(({ name }) => name === 'mine')?.problems).toMatchObject([{ code: 'config.blueprint', line: 3 }]);
      const text = (await openexec('blueprint', 'list')).stdout;
      expect(text).toContain('quick_fix           shipped  Implement a small change');
      expect(text).toContain('1 problem(s)');
    },
    TIME_MS,
  );

  test(
    'checks one file: all its problems with line and column and what was meant, exit 2; a sound one passes',
    async () => {
      place.write(
        '.openexec/blueprints/mine.yaml',
        'version: 1\nname: mine\nstages:\n  - id: work\n    type: agent\n    goal: Do it.\n    toolset: coding_backand\n    on_failure: wrok\n  - id: land\n    type: deterministic\n    action: commit_changes\n    sandbox: workspace_write\n  - id: pack\n    type: deterministic\n    action: build_context_pack\n    arguments: {maxBytes: 1, x: 2}\n',
      );
      const file = '.openexec/blueprints/mine.yaml';
      const ended = await openexec('blueprint', 'check', file);
      expect(ended.exit).toBe(2);
      expect(ended.stdout.trimEnd().split('\n')).toEqual([
        expect.stringMatching(/^\.openexec\/blueprints\/mine\.yaml:8:17: stage work: on_failure leads to wrok, .*did you mean work\?/),
        expect.stringMatching(/^\.openexec\/blueprints\/mine\.yaml:7:14: stage work: unknown toolset .*did you mean coding_backend\?/),
        expect.stringMatching(/^\.openexec\/blueprints\/mine\.yaml:12:14: stage land: commit_changes is not allowed in workspace_write/),
        expect.stringMatching(
          /^\.openexec\/blueprints\/mine\.yaml:16:27: stage pack: arguments of build_context_pack: maxBytes 1 is below 4096/,
        ),
      ]);
      expect(ended.stderr).toContain('blueprint.invalid (exit 2)');
      const json = await openexec('blueprint', 'check', file, '--json');
      expect({ exit: json.exit, told: JSON.parse(json.stdout) }).toMatchObject({
        exit: 2,
        told: { sound: false, problems: [{}, {}, {}, {}] },
      });
      place.write(file, 'version: 1\nname: mine\nstages: [{id: a, type: deterministic, action: build_context_pack}]\n');
      expect(await openexec('blueprint', 'check', file)).toMatchObject({ exit: 0, stdout: 'sound  mine: 1 stages\n' });
      expect((await openexec('blueprint', 'check', 'nowhere.yaml')).exit).toBe(2);
    },
    TIME_MS,
  );

  test(
    'draws one as text, as Mermaid and as an SVG that holds no script, and none that is unknown',
    async () => {
      const drawn = async (format: string): Promise<string> =>
        (await openexec('blueprint', 'graph', 'debug_ci_failure', '--format', format)).stdout;
      expect((await openexec('blueprint', 'graph', 'quick_fix')).stdout).toContain('  success: commit_changes, failure: fix_tests\n');
      expect(await drawn('mermaid')).toMatch(/^flowchart TD\n/);
      const svg = await drawn('svg');
      expect(svg).toMatch(/^<svg xmlns=/);
      expect(svg).toContain('<title>fix to run_tests, success, a loop</title>');
      expect(svg).not.toContain('<script');
      const unknown = await openexec('blueprint', 'graph', 'nothing');
      expect(unknown.exit).toBe(2);
      expect(unknown.stderr).toContain('quick_fix');
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('a - b');
    },
    TIME_MS,
  );
});
