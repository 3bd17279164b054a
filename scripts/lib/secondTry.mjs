/**
 * A second try for suites that failed: run again alone, once, and joined with the first result. A suite that then passes is unsteady and is named, never
 * silently green; one that fails again, or that did not run every test which failed at first, fails the run.
 */
import path from 'node:path';

/** More failed suites than this are no unsteadiness, and running them again one by one would take long. */
const MOST_SUITES = 5;
/** Options that a second run takes over, and those that it answers itself. Any other option of Jest forgoes it. */
const KEPT = ['--ci', '--silent', '--verbose', '--no-cache', '--randomize'];
const KEPT_WITH_VALUE = ['-t', '--testNamePattern', '--seed', '--testTimeout'];
const LEFT_OUT = ['-i', '--runInBand', '--runTestsByPath'];
const LEFT_OUT_WITH_VALUE = ['-w', '--maxWorkers'];

const failed = (suite) => suite.status === 'failed';
const testsThat = (suite, status) => suite.assertionResults.filter((one) => one.status === status);
const names = (suite) => testsThat(suite, 'failed').map((one) => one.fullName);

/** The absolute paths of the suites to run again, or none: where nothing failed, too much did, or Jest did not come to its end. */
export function suitesToTryAgain(result) {
  const suites = result.testResults.filter(failed);
  const explained = suites.length === result.numFailedTestSuites && result.wasInterrupted !== true;
  return explained && suites.length <= MOST_SUITES ? suites.map((suite) => suite.name) : [];
}

/** Jest's arguments for the second run of these suites; null when one of the first run's cannot be taken over. */
export function argumentsAgain(args, suites) {
  const kept = [];
  for (let at = 0; at < args.length; at += 1) {
    const [name] = args[at].split('=');
    // A word that is no option chose suites, and they are chosen now.
    if (!name.startsWith('-') || LEFT_OUT.includes(name)) continue;
    const valued = [...KEPT_WITH_VALUE, ...LEFT_OUT_WITH_VALUE].includes(name);
    if (!valued && !KEPT.includes(name)) return null;
    const words = valued && name === args[at] ? [name, args[(at += 1)] ?? ''] : [args[at]];
    if (!LEFT_OUT_WITH_VALUE.includes(name)) kept.push(...words);
  }
  return [...kept, '--runInBand', '--runTestsByPath', ...suites];
}

/** True when the second run of a suite takes away what the first one said: it passed, and so did every test that failed before. */
function passedAfterAll(first, second) {
  const passed = testsThat(second, 'passed').map((one) => one.fullName);
  return second.status === 'passed' && passed.length > 0 && names(first).every((name) => passed.includes(name));
}

/** The final suite of two runs: the second, except where it passed only because it left something out. */
function laterOf(first, second) {
  if (second === undefined) return first;
  return failed(second) || passedAfterAll(first, second) ? second : first;
}

/** Counts of a whole result, from its suites, in the members that Jest gives them. */
function counted(testResults) {
  const tests = testResults.flatMap((suite) => suite.assertionResults);
  const count = (status) => tests.filter((one) => one.status === status).length;
  const bad = testResults.filter(failed);
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending'),
    numTodoTests: count('todo'),
    numTotalTests: tests.length,
    numFailedTestSuites: bad.length,
    // Where a suite has failed tests, these tell of it; where it has none, it could not run or could not end.
    numRuntimeErrorTestSuites: bad.filter((suite) => names(suite).length === 0).length,
    success: bad.length === 0,
  };
}

/** Jest's result of both runs: final counts, and under `unsteady` each suite that passed only when run again, with the tests that failed at first. */
export function joinResults(first, second) {
  const again = new Map(second.testResults.map((suite) => [suite.name, suite]));
  const testResults = first.testResults.map((suite) => (failed(suite) ? laterOf(suite, again.get(suite.name)) : suite));
  const unsteady = first.testResults.flatMap((suite, at) =>
    failed(suite) && !failed(testResults[at]) ? [{ suite: suite.name, tests: names(suite), message: suite.message }] : [],
  );
  const counts = counted(testResults);
  return { ...first, ...counts, numPassedTestSuites: first.numPassedTestSuites + unsteady.length, testResults, unsteady };
}

/** One line for each unsteady suite of a joined result. */
export function unsteadyLines(result, root) {
  return (result.unsteady ?? []).map(({ suite, tests }) => {
    const what = tests.length > 0 ? tests.join('; ') : 'the suite itself';
    return `unsteady: ${path.relative(root, suite)}: ${what}: passed when run again alone`;
  });
}
