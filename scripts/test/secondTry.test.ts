/**
 * The second try of `npm test`: which suites it runs again, how two results become one, and the whole of it over a small project with suites that fail
 * always, once, or otherwise the second time. It must never make a failure green.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { argumentsAgain, joinResults, suitesToTryAgain, unsteadyLines } from '../lib/secondTry.mjs';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');

type Tests = Readonly<Record<string, 'passed' | 'failed' | 'pending'>>;
/** A suite as Jest reports it; with no tests it could not run, unless it says that it passed. */
function suite(name: string, tests: Tests, status?: string) {
  const assertionResults = Object.entries(tests).map(([fullName, each]) => ({ fullName, status: each }));
  const bad = assertionResults.length === 0 || assertionResults.some((one) => one.status === 'failed');
  return { name: `/house/${name}`, status: status ?? (bad ? 'failed' : 'passed'), message: '', assertionResults };
}
function resultOf(...testResults: ReturnType<typeof suite>[]) {
  const bad = testResults.filter(({ status }) => status === 'failed');
  const passed = testResults.flatMap((one) => one.assertionResults).filter(({ status }) => status === 'passed');
  return {
    testResults,
    numFailedTestSuites: bad.length,
    numPassedTestSuites: testResults.length - bad.length,
    numPassedTests: passed.length,
    success: bad.length === 0,
    wasInterrupted: false,
  };
}
const fine = suite('fine', { a: 'passed', later: 'pending' });
const red = suite('red', { b: 'failed', c: 'passed' });

describe('what is run again', () => {
  test('are the failed suites, with those that could not run', () => {
    expect(suitesToTryAgain(resultOf(fine, red, suite('broken', {})))).toEqual(['/house/red', '/house/broken']);
    expect(suitesToTryAgain(resultOf(fine))).toEqual([]);
  });
  test('is nothing where more than five failed, Jest was interrupted, or a failure is in no suite', () => {
    const many = Array.from({ length: 6 }, (_, at) => suite(`red${at}`, { b: 'failed' }));
    expect(suitesToTryAgain(resultOf(...many.slice(1)))).toHaveLength(5);
    expect(suitesToTryAgain(resultOf(...many))).toEqual([]);
    expect(suitesToTryAgain({ ...resultOf(red), wasInterrupted: true })).toEqual([]);
    expect(suitesToTryAgain({ ...resultOf(red), numFailedTestSuites: 2 })).toEqual([]);
  });
  test.each([
    [[], []],
    [['libs/a', 'libs/b/test/c.test.ts'], []],
    [
      ['-t', 'sorts keys', 'libs/a', '--silent'],
      ['-t', 'sorts keys', '--silent'],
    ],
    [['--testNamePattern=sorts', '-i', '--maxWorkers=4', '-w', '2', 'libs/a'], ['--testNamePattern=sorts']],
  ])('takes over from %j: %j', (given, kept) => {
    expect(argumentsAgain(given, ['/x'])).toEqual([...kept, '--runInBand', '--runTestsByPath', '/x']);
  });
  test.each([['--coverage'], ['--bail'], ['--shard=1/2'], ['-o']])('is nothing beside %s, whose result two runs cannot share', (option) => {
    expect(argumentsAgain(['libs/a', option], ['/x'])).toBeNull();
  });
});

describe('two results are joined', () => {
  const first = resultOf(fine, red, suite('broken', {}));
  test('where both suites pass the second time: all counts are final, and both are named', () => {
    const joined = joinResults(first, resultOf(suite('red', { b: 'passed', c: 'passed' }), suite('broken', { d: 'passed' })));
    expect(joined).toMatchObject({
      success: true,
      numPassedTests: 4,
      numFailedTests: 0,
      numPendingTests: 1,
      numTotalTests: 5,
      numPassedTestSuites: 3,
      numFailedTestSuites: 0,
      numRuntimeErrorTestSuites: 0,
    });
    expect(unsteadyLines(joined, '/house')).toEqual([
      'unsteady: red: b: passed when run again alone',
      'unsteady: broken: the suite itself: passed when run again alone',
    ]);
  });
  test('where one fails again, by the same test or another: the run fails, and the other is named all the same', () => {
    const joined = joinResults(first, resultOf(suite('red', { b: 'passed', c: 'failed' }), suite('broken', { d: 'passed' })));
    expect(joined).toMatchObject({ success: false, numPassedTests: 3, numFailedTests: 1, numFailedTestSuites: 1 });
    expect(unsteadyLines(joined, '/house')).toEqual(['unsteady: broken: the suite itself: passed when run again alone']);
    const broken = joinResults(first, resultOf(suite('red', { b: 'passed', c: 'passed' }), suite('broken', {})));
    expect(broken).toMatchObject({ success: false, numFailedTests: 0, numFailedTestSuites: 1, numRuntimeErrorTestSuites: 1 });
  });
  test.each([
    ['did not come', []],
    ['left out the test that failed', [suite('red', { c: 'passed' })]],
    ['skipped the test that failed', [suite('red', { b: 'pending', c: 'passed' })]],
    ['ran nothing', [suite('red', {}, 'passed')]],
  ])('and a suite that %s the second time stays failed', (_, second) => {
    const joined = joinResults(resultOf(red), resultOf(...second));
    expect(joined).toMatchObject({ success: false, numFailedTests: 1, numFailedTestSuites: 1, unsteady: [] });
  });
  test('and a suite that passed at first is never replaced', () => {
    expect(joinResults(first, resultOf(suite('fine', { a: 'failed' }))).testResults[0]).toBe(fine);
  });
});

describe('npm test over a small project', () => {
  let folder = '';
  beforeEach(() => {
    folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'second-try-')));
    const write = (file: string, text: string) => {
      fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      fs.writeFileSync(path.join(folder, file), text);
    };
    for (const file of ['test.mjs', 'lib/secondTry.mjs'])
      write(`scripts/${file}`, fs.readFileSync(path.join(root, 'scripts', file), 'utf8'));
    write('scripts/setup.mjs', 'export const setupOrExit = async () => {};\nexport const interop = async () => {};\n');
    write('package.json', '{}');
    write('jest.config.js', 'module.exports = { haste: { enableSymlinks: false }, transform: {} };');
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    // The first run leaves a mark, by which the second is told from it.
    const nth =
      "const fs = require('node:fs'); const mark = __filename + '.ran'; const again = fs.existsSync(mark); fs.writeFileSync(mark, '');\n";
    write('steady.test.js', "test('holds', () => {});");
    write('once.test.js', `${nth}test('fails once', () => expect(again).toBe(true));`);
    write('load.test.js', `${nth}if (!again) throw new Error('not yet');\ntest('loads late', () => {});`);
    write('always.test.js', "test('fails always', () => expect(1).toBe(2));");
  });
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  function npmTest(...args: readonly string[]) {
    const env = { ...process.env };
    // Jest's own mark of a worker would make the one inside believe that it is one.
    delete env['JEST_WORKER_ID'];
    const { status, stderr } = spawnSync(process.execPath, ['scripts/test.mjs', ...args], { cwd: folder, encoding: 'utf8', env });
    const file = path.join(folder, '.cache/test/jest.json');
    // The members compared are the ones that .ci/run reads, and the list of unsteady suites.
    const result = JSON.parse(fs.readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>>;
    return { status, last: stderr.trimEnd().split('\n'), result };
  }

  test('ends with 0 where what failed passes alone, and names it', () => {
    const { status, last, result } = npmTest('steady', 'once', 'load');
    expect(last.slice(-3).sort()).toEqual([
      '3 passed, 0 failed, 0 not run, 0 suites could not run, 2 suites unsteady',
      'unsteady: load.test.js: the suite itself: passed when run again alone',
      'unsteady: once.test.js: fails once: passed when run again alone',
    ]);
    expect(result).toMatchObject({ numPassedTests: 3, numFailedTests: 0, numRuntimeErrorTestSuites: 0, success: true });
    expect(status).toBe(0);
  });
  test('ends with 1 where one fails again, though another does not', () => {
    const { status, last, result } = npmTest('steady', 'once', 'always');
    expect(last.slice(-2)).toEqual([
      'unsteady: once.test.js: fails once: passed when run again alone',
      '2 passed, 1 failed, 0 not run, 0 suites could not run, 1 suites unsteady',
    ]);
    expect(result).toMatchObject({ numPassedTests: 2, numFailedTests: 1, success: false });
    expect(status).toBe(1);
  });
  test('with --once takes the first answer', () => {
    const { status, last } = npmTest('--once', 'once');
    expect(last.at(-1)).toBe('0 passed, 1 failed, 0 not run, 0 suites could not run, 0 suites unsteady');
    expect(status).toBe(1);
  });
});
