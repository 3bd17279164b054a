#!/usr/bin/env node
/**
 * `npm test [-- JEST ARGUMENTS]`: set-up, then Jest. Names every suite that could not run and every test that was skipped, and leaves the result
 * as JSON in .cache/test/jest.json. Must never turn a failure, a signal, or a run that found nothing into a success. At most five failed suites are run
 * again, alone and once (scripts/lib/secondTry.mjs); one that then passes is named as unsteady.
 *
 *   --heavy   runs the heavy suites (*.heavy.test.ts) instead, which `npm test` leaves out
 *   --once    no second try
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { argumentsAgain, joinResults, suitesToTryAgain, unsteadyLines } from './lib/secondTry.mjs';
import { interop, setupOrExit } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const output = path.join(root, '.cache/test/jest.json');
const OWN = ['--heavy', '--once'];
const say = (text) => process.stderr.write(`${text}\n`);

/** Lines about what did not run, from Jest's JSON result. */
export function unrun(result) {
  const name = (suite) => path.relative(root, suite.name);
  const suites = result.testResults
    .filter((suite) => suite.status === 'failed' && suite.assertionResults.length === 0)
    .map((suite) => `could not run: ${name(suite)}`);
  const skipped = result.testResults.flatMap((suite) =>
    suite.assertionResults
      .filter((one) => one.status === 'pending' || one.status === 'todo')
      .map((one) => `not run: ${name(suite)}: ${one.fullName}`),
  );
  return [...suites, ...skipped];
}

/** Runs Jest; gives its exit code, and its JSON result where one was asked for and came. */
async function jest(args, env, file) {
  const bin = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', path.join(root, 'node_modules/jest/bin/jest.js')];
  const report = file === null ? [] : ['--json', `--outputFile=${file}`];
  if (file !== null) fs.rmSync(file, { force: true });
  const child = spawn(process.execPath, [...bin, ...report, ...args], {
    cwd: root,
    // --json makes Jest print the result on stdout as well when no file is named; with the file, stdout stays empty.
    stdio: ['inherit', 'inherit', 'inherit'],
    env,
  });
  const forward = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, forward);
  const [code, signal] = await new Promise((resolve) => child.on('exit', (status, by) => resolve([by === null ? (status ?? 1) : 1, by])));
  for (const each of ['SIGINT', 'SIGTERM']) process.off(each, forward);
  const result = file !== null && fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : null;
  return { code, ended: signal === null, result };
}

/** The first run, or what it came to after a second one. */
async function withSecondTry(first, args, env) {
  const suites = first.ended && first.code === 1 ? suitesToTryAgain(first.result) : [];
  const again = argumentsAgain(args, suites);
  if (suites.length === 0 || again === null) return first;
  say(`\n${suites.length} of ${first.result.testResults.length} suites failed; run again alone, once:`);
  const second = await jest(again, env, output.replace(/json$/, 'again.json'));
  if (second.result === null) return first;
  const result = joinResults(first.result, second.result);
  fs.writeFileSync(output, JSON.stringify(result));
  return { ...first, code: result.success && second.code === 0 ? 0 : first.code, result };
}

async function main() {
  const given = process.argv.slice(2);
  const heavy = given.includes('--heavy');
  const args = given.filter((arg) => !OWN.includes(arg));
  const watching = args.some((arg) => arg.startsWith('--watch') || arg === '--listTests' || arg === '--json');
  const env = { ...process.env, ...(heavy ? { OPENEXEC_HEAVY: '1' } : {}) };
  await setupOrExit();
  if (heavy) await interop();
  fs.mkdirSync(path.dirname(output), { recursive: true });
  const first = await jest(args, env, watching ? null : output);
  if (watching) process.exit(first.code);
  if (first.result === null) {
    say('no result: Jest ended before it ran a suite');
    process.exit(first.code === 0 ? 1 : first.code);
  }
  const { code, result } = given.includes('--once') ? first : await withSecondTry(first, args, env);
  for (const line of [...unrun(result), ...unsteadyLines(result, root)]) say(line);
  say(
    [
      `${result.numPassedTests} passed, ${result.numFailedTests} failed, ${result.numPendingTests + result.numTodoTests} not run`,
      `${result.numRuntimeErrorTestSuites} suites could not run, ${result.unsteady?.length ?? 0} suites unsteady`,
    ].join(', '),
  );
  const nothing = result.numPassedTests + result.numFailedTests === 0;
  if (nothing) say('no test ran');
  process.exit(code === 0 && (nothing || result.numRuntimeErrorTestSuites > 0) ? 1 : code);
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
