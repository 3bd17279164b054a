/**
 * What bounds memory and process count of one command: a control group where this process may make one, else per-process limits and a watcher.
 * Must never be silent about which: the outcome names the limiter (SECURITY §8.6).
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from './failure.ts';

/** Bounds for a command and all its descendants together. */
export interface LimitSet {
  readonly memoryBytes: number;
  readonly processes: number;
}
/** The bound of one command. */
export interface LimiterGroup {
  /** Puts a process, and so all its later children, under the bound. */
  admit(pid: number): void;
  /** True once the kernel has killed something here for memory. */
  exhausted(): boolean;
  killAll(): void;
  /** Takes the bound away once nothing is left in it; false when something still is. */
  close(): Promise<boolean>;
}
/** A way of the kernel’s to bound a group of processes; `rlimit` bounds each process alone and is the weakest. */
export interface Limiter {
  readonly name: 'cgroup2' | 'cgroup1' | 'rlimit';
  open(limits: LimitSet): LimiterGroup;
}

/** Processes of bwrap and the prelude themselves. */
const OWN_PROCESSES = 8;
const NAME = 'openexec';
/** Fits both a byte bound and a process bound (pids.max is refused above 4,194,304). */
const PROBE_VALUE = '4194304';
/** Together ten seconds: the bound of SECURITY §10, one second from stop to an empty process table, is for a machine that has the time. */
const CLOSE_ATTEMPTS = 5_000;
const CLOSE_PAUSE_MS = 2;
let serial = 0;

/** Best limiter this process can use; groups left by runtimes that died are cleared on the way. */
export function detectLimiter(): Limiter {
  const unified = groupFolder('');
  const memory = groupFolder('memory');
  const pids = groupFolder('pids');
  if (unified !== null && usable([unified], ['memory.max', 'pids.max']))
    return { name: 'cgroup2', open: (limits) => openGroup([unified], settings2(limits)) };
  if (memory !== null && pids !== null && usable([memory, pids], ['memory.limit_in_bytes', 'pids.max'])) {
    return { name: 'cgroup1', open: (limits) => openGroup([memory, pids], settings1(limits)) };
  }
  return { name: 'rlimit', open: () => NO_GROUP };
}

const NO_GROUP: LimiterGroup = {
  admit: () => undefined,
  exhausted: () => false,
  killAll: () => undefined,
  close: () => Promise.resolve(true),
};

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Folder of this process's own group in the hierarchy of a controller ('' for version 2), or null. */
function groupFolder(controller: string): string | null {
  const own = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const path = own
    .find(([id, names]) => (controller === '' ? id === '0' && names === '' : names?.split(',').includes(controller) === true))
    ?.slice(2)
    .join(':');
  if (path === undefined) return null;
  for (const line of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    const [before, after] = line.split(' - ');
    const [, , , root, mount] = before?.split(' ') ?? [];
    const [type, , options] = after?.split(' ') ?? [];
    const fits = controller === '' ? type === 'cgroup2' : type === 'cgroup' && options?.split(',').includes(controller) === true;
    if (!fits || root === undefined || mount === undefined) continue;
    return mount + (root === '/' ? path : path.startsWith(root) ? path.slice(root.length) : '').replace(/\/$/, '');
  }
  return null;
}

/** Tries it: a group is made, the files are looked for and written, the group is removed. */
function usable(folders: readonly string[], files: readonly string[]): boolean {
  const made: string[] = [];
  try {
    for (const folder of folders) {
      clearDead(folder);
      const probe = `${folder}/${NAME}-${process.pid}-probe`;
      mkdirSync(probe);
      made.push(probe);
    }
    for (const [index, file] of files.entries()) writeFileSync(`${made[Math.min(index, made.length - 1)] ?? ''}/${file}`, PROBE_VALUE);
    return true;
  } catch {
    return false;
  } finally {
    for (const probe of made) rmdirSync(probe);
  }
}

/** Groups are named by the process that made them; one whose maker is gone holds nothing (its sandbox died with it). */
function clearDead(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = new RegExp(`^${NAME}-(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || read(`/proc/${pid}/stat`) !== null) continue;
    try {
      rmdirSync(`${folder}/${name}`);
    } catch {
      // Not empty yet or not ours; the next start tries again.
    }
  }
}

interface Setting {
  readonly folder: number;
  readonly file: string;
  readonly value: string;
  readonly optional?: boolean;
}
function settings2(limits: LimitSet): readonly Setting[] {
  return [
    { folder: 0, file: 'memory.max', value: String(limits.memoryBytes) },
    { folder: 0, file: 'memory.swap.max', value: '0', optional: true },
    { folder: 0, file: 'memory.oom.group', value: '1', optional: true },
    { folder: 0, file: 'pids.max', value: String(limits.processes + OWN_PROCESSES) },
  ];
}
function settings1(limits: LimitSet): readonly Setting[] {
  return [
    { folder: 0, file: 'memory.limit_in_bytes', value: String(limits.memoryBytes) },
    { folder: 0, file: 'memory.memsw.limit_in_bytes', value: String(limits.memoryBytes), optional: true },
    { folder: 1, file: 'pids.max', value: String(limits.processes + OWN_PROCESSES) },
  ];
}

function openGroup(parents: readonly string[], settings: readonly Setting[]): LimiterGroup {
  serial += 1;
  const folders = parents.map((parent) => `${parent}/${NAME}-${process.pid}-${serial}`);
  for (const folder of folders) mkdirSync(folder);
  for (const { folder, file, value, optional } of settings) {
    try {
      writeFileSync(`${folders[folder] ?? ''}/${file}`, value);
    } catch (caught) {
      if (optional !== true) throw caught;
    }
  }
  const counter = (): number => {
    const text = read(`${folders[0] ?? ''}/memory.events`) ?? read(`${folders[0] ?? ''}/memory.oom_control`) ?? '';
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const members = (): readonly number[] =>
    (read(`${folders[0] ?? ''}/cgroup.procs`) ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  return {
    admit(pid) {
      for (const folder of folders) writeFileSync(`${folder}/cgroup.procs`, String(pid));
    },
    exhausted: () => counter() > 0,
    killAll() {
      for (const pid of members()) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // Gone already.
        }
      }
    },
    async close() {
      const left = new Set(folders);
      for (let attempt = 0; attempt < CLOSE_ATTEMPTS; attempt += 1) {
        for (const folder of left) if (removed(folder)) left.delete(folder);
        if (left.size === 0) return true;
        this.killAll();
        await sleep(CLOSE_PAUSE_MS);
      }
      return false;
    },
  };
}

/** A group can be removed only when nothing is left in it. */
function removed(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (caught) {
    return systemCode(caught) === 'ENOENT';
  }
}
