/**
 * `npm run sim:store -- [--seed N] [--count M] [--workers W] [--recording FILE]`: crash states of the SQLite store, M seeds from N on. Prints what came
 * of them; a failing seed prints the line that plays it again from the recordings kept for it. Exit 1 when one failed or nothing was damaged or lost.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundled } from '../children.ts';
import { canTrace } from '../kill/matrix.ts';
import { playState } from './states.ts';
import { loadStories, recordStories, saveStories, scratch } from './stories.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Sum {
  states: number;
  unacknowledged: number;
  behind: number;
  damaged: number;
  named: number;
  shortened: number;
  failed: number;
}

function numberOf(text: string, name: string): number {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) throw new Error(`--${name} wants a whole number`);
  return Number(text);
}

/** Plays every `stride`th seed; one line of JSON at the end. */
async function playShare(options: { seed: number; count: number; stride: number; recording: string }): Promise<Sum> {
  const stories = loadStories(options.recording);
  const folder = scratch();
  const sum: Sum = { states: 0, unacknowledged: 0, behind: 0, damaged: 0, named: 0, shortened: 0, failed: 0 };
  try {
    for (let seed = options.seed; seed < options.seed + options.count; seed += options.stride) {
      const report = await playState(stories, seed, join(folder, 'state'));
      sum.states++;
      if (report.inspected.stored > report.acknowledged) sum.unacknowledged++;
      if (report.acknowledged > 0) sum.behind++;
      if (report.damage !== null) sum.damaged++;
      if (report.named) sum.named++;
      if (report.shortened) sum.shortened++;
      if (report.faults.length === 0) continue;
      sum.failed++;
      say(`seed ${seed} failed (${report.scenario}, after ${report.at} effects${report.damage === null ? '' : `, ${report.damage}`}):`);
      for (const fault of report.faults) say(`  ${fault}`);
      say(`  again: npm run sim:store -- --seed ${seed} --count 1 --recording ${options.recording}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return sum;
}

/** Plays a share in a process of its own; its findings are passed on as they come. */
function playElsewhere(args: readonly string[]): Promise<Sum> {
  return new Promise((settle, fail) => {
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    child.on('error', fail);
    child.on('close', (code) => {
      const lines = text.trimEnd().split('\n');
      const last = lines.pop() ?? '';
      for (const line of lines) say(line);
      if (code === 0 && last.startsWith('{')) settle(JSON.parse(last) as Sum);
      else fail(new Error(`a worker ended with ${code}: ${last}`));
    });
  });
}

async function recorded(): Promise<string> {
  if (!canTrace()) throw new Error('strace cannot trace here: install it (apt-get install strace), and allow ptrace');
  const folder = resolve('.cache/crash-states');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `recording-${process.pid}.bin`);
  const child = await bundled('matrixChild');
  saveStories(file, await recordStories(child));
  rmSync(child, { force: true });
  return file;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '1000' },
      workers: { type: 'string', default: '2' },
      recording: { type: 'string' },
      share: { type: 'boolean', default: false },
    },
  });
  const [seed, count, workers] = [numberOf(values.seed, 'seed'), numberOf(values.count, 'count'), numberOf(values.workers, 'workers')];
  if (values.share) {
    say(JSON.stringify(await playShare({ seed, count, stride: workers, recording: values.recording ?? '' })));
    return;
  }
  const began = performance.now();
  const recording = values.recording ?? (await recorded());
  const shares = await Promise.all(
    Array.from({ length: Math.min(workers, count) }, (_, lane) =>
      playElsewhere([
        '--share',
        '--seed',
        `${seed + lane}`,
        '--count',
        `${count - lane}`,
        '--workers',
        `${workers}`,
        '--recording',
        recording,
      ]),
    ),
  );
  const total = (key: keyof Sum): number => shares.reduce((sum, share) => sum + share[key], 0);
  say(
    `sim:store: ${total('states')} crash states, ${total('behind')} behind an acknowledged append, ${total('unacknowledged')} with more than was acknowledged, ${total('damaged')} damaged besides (${total('named')} named, ${total('shortened')} took whole batches off the log's end unnamed, the rest harmless), ${total('failed')} failed; ${((performance.now() - began) / 1000).toFixed(0)} s`,
  );
  if (total('failed') === 0 && values.recording === undefined) rmSync(recording, { force: true });
  if (total('failed') > 0 || total('behind') === 0) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
