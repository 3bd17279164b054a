/**
 * Counts of test reporters and the ranking of files: pure, in one place.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readReport } from '../src/reports/report.ts';
import { byRank, pathScore, taskWords, wordWeight } from '../src/rank.ts';

describe('counts of tests in a report', () => {
  test.each<readonly [string, string, object | null]>([
    [
      'the spec reporter',
      '\u2714 a\n\u2139 tests 4\n\u2139 suites 0\n\u2139 pass 1\n\u2139 fail 1\n\u2139 cancelled 1\n\u2139 skipped 1\n\u2139 todo 0\n',
      { passed: 1, failed: 2, skipped: 1 },
    ],
    [
      'the spec reporter in colour',
      '\u001b[34m\u2139 tests 1\u001b[39m\n\u001b[34m\u2139 pass 1\u001b[39m\n\u001b[34m\u2139 fail 0\u001b[39m\n',
      { passed: 1, failed: 0, skipped: 0 },
    ],
    [
      'TAP with a summary',
      'TAP version 13\nok 1 - a\n1..1\n# tests 1\n# pass 1\n# fail 0\n# skipped 0\n',
      { passed: 1, failed: 0, skipped: 0 },
    ],
    ['plain TAP', '1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP later\n    not ok 1 - inner\nok\n', { passed: 2, failed: 1, skipped: 1 }],
    ['the last summary of several', '# tests 9\n# pass 9\n# fail 0\n# tests 1\n# pass 0\n# fail 1\n', { passed: 0, failed: 1, skipped: 0 }],
    ['results without a plan', 'ok then\nnot ok\n', null],
    ['something else', 'Tests: 3 passed\n', null],
    ['nothing', '', null],
  ])('%s', (_name, output, counts) => {
    const { passed, failed, skipped } = readReport(output, null).counts;
    // What is not said is not 0.
    expect({ passed, failed, skipped }).toEqual(counts ?? { passed: null, failed: null, skipped: null });
  });
  test('a line of a mebibyte does not take long', () => {
    const before = process.cpuUsage();
    readReport(`1..1\nok ${' - #'.repeat(250_000)}\n`, null);
    // Quadratic, it would take minutes; time on the processor is what a busy machine cannot lengthen.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });
});

describe('ranking', () => {
  test('words are those that tell something, with the parts of names', () => {
    expect(taskWords('Fix the parseConfig bug in load_settings, please; parseConfig fails')).toEqual([
      'config',
      'load',
      'load_settings',
      'parse',
      'parseconfig',
      'settings',
    ]);
    expect(taskWords('')).toEqual([]);
  });
  test('a file that the task names comes before one that shares words', () => {
    const task = 'the parser in lib/parse.ts drops commas';
    const words = taskWords(task);
    const scores = ['lib/parse.ts', 'lib/parser.ts', 'parser/index.ts', 'lib/other.ts'].map((path) => pathScore(path, task, words));
    expect(scores[0]).toBe(100);
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
    expect(scores[3]).toBeLessThan(scores[2] ?? 0);
  });
  test('rare words weigh more, and the order is total', () => {
    expect([wordWeight(100, 1), wordWeight(100, 50), wordWeight(100, 100), wordWeight(100, 0)]).toEqual([8, 2, 1, 8]);
    const item = fc.record({ score: fc.integer({ min: 0, max: 3 }), path: fc.constantFrom('a', 'B', 'é', 'z') });
    fc.assert(
      fc.property(fc.array(item), fc.array(item), (one, two) =>
        expect([...one, ...two].sort(byRank)).toEqual([...two, ...one].sort(byRank)),
      ),
    );
  });
});
