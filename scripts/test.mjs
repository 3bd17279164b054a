#!/usr/bin/env node
/**
 * `npm test [-- JEST ARGUMENTS]`: set-up, then Jest. Names every suite that could not run and every test that was skipped, and leaves the result
 * as JSON in .cache/test/jest.json. Must never turn a failure, a signal, or a run that found nothing into a success.
 *
 *   --heavy   runs the heavy suites (*.heavy.test.ts) instead, which `npm test` leaves out
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { interop, setupOrExit } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const output = path.join(root, '.cache/test/jest.json');
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

async function main() {
  const given = process.argv.slice(2);
  const heavy = given.includes('--heavy');
  const args = given.filter((arg) => arg !== '--heavy');
  const watching = args.some((arg) => arg.startsWith('--watch') || arg === '--listTests' || arg === '--json');
  await setupOrExit();
  if (heavy) await interop();
  fs.mkdirSync(path.dirname(output), { recursive: true });
  fs.rmSync(output, { force: true });
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', path.join(root, 'node_modules/jest/bin/jest.js')];
  const report = watching ? [] : ['--json', `--outputFile=${output}`];
  const child = spawn(process.execPath, [...jest, ...report, ...args], {
    cwd: root,
    // --json makes Jest print the result on stdout as well when no file is named; with the file, stdout stays empty.
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, ...(heavy ? { OPENEXEC_HEAVY: '1' } : {}) },
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const code = await new Promise((resolve) => child.on('exit', (status, signal) => resolve(signal === null ? (status ?? 1) : 1)));
  if (watching) process.exit(code);
  if (!fs.existsSync(output)) {
    say('no result: Jest ended before it ran a suite');
    process.exit(code === 0 ? 1 : code);
  }
  const result = JSON.parse(fs.readFileSync(output, 'utf8'));
  for (const line of unrun(result)) say(line);
  say(
    `${result.numPassedTests} passed, ${result.numFailedTests} failed, ${result.numPendingTests + result.numTodoTests} not run, ${result.numRuntimeErrorTestSuites} suites could not run`,
  );
  const nothing = result.numPassedTests + result.numFailedTests === 0;
  if (nothing) say('no test ran');
  process.exit(code === 0 && (nothing || result.numRuntimeErrorTestSuites > 0) ? 1 : code);
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
