/**
 * The mutation score: over a small source with its switches placed by hand, a mutant that must be noticed is, one that must survive does, a loop without
 * end and a promise that never comes are ended, and tests that fail anyway give no score at all.
 */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bundleTests, bundleWorker } from '../mutate/bundles.ts';
import { EVERY_TEST, judge, takeBaseline, type TestFile, Workers } from '../mutate/measure.ts';
import { lineOf, sampleOf, scoreOf, withoutEquivalent } from '../mutate/score.ts';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const folder = path.join(root, '.cache/mutate/toy');

/** A source as the instrumenter leaves it: `on(n)` is whether mutant n is switched on, `cover(n)` notes that its place was passed. */
const SOURCE = `
const place = (): any => (globalThis as any).__stryker__;
function on(id: string): boolean {
  const at = place();
  if (at.activeMutant !== id) return false;
  if (at.hitCount !== undefined && ++at.hitCount > at.hitLimit) throw new Error('hit limit');
  return true;
}
function cover(...ids: string[]): void {
  const { mutantCoverage, currentTestId } = place();
  const into = currentTestId === undefined ? mutantCoverage.static : (mutantCoverage.perTest[currentTestId] ??= {});
  for (const id of ids) into[id] = (into[id] ?? 0) + 1;
}
cover('5');
const STEP = on('5') ? -1 : 1;
export function atLeast(a: number, b: number): boolean {
  cover('0', '1');
  return on('0') ? a < b : on('1') ? a > b : a >= b;
}
export function sum(to: number): number {
  let total = 0;
  for (let i = 1; on('2') ? true : (cover('2'), i <= to); i += STEP) total += i;
  return total;
}
export async function soon(): Promise<string> {
  cover('3');
  if (on('3')) await new Promise(() => {});
  return 'now';
}
export function never(): number {
  cover('4');
  return on('4') ? 1 : 2;
}
`;
const TESTS = `
import { beforeAll, describe, expect, test } from '@jest/globals';
import { atLeast, soon, sum } from './source.ts';
let ready = 0;
beforeAll(() => { ready += 1; });
describe('the toy', () => {
  test('compares', () => { expect(atLeast(2, 1)).toBe(true); expect(atLeast(1, 2)).toBe(false); });
  test.each([[1, 1], [3, 6]])('adds up to %i', (to, total) => { expect(ready).toBe(1); expect(sum(to)).toBe(total); });
  test('answers', async () => { await expect(soon()).resolves.toBe('now'); });
  test.skip('is not looked at', () => { throw new Error('it was'); });
});
`;
/** Long enough for any machine, short enough for mutants that never end. */
const BOUNDS = { ...EVERY_TEST, floorMs: 3_000 };
let workers: Workers;

async function testFile(name: string, text: string): Promise<TestFile> {
  fs.writeFileSync(path.join(folder, name), text);
  const relative = path.relative(root, path.join(folder, name));
  // The source on disk is never read: what stands here in its place is.
  const sources = new Map([[path.join(folder, 'source.ts'), SOURCE]]);
  const scripts = await bundleTests(root, [relative], sources, folder);
  return { file: path.join(folder, name), script: scripts.get(relative) ?? '' };
}

beforeAll(async () => {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'source.ts'), 'export {};\n');
  workers = new Workers(await bundleWorker(root, path.join(root, 'scripts/mutate/worker.ts'), folder));
});
afterAll(() => {
  workers.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

describe('a mutant', () => {
  test('is noticed, survives, or is passed by no test, each named so', async () => {
    const baseline = await takeBaseline(workers, [await testFile('toy.test.ts', TESTS)], BOUNDS);
    expect(baseline.files[0]?.tests.map(({ name }) => name)).toEqual([
      'the toy compares',
      'the toy adds up to 1',
      'the toy adds up to 3',
      'the toy answers',
    ]);
    expect(await judge(workers, baseline, '0', BOUNDS)).toEqual({ mutant: '0', verdict: 'killed', by: 'the toy compares' });
    // No test compares equals: the boundary is free to move.
    expect(await judge(workers, baseline, '1', BOUNDS)).toEqual({ mutant: '1', verdict: 'survived', by: null });
    expect(await judge(workers, baseline, '4', BOUNDS)).toEqual({ mutant: '4', verdict: 'uncovered', by: null });
    // A test that takes too much of a processor is not asked.
    expect(await judge(workers, baseline, '0', { ...BOUNDS, quickMs: -1 })).toMatchObject({ verdict: 'uncovered' });
    expect(await judge(workers, baseline, '0', BOUNDS)).toMatchObject({ verdict: 'killed' });
  });

  test('that loops without end or waits for ever is ended, and the next one meets a sound process', async () => {
    const baseline = await takeBaseline(workers, [await testFile('toy.test.ts', TESTS)], BOUNDS);
    expect(await judge(workers, baseline, '2', BOUNDS)).toEqual({ mutant: '2', verdict: 'timeout', by: null });
    expect(await judge(workers, baseline, '3', BOUNDS)).toEqual({ mutant: '3', verdict: 'killed', by: 'the toy answers' });
    expect(await judge(workers, baseline, '1', BOUNDS)).toMatchObject({ verdict: 'survived' });
  });

  test('where the module is made, and that never yields, meets every test and is ended by the timeout', async () => {
    const baseline = await takeBaseline(workers, [await testFile('toy.test.ts', TESTS)], BOUNDS);
    expect(baseline.files[0]?.tellers.get('5')).toEqual([0, 1, 2, 3]);
    // Counting down from 1 does not pass the mutant again, so only the clock can end it.
    expect(await judge(workers, baseline, '5', BOUNDS)).toEqual({ mutant: '5', verdict: 'timeout', by: null });
  });
});

describe('there is no score', () => {
  test.each([
    ['fails anyway', "test('a', () => { throw new Error('red'); });", /'a' fails without any mutant: red/],
    [
      'passes only after another',
      "let n = 0; test('a', () => { n += 1; }); test('b', () => { if (n !== 1) throw new Error('alone'); });",
      /'b' fails.*alone/,
    ],
    ['cannot be loaded', "throw new Error('no'); test('a', () => {});", /cannot be run here: Error: no/],
  ])('where a test %s', async (sort, body, message) => {
    const file = await testFile(`${sort.replaceAll(' ', '-')}.test.ts`, `import { test } from '@jest/globals';\n${body}\n`);
    await expect(takeBaseline(workers, [file])).rejects.toThrow(message);
  });
});

describe('the score', () => {
  const judged = (killed: number, survived: number) =>
    [...Array(killed).fill('killed'), ...Array(survived).fill('survived')].map((verdict, at) => ({
      mutant: String(at),
      verdict,
      by: null,
    }));

  test('counts what was noticed, and a sampled one says how far it may be off', () => {
    expect(scoreOf(judged(17, 3), false)).toEqual({ killed: 17, tried: 20, percent: 85, interval: null });
    // The Wilson interval of 17 of 20, worked out by hand.
    const [low, high] = scoreOf(judged(17, 3), true).interval ?? [];
    expect(low).toBeCloseTo(63.96, 1);
    expect(high).toBeCloseTo(94.76, 1);
    expect(scoreOf([], true)).toMatchObject({ percent: 0, interval: [0, 100] });
  });

  test('is of the same sample for the same seed, and of another for another', () => {
    const all = Array.from({ length: 200 }, (_, at) => at);
    const first = sampleOf(all, 20, 7);
    expect(first).toHaveLength(20);
    expect(sampleOf(all, 20, 7)).toEqual(first);
    expect(sampleOf(all, 20, 8)).not.toEqual(first);
    expect(first.toSorted((a, b) => a - b)).toEqual(first);
  });

  test('leaves out what the list calls equivalent, wherever its line is now, and tells of entries that name nothing', () => {
    const mutant = { id: '0', file: 'a.ts', line: 3, column: 1, mutator: 'M', original: 'x', replacement: 'y', context: 'if (x) {' };
    const other = { ...mutant, id: '1', replacement: 'z' };
    const entry = { file: 'a.ts', context: 'if (x) {', original: 'x', replacement: 'y', why: 'the same' };
    const gone = { ...entry, original: 'gone' };
    expect(withoutEquivalent([mutant, other], [entry, gone])).toEqual({ left: [other], equivalent: [mutant], stale: [gone] });
    expect(lineOf(mutant, 'survived')).toBe('a.ts:3:1 M: x -> y');
    expect(lineOf(mutant, 'uncovered')).toBe('a.ts:3:1 M (no test comes here): x -> y');
  });
});
