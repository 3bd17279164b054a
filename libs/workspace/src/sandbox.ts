/**
 * The sandbox: bubblewrap with an unprivileged id, an empty environment, a system-call filter and limits. The adapter of the port `Sandbox`. Must
 * never fall back: what cannot be confined is not started (SECURITY §§1.6 and 8, MECHANICS part 1).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { type Bytes, digestOf, err, type Result } from '@openexec/canon';
import type { CommandOutcome, Sandbox, SandboxFailure, SandboxOrder, SandboxReport, StopSignal } from '@openexec/catalogue';
import type { SandboxProfile } from '@openexec/protocol';
import { runCanaries } from './canary.ts';
import { shown, systemCode } from './failure.ts';
import { canReach, type Identity, sandboxIdentity } from './identity.ts';
import { launch } from './launch.ts';
import { detectLimiter, type Limiter } from './limiter.ts';
import { type HostPlaces, type Plan, planSandbox } from './plan.ts';
import type { Redactor } from './redaction.ts';
import { seccompArch, seccompProgram } from './seccomp.ts';
import { describeToolchain } from './toolchain.ts';

/** What the sandbox of a process needs; everything but the redactor is found on the host. */
export interface CreateSandboxOptions {
  /** Sees all output before it is digested or kept. */
  readonly redactor: Redactor;
  /** Default: the running Node, nothing provided, no additional variables. */
  readonly host?: Partial<HostPlaces>;
  /** Default: `sandboxIdentity()`. */
  readonly identity?: Identity;
  readonly bwrapPath?: string;
  /** Default: the best one found. */
  readonly limiter?: Limiter;
  /** Folder for what the check needs, which the sandbox's id must reach; made where it is missing. Default: the system's temporary folder. */
  readonly scratch?: string;
}

const BWRAP = '/usr/bin/bwrap';
const VERSION_DEADLINE_MS = 5_000;
const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };

/** Makes the sandbox of this process. Nothing is started until `check` or `run`; every run waits for one sound check. */
export function createSandbox(options: CreateSandboxOptions): Sandbox {
  return new BubblewrapSandbox(options);
}

class BubblewrapSandbox implements Sandbox {
  readonly #options: CreateSandboxOptions;
  readonly #bwrap: string;
  readonly #host: HostPlaces;
  #ready: { readonly identity: Identity; readonly seccomp: Bytes; readonly limiter: Limiter } | null = null;
  #report: Promise<SandboxReport> | null = null;

  constructor(options: CreateSandboxOptions) {
    this.#options = options;
    this.#bwrap = options.bwrapPath ?? BWRAP;
    this.#host = { toolchains: [describeToolchain()], provide: new Map(), environment: new Map(), ...options.host };
  }

  /** Runs the canary set once for this process; later calls give the same report. */
  async check(): Promise<SandboxReport> {
    this.#report ??= this.#examine();
    return this.#report;
  }

  async run(order: SandboxOrder, stop: StopSignal): Promise<Result<CommandOutcome, SandboxFailure>> {
    const report = await this.check();
    if (!report.sound || this.#ready === null) {
      return err({
        code: 'sandbox.unavailable',
        message: `commands cannot be confined here, so none is run: ${report.problem ?? 'the check did not finish'}`,
      });
    }
    const arch = seccompArch();
    if (order.profile.seccomp !== digestOf(this.#ready.seccomp)) {
      return err({
        code: 'sandbox.refused',
        message: `the profile names another system-call filter than that of this runtime on ${arch ?? process.arch}; the run was opened by another version or on another CPU`,
      });
    }
    return this.#start(order, stop);
  }

  async #examine(): Promise<SandboxReport> {
    const none = (problem: string): SandboxReport => ({
      sound: false,
      kind: 'none',
      version: '',
      uid: -1,
      limiter: 'none',
      canaries: [],
      problem,
    });
    if (process.platform !== 'linux') return none(`bubblewrap needs Linux, this is ${process.platform}`);
    if (!isMainThread) return none('sandboxes are started from the main thread only: bubblewrap dies with the thread that made it');
    const arch = seccompArch();
    if (arch === null) return none(`there is no system-call filter for CPU ${process.arch}; x64 and arm64 have one`);
    const unfit = unfitBinary(this.#bwrap);
    if (unfit !== null) return none(unfit);
    const version = await versionOf(this.#bwrap);
    if (version === null) return none(`${this.#bwrap} does not answer as bubblewrap; install the distribution's bubblewrap package`);
    const identity = this.#options.identity ?? sandboxIdentity();
    if (identity.uid === 0 || identity.gid === 0) return none('the sandbox may not run as user or group 0; give it an unprivileged id');
    const limiter = this.#options.limiter ?? detectLimiter();
    this.#ready = { identity, seccomp: seccompProgram(arch), limiter };
    const canaries = await runCanaries(
      (argv, workspace) => this.#start(canaryOrder(argv, workspace, describeToolchain().symbol), NEVER),
      identity,
      this.#options.scratch,
    );
    return { kind: 'bubblewrap', version, uid: identity.uid, limiter: limiter.name, ...canaries };
  }

  async #start(order: SandboxOrder, stop: StopSignal): Promise<Result<CommandOutcome, SandboxFailure>> {
    const ready = this.#ready;
    if (ready === null) throw new Error('a command was started before the sandbox was examined');
    let plan: Result<Plan, SandboxFailure>;
    let workspace: string;
    try {
      workspace = realpathSync(order.workspace);
      plan = planSandbox({ ...order, workspace }, this.#host, { owner: ready.identity, dataLimited: ready.limiter.name === 'rlimit' });
    } catch (caught) {
      return err({
        code: 'sandbox.refused',
        message: `the workspace "${shown(order.workspace)}" cannot be prepared (${systemCode(caught)}); rebuild it`,
      });
    }
    if (!plan.ok) return plan;
    const reachable = plan.value.sources.every((source) => canReach(source, ready.identity));
    if (!reachable && process.getuid?.() !== 0) {
      return err({
        code: 'sandbox.refused',
        message: `a folder that the sandbox must show cannot be reached by user ${ready.identity.uid}: ${plan.value.sources.map(shown).join(', ')}`,
      });
    }
    const stage = reachable ? null : mkdtempSync(join(tmpdir(), 'openexec-stage-'));
    try {
      if (stage !== null) chmodSync(stage, 0o711);
      return await launch({
        plan: plan.value,
        bwrap: this.#bwrap,
        owner: ready.identity,
        seccomp: ready.seccomp,
        limiter: ready.limiter,
        limits: order.profile.limits,
        growth: order.profile.workspace === 'ro' ? null : { bytes: order.profile.limits.diskBytes, inodes: order.profile.limits.inodes },
        workspace,
        deadlineMs: order.deadlineMs,
        stdin: order.stdin,
        redactor: this.#options.redactor,
        stop,
        stage,
      });
    } finally {
      if (stage !== null) rmSync(stage, { recursive: true, force: true });
    }
  }
}

/** Why this file may not be trusted as bubblewrap, or null: whoever can write it would run outside every wall. */
function unfitBinary(path: string): string | null {
  try {
    const stat = lstatSync(realpathSync(path));
    if (!stat.isFile()) return `${path} is not a file; install the distribution's bubblewrap package`;
    if (stat.uid !== 0 || (stat.mode & 0o022) !== 0)
      return `${path} is not owned by root or can be written by others; reinstall the distribution's bubblewrap package`;
    return null;
  } catch (caught) {
    return `${path} cannot be used (${systemCode(caught)}); install the distribution's bubblewrap package`;
  }
}

async function versionOf(path: string): Promise<string | null> {
  const child = spawn(path, ['--version'], { env: {}, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), VERSION_DEADLINE_MS);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (text.length < 200) text += chunk.toString('latin1');
  });
  try {
    await once(child, 'close');
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
  return /^bubblewrap (\d+(?:\.\d+)+)\s*$/.exec(text)?.[1] ?? null;
}

/** Profile of the canary run: as a run would have it, writable, without a git view. */
function canaryOrder(argv: readonly string[], workspace: string, toolchain: string): SandboxOrder {
  const profile: SandboxProfile = {
    version: 1,
    mode: 'workspace_write',
    network: 'none',
    workspace: 'rw',
    protectedPaths: [],
    provide: [],
    toolchain: [toolchain],
    environment: [],
    limits: {
      memoryBytes: 2 ** 30,
      processes: 64,
      cpuMs: 10_000,
      fileBytes: 2 ** 20,
      tmpBytes: 2 ** 20,
      homeBytes: 2 ** 20,
      outputBytes: 2 ** 20,
      openFiles: 256,
      diskBytes: 2 ** 24,
      inodes: 1000,
    },
    seccomp: digestOf(new Uint8Array()),
  };
  return { profile, argv, directory: '', workspace, gitView: null, deadlineMs: 15_000, stdin: null };
}
