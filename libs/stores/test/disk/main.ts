/**
 * `npm run sim:store -- [--seed N|commits] [--count M] [--workers W] [--minutes T] [--least L] [--recording FILE]`: crash states of the SQLite store, M seeds from N on. Prints
 * what came of them; a failing seed prints the line that plays it again from the recordings kept for it, and so does one that ends its process or never
 * ends. Exit 1 when one failed, when nothing was lost, or when in a long row some kind of fault never happened. `--seed commits`: as for `npm run sim`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundled, scratch } from '../children.ts';
import { canTrace } from '../kill/matrix.ts';
import { type Kind, KINDS, playState } from './states.ts';
import { loadStories, recordStories, saveStories } from './stories.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Sum {
  states: number;
  unacknowledged: number;
  behind: number;
  damaged: number;
  named: number;
  shortened: number;
  failed: number;
  readonly kinds: Record<Kind, number>;
}

/** Old objects of a worker: what takes more is a defect, and must not take the machine with it. */
const OLD_MB = 1500;
/** One state takes some thirty milliseconds; this is for a search that never ends. */
const LONGEST_MS = 180_000;
/** From this many states on every kind of fault must have happened. */
const LONG_ROW = 2000;

function numberOf(text: string, name: string): number {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) throw new Error(`--${name} wants a whole number`);
  return Number(text);
}

/** A seed that moves with the history of the project, so that rows of ten thousand do not overlap; 1 where there is no history. */
function seedOfCommits(): number {
  const told = spawnSync('git', ['rev-list', '--count', 'HEAD'], { encoding: 'utf8' });
  return 1 + (told.status === 0 ? Number(told.stdout) : 0) * 10_000;
}

/** Plays every `stride`th seed; one line of JSON at the end. */
async function playShare(options: { seed: number; count: number; stride: number; recording: string; minutes: number }): Promise<Sum> {
  const until = performance.now() + options.minutes * 60_000;
  const stories = loadStories(options.recording);
  const folder = scratch('openexec-disk-');
  const kinds = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  const sum: Sum = { states: 0, unacknowledged: 0, behind: 0, damaged: 0, named: 0, shortened: 0, failed: 0, kinds };
  try {
    for (let seed = options.seed; seed < options.seed + options.count; seed += options.stride) {
      if (performance.now() > until) break;
      say(`at ${seed}`);
      const report = await playState(stories, seed, join(folder, 'state'));
      sum.states++;
      for (const kind of report.kinds) kinds[kind]++;
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

/** Plays a share in a process of its own; its findings are passed on as they come. A process that dies or stands still fails by the seed it was at. */
function playElsewhere(args: readonly string[], recording: string): Promise<Sum | null> {
  return new Promise((settle, fail) => {
    const child = spawn(process.execPath, [`--max-old-space-size=${OLD_MB}`, ...process.execArgv, process.argv[1] ?? '', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    let at = '';
    let sum: Sum | null = null;
    let watch = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('at ')) at = line.slice(3);
        else if (line.startsWith('{')) sum = JSON.parse(line) as Sum;
        else say(line);
      }
      clearTimeout(watch);
      watch = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
    });
    child.on('error', fail);
    child.on('close', (code, signal) => {
      clearTimeout(watch);
      if (code === 0 && sum !== null) return settle(sum);
      say(`seed ${at} failed: its process ended with ${code ?? signal}`);
      say(`  again: npm run sim:store -- --seed ${at} --count 1 --recording ${recording}`);
      settle(null);
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
      workers: { type: 'string', default: `${availableParallelism()}` },
      recording: { type: 'string' },
      minutes: { type: 'string', default: '100000' },
      least: { type: 'string', default: '1' },
      share: { type: 'boolean', default: false },
    },
  });
  const first = values.seed === 'commits' ? seedOfCommits() : numberOf(values.seed, 'seed');
  const [seed, count, workers] = [first, numberOf(values.count, 'count'), numberOf(values.workers, 'workers')];
  const [minutes, least] = [numberOf(values.minutes, 'minutes'), numberOf(values.least, 'least')];
  if (values.share) {
    say(JSON.stringify(await playShare({ seed, count, stride: workers, recording: values.recording ?? '', minutes })));
    return;
  }
  const began = performance.now();
  const recording = values.recording ?? (await recorded());
  const lanes = Array.from({ length: Math.min(workers, count) }, (_, lane) => {
    const [from, rest] = [`${seed + lane}`, `${count - lane}`];
    return playElsewhere(
      ['--share', '--seed', from, '--count', rest, '--workers', `${workers}`, '--recording', recording, '--minutes', `${minutes}`],
      recording,
    );
  });
  const ended = await Promise.all(lanes);
  const shares = ended.filter((share) => share !== null);
  const total = (of: (share: Sum) => number): number => shares.reduce((sum, share) => sum + of(share), 0);
  const failed = total((share) => share.failed) + ended.length - shares.length;
  const happened = KINDS.map((kind) => ({ kind, times: total((share) => share.kinds[kind]) }));
  const played = total((share) => share.states);
  const never = happened.filter(({ times }) => times === 0).map(({ kind }) => kind);
  say(`faults: ${happened.map(({ kind, times }) => `${kind} ${times}`).join(', ')}`);
  say(
    `sim:store: ${played} crash states from seed ${seed} on, ${total((share) => share.behind)} behind an acknowledged append, ${total((share) => share.unacknowledged)} with more than was acknowledged, ${total((share) => share.damaged)} damaged besides (${total((share) => share.named)} named, ${total((share) => share.shortened)} took whole batches off the log's end unnamed, the rest harmless), ${failed} failed; ${((performance.now() - began) / 1000).toFixed(0)} s`,
  );
  if (failed === 0 && values.recording === undefined) rmSync(recording, { force: true });
  const lacks = played >= LONG_ROW && never.length > 0;
  if (lacks) say(`never happened: ${never.join(', ')}: such a row shows nothing of them`);
  if (played < least) say(`fewer than ${least} states were played: too little was shown`);
  if (failed > 0 || total((share) => share.behind) === 0 || lacks || played < least) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
