/**
 * `npm run sim -- [--seed N|commits] [--count M] [--workers W] [--minutes T] [--least L]`: simulates M seeds from N on, on as many threads as there are cores, says what came of
 * them, and for each that failed prints its step and the line that runs it again; the same lines in the same order however many threads work. Exit 1
 * when one failed, or when in a long row some kind of fault never happened. `--seed commits` begins at a seed of the number of commits, so that the rows
 * of later commits cover others. With `--minutes` no seed is begun after that time, and fewer than `--least` played are too few.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { FAULT_KINDS, type FaultKind } from './faults.ts';
import { simulate, type SimReport } from './simulate.ts';

const USAGE = 'usage: npm run sim -- [--seed N|commits] [--count M] [--workers W] [--minutes T] [--least L]\n';
/** Seeds handed to a thread at once. */
const SHARE = 20;
/** From this many seeds on every kind of fault must have happened. */
const LONG_ROW = 2000;
/** Young objects of a simulation die in masses; with less room for them a third of the time goes into collecting them. */
const YOUNG_MB = 64;
const SUMS = ['entries', 'drives', 'steps'] as const;

interface Sum {
  readonly totals: Record<(typeof SUMS)[number], number>;
  readonly outcomes: Map<string, number>;
  readonly tally: Map<FaultKind, number>;
  compared: number;
  failed: number;
  played: number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function argument(flag: string, otherwise: string): string {
  const at = process.argv.indexOf(flag);
  return at < 0 ? otherwise : (process.argv[at + 1] ?? '');
}

function numberOf(text: string): number | null {
  return /^(0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : null;
}

/** A seed that moves with the history of the project, so that rows of ten thousand do not overlap; 1 where there is no history. */
function seedOfCommits(): number {
  const told = spawnSync('git', ['rev-list', '--count', 'HEAD'], { encoding: 'utf8' });
  return 1 + (told.status === 0 ? Number(told.stdout) : 0) * 10_000;
}

function add(sum: Sum, report: SimReport): void {
  sum.played++;
  for (const key of SUMS) sum.totals[key] += report[key];
  for (const kind of FAULT_KINDS) sum.tally.set(kind, (sum.tally.get(kind) ?? 0) + (report.tally[kind] ?? 0));
  sum.compared += report.compared ? 1 : 0;
  sum.outcomes.set(report.outcome, (sum.outcomes.get(report.outcome) ?? 0) + 1);
  if (report.problems.length === 0) return;
  sum.failed++;
  say(`seed ${report.seed} failed (${report.steps} steps):`);
  for (const problem of report.problems) say(`  ${problem}`);
  say(`  again: npm run sim -- --seed ${report.seed} --count 1`);
}

async function share(from: number, to: number): Promise<readonly SimReport[]> {
  const reports: SimReport[] = [];
  for (let seed = from; seed < to; seed++) reports.push(await simulate(`${seed}`));
  return reports;
}

/** What is to be played. */
interface Row {
  readonly seed: number;
  readonly count: number;
  readonly workers: number;
  readonly untilMs: number;
}

/** Plays on threads of this very file; gives the reports in the order of their seeds. */
async function playAll({ seed, count, workers, untilMs }: Row, take: (report: SimReport) => void): Promise<void> {
  const ready = new Map<number, readonly SimReport[]>();
  let next = seed;
  let flushed = seed;
  const lane = (): Promise<void> =>
    new Promise((settle, fail) => {
      const worker = new Worker(process.argv[1] ?? '', { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
      const hand = (): void => {
        if (next >= seed + count || performance.now() > untilMs) return void worker.terminate().then(() => settle(), fail);
        const from = next;
        next = Math.min(from + SHARE, seed + count);
        worker.postMessage([from, next]);
      };
      worker.on('message', ([from, reports]: [number, readonly SimReport[]]) => {
        ready.set(from, reports);
        for (let done = ready.get(flushed); done !== undefined; done = ready.get(flushed)) {
          ready.delete(flushed);
          flushed += done.length;
          for (const report of done) take(report);
        }
        hand();
      });
      worker.on('error', fail);
      hand();
    });
  await Promise.all(Array.from({ length: Math.min(workers, Math.ceil(count / SHARE)) }, lane));
}

/** The arguments; null where they are none. */
function rowOf(began: number): (Row & { readonly least: number }) | null {
  const wanted = argument('--seed', '1');
  const seed = wanted === 'commits' ? seedOfCommits() : numberOf(wanted);
  const count = numberOf(argument('--count', '100'));
  const workers = numberOf(argument('--workers', `${availableParallelism()}`));
  const minutes = numberOf(argument('--minutes', '100000'));
  const least = numberOf(argument('--least', '1'));
  if (seed === null || minutes === null || least === null || count === null || count === 0 || workers === null || workers === 0)
    return null;
  return { seed, count, workers, untilMs: began + minutes * 60_000, least };
}

async function main(): Promise<void> {
  const began = performance.now();
  const row = rowOf(began);
  if (row === null) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const sum: Sum = {
    totals: { entries: 0, drives: 0, steps: 0 },
    outcomes: new Map(),
    tally: new Map(),
    compared: 0,
    failed: 0,
    played: 0,
  };
  await playAll(row, (report) => add(sum, report));
  const ends = [...sum.outcomes].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([outcome, times]) => `${times} ${outcome}`);
  say(`faults: ${FAULT_KINDS.map((kind) => `${kind} ${sum.tally.get(kind) ?? 0}`).join(', ')}`);
  say(
    `sim: ${sum.played} seeds from ${row.seed} on: ${ends.join(', ')}; ${sum.totals.entries} entries, ${sum.totals.drives} drives, all ten invariants after each of ${sum.totals.steps} steps, ${sum.compared} compared with a calm run, ${sum.failed} failed`,
  );
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s on ${row.workers} threads\n`);
  const never = sum.played < LONG_ROW ? [] : FAULT_KINDS.filter((kind) => (sum.tally.get(kind) ?? 0) === 0);
  if (never.length > 0) say(`never happened: ${never.join(', ')}: such a row shows nothing of them`);
  if (sum.played < row.least) say(`fewer than ${row.least} seeds were played: too little was shown`);
  if (sum.failed > 0 || never.length > 0 || sum.played < row.least) process.exitCode = 1;
}

if (isMainThread) await main();
else
  parentPort?.on(
    'message',
    ([from, to]: [number, number]) => void share(from, to).then((reports) => parentPort?.postMessage([from, reports])),
  );
