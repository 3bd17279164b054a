/**
 * One sandboxed process from spawn to empty process table. Must be called from the main thread (bwrap dies with the thread that made it), must
 * never wait for pipes that a descendant may hold, and must never be used with a plan that was not made by `planSandbox` (SECURITY §§1.4, 8.6).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bytes, err, ok, type Result } from '@openexec/canon';
import type { CommandOutcome, SandboxFailure, StopSignal } from '@openexec/catalogue';
import type { SandboxProfile } from '@openexec/protocol';
import { Capture } from './capture.ts';
import { shown, systemCode } from './failure.ts';
import type { Identity } from './identity.ts';
import type { Limiter } from './limiter.ts';
import { HOSTS, NetworkCounters, RESOLV_CONF } from './network.ts';
import { FD, GROUP, PASSWD, type Plan } from './plan.ts';
import type { Redactor } from './redaction.ts';
import { descendants, type GrowthLimits, watch } from './watch.ts';

/** One planned start: what runs, under which id and bounds, and who hears of its end. */
export interface LaunchOptions {
  readonly plan: Plan;
  readonly bwrap: string;
  readonly owner: Identity;
  readonly seccomp: Bytes;
  readonly limiter: Limiter;
  readonly limits: Pick<SandboxProfile['limits'], 'memoryBytes' | 'processes' | 'outputBytes'>;
  /** Null where the workspace is read-only and so cannot grow. */
  readonly growth: GrowthLimits | null;
  readonly workspace: string;
  readonly deadlineMs: number;
  readonly stdin: Bytes | null;
  readonly redactor: Redactor;
  readonly stop: StopSignal;
  /** Folder in which root binds sources that the sandbox's id cannot reach; null where all can be reached. */
  readonly stage: string | null;
}

/** Between TERM and KILL. */
const TERM_GRACE_MS = 2_000;
/** Between exit and the end of the pipes, which somebody may hold. */
const PIPE_TURN_MS = 10;
const PIPE_TURNS = 100;
/** For what was killed to be gone, a millisecond each; a busy machine may take seconds to run it once more. */
const ORPHAN_TURNS = 10_000;
type Stopped = CommandOutcome['stopped'];

/**
 * Binds what the dropped id cannot reach, in a mount namespace of its own, then drops and becomes bwrap. Runs as root with fixed words only:
 * paths are arguments, never text of the script.
 */
const STAGE_SCRIPT = [
  'set -eu; PATH=/usr/sbin:/usr/bin:/sbin:/bin',
  'uid=$1 gid=$2 dir=$3; shift 3',
  'mount -t tmpfs -o size=64k,mode=0755 openexec "$dir"',
  'n=0; while [ "$1" != -- ]; do mkdir "$dir/$n"; mount --bind -- "$1" "$dir/$n"; n=$((n+1)); shift; done; shift',
  'exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"',
].join('\n');

/** Runs the plan and answers when it and all its descendants are gone. */
export async function launch(options: LaunchOptions): Promise<Result<CommandOutcome, SandboxFailure>> {
  const started = process.hrtime.bigint();
  const group = options.limiter.open(options.limits);
  const child = start(options);
  const exited = new Promise<{ readonly code: number | null; readonly signal: string | null; readonly failure: string | null }>(
    (resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal, failure: null }));
      child.once('error', (caught) => resolve({ code: null, signal: null, failure: systemCode(caught) }));
    },
  );
  if (child.pid !== undefined) group.admit(child.pid);
  // Only now bwrap learns what to do: until its options end it waits, so that all it ever makes is under the bound.
  feed(child, FD.options, stagedOptions(options));
  const run = new Running(child, options, () => group.killAll());
  const unwatch = watch({
    workspace: options.workspace,
    growth: options.growth,
    group,
    memory: options.limiter.name === 'rlimit' ? { bytes: options.limits.memoryBytes, root: () => run.init } : null,
    onExceeded: (what) => run.end(what),
  });
  const exit = await exited;
  unwatch();
  if (group.exhausted()) run.note('memory');
  await run.settle();
  const empty = await group.close();
  const gone = await run.initGone();
  const network = run.network();
  run.release();
  if (exit.failure !== null)
    return err({ code: 'sandbox.unavailable', message: `bubblewrap could not be started (${exit.failure}); nothing was run` });
  if (!empty || !gone)
    return err({
      code: 'sandbox.broken',
      message: 'processes of the command outlived it; the outcome is not known: stop them and resume the run',
    });
  if (!run.ready && run.stopped === 'no') {
    return err({
      code: 'sandbox.broken',
      message: `bubblewrap could not set the sandbox up, the command was not started: ${shown(run.early())}`,
    });
  }
  const durationMs = Number((process.hrtime.bigint() - started) / 1_000_000n);
  return ok({
    exitCode: run.stopped === 'no' ? exit.code : null,
    signal: exit.signal ?? (run.stopped === 'no' ? null : 'SIGKILL'),
    stopped: run.stopped,
    ...run.captured(),
    network,
    durationMs,
    limiter: options.limiter.name,
  });
}

function stagedOptions(options: LaunchOptions): Bytes {
  const { plan, stage } = options;
  const place = (word: string): string => {
    if (stage === null) return word;
    const index = plan.sources.findIndex((source) => word === source || word.startsWith(`${source}/`));
    return index < 0 ? word : `${stage}/${index}${word.slice(plan.sources[index]?.length)}`;
  };
  // Only the source of a bind is a host path; every other word stays as it is.
  const words = plan.options.map((word, at) => (['--bind', '--ro-bind'].includes(plan.options[at - 1] ?? '') ? place(word) : word));
  return Buffer.from(words.map((word) => `${word}\0`).join(''));
}

function start(options: LaunchOptions): ChildProcess {
  const { plan, owner, stage } = options;
  const command = [options.bwrap, '--args', String(FD.options), '--', ...plan.command];
  const asRoot = process.getuid?.() === 0;
  const [file, ...args] =
    stage === null
      ? command
      : [
          '/usr/bin/unshare',
          '-m',
          '--propagation',
          'slave',
          '/usr/bin/bash',
          '--noprofile',
          '--norc',
          '-c',
          STAGE_SCRIPT,
          'openexec',
          String(owner.uid),
          String(owner.gid),
          stage,
          ...plan.sources,
          '--',
          ...command,
        ];
  const child = spawn(file ?? options.bwrap, args, {
    cwd: '/',
    // bwrap becomes pid 1 inside, and its environment can be read there (SECURITY §0.4).
    env: {},
    // Standard streams, then one pipe for each of FD.
    stdio: [options.stdin === null ? 'ignore' : 'pipe', 'pipe', 'pipe', ...Object.keys(FD).map(() => 'pipe' as const)],
    detached: true,
    shell: false,
    ...(asRoot && stage === null ? { uid: owner.uid, gid: owner.gid } : {}),
  });
  feed(child, FD.seccomp, options.seccomp);
  feed(child, FD.passwd, Buffer.from(PASSWD));
  feed(child, FD.group, Buffer.from(GROUP));
  feed(child, FD.hosts, Buffer.from(HOSTS));
  feed(child, FD.resolv, Buffer.from(RESOLV_CONF));
  if (options.stdin !== null) feed(child, 0, options.stdin);
  return child;
}

/** Writes all and ends; whoever closed the other side shows in the outcome, so a broken pipe is not an error of its own. */
function feed(child: ChildProcess, fd: number, bytes: Bytes): void {
  // Positions of `stdio` are what `start` made them: pipes we write to.
  const pipe = child.stdio[fd as 3] as Writable | null;
  pipe?.on('error', () => undefined);
  pipe?.end(bytes);
}

/** The living command: its streams, why it was stopped, and the stopping. */
class Running {
  stopped: Stopped = 'no';
  ready = false;
  /** Host pid of the sandbox's init, once bwrap told. */
  init: number | null = null;
  readonly #child: ChildProcess;
  readonly #stdout: Capture;
  readonly #stderr: Capture;
  readonly #killGroup: () => void;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #unlisten: () => void;
  readonly #closed: Promise<unknown>;
  #initStart: string | null = null;
  /** Undefined until it was tried. */
  #network: NetworkCounters | null | undefined;
  #status = '';
  #produced = 0;
  #over = false;

  constructor(child: ChildProcess, options: LaunchOptions, killGroup: () => void) {
    this.#child = child;
    this.#killGroup = killGroup;
    this.#stdout = new Capture(options.redactor.stream());
    this.#stderr = new Capture(options.redactor.stream());
    this.#closed = new Promise((resolve) => child.once('close', resolve));
    for (const [stream, capture] of [[child.stdout, this.#stdout] as const, [child.stderr, this.#stderr] as const]) {
      stream?.on('error', () => undefined);
      stream?.on('data', (chunk: Buffer) => this.#output(chunk, capture, options.limits.outputBytes));
    }
    this.#listen(FD.status, (chunk) => this.#told(chunk));
    this.#listen(FD.ready, () => {
      this.ready = true;
      this.#go();
    });
    this.#timers.push(setTimeout(() => this.end('deadline'), options.deadlineMs));
    this.#unlisten = options.stop.onStop(() => this.end('signal'));
    if (options.stop.stopped) this.end('signal');
  }

  #listen(fd: number, take: (chunk: Buffer) => void): void {
    const pipe = this.#child.stdio[fd as 3] as Readable | null;
    pipe?.on('error', () => undefined);
    pipe?.on('data', take);
  }

  #told(chunk: Buffer): void {
    this.#status += chunk.toString('latin1');
    const pid = /"child-pid": (\d+)/.exec(this.#status)?.[1];
    if (pid === undefined || this.init !== null) return;
    this.init = Number(pid);
    this.#initStart = startTime(this.init);
    this.#go();
  }

  /** Once the sandbox stands and its init is known: watch its network, then let the command start. */
  #go(): void {
    if (!this.ready || this.init === null || this.#network !== undefined) return;
    this.#network = NetworkCounters.open(this.init);
    feed(this.#child, FD.go, Buffer.from('\n'));
  }

  /** What was refused on the network up to now; call it once everything inside is gone. */
  network(): CommandOutcome['network'] {
    const counts = this.#network?.taken() ?? null;
    return counts === null ? { attempts: null, ipv4: 0, ipv6: 0 } : { attempts: counts.ipv4 + counts.ipv6, ...counts };
  }

  #output(chunk: Buffer, capture: Capture, max: number): void {
    // Past the bound nothing is looked at any more: the command is being killed and memory stays flat.
    if (this.#produced > max) return;
    this.#produced += chunk.length;
    capture.push(chunk);
    if (this.#produced > max) this.end('output');
  }

  /** Remembers the first reason. */
  note(why: Exclude<Stopped, 'no'>): void {
    if (this.stopped === 'no') this.stopped = why;
  }

  /** Stops the command: a wish to stop or a deadline asks first (TERM, 2 s), everything else kills at once. */
  end(why: Exclude<Stopped, 'no'>): void {
    if (this.#over || this.stopped !== 'no') return;
    this.stopped = why;
    if (why !== 'deadline' && why !== 'signal') {
      this.#kill();
      return;
    }
    for (const pid of this.init === null ? [] : descendants(this.init)) signal(pid, 'SIGTERM');
    this.#timers.push(setTimeout(() => this.#kill(), this.init === null ? 0 : TERM_GRACE_MS));
  }

  #kill(): void {
    // The init's death takes the whole namespace with it; the group and bwrap itself follow.
    if (this.init !== null && startTime(this.init) === this.#initStart) signal(this.init, 'SIGKILL');
    if (this.#child.pid !== undefined) signal(-this.#child.pid, 'SIGKILL');
    this.#killGroup();
  }

  /** After exit: the pipes get a short grace, then they are cut whoever holds them. */
  async settle(): Promise<void> {
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#unlisten();
    const closed = this.#closed.then(() => true);
    // Counted in turns, not in time: after each sleep what lies in the pipes is read, however busy the machine is.
    for (let turn = 0; turn < PIPE_TURNS; turn += 1) if (await Promise.race([closed, sleep(PIPE_TURN_MS, false)])) break;
    for (const pipe of this.#child.stdio) (pipe as Readable | null)?.destroy();
  }

  /** True once the sandbox's init is gone, and with it by the kernel's rule every process in its namespace. */
  async initGone(): Promise<boolean> {
    for (let waited = 0; waited < ORPHAN_TURNS; waited += 1) {
      if (this.init === null || this.#initStart === null || startTime(this.init) !== this.#initStart) return true;
      signal(this.init, 'SIGKILL');
      await sleep(1);
    }
    return false;
  }

  /** Lets go of what outlives the processes. */
  release(): void {
    this.#network?.close();
    this.#network = null;
  }

  captured(): { readonly stdout: ReturnType<Capture['finish']>; readonly stderr: ReturnType<Capture['finish']> } {
    return { stdout: this.#stdout.finish(), stderr: this.#stderr.finish() };
  }

  /** What bwrap said when it failed before the command. */
  early(): string {
    return Buffer.from(this.#stderr.finish().head).toString('utf8');
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}

/** Start time of a living process in clock ticks: tells a reused pid apart. Null for one that is gone or a zombie. */
function startTime(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
