/**
 * The points of the matrix: a recording of each scenario under strace says which system calls touch the database, the blob files and the head file,
 * and how often; every occurrence is a point for each fault. Must never list a point that the recording did not see.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import { run } from '../children.ts';
import { SCENARIOS, scenarioNamed } from './script.ts';

/** What is done to a system call. The process dies before the call runs, is told that it failed, or that there was nothing more to read. */
const FAULTS = ['SIGKILL', 'EIO', 'ENOSPC', 'SHORT'] as const;
type Fault = (typeof FAULTS)[number];
/** Files that are counted apart, since each is written from a thread of its own. */
export const GROUPS = ['database', 'blobs', 'head'] as const;
/** The calls by which bytes and names reach the disk. */
export const CALLS = [
  'openat',
  'pwrite64',
  'write',
  'writev',
  'pwritev',
  'fsync',
  'fdatasync',
  'ftruncate',
  'fallocate',
  'unlink',
  'rename',
  'mkdir',
  'read',
  'pread64',
] as const;
/** A reading changes nothing: a death at it is that at the call before it. */
const READS: readonly string[] = ['read', 'pread64'];
const faultsOf = (call: string): readonly Fault[] => (READS.includes(call) ? ['EIO', 'SHORT'] : ['SIGKILL', 'EIO', 'ENOSPC']);

type Group = (typeof GROUPS)[number];

/** One fault at one occurrence of one call. */
export interface Point {
  readonly scenario: string;
  readonly group: Group;
  readonly call: string;
  /** From 1. */
  readonly occurrence: number;
  readonly fault: Fault;
}

/** Counts and names of one scenario's recording. */
export interface Recorded {
  readonly scenario: string;
  /** Paths below the ledger's folder, by group. */
  readonly paths: Readonly<Record<Group, readonly string[]>>;
  readonly counts: readonly { readonly group: Group; readonly call: string; readonly count: number }[];
}

/** One worker thread makes the order of file calls the same in every run. */
export const ENVIRONMENT = { ...process.env, UV_THREADPOOL_SIZE: '1' };

/** The arguments by which strace runs the child on certain paths only. */
export function straceArguments(options: {
  readonly log: string;
  readonly paths: readonly string[];
  readonly inject: string | null;
  readonly child: readonly string[];
}): string[] {
  const { log, paths, inject, child } = options;
  return [
    '-f',
    '-qq',
    '-s',
    '0',
    '-o',
    log,
    '-e',
    `trace=${CALLS.join(',')}`,
    ...(inject === null ? [] : ['-e', `inject=${inject}`]),
    ...paths.flatMap((path) => ['-P', path]),
    process.execPath,
    ...child,
  ];
}

function pathsOf(folder: string, log: string): Readonly<Record<Group, readonly string[]>> {
  const seen = new Set<string>();
  for (const [, path = ''] of log.matchAll(/"([^"]+)"/g)) if (path.startsWith(`${folder}/`)) seen.add(path.slice(folder.length + 1));
  const blobs = [...seen].filter((path) => path.startsWith('blobs'));
  return { database: ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'], blobs, head: ['head.json', 'head.json.unfinished'] };
}

/** Plays a scenario twice over without faults: once to learn the names of its files, then once for each group to count its calls. */
export async function record(child: string, scenario: string, freshFolder: () => string): Promise<Recorded> {
  const played = async (folder: string, extra: readonly string[]): Promise<string> => {
    const log = join(folder, 'strace.log');
    const outcome = await run('strace', [...extra, '-o', log, process.execPath, child, folder, scenario], { env: ENVIRONMENT });
    if (outcome.lines.at(-1) !== 'closed') throw new Error(`recording ${scenario}: ${outcome.lines.join(', ')} ${outcome.errors}`);
    return readFileSync(log, 'utf8');
  };
  const folder = freshFolder();
  const names = await played(folder, ['-f', '-qq', '-s', '4096', '-e', 'trace=openat,mkdir,rename']);
  const paths = pathsOf(folder, names);
  const counts: { group: Group; call: string; count: number }[] = [];
  for (const group of GROUPS) {
    if (paths[group].length === 0) continue;
    const at = freshFolder();
    const filter = paths[group].flatMap((path) => ['-P', join(at, path)]);
    const log = await played(at, ['-f', '-qq', '-s', '0', '-e', `trace=${CALLS.join(',')}`, ...filter]);
    for (const call of CALLS) {
      const count = log.split('\n').filter((line) => new RegExp(`^\\d+ +${call}\\(`).test(line)).length;
      if (count > 0) counts.push({ group, call, count });
    }
  }
  return { scenario: scenarioNamed(scenario).name, paths, counts };
}

/** Every point of the recordings, in a fixed order. */
export function pointsOf(recorded: readonly Recorded[]): readonly Point[] {
  return recorded.flatMap(({ scenario, counts }) =>
    counts.flatMap(({ group, call, count }) =>
      Array.from({ length: count }, (_, at) =>
        faultsOf(call).map((fault) => ({ scenario, group, call, occurrence: at + 1, fault })),
      ).flat(),
    ),
  );
}

/** `count` of the points: each kind of call of each scenario in turn, the occurrences of a kind in an order of the seed. */
export function chosen(points: readonly Point[], count: number, seed: number): readonly Point[] {
  const random = fixtures.seededRandomness(seed);
  const below = (limit: number): number => random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0) % limit;
  const shuffled = <T>(all: readonly T[]): T[] => {
    const mixed = [...all];
    for (let left = mixed.length; left > 0; left--) {
      const other = below(left);
      mixed.push(...mixed.splice(other, 1));
    }
    return mixed;
  };
  const classes = new Map<string, Point[]>();
  for (const point of points) {
    const key = `${point.scenario} ${point.group} ${point.call} ${point.fault}`;
    const known = classes.get(key);
    if (known === undefined) classes.set(key, [point]);
    else known.push(point);
  }
  const waiting = shuffled([...classes.values()]).map((all) => shuffled(all));
  const taken: Point[] = [];
  for (let at = 0; taken.length < Math.min(count, points.length); at++) {
    const next = waiting[at % waiting.length]?.pop();
    if (next !== undefined) taken.push(next);
  }
  return taken;
}

/** Names of all scenarios, in as many variants as are asked for. */
export function scenarioNames(variants: number): readonly string[] {
  return Array.from({ length: variants }, (_, at) => SCENARIOS.map(({ name }) => (at === 0 ? name : `${name}~${at}`))).flat();
}
