/**
 * Broken configuration stops everything before a model is asked or a ledger is written (GOALS E02); each refusal has its code and exit, and says what to do.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { makePlace } from './place.ts';
import { bundle, inEachPlace, initialised, openexecWith as openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;

inEachPlace(() => undefined);

async function refusedRun(
  more: readonly string[] = [],
  options: Parameters<typeof openexec>[1] = {},
): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string }> {
  const ended = await openexec(['run', 'Make sum add', '--json', ...more], options);
  expect(provider.requests).toHaveLength(0);
  const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string; remedy: string } };
  expect(error.remedy).not.toBe('');
  return { exit: ended.exit, code: error.code, message: error.message };
}
/** The configuration that init wrote, changed. */
function configure(text: string): void {
  place.write('.openexec/config.yaml', text);
}

describe('before a run', () => {
  test(
    'a folder that is no repository, and a checkout without configuration, are refused',
    async () => {
      expect(await refusedRun([], { cwd: place.folder })).toMatchObject({ exit: 2, code: 'workspace.notARepository' });
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'config.missing' });
    },
    TIME_MS,
  );

  test(
    'a mistyped key is named with file, line, column and the word that was meant',
    async () => {
      await initialised();
      configure('version: 1\nmodel: openai:gpt-test\ncommands:\n  tests: {argv: [npm, test]}\n');
      expect(await refusedRun()).toEqual({
        exit: 2,
        code: 'config.invalid',
        message:
          '.openexec/config.yaml:4:3: unknown key "tests" in commands (did you mean test?); known are test, lint, format, typecheck, build',
      });
      configure('version: 1\nmodel: openai:gpt-test\nmodel: openai:other\n');
      expect((await refusedRun()).message).toBe('.openexec/config.yaml:3:1: this key stands here twice; keep one');
      configure('version: 1\nbudget: {tokens: -1}\n');
      expect((await refusedRun()).message).toMatch(/^\.openexec\/config\.yaml:2:18: budget\.tokens: /);
    },
    TIME_MS,
  );

  test(
    'a missing test command, an unknown blueprint, a broken blueprint and a broken policy are refused',
    async () => {
      await initialised();
      configure('version: 1\nmodel: openai:gpt-test\n');
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'config.testMissing' });
      expect(await refusedRun(['--blueprint', 'quick_fx'])).toMatchObject({
        exit: 2,
        code: 'blueprint.unknown',
        message: expect.stringContaining('did you mean quick_fix?'),
      });
      place.write(
        '.openexec/blueprints/mine.yaml',
        'version: 1\nname: mine\nstages:\n  - id: one\n    type: agent\n    goal: go\n    toolset: coding_backend\n    on_success: nowhere\n',
      );
      expect(await refusedRun(['--blueprint', 'mine'])).toMatchObject({
        exit: 2,
        code: 'blueprint.invalid',
        message: expect.stringMatching(/mine\.yaml:8:17: .*nowhere/),
      });
      configure('version: 1\nmodel: openai:gpt-test\ncommands: {test: {argv: [npm, test]}}\n');
      place.write(
        '.openexec/policy/mine.yaml',
        'version: 1\nname: mine\nrules:\n  - id: r\n    when: {field: action.name, op: eq, value: x}\n    decide: deny\n    because: no\n    examples: {match: [{action: {name: y}}], noMatch: [{action: {name: z}}]}\n',
      );
      const policy = await refusedRun();
      expect(policy).toMatchObject({ exit: 2, code: 'policy.invalid' });
      expect(policy.message).toMatch(/^\.openexec\/policy\/mine\.yaml:\d+:\d+: /);
    },
    TIME_MS,
  );

  test(
    'uncommitted changes are refused, unless the run starts from a named commit',
    async () => {
      await initialised();
      place.write('sum.js', 'export const sum = 1;\n');
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'workspace.dirty', message: expect.stringContaining('sum.js') });
      provider.say({ status: 401 });
      expect((await openexec(['run', 'Make sum add', '--base', 'HEAD'])).exit).toBe(30);
    },
    TIME_MS,
  );

  test(
    'models that cannot be asked are refused: none, unknown, without key, without price, at an address of the repository',
    async () => {
      await initialised();
      expect(await refusedRun(['--model', 'none'])).toMatchObject({ exit: 2, code: 'config.modelMissing' });
      expect(await refusedRun(['--model', 'opnai:x'])).toMatchObject({
        exit: 2,
        code: 'model.unknownProvider',
        message: expect.stringContaining('did you mean openai'),
      });
      expect(await refusedRun([], { env: { OPENAI_API_KEY: '' } })).toMatchObject({ exit: 30, code: 'model.keyMissing' });
      expect(await refusedRun(['--writ', 'nowhere.json'])).toMatchObject({ exit: 2, code: 'writ.invalid' });
      expect(await refusedRun(['--budget-usd', '0.50'])).toMatchObject({ exit: 2, code: 'config.priceMissing' });
      expect(await refusedRun(['--model', 'scripted:nowhere.yaml'])).toMatchObject({
        exit: 2,
        code: 'config.invalid',
        message: expect.stringContaining('there is no such file'),
      });
      configure(
        'version: 1\nmodel: openai:gpt-test\nmodels: {openai: {baseUrl: "https://elsewhere.example/v1"}}\ncommands: {test: {argv: [npm, test]}}\n',
      );
      const guest = await refusedRun([], { env: { OPENAI_BASE_URL: '' } });
      expect(guest).toMatchObject({
        exit: 2,
        code: 'config.invalid',
        message: expect.stringContaining('config.yaml:3:28: models.openai.baseUrl'),
      });
    },
    TIME_MS,
  );
});

describe('keys and the ledger', () => {
  test(
    'keys that others could read, and keys that are gone, are refused',
    async () => {
      await initialised();
      const home = join(place.state, readdirSync(place.state).find((name) => /^[0-9a-f]{32}$/.test(name)) ?? '');
      chmodSync(join(home, 'keys/operator.key'), 0o640);
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'key.unsafe', message: expect.stringContaining('mode 640') });
      chmodSync(join(home, 'keys/operator.key'), 0o600);
      chmodSync(join(home, 'keys'), 0o755);
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'key.unsafe' });
      chmodSync(join(home, 'keys'), 0o700);
      rmSync(join(home, 'keys/runtime.key'));
      expect(await refusedRun()).toMatchObject({ exit: 2, code: 'key.missing' });
    },
    TIME_MS,
  );

  test(
    'a missing, unpinned, exchanged, older or damaged ledger is refused',
    async () => {
      await initialised();
      const ledger = join(place.root, '.openexec/ledger.db');
      const young = join(place.folder, 'young.db');
      copyFileSync(ledger, young);
      provider.say({ status: 401 });
      expect((await openexec(['run', 'Make sum add'])).exit).toBe(30);
      const asked = provider.requests.length;
      const refused = async (env: Readonly<Record<string, string>> = {}) => {
        const ended = await openexec(['run', 'Make sum add', '--json'], { env });
        expect(provider.requests).toHaveLength(asked);
        return { exit: ended.exit, code: (JSON.parse(ended.stdout) as { error: { code: string } }).error.code };
      };
      expect(await refused({ XDG_CONFIG_HOME: join(place.folder, 'other-user') })).toEqual({ exit: 2, code: 'ledger.unpinned' });
      const replace = (from: string): void => {
        for (const name of readdirSync(join(place.root, '.openexec')))
          if (name.startsWith('ledger.db')) rmSync(join(place.root, '.openexec', name));
        if (from !== '') copyFileSync(from, ledger);
      };
      const grown = join(place.folder, 'grown.db');
      copyFileSync(ledger, grown);
      replace(young);
      expect(await refused()).toEqual({ exit: 20, code: 'ledger.rolledBack' });
      writeFileSync(young, 'this is no database, but it is long enough to be looked at'.repeat(40));
      replace(young);
      expect(await refused()).toEqual({ exit: 20, code: 'ledger.corrupt' });
      const other = makePlace();
      try {
        expect((await bundle.run(['init'], { cwd: other.root, env: other.env })).exit).toBe(0);
        replace(join(other.root, '.openexec/ledger.db'));
        expect((await refused()).exit).toBe(20);
      } finally {
        other.remove();
      }
      replace('');
      expect(await refused()).toEqual({ exit: 2, code: 'ledger.missing' });
    },
    TIME_MS,
  );

  test(
    'init is idempotent, keeps what is there, and never founds over a ledger whose keys are elsewhere',
    async () => {
      const first = JSON.parse((await openexec(['init', '--json'])).stdout) as {
        fingerprint: string;
        founded: boolean;
        written: readonly string[];
      };
      expect(first).toMatchObject({ founded: true, written: ['.openexec/.gitignore', '.openexec/config.yaml'] });
      const second = JSON.parse((await openexec(['init', '--json'])).stdout) as object;
      expect(second).toMatchObject({ founded: false, written: [], fingerprint: first.fingerprint });
      expect(place.git('status', '--porcelain', '--ignored', '.openexec')).not.toContain('?? .openexec/ledger.db');
      const elsewhere = join(place.folder, 'elsewhere');
      mkdirSync(elsewhere);
      const stranger = await openexec(['init', '--json'], { env: { OPENEXEC_STATE_DIR: elsewhere } });
      expect({ exit: stranger.exit, said: stranger.stdout.includes('ledger.unpinned') }).toEqual({ exit: 2, said: true });
      expect((await openexec(['doctor', '--json'])).exit).toBe(0);
    },
    TIME_MS,
  );

  test(
    'names that mean nothing are refused: runs, requests, flags',
    async () => {
      await initialised();
      const code = async (...args: readonly string[]) => {
        const ended = await openexec([...args, '--json']);
        return {
          exit: ended.exit,
          code: ended.stdout.startsWith('{') ? (JSON.parse(ended.stdout) as { error: { code: string } }).error.code : null,
        };
      };
      expect(await code('resume', 'latest')).toEqual({ exit: 2, code: 'run.unknown' });
      expect(await code('resume', 'abcd1234')).toEqual({ exit: 2, code: 'run.unknown' });
      expect(await code('cancel', '../x')).toEqual({ exit: 2, code: 'usage.invalid' });
      expect(await code('approve', 'abcd1234')).toEqual({ exit: 2, code: 'approval.unknown' });
      expect(await code('run', '')).toEqual({ exit: 2, code: 'usage.invalid' });
      expect(await code('run', 'x', '--approve', 'perhaps')).toEqual({ exit: 2, code: null });
      expect((await openexec(['rnu', 'x'])).stderr).toContain('Did you mean run?');
    },
    TIME_MS,
  );
});

describe('the machine', () => {
  test(
    'without a sandbox nothing is run: 14 before any model call, and the doctor says what is missing',
    async () => {
      await initialised();
      const inside = (...args: readonly string[]): { readonly status: number | null; readonly stdout: string } => {
        const command = `mount --bind /dev/null /usr/bin/bwrap && exec "$@"`;
        const env = { PATH: process.env['PATH'] ?? '', HOME: place.folder, CI: 'true', ...place.env, ...provider.env };
        // A mount namespace of its own: the machine keeps its bubblewrap.
        const space = process.getuid?.() === 0 ? ['-m'] : ['-Urm'];
        return spawnSync('/usr/bin/unshare', [...space, '/bin/sh', '-c', command, 'sh', process.execPath, bundle.entry, ...args], {
          cwd: place.root,
          env,
          encoding: 'utf8',
        });
      };
      const run = inside('run', 'Make sum add', '--json');
      expect({ exit: run.status, said: run.stdout.includes('sandbox.unavailable') }).toEqual({ exit: 14, said: true });
      const doctor = inside('doctor', '--json');
      expect(doctor.status).toBe(14);
      const { findings } = JSON.parse(doctor.stdout) as { findings: readonly { name: string; state: string; command: string | null }[] };
      expect(findings.find(({ name }) => name === 'sandbox')).toMatchObject({ state: 'bad' });
      expect(findings.find(({ name }) => name === 'bubblewrap')).toMatchObject({ state: 'bad', command: 'sudo apt install bubblewrap' });
      expect(provider.requests).toHaveLength(0);
    },
    TIME_MS,
  );
});

describe('help', () => {
  test(
    'every command has a help text with an example',
    async () => {
      const top = await openexec(['--help']);
      expect(top.exit).toBe(0);
      const names = [...top.stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name ?? '').filter((name) => name !== 'help');
      expect(names).toEqual(
        expect.arrayContaining(['init', 'run', 'resume', 'cancel', 'apply', 'approvals', 'approve', 'deny', 'key', 'doctor']),
      );
      for (const name of names) {
        const help = await openexec([name, '--help']);
        expect({ name, exit: help.exit, example: /Examples?:\n {2}openexec /.test(help.stdout) }).toEqual({ name, exit: 0, example: true });
      }
    },
    TIME_MS,
  );
});
