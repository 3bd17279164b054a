/**
 * The release gate end to end, through the real bundle and real git: what a run landed passes by its note; what was amended, forged, foreign, ungoverned
 * or never governed at all does not, and a change cannot loosen the gate that judges it. PROTOCOL §§10, 11; SECURITY §3.4.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { describe, expect, jest, test } from '@jest/globals';
import { parseYaml } from '@openexec/config';
import { until } from './cli.ts';
import { patchSum } from './place.ts';
import { bundle, commitAll, inOnePlace, openexec, openexecWith, place, provider, start } from './scene.ts';

jest.setTimeout(600_000);

interface Verdict {
  readonly exit: number;
  readonly satisfied: boolean;
  readonly commits: readonly {
    readonly commit: string;
    readonly satisfied: boolean;
    readonly relation: string | null;
    readonly run: string | null;
    readonly requirements: readonly { readonly code: string; readonly satisfied: boolean }[];
  }[];
}
/** A run: its base, what it landed, its bundle. */
interface Landed {
  readonly run: string;
  readonly commit: string;
  readonly bundle: string;
}

const DELETE_NETWORK = {
  name: 'apply_patch',
  arguments: {
    format: 'unified',
    patch: '--- a/also.test.js\n+++ /dev/null\n@@ -1 +0,0 @@\n-await fetch("http://192.0.2.1/").catch(() => 0);\n',
  },
};
let fingerprint = '';
let base = '';
let first: Landed;
let other: Landed;
let ungoverned: Landed;
const at = (name: string): string => join(place.folder, name);

inOnePlace(async () => {
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
  await done('init', '--model', 'openai:gpt-test');
  fingerprint = (JSON.parse(await done('ledger', 'info', '--json')) as { fingerprint: string }).fingerprint;
  place.write('.openexec/gate.yaml', `version: 1\ntrust: [${fingerprint}]\nchecks: {atLeast: 1}\n`);
  place.git('add', '-f', '.openexec/gate.yaml');
  commitAll('the gate');
  base = id('main');
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
  first = await landed('Make sum add', 'first.tar', '--governed', '--note', 'git');
  provider.say({ calls: [patchSum('-', '+ 0 +')] }, { text: 'done' });
  other = await landed('Make sum add in another way', 'other.tar');
  place.git('checkout', '-q', '-b', 'networked');
  place.write('also.test.js', 'await fetch("http://192.0.2.1/").catch(() => 0);\n');
  commitAll('a test that reaches out');
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { calls: [DELETE_NETWORK] }, { text: 'taken out' });
  ungoverned = await landed('Make sum add without the network', 'ungoverned.tar');
  place.git('checkout', '-q', 'main');
});

async function done(...args: readonly string[]): Promise<string> {
  const ended = await openexec(...args);
  if (ended.exit !== 0) throw new Error(`${args.join(' ')}: ${ended.exit}: ${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}
async function landed(task: string, file: string, ...more: readonly string[]): Promise<Landed> {
  const { run, result } = JSON.parse(await done('run', task, '--json')) as { run: string; result: { commit: string } };
  await done('export', run, '--out', at(file), ...more);
  return { run, commit: result.commit, bundle: at(file) };
}
function id(revision: string): string {
  return place.git('rev-parse', revision).trim();
}
/** A commit of this tree, without touching the checkout. */
function commitOf(tree: string, message: string, ...parents: readonly string[]): string {
  return place.git('commit-tree', tree, '-m', message, ...parents.flatMap((parent) => ['-p', parent])).trim();
}
/** The tree of a commit with one file more, or another. */
function treeWith(revision: string, path: string, text: string): string {
  const env = { ...process.env, GIT_INDEX_FILE: at('scratch.index') };
  const git = (args: readonly string[], input = ''): string =>
    execFileSync('git', ['-C', place.root, ...args], { env, input, stdio: ['pipe', 'pipe', 'pipe'] })
      .toString()
      .trim();
  git(['read-tree', revision]);
  const blob = git(['hash-object', '-w', '--stdin'], text);
  git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`]);
  return git(['write-tree']);
}
async function gate(...args: readonly string[]): Promise<Verdict & { readonly unmet: readonly string[] }> {
  const ended = await openexec('verify-change', ...args, '--json');
  const verdict = JSON.parse(ended.stdout) as Verdict;
  expect([args, verdict.exit]).toEqual([args, ended.exit]);
  const unmet =
    verdict.commits?.flatMap(({ requirements }) => requirements.filter(({ satisfied }) => !satisfied).map(({ code }) => code)) ?? [];
  return { ...verdict, unmet };
}
/** A gate policy outside of the checkout, beside the base's trust. */
function policy(name: string, text: string, trust = fingerprint): string {
  writeFileSync(at(name), `version: 1\ntrust: ["${trust}"]\n${text}`);
  return at(name);
}
async function refusal(...args: readonly string[]): Promise<{ readonly code: string; readonly exit: number }> {
  const ended = await openexec('verify-change', ...args, '--json');
  return (JSON.parse(ended.stdout) as { error: { code: string; exit: number } }).error;
}

describe('a change that a run landed', () => {
  test('passes by its note, as a commit and as a range, and says which run and how', async () => {
    const judged = await gate(first.commit);
    expect(judged).toMatchObject({
      exit: 0,
      satisfied: true,
      base,
      commits: [{ commit: first.commit, relation: 'commit', run: first.run }],
    });
    expect(judged.commits[0]?.requirements.map(({ code }) => code)).toEqual([
      'change.relation',
      'run.outcome',
      'run.governed',
      'run.judged',
      'run.coverage',
      'run.checks',
      'run.approvals',
    ]);
    expect(await gate(`main..${first.commit}`)).toMatchObject({ exit: 0 });
    const said = await openexec('verify-change', first.commit);
    expect([said.exit, said.stdout]).toEqual([0, expect.stringContaining('✓ gate satisfied: 1 of 1 commit')]);
    expect((await openexec('verify')).stdout).toContain('✓ sound');
  });

  test('passes in a clone that has no ledger, once the notes are fetched, and not before', async () => {
    const clone = at('clone');
    execFileSync('git', ['clone', '-q', `file://${place.root}`, clone]);
    const before = await openexecWith(['verify-change', first.commit], { cwd: clone });
    expect([before.exit, before.stdout]).toEqual([
      10,
      expect.stringMatching(/bundle\.missing: .*git fetch origin 'refs\/notes\/openexec\*/),
    ]);
    execFileSync('git', ['-C', clone, 'fetch', '-q', 'origin', 'refs/notes/openexec*:refs/notes/openexec*']);
    const after = await openexecWith(['verify-change', first.commit], { cwd: clone });
    expect([after.exit, after.stderr]).toEqual([0, '']);
    // The pointer alone says what should be there.
    execFileSync('git', ['clone', '-q', `file://${place.root}`, at('half')]);
    execFileSync('git', ['-C', at('half'), 'fetch', '-q', 'origin', 'refs/notes/openexec:refs/notes/openexec']);
    const half = await openexecWith(['verify-change', first.commit], { cwd: at('half') });
    expect([half.exit, half.stdout]).toEqual([10, expect.stringContaining('bundle.absent')]);
  });

  test('passes squashed onto its base, found by its tree', async () => {
    const squashed = commitOf(`${first.commit}^{tree}`, 'Squashed by hand', base);
    expect(await gate(squashed)).toMatchObject({ exit: 0, commits: [{ relation: 'tree', run: first.run }] });
    expect((await gate(squashed, '--policy', policy('strict.yaml', 'accept: [commit]\n'))).unmet).toEqual(['change.relation']);
  });

  test('passes merged into a base that has moved, as long as the merge adds nothing', async () => {
    const moved = commitOf(treeWith('main', 'README', 'more\n'), 'elsewhere', base);
    const merge = commitOf(treeWith(first.commit, 'README', 'more\n'), 'Merge', moved, first.commit);
    expect(await gate(merge)).toMatchObject({ exit: 0, commits: [{ relation: 'merge' }, { relation: 'commit' }] });
    const evil = commitOf(treeWith(merge, 'evil.js', 'evil\n'), 'Merge', moved, first.commit);
    const judged = await gate(evil);
    expect([judged.exit, judged.unmet, judged.commits.map(({ satisfied }) => satisfied)]).toEqual([10, ['change.relation'], [false, true]]);
    const octopus = commitOf(`${merge}^{tree}`, 'Merge', moved, first.commit, other.commit);
    expect((await gate(octopus, '--bundle', first.bundle, other.bundle)).unmet).toEqual(['change.relation']);
  });

  test('passes rebased where the gate accepts that, and a merge of the base into it where git makes it by itself', async () => {
    const moved = commitOf(treeWith('main', 'README', 'more\n'), 'elsewhere', base);
    const picked = commitOf(
      treeWith(first.commit, 'README', 'more\n'),
      `Make sum add\n\n(cherry picked from commit ${first.commit})`,
      moved,
    );
    expect(await gate(picked)).toMatchObject({ exit: 10, commits: [{ relation: 'moved' }] });
    expect(await gate(picked, '--policy', policy('moved.yaml', 'accept: [commit, moved]\n'))).toMatchObject({ exit: 0 });
    const back = commitOf(treeWith(first.commit, 'README', 'more\n'), 'Merge main', first.commit, moved);
    expect((await gate(`${moved}..${back}`)).unmet).toEqual(['bundle.missing']);
    const clean = policy('clean.yaml', 'accept: [commit, cleanMerge]\n');
    expect(await gate(`${moved}..${back}`, '--policy', clean)).toMatchObject({
      exit: 0,
      commits: [{ relation: 'cleanMerge' }, { relation: 'commit' }],
    });
    const dirty = commitOf(treeWith(back, 'evil.js', 'evil\n'), 'Merge main', first.commit, moved);
    expect(await gate(`${moved}..${dirty}`, '--policy', clean)).toMatchObject({ exit: 10 });
  });
});

describe('what is not what a run landed', () => {
  test('an amended commit, a commit by hand and a commit in between do not pass', async () => {
    const amended = commitOf(treeWith(first.commit, 'sum.js', 'export const sum = () => 5;\n'), 'Make sum add', base);
    expect(await gate(amended)).toMatchObject({ exit: 10, commits: [{ satisfied: false, relation: null }] });
    expect((await gate(amended, '--bundle', first.bundle)).unmet).toEqual(['change.relation']);
    const onTop = commitOf(treeWith(first.commit, 'more.js', 'more\n'), 'by hand', first.commit);
    const judged = await gate(`main..${onTop}`);
    expect([judged.exit, judged.commits.map(({ satisfied }) => satisfied)]).toEqual([10, [false, true]]);
  });

  test('a foreign bundle covers nothing, although it is sound', async () => {
    expect(await gate(first.commit, '--bundle', other.bundle)).toMatchObject({ exit: 10, commits: [{ relation: null }] });
    expect(await gate(other.commit, '--bundle', other.bundle)).toMatchObject({ exit: 0 });
  });

  test('a bundle of which one byte is another is 20, named by hand and in the note', async () => {
    const bytes = readFileSync(first.bundle);
    const text = bytes.indexOf('run.opened');
    bytes[text] = (bytes[text] ?? 0) ^ 1;
    writeFileSync(at('forged.tar'), bytes);
    expect(await gate(first.commit, '--bundle', at('forged.tar'))).toMatchObject({ exit: 20, satisfied: false });
    // Beside a good one it still is a forgery.
    expect(await gate(first.commit, '--bundle', first.bundle, at('forged.tar'))).toMatchObject({ exit: 20 });
    const clone = at('forgedNotes');
    execFileSync('git', ['clone', '-q', place.root, clone]);
    const git = (...args: readonly string[]): string =>
      execFileSync('git', ['-C', clone, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
    git('fetch', '-q', 'origin', 'refs/notes/openexec*:refs/notes/openexec*');
    const line = JSON.parse(git('notes', '--ref=openexec', 'show', first.commit)) as { bundle: { at: { blob: string } } };
    line.bundle.at.blob = git('hash-object', '-w', at('forged.tar'));
    git(
      '-c',
      'user.name=X',
      '-c',
      'user.email=x@example.org',
      'notes',
      '--ref=openexec',
      'add',
      '-f',
      '-m',
      JSON.stringify(line),
      first.commit,
    );
    expect((await openexecWith(['verify-change', first.commit], { cwd: clone })).exit).toBe(20);
  });

  test('a bundle of a ledger that the gate does not trust is 20', async () => {
    const stranger = `sha256:${'a'.repeat(64)}`;
    const judged = await gate(first.commit, '--policy', policy('stranger.yaml', '', stranger));
    expect([judged.exit, judged.unmet]).toEqual([20, ['bundle.untrusted']]);
    // The flag narrows, and only that.
    expect(await refusal(first.commit, '--trust', stranger)).toMatchObject({ code: 'gate.notConfigured', exit: 2 });
  });

  test('a run with an effect that nobody declared passes only where governance is not asked', async () => {
    expect((await gate(ungoverned.commit, '--bundle', ungoverned.bundle)).unmet).toEqual(['run.governed']);
    const lax = policy('lax.yaml', 'governed: false\nchecks: {lastPassed: false}\n');
    expect(await gate(ungoverned.commit, '--bundle', ungoverned.bundle, '--policy', lax)).toMatchObject({ exit: 0 });
  });
});

describe('the rules', () => {
  test('come from the base: a change that loosens them is judged by the old ones', async () => {
    const strict = commitOf(
      treeWith('main', '.openexec/gate.yaml', `version: 1\ntrust: [${fingerprint}]\napprovals: {atLeast: 1}\n`),
      'strict',
      base,
    );
    const loosened = commitOf(treeWith(strict, '.openexec/gate.yaml', `version: 1\ntrust: [${fingerprint}]\n`), 'loosen', strict);
    const change = commitOf(`${treeWith(loosened, 'sum.js', readSum(first.commit))}`, 'Make sum add', loosened);
    const relaxed = ['--bundle', first.bundle];
    const judged = await gate(`${strict}..${change}`, ...relaxed);
    expect([judged.exit, judged.commits.map(({ satisfied }) => satisfied)]).toEqual([10, [false, false]]);
    expect(judged.unmet).toEqual(expect.arrayContaining(['run.approvals']));
    const explained = JSON.parse(await done('verify-change', `${strict}..${change}`, '--explain', '--json')) as {
      gate: { source: object; rules: { approvals: object } };
    };
    expect(explained.gate).toMatchObject({ source: { is: 'commit', commit: strict, found: true }, rules: { approvals: { atLeast: 1 } } });
    // Nor can a file of the checkout be named, by any way.
    expect(await refusal(first.commit, '--policy', '.openexec/gate.yaml')).toMatchObject({ code: 'gate.notConfigured', exit: 2 });
    expect(await refusal(first.commit, '--policy', join(place.root, '.openexec', 'gate.yaml'))).toMatchObject({ exit: 2 });
  });

  test('are refused with place and suggestion where they are wrong, and no pin is no pass', async () => {
    const broken = commitOf(treeWith('main', '.openexec/gate.yaml', 'version: 1\ngovernd: true\n'), 'broken', base);
    const on = commitOf(treeWith(broken, 'x', 'x\n'), 'on', broken);
    const ended = await openexec('verify-change', on);
    expect([ended.exit, ended.stderr]).toEqual([
      2,
      expect.stringMatching(/gate\.yaml:2:1: unknown key "governd" \(did you mean governed\?\)/),
    ]);
    const none = commitOf(treeWith('main', '.openexec/gate.yaml', 'version: 1\n'), 'none', base);
    const onNone = commitOf(treeWith(none, 'x', 'x\n'), 'on', none);
    expect(await refusal(onNone)).toMatchObject({ code: 'gate.notConfigured', exit: 2 });
    expect((await openexec('verify-change', onNone, '--explain')).stdout).toContain('nobody: verify-change refuses');
    expect(await gate(onNone, '--trust', fingerprint)).toMatchObject({ exit: 10 });
    expect(await refusal(first.commit, '--bundle', at('nowhere.tar'))).toMatchObject({ code: 'bundle.unreadable', exit: 2 });
    for (const empty of ['main..main', `${first.commit}..main`, id(`${base}~1`)])
      expect(await refusal(empty)).toMatchObject({ code: 'change.empty', exit: 2 });
  });

  test('may ask for people, a blueprint, a model, policies and witnesses; each that is not met is named', async () => {
    const asked = policy(
      'asked.yaml',
      `approvals: {atLeast: 1}\nblueprints: [no_such]\nmodels: ["anthropic:*"]\npolicies: [regulated]\npolicySets: ["sha256:${'b'.repeat(64)}"]\n`,
    );
    expect((await gate(first.commit, '--policy', asked)).unmet).toEqual([
      'run.approvals',
      'run.policySet',
      'run.policies',
      'run.blueprint',
      'run.model',
    ]);
    const met = policy('met.yaml', 'models: ["openai:gpt-*"]\npolicies: [solo]\n');
    expect(await gate(first.commit, '--policy', met)).toMatchObject({ exit: 0 });
  });

  test('that ask for a witness are met by a bundle whose tree head one has cosigned', async () => {
    const made = (await openexec('witness', '--key', at('w.key'), '--new-key', 'witness.example/w')).stdout.trim();
    const witnessed = policy('witnessed.yaml', `level: witnessed\nmaxAgeHours: 1\nwitnesses: |\n  witness w ${made}\n  quorum w\n`);
    const judged = await gate(first.commit, '--policy', witnessed);
    expect([judged.exit, judged.unmet]).toEqual([22, ['anchor.level', 'anchor.age']]);
    expect((await openexec('export', first.run, '--out', at('unseen.tar'), '--witnessed')).exit).toBe(22);
    const { logKeys } = JSON.parse(await done('ledger', 'info', '--json')) as { logKeys: readonly string[] };
    const running = start('witness', '--key', at('w.key'), '--state', at('witness'), '--listen', '127.0.0.1:0', '--log', ...logKeys);
    try {
      await until('the witness listens', () => running.stdout().includes('listens'));
      const url = /listens {2}(\S+)/.exec(running.stdout())?.[1] ?? '';
      mkdirSync(at('config/openexec'), { recursive: true });
      const config = at('config/openexec/config.yaml');
      writeFileSync(config, `version: 1\nanchors:\n  to:\n    - {name: w, type: witness, url: "${url}", vkey: "${made}"}\n`);
      await done('ledger', 'anchor');
      rmSync(config);
    } finally {
      running.kill('SIGKILL');
      await running.ended;
    }
    await done('export', first.run, '--out', at('seen.tar'), '--governed', '--witnessed');
    const seen = await gate(first.commit, '--policy', witnessed, '--bundle', at('seen.tar'));
    expect([seen.exit, seen.commits[0]?.requirements.slice(-2)]).toMatchObject([
      0,
      [{ code: 'anchor.level', found: 'witnessed' }, { code: 'anchor.age' }],
    ]);
    // Another witness by that name has signed nothing.
    const stranger = (await openexec('witness', '--key', at('x.key'), '--new-key', 'witness.example/w')).stdout.trim();
    const others = policy('others.yaml', `level: witnessed\nwitnesses: |\n  witness w ${stranger}\n  quorum w\n`);
    expect(await gate(first.commit, '--policy', others, '--bundle', at('seen.tar'))).toMatchObject({ exit: 22 });
  });

  test('are not applied to half a history', async () => {
    const shallow = at('shallow');
    execFileSync('git', ['clone', '-q', '--depth', '1', '--branch', `openexec/${first.run.slice(4, 16)}`, `file://${place.root}`, shallow]);
    const ended = await openexecWith(['verify-change', '--trust', fingerprint], { cwd: shallow });
    expect([ended.exit, ended.stderr]).toEqual([2, expect.stringContaining('fetch the whole history')]);
  });

  test('are told as SARIF and as JUnit', async () => {
    const sarif = JSON.parse((await openexec('verify-change', first.commit, '--bundle', other.bundle, '--sarif')).stdout) as object;
    expect(sarif).toMatchObject({ version: '2.1.0', runs: [{ results: [{ ruleId: 'change.relation', level: 'error' }] }] });
    const junit = (await openexec('verify-change', first.commit, '--bundle', other.bundle, '--junit')).stdout;
    expect(junit).toContain(`<testsuite name="${first.commit}" tests="1" failures="1"`);
    const good = (await openexec('verify-change', first.commit, '--junit')).stdout;
    expect(good).toContain(`<testsuite name="${first.commit}" tests="7" failures="0"`);
  });
});

describe('a note that names a file', () => {
  test('is followed below the folder that is given, and never out of it', async () => {
    mkdirSync(at('artifacts'));
    await done('export', other.run, '--out', at('artifacts/other.tar'), '--note', 'other.tar');
    expect(await gate(other.commit, '--bundles', at('artifacts'))).toMatchObject({ exit: 0 });
    expect((await gate(other.commit)).unmet).toEqual(['bundle.absent']);
    const outside = await openexec('export', other.run, '--out', at('artifacts/again.tar'), '--note', '../other.tar');
    expect([outside.exit, outside.stderr]).toEqual([2, expect.stringContaining('--note takes')]);
  });
});

describe('the jobs for CI that ship', () => {
  interface Job {
    readonly scripts: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }
  const data = (file: string): unknown => {
    const read = parseYaml(readFileSync(resolve('apps/cli/ci', file), 'utf8'), file);
    if (!read.ok) throw new Error(JSON.stringify(read.error));
    return read.value.data;
  };
  /** The steps of the action, and the variables that they are given where no input is. */
  const github = (values: Readonly<Record<string, string>>): Job => {
    const { inputs, runs } = data('github/action.yml') as {
      inputs: Record<string, { default: string }>;
      runs: { using: string; steps: { shell: string; run: string; env?: Record<string, string> }[] };
    };
    expect([runs.using, runs.steps.map(({ shell }) => shell)]).toEqual(['composite', ['bash', 'bash']]);
    // What comes from outside is never text of a script.
    for (const { run } of runs.steps) expect(run).not.toContain('${{');
    const env: Record<string, string> = {};
    for (const [name, expression] of runs.steps.flatMap(({ env: of = {} }) => Object.entries(of))) {
      const input = /^\$\{\{ inputs\.(\w+) \}\}$/.exec(expression)?.[1];
      if (input !== undefined && inputs[input] === undefined) throw new Error(`there is no input ${input}`);
      env[name] = values[name] ?? (input === undefined ? '' : (inputs[input]?.default ?? ''));
    }
    return { scripts: runs.steps.map(({ run }) => run), env };
  };
  const gitlab = (values: Readonly<Record<string, string>>): Job => {
    const job = (data('gitlab/verify-change.yml') as Record<string, { script: string[]; variables: Record<string, string> }>)[
      'openexec-verify-change'
    ];
    expect(job?.variables['GIT_DEPTH']).toBe('0');
    return { scripts: job?.script ?? [], env: { ...job?.variables, ...values } };
  };
  /** Runs a job in a fresh clone, with an npm that installs the command under test where the package is named, and only outside of the clone. */
  function play(clone: string, { scripts, env }: Job): { readonly status: number | null; readonly output: string } {
    execFileSync('git', ['clone', '-q', `file://${place.root}`, clone]);
    mkdirSync(at('bin'), { recursive: true });
    const npm = [
      '#!/bin/bash',
      'set -eu',
      'last="${@: -1}"',
      `[ "$1" = install ] && [ "$last" = openexec@0.1.0 ] && [ "$PWD" != "${clone}" ] && [ ! -d .git ]`,
      'mkdir -p node_modules/.bin',
      `printf '#!/bin/bash\\nexec "%s" "%s" "$@"\\n' "${process.execPath}" "${bundle.entry}" > node_modules/.bin/openexec`,
      'chmod +x node_modules/.bin/openexec',
    ];
    writeFileSync(at('bin/npm'), `${npm.join('\n')}\n`, { mode: 0o755 });
    let output = '';
    for (const script of scripts) {
      expect(spawnSync('bash', ['-n', '-c', script]).status).toBe(0);
      const ended = spawnSync('bash', ['-c', script], {
        cwd: clone,
        encoding: 'utf8',
        env: { ...place.env, ...env, PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`, HOME: place.folder, NO_COLOR: '1', CI: 'true' },
      });
      output += ended.stdout + ended.stderr;
      if (ended.status !== 0) return { status: ended.status, output };
    }
    return { status: 0, output };
  }

  test('pass what a run landed and fail what it did not, with the exit code of the gate', () => {
    const onTop = commitOf(treeWith(first.commit, 'more.js', 'more\n'), 'by hand', first.commit);
    place.git('branch', '-f', 'on-top', onTop);
    const good = play(at('gh1'), github({ GATE_BASE: base, GATE_HEAD: first.commit, GATE_SARIF: at('gate.sarif') }));
    expect([good.status, good.output]).toEqual([0, expect.stringContaining('✓ gate satisfied: 1 of 1 commit')]);
    expect(JSON.parse(readFileSync(at('gate.sarif'), 'utf8'))).toMatchObject({ version: '2.1.0', runs: [{ results: [] }] });
    const bad = play(at('gh2'), github({ GATE_BASE: base, GATE_HEAD: onTop, GATE_TRUST: fingerprint }));
    expect([bad.status, bad.output]).toEqual([10, expect.stringContaining('bundle.missing')]);
    const pushed = play(at('gh3'), github({ GATE_BASE: '0'.repeat(40), GATE_HEAD: first.commit, GATE_DEFAULT: 'main' }));
    expect(pushed.status).toBe(0);
    const merge = play(at('gl1'), gitlab({ CI_MERGE_REQUEST_DIFF_BASE_SHA: base, CI_COMMIT_SHA: first.commit }));
    expect([merge.status, readFileSync(join(at('gl1'), 'openexec-gate.xml'), 'utf8')]).toEqual([
      0,
      expect.stringContaining('failures="0"'),
    ]);
    const refused = play(at('gl2'), gitlab({ CI_COMMIT_BEFORE_SHA: base, CI_COMMIT_SHA: onTop, GATE_TRUST: fingerprint }));
    expect([refused.status, readFileSync(join(at('gl2'), 'openexec-gate.xml'), 'utf8')]).toEqual([
      10,
      expect.stringContaining('failures="1"'),
    ]);
  });
});

function readSum(revision: string): string {
  return place.git('show', `${revision}:sum.js`);
}
