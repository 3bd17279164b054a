/**
 * From a profile and an order to the exact arguments of bubblewrap. Must refuse what it cannot confine and never widen: every mount is read-only
 * unless it is the workspace itself or a sized scratch folder (SECURITY §§8.2–8.3, MECHANICS part 1).
 */
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { err, ok, type Result } from '@openexec/canon';
import type { SandboxFailure, SandboxOrder } from '@openexec/catalogue';
import type { SandboxProfile } from '@openexec/protocol';
import { below, Cursor } from './descriptor.ts';
import { shown, systemCode } from './failure.ts';
import type { Identity } from './identity.ts';
import { checkDirectory } from './paths.ts';
import { type Toolchain, toolchainMount } from './toolchain.ts';

/** What this host offers under the symbols of a profile. */
export interface HostPlaces {
  readonly toolchains: readonly Toolchain[];
  /** Host folder by the `source` symbol of `profile.provide`. */
  readonly provide: ReadonlyMap<string, string>;
  /** Values of the operator's additional variables, by name. */
  readonly environment: ReadonlyMap<string, string>;
}
/** A checked start of bubblewrap, complete save for descriptors and limits of the outside. */
export interface Plan {
  /** For `--args`: NUL-separated by the caller. */
  readonly options: readonly string[];
  /** For the command line. */
  readonly command: readonly string[];
  /** Host paths that the sandbox's id must reach. */
  readonly sources: readonly string[];
}

/** Descriptors handed to bubblewrap; all but `status` and `ready` are read to their end before the command starts, `go` last of them. */
export const FD = { options: 3, seccomp: 4, passwd: 5, group: 6, status: 7, ready: 8, go: 9, hosts: 10, resolv: 11 } as const;
/** The users that a command sees; nobody of the host is among them. */
export const PASSWD =
  'root:x:0:0:root:/:/bin/false\nagent:x:1000:1000:agent:/home/agent:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n';
/** The groups that a command sees. */
export const GROUP = 'root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n';
const HOME = '/home/agent';
const SHM_BYTES = 16 * 1024 ** 2;
const INNER_ID = '1000';

/** Always set, in this order; a profile may name further variables, whose values come from the operator (SECURITY §8.3). */
export const SANDBOX_ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['PATH', '/usr/local/bin:/usr/bin:/bin'],
  ['HOME', HOME],
  ['USER', 'agent'],
  ['LOGNAME', 'agent'],
  ['LANG', 'C.UTF-8'],
  ['TERM', 'dumb'],
  ['TMPDIR', '/tmp'],
  ['SHELL', '/bin/bash'],
  ['CI', '1'],
  ['TZ', 'UTC'],
  ['SOURCE_DATE_EPOCH', '315532800'],
  ['GIT_OPTIONAL_LOCKS', '0'],
  ['GIT_TERMINAL_PROMPT', '0'],
];
/** Variables that would change the trusted prelude itself. */
const LOADER_NAMES = /^(LD_|BASH|ENV$|SHELLOPTS$|PS4$|IFS$|GLOBIGNORE$|GIT_CONFIG)/;

/**
 * Trusted start inside the sandbox: sets the inner limits, says that it runs, waits until the outside watches, closes every other descriptor, then
 * becomes the command. $1 is the data limit in KiB or `unlimited`, then file size in KiB, open files, processes, CPU seconds.
 */
export const PRELUDE = [
  'set -e',
  // A bound that cannot be set is only right when a lower one is already in force.
  'cap() { ulimit "$1" "$2" 2>/dev/null || [ "$(ulimit -H "$1")" -le "$2" ]; }',
  'cap -c 0; cap -d "$1"; cap -f "$2"; cap -n "$3"; cap -u "$4"; cap -t "$5"; shift 5',
  `printf r >&${FD.ready}; read -r -u ${FD.go} _ || :`,
  'for fd in /proc/self/fd/*; do fd=${fd##*/}; if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi; done',
  'set +e; exec -- "$@"',
].join('\n');

const refused = (message: string): { readonly ok: false; readonly error: SandboxFailure } => err({ code: 'sandbox.refused', message });

/** Kernel views and the folders in memory, each with its bound in bytes. */
function scratchMounts(limits: SandboxProfile['limits']): readonly string[] {
  return [
    ['--proc', '/proc', '--dev', '/dev'],
    ['--size', String(SHM_BYTES), '--perms', '1777', '--tmpfs', '/dev/shm'],
    ['--size', String(limits.tmpBytes), '--perms', '1777', '--tmpfs', '/tmp'],
    ['--dir', '/home', '--size', String(limits.homeBytes), '--perms', '0755', '--tmpfs', HOME],
  ].flat();
}

/** After everything else: what must not be covered by an earlier mount, and the root made read-only. */
const LAST_MOUNTS: readonly string[] = [
  ['--ro-bind', '/proc/sys', '/proc/sys'],
  ['--perms', '0644', '--file', String(FD.passwd), '/etc/passwd'],
  ['--perms', '0644', '--file', String(FD.group), '/etc/group'],
  ['--perms', '0644', '--file', String(FD.hosts), '/etc/hosts'],
  ['--perms', '0644', '--file', String(FD.resolv), '/etc/resolv.conf'],
  ['--remount-ro', '/dev', '--remount-ro', '/'],
].flat();

/** Checks the order against the workspace as it stands and plans the mounts. Makes the mount points that must exist. */
export function planSandbox(
  order: SandboxOrder,
  host: HostPlaces,
  context: { readonly owner: Identity; readonly dataLimited: boolean },
): Result<Plan, SandboxFailure> {
  const { profile } = order;
  if (order.argv.length === 0 || order.argv.some((word) => word.includes('\0') || Buffer.byteLength(word) > 120_000))
    return refused('the command is empty, or a word of it has a NUL or more than 120,000 bytes');
  if (order.workspace === '/' || !order.workspace.startsWith('/'))
    return refused(`the workspace "${shown(order.workspace)}" must be an absolute folder other than /`);
  const options: string[] = [...NAMESPACES, ...systemMounts()];
  const sources: string[] = [order.workspace];
  const tools = toolchainMounts(profile.toolchain, host.toolchains);
  if (!tools.ok) return tools;
  for (const mount of tools.value) {
    options.push('--ro-bind', mount.from, mount.to);
    sources.push(mount.from);
  }
  const { limits } = profile;
  options.push(...scratchMounts(limits));
  options.push(profile.workspace === 'rw' ? '--bind' : '--ro-bind', order.workspace, '/workspace');
  const inside = workspaceMounts(order, host, context.owner);
  if (!inside.ok) return inside;
  for (const mount of inside.value) {
    options.push('--ro-bind', mount.from, mount.to);
    if (!mount.from.startsWith(`${order.workspace}/`)) sources.push(mount.from);
  }
  // Last of all mounts in the workspace: nothing may lie over them.
  const masks = maskMounts(order, context.owner);
  if (!masks.ok) return masks;
  options.push(...masks.value);
  const environment = environmentOf(
    profile.environment,
    host.environment,
    tools.value.map((mount) => `${mount.to}/bin`),
  );
  if (!environment.ok) return environment;
  options.push(...LAST_MOUNTS, '--chdir', order.directory === '' ? '/workspace' : `/workspace/${order.directory}`);
  options.push('--json-status-fd', String(FD.status), '--seccomp', String(FD.seccomp));
  for (const [name, value] of environment.value) options.push('--setenv', name, value);
  const inner = [
    context.dataLimited ? kibibytes(limits.memoryBytes) : 'unlimited',
    kibibytes(limits.fileBytes),
    String(limits.openFiles),
    String(limits.processes),
    String(Math.max(1, Math.ceil(limits.cpuMs / 1000))),
  ];
  return ok({ options, command: ['/usr/bin/bash', '--noprofile', '--norc', '-c', PRELUDE, 'openexec', ...inner, ...order.argv], sources });
}

const kibibytes = (bytes: number): string => String(Math.max(1, Math.floor(bytes / 1024)));

const NAMESPACES: readonly string[] = [
  '--unshare-user --disable-userns --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try',
  `--uid ${INNER_ID} --gid ${INNER_ID} --hostname sandbox --die-with-parent --new-session --cap-drop ALL --clearenv`,
].flatMap((words) => words.split(' '));

/** `/usr`, the links into it, and the few parts of `/etc` that programs need to start and to check certificates. */
function systemMounts(): readonly string[] {
  const mounts = ['--ro-bind', '/usr', '/usr'];
  for (const name of ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']) {
    if (!existsSync(name)) continue;
    if (lstatSync(name).isSymbolicLink()) mounts.push('--symlink', readlinkSync(name), name);
    else mounts.push('--ro-bind', name, name);
  }
  for (const name of [
    'ld.so.cache',
    'ld.so.conf',
    'ld.so.conf.d',
    'alternatives',
    'ssl/certs',
    'ssl/openssl.cnf',
    'ca-certificates',
    'pki',
    'nsswitch.conf',
    'localtime',
    'mime.types',
  ]) {
    mounts.push('--ro-bind-try', `/etc/${name}`, `/etc/${name}`);
  }
  return mounts;
}

interface Mount {
  readonly from: string;
  readonly to: string;
}
function toolchainMounts(symbols: readonly string[], known: readonly Toolchain[]): Result<readonly Mount[], SandboxFailure> {
  const mounts: Mount[] = [];
  for (const symbol of symbols) {
    const toolchain = known.find((candidate) => candidate.symbol === symbol);
    if (toolchain === undefined)
      return refused(
        `the profile needs toolchain "${shown(symbol)}", and this host offers ${known.map((candidate) => candidate.symbol).join(', ')}; run with that version`,
      );
    const to = toolchainMount(toolchain);
    if (to === null) continue;
    if (toolchain.prefix.split('/').length < 3)
      return refused(
        `toolchain "${shown(symbol)}" lies at "${shown(toolchain.prefix)}", which would show far more than the toolchain; install it in a folder of its own`,
      );
    mounts.push({ from: toolchain.prefix, to });
  }
  return ok(mounts);
}

/** Read-only mounts inside the workspace: the git view, protected paths that exist, and what the operator provides. */
function workspaceMounts(order: SandboxOrder, host: HostPlaces, owner: Identity): Result<readonly Mount[], SandboxFailure> {
  const mounts: Mount[] = [];
  const cursor = new Cursor(order.workspace, owner);
  try {
    const directory = checkDirectory(order.directory);
    if (!directory.ok) return refused(directory.error.message);
    if (kindOf(cursor, directory.value) !== 'folder')
      return refused(`"${shown(order.directory)}" is not a folder of the workspace; commands start in one that exists`);
    if (order.gitView !== null) {
      const git = kindOf(cursor, ['.git']);
      if (git !== 'folder' && git !== 'absent')
        return refused(`".git" of the workspace is a ${git}; restore the workspace before running a command`);
      if (git === 'absent') cursor.folder(['.git'], () => undefined);
      mounts.push({ from: order.gitView, to: '/workspace/.git' });
    }
    for (const pattern of order.profile.protectedPaths) {
      const path = pattern.replace(/\/\*\*$/, '').replace(/\/$/, '');
      if (path === '.git' && order.gitView !== null) continue;
      const segments = path.split('/');
      if (/[*?[\]{}]/.test(path) || segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
        return refused(`protected path "${shown(pattern)}" cannot be mounted; write a plain path or a folder followed by /**`);
      const kind = kindOf(cursor, segments);
      if (kind === 'absent') continue;
      if (kind !== 'folder' && kind !== 'file')
        return refused(`protected path "${shown(path)}" is a ${kind}; a link could not be protected, so nothing was started: remove it`);
      mounts.push({ from: `${order.workspace}/${path}`, to: `/workspace/${path}` });
    }
    for (const { path, source } of order.profile.provide) {
      const provided = providedMount(cursor, path, source, host);
      if (!provided.ok) return provided;
      mounts.push(provided.value);
    }
    return ok(mounts);
  } finally {
    cursor.close();
  }
}

/** bubblewrap takes 9,000 words, and each mount costs more than the one before it. */
const MAX_MASKS = 1000;

/**
 * Covers what may not be read: a file by a device that a mount without devices does not open, a folder by an empty one (a runner of tests that walks the
 * tree would fail at one that it may not enter). Neither can be moved away, written or linked. A link holds a name only: what it leads to is covered under its own.
 */
function maskMounts(order: SandboxOrder, owner: Identity): Result<readonly string[], SandboxFailure> {
  const masked = order.profile.masked ?? [];
  if (masked.length > MAX_MASKS)
    return refused(
      `${masked.length} files and folders may not be read here, more than the ${MAX_MASKS} that can be hidden one by one; deny whole folders instead of names`,
    );
  const mounts: string[] = [];
  const cursor = new Cursor(order.workspace, owner);
  try {
    for (const pattern of masked) {
      const path = pattern.replace(/\/\*\*$/, '');
      const segments = path.split('/');
      if (segments.some((segment) => segment === '' || segment === '.' || segment === '..') || path.includes('\0'))
        return refused(`"${shown(pattern)}" cannot be hidden: it is not a plain path of the workspace`);
      const kind = kindOf(cursor, segments);
      const to = `/workspace/${path}`;
      if (kind === 'folder') mounts.push('--perms', '0555', '--size', '4096', '--tmpfs', to, '--remount-ro', to);
      else if (kind === 'file') mounts.push('--ro-bind', '/dev/null', to);
      else if (kind === 'special file') return refused(`"${shown(path)}" is a special file and cannot be hidden; restore the workspace`);
    }
    return ok(mounts);
  } finally {
    cursor.close();
  }
}

function providedMount(cursor: Cursor, path: string, source: string, host: HostPlaces): Result<Mount, SandboxFailure> {
  const segments = checkDirectory(path);
  const from = host.provide.get(source);
  if (!segments.ok || path === '') return refused(`"${shown(path)}" cannot be provided: it is not a plain path of the workspace`);
  if (from === undefined || !existsSync(from) || !lstatSync(realpathSync(from)).isDirectory())
    return refused(
      `"${shown(source)}", which the profile provides at "${shown(path)}", is not a folder on this host; install the dependencies in the checkout first`,
    );
  const kind = kindOf(cursor, segments.value);
  if (kind !== 'folder' && kind !== 'absent')
    return refused(`"${shown(path)}" of the workspace is a ${kind}; nothing can be provided there`);
  cursor.folder(segments.value, () => undefined);
  return ok({ from: realpathSync(from), to: `/workspace/${path}` });
}

type Kind = 'absent' | 'folder' | 'file' | 'symbolic link' | 'special file';
/** What stands at a path; a link anywhere on the way counts as the link. */
function kindOf(cursor: Cursor, segments: readonly string[]): Kind {
  if (segments.length === 0) return 'folder';
  try {
    const stat = lstatSync(below(cursor.folder(segments.slice(0, -1)), segments.at(-1) ?? ''));
    return stat.isDirectory() ? 'folder' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'symbolic link' : 'special file';
  } catch (caught) {
    const code = systemCode(caught);
    if (code === 'ENOENT') return 'absent';
    // With O_NOFOLLOW | O_DIRECTORY a link on the way answers ENOTDIR.
    if (code === 'ENOTDIR' || code === 'ELOOP') return 'symbolic link';
    throw caught;
  }
}

function environmentOf(
  names: readonly string[],
  values: ReadonlyMap<string, string>,
  toolPaths: readonly string[],
): Result<readonly (readonly [string, string])[], SandboxFailure> {
  const fixed = new Map(SANDBOX_ENVIRONMENT);
  const all: (readonly [string, string])[] = SANDBOX_ENVIRONMENT.map(([name, value]) => [
    name,
    name === 'PATH' ? [...toolPaths, value].join(':') : value,
  ]);
  for (const name of names) {
    if (fixed.has(name)) continue;
    const value = values.get(name);
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name) || LOADER_NAMES.test(name))
      return refused(`variable "${shown(name)}" may not be given to a sandbox: it is malformed or changes how programs load`);
    if (value === undefined || value.includes('\0'))
      return refused(`variable "${shown(name)}" of the profile has no value on this host; set it in the operator's configuration`);
    all.push([name, value]);
  }
  return ok(all);
}
