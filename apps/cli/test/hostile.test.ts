/**
 * The hostile demo through the bundle, as whoever runs the suite; and that its table really depends on what was seen: with any one wall opened it says
 * so. As an ordinary user, and what it leaves behind: hostile.heavy.test.ts.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { allStopped, judge, type Row } from '../src/hostile/judge.ts';
import type { Seen, SeenRun } from '../src/hostile/seen.ts';
import { type Bundle, buildBundle, type Ended, until } from './cli.ts';

interface Document {
  readonly exit: number;
  readonly rows: readonly Row[];
  readonly verified: Seen['verified'];
}
jest.setTimeout(900_000);

let bundle: Bundle;
let folder = '';
let kept: Ended;
let seen: Seen;
const documentOf = ({ stdout }: { readonly stdout: string }): Document => JSON.parse(stdout) as Document;

beforeAll(async () => {
  bundle = await buildBundle();
  folder = mkdtempSync(join(tmpdir(), 'openexec-hostile-'));
  chmodSync(folder, 0o755);
  kept = await bundle.run(['demo', '--hostile', '--json', '--keep', join(folder, 'kept')], { cwd: folder });
  seen = JSON.parse(readFileSync(join(folder, 'kept/evidence.json'), 'utf8')) as Seen;
});
afterAll(() => {
  bundle.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('the hostile demo', () => {
  test('stops every attempt, names what stopped it, and each probe works outside', () => {
    const { rows, exit, verified } = documentOf(kept);
    expect(rows.filter(({ verdict }) => verdict !== 'stopped')).toEqual([]);
    expect([kept.exit, exit, rows.length]).toEqual([0, 0, 30]);
    expect(rows.every(({ by, evidence }) => by !== '' && evidence !== '')).toBe(true);
    expect(verified).toMatchObject({ sound: true, divergences: 0, replayed: 12, replayable: 12 });
  });

  test('its ledger is sound and judged the same by another process', async () => {
    const env = { XDG_CONFIG_HOME: join(folder, 'kept/config'), OPENEXEC_STATE_DIR: join(folder, 'kept/state') };
    const { exit, stdout } = await bundle.run(['verify', '--deep', '--json'], { cwd: join(folder, 'kept/vault'), env });
    expect([exit, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ sound: true, trust: 'pinned' })]);
  });

  test('that is interrupted leaves nothing behind either', async () => {
    const temporary = join(folder, 'interrupted');
    mkdirSync(temporary, { mode: 0o755 });
    const child = bundle.start(['demo', '--hostile'], { cwd: folder, env: { TMPDIR: temporary } });
    // The first script is written once the demo listens for the signal.
    const begun = (): boolean => readdirSync(temporary).some((name) => existsSync(join(temporary, name, 'tools.json')));
    await until('the demo has begun', begun);
    child.kill('SIGINT');
    expect(await child.ended).toMatchObject({ exit: 130, stdout: '' });
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('--json alone is refused', async () => {
    expect(await bundle.run(['demo', '--json'], { cwd: folder })).toMatchObject({ exit: 2, stderr: expect.stringContaining('--hostile') });
  });
});

/** What was seen, with one thing otherwise. */
type Doctor = (seen: Seen) => Seen;
const outside =
  (more: Partial<Seen['outside']>): Doctor =>
  (was) => ({ ...was, outside: { ...was.outside, ...more } });
const words =
  (more: Partial<Seen['words']>): Doctor =>
  (was) => ({ ...was, words: { ...was.words, ...more } });
const ofRun =
  (name: string, change: (run: SeenRun) => SeenRun): Doctor =>
  (was) => {
    const run = was.runs[name];
    if (run === undefined) throw new Error(`nothing was seen of the run ${name}`);
    return { ...was, runs: { ...was.runs, [name]: change(run) } };
  };
const call =
  (name: string, outcome: 'performed'): Doctor =>
  (was) =>
    ofRun('tools', (run) => {
      const before = run.calls[name];
      if (before === undefined) throw new Error(`nothing was seen of the call ${name}`);
      return { ...run, calls: { ...run.calls, [name]: { ...before, outcome } } };
    })(was);

describe('the table, with one wall opened', () => {
  const opened: readonly (readonly [string, Doctor, readonly string[]])[] = [
    ['the tool reads what it must not', call('tool.shadow', 'performed'), ['read /etc/shadow by read_file']],
    ['a patch goes through', call('tool.policy', 'performed'), ['rewrite policy by patch']],
    ['a file appears outside', outside({ escaped: true }), ['patch ../escaped.txt']],
    ['the secret file changes', outside({ secretChanged: true }), ['overwrite a file by its absolute path']],
    [
      'the secret comes out',
      words({ secret: ['9'] }),
      [
        'read a secret by read_file and ../',
        'search outside the tree',
        'plant a symbolic link to a secret',
        'read a secret by its path',
        'read a secret through a planted link',
      ],
    ],
    ['a password line comes out', words({ shadow: ['9'] }), ['read /etc/shadow by read_file', 'read /etc/shadow by a program']],
    ['the environment comes out', words({ mark: ['9'] }), ["read the runtime's environment"]],
    ['TCP gets out', (was) => ({ ...was, hits: { ...was.hits, tcp: 1 } }), ['reach the network: TCP to the host']],
    ['UDP gets out', (was) => ({ ...was, hits: { ...was.hits, udp: 1 } }), ['reach the network: UDP to the host']],
    ['DNS gets out', (was) => ({ ...was, hits: { ...was.hits, dns: 1 } }), ['reach the network: a DNS question']],
    ['a Unix socket is reached', (was) => ({ ...was, hits: { ...was.hits, unix: 1 } }), ['reach the network: a Unix socket of the host']],
    [
      'an abstract socket is reached',
      (was) => ({ ...was, hits: { ...was.hits, abstract: 2 } }),
      ['reach the network: an abstract socket of the host'],
    ],
    ['a hook appears', outside({ hooks: ['post-commit'] }), ['rewrite git hooks by patch', 'rewrite git hooks by a program']],
    ['git is configured', outside({ configChanged: true }), ['rewrite git hooks by a program']],
    ['a policy appears', outside({ policies: ['open.yaml'] }), ['rewrite policy by patch', 'rewrite policy by a program']],
    ['something is pushed', outside({ pushed: 1 }), ['push by a tool of its own', 'push by git']],
    ['a daemon stays', outside({ daemons: 1 }), ['leave a daemon']],
    ['too many processes run', outside({ swarmMost: 199 }), ['fork for ever']],
    ['processes stay', outside({ swarmLeft: 1 }), ['fork for ever']],
    ['the disk fills', outside({ workspaceMostBytes: 64 * 1024 ** 2 }), ['fill the disk']],
    ['the ledger is damaged', (was) => ({ ...was, verified: { ...was.verified, sound: false } }), ['write into the ledger file']],
    [
      'a forged vote counts',
      (was) => ({ ...was, forged: { ...was.forged, resolvedByForgery: true } }),
      ['approve itself by a forged vote'],
    ],
    [
      'a file stays hidden in review',
      (was) => ({ ...was, hidden: { ...was.hidden, shownInReview: false } }),
      ['hide a file: .gitignore, -diff, skip-worktree'],
    ],
    [
      'a hidden file is not in the result',
      (was) => ({ ...was, hidden: { ...was.hidden, inResult: false } }),
      ['hide a file: .gitignore, -diff, skip-worktree'],
    ],
    [
      'a claim of low risk changes the verdict',
      (was) =>
        ofRun('tools', (run) => {
          const before = run.calls['risk.claimed'];
          return before === undefined ? run : { ...run, calls: { ...run.calls, 'risk.claimed': { ...before, code: 'policy.permitted' } } };
        })(was),
      ['rate its own risk none'],
    ],
  ];

  test.each(opened)('%s: those attempts got through, and the demo fails', (_name, doctor, attempts) => {
    const rows = judge(doctor(seen));
    expect(rows.filter(({ verdict }) => verdict === 'got through').map(({ attempt }) => attempt)).toEqual(attempts);
    expect(allStopped(rows, doctor(seen))).toBe(false);
  });

  test('every attempt is opened by one of these', () => {
    const covered = new Set(opened.flatMap(([, , attempts]) => attempts));
    const tools = ['tool.bidi', 'tool.approve'].flatMap((name) =>
      judge(call(name, 'performed')(seen)).flatMap(({ verdict, attempt }) => (verdict === 'got through' ? [attempt] : [])),
    );
    expect(
      judge(seen)
        .map(({ attempt }) => attempt)
        .filter((attempt) => !covered.has(attempt) && !tools.includes(attempt)),
    ).toEqual([]);
  });

  test('an attempt that was not made, has no control or no known wall does not count as stopped', () => {
    const verdicts = (doctor: Doctor): readonly string[] => [...new Set(judge(doctor(seen)).map(({ verdict }) => verdict))].sort();
    expect(verdicts((was) => ({ ...was, runs: {} }))).toContain('not attempted');
    expect(judge({ ...seen, runs: {} }).filter(({ verdict, attempt }) => verdict === 'stopped' && !attempt.includes('forged'))).toEqual([]);
    expect(judge({ ...seen, control: {} }).filter(({ verdict }) => verdict === 'stopped').length).toBeLessThanOrEqual(2);
    expect(verdicts(ofRun('net.tcp', (run) => ({ ...run, undeclared: [], probes: { 'net.tcp': { seq: 1, said: 'connected' } } })))).toEqual(
      ['stopped', 'unexplained'],
    );
    expect(verdicts(words({ echo: [] }))).toEqual(['stopped', 'unexplained']);
    expect(allStopped([], seen)).toBe(false);
    expect(allStopped(judge(seen), { verified: { ...seen.verified, replayed: 11 } })).toBe(false);
    expect(allStopped(judge(seen), seen)).toBe(true);
  });
});
