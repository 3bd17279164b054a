/**
 * One throw-away place for the kill harness: the sample repository, a ledger founded in it, configuration and state folders of its own, and the real
 * bundle as processes that can be killed. Must never look at a ledger in a way that heals it: what stands after a kill is read from a copy.
 */
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { unpacked } from '@openexec/stores';
import Database from 'better-sqlite3';
import { git, makeRepository } from '../../src/demo/repository.ts';

const FIXTURES = resolve(fileURLToPath(import.meta.url), '../../../../../test-fixtures');
const SAMPLE = join(FIXTURES, 'repos/duration');
const SCRIPT = join(FIXTURES, 'models/demo.yaml');
/** A sandbox whose runtime was killed is gone after this. */
const ORPHAN_GRACE_MS = 20_000;
const ORPHAN_POLL_MS = 20;

/** When a process is killed: so long after its start, or so long after it told this many events. */
export type Shot =
  | { readonly after: 'start'; readonly delayMs: number }
  | { readonly after: 'event'; readonly count: number; readonly delayMs: number };
/** One process from start to end. */
export interface Life {
  readonly exit: number | null;
  /** Whether the shot hit it before it ended by itself. */
  readonly killed: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}
/** What the ledger file holds right after a kill. */
export interface Landing {
  /** Kind of the last entry of the run; null before `run.opened` was durable. */
  readonly last: string | null;
  readonly closed: boolean;
}
/** A process inside one of the scene's sandboxes, told apart from a later one with the same number. */
interface Boxed {
  readonly pid: number;
  readonly startedAt: string;
}

/** Where one seed plays. */
export class Scene {
  readonly folder: string;
  readonly repository: string;
  readonly #entry: string;

  private constructor(entry: string, folder: string) {
    this.#entry = entry;
    this.folder = folder;
    this.repository = join(folder, 'repo');
  }

  /** Makes the repository and founds its ledger. `entry` is the bundle's entry file. */
  static async make(entry: string): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-kill-'));
    // The sandbox runs under an id of its own and has to walk through.
    chmodSync(folder, 0o755);
    const scene = new Scene(entry, folder);
    await makeRepository(SAMPLE, scene.repository);
    await scene.type('init');
    return scene;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `run` or `resume`, one line per event, shot down as planned. */
  drive(command: 'run' | 'resume', shot: Shot | null): Promise<Life> {
    const args = command === 'run' ? ['run', 'Make parseDuration count fractions.', '--model', `scripted:${SCRIPT}`] : ['resume', 'latest'];
    return this.#live([...args, '--jsonl'], shot);
  }

  /** A command that has to succeed; gives what it prints. */
  async type(...args: readonly string[]): Promise<string> {
    const life = await this.#live(args, null);
    if (life.exit !== 0)
      throw new Error(`openexec ${args.join(' ')} ended with ${life.exit}: ${life.stderr.trim() || life.stdout.slice(0, 500)}`);
    return life.stdout;
  }

  /** The exit code of a command. */
  async exitOf(...args: readonly string[]): Promise<number | null> {
    return (await this.#live(args, null)).exit;
  }

  git(...args: readonly string[]): Promise<string> {
    return git(this.repository, args);
  }

  #live(args: readonly string[], shot: Shot | null): Promise<Life> {
    const begun = performance.now();
    const child = spawn(process.execPath, [this.#entry, ...args], {
      cwd: this.repository,
      env: this.#env(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr, events] = ['', '', 0];
    let timer: NodeJS.Timeout | undefined;
    const shootIn = (delayMs: number): void => {
      timer ??= setTimeout(() => child.kill('SIGKILL'), delayMs);
    };
    if (shot?.after === 'start') shootIn(shot.delayMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      events += text.split('\n').length - 1;
      if (shot?.after === 'event' && events >= shot.count) shootIn(shot.delayMs);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    return new Promise((done, failed) => {
      child.on('error', failed);
      child.on('close', (exit, signal) => {
        clearTimeout(timer);
        done({ exit, killed: signal === 'SIGKILL', stdout, stderr, durationMs: performance.now() - begun });
      });
    });
  }

  #env(): Record<string, string> {
    const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    return {
      ...Object.fromEntries(kept),
      CI: 'true',
      NO_COLOR: '1',
      XDG_CONFIG_HOME: join(this.folder, 'config'),
      OPENEXEC_STATE_DIR: join(this.folder, 'state'),
    };
  }

  /** Reads a copy of the ledger file with its log, so that the recovery of the real one is left to the next process. */
  landing(): Landing {
    const copy = join(this.folder, 'landing.db');
    const ledger = join(this.repository, '.openexec/ledger.db');
    for (const suffix of ['', '-wal']) {
      rmSync(`${copy}${suffix}`, { force: true });
      if (existsSync(`${ledger}${suffix}`)) copyFileSync(`${ledger}${suffix}`, `${copy}${suffix}`);
    }
    const db = new Database(copy);
    const entries = db
      .prepare(
        "SELECT entry FROM entries JOIN trajectories ON trajectories.id = entries.trajectory WHERE name LIKE 'run/%' ORDER BY idx DESC LIMIT 1",
      )
      .pluck()
      .all() as Uint8Array[];
    db.close();
    const [last] = entries.map((entry) => (JSON.parse(Buffer.from(unpacked(entry)).toString('utf8')) as { readonly kind: string }).kind);
    return { last: last ?? null, closed: last === 'run.closed' };
  }

  /** Processes that see a folder of this scene in a mount namespace of their own. */
  boxed(): readonly Boxed[] {
    const mark = basename(this.folder);
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name) || !(textOf(`/proc/${name}/mountinfo`) ?? '').includes(mark)) return [];
      const startedAt = startOf(Number(name));
      return startedAt === null ? [] : [{ pid: Number(name), startedAt }];
    });
  }
}

/** Those that outlive the grace. */
export async function outliving(boxed: readonly Boxed[]): Promise<readonly Boxed[]> {
  let alive = boxed;
  for (let waited = 0; ; waited += ORPHAN_POLL_MS) {
    alive = alive.filter(({ pid, startedAt }) => startOf(pid) === startedAt);
    if (alive.length === 0 || waited >= ORPHAN_GRACE_MS) return alive;
    await sleep(ORPHAN_POLL_MS);
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

/** Start time in clock ticks; null for a process that is gone or only waits to be collected. */
function startOf(pid: number): string | null {
  const fields = (textOf(`/proc/${pid}/stat`) ?? '').replace(/^.*\) /, '').split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}
