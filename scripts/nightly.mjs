#!/usr/bin/env node
/**
 * `npm run nightly [-- --minutes M] [--seeds N] [--points N] [--fresh]`: what takes a night: 100,000 seeds of the simulation and 20,000 points of the store's
 * kill matrix, in portions, the two by turns. What was played is kept in .cache/nightly.json, so that the next call goes on where this one ended; another
 * commit, or `--fresh`, begins anew. With `--minutes` no portion is begun after that time. Every failure is printed with the line that runs it again, and
 * stays a failure until all is begun anew. Exit 1 when something failed, or when nothing was played.
 */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const STATE = path.join(root, '.cache/nightly.json');
const SEEDS_OF_A_PORTION = 100;
const POINTS_OF_A_PORTION = 100;
/** Points that one variant of the kill matrix has at least: another variant gives others. */
const POINTS_OF_A_VARIANT = 3000;
/** Rows of two commits do not overlap. */
const SEEDS_OF_A_COMMIT = 100_000;
const say = (text) => process.stdout.write(`${text}\n`);

/** The portions in the order in which they are played: simulation and kill matrix by turns, as long as both have some. */
export function portionsOf({ seeds, points, firstSeed }) {
  const sims = Array.from({ length: Math.ceil(seeds / SEEDS_OF_A_PORTION) }, (_, at) => {
    const from = at * SEEDS_OF_A_PORTION;
    const count = Math.min(SEEDS_OF_A_PORTION, seeds - from);
    return { name: `sim ${firstSeed + from}`, weight: count, args: ['sim', '--', '--seed', `${firstSeed + from}`, '--count', `${count}`] };
  });
  const kills = Array.from({ length: Math.ceil(points / POINTS_OF_A_PORTION) }, (_, at) => {
    const from = at * POINTS_OF_A_PORTION;
    const count = Math.min(POINTS_OF_A_PORTION, points - from);
    const place = ['--variant', `${Math.floor(from / POINTS_OF_A_VARIANT)}`, '--from', `${from % POINTS_OF_A_VARIANT}`];
    return { name: `kill ${from}`, weight: count, args: ['kill:store', '--', ...place, '--points', `${count}`] };
  });
  return Array.from({ length: Math.max(sims.length, kills.length) }, (_, at) => [sims[at], kills[at]])
    .flat()
    .filter((one) => one !== undefined);
}

/** The lines that run what failed again, out of what a portion said; the portion itself where it named none. */
export function againIn(output, portion) {
  const lines = [...output.matchAll(/^ *again: (.+)$/gm)].map(([, line]) => line);
  return lines.length > 0 ? lines : [`npm run ${portion.args.join(' ')}`];
}

/**
 * Plays what is not played yet until `isOver`; `keep` is given the state after each portion, `play` answers {code, output}. Gives how many were played now.
 */
export async function playOn({ portions, state, play, keep, isOver }) {
  let played = 0;
  for (const portion of portions) {
    if (state.done[portion.name] !== undefined) continue;
    if (isOver()) break;
    const { code, output } = await play(portion);
    const again = code === 0 ? [] : againIn(output, portion);
    state.done[portion.name] = { passed: code === 0, again };
    keep(state);
    played += 1;
  }
  return played;
}

/** What stands in the file, where it is of this very row; else a new one. */
export function stateFrom(text, row) {
  try {
    const kept = JSON.parse(text);
    if (kept.row === row && typeof kept.done === 'object' && kept.done !== null) return kept;
  } catch {
    // No file, or half of one: begun anew.
  }
  return { row, done: {} };
}

function play(portion) {
  return new Promise((resolve) => {
    const child = spawn('npm', ['run', '--silent', ...portion.args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('error', (error) => resolve({ code: 1, output: String(error) }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

function git(...args) {
  const told = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return told.status === 0 ? told.stdout.trim() : '';
}

function keep(state) {
  fs.mkdirSync(path.dirname(STATE), { recursive: true });
  fs.writeFileSync(`${STATE}.new`, JSON.stringify(state));
  fs.renameSync(`${STATE}.new`, STATE);
}

function wholeNumber(text, name) {
  if (!/^(0|[1-9][0-9]{0,8})$/.test(text)) throw new Error(`--${name} wants a whole number`);
  return Number(text);
}

async function main() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '100000' },
      seeds: { type: 'string', default: '100000' },
      points: { type: 'string', default: '20000' },
      fresh: { type: 'boolean', default: false },
    },
  });
  const began = performance.now();
  const untilMs = began + wholeNumber(values.minutes, 'minutes') * 60_000;
  const firstSeed = 1 + Number(git('rev-list', '--count', 'HEAD')) * SEEDS_OF_A_COMMIT;
  const portions = portionsOf({ seeds: wholeNumber(values.seeds, 'seeds'), points: wholeNumber(values.points, 'points'), firstSeed });
  const row = `${git('rev-parse', 'HEAD')} ${values.seeds} ${values.points}`;
  const state = values.fresh || !fs.existsSync(STATE) ? stateFrom('', row) : stateFrom(fs.readFileSync(STATE, 'utf8'), row);
  const before = Object.keys(state.done).length;
  if (before > 0) say(`going on after ${before} of ${portions.length} portions`);
  const played = await playOn({ portions, state, play, keep, isOver: () => performance.now() > untilMs });
  const done = portions.filter(({ name }) => state.done[name] !== undefined);
  const of = (kind) => done.filter(({ name }) => name.startsWith(kind)).reduce((sum, { weight }) => sum + weight, 0);
  const failed = done.filter(({ name }) => !state.done[name].passed);
  for (const { name } of failed) for (const line of state.done[name].again) say(`failed: ${name}; again: ${line}`);
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  say(
    `nightly: ${of('sim')} of ${values.seeds} seeds, ${of('kill')} of ${values.points} points, ${failed.length} portions failed; ${played} of ${portions.length} portions now, in ${minutes} minutes`,
  );
  if (done.length < portions.length) say('not finished: run it again to go on');
  if (done.length === 0) say('nothing was played');
  process.exit(failed.length > 0 || done.length === 0 ? 1 : 0);
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
