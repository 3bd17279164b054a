/** The demo end to end through the bundle, then its ledger under every reading command: cursors, shapes, proofs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { toHex } from '@openexec/canon';
import { leafHash, openCheckpoint, verifyTlogProof } from '@openexec/proof';
import { until } from './cli.ts';
import { demoScene, linesOf } from './demoScene.ts';

const scene = demoScene();
const { repository, openexec, verified } = scene;

describe('the demo', () => {
  test('ends with exit code 0 and says that all of it held', () => {
    expect({
      exit: scene.demo.exit,
      stderr: scene.demo.exit === 0 ? '' : scene.demo.stderr,
      end: scene.demo.exit === 0 ? '' : scene.demo.stdout.slice(-2000),
    }).toEqual({
      exit: 0,
      stderr: '',
      end: '',
    });
    expect(scene.demo.stdout).toContain('All of it held.');
  });

  test.each([
    ['the refused path', /denied by compiler: read_file \.\.\/\.\.\/\.ssh\/id_ed25519: path\./],
    ['the refused secret, with its rule', /denied by rule shipped\/deny-secret-reads: read_file \.env/],
    ['the refused network action', /denied by compiler: http_get https:\/\/example\.org\/durations: writ\.scope/],
    ['the failed tests', /the tests failed/],
    ['the repair', /stage fix_tests entered/],
    ['the landing', /committed commit_changes to refs\/heads\/openexec\//],
  ])('shows %s while it happens, on stderr', (_name, pattern) => {
    expect(scene.demo.stderr).toMatch(pattern);
  });

  test.each([
    ['the diff of the result', /^\+const PART = /m],
    ['the signed tree head', /^— \S+ [A-Za-z0-9+/=]+$/m],
    ['integrity', /✓ sound: \d+ entries/],
    ['judgement', /✓ every judgement agrees/],
    ['the replayed tree, equal to that of git', /git has {4}[0-9a-f]{40} as the tree of [0-9a-f]{40}: the same/],
    ['the release gate', /✓ gate satisfied: 1 of 1 commit/],
    ['the forged entry', /✗ not sound: first bad index \d+/],
  ])('prints %s on stdout', (_name, pattern) => {
    expect(scene.demo.stdout).toMatch(pattern);
  });

  test('refuses to work in a folder that holds something', async () => {
    const again = await scene.bundle.run(['demo', '--keep', join(scene.folder, 'demo')], { cwd: scene.folder });
    expect(again.exit).toBe(2);
  });
});

describe('the timeline', () => {
  test('is one line of version 1 per event, gapless in seq, rising in cursor, from the opening to the close', async () => {
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
    expect(lines.every(({ v, run, at }) => v === 1 && /^run\/[0-9a-f]{32}$/.test(run) && at.endsWith('Z'))).toBe(true);
    const cursors = lines.map(({ cursor }) => Number(cursor));
    expect([...cursors].sort((a, b) => a - b)).toEqual(cursors);
    expect([lines[0]?.kind, lines.at(-1)?.kind]).toEqual(['run.opened', 'run.closed']);
  });

  test('after a cursor gives exactly what stands after it, in both forms', async () => {
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    const middle = lines[Math.floor(lines.length / 2)];
    if (middle === undefined) throw new Error('the run has no events');
    const rest = linesOf((await openexec('timeline', 'latest', '--jsonl', '--after', middle.cursor)).stdout);
    expect(rest).toEqual(lines.slice(middle.seq + 1));
    const told = (await openexec('timeline', 'latest', '--after', middle.cursor)).stdout.trimEnd().split('\n');
    expect(told).toHaveLength(rest.length);
    expect(await openexec('timeline', 'latest', '--after', lines.at(-1)?.cursor ?? '')).toMatchObject({ exit: 0, stdout: '' });
  });

  test('followed on a closed run ends by itself, and a run is found by a prefix', async () => {
    const [first] = linesOf((await openexec('timeline', 'latest', '--jsonl', '--follow')).stdout);
    const prefix = first?.run.slice('run/'.length, 'run/'.length + 6) ?? '';
    expect((await openexec('timeline', prefix, '--jsonl')).stdout).toContain(first?.run);
  });

  test.each([['x'], ['-1'], ['1.5'], ['']])('refuses the cursor %j', async (cursor) => {
    expect((await openexec('timeline', 'latest', `--after=${cursor}`)).exit).toBe(2);
  });
});

describe('show and runs', () => {
  test('show says what was asked, every refusal with its reason, the result and how to check and undo it', async () => {
    const { stdout } = await openexec('show', 'latest');
    for (const text of [
      'A timeout of "1.5h"',
      'quick_fix',
      'shipped/deny-secret-reads',
      'writ.scope',
      'refs/heads/openexec/',
      'openexec verify',
      'openexec apply',
      'git branch -D',
    ])
      expect(stdout).toContain(text);
  });

  test('show --json agrees with the timeline', async () => {
    const account = JSON.parse((await openexec('show', 'latest', '--json')).stdout) as {
      entries: number;
      status: string;
      intents: { verdict: string; end: string }[];
    };
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    expect(account).toMatchObject({ entries: lines.length, status: 'done' });
    expect(account.intents.filter(({ verdict }) => verdict === 'deny')).toHaveLength(
      lines.filter(({ kind, body }) => kind === 'policy.decided' && body['verdict'] === 'deny').length,
    );
    expect(account.intents.every(({ end }) => end === 'committed' || end === 'rejected')).toBe(true);
  });

  test('runs lists the run with its task', async () => {
    const { runs } = JSON.parse((await openexec('runs', '--json')).stdout) as { runs: { task: string; status: string }[] };
    expect(runs).toMatchObject([{ status: 'done' }]);
    expect((await openexec('runs')).stdout).toContain('A timeout of "1.5h"');
  });

  test('an unknown run is refused by name', async () => {
    expect(await openexec('show', 'ffff0000ffff')).toMatchObject({ exit: 2 });
  });
});

describe('verify and replay', () => {
  test('verify --json says the level, the trust, what was checked and what was not', async () => {
    const { exit, document } = await verified();
    expect(exit).toBe(0);
    expect(document).toMatchObject({
      exit: 0,
      sound: true,
      level: 'signed',
      trust: 'pinned',
      anchor: 'notConfigured',
      firstBad: null,
      findings: [],
      deep: null,
    });
    expect(document.checked.length).toBeGreaterThan(3);
    expect(document.notChecked.some((line) => line.includes('--deep'))).toBe(true);
  });

  test('verify --deep moves what it derives from not checked to checked', async () => {
    const { exit, document } = await verified('--deep');
    expect(exit).toBe(0);
    expect(document.deep?.totals.divergences).toBe(0);
    expect(document.deep?.totals.judgements).toBeGreaterThan(20);
    expect(document.notChecked.some((line) => line.includes('--deep'))).toBe(false);
  });

  test('another fingerprint than the one that is trusted is refused', async () => {
    const { exit, document } = await verified('--trust', `sha256:${'0'.repeat(64)}`);
    expect(exit).toBe(20);
    expect(document.findings.map(({ code }) => code)).toContain('ledger.untrusted');
  });

  test('without a pin the trust is self-asserted', async () => {
    const { stdout } = await scene.bundle.run(['verify', '--json'], {
      cwd: repository(),
      env: { ...scene.env, XDG_CONFIG_HOME: join(scene.folder, 'nobody') },
    });
    expect(JSON.parse(stdout)).toMatchObject({ sound: true, trust: 'selfAsserted' });
  });

  test('a replay mode that there is not is refused, and those that there are are named', async () => {
    const { exit, stderr } = await openexec('replay', 'latest', '--mode', 'everything');
    expect(exit).toBe(2);
    expect(stderr).toMatch(/no replay mode "everything".*exact, step, effects, model/);
  });
});

describe('the ledger commands', () => {
  test('a printed proof holds under the printed checkpoint key, and not for another entry', async () => {
    const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string; logKeys: string[] };
    const proof = (await openexec('ledger', 'prove', '3')).stdout;
    const entries = (await openexec('ledger', 'read', '--from', '3', '--limit', '2', '--jsonl')).stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { entry: string; leaf: string });
    const leaves = entries.map(({ entry }) => leafHash(new TextEncoder().encode(entry)));
    expect(leaves.map((leaf) => `sha256:${toHex(leaf)}`)).toEqual(entries.map(({ leaf }) => leaf));
    const [third, fourth] = leaves;
    if (third === undefined || fourth === undefined) throw new Error('two entries were expected');
    expect(verifyTlogProof({ proof, leaf: third, vkeys: info.logKeys }).ok).toBe(true);
    expect(verifyTlogProof({ proof, leaf: fourth, vkeys: info.logKeys }).ok).toBe(false);
    expect(await openexec('ledger', 'prove', info.size)).toMatchObject({ exit: 2 });
  });

  test('a checkpoint opens under the log key, and consistency is proved to its size', async () => {
    const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string; logKeys: string[] };
    const note = (await openexec('ledger', 'checkpoint')).stdout;
    expect(openCheckpoint(note, info.logKeys)).toMatchObject({ ok: true, value: { size: BigInt(info.size) } });
    const consistency = await openexec('ledger', 'consistency', '3', info.size);
    expect(consistency.exit).toBe(0);
    expect(consistency.stdout).toMatch(/^old 3\n([A-Za-z0-9+/]{43}=\n)+\n/);
    expect(consistency.stdout.endsWith(note)).toBe(true);
    expect(await openexec('ledger', 'consistency', info.size, '3')).toMatchObject({ exit: 2 });
  });
});

describe('a timeline that is followed from another process', () => {
  const waiting = () => join(scene.folder, 'waiting.yaml');

  beforeAll(async () => {
    const patch = [
      '--- a/package.json',
      '+++ b/package.json',
      '@@ -1,4 +1,4 @@',
      ' {',
      '   "name": "duration-sample",',
      '-  "version": "1.0.0",',
      '+  "version": "1.0.1",',
      '   "private": true,',
      '',
    ].join('\n');
    writeFileSync(
      waiting(),
      JSON.stringify({ answers: [{ stage: 'implement', calls: [{ name: 'apply_patch', arguments: { format: 'unified', patch } }] }] }),
    );
    // Package scripts run by themselves, so the shipped policy asks a person, and nobody is there.
    expect(await openexec('run', 'Raise the version', '--model', `scripted:${waiting()}`)).toMatchObject({ exit: 11 });
  });

  test('ends with 130 when it is interrupted', async () => {
    const child = scene.bundle.start(['timeline', 'latest', '--follow', '--jsonl'], { cwd: repository(), env: scene.env });
    await until('the run is shown as parked', () => child.stdout().includes('run.parked'));
    child.kill('SIGINT');
    expect(await child.ended).toMatchObject({ exit: 130 });
  });

  test('shows what others append, each event once and in order, and ends when the run is closed', async () => {
    const child = scene.bundle.start(['timeline', 'latest', '--follow', '--jsonl'], { cwd: repository(), env: scene.env });
    await until('the run is shown as parked', () => child.stdout().includes('run.parked'));
    expect(await openexec('cancel', 'latest')).toMatchObject({ exit: expect.any(Number) });
    const { exit, stdout } = await child.ended;
    const lines = linesOf(stdout);
    expect(exit).toBe(0);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
    expect(lines.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['run.parked', 'run.cancelRequested', 'run.closed']));
    expect(lines).toEqual(linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout));
  });
});
