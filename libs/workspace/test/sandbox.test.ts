/**
 * The bubblewrap sandbox: its contract, the attack list of SECURITY §9 as root and as an ordinary user, and what happens without bubblewrap.
 * A machine without a working bubblewrap fails this suite; nothing is skipped.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isAutoRun } from '@openexec/catalogue';
import { createSandbox, sandboxIdentity } from '../src/index.ts';
import { ATTACKS, CANARY, LEAKED_FD } from './attacks.ts';
import { bundle, THROWAWAY_ID } from './bundle.ts';
import {
  cleanUp,
  code,
  comesAbout,
  leastOf,
  NEVER,
  opened,
  profile,
  redactor,
  repository,
  run,
  SECRET,
  temporary,
  value,
  write,
} from './harness.ts';
import { endLiving, living, oddSleep, sandboxContract, sleeping } from './sandbox.contract.ts';

afterAll(cleanUp);

const asRoot = process.getuid?.() === 0;
const sandbox = createSandbox({ redactor });
/** A tree that belongs to the sandbox's id. */
function tree(): string {
  const folder = temporary('tree');
  const { uid, gid } = sandboxIdentity();
  if (asRoot) chownSync(folder, uid, gid);
  return folder;
}

sandboxContract({ sandbox: () => sandbox, workspace: tree });

interface DriverAnswer {
  readonly uid: number;
  readonly report: { readonly sound: boolean; readonly uid: number; readonly problem: string | null };
  readonly results: readonly {
    readonly id: string;
    readonly ran: boolean;
    readonly worked: boolean;
    readonly control: boolean;
    readonly output: string;
    readonly controlOutput: string;
  }[];
}

describe.each(asRoot ? ['root', 'an ordinary user'] : ['an ordinary user'])('the attack list, started by %s', (who) => {
  let answer: DriverAnswer;
  beforeAll(() => {
    const folder = temporary('driver');
    const leak = temporary('leak');
    writeFileSync(`${leak}/secret`, CANARY);
    const program = bundle('attack-driver', folder);
    const fd = openSync(leak, 'r');
    const ids = asRoot && who !== 'root' ? { uid: THROWAWAY_ID, gid: THROWAWAY_ID } : {};
    const ran = spawnSync(process.execPath, [program], {
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', RUNTIME_CANARY: CANARY },
      stdio: ['ignore', 'pipe', 'pipe', ...Array.from({ length: LEAKED_FD - 3 }, () => 'ignore' as const), fd],
      encoding: 'utf8',
      ...ids,
    });
    closeSync(fd);
    if (ran.status !== 0) throw new Error(`the driver ended with ${ran.status}: ${ran.stderr}`);
    answer = JSON.parse(ran.stdout) as DriverAnswer;
  });

  test('the check is sound and commands never run as uid 0', () => {
    expect(answer.report).toMatchObject({ sound: true, problem: null });
    expect(answer.report.uid).not.toBe(0);
    expect(answer.uid).toBe(who === 'root' ? 0 : asRoot ? THROWAWAY_ID : process.getuid?.());
  });
  test.each(ATTACKS.map((attack) => [attack.id, attack.name]))('%s: %s is blocked inside and works outside', (id) => {
    const result = answer.results.find((row) => row.id === id);
    expect({ ran: result?.ran, worked: result?.worked, output: result?.worked === true ? result.output : '' }).toEqual({
      ran: true,
      worked: false,
      output: '',
    });
    expect({ control: result?.control, output: result?.control === true ? '' : result?.controlOutput }).toEqual({
      control: true,
      output: '',
    });
  });
});

describe('around the sandbox', () => {
  test('A57: signals sent to everybody reach nobody outside', async () => {
    const { uid, gid } = sandboxIdentity();
    const sleeper = spawn('/usr/bin/sleep', ['600'], { stdio: 'ignore', ...(asRoot ? { uid, gid } : {}) });
    await run(sandbox, tree(), ['bash', '-c', `kill -9 -1; kill -9 ${sleeper.pid ?? 0}; true`]);
    expect(sleeper.exitCode ?? sleeper.signalCode).toBeNull();
    // The control: a signal from the same user does end it.
    const gone = once(sleeper, 'exit');
    spawnSync('/usr/bin/kill', ['-9', String(sleeper.pid)], asRoot ? { uid, gid } : {});
    expect((await gone)[1]).toBe('SIGKILL');
  });
  test('A58: when the runtime is killed, its commands are gone within a second', async () => {
    // A dropped id cannot read every checkout, so whoever runs this suite as one hands the program over.
    const program = process.env['SLEEPER_DRIVER'] ?? bundle('sleeper-driver', temporary('driver'));
    const odd = oddSleep();
    // The control: what is started without the sandbox outlives its starter.
    const orphan = oddSleep();
    spawnSync('/usr/bin/bash', ['-c', `setsid sleep ${orphan} & kill -9 $$`], { stdio: 'ignore' });
    expect(await comesAbout(() => sleeping(orphan) === 1)).toBe(true);
    await endLiving(orphan);
    const least = await leastOf(1_000, async () => {
      const child = spawn(process.execPath, [program, odd, tree()], { stdio: ['ignore', 'inherit', 'inherit'] });
      expect(await comesAbout(() => sleeping(odd) === 2)).toBe(true);
      child.kill('SIGKILL');
      const since = performance.now();
      expect(await comesAbout(() => living(odd).length === 0)).toBe(true);
      return performance.now() - since;
    });
    expect(least).toBeLessThan(1_000);
  });
  test.each([
    ['is missing', '/usr/bin/no-such-bwrap'],
    ['does not answer as bubblewrap', '/usr/bin/false'],
    ['is a folder', '/usr/bin'],
  ])('A110: when bubblewrap %s, every run is refused and nothing is started', async (_, bwrapPath) => {
    const broken = createSandbox({ redactor, bwrapPath });
    const workspace = tree();
    // The control: with the real one the same command runs.
    await run(sandbox, workspace, ['touch', 'control']);
    expect(existsSync(`${workspace}/control`)).toBe(true);
    expect(await broken.check()).toMatchObject({ sound: false, kind: 'none' });
    expect(
      code(
        await broken.run(
          { profile: profile(), argv: ['touch', 'ran'], directory: '', workspace, gitView: null, deadlineMs: 1_000, stdin: null },
          NEVER,
        ),
      ),
    ).toBe('sandbox.unavailable');
    expect(existsSync(`${workspace}/ran`)).toBe(false);
  });
  test('A110: a bubblewrap that others may write, or one that cannot make namespaces, is not used', async () => {
    const folder = temporary('fake');
    writeFileSync(`${folder}/bwrap`, '#!/bin/sh\necho bubblewrap 0.9.0\nexit 1\n', { mode: 0o755 });
    chmodSync(`${folder}/bwrap`, 0o775);
    expect((await createSandbox({ redactor, bwrapPath: `${folder}/bwrap` }).check()).problem).toMatch(/owned by root or can be written/);
    chmodSync(`${folder}/bwrap`, 0o755);
    const report = await createSandbox({ redactor, bwrapPath: `${folder}/bwrap` }).check();
    expect(report.sound).toBe(false);
  });
  test('A05: a file linked with one outside before the start is a private copy inside', async () => {
    const probe = ['bash', '-c', 'echo overwritten >> README.md; cat README.md'];
    const outside = temporary('outside');
    const plant = (root: string): string => {
      const canary = `${outside}/${Math.random().toString(36).slice(2)}`;
      writeFileSync(canary, '# sample\n', { mode: 0o666 });
      chmodSync(canary, 0o666);
      const { uid, gid } = sandboxIdentity();
      if (asRoot) chownSync(canary, uid, gid);
      rmSync(`${root}/README.md`);
      linkSync(canary, `${root}/README.md`);
      return canary;
    };
    const { workspace } = await opened(repository());
    const canary = plant(workspace.root);
    value(await workspace.rebuild([]));
    expect((await run(sandbox, workspace.root, probe)).out).toBe('# sample\noverwritten\n');
    expect(readFileSync(canary, 'utf8')).toBe('# sample\n');
    // The control: where the tree is not made anew, the write goes through.
    const loose = plant(workspace.root);
    await run(sandbox, workspace.root, probe);
    expect(readFileSync(loose, 'utf8')).toBe('# sample\noverwritten\n');
  });
  test('A20: what something would run by itself, made by a command, is in the changes and flagged; a made-up repository is gone', async () => {
    const { workspace, directory } = await opened(repository());
    const marker = `${directory}/tree/MARK`;
    const made = ['.vscode/tasks.json', 'CLAUDE.md', '.envrc', '.husky/pre-commit', '.github/workflows/x.yml', '.githooks/post-checkout'];
    await run(sandbox, workspace.root, [
      'bash',
      '-c',
      `mkdir -p ${made.map((path) => `"$(dirname ${path})"`).join(' ')}; for f in ${made.join(' ')} plain.txt; do echo x > $f; done; git init -q inner; printf '#!/bin/sh\ntouch /workspace/MARK\n' > inner/.git/hooks/post-checkout; chmod +x inner/.git/hooks/post-checkout; git init -q .; true`,
    ]);
    const paths = value(await workspace.changes()).changes.map((change) => change.path);
    for (const path of made) expect([path, paths.includes(path), isAutoRun(path)]).toEqual([path, true, true]);
    // The control: an ordinary file is a change like any other.
    expect([paths.includes('plain.txt'), isAutoRun('plain.txt')]).toEqual([true, false]);
    expect(paths.some((path) => path.includes('.git/'))).toBe(false);
    value(await workspace.restore());
    expect([existsSync(`${workspace.root}/inner`), existsSync(`${workspace.root}/.git`), existsSync(marker)]).toEqual([
      false,
      false,
      false,
    ]);
  });
  test('is done in a folder however deep it lies, deeper than the path of a socket may be long', async () => {
    const scratch = `${temporary('check')}/${'deep/'.repeat(30)}`;
    expect(await createSandbox({ redactor, scratch }).check()).toMatchObject({ sound: true });
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('what a killed check left in its folder is removed by the next one; what a living one has there is not', async () => {
    const scratch = `${temporary('check')}/made`;
    expect(await createSandbox({ redactor, scratch }).check()).toMatchObject({ sound: true });
    expect(readdirSync(scratch)).toEqual([]);
    const starts = (pid: number): string =>
      readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ')[19] ?? '';
    const gone = spawnSync('/usr/bin/true').pid;
    const living1 = `openexec-check-${process.pid}-${starts(process.pid)}-living`;
    const left = [`openexec-check-${gone}-1-a`, `openexec-check-${process.pid}-1-of-an-earlier-process-with-this-number`];
    for (const name of [living1, ...left, 'somebody-elses']) mkdirSync(`${scratch}/${name}/outside`, { recursive: true });
    expect(await createSandbox({ redactor, scratch }).check()).toMatchObject({ sound: true });
    expect(readdirSync(scratch).sort()).toEqual([living1, 'somebody-elses'].sort());
    writeFileSync(`${scratch}/a-file`, '');
    expect(await createSandbox({ redactor, scratch: `${scratch}/a-file` }).check()).toMatchObject({
      sound: false,
      problem: expect.stringContaining('for the check cannot be used'),
    });
  });
  test('an identity of 0 is refused', async () => {
    expect((await createSandbox({ redactor, identity: { uid: 0, gid: 0 } }).check()).problem).toMatch(/user or group 0/);
  });
  test('known secrets never reach captured output, in any encoding', async () => {
    const workspace = tree();
    const base64 = Buffer.from(`x${SECRET}`).toString('base64');
    const ran = await run(sandbox, workspace, [
      'bash',
      '-c',
      `printf '%s\\n' '${SECRET}' '${base64}'; printf '%s' '${SECRET.slice(0, 9)}'; sleep 0.1; echo '${SECRET.slice(9)}'`,
    ]);
    expect(ran.out.match(/\[redacted:install:[0-9a-f]{8}\]/g)).toHaveLength(3);
    expect(ran.out).not.toContain(SECRET.slice(0, 12));
  });
  test('E22: git, npm and the test runner of Node work inside the default profile', async () => {
    const { workspace } = await opened(repository());
    write(workspace.root, { 'new.txt': 'new' });
    const go = async (...argv: string[]) => {
      const ran = await run(sandbox, workspace.root, argv, { gitView: workspace.gitView });
      // None of them may be taken for an attempt to reach the network (PROTOCOL §9).
      expect({ argv, attempts: ran.network.attempts }).toEqual({ argv, attempts: 0 });
      return ran;
    };
    expect((await go('git', 'status', '--short')).out).toBe('?? new.txt\n');
    expect((await go('git', 'log', '--oneline')).out).toMatch(/^[0-9a-f]{7} first\n$/);
    expect((await go('npm', 'test')).out).toMatch(/# pass 1\n/);
    expect((await go('node', '--test')).exitCode).toBe(0);
    expect((await go('bash', '-c', 'echo "export const sum = () => 0;" > src/sum.js; node --test; git diff --stat')).out).toMatch(
      /src\/sum.js \| 2/,
    );
    expect(
      (await go('bash', '-c', 'command -v python3 >/dev/null || exit 0; python3 -c "import socket, http.server; print(1)"')).exitCode,
    ).toBe(0);
    const frozen = await go('bash', '-c', 'echo x > .git/config; git commit -qam x; mv .git g; rm -rf .git; git rev-parse HEAD');
    expect(frozen.out).toMatch(/^[0-9a-f]{40}\n$/);
  });
  test('E22: the compiler of TypeScript works from provided dependencies and tries nothing on the network', async () => {
    const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));
    const providing = createSandbox({ redactor, host: { provide: new Map([['<checkout>/node_modules', modules]]) } });
    const workspace = tree();
    writeFileSync(`${workspace}/a.ts`, 'export const a: number = "no";\n');
    const given = profile({ provide: [{ path: 'node_modules', source: '<checkout>/node_modules' }] });
    const ran = await run(providing, workspace, ['node', 'node_modules/typescript/bin/tsc', '--noEmit', 'a.ts'], { profile: given });
    expect([ran.out.includes('TS2322'), ran.network.attempts]).toEqual([true, 0]);
  });
  test('folders that the operator provides are read-only inside, also from behind a closed parent', async () => {
    const home = temporary('home');
    mkdirSync(`${home}/closed/node_modules/dep`, { recursive: true });
    writeFileSync(`${home}/closed/node_modules/dep/index.js`, 'module.exports = 42;\n');
    const host = {
      provide: new Map([['<checkout>/node_modules', `${home}/closed/node_modules`]]),
      environment: new Map([['FLAVOUR', 'sweet']]),
    };
    const providing = createSandbox({ redactor, host });
    const given = profile({ provide: [{ path: 'node_modules', source: '<checkout>/node_modules' }], environment: ['FLAVOUR'] });
    const probe = ['bash', '-c', 'node -p "require(\'dep\')"; echo $FLAVOUR; touch node_modules/x 2>/dev/null || echo frozen'];
    const workspace = tree();
    expect((await run(providing, workspace, probe, { profile: given })).out).toBe('42\nsweet\nfrozen\n');
    chmodSync(`${home}/closed`, 0o700);
    expect((await run(providing, workspace, probe, { profile: given })).out).toBe('42\nsweet\nfrozen\n');
    symlinkSync('/etc', `${workspace}/linked`);
    const refused = await providing.run(
      {
        profile: profile({ provide: [{ path: 'linked', source: '<checkout>/node_modules' }] }),
        argv: ['true'],
        directory: '',
        workspace,
        gitView: null,
        deadlineMs: 1_000,
        stdin: null,
      },
      NEVER,
    );
    expect(code(refused)).toBe('sandbox.refused');
  });
  test('A50 without control groups: the per-process limit and the watcher hold', async () => {
    const watched = createSandbox({
      redactor,
      limiter: {
        name: 'rlimit',
        open: () => ({ admit: () => undefined, exhausted: () => false, killAll: () => undefined, close: () => Promise.resolve(true) }),
      },
    });
    const together = await run(
      watched,
      tree(),
      [
        'bash',
        '-c',
        'for i in 1 2 3 4 5 6; do node -e "const b=Buffer.alloc(83886080,1);setTimeout(()=>console.log(b[5]),30000)" & done; wait',
      ],
      { profile: profile({}, { memoryBytes: 300 * 1024 ** 2 }) },
    );
    expect([together.stopped, together.limiter]).toEqual(['memory', 'rlimit']);
    const single = await run(watched, tree(), ['node', '-e', 'Buffer.alloc(1.5e9,1);console.log("held")'], {
      profile: profile({}, { memoryBytes: 600 * 1024 ** 2 }),
    });
    expect(single.out).toBe('');
    expect(value({ ok: true, value: single.stopped })).not.toBe('deadline');
  });
});
