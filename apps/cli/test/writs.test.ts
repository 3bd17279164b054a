/**
 * Writs from the command line: issued, narrowed offline, verified, used by `run --writ`, spent, revoked. Each refusal with its code; a revoked writ stops
 * what has not started. Through the bundle.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { patchScripts, patchSum } from './place.ts';
import { fine, inEachPlace, openexec, place, provider, refused } from './scene.ts';

interface Chain {
  readonly v: 1;
  writs: { body: Record<string, unknown>; signatures: { key: string; value: string }[] }[];
}

const TIME_MS = 240_000;
let host: string;

inEachPlace(async () => {
  host = new URL(provider.env['OPENAI_BASE_URL'] ?? '').host;
  await fine('init', '--model', 'openai:gpt-test');
});

/** The refusal of a command without `--json`. */
async function refusedPlainly(...args: readonly string[]): Promise<{ readonly exit: number | null; readonly stderr: string }> {
  const { exit, stderr } = await openexec(...args);
  return { exit, stderr };
}
const out = (name: string): string => join(place.folder, name);
function change(name: string, from: string, edit: (chain: Chain) => void): string {
  const chain = JSON.parse(readFileSync(out(from), 'utf8')) as Chain;
  edit(chain);
  writeFileSync(out(name), JSON.stringify(chain));
  return out(name);
}
const runWith = (file: string): readonly string[] => ['run', 'Make sum add', '--writ', out(file)];

describe('a writ for one run', () => {
  test(
    'is issued, shown, verified and used once, and the run does what it grants',
    async () => {
      await fine('writ', 'issue', '--host', host, '--tokens', '500000', '--out', out('run.writ'));
      expect((await fine('writ', 'show', out('run.writ'))).stdout).toContain(`hosts     ${host}`);
      const verified = JSON.parse((await fine('writ', 'verify', out('run.writ'), '--json')).stdout) as { counts: boolean; id: string };
      expect(verified.counts).toBe(true);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const ended = await openexec(...runWith('run.writ'), '--json');
      expect(JSON.parse(ended.stdout)).toMatchObject({ status: 'done', exit: 0 });
      // One run, one writ: the second opening is refused and asks nobody.
      expect(await refused(...runWith('run.writ'))).toMatchObject({ exit: 2, code: 'writ.invalid' });
      expect(provider.requests).toHaveLength(2);
      expect((await fine('writ', 'show', 'latest', '--json')).stdout).toContain(verified.id);
      const listed = JSON.parse((await fine('writ', 'list', '--json')).stdout) as { writs: readonly { id: string; state: string }[] };
      expect(listed.writs).toEqual([expect.objectContaining({ id: verified.id, state: 'in force' })]);
      await fine('verify', '--deep');
    },
    TIME_MS,
  );

  test(
    'that grants less than the work needs ends the run with a denial that names what is missing',
    async () => {
      await fine('writ', 'issue', '--host', host, '--write', 'docs/**', '--out', out('docs.writ'));
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'I cannot' });
      const ended = await openexec(...runWith('docs.writ'), '--json');
      expect(ended.exit).not.toBe(0);
      expect(JSON.stringify(provider.requests[1]?.messages)).toContain('does not grant writePaths sum.js');
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      await fine('writ', 'issue', '--out', out('nohost.writ'));
      const before = provider.requests.length;
      const alone = await openexec(...runWith('nohost.writ'), '--json');
      expect(JSON.parse(alone.stdout)).toMatchObject({ because: { code: 'writ.hosts' } });
      expect(provider.requests).toHaveLength(before);
      await fine('verify', '--deep');
    },
    TIME_MS,
  );

  test(
    'that does not count is refused before anything is opened: no file, no writ, changed, expired, not yet, another key, another ledger',
    async () => {
      await fine('writ', 'issue', '--host', host, '--out', out('good.writ'));
      writeFileSync(out('text.writ'), 'hello');
      change('changed.writ', 'good.writ', ({ writs }) =>
        Object.assign(writs[0]?.body ?? {}, { budget: { tokens: 1, usdMicros: 0, calls: 1e6 } }),
      );
      change('other.writ', 'good.writ', ({ writs }) => Object.assign(writs[0]?.body ?? {}, { ledger: `sha256:${'0'.repeat(64)}` }));
      const past = ['--not-before', '2026-01-01T00:00:00.000Z', '--not-after', '2026-01-02T00:00:00.000Z'];
      await fine('writ', 'issue', '--host', host, ...past, '--out', out('past.writ'));
      await fine(
        'writ',
        'issue',
        '--not-before',
        '2999-01-01T00:00:00.000Z',
        '--not-after',
        '2999-01-02T00:00:00.000Z',
        '--out',
        out('early.writ'),
      );
      await fine('key', 'new', '--role', 'issuer', '--label', 'clerk');
      const { keys } = JSON.parse((await fine('key', 'list', '--json')).stdout) as { keys: readonly { keyId: string; label: string }[] };
      const clerk = keys.find(({ label }) => label === 'clerk')?.keyId ?? '';
      await fine('writ', 'issue', '--subject', clerk, '--out', out('clerk.writ'));
      await fine('writ', 'issue', '--key', 'clerk', '--out', out('left.writ'));
      await fine('key', 'retire', 'clerk', '--because', 'has left');
      const rows: readonly (readonly [string, number, string, string])[] = [
        ['none.writ', 2, 'writ.invalid', 'cannot be read'],
        ['text.writ', 2, 'writ.invalid', 'not a signed writ'],
        ['changed.writ', 10, 'writ.notInForce', 'writ.signature'],
        ['other.writ', 2, 'writ.invalid', 'is for ledger'],
        ['past.writ', 10, 'writ.notInForce', 'writ.expired'],
        ['early.writ', 10, 'writ.notInForce', 'writ.notYet'],
        ['clerk.writ', 2, 'writ.invalid', 'the runtime here is'],
        ['left.writ', 10, 'writ.notInForce', 'writ.untrusted'],
      ];
      for (const [file, exit, code, said] of rows) {
        const answer = await refused(...runWith(file));
        expect({ file, ...answer }).toMatchObject({ file, exit, code });
        expect(answer.message).toContain(said);
      }
      expect(provider.requests).toHaveLength(0);
      expect(JSON.parse((await fine('runs', '--json')).stdout)).toMatchObject({ runs: [] });
      expect(await refused('writ', 'verify', out('past.writ'))).toMatchObject({ exit: 10, code: 'writ.notInForce' });
      expect(await refused('writ', 'verify', out('changed.writ'))).toMatchObject({ exit: 10 });
      expect((await refusedPlainly('writ', 'issue', '--write', '/etc/**')).exit).toBe(2);
      writeFileSync(out('members.yaml'), 'budgets: {tokens: 5}\n');
      expect((await refusedPlainly('writ', 'issue', '--from', out('members.yaml'))).stderr).toContain('did you mean budget?');
      await fine('verify', '--deep');
    },
    TIME_MS,
  );

  test(
    'that is revoked while the run waits starts nothing more, and counts again once restored',
    async () => {
      provider.say({ calls: [patchScripts()] });
      expect((await openexec('run', 'Give it a start script', '--json')).exit).toBe(11);
      const { approvals } = JSON.parse((await fine('approvals', '--json')).stdout) as { approvals: readonly { id: string; run: string }[] };
      const [request] = approvals;
      const run = request?.run.slice(4, 16) ?? '';
      expect(await refused('writ', 'revoke', run, '--because', 'x', '--key', 'runtime')).toMatchObject({ exit: 2, code: 'law.refused' });
      await fine('writ', 'revoke', run, '--because', 'the task was withdrawn');
      await fine('approve', request?.id ?? '');
      const ended = await openexec('resume', 'latest', '--json');
      expect({ exit: ended.exit, code: (JSON.parse(ended.stdout) as { because: { code: string } }).because.code }).toEqual({
        exit: 10,
        code: 'writ.revoked',
      });
      const kinds = (await fine('timeline', 'latest', '--jsonl')).stdout
        .split('\n')
        .filter((line) => line.includes('"kind":"execution.started"'));
      expect(kinds).toEqual([]);
      expect((await fine('writ', 'list')).stdout).toMatch(/revoked/);
      expect(await refused('writ', 'restore', 'ffff', '--because', 'x')).toMatchObject({ exit: 2 });
      await fine('writ', 'issue', '--host', host, '--out', out('next.writ'));
      await fine('writ', 'revoke', out('next.writ'), '--because', 'too early');
      expect(await refused(...runWith('next.writ'))).toMatchObject({ exit: 10, code: 'writ.notInForce' });
      await fine('writ', 'restore', out('next.writ'), '--because', 'now');
      expect(await refused('writ', 'restore', out('next.writ'), '--because', 'again')).toMatchObject({ exit: 2, code: 'law.refused' });
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect((await openexec(...runWith('next.writ'), '--json')).exit).toBe(0);
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});

describe('a standing writ', () => {
  test(
    'is narrowed offline, nowhere wider, and a chain put together by hand is refused',
    async () => {
      await team();
      await fine('writ', 'verify', out('team.writ'));
      expect(await refused('run', 'x', '--writ', out('team.writ'))).toMatchObject({ exit: 2 });
      const wider: readonly (readonly [string, readonly string[]])[] = [
        ['budget.tokens', ['--tokens', '900001']],
        ['budget.calls', ['--calls', '61']],
        ['hosts', ['--host', 'elsewhere.example:443']],
        ['actions', ['--action', 'shell_exec']],
        ['ceiling', ['--effect', 'irreversible']],
        ['wallMs', ['--wall-minutes', '600']],
        ['window', ['--days', '400']],
        ['tenant', ['--tenant', 'others']],
        ['delegation.depth', ['--depth', '1', '--subdivide']],
      ];
      for (const [dimension, flags] of wider) {
        const answer = await refusedPlainly('writ', 'narrow', out('team.writ'), ...flags, '--out', out('wider.writ'));
        expect({ dimension, exit: answer.exit, named: answer.stderr.includes(`wider than its parent in ${dimension}:`) }).toEqual({
          dimension,
          exit: 2,
          named: true,
        });
      }
      expect((await refusedPlainly('writ', 'narrow', out('team.writ'), '--tokens', '5')).stderr).toContain('--usd and --calls');
      await children('one');
      // Somebody who edits the chain by hand meets the signature; who puts other writs together, the containment.
      change('forged.writ', 'one.writ', ({ writs }) => Object.assign(writs[1]?.body ?? {}, { wallMs: 1 }));
      expect((await refused(...runWith('forged.writ'))).message).toContain('writ.signature');
      change('orphan.writ', 'one.writ', (chain) => {
        chain.writs = chain.writs.slice(1);
      });
      expect((await refused(...runWith('orphan.writ'))).message).toContain('writ.parent');
    },
    TIME_MS,
  );

  test(
    'is carved into runs until it is spent, gets back what they leave, and falls with all its children when revoked',
    async () => {
      await team();
      await children('one', 'two', 'three');
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect((await openexec(...runWith('one.writ'), '--json')).exit).toBe(0);
      // What the first run did not spend came back.
      const [row] = (
        JSON.parse((await fine('writ', 'list', '--json')).stdout) as { writs: readonly { use: string; spent: { tokens: number } }[] }
      ).writs;
      expect(row).toMatchObject({ use: 'standing' });
      expect(row?.spent.tokens).toBeGreaterThan(0);
      expect(row?.spent.tokens).toBeLessThan(400_000);
      // Two runs that wait hold their whole grants; the third finds too little left.
      for (const name of ['two', 'three']) {
        provider.say({ calls: [patchScripts()] });
        expect((await openexec('run', 'Give it a script', '--writ', out(`${name}.writ`), '--json')).exit).toBe(11);
      }
      await fine('writ', 'narrow', out('team.writ'), '--tokens', '400000', '--usd', '1', '--calls', '20', '--out', out('four.writ'));
      expect(await refused(...runWith('four.writ'))).toMatchObject({ exit: 10, code: 'writ.notInForce' });
      await fine('writ', 'revoke', out('team.writ'), '--because', 'the project is over');
      await fine('writ', 'narrow', out('team.writ'), '--tokens', '1000', '--usd', '1', '--calls', '2', '--out', out('five.writ'));
      const fallen = await refused(...runWith('five.writ'));
      expect(fallen).toMatchObject({ exit: 10, code: 'writ.notInForce' });
      expect(fallen.message).toContain('writ.revoked');
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});

/** A standing writ whose subject is the operator key. */
async function team(): Promise<void> {
  await fine(
    'writ',
    'issue',
    '--standing',
    '--subject',
    await operator(),
    '--host',
    host,
    '--tokens',
    '900000',
    '--calls',
    '60',
    '--out',
    out('team.writ'),
  );
}
async function children(...names: readonly string[]): Promise<void> {
  for (const name of names)
    await fine(
      'writ',
      'narrow',
      out('team.writ'),
      '--write',
      '**',
      '--tokens',
      '400000',
      '--usd',
      '1',
      '--calls',
      '20',
      '--out',
      out(`${name}.writ`),
    );
}
async function operator(): Promise<string> {
  const { keys } = JSON.parse((await fine('key', 'list', '--json')).stdout) as { keys: readonly { keyId: string; label: string }[] };
  return keys.find(({ label }) => label === 'operator')?.keyId ?? '';
}
