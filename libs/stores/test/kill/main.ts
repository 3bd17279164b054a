/**
 * `npm run kill:store -- [--points N] [--seed S] [--workers W] [--minutes M] [--calls read,pread64] [--variant V] [--from N] [--only "SCENARIO GROUP CALL OCCURRENCE FAULT"]`: plays points of the kill
 * matrix and prints what came of them. With `--variant` they are those of the V-th variant of the scenarios alone, `--from` leaves out the first N of
 * them: so that a long row can be played in portions. Fails on any fault, when fewer points struck than `--least` asks for, and where strace cannot run.
 */
import { rmSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundled } from '../children.ts';
import { canTrace, makeBench, type Played, playPoint } from './matrix.ts';
import { chosen, type Point, pointsOf, scenarioNames } from './points.ts';

const TELL_EVERY = 100;
/** A little less than one variant of all scenarios has. */
const POINTS_OF_A_VARIANT = 3000;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

function numberOf(text: string, name: string): number {
  if (!/^(0|[1-9][0-9]{0,6})$/.test(text)) throw new Error(`--${name} wants a whole number`);
  return Number(text);
}

/** The scenarios of one variant, or of as many as so many points take. */
function namesFor(points: number, variant: number | null): readonly string[] {
  if (variant === null) return scenarioNames(Math.ceil(points / POINTS_OF_A_VARIANT));
  const before = scenarioNames(variant).length;
  return scenarioNames(variant + 1).slice(before);
}

function nameOf({ scenario, group, call, occurrence, fault }: Point): string {
  return `${scenario} ${group} ${call} ${occurrence} ${fault}`;
}

async function playAll(
  points: readonly Point[],
  options: { readonly workers: number; readonly untilMs: number; play(point: Point, lane: number): Promise<Played> },
): Promise<readonly Played[]> {
  const played: Played[] = [];
  let next = 0;
  const lane = async (_: unknown, at: number): Promise<void> => {
    for (let point = points[next++]; point !== undefined && performance.now() < options.untilMs; point = points[next++]) {
      const one = await options.play(point, at);
      played.push(one);
      for (const fault of one.faults) say(`FAULT ${fault}\n  again: npm run kill:store -- --only "${nameOf(point)}"`);
      if (played.length % TELL_EVERY === 0) process.stderr.write(`${played.length} of ${points.length} points played\n`);
    }
  };
  await Promise.all(Array.from({ length: options.workers }, lane));
  return played;
}

/** A table of what struck: calls down, faults across. */
function tell(played: readonly Played[]): void {
  const rows = new Map<string, Map<string, number>>();
  for (const { point, struck } of played) {
    if (!struck) continue;
    const row = rows.get(`${point.group} ${point.call}`) ?? new Map<string, number>();
    row.set(point.fault, (row.get(point.fault) ?? 0) + 1);
    rows.set(`${point.group} ${point.call}`, row);
  }
  for (const [name, row] of [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    say(`${name.padEnd(22)} ${[...row].map(([fault, count]) => `${fault} ${count}`).join(', ')}`);
  const ends = new Map<string, number>();
  for (const { end } of played) ends.set(end, (ends.get(end) ?? 0) + 1);
  say(`ends: ${[...ends].map(([end, count]) => `${end} ${count}`).join(', ')}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      points: { type: 'string', default: '1000' },
      least: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      workers: { type: 'string', default: '2' },
      minutes: { type: 'string', default: '600' },
      only: { type: 'string' },
      calls: { type: 'string' },
      variant: { type: 'string' },
      from: { type: 'string', default: '0' },
    },
  });
  if (!canTrace()) throw new Error('strace cannot trace here: install it (apt-get install strace), and allow ptrace');
  const child = await bundled('matrixChild');
  const began = performance.now();
  const wanted = numberOf(values.points, 'points');
  const from = numberOf(values.from, 'from');
  const variant = values.variant === undefined ? null : numberOf(values.variant, 'variant');
  const scenarios = values.only === undefined ? namesFor(from + wanted, variant) : [values.only.split(' ')[0] ?? ''];
  const bench = await makeBench(child, scenarios);
  try {
    const calls = values.calls?.split(',');
    const all = pointsOf(bench.recorded).filter(({ call }) => calls === undefined || calls.includes(call));
    const points =
      values.only === undefined
        ? chosen(all, from + wanted, numberOf(values.seed, 'seed')).slice(from)
        : all.filter((point) => nameOf(point) === values.only);
    const played = await playAll(points, {
      workers: numberOf(values.workers, 'workers'),
      untilMs: began + numberOf(values.minutes, 'minutes') * 60_000,
      play: (point, lane) => playPoint(bench, point, { lane }),
    });
    tell(played);
    const struck = played.filter((one) => one.struck).length;
    const faulty = played.filter(({ faults }) => faults.length > 0).length;
    const least = numberOf(values.least, 'least');
    say(
      `kill:store: ${all.length} points there are, ${points.length} chosen, ${played.length} played, ${struck} struck, ${faulty} with faults; ${((performance.now() - began) / 1000).toFixed(0)} s`,
    );
    if (struck < least) say(`fewer than ${least} points struck: too little was shown`);
    if (faulty > 0 || struck < least || struck === 0) process.exitCode = 1;
  } finally {
    bench.remove();
    rmSync(child, { force: true });
  }
}

await main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
