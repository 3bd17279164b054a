/**
 * From a writ and a blueprint's mode to the sandbox profile: the narrower of both, as data without host paths, so that the same grant gives the
 * same digest on every machine (SECURITY §8, MECHANICS part 2 "profile hash and host paths"). Must never widen what the writ says.
 */
import type { Digest } from '@openexec/canon';
import type { SandboxMode, SandboxProfile, Writ } from '@openexec/protocol';

/** SECURITY §§8.1, 8.2 and 8.6; processes as measured enough for test runners. */
export const DEFAULT_LIMITS: SandboxProfile['limits'] = {
  memoryBytes: 4 * 1024 ** 3,
  processes: 256,
  cpuMs: 1_800_000,
  fileBytes: 512 * 1024 ** 2,
  tmpBytes: 256 * 1024 ** 2,
  homeBytes: 64 * 1024 ** 2,
  outputBytes: 256 * 1024 ** 2,
  openFiles: 1024,
  diskBytes: 5 * 1024 ** 3,
  inodes: 200_000,
};
/** Never writable from inside, whatever a writ says: git's own folder and the runtime's. */
export const PROTECTED_PATHS: readonly string[] = ['.git', '.openexec'];

/** What the profile of a run is made of; the writ can only narrow the rest (SECURITY §3). */
export interface ProfileOptions {
  /** The writ of the run (the last of its chain). */
  readonly writ: Pick<Writ, 'ceiling' | 'writePaths'>;
  readonly mode: SandboxMode;
  /** Read-only folders from the operator's configuration; `source` is a symbol, never a host path. */
  readonly provide: readonly { readonly path: string; readonly source: string }[];
  /** Symbols such as `node@20.20.2`. */
  readonly toolchain: readonly string[];
  readonly seccompDigest: Digest;
  /** Each given limit replaces the default. */
  readonly limits?: Partial<SandboxProfile['limits']>;
  /** Names of additional variables that the operator allows. */
  readonly environment?: readonly string[];
}

/** From the narrowest to the widest. */
const MODES: readonly SandboxMode[] = ['read_only', 'workspace_write', 'repo_write'];

/** Whether the writ lets a command change the tree at all. */
function mayWrite(writ: ProfileOptions['writ']): boolean {
  return writ.ceiling.includes('write') && writ.writePaths.length > 0;
}

function narrowMode(mode: SandboxMode, writ: ProfileOptions['writ']): SandboxMode {
  if (!mayWrite(writ)) return 'read_only';
  return mode === 'repo_write' && !writ.ceiling.includes('external') ? 'workspace_write' : mode;
}

/** The profile of a run. Network is always none in this version of the protocol. */
export function compileProfile(options: ProfileOptions): SandboxProfile {
  const mode = narrowMode(options.mode, options.writ);
  return {
    version: 1,
    mode,
    network: 'none',
    workspace: mode === 'read_only' ? 'ro' : 'rw',
    protectedPaths: [...PROTECTED_PATHS],
    provide: options.provide.map(({ path, source }) => ({ path, source })).sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)),
    toolchain: [...new Set(options.toolchain)].sort(),
    environment: [...new Set(options.environment ?? [])].sort(),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    seccomp: options.seccompDigest,
  };
}

/**
 * The profile of one stage: the run's own, narrowed to the stage's mode and never widened by it. Everything else (mounts, limits, filter) stays,
 * so that the profile of each execution follows from `run.opened` and the blueprint alone.
 */
export function narrowProfile(bound: SandboxProfile, mode: SandboxMode): SandboxProfile {
  const narrower = MODES.indexOf(mode) < MODES.indexOf(bound.mode) ? mode : bound.mode;
  return { ...bound, mode: narrower, workspace: narrower === 'read_only' ? 'ro' : bound.workspace };
}

/** The profile under a writ that became narrower after it was compiled; under the writ that it was compiled from, the profile itself. */
export function profileUnder(bound: SandboxProfile, writ: ProfileOptions['writ']): SandboxProfile {
  const mode = narrowMode(bound.mode, writ);
  return { ...bound, mode, workspace: mode === 'read_only' ? 'ro' : bound.workspace };
}

/** Whether a path is one of the masked paths, or lies in a folder of them (`folder/**`). Literal: every name falls under itself, whatever it looks like. */
export function isMasked(masked: readonly string[], path: string): boolean {
  return masked.some((pattern) => {
    if (pattern === path) return true;
    const folder = pattern.endsWith('/**') ? pattern.slice(0, -3) : null;
    return folder !== null && (path === folder || path.startsWith(`${folder}/`));
  });
}
