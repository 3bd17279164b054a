#!/usr/bin/env node
/**
 * `npm run check [-- NAME…]`: every check that needs no test run, each by the npm script of its name. All are run, also after a failure, and each
 * is announced with its seconds. `--list` prints the names, which is where .ci/run takes them from.
 */
import { spawnSync } from 'node:child_process';
import process from 'node:process';

const CHECKS = ['house', 'tidy', 'lint', 'format:check', 'types', 'types:pure', 'knip', 'schemas:check', 'reference:check'];

const given = process.argv.slice(2);
if (given.includes('--list')) {
  process.stdout.write(`${CHECKS.join('\n')}\n`);
  process.exit(0);
}
const unknown = given.filter((name) => !CHECKS.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`unknown check ${unknown.join(', ')}; known: ${CHECKS.join(', ')}\n`);
  process.exit(2);
}
const results = (given.length > 0 ? given : CHECKS).map((name) => {
  const started = Date.now();
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync('npm', ['run', '--silent', name], { stdio: 'inherit' });
  return { name, passed: status === 0, seconds: (Date.now() - started) / 1000 };
});
process.stdout.write('\n');
for (const one of results) process.stdout.write(`${one.passed ? 'passed' : 'FAILED'}  ${one.name} (${one.seconds.toFixed(1)} s)\n`);
process.exit(results.every((one) => one.passed) ? 0 : 1);
