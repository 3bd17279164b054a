/** Whole runs under faults, by seed. A failing seed is run again with `npm run sim -- --seed N --count 1`. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { chanceOf, clockOf } from '../src/chance.ts';
import { simulate, type SimReport } from '../src/index.ts';

const SEEDS = 100;

describe('a hundred seeds', () => {
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
    expect(sum(({ crashes }) => crashes)).toBeGreaterThan(200);
    expect(sum(({ faults }) => faults)).toBeGreaterThan(100);
    expect(sum(({ busy }) => busy)).toBeGreaterThan(20);
    expect(sum(({ compared }) => (compared ? 1 : 0))).toBeGreaterThan(20);
    expect(sum(({ rewinds }) => rewinds)).toBeGreaterThan(15);
    expect([...new Set(reports.map(({ outcome }) => outcome))].sort()).toEqual(['cancelled', 'denied', 'done', 'exhausted', 'failed']);
  });

  test('are the same story whenever they are told', async () => {
    expect(await simulate('7')).toEqual(reports[6]);
    expect(await simulate('61')).toEqual(reports[60]);
  });
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
