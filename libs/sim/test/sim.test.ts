/** Whole runs under faults, by seed. A failing seed is run again with `npm run sim -- --seed N --count 1`. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { chanceOf, clockOf } from '../src/chance.ts';
import { CLOCK_FAULTS, type FaultKind, MODEL_ODDITIES, SANDBOX_FAULTS, STORE_FAULTS } from '../src/faults.ts';
import { simulate, type SimReport } from '../src/index.ts';

const SEEDS = 80;

describe('eighty seeds', () => {
  const reports: SimReport[] = [];
  beforeAll(async () => {
    for (let seed = 1; seed <= SEEDS; seed++) reports.push(await simulate(`${seed}`));
  }, 900_000);
  const sum = (of: (report: SimReport) => number): number => reports.reduce((total, report) => total + of(report), 0);

  test('leave ledgers that check out, and trees like those of undisturbed runs', () => {
    const failed = reports.filter(({ problems }) => problems.length > 0);
    expect(failed.map(({ seed, problems }) => `npm run sim -- --seed ${seed} --count 1: ${problems.join('; ')}`)).toEqual([]);
  });

  test('were really disturbed: crashes, store faults, refused drivers, every kind of end', () => {
    const happened = (kinds: readonly FaultKind[]): number =>
      sum(({ tally }) => kinds.reduce((total, kind) => total + (tally[kind] ?? 0), 0));
    expect(happened(['driver.crash'])).toBeGreaterThan(150);
    expect(happened(STORE_FAULTS)).toBeGreaterThan(100);
    expect(happened(MODEL_ODDITIES)).toBeGreaterThan(20);
    expect(happened(SANDBOX_FAULTS)).toBeGreaterThan(5);
    expect(happened(CLOCK_FAULTS)).toBeGreaterThan(3);
    expect(happened(['driver.busy'])).toBeGreaterThan(20);
    expect(happened(['writ.standing'])).toBeGreaterThan(10);
    expect(sum(({ compared }) => (compared ? 1 : 0))).toBeGreaterThan(10);
    expect([...new Set(reports.map(({ outcome }) => outcome))].sort()).toEqual(['cancelled', 'denied', 'done', 'exhausted', 'failed']);
  });

  test('are checked after every step: more steps than entries', () => {
    expect(reports.every(({ steps, entries }) => steps > entries)).toBe(true);
  });

  test('are the same story whenever they are told', async () => {
    for (const seed of [2, 7, 23, 61]) expect(await simulate(`${seed}`)).toEqual(reports[seed - 1]);
    expect(new Set(reports.map(({ trace }) => trace)).size).toBe(SEEDS);
  });
});

describe('the command', () => {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
  const told = (...args: readonly string[]) =>
    spawnSync(process.execPath, ['scripts/run-ts.mjs', 'libs/sim/src/main.ts', ...args], { cwd: root, encoding: 'utf8' });

  test('says the same in the same order on one thread and on two, and counts every kind of fault', () => {
    const [one, two] = ['1', '2'].map((workers) => told('--seed', '301', '--count', '24', '--workers', workers));
    expect(one?.stdout).toMatch(/^faults: store\.conflict \d+, [^]*\nsim: 24 seeds from 301 on: [^]*, 0 failed\n$/);
    expect(two?.stdout).toBe(one?.stdout);
    expect([one?.status, two?.status]).toEqual([0, 0]);
  }, 300_000);

  test('fails when fewer seeds were played than were asked for, and refuses what is no number', () => {
    const few = told('--count', '1', '--least', '2');
    expect([few.status, few.stdout]).toEqual([1, expect.stringContaining('fewer than 2 seeds were played')]);
    expect([told('--count', 'many').status, told('--seed', '-1').status]).toEqual([2, 2]);
  }, 300_000);
});

describe('seeded chance', () => {
  test('forks do not depend on what was drawn before', () => {
    const drawn = chanceOf('x');
    drawn.bytes(10);
    expect(drawn.fork('a').bytes(8)).toEqual(chanceOf('x').fork('a').bytes(8));
    expect(drawn.fork('a').bytes(8)).not.toEqual(drawn.fork('b').bytes(8));
  });

  test('spreads over its range, and its clock goes back now and then', () => {
    const chance = chanceOf('spread');
    const counts = new Map<number, number>();
    for (let draw = 0; draw < 4000; draw++) {
      const drawn = chance.below(4);
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    expect(new Set(counts.keys())).toEqual(new Set([0, 1, 2, 3]));
    expect(Math.min(...counts.values())).toBeGreaterThan(900);
    const clock = clockOf(chance);
    const times = Array.from({ length: 500 }, () => clock.now());
    expect(times.some((time, at) => at > 0 && time < (times[at - 1] ?? time))).toBe(true);
  });
});
