/**
 * Which interpreters a sandbox shows, by symbol: the profile's digest must be the same on every machine (MECHANICS part 2 "profile hash and host
 * paths"). Must never search PATH: the running Node is the one that is shown.
 */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';

/** A toolchain: its symbol in profiles, and where it lies on this host. */
export interface Toolchain {
  readonly symbol: string;
  readonly prefix: string;
}

/** The Node that runs this process, as `node@<version>`; prefix = two folders above the real executable (MECHANICS part 1). */
export function describeToolchain(): Toolchain {
  return { symbol: `node@${process.versions.node}`, prefix: dirname(dirname(realpathSync(process.execPath))) };
}

/** Where a toolchain appears inside: null when `/usr` shows it already. */
export function toolchainMount(toolchain: Toolchain): string | null {
  if (toolchain.prefix === '/usr' || toolchain.prefix.startsWith('/usr/')) return null;
  return `/opt/${toolchain.symbol.split('@')[0] ?? 'tool'}`;
}
