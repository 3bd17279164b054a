/**
 * Watches one running command: growth of the workspace on disk, memory of its processes where no control group bounds it, and kernel kills.
 * Must never stop a command for what others do on the same disk: a cheap hint is confirmed by counting the tree (SECURITY §1.4).
 */
import { readdirSync, readFileSync, statfsSync, type StatsFs } from 'node:fs';
import { lstat, readdir, statfs } from 'node:fs/promises';
import type { LimiterGroup } from './limiter.ts';

/** How much a tree may grow during one command. */
export interface GrowthLimits {
  readonly bytes: number;
  readonly inodes: number;
}
/** SECURITY §1.4: at 50 ms a many-files writer overshot a bound of 1 GiB by 1.5%. */
const PERIOD_MS = 50;
/** A tree of at most so many entries is counted while the command runs: what others free on the same disk hides growth from the hint. */
const COUNTED_ENTRIES = 20_000;
/** Not more often than this, and never for more than a twentieth of the time. */
const COUNT_PERIOD_MS = 250;
const COUNT_SHARE = 20;
const PAGE_BYTES = 4096;
const BLOCK_BYTES = 512;

/** What is watched during one command; `onExceeded` may be called again at later looks while the bound is broken. */
export interface WatchOptions {
  readonly workspace: string;
  readonly growth: GrowthLimits | null;
  readonly group: LimiterGroup;
  /** Process whose descendants are summed, with the bound; null where a control group does it. */
  readonly memory: { readonly bytes: number; readonly root: () => number | null } | null;
  readonly onExceeded: (what: 'disk' | 'memory') => void;
}

/** Starts watching; the returned function ends it. */
export function watch(options: WatchOptions): () => void {
  let ended = false;
  // Before the command writes anything.
  const start = options.growth === null ? null : usedNow(options.workspace);
  const count = options.growth === null ? null : counter(options.workspace, options.growth);
  const look = async (): Promise<void> => {
    if (options.group.exhausted()) options.onExceeded('memory');
    const root = options.memory?.root() ?? null;
    if (options.memory !== null && root !== null && privateBytes(root) > options.memory.bytes) options.onExceeded('memory');
    if (options.growth === null || count === null) return;
    const now = start === null ? null : await used(options.workspace);
    const grown = now === null || start === null ? NOTHING : { bytes: now.bytes - start.bytes, inodes: now.inodes - start.inodes };
    const hinted = grown.bytes >= options.growth.bytes || grown.inodes >= options.growth.inodes;
    const counted = await count(hinted);
    if (counted === true) options.onExceeded('disk');
    if (!hinted) return;
    // Files that were deleted while open are in no folder: far beyond the bound the hint alone decides.
    const beyond = grown.bytes > options.growth.bytes * 2 + 1024 ** 3;
    if (beyond || (counted === null && (await treeExceeds(options.workspace, options.growth)))) options.onExceeded('disk');
  };
  const again = (): void => {
    if (!ended) timer = setTimeout(tick, PERIOD_MS).unref();
  };
  const tick = (): void => {
    if (ended) return;
    // A failed look (the folder vanished, too many open files) is not a reason to stop a command; the next look tries again.
    look().then(again, again);
  };
  let timer = setTimeout(tick, 0).unref();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

interface Size {
  readonly bytes: number;
  readonly inodes: number;
}

const NOTHING: Size = { bytes: 0, inodes: 0 };
const sizeOf = (stat: StatsFs): Size => ({ bytes: (stat.blocks - stat.bfree) * stat.bsize, inodes: stat.files - stat.ffree });

async function used(folder: string): Promise<Size> {
  return sizeOf(await statfs(folder));
}

/** What the disk holds now; null where nobody can say, and then only the count of the tree decides. */
function usedNow(folder: string): Size | null {
  try {
    return sizeOf(statfsSync(folder));
  } catch {
    return null;
  }
}

/** Says, now and then or when it must, whether the tree itself has grown by at least this much; null for a tree too large to be counted. */
function counter(root: string, limits: GrowthLimits): (must: boolean) => Promise<boolean | null> {
  let before: Size | null = null;
  let tooLarge = false;
  let nextMs = 0;
  return async (must) => {
    const begunMs = performance.now();
    if (tooLarge) return null;
    if (begunMs < nextMs && !must) return false;
    const most = before === null ? COUNTED_ENTRIES : before.inodes + limits.inodes;
    const now = await treeSize(root, most);
    nextMs = performance.now() + Math.max(COUNT_PERIOD_MS, (performance.now() - begunMs) * COUNT_SHARE);
    if (before !== null) return now === null || now.bytes - before.bytes >= limits.bytes;
    tooLarge = now === null;
    before = now;
    return tooLarge ? null : false;
  };
}

/** Bytes on the disk and entries of a tree; null when it has more entries than `most`. Never follows a link. */
async function treeSize(root: string, most: number): Promise<Size | null> {
  let bytes = 0;
  let inodes = 0;
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    inodes += entries.length;
    if (inodes > most) return null;
    for (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else bytes += ((await lstat(path).catch(() => null))?.blocks ?? 0) * BLOCK_BYTES;
    }
  }
  return { bytes, inodes };
}

/** True when the tree itself holds at least this much; never follows a link, and only counts. */
async function treeExceeds(root: string, limits: GrowthLimits): Promise<boolean> {
  let bytes = 0;
  let inodes = 0;
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    inodes += entries.length;
    for (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else bytes += ((await lstat(path).catch(() => null))?.blocks ?? 0) * BLOCK_BYTES;
      if (bytes >= limits.bytes) return true;
    }
    if (inodes >= limits.inodes) return true;
  }
  return false;
}

/** All living descendants of a process, by the kernel's own child lists. */
export function descendants(root: number): readonly number[] {
  const found: number[] = [];
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    try {
      // Children hang on the thread that made them.
      const lists = readdirSync(`/proc/${pid}/task`).map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'));
      const children = lists
        .join(' ')
        .split(' ')
        .filter((child) => child !== '')
        .map(Number);
      found.push(...children);
      queue.push(...children);
    } catch {
      // Ended meanwhile.
    }
  }
  return found;
}

function privateBytes(root: number): number {
  let pages = 0;
  for (const pid of descendants(root)) {
    try {
      const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, 'ascii').split(' ').map(Number);
      pages += (resident ?? 0) - (shared ?? 0);
    } catch {
      // Ended meanwhile.
    }
  }
  return pages * PAGE_BYTES;
}
