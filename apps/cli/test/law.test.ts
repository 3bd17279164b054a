/**
 * Several people and one law: three state folders on one ledger, keys under passphrases, the regulated policy, votes that do not count, a law that
 * changes between request and vote, a kill while parked. Through the bundle, each end verified by the production verifier.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect } from '@jest/globals';
import { type Ended, until } from './cli.ts';
import { makePlace, patchScripts, patchSum } from './place.ts';
import { bundle, inEachPlace, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

interface Waiting {
  readonly id: string;
  readonly action: string;
  readonly content: string;
  readonly terms: { readonly quorum: number; readonly minAssurance: string; readonly openerMayApprove: boolean };
  readonly votes: readonly { readonly key: string }[];
}
type Person = 'anna' | 'bob' | 'cleo';

const TIME_MS = 240_000;
const PASSPHRASES: Readonly<Record<Person, string>> = {
  anna: 'correct horse battery',
  bob: 'staple of the second',
  cleo: 'third one is longest',
};

/** What every process has in its environment besides. */
let later: Readonly<Record<string, string>> = {};

afterEach(() => {
  later = {};
});
inEachPlace(() => {
  for (const [name, words] of Object.entries(PASSPHRASES)) secret(name, words);
});

/** A file that holds a passphrase, readable by its owner only. */
function secret(name: string, words: string, mode = 0o600): string {
  const file = join(place.folder, `${name}.words`);
  writeFileSync(file, `${words}\n`, { mode });
  return file;
}
/** Anna's places are those of the checkout; everybody else has a state and a configuration of their own. */
function envOf(person: Person): Readonly<Record<string, string>> {
  if (person === 'anna') return { ...place.env, ...provider.env };
  return { OPENEXEC_STATE_DIR: join(place.folder, `state-${person}`), XDG_CONFIG_HOME: join(place.folder, `config-${person}`) };
}
function as(person: Person, ...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: { ...envOf(person), ...later } });
}
async function fine(person: Person, ...args: readonly string[]): Promise<Ended> {
  const ended = await as(person, ...args);
  expect({ args, exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ args, exit: 0, stderr: '' });
  return ended;
}
function json<T>(ended: Ended): T {
  return JSON.parse(ended.stdout) as T;
}
async function refused(
  person: Person,
  ...args: readonly string[]
): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string }> {
  const ended = await as(person, ...args, '--json');
  const { error } = json<{ error?: { code: string; message: string } }>(ended);
  return { exit: ended.exit, code: error?.code ?? 'none', message: error?.message ?? '' };
}
async function waiting(person: Person = 'anna'): Promise<readonly Waiting[]> {
  return json<{ approvals: readonly Waiting[] }>(await fine(person, 'approvals', '--json')).approvals;
}
function words(person: Person): readonly string[] {
  return ['--passphrase-file', join(place.folder, `${person}.words`)];
}
async function sound(): Promise<void> {
  await fine('anna', 'verify', '--deep');
}
async function fingerprint(): Promise<string> {
  return json<{ fingerprint: string }>(await fine('anna', 'ledger', 'info', '--json')).fingerprint;
}
/** Somebody else pins the ledger, makes a key of their own, and Anna, who holds the root key, trusts it. */
async function joins(person: 'bob' | 'cleo'): Promise<string> {
  await fine(person, 'ledger', 'pin', await fingerprint());
  const file = join(place.folder, `${person}.pub`);
  const made = await fine(
    person,
    'key',
    'new',
    '--role',
    'approver',
    '--label',
    person,
    '--export-public',
    file,
    ...words(person),
    '--json',
  );
  await fine('anna', 'key', 'trust', file, '--role', 'approver', '--name', `${person}, reviewer`);
  return json<{ keyId: string }>(made).keyId;
}
/** A run under the regulated policy that has fixed the bug and waits to land it. */
async function landing(): Promise<Waiting> {
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
  const ended = await as('anna', 'run', 'Make sum add', '--json');
  expect({ exit: ended.exit, stderr: ended.exit === 11 ? '' : ended.stderr }).toEqual({ exit: 11, stderr: '' });
  const [request] = await waiting();
  if (request === undefined) throw new Error('nothing waits');
  return request;
}

describe('the regulated policy', () => {
  verifies(
    'E21',
    'lands with two others who hold their keys under passphrases, and with nobody less: not the opener, not one key twice, not a stranger, not a bare file',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test', '--policy', 'regulated');
      const bob = await joins('bob');
      const cleo = await joins('cleo');
      const request = await landing();
      expect(request).toMatchObject({
        action: 'commit_changes',
        terms: { quorum: 2, minAssurance: 'passphrase', openerMayApprove: false },
      });
      expect(request.content).toContain('+  return a + b;');
      // The opener, whose key approves under other policies.
      expect(await refused('anna', 'approve', request.id, '--key', 'operator')).toMatchObject({ exit: 12, code: 'approval.refused' });
      // A key of the opener's machine, trusted, but open to whoever reads its file.
      await fine('anna', 'key', 'new', '--role', 'approver', '--label', 'bare', '--no-passphrase');
      const bare = await refused('anna', 'approve', request.id, '--key', 'bare');
      expect(bare).toMatchObject({ exit: 12, code: 'approval.refused' });
      expect(bare.message).toContain('at least passphrase');
      // A key that nobody vouched for.
      await fine(
        'bob',
        'key',
        'new',
        '--role',
        'approver',
        '--label',
        'spare',
        '--export-public',
        join(place.folder, 'spare.pub'),
        ...words('bob'),
      );
      expect((await refused('bob', 'approve', request.id, '--key', 'spare', ...words('bob'))).message).toContain('not in force');
      // A wrong passphrase gives nothing away and records nothing.
      expect(await refused('bob', 'approve', request.id, ...words('cleo'))).toMatchObject({ exit: 2, code: 'passphrase.wrong' });
      expect(await refused('bob', 'approve', request.id)).toMatchObject({ exit: 2, code: 'passphrase.missing' });
      const voted = json<{ key: string; assurance: string }>(
        await fine('bob', 'approve', request.id, ...words('bob'), '--because', 'read it', '--json'),
      );
      expect(voted).toMatchObject({ key: bob, assurance: 'passphrase' });
      // Judged by the driver: one of two.
      expect((await as('anna', 'resume', 'latest', '--json')).exit).toBe(11);
      expect((await waiting('cleo'))[0]?.votes.map(({ key }) => key)).toEqual([bob]);
      expect(await refused('bob', 'approve', request.id, ...words('bob'))).toMatchObject({ exit: 12, code: 'approval.refused' });
      await sound();
      expect(json<{ key: string }>(await fine('cleo', 'approve', request.id, ...words('cleo'), '--json')).key).toBe(cleo);
      const done = await as('anna', 'resume', 'latest', '--json');
      expect(json<object>(done)).toMatchObject({ status: 'done', exit: 0 });
      await sound();
      for (const secretWords of Object.values(PASSPHRASES))
        expect(readFileSync(join(place.root, '.openexec/ledger.db')).includes(secretWords)).toBe(false);
    },
    TIME_MS,
  );

  verifies(
    'E21',
    'ends with 12 at one veto; a key retired between request and vote counts for nothing',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test', '--policy', 'regulated');
      const bob = await joins('bob');
      // Nobody writes to a ledger that they did not pin, nor pins another than the one that is there.
      expect(await refused('cleo', 'approve', 'ffff')).toMatchObject({ exit: 2, code: 'ledger.unpinned' });
      expect((await as('cleo', 'ledger', 'pin', `sha256:${'0'.repeat(64)}`)).exit).toBe(20);
      await joins('cleo');
      const request = await landing();
      await fine('anna', 'key', 'retire', bob, '--because', 'Bob has left');
      const late = await refused('bob', 'approve', request.id, ...words('bob'));
      expect(late).toMatchObject({ exit: 12, code: 'approval.refused' });
      expect(late.message).toContain('not in force');
      const listed = json<{ keys: readonly object[] }>(await fine('anna', 'key', 'list', '--json'));
      expect(listed.keys).toContainEqual(expect.objectContaining({ keyId: bob, state: 'retired', name: 'bob, reviewer', label: null }));
      await fine('cleo', 'deny', request.id, '--because', 'not before the audit', ...words('cleo'));
      const ended = await as('anna', 'resume', 'latest', '--json');
      expect(ended.exit).toBe(12);
      expect(json<object>(ended)).toMatchObject({ because: { code: 'approval.denied', message: 'not before the audit' } });
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      await sound();
    },
    TIME_MS,
  );

  verifies(
    'E20',
    'binds by law: no file of the repository takes it back, and a permit there grants nothing',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test', '--policy', 'regulated');
      const file = join(place.root, '.openexec/config.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace('policy: regulated', 'policy: solo'));
      const listed = json<{ layers: readonly { layer: string; name: string; source: string }[] }>(
        await fine('anna', 'policy', 'list', '--json'),
      );
      expect(listed.layers.map(({ layer, name }) => [layer, name])).toEqual([['operator', 'regulated']]);
      const request = await landing();
      expect(request.terms).toMatchObject({ quorum: 2, openerMayApprove: false });
      // The user's own word is stricter than the repository's, without any law.
      const other = makePlace();
      try {
        const env = { ...other.env };
        const own = (...args: readonly string[]) => bundle.run(args, { cwd: other.root, env });
        expect((await own('init', '--policy', 'solo')).exit).toBe(0);
        writeFileSync(join(other.folder, 'config/openexec/config.yaml'), 'version: 1\npolicy: regulated\n');
        const layers = json<{ layers: readonly { name: string }[] }>(await own('policy', 'list', '--json')).layers;
        expect(layers.map(({ name }) => name)).toEqual(['regulated']);
      } finally {
        other.remove();
      }
    },
    TIME_MS,
  );
});

describe('an approval', () => {
  verifies(
    'E04',
    'is worth nothing once the law has changed: the same action is asked about again, under the new rules',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test');
      provider.say({ calls: [patchScripts()] });
      expect((await as('anna', 'run', 'Give it a start script', '--json')).exit).toBe(11);
      const [first] = await waiting();
      await fine('anna', 'approve', first?.id ?? '');
      // The vote is in and not judged yet; now two others are wanted.
      await fine('anna', 'policy', 'adopt', 'regulated');
      expect((await as('anna', 'resume', 'latest', '--json')).exit).toBe(11);
      const [second] = await waiting();
      expect(second?.id).not.toBe(first?.id);
      expect(second).toMatchObject({ content: first?.content, terms: { quorum: 2, openerMayApprove: false }, votes: [] });
      expect(await refused('anna', 'approve', second?.id ?? '', '--key', 'operator')).toMatchObject({ exit: 12 });
      expect(await refused('anna', 'approve', first?.id ?? '')).toMatchObject({ exit: 2, code: 'approval.unknown' });
      await sound();
    },
    TIME_MS,
  );

  verifies(
    'E04',
    'is for one change: another change of the same file is a request of its own',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test');
      const other = patchScripts();
      const changed = JSON.parse(JSON.stringify(other).replace('node sum.js', 'node other\u202e.js')) as typeof other;
      provider.say({ calls: [patchScripts()] }, { calls: [changed] });
      expect((await as('anna', 'run', 'Give it a start script', '--json')).exit).toBe(11);
      const [first] = await waiting();
      await fine('anna', 'deny', first?.id ?? '', '--because', 'start another file');
      expect((await as('anna', 'resume', 'latest', '--json')).exit).toBe(11);
      const [second] = await waiting();
      expect([second?.content.includes('node other\u202e.js'), second?.id === first?.id, second?.votes]).toEqual([true, false, []]);
      // What turns text around is shown as what it is, to people and in JSON.
      const shown = (await fine('anna', 'approvals')).stdout;
      expect([shown.includes('node other\\u{202e}.js'), shown.includes('\u202e')]).toEqual([true, false]);
      expect((await fine('anna', 'approvals', '--json')).stdout).not.toContain('\u202e');
      await sound();
    },
    TIME_MS,
  );

  verifies(
    'E04',
    'expires: the vote after it is refused with 12, and the run goes on without the action',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test');
      place.write('.openexec/policy/hasty.yaml', HASTY);
      provider.say({ calls: [patchScripts()] });
      expect((await as('anna', 'run', 'Give it a start script', '--json')).exit).toBe(11);
      const [request] = await waiting();
      // Everybody's clock is past the end from here on.
      const preload = join(place.folder, 'later.mjs');
      writeFileSync(preload, `const real = Date.now; Date.now = () => real() + ${HASTY_MS + 1000};\n`);
      later = { NODE_OPTIONS: `--import=${preload}` };
      expect(await refused('anna', 'approve', request?.id ?? '')).toMatchObject({ exit: 12, code: 'approval.refused' });
      expect((await fine('anna', 'approvals')).stdout).toContain('expired');
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'then only the fix' });
      const ended = await as('anna', 'resume', 'latest', '--json');
      expect(json<object>(ended)).toMatchObject({ status: 'done', exit: 0 });
      const timeline = (await fine('anna', 'timeline', 'latest')).stdout;
      expect(timeline).toMatch(/approval [0-9a-f]+ expired/);
      expect(JSON.stringify(provider.requests[1]?.messages)).toContain('nobody decided before');
      await sound();
    },
    TIME_MS,
  );

  verifies(
    'E05',
    'waits through a kill -9 of whoever drove: given by another person with another state folder, the run goes on',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test');
      await joins('bob');
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      provider.say({ calls: [patchScripts(), patchSum('-', '+')] });
      const child = bundle.start(['run', 'Give it a start script', '--jsonl'], { cwd: place.root, env: envOf('anna') });
      await until('the approval is asked for', () => child.stdout().includes('approval.requested'));
      child.kill('SIGKILL');
      await child.ended;
      release();
      await held;
      const [request] = await waiting('bob');
      await fine('bob', 'approve', request?.id ?? '', ...words('bob'));
      provider.say({ text: 'done' });
      const resumed = await as('anna', 'resume', 'latest', '--json');
      // The landing of a file that something runs asks once more.
      expect(resumed.exit).toBe(11);
      const [landed] = await waiting('bob');
      expect(landed?.action).toBe('commit_changes');
      await fine('bob', 'approve', landed?.id ?? '', ...words('bob'));
      expect(json<object>(await as('anna', 'resume', 'latest', '--json'))).toMatchObject({ status: 'done', exit: 0 });
      await sound();
    },
    TIME_MS,
  );
});

const HASTY_MS = 600_000;
/** Asks what the shipped policy asks, but waits no longer than ten minutes. */
const HASTY = `version: 1
name: hasty
rules:
  - id: ask-soon
    when: {field: paths.write, op: anyNamed, value: [package.json]}
    decide: {approve: {roles: [approver], quorum: 1, ttlMs: ${HASTY_MS}, minAssurance: file, openerMayApprove: true}}
    because: decisions are made at once here
    examples:
      match: [{paths: {write: [package.json]}}]
      noMatch: [{paths: {write: [sum.js]}}]
`;

describe('a key', () => {
  verifies(
    'E21',
    'is asked for at the terminal without echo, is sealed in its file, and a claimed identity is refused',
    async () => {
      await fine('anna', 'init', '--model', 'openai:gpt-test');
      expect(await refused('anna', 'key', 'new', '--role', 'approver', '--label', 'alice')).toMatchObject({
        exit: 2,
        code: 'passphrase.missing',
      });
      expect(await refused('anna', 'key', 'new', '--role', 'approver', '--passphrase-file', secret('weak', 'short'))).toMatchObject({
        exit: 2,
        code: 'passphrase.weak',
      });
      expect(
        await refused('anna', 'key', 'new', '--role', 'approver', '--passphrase-file', secret('open', 'long enough words', 0o644)),
      ).toMatchObject({
        exit: 2,
        code: 'passphrase.unsafe',
      });
      const typed = 'typed at a terminal';
      const made = await atTerminal(['key', 'new', '--role', 'approver', '--label', 'alice'], [typed, typed]);
      expect({ status: made.status, echoed: made.screen.includes(typed) }).toEqual({ status: 0, echoed: false });
      expect(made.screen).toContain('under a passphrase');
      const state = join(place.state, (await fingerprint()).slice(7, 39), 'keys');
      expect(statSync(join(state, 'alice.key')).mode & 0o777).toBe(0o600);
      expect(Object.keys(JSON.parse(readFileSync(join(state, 'alice.key'), 'utf8')) as object).sort()).toEqual([
        'cipher',
        'kdf',
        'publicKey',
        'roles',
        'sealed',
        'v',
      ]);
      // The prompt during a run: what is shown, then yes, then the passphrase; the operator key is not to be taken here.
      place.write('.openexec/policy/careful.yaml', HASTY.replace('minAssurance: file', 'minAssurance: passphrase'));
      provider.say({ calls: [patchScripts()] }, { text: 'done' });
      const asked = await atTerminal(['run', 'Give it a start script'], ['yes', typed, 'no']);
      expect(asked.screen).toContain('node sum.js');
      expect(asked.screen.includes(typed)).toBe(false);
      expect(asked.screen).toMatch(/approval [0-9a-f]+ given/);
      // A public half that names a key it was not signed by.
      const file = join(place.folder, 'mallory.pub');
      await fine('anna', 'key', 'new', '--role', 'approver', '--label', 'mallory', '--export-public', file, ...words('anna'));
      const forged = JSON.parse(readFileSync(file, 'utf8')) as { body: { publicKey: string } };
      forged.body.publicKey = (JSON.parse(readFileSync(join(state, 'alice.key'), 'utf8')) as { publicKey: string }).publicKey;
      writeFileSync(join(place.folder, 'forged.pub'), JSON.stringify(forged));
      expect(await refused('anna', 'key', 'trust', join(place.folder, 'forged.pub'), '--role', 'approver')).toMatchObject({
        exit: 2,
        code: 'key.malformed',
      });
      await fine('anna', 'key', 'passwd', 'mallory', ...words('anna'), '--new-passphrase-file', join(place.folder, 'bob.words'));
      await fine('anna', 'key', 'passwd', 'mallory', ...words('bob'), '--no-passphrase');
      expect(existsSync(join(state, 'mallory.key'))).toBe(true);
      await sound();
    },
    TIME_MS,
  );
});

/** Runs the command on a terminal of its own and types a line whenever it asks. Not in step with this process, which serves the model meanwhile. */
async function atTerminal(
  args: readonly string[],
  lines: readonly string[],
): Promise<{ readonly status: number | null; readonly screen: string }> {
  const env = { ...envOf('anna'), PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', NO_COLOR: '1', TERM: 'xterm' };
  const words = ['-c', TERMINAL, JSON.stringify([process.execPath, bundle.entry, ...args]), JSON.stringify(lines)];
  const child = spawn('python3', words, { cwd: place.root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
  });
  const status = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  return { status, screen };
}
const TERMINAL = `
import json, os, pty, re, select, sys, time
argv, lines = json.loads(sys.argv[1]), json.loads(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
screen, seen = b'', 0
while True:
    ready, _, _ = select.select([fd], [], [], 180)
    if not ready:
        os.kill(pid, 9)
        break
    try: data = os.read(fd, 65536)
    except OSError: break
    if not data: break
    screen += data
    tail = re.sub(rb'\\x1b\\[[0-9;?]*[A-Za-z]', b'', screen[seen:]).rstrip(b' ')
    if lines and (tail.endswith(b':') and (b'passphrase' in tail[-60:] or b'again' in tail[-20:]) or tail.endswith(b'later]')):
        seen = len(screen)
        time.sleep(0.2)
        os.write(fd, lines.pop(0).encode() + b'\\r')
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
