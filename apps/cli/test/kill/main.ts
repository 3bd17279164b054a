/**
 * `npm run kill [-- --seeds N --from K --workers W --entry FILE]`: seeded kills of whole runs. Prints where they landed and one summary line; fails on
 * any fault, and when no kill hit a live run, because then nothing was shown. Must never count a seed that was not played.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { buildBundle } from '../cli.ts';
import { killRuns } from './harness.ts';

const MAX_SEEDS = 100_000;
const TELL_EVERY = 20;

function numberOf(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > MAX_SEEDS) throw new Error(`--${name} wants a whole number from 1 to ${MAX_SEEDS}`);
  return value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      workers: { type: 'string', default: '2' },
      entry: { type: 'string' },
    },
  });
  const from = numberOf(values.from, 'from');
  const seeds = Array.from({ length: numberOf(values.seeds, 'seeds') }, (_, at) => from + at);
  const workers = numberOf(values.workers, 'workers');
  const bundle = values.entry === undefined ? await buildBundle() : null;
  const begun = performance.now();
  let played = 0;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    const report = await killRuns({
      entry: bundle?.entry ?? values.entry ?? '',
      seeds,
      workers,
      keepFaulty: true,
      onSeed: ({ seed, landings, faults }) => {
        played += 1;
        if (played % TELL_EVERY === 0) process.stderr.write(`${played} of ${seeds.length} runs played\n`);
        for (const fault of faults)
          say(`FAULT seed ${seed} (killed at: ${landings.join(', ')}): ${fault}\n  again: npm run kill -- --from ${seed} --seeds 1`);
      },
    });
    say('kills by the last durable entry of the run:');
    for (const [kind, count] of report.distribution) say(`${String(count).padStart(6)}  ${kind}`);
    const seconds = ((performance.now() - begun) / 1000).toFixed(0);
    const givenUp = report.seeds.filter((each) => each.givenUp).length;
    say(
      `kill: ${report.seeds.length} runs, ${report.kills} kills, ${report.live} of them of a live run; ${report.doubled} effects doubled, ${report.faults.length} faults, ${givenUp} given up lawfully; ${seconds} s, ${workers} workers, undisturbed ${Math.round(report.calm.durationMs)} ms`,
    );
    if (report.live === 0) say('no kill hit a live run: nothing was shown');
    if (report.faults.length > 0 || report.live === 0) process.exitCode = 1;
  } finally {
    bundle?.remove();
  }
}

await main();
