/**
 * What goes wrong in daily work: each row has its exit code, a message that says what and where, and loses nothing. After each, the ledger is
 * verified by the production verifier (issue of daily work "Bad input"; CLI.md "Exit codes").
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { type Ended, until } from './cli.ts';
import { makePlace, patchSum, type Reply } from './place.ts';
import { bundle, inEachPlace, openexecWith, place, provider } from './scene.ts';

const TIME_MS = 240_000;
const GOOD: readonly Reply[] = [{ calls: [patchSum('-', '+')] }, { text: 'done' }];

inEachPlace(() => undefined);

const openexec = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> => openexecWith(args, { env });
async function init(config?: string): Promise<void> {
  expect(await openexec(['init', '--model', 'openai:gpt-test'])).toMatchObject({ exit: 0 });
  if (config !== undefined) place.write('.openexec/config.yaml', config);
}
interface Report {
  readonly status: string;
  readonly because: { readonly code: string; readonly message: string };
  readonly spend: { readonly calls: number };
  readonly result: { readonly commit: string; readonly ref: string } | null;
}
/** One run; the ledger it leaves is sound and every judgement in it is made again. */
async function run(...more: readonly string[]): Promise<Report & { readonly exit: number | null; readonly stderr: string }> {
  const ended = await openexec(['run', 'Make sum add', '--json', ...more]);
  const report = JSON.parse(ended.stdout) as Report;
  await sound();
  return { ...report, exit: ended.exit, stderr: ended.stderr };
}
async function sound(): Promise<void> {
  const verified = await openexec(['verify', '--deep']);
  expect({ exit: verified.exit, said: verified.stderr }).toMatchObject({ exit: 0 });
}
async function refused(
  ...more: readonly string[]
): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string }> {
  const ended = await openexec(['run', 'Make sum add', '--json', ...more]);
  const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string; remedy: string } };
  expect(error.remedy).not.toBe('');
  return { exit: ended.exit, code: error.code, message: error.message };
}
function commit(): void {
  place.git('add', '-A', '--', '.', ':!.openexec');
  place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'more');
}

describe('a provider', () => {
  test(
    'that limits the rate is asked again after the wait it names, at most three times, and then the run ends with 30',
    async () => {
      await init();
      const limit: Reply = { status: 429, headers: { 'retry-after-ms': '20' } };
      provider.say(limit, ...GOOD);
      expect(await run()).toMatchObject({ exit: 0, status: 'done' });
      const before = provider.requests.length;
      provider.say(limit, limit, limit, limit, limit, limit);
      const ended = await run();
      expect(ended).toMatchObject({ exit: 30, status: 'failed', because: { code: 'model.rateLimited' } });
      expect(provider.requests.length - before).toBeLessThanOrEqual(4);
      expect(ended.result).toBeNull();
    },
    TIME_MS,
  );

  test(
    'that does not answer in the time configured for it is given up, with 30',
    async () => {
      await init('version: 1\nmodel: openai:gpt-test\nmodels: {openai: {timeoutSeconds: 1}}\ncommands: {test: {argv: [npm, test]}}\n');
      const never = new Promise<never>(() => undefined);
      provider.say({ after: never }, { after: never }, { after: never }, { after: never });
      const ended = await run();
      expect(ended).toMatchObject({ exit: 30, status: 'failed', because: { code: 'model.timeout' } });
      expect(ended.because.message).toContain('1000 ms');
    },
    TIME_MS,
  );

  test.each([
    ['a page instead of an answer', { body: '<html><body>proxy login</body></html>', headers: { 'content-type': 'text/html' } }],
    ['an answer that stops in the middle', { body: '{"id":"chatcmpl-1","choices":[{"message":{"role":"assi' }],
    ['an answer without choices', { body: '{"id":"chatcmpl-1","choices":[]}' }],
  ] satisfies readonly (readonly [string, Reply])[])(
    'that sends %s ends the run with 30, and nothing of it is taken for a success',
    async (_what, reply) => {
      await init();
      provider.say(reply, reply, reply, reply);
      expect(await run()).toMatchObject({ exit: 30, status: 'failed', because: { code: 'model.malformed' }, result: null });
    },
    TIME_MS,
  );

  test(
    'whose model sends broken arguments is told so; the third in a row fails the stage with exit 1',
    async () => {
      await init();
      const broken: Reply = { rawCall: { name: 'apply_patch', arguments: '{"format": "unified", "patch": "--- a/s' } };
      provider.say(broken, broken, ...GOOD);
      expect(await run()).toMatchObject({ exit: 0, status: 'done' });
      const told = JSON.stringify(provider.requests[1]?.messages.at(-1));
      expect(told).toMatch(/arguments/);
      provider.say(broken, broken, broken, broken);
      expect(await run()).toMatchObject({ exit: 1, status: 'failed', result: null });
    },
    TIME_MS,
  );

  test(
    'whose model refuses has said its last word: the stage fails and the refusal is shown',
    async () => {
      await init();
      provider.say({ refusal: 'I will not do that.' });
      const ended = await run();
      expect(ended).toMatchObject({ status: 'failed', result: null });
      expect([1, 30]).toContain(ended.exit);
      expect(ended.because.message).toMatch(/refus/);
    },
    TIME_MS,
  );

  test(
    'whose model is cut off in the middle of a call is not taken for done',
    async () => {
      await init();
      provider.say({ rawCall: { name: 'apply_patch', arguments: '{"format":"unified","pat' }, finish: 'length' }, ...GOOD);
      expect(await run()).toMatchObject({ exit: 0, status: 'done' });
      expect(provider.requests.length).toBeGreaterThanOrEqual(3);
    },
    TIME_MS,
  );
});

describe('a model that goes round in circles', () => {
  test(
    'ends at the turns of its stage with 1, and with 13 where the budget is the smaller bound',
    async () => {
      await init();
      const look: Reply = { calls: [{ name: 'read_file', arguments: { path: 'sum.js' } }] };
      provider.say(...Array.from({ length: 40 }, () => look));
      const ended = await run();
      expect(ended).toMatchObject({ exit: 1, status: 'failed', result: null, because: { code: 'turns.exhausted' } });
      expect(provider.requests).toHaveLength(24);
      place.write(
        '.openexec/config.yaml',
        'version: 1\nmodel: openai:gpt-test\nbudget: {calls: 5}\ncommands: {test: {argv: [npm, test]}}\n',
      );
      expect(await run()).toMatchObject({ exit: 13, status: 'exhausted', because: { code: 'budget.exhausted' }, spend: { calls: 5 } });
    },
    TIME_MS,
  );
});

describe('a repository', () => {
  test(
    'with a detached head is worked on, and the result is brought to the detached head',
    async () => {
      place.git('checkout', '-q', '--detach');
      await init();
      provider.say(...GOOD);
      const ended = await run();
      expect(ended).toMatchObject({ exit: 0, status: 'done' });
      expect(await openexec(['apply', 'latest'])).toMatchObject({ exit: 0 });
      expect(place.git('rev-parse', 'HEAD').trim()).toBe(ended.result?.commit);
      expect(place.git('rev-parse', '--abbrev-ref', 'HEAD').trim()).toBe('HEAD');
    },
    TIME_MS,
  );

  test(
    'with a submodule keeps it as it is: recorded, not populated, still there in the result',
    async () => {
      const inner = makePlace();
      try {
        place.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', inner.root, 'vendor/dep');
        commit();
        await init();
        provider.say({ calls: [{ name: 'read_file', arguments: { path: 'vendor/dep/sum.js' } }] }, ...GOOD);
        const ended = await run();
        expect(ended).toMatchObject({ exit: 0, status: 'done' });
        const entry = (revision: string): string => place.git('ls-tree', revision, 'vendor/dep');
        expect(entry(ended.result?.commit ?? '')).toMatch(/^160000 commit /);
        expect(entry(ended.result?.commit ?? '')).toBe(entry('HEAD'));
      } finally {
        inner.remove();
      }
    },
    TIME_MS,
  );

  test(
    'with names that hold newlines, tabs and marks of direction is worked on, and the names are shown escaped',
    async () => {
      place.write('line\nbreak.txt', 'x\n');
      place.write('evil\u202etxt.js', 'y\n');
      place.write('tab\there', 'z\n');
      commit();
      await init();
      provider.say({ calls: [{ name: 'read_file', arguments: { path: 'evil\u202etxt.js' } }] }, ...GOOD);
      const ended = await run();
      expect(ended).toMatchObject({ exit: 0, status: 'done' });
      const names = place.git('ls-tree', '-r', '-z', '--name-only', ended.result?.commit ?? '').split('\0');
      expect(names).toEqual(expect.arrayContaining(['line\nbreak.txt', 'evil\u202etxt.js', 'tab\there']));
      const shown = (await openexec(['timeline', 'latest'])).stdout + ended.stderr;
      expect(shown).toContain('\\u{202e}');
      expect(shown).not.toContain('\u202e');
    },
    TIME_MS,
  );

  test(
    'with a name that is not UTF-8 is refused before anything is recorded, with 2 and the way to find it',
    async () => {
      writeFileSync(Buffer.concat([Buffer.from(`${place.root}/a`), Buffer.from([0xff]), Buffer.from('.txt')]), 'x');
      commit();
      await init();
      expect(await refused()).toMatchObject({ exit: 2, code: 'workspace.pathRefused', message: expect.stringContaining('git ls-tree') });
      expect(provider.requests).toHaveLength(0);
      await sound();
    },
    TIME_MS,
  );

  test(
    'with links that lead round in circles or out of it is worked on without following one',
    async () => {
      symlinkSync('loop2', join(place.root, 'loop1'));
      symlinkSync('loop1', join(place.root, 'loop2'));
      symlinkSync('/etc/passwd', join(place.root, 'outside'));
      commit();
      // Node's runner follows every link when it looks for tests by itself.
      await init('version: 1\nmodel: openai:gpt-test\ncommands: {test: {argv: [node, --test, sum.test.js]}}\n');
      provider.say(
        {
          calls: [
            { name: 'read_file', arguments: { path: 'loop1' } },
            { name: 'read_file', arguments: { path: 'outside' } },
          ],
        },
        ...GOOD,
      );
      const ended = await run();
      expect(ended).toMatchObject({ exit: 0, status: 'done' });
      const told = JSON.stringify(provider.requests[1]?.messages);
      expect(told).not.toContain('root:');
      expect(place.git('ls-tree', ended.result?.commit ?? '', 'loop1', 'loop2', 'outside').match(/^120000/gm)).toHaveLength(3);
    },
    TIME_MS,
  );
});

describe('the clock', () => {
  test(
    'that goes backwards during a run gives no time that does: facts never decrease, and the ledger verifies',
    async () => {
      await init();
      const preload = join(place.folder, 'clock.mjs');
      // Every reading of the wall clock is a second before the one before it.
      writeFileSync(preload, 'const real = Date.now; let back = 0; Date.now = () => real() + 86_400_000 - (back += 1000);\n');
      provider.say(...GOOD);
      const ended = await openexec(['run', 'Make sum add', '--json'], { NODE_OPTIONS: `--import=${preload}` });
      expect({ exit: ended.exit, stderr: ended.stderr }).toMatchObject({ exit: 0 });
      await sound();
      const lines = (await openexec(['timeline', 'latest', '--jsonl'])).stdout.trimEnd().split('\n');
      const times = lines.map((line) => (JSON.parse(line) as { at: string }).at);
      expect(times.length).toBeGreaterThan(20);
      expect(times).toEqual(times.toSorted());
    },
    TIME_MS,
  );

  test(
    'that is before the last change of the law is refused with 2, because no key would count at such a time',
    async () => {
      await init();
      const preload = join(place.folder, 'clock.mjs');
      writeFileSync(preload, 'const real = Date.now; Date.now = () => real() - 3_600_000;\n');
      const ended = await openexec(['run', 'Make sum add', '--json'], { NODE_OPTIONS: `--import=${preload}` });
      const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string } };
      expect({ exit: ended.exit, code: error.code }).toEqual({ exit: 2, code: 'clock.behind' });
      expect(provider.requests).toHaveLength(0);
      await sound();
    },
    TIME_MS,
  );
});

describe('a ledger', () => {
  const ledgerFile = (): string => join(place.root, '.openexec/ledger.db');
  /** A finished run, and the ledger file brought into one piece. */
  async function finished(): Promise<void> {
    await init();
    provider.say(...GOOD);
    expect(await run()).toMatchObject({ exit: 0 });
    const db = new Database(ledgerFile());
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
  }
  async function everyCommand(): Promise<readonly { readonly exit: number | null; readonly code: string }[]> {
    const ends: { readonly exit: number | null; readonly code: string }[] = [];
    for (const args of [['run', 'x'], ['runs'], ['show', 'latest'], ['resume', 'latest'], ['approvals'], ['verify']]) {
      const ended = await openexec([...args, '--json']);
      const { error } = JSON.parse(ended.stdout) as { error?: { code: string } };
      ends.push({ exit: ended.exit, code: error?.code ?? 'report' });
    }
    return ends;
  }

  test(
    'that was truncated is refused by every command with 20, and nothing is written into what is left',
    async () => {
      await finished();
      const { size } = statSync(ledgerFile());
      truncateSync(ledgerFile(), Math.floor(size / 2 / 4096) * 4096);
      const left = readFileSync(ledgerFile());
      const ends = await everyCommand();
      expect(ends.map(({ exit }) => exit)).toEqual(ends.map(() => 20));
      expect(readFileSync(ledgerFile()).equals(left)).toBe(true);
    },
    TIME_MS,
  );

  test(
    'of a newer format is refused by every command with 2, and left as it is',
    async () => {
      await finished();
      const db = new Database(ledgerFile());
      const format = Number(db.pragma('user_version', { simple: true }));
      db.pragma(`user_version = ${format + 1}`);
      db.close();
      const before = readFileSync(ledgerFile());
      const ends = await everyCommand();
      expect(ends).toEqual(ends.map(() => ({ exit: 2, code: 'ledger.newer' })));
      expect(readFileSync(ledgerFile()).equals(before)).toBe(true);
    },
    TIME_MS,
  );

  test(
    'whose disk is full stops the run at once with 1; with room again it is resumed to its end',
    async () => {
      const space = process.getuid?.() === 0 ? ['-m'] : ['-Urm'];
      await init();
      let ask = (): void => undefined;
      const asked = new Promise<void>((resolve) => {
        ask = resolve;
      });
      provider.say({ ...GOOD[0], after: asked }, ...GOOD);
      // The folder of the ledger on a small disk of its own, filled up while the model thinks, and freed afterwards.
      const script = [
        'mkdir "$1/small" && mount -t tmpfs -o size=3m tmpfs "$1/small" && cp -a "$2/.openexec/." "$1/small/"',
        'mount --bind "$1/small" "$2/.openexec" && cd "$2"',
        '"$3" "$4" run "Make sum add" --json > "$1/first.json" & pid=$!',
        'while [ ! -e "$1/go" ]; do sleep 0.05; done',
        'dd if=/dev/zero of="$2/.openexec/fill" bs=4k 2>/dev/null; touch "$1/full"',
        'wait $pid; echo $? > "$1/first.exit"; rm "$2/.openexec/fill"',
        '"$3" "$4" resume latest --json > "$1/second.json"; echo $? > "$1/second.exit"',
        '"$3" "$4" verify --deep > "$1/verify.txt"; echo $? > "$1/verify.exit"',
      ].join('\n');
      const child = spawn(
        '/usr/bin/unshare',
        [...space, '/bin/bash', '-c', script, 'bash', place.folder, place.root, process.execPath, bundle.entry],
        {
          env: { PATH: process.env['PATH'] ?? '', HOME: place.folder, CI: 'true', ...place.env, ...provider.env },
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const ended = new Promise((resolve) => child.on('close', resolve));
      await provider.arrived(1);
      writeFileSync(join(place.folder, 'go'), '');
      await until('the disk is full', () => existsSync(join(place.folder, 'full')));
      ask();
      await ended;
      const read = (name: string): string => readFileSync(join(place.folder, name), 'utf8').trim();
      expect({ exit: read('first.exit'), said: read('first.json') }).toMatchObject({
        exit: '1',
        said: expect.stringContaining('ledger.full'),
      });
      expect(read('second.exit')).toBe('0');
      expect(JSON.parse(read('second.json'))).toMatchObject({ status: 'done' });
      expect(read('verify.exit')).toBe('0');
    },
    TIME_MS,
  );
});
