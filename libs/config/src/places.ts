/**
 * Where configuration and state live outside the repository, by the XDG rules. Must never point into a checkout, and for root never behind a
 * folder that the sandbox's id cannot walk through (MECHANICS part 1 "When a source lies behind a 0700 parent").
 */
import { join } from 'node:path';

/** Absolute folders. */
export interface Places {
  /** Settings of the whole machine. */
  readonly system: string;
  /** Settings of this user. */
  readonly user: string;
  /** State of this user: keys, head files, run workspaces. */
  readonly state: string;
}

/** The folders of a user. `OPENEXEC_STATE_DIR` and the XDG variables count only when they are absolute. */
export function findPlaces(options: {
  readonly env: { readonly [name: string]: string | undefined };
  readonly home: string;
  readonly root: boolean;
}): Places {
  const { env, home, root } = options;
  const absolute = (name: string): string | null => {
    const value = env[name];
    return value?.startsWith('/') ? value : null;
  };
  const system = root ? '/var/lib' : join(home, '.local/state');
  return {
    system: '/etc/openexec',
    user: join(absolute('XDG_CONFIG_HOME') ?? join(home, '.config'), 'openexec'),
    state: absolute('OPENEXEC_STATE_DIR') ?? join(absolute('XDG_STATE_HOME') ?? system, 'openexec'),
  };
}
