#!/usr/bin/env node
/**
 * Runs the packed command line under the supported lines of Node: `node scripts/node-matrix.mjs [MAJOR…]`, by default 20, 22 and 24. Each line comes as
 * an npm package, the tarball of apps/cli is installed beside it as a user would, and its help, its demos, the verification of what the demo left, the
 * golden runs of this repository, and a program that uses the SDK are run. From line 22 on better-sqlite3 13 is taken, which brings its binary; on 20 it
 * is 12, whose compiled add-on is handed over where this Node is of that line, and compiled where it is not. Must never count a line that was not reached.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { handOverDriver, packCli, run } from './lib/packed.mjs';
import { setupOrExit } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const say = (text) => process.stdout.write(`${text}\n`);
const PROGRAM = `import { openLedger, verifyLedger } from 'openexec';
const place = { path: process.argv[2] };
const opened = await openLedger(place);
if (!opened.ok) throw new Error(opened.error.message);
const runs = await opened.value.runs();
let events = 0;
for await (const event of opened.value.events()) events += 1;
await opened.value.close();
const verified = await verifyLedger({ ...place, deep: true });
if (!verified.ok || verified.value.exit !== 0 || !runs.ok || runs.value.length === 0 || events !== verified.value.entries) process.exit(1);
`;

/** Folders below `folder` that hold `.openexec/ledger.db`. */
function ledgersBelow(folder) {
  if (fs.existsSync(path.join(folder, '.openexec/ledger.db'))) return [folder];
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((item) => item.isDirectory() && item.name !== 'node_modules')
    .flatMap((item) => ledgersBelow(path.join(folder, item.name)));
}

/** Installs Node of this line, the driver and the tarball; answers with the path of that Node. */
function install(folder, major, tarball) {
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const npm = (words, env = process.env) =>
    run('npm', ['install', '--no-audit', '--no-fund', '--engine-strict=false', ...words], { cwd: folder, env });
  npm(['--ignore-scripts', `${nodePackage}@${major}`]);
  const node = path.join(folder, 'node_modules', nodePackage, 'bin/node');
  if (Number(major) >= 22) {
    npm(['--ignore-scripts', 'better-sqlite3@^13.2.0', tarball]);
  } else {
    const same = run(node, ['-p', 'process.versions.modules']).trim() === process.versions.modules;
    const driver = same
      ? handOverDriver(path.join(folder, 'driver'))
      : { npm_config_nodedir: path.join(folder, 'node_modules', nodePackage) };
    const PATH = `${path.dirname(node)}${path.delimiter}${process.env.PATH}`;
    npm(['better-sqlite3@^12.11.1', tarball], { ...process.env, ...driver, PATH });
  }
  return node;
}

function tryLine(major, tarball) {
  // Outside the workspace, whose packages would be found by walking up.
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `openexec-node-${major}-`));
  fs.chmodSync(folder, 0o755);
  try {
    return tryIn(folder, major, tarball);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function tryIn(folder, major, tarball) {
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const node = install(folder, major, tarball);
  const version = run(node, ['--version']).trim();
  if (!version.startsWith(`v${major}.`)) throw new Error(`asked for Node ${major}, got ${version}`);
  const cli = path.join(folder, 'node_modules/openexec/dist/openexec.mjs');
  const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}`, CI: 'true' };
  run(node, [cli, '--help'], { env, cwd: folder });
  const kept = path.join(folder, 'demo');
  run(node, [cli, 'demo', '--keep', kept], { env, cwd: folder });
  run(node, [cli, 'demo', '--hostile'], { env, cwd: folder });
  const ledgers = ledgersBelow(kept);
  if (ledgers.length === 0) throw new Error(`the demo left no ledger below ${kept}`);
  for (const cwd of ledgers) run(node, [cli, 'verify', '--deep'], { env, cwd });
  const golden = run(node, [cli, 'golden', 'run', '--dir', path.join(root, 'test-fixtures/golden')], { env, cwd: folder });
  fs.writeFileSync(path.join(folder, 'program.mjs'), PROGRAM);
  for (const at of ledgers) run(node, ['program.mjs', path.join(at, '.openexec/ledger.db')], { env, cwd: folder });
  return `Node ${version}: help, both demos, deep verification and the SDK on ${ledgers.length} ledger${ledgers.length === 1 ? '' : 's'}; ${golden.trim().split('\n').at(-1)}`;
}

await setupOrExit();
const majors = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24'];
const packed = path.join(root, '.cache/node-matrix/packed');
fs.rmSync(packed, { recursive: true, force: true });
const { tarball } = packCli(packed);
let failed = 0;
for (const major of majors) {
  try {
    say(`passed  ${tryLine(major, tarball)}`);
  } catch (error) {
    failed += 1;
    say(`FAILED  Node ${major}: ${error.message}`);
  }
}
say(`${majors.length - failed} of ${majors.length} lines of Node passed`);
process.exit(failed === 0 && majors.length > 0 ? 0 : 1);
