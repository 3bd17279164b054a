/**
 * Contract suite of the port `Sandbox`: what every adapter must do, told in its own words only (exit, output, limits, stopping, refusals).
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Sandbox, StopSignal } from '@openexec/catalogue';
import { AMPLE_MS, code, comesAbout, leastOf, NEVER, pause, profile, run, stoppedWhenReady, value } from './harness.ts';

/** What an adapter brings to the suite. */
export interface SandboxContract {
  readonly sandbox: () => Sandbox;
  /** Makes a workspace folder that commands may write. */
  readonly workspace: () => string;
}

interface HostProcess {
  readonly pid: number;
  readonly line: string;
}
function processesWith(text: string): readonly HostProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        const ended = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '')[0] === 'Z';
        return line.includes(text) && !ended ? [{ pid: Number(pid), line }] : [];
      } catch {
        return [];
      }
    });
}
/** Command lines of living host processes that contain this text. */
export function living(text: string): readonly string[] {
  return processesWith(text).map(({ line }) => line);
}
/** The sleeps of this length among the living host processes, without the shells that started them. */
export const sleeping = (seconds: string): number => living(seconds).filter((line) => line === `sleep\0${seconds}\0`).length;
/** Ends what a control left behind, until none is left: exactly the processes that carry this text, by their id. */
export async function endLiving(text: string): Promise<void> {
  const none = await comesAbout(() => {
    for (const { pid } of processesWith(text)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Ended by itself meanwhile, as the shells that start the sleeps do.
      }
    }
    return living(text).length === 0;
  });
  if (!none) throw new Error(`what the control left behind could not be ended: ${living(text).join(', ')}`);
}
let serial = 0;
/** A sleep of a length nobody else uses, in seconds. */
export function oddSleep(): string {
  serial += 1;
  return `${3000 + serial}.${process.pid}`;
}
const bash = (text: string): readonly string[] => ['bash', '-c', text];

const runner =
  (contract: SandboxContract) =>
  (text: string, more: Parameters<typeof run>[3] = {}) =>
    run(contract.sandbox(), contract.workspace(), bash(text), more);

function answers(contract: SandboxContract): void {
  const go = runner(contract);
  test('check reports every canary blocked with a live control, and the same report a second time', async () => {
    const report = await contract.sandbox().check();
    expect(report.problem).toBeNull();
    expect(report.sound).toBe(true);
    expect(report.canaries.length).toBeGreaterThanOrEqual(10);
    expect(report.canaries.filter((canary) => !canary.blocked)).toEqual([]);
    expect(await contract.sandbox().check()).toBe(report);
  });
  test('exit status, both streams, digests, counts and the limiter are told', async () => {
    const ran = await go('echo out; echo err >&2; exit 7');
    expect([ran.exitCode, ran.signal, ran.stopped, ran.out, ran.errors]).toEqual([7, null, 'no', 'out\n', 'err\n']);
    expect(ran.stdout).toMatchObject({ bytes: 4, digest: `sha256:${createHash('sha256').update('out\n').digest('hex')}` });
    expect(ran.limiter).toMatch(/^(cgroup1|cgroup2|rlimit)$/);
  });
  test('argv arrives word by word, whatever is in it', async () => {
    const words = ['', ' ', '$HOME', '`id`', '"', "'", '\n', '-n', '--', 'ü\u200b', '*'];
    const ran = await run(contract.sandbox(), contract.workspace(), [
      'node',
      '-e',
      'console.log(JSON.stringify(process.argv.slice(1)))',
      '--',
      ...words,
    ]);
    expect(JSON.parse(ran.out)).toEqual(words);
  });
  test('stdin is given and ends', async () => {
    expect((await go('wc -c', { stdin: Buffer.alloc(100_000) })).out.trim()).toBe('100000');
    expect((await go('cat; echo end')).out).toBe('end\n');
  });
  test('a command that does not exist answers 127 and runs nothing', async () => {
    expect((await run(contract.sandbox(), contract.workspace(), ['no-such-command'])).exitCode).toBe(127);
  });
  test('the environment is the fixed one and nothing else', async () => {
    const names = (await go('env | cut -d= -f1 | sort')).out
      .trim()
      .split('\n')
      .filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name));
    expect(names).toEqual([
      'CI',
      'GIT_OPTIONAL_LOCKS',
      'GIT_TERMINAL_PROMPT',
      'HOME',
      'LANG',
      'LOGNAME',
      'PATH',
      'SHELL',
      'SOURCE_DATE_EPOCH',
      'TERM',
      'TMPDIR',
      'TZ',
      'USER',
    ]);
  });
}

function profiles(contract: SandboxContract): void {
  const go = runner(contract);
  test('the command starts in the given folder of the workspace, and only in one that exists there', async () => {
    const workspace = contract.workspace();
    await run(contract.sandbox(), workspace, bash('mkdir -p a/b; ln -s /etc l'));
    expect((await run(contract.sandbox(), workspace, ['pwd'], { directory: 'a/b' })).out).toBe('/workspace/a/b\n');
    for (const directory of ['../x', '/etc', 'none', 'l', 'a/../..', '.git']) {
      const refused = await contract
        .sandbox()
        .run({ profile: profile(), argv: ['true'], directory, workspace, gitView: null, deadlineMs: 1000, stdin: null }, NEVER);
      expect([directory, code(refused)]).toEqual([directory, 'sandbox.refused']);
    }
  });
  test('a read-only workspace cannot be written, a writable one can', async () => {
    const workspace = contract.workspace();
    expect((await run(contract.sandbox(), workspace, bash('echo x > f; cat f'))).out).toBe('x\n');
    const ro = await run(contract.sandbox(), workspace, bash('echo y > f; echo z > g; cat f'), {
      profile: profile({ mode: 'read_only', workspace: 'ro' }, { diskBytes: 0, inodes: 0 }),
    });
    expect([ro.out, ro.stopped]).toEqual(['x\n', 'no']);
  });
  test('A54: hostile bytes are kept and digested exactly as they were produced', async () => {
    const bytes = Buffer.from('\u001b]52;c;ZWNobw==\u0007\u001b[2J\u001b]0;title\u0007\ud83d\ude00\u202e\u0000', 'utf8');
    const hostile = Buffer.concat([bytes, Buffer.from([0xff, 0xfe, 0xc0, 0x80])]);
    const ran = await go(`printf '${[...hostile].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'`);
    expect(Buffer.from(ran.stdout.head)).toEqual(hostile);
    expect(ran.stdout.digest).toBe(`sha256:${createHash('sha256').update(hostile).digest('hex')}`);
  });
  test('a profile that was made for another filter, toolchain, path or variable is refused before anything runs', async () => {
    const order = {
      argv: ['touch', 'ran'],
      directory: '',
      workspace: contract.workspace(),
      gitView: null,
      deadlineMs: 1000,
      stdin: null,
    };
    for (const bad of [
      profile({ seccomp: profile().seccomp.replace(/.$/, (c) => (c === '0' ? '1' : '0')) as ReturnType<typeof profile>['seccomp'] }),
      profile({ toolchain: ['node@0.1.0'] }),
      profile({ provide: [{ path: 'node_modules', source: '<checkout>/nothing' }] }),
      profile({ environment: ['LD_PRELOAD'] }),
      profile({ environment: ['NOT_CONFIGURED'] }),
      profile({ protectedPaths: ['a/*/b'] }),
    ])
      expect(code(await contract.sandbox().run({ ...order, profile: bad }, NEVER))).toBe('sandbox.refused');
    expect(readdirSync(order.workspace)).toEqual([]);
  });
}

function processesMemoryDisk(contract: SandboxContract): void {
  const go = runner(contract);
  test('A49: a fork bomb is bounded and gone after the stop', async () => {
    const odd = oddSleep();
    const bounded = { profile: profile({}, { processes: 48 }) };
    // The control: a few processes are no bomb, and the same bound lets them live.
    expect((await go('for i in 1 2 3 4 5 6 7 8; do sleep 0.05 & done; wait; echo made', bounded)).out).toBe('made\n');
    const refused = /fork|Resource temporarily/;
    const ran = await stoppedWhenReady(
      (deadlineMs) => go(`f() { sleep ${odd} & f & f; }; f; wait`, { ...bounded, deadlineMs }),
      ({ errors }) => refused.test(errors),
      800,
    );
    // By itself it would last for the fifty minutes of its sleeps.
    expect(ran.stopped).toBe('deadline');
    expect(ran.errors).toMatch(refused);
    expect(living(odd)).toEqual([]);
  });
  test('A50: more memory than granted ends the command; within the grant the same probe succeeds', async () => {
    const probe = ['node', '-e', 'const all=[];for(let i=0;i<24;i++)all.push(Buffer.alloc(16777216,1));console.log("held")'];
    const grant = async (memoryBytes: number) =>
      run(contract.sandbox(), contract.workspace(), probe, { profile: profile({}, { memoryBytes }) });
    expect((await grant(1024 ** 3)).out).toBe('held\n');
    const small = await grant(192 * 1024 ** 2);
    expect(small.out).toBe('');
    expect(small.stopped === 'memory' || (small.exitCode ?? 0) !== 0).toBe(true);
  });
  test('A50: many processes together are held by the same bound', async () => {
    const ran = await go(
      'for i in 1 2 3 4 5 6; do node -e "const b=Buffer.alloc(83886080,1);setTimeout(()=>console.log(b[5]),30000)" & done; wait',
      { profile: profile({}, { memoryBytes: 300 * 1024 ** 2 }) },
    );
    expect(ran.stopped).toBe('memory');
  });
  test('A51: growth of the workspace in bytes is stopped close to the bound, and growth within it is not', async () => {
    const grow = async (count: number) => {
      const workspace = contract.workspace();
      const ran = await run(
        contract.sandbox(),
        workspace,
        bash(`for i in $(seq ${count}); do head -c 4194304 /dev/zero > f$i; sleep 0.02; done; echo done`),
        { profile: profile({}, { diskBytes: 100 * 1024 ** 2 }) },
      );
      return { ran, files: readdirSync(workspace).length };
    };
    expect((await grow(5)).ran.out).toBe('done\n');
    const mebibytes = await leastOf(140, async () => {
      const over = await grow(200);
      expect(over.ran.stopped).toBe('disk');
      return over.files * 4;
    });
    expect(mebibytes).toBeLessThan(140);
  });
  test('A51: growth in files is stopped', async () => {
    const few = await go('for i in $(seq 500); do : > f$i; done; echo done', { profile: profile({}, { inodes: 3_000 }) });
    expect([few.out, few.stopped]).toEqual(['done\n', 'no']);
    const ran = await go('i=0; while :; do i=$((i+1)); : > f$i; done', { profile: profile({}, { inodes: 3_000 }) });
    expect(ran.stopped).toBe('disk');
  });
}

function scratchAndOutput(contract: SandboxContract): void {
  const go = runner(contract);
  test('A52: scratch folders end at their size', async () => {
    const ran = await go(
      'dd if=/dev/zero of=/tmp/f bs=1M count=100 2>/dev/null; dd if=/dev/zero of=/dev/shm/f bs=1M count=40 2>/dev/null; stat -c %s /tmp/f /dev/shm/f',
      { profile: profile({}, { tmpBytes: 8 * 1024 ** 2 }) },
    );
    // The control: the same writes into the tree are not held by those sizes.
    const free = await go('dd if=/dev/zero of=f bs=1M count=40 2>/dev/null; stat -c %s f', {
      profile: profile({}, { tmpBytes: 8 * 1024 ** 2 }),
    });
    expect(Number(free.out)).toBe(40 * 1024 ** 2);
    const [tmp = 0, shm = 0] = ran.out.trim().split('\n').map(Number);
    expect(tmp).toBeGreaterThan(1024 ** 2);
    expect(tmp).toBeLessThanOrEqual(8 * 1024 ** 2);
    expect(shm).toBeGreaterThan(1024 ** 2);
    expect(shm).toBeLessThanOrEqual(16 * 1024 ** 2);
  });
  test('A53: a flood is cut and killed at the produced bound; memory stays flat', async () => {
    const within = await go('head -c 20000000 /dev/zero', { profile: profile({}, { outputBytes: 32 * 1024 ** 2 }) });
    expect([within.stopped, within.stdout.bytes]).toEqual(['no', 20_000_000]);
    const before = process.memoryUsage().rss;
    const ran = await go('head -c 1000000000 /dev/zero & yes xxxxxxxxxxxxxxxx >&2', {
      profile: profile({}, { outputBytes: 32 * 1024 ** 2 }),
    });
    expect(ran.stopped).toBe('output');
    expect(ran.stdout.head.length + ran.stdout.tail.length).toBeLessThanOrEqual(1024 ** 2);
    expect(ran.stderr.head.length + ran.stderr.tail.length).toBeLessThanOrEqual(1024 ** 2);
    expect(ran.stdout.bytes + ran.stderr.bytes).toBeGreaterThan(31 * 1024 ** 2);
    expect(process.memoryUsage().rss - before).toBeLessThan(160 * 1024 ** 2);
  });
  test('A53: one endless line is kept to 64 KiB; head and tail of many lines are kept, and the digest covers all', async () => {
    const line = await go('head -c 3000000 /dev/zero | tr "\\0" a; echo; echo after');
    expect(line.out.length).toBe(65_536 + '[line cut]'.length + '\nafter\n'.length);
    expect(line.stdout.bytes).toBe(3_000_007);
    const many = await go('seq 1000000');
    const all = Array.from({ length: 1_000_000 }, (_, index) => `${index + 1}\n`).join('');
    expect(many.stdout.digest).toBe(`sha256:${createHash('sha256').update(all).digest('hex')}`);
    expect(Buffer.from(many.stdout.head).toString()).toBe(all.slice(0, 262_144));
    expect(Buffer.from(many.stdout.tail).toString()).toBe(all.slice(-786_432));
  });
  test.each([
    ['sleeps', 'sleep 600'],
    ['ignores every signal', "trap '' TERM INT HUP QUIT; while :; do :; done"],
    ['stops itself', 'kill -STOP $$; sleep 600'],
  ])('A55: a command that %s is dead within a second after deadline and grace', async (_, text) => {
    // The control: outside, nothing ends it before it is killed.
    const loose = spawn('/usr/bin/bash', ['-c', text], { stdio: 'ignore', detached: true });
    await pause(600);
    expect([loose.exitCode, loose.signalCode]).toEqual([null, null]);
    process.kill(-(loose.pid ?? 0), 'SIGKILL');
    const least = await leastOf(400 + 2_000 + 1_000, async () => {
      const ran = await go(text, { deadlineMs: 400 });
      expect([ran.stopped, ran.exitCode]).toEqual(['deadline', null]);
      return ran.durationMs;
    });
    expect(least).toBeLessThan(400 + 2_000 + 1_000);
  });
}

function stopping(contract: SandboxContract): void {
  const go = runner(contract);
  test('a command that heeds TERM ends in its own way before the kill', async () => {
    const heeding = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    const ran = await stoppedWhenReady(
      (deadlineMs) => go(heeding, { deadlineMs }),
      ({ out }) => out.startsWith('up'),
    );
    // Killed, it could not have said the second line.
    expect([ran.stopped, ran.out]).toEqual(['deadline', 'up\nbye\n']);
  });
  test('A56: daemons do not outlive the command and do not hold the call', async () => {
    const odd = oddSleep();
    const text = `setsid sleep ${odd} & nohup sleep ${odd} & (sleep ${odd} &) ; setsid bash -c 'setsid sleep ${odd} & disown' ; echo started`;
    // The control: outside, they outlive the command that made them.
    spawnSync('/usr/bin/bash', ['-c', text], { stdio: 'ignore' });
    // They start beside the command, so a busy machine shows them a little after its end.
    expect(await comesAbout(() => sleeping(odd) === 4)).toBe(true);
    await endLiving(odd);
    const ran = await go(text);
    expect(ran.out).toContain('started\n');
    // Held by a daemon, the call would last until the deadline.
    expect(ran.stopped).toBe('no');
    expect(living(odd)).toEqual([]);
  });
  test('a wish to stop ends the command and says so, also when it came before the start', async () => {
    // Heard of once the command is on its way.
    const later: StopSignal = { stopped: false, onStop: (listener) => (setTimeout(listener, 200), () => undefined) };
    const order = {
      profile: profile(),
      argv: ['sleep', '600'],
      directory: '',
      workspace: contract.workspace(),
      gitView: null,
      deadlineMs: AMPLE_MS,
      stdin: null,
    };
    expect(value(await contract.sandbox().run(order, later)).stopped).toBe('signal');
    expect(value(await contract.sandbox().run(order, { stopped: true, onStop: () => () => undefined })).stopped).toBe('signal');
  });
  test('many commands at once keep apart', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, (_, index) => go(`echo ${index} > f; sleep 0.1; cat f`)));
    expect(all.map((ran) => ran.out)).toEqual(Array.from({ length: 8 }, (_, index) => `${index}\n`));
  });
}

function protectedPaths(contract: SandboxContract): void {
  describe('port Sandbox: what is shown and protected', () => {
    test('A19, A23: protected paths are read-only and cannot be moved away; a link in their place refuses the start', async () => {
      const workspace = contract.workspace();
      await run(contract.sandbox(), workspace, bash('mkdir -p .vscode hooks; echo a > .vscode/tasks.json; echo b > free; ln -s /etc evil'));
      const guarded = profile({ protectedPaths: ['.vscode/**', 'hooks', 'absent/**'] });
      // The control: without protection the same command moves and rewrites them.
      const bare = contract.workspace();
      const unguarded = await run(
        contract.sandbox(),
        bare,
        bash('mkdir -p .vscode hooks; echo a > .vscode/tasks.json; mv hooks h && rm -rf .vscode && ls -A'),
      );
      expect(unguarded.out).toBe('h\n');
      const ran = await run(
        contract.sandbox(),
        workspace,
        bash(
          'echo x > .vscode/tasks.json; rm -rf .vscode; mv .vscode v; mv hooks h; rmdir hooks; echo c > free; cat .vscode/tasks.json free; ls -d hooks',
        ),
        { profile: guarded },
      );
      expect(ran.out).toBe('a\nc\nhooks\n');
      for (const path of ['evil', 'evil/x', '../out', '/etc']) {
        const refused = await contract.sandbox().run(
          {
            profile: profile({ protectedPaths: [path] }),
            argv: ['true'],
            directory: '',
            workspace,
            gitView: null,
            deadlineMs: 1000,
            stdin: null,
          },
          NEVER,
        );
        expect([path, code(refused)]).toEqual([path, 'sandbox.refused']);
      }
    });
  });
}

/** Registers the suite for one adapter. */
export function sandboxContract(contract: SandboxContract): void {
  describe('port Sandbox: what a command gives back', () => {
    answers(contract);
    profiles(contract);
  });
  describe('port Sandbox: limits and stopping', () => {
    processesMemoryDisk(contract);
    scratchAndOutput(contract);
    stopping(contract);
  });
  protectedPaths(contract);
}
