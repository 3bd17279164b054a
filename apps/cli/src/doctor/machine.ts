/**
 * What this machine gives: Node, git, bubblewrap, namespaces, the system-call filter, the limiter, the disk. Must never say that something works
 * without having tried it; what a file of the kernel says counts only as the reason why a trial failed.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, lstatSync, mkdirSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { SandboxReport } from '@openexec/catalogue';
import { createRedactor, createSandbox, sandboxIdentity, seccompArch } from '@openexec/workspace';
import type { CommandContext } from '../context.ts';
import { checkFolder } from '../run/hands.ts';
import { type Finding, good, wanting } from './finding.ts';

const LEAST_FREE_BYTES = 1024 ** 3;
const GIB = 1024 ** 3;
const NODE_RANGE = /^(20\.(19|[2-9]\d)|22\.(1[4-9]|[2-9]\d)|2[3-9]|[3-9]\d)(\.|$)/;
const TAG_KEY_BYTES = 16;
/** `merge-tree --write-tree` came with it (git's release notes of 2.38). */
const GIT_MERGES = [2, 38] as const;
/** Before it, `rev-parse` repeated `--end-of-options` in its answer (git's release notes of 2.30). */
const GIT_LEAST = [2, 30] as const;
const BWRAP = '/usr/bin/bwrap';

/** Everything about the machine, in the order of the report. */
export async function machineFindings(context: CommandContext): Promise<readonly Finding[]> {
  const redactor = createRedactor({ secrets: [], tagKey: context.randomness.bytes(TAG_KEY_BYTES) });
  const report = await createSandbox({ redactor, scratch: checkFolder(context.places.state) }).check();
  return [
    nodeFinding(),
    gitFinding(),
    bubblewrapFinding(report),
    namespaceFinding(report),
    filterFinding(),
    limiterFinding(report),
    sandboxFinding(report),
    ...stateFindings(context),
  ];
}

function nodeFinding(): Finding {
  const { node } = process.versions;
  const why = 'other versions are not tested; their cryptography and streams differ';
  if (NODE_RANGE.test(node)) return good('node', node, why);
  const remedy = 'install Node 20.19 or later of 20, or 22.14 or later';
  return wanting('bad', { name: 'node', said: `${node} is not supported`, why, remedy, command: 'nvm install 22' });
}

function gitFinding(): Finding {
  const why = 'runs start from a commit and land as a branch; apply merges with git 2.38 or later';
  const more = { name: 'git', why, command: 'sudo apt install git' };
  let said: string;
  try {
    said = execFileSync('git', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString('utf8')
      .trim();
  } catch {
    return wanting('bad', { ...more, said: 'git does not start', remedy: 'install it' });
  }
  const [, major, minor] = /(\d+)\.(\d+)/.exec(said) ?? [];
  const older = (than: readonly [number, number]): boolean =>
    Number(major ?? 0) < than[0] || (Number(major ?? 0) === than[0] && Number(minor ?? 0) < than[1]);
  if (older(GIT_LEAST))
    return wanting('bad', { ...more, said: `${said} is too old`, remedy: `install git ${GIT_LEAST.join('.')} or later` });
  if (older(GIT_MERGES))
    return wanting('note', {
      ...more,
      said: `${said} cannot merge without a checkout`,
      remedy: 'with git 2.38, apply merges when HEAD has moved',
    });
  return good('git', said, why);
}

function bubblewrapFinding(report: SandboxReport): Finding {
  const why = 'every command of a run is started by it, or not at all';
  if (report.version !== '') return good('bubblewrap', `${report.version} at ${BWRAP}`, why);
  const said = existsSync(BWRAP) ? `${BWRAP} is there and cannot be used: ${report.problem ?? 'unknown'}` : `${BWRAP} is not there`;
  return wanting('bad', {
    name: 'bubblewrap',
    said,
    why,
    remedy: 'install it from the distribution',
    command: 'sudo apt install bubblewrap',
  });
}

/** The kernel's switches, looked at as reasons: whether it works is what the sandbox's own trial says. */
function namespaceFinding(report: SandboxReport): Finding {
  const why = 'a sandbox without root is made of user namespaces';
  const name = 'namespaces';
  const [appArmor, debian, most] = [
    kernelSwitch('kernel/apparmor_restrict_unprivileged_userns'),
    kernelSwitch('kernel/unprivileged_userns_clone'),
    kernelSwitch('user/max_user_namespaces'),
  ];
  const seen = [
    appArmor === null ? null : `apparmor_restrict_unprivileged_userns=${appArmor}`,
    debian === null ? null : `unprivileged_userns_clone=${debian}`,
    most === null ? null : `max_user_namespaces=${most}`,
  ].filter((each) => each !== null);
  const switches = seen.length === 0 ? 'the kernel has no switch for them' : seen.join(', ');
  if (report.sound) return good(name, `they work (${switches})`, why);
  if (most === '0')
    return wanting('bad', { name, said: switches, why, remedy: 'allow them', command: 'sudo sysctl -w user.max_user_namespaces=15000' });
  if (debian === '0')
    return wanting('bad', {
      name,
      said: switches,
      why,
      remedy: 'allow them',
      command: 'sudo sysctl -w kernel.unprivileged_userns_clone=1',
    });
  if (appArmor === '1')
    return wanting('bad', {
      name,
      said: switches,
      why,
      remedy:
        'AppArmor forbids them to programs without a profile: give bubblewrap one (/etc/apparmor.d/bwrap with "userns,"), or allow them to all',
      command: 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    });
  return wanting('note', { name, said: `not tried to the end (${switches})`, why, remedy: 'look at the sandbox line below' });
}

function kernelSwitch(name: string): string | null {
  try {
    return readFileSync(join('/proc/sys', name), 'utf8').trim();
  } catch {
    return null;
  }
}

function filterFinding(): Finding {
  const why = 'system calls that a build does not need (keyrings, tracing, raw sockets) are closed to commands';
  const name = 'seccomp';
  const arch = seccompArch();
  if (arch === null)
    return wanting('bad', { name, said: `there is no filter for CPU ${process.arch}`, why, remedy: 'use a machine with x64 or arm64' });
  if (kernelSwitch('kernel/seccomp/actions_avail') === null)
    return wanting('bad', { name, said: 'this kernel filters no system calls', why, remedy: 'use a kernel with CONFIG_SECCOMP_FILTER' });
  return good(name, `filter for ${arch}; the kernel takes filters`, why);
}

function limiterFinding(report: SandboxReport): Finding {
  const why =
    'memory and number of processes of a command are bounded together; without a group each process is bounded alone and a watcher counts';
  const name = 'limiter';
  if (report.limiter === 'cgroup2' || report.limiter === 'cgroup1') return good(name, report.limiter, why);
  const said =
    report.limiter === 'none'
      ? 'not tried, because no sandbox was made'
      : 'no control group may be made here: per-process limits and a watcher';
  const command = 'systemd-run --user --scope -p Delegate=yes openexec run "TASK"';
  return wanting('note', { name, said, why, remedy: 'start it in a delegated scope for control groups', command });
}

function sandboxFinding(report: SandboxReport): Finding {
  const why = 'nothing is run unconfined: without a sound sandbox every run is refused with exit 14';
  const blocked = report.canaries.filter((canary) => canary.blocked).length;
  if (report.sound) return good('sandbox', `${blocked} of ${report.canaries.length} escapes tried and blocked, as uid ${report.uid}`, why);
  const remedy = 'meet the lines above that are marked; then try again';
  return wanting('bad', { name: 'sandbox', said: report.problem ?? 'a canary was not blocked', why, remedy, command: 'openexec doctor' });
}

/** Writes and flushes a file where run state lives, and looks at the rights and the room there. */
function stateFindings(context: CommandContext): readonly Finding[] {
  const { state } = context.places;
  const why = 'keys, head file and run workspaces live there; others must not write to it';
  const probe = join(state, `probe-${randomUUID()}`);
  try {
    mkdirSync(state, { recursive: true, mode: 0o711 });
    const handle = openSync(probe, 'wx', 0o600);
    try {
      writeSync(handle, 'probe');
      fsyncSync(handle);
    } finally {
      closeSync(handle);
      rmSync(probe, { force: true });
    }
  } catch (error) {
    const { code } = error as { code?: string };
    const said = `${state} cannot be written (${code ?? 'unknown'})`;
    const remedy = 'make it yours, or name another folder';
    return [wanting('bad', { name: 'state', said, why, remedy, command: `export OPENEXEC_STATE_DIR="$HOME/.local/state/openexec"` })];
  }
  const mode = lstatSync(state).mode & 0o777;
  const open = (mode & 0o022) !== 0;
  const said = `${state}, mode ${mode.toString(8).padStart(4, '0')}; commands run as uid ${sandboxIdentity().uid}`;
  const remedy = 'take the right to write from group and others';
  return [
    open ? wanting('bad', { name: 'state', said, why, remedy, command: `chmod go-w "${state}"` }) : good('state', said, why),
    diskFinding(state),
  ];
}

function diskFinding(state: string): Finding {
  const why = 'each run keeps its own copy of the tree; a full disk stops a run, it loses nothing';
  const { bavail, bsize } = statfsSync(state);
  const said = `${((bavail * bsize) / GIB).toFixed(1)} GiB free for run state`;
  if (bavail * bsize >= LEAST_FREE_BYTES) return good('disk', said, why);
  return wanting('note', { name: 'disk', said, why, remedy: 'free some space', command: `du -sh "${state}"/*` });
}
