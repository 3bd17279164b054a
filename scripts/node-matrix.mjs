#!/usr/bin/env node
/**
 * Runs the packed command line under other lines of Node: `node scripts/node-matrix.mjs [MAJOR…]`, by default 22 and 24. Each line comes as an npm
 * package, the tarball of apps/cli is installed beside it as a user would, and its demo and the verification of what the demo left are run.
 * better-sqlite3 13 is taken there, because 12 is compiled for the Node that installs it. Must never count a line that was not reached.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { setupOrExit } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const DRIVER = 'better-sqlite3@^13.2.0';
const say = (text) => process.stdout.write(`${text}\n`);

/** Runs a command and returns its stdout; a failure is thrown with everything that it said. */
function run(command, args, options = {}) {
  const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  if (child.status !== 0)
    throw new Error(
      `${command} ${args.join(' ')} ended with ${child.status ?? child.signal ?? child.error}\n${child.stdout}${child.stderr}`,
    );
  return child.stdout;
}

/** Folders below `folder` that hold `.openexec/ledger.db`. */
function ledgersBelow(folder) {
  if (fs.existsSync(path.join(folder, '.openexec/ledger.db'))) return [folder];
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((item) => item.isDirectory() && item.name !== 'node_modules')
    .flatMap((item) => ledgersBelow(path.join(folder, item.name)));
}

function tryLine(major, tarball) {
  const folder = path.join(root, '.cache/node-matrix', major);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  // Scripts stay off: they would run under the Node that installs, and both packages bring their binaries with them.
  run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--engine-strict=false', `${nodePackage}@${major}`, DRIVER, tarball],
    { cwd: folder },
  );
  const node = path.join(folder, 'node_modules', nodePackage, 'bin/node');
  const version = run(node, ['--version']).trim();
  if (!version.startsWith(`v${major}.`)) throw new Error(`asked for Node ${major}, got ${version}`);
  const cli = path.join(folder, 'node_modules/openexec/dist/openexec.mjs');
  const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}`, CI: 'true' };
  const kept = path.join(folder, 'demo');
  run(node, [cli, 'demo', '--keep', kept], { env, cwd: folder });
  const ledgers = ledgersBelow(kept);
  if (ledgers.length === 0) throw new Error(`the demo left no ledger below ${kept}`);
  for (const cwd of ledgers) run(node, [cli, 'verify', '--deep'], { env, cwd });
  return `Node ${version}: demo and deep verification of ${ledgers.length} ledger${ledgers.length === 1 ? '' : 's'}`;
}

await setupOrExit();
const majors = process.argv.length > 2 ? process.argv.slice(2) : ['22', '24'];
const packed = path.join(root, '.cache/node-matrix/packed');
fs.rmSync(packed, { recursive: true, force: true });
fs.mkdirSync(packed, { recursive: true });
run('npm', ['pack', '--silent', '--pack-destination', packed, '-w', 'apps/cli'], { cwd: root });
const [name] = fs.readdirSync(packed);
if (name === undefined) throw new Error('npm pack made no tarball');
let failed = 0;
for (const major of majors) {
  try {
    say(`passed  ${tryLine(major, path.join(packed, name))}`);
  } catch (error) {
    failed += 1;
    say(`FAILED  Node ${major}: ${error.message}`);
  }
}
say(`${majors.length - failed} of ${majors.length} lines of Node passed`);
process.exit(failed === 0 && majors.length > 0 ? 0 : 1);
