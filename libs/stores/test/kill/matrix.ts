/**
 * Plays points of the kill matrix: a real process on a real SQLite ledger under strace, then the inspection of what it left. A point counts only when
 * its fault struck. Must never call a point passed that was not played. GOALS §4.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, run, scratch } from '../children.ts';
import { inspect } from './findings.ts';
import { ENVIRONMENT, type Point, type Recorded, record, straceArguments } from './points.ts';
import { scenarioNamed } from './script.ts';

/** Whether this host lets one process trace another. */
export function canTrace(): boolean {
  return spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0;
}

/**
 * Stops the process at traced calls only, where strace (5.3 and later) and the kernel can. Only for errors: strace 6.1 injects no signal that way, and the
 * point would not strike.
 */
const sparing: readonly string[] =
  spawnSync('strace', ['--seccomp-bpf', '-f', '-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0 ? ['--seccomp-bpf'] : [];

/** What one point came to. */
export interface Played {
  readonly point: Point;
  /** Whether the fault struck before the process ended. */
  readonly struck: boolean;
  readonly faults: readonly string[];
  /** The last position the process was told of, and the last that was found. */
  readonly acknowledged: number;
  readonly stored: number;
  /** The last word of the process: what it was told, or how it ended. */
  readonly end: string;
}

/** A template ledger, a folder for the points, and what the scenarios do there. */
export interface Bench {
  readonly child: string;
  readonly folder: string;
  readonly recorded: readonly Recorded[];
  remove(): void;
}

/** Makes the ledger that every point starts from, and records the scenarios. */
export async function makeBench(child: string, scenarios: readonly string[], onRecorded?: (scenario: string) => void): Promise<Bench> {
  // What is done to the calls is strace's doing; the disk below them may as well be memory.
  const folder = scratch('openexec-kills-');
  mkdirSync(join(folder, 'template'));
  const begun = await run(process.execPath, [child, join(folder, 'template'), 'begin']);
  if (begun.lines.at(-1) !== 'closed') throw new Error(`the template was not made: ${begun.errors}`);
  let serial = 0;
  const recorded: Recorded[] = [];
  for (const scenario of scenarios) {
    recorded.push(await record(child, scenario, () => copied(folder, `record-${++serial}`)));
    onRecorded?.(scenario);
  }
  return { child, folder, recorded, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function copied(folder: string, name: string): string {
  const to = join(folder, name);
  rmSync(to, { recursive: true, force: true });
  cpSync(join(folder, 'template'), to, { recursive: true });
  return to;
}

/** How strace is told. A short read runs no call and says that nothing was read: the end of the file, too early. */
const INJECTIONS: Readonly<Record<Point['fault'], string>> = {
  SIGKILL: 'signal=SIGKILL',
  EIO: 'error=EIO',
  ENOSPC: 'error=ENOSPC',
  SHORT: 'retval=0',
};

/** Plays one point in a folder of its own. `way` is the child's: honest, or one of its faults. */
export async function playPoint(bench: Bench, point: Point, options: { readonly lane: number; readonly way?: string }): Promise<Played> {
  const folder = copied(bench.folder, `lane-${options.lane}`);
  const paths = bench.recorded.find(({ scenario }) => scenario === point.scenario)?.paths[point.group] ?? [];
  const log = join(folder, 'strace.log');
  const what = INJECTIONS[point.fault];
  const outcome = await run(
    'strace',
    [
      ...(point.fault === 'SIGKILL' ? [] : sparing),
      ...straceArguments({
        log,
        paths: paths.map((path) => join(folder, path)),
        inject: `${point.call}:${what}:when=${point.occurrence}`,
        child: [bench.child, folder, point.scenario, options.way ?? 'honest'],
      }),
    ],
    { env: ENVIRONMENT },
  );
  const struck = point.fault === 'SIGKILL' ? outcome.signal === 'SIGKILL' : readFileSync(log, 'utf8').includes('(INJECTED)');
  const told = toldBy(outcome);
  const { faults, stored } = await inspect(folder, scenarioNamed(point.scenario), told.acknowledged);
  return { point, struck, faults: [...told.faults, ...faults], acknowledged: told.acknowledged, stored, end: told.end };
}

/** What the process said: the last acknowledged position, and what it must not have done. */
function toldBy(outcome: Outcome): { readonly acknowledged: number; readonly faults: readonly string[]; readonly end: string } {
  const faults: string[] = [];
  const numbers = outcome.lines.filter((line) => line.startsWith('acknowledged ')).map((line) => Number(line.slice(13)));
  const taken = outcome.lines.find((line) => line.startsWith('then taken'));
  if (taken !== undefined) faults.push('a handle that had failed took the next append');
  // A store that does not open is an answer; anything else that ends the process is not.
  const ownEnd = outcome.signal === null && outcome.lines.at(-1) !== 'closed' && outcome.lines.length > 0;
  if (ownEnd) faults.push(`ended by itself after "${outcome.lines.at(-1)}": ${outcome.errors.slice(0, 600)}`);
  if (outcome.lines.length === 0 && outcome.signal === null && !/Error: (store|headFile)\./.test(outcome.errors))
    faults.push(`no typed refusal to open: ${outcome.errors.slice(0, 600)}`);
  return {
    acknowledged: Math.max(0, ...numbers),
    faults,
    end: outcome.signal ?? outcome.lines.findLast((line) => /refused|closed/.test(line)) ?? 'not opened',
  };
}
