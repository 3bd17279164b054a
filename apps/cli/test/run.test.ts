/**
 * The main job end to end through the bundle: a real repository, the real sandbox, a provider over HTTP. Success with a repair, a refused key, a
 * denial, two drivers, a kill, an interrupt.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Ended } from './cli.ts';
import { API_KEY, patchSum } from './place.ts';
import { inEachPlace, openexec, place, provider, start } from './scene.ts';

interface Summary {
  readonly run: string;
  readonly status: string;
  readonly exit: number;
  readonly because: { readonly code: string; readonly message: string } | null;
  readonly spend: { readonly tokens: number; readonly usdMicros: number; readonly calls: number };
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
  readonly checkpoint: string | null;
  readonly commands: Readonly<Record<string, string>>;
}
const DENY_COMMIT = `version: 1
name: no-commits
rules:
  - id: deny-commit
    when: {field: action.name, op: eq, value: commit_changes}
    decide: deny
    because: nothing is committed on Fridays
    examples:
      match: [{action: {name: commit_changes}}]
      noMatch: [{action: {name: read_file}}]
`;
/** Grants what the shipped policy denies; an inner layer's permit must grant nothing. */
const PERMIT_ALL = `version: 1
name: everything
rules:
  - id: permit-all
    when: {field: action.name, op: exists, value: true}
    decide: permit
    because: the repository says so
    examples:
      match: [{action: {name: read_file}}]
      noMatch: [{stage: implement}]
`;

const TIME_MS = 240_000;

inEachPlace();

function summary(ended: Ended): Summary {
  return JSON.parse(ended.stdout) as Summary;
}

describe('a run that goes well', () => {
  test(
    'is repaired until the tests pass, lands on a branch of its own, verifies deep, and is applied',
    async () => {
      provider.say({ calls: [patchSum('-', '*')] }, { text: 'done' }, { calls: [patchSum('*', '+')] }, { text: 'repaired' });
      const ended = await openexec('run', 'Make sum add', '--json');
      expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
      const told = summary(ended);
      expect(told).toMatchObject({ status: 'done', exit: 0, because: { code: 'run.done' }, spend: { usdMicros: 0 } });
      expect(told.result?.ref).toMatch(/^refs\/heads\/openexec\//);
      expect(place.git('show', `${told.result?.commit}:sum.js`)).toContain('return a + b');
      expect(place.git('rev-parse', `${told.result?.commit}^{tree}`).trim()).toBe(told.result?.tree);
      // The user's checkout was not touched.
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('return a - b');
      expect(provider.requests).toHaveLength(4);
      expect(provider.authorizations[0]).toBe(`Bearer ${API_KEY}`);
      expect(JSON.stringify(provider.requests[2]?.messages)).toContain('The tests failed');
      for (const command of ['inspect', 'verify', 'apply', 'undo']) expect(told.commands[command]).toMatch(/^(openexec|git) /);
      const verified = await openexec('verify', '--deep', '--json');
      expect(verified.exit).toBe(0);
      const applied = await openexec('apply', 'latest', '--json');
      expect(JSON.parse(applied.stdout)).toMatchObject({ outcome: 'forwarded', commit: told.result?.commit, into: 'refs/heads/main' });
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('return a + b');
      expect(place.git('status', '--porcelain', '--untracked-files=no')).toBe('');
      expect((await openexec('apply', 'latest')).stdout).toContain('already there');
      // The key is nowhere in the ledger or in the run's state.
      for (const file of filesUnder(place.root, '.openexec').concat(filesUnder(place.folder, 'state')))
        expect(readFileSync(file).includes(API_KEY)).toBe(false);
    },
    TIME_MS,
  );

  test(
    'tells every event as it happens under --jsonl, and nothing else on stdout',
    async () => {
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const ended = await openexec('run', 'Make sum add', '--jsonl');
      expect(ended.exit).toBe(0);
      const lines = ended.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { v: number; kind: string; seq: number; run: string });
      expect(lines.every(({ v, run }) => v === 1 && run === lines[0]?.run)).toBe(true);
      const seqs = lines.map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index));
      expect(lines.at(-1)).toMatchObject({ kind: 'run.closed' });
      const place1 = lines.findIndex(({ kind }) => kind === 'policy.decided');
      expect(place1).toBeLessThan(lines.findIndex(({ kind }) => kind === 'model.asked'));
    },
    TIME_MS,
  );
});

describe('a run that is refused', () => {
  test(
    'by the provider for its key ends with 30 and says so',
    async () => {
      provider.say({ status: 401 });
      const ended = await openexec('run', 'Make sum add', '--json');
      expect(ended.exit).toBe(30);
      expect(summary(ended)).toMatchObject({ status: 'failed', exit: 30, because: { code: 'model.unauthorized' }, result: null });
      expect(provider.requests).toHaveLength(1);
      expect(ended.stdout + ended.stderr).not.toContain(API_KEY);
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );

  test(
    'by a policy that narrows it ends with 10, names the rule, and lands nothing',
    async () => {
      place.write('../deny.yaml', DENY_COMMIT);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const ended = await openexec('run', 'Make sum add', '--policy', '../deny.yaml', '--json');
      expect(ended.exit).toBe(10);
      expect(summary(ended)).toMatchObject({ status: 'denied', because: { code: 'policy.denied' }, result: null });
      expect(ended.stderr).toContain('run/deny-commit');
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
    },
    TIME_MS,
  );

  test(
    'by the same policy in the repository ends the same way, and a permit in the repository grants nothing',
    async () => {
      place.write('.env', 'PASSWORD=hunter2-hunter2\n');
      place.git('add', '.env');
      place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'env');
      place.write('.openexec/policy/a-permit.yaml', PERMIT_ALL);
      place.write('.openexec/policy/b-deny.yaml', DENY_COMMIT);
      provider.say({ calls: [{ name: 'read_file', arguments: { path: '.env' } }, patchSum('-', '+')] }, { text: 'done' });
      const ended = await openexec('run', 'Make sum add', '--json');
      expect(ended.exit).toBe(10);
      expect(ended.stderr).toContain('shipped/deny-secret-reads');
      expect(ended.stderr).toContain('project/deny-commit');
      expect(JSON.stringify(provider.requests[1])).not.toContain('hunter2');
    },
    TIME_MS,
  );
});

describe('a run within bounds', () => {
  test(
    'asks no model that its budget does not cover: 13, and the provider hears nothing',
    async () => {
      place.write('.openexec/config.local.yaml', 'version: 1\nbudget: {tokens: 500}\n');
      const ended = await openexec('run', 'Make sum add', '--json');
      expect(ended.exit).toBe(13);
      expect(summary(ended)).toMatchObject({ status: 'exhausted', because: { code: 'budget.exhausted' }, spend: { tokens: 0, calls: 0 } });
      expect(provider.requests).toHaveLength(0);
    },
    TIME_MS,
  );

  test(
    'counts dollars by the price that is configured, and keeps to the flag',
    async () => {
      place.write(
        '.openexec/config.local.yaml',
        'version: 1\nmodels: {openai: {maxOutputTokens: 1000, pricing: {gpt-test: {input: 10, output: 30}}}}\n',
      );
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const ended = await openexec('run', 'Make sum add', '--budget-usd', '0.50', '--json');
      expect(summary(ended)).toMatchObject({ status: 'done', spend: { usdMicros: 2 * (100 * 10 + 20 * 30) } });
      const poor = await openexec('run', 'Make sum add', '--budget-usd', '0.001', '--json');
      expect(poor.exit).toBe(13);
      expect(provider.requests).toHaveLength(2);
    },
    TIME_MS,
  );
});

describe('a run that is broken off', () => {
  test(
    'by SIGKILL goes on where it was: resumed, it ends as if nothing had happened',
    async () => {
      provider.say({ calls: [patchSum('-', '*')] }, { after: new Promise(() => undefined) });
      const child = start('run', 'Make sum add');
      await provider.arrived(2);
      child.kill('SIGKILL');
      await child.ended;
      provider.say({ text: 'done' }, { calls: [patchSum('*', '+')] }, { text: 'repaired' });
      const resumed = await openexec('resume', 'latest', '--json');
      expect({ exit: resumed.exit, stderr: resumed.exit === 0 ? '' : resumed.stderr }).toEqual({ exit: 0, stderr: '' });
      const told = summary(resumed);
      expect(place.git('show', `${told.result?.commit}:sum.js`)).toContain('return a + b');
      const verified = await openexec('verify', '--deep', '--json');
      expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, deep: { totals: { divergences: 0 } } });
    },
    TIME_MS,
  );

  test(
    'is not driven by a second process while the first one lives',
    async () => {
      let go: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (go = resolve)), calls: [patchSum('-', '+')] }, { text: 'done' });
      const first = start('run', 'Make sum add', '--json');
      await provider.arrived(1);
      const second = await openexec('resume', 'latest', '--json');
      expect(second.exit).toBe(2);
      expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: 'run.busy', exit: 2 } });
      go();
      expect(summary(await first.ended)).toMatchObject({ status: 'done', exit: 0 });
      expect(provider.requests).toHaveLength(2);
    },
    TIME_MS,
  );

  test(
    'by an interrupt stops cleanly with 130, says how to go on, and goes on',
    async () => {
      provider.say({ calls: [patchSum('-', '+')] }, { after: new Promise(() => undefined) });
      const child = start('run', 'Make sum add');
      await provider.arrived(2);
      child.kill('SIGINT');
      const stopped = await child.ended;
      expect(stopped.exit).toBe(130);
      const resume = /resume\s+openexec resume ([0-9a-f]{12})/.exec(stopped.stdout);
      expect(resume).not.toBeNull();
      provider.say({ text: 'done' });
      expect(summary(await openexec('resume', resume?.[1] ?? '', '--json'))).toMatchObject({ status: 'done', exit: 0 });
    },
    TIME_MS,
  );

  test(
    'can be cancelled for good, from another process too',
    async () => {
      provider.say({ after: new Promise(() => undefined) });
      const child = start('run', 'Make sum add');
      await provider.arrived(1);
      child.kill('SIGKILL');
      await child.ended;
      const cancelled = await openexec('cancel', 'latest', '--because', 'wrong task');
      expect(cancelled).toMatchObject({ exit: 0 });
      expect(cancelled.stdout).toContain('cancelled');
      const resumed = await openexec('resume', 'latest', '--json');
      expect(resumed.exit).toBe(2);
      expect(resumed.stdout).toContain('run.closed');
      expect(provider.requests).toHaveLength(1);
    },
    TIME_MS,
  );
});

function filesUnder(root: string, folder: string): readonly string[] {
  const top = join(root, folder);
  if (!existsSync(top)) return [];
  return readdirSync(top, { withFileTypes: true, recursive: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  );
}
