#!/usr/bin/env node
/**
 * `npm run bench [-- PACKAGE…] [-- ARGUMENTS]`: runs libs/*\/bench/*.bench.ts one after the other, each in a process of its own so that none warms
 * the next. Fails when there is nothing to run. `--million` runs *.million.ts instead: minutes, gigabytes, on demand only. `peers` runs *.peers.ts, beside
 * other products: they are no dependencies of the house, but installed by a manifest and lockfile of their own into .cache the first time.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const given = process.argv.slice(2);
const withPeers = given.includes('peers');
const wanted = given.filter((arg) => !arg.startsWith('-') && arg !== 'peers');
const flags = given.filter((arg) => arg.startsWith('-'));
const ending = withPeers ? '.peers.ts' : flags.includes('--million') ? '.million.ts' : '.bench.ts';

const benches = ['libs', 'apps'].flatMap((group) =>
  fs.readdirSync(path.join(root, group)).flatMap((name) => {
    const folder = path.join(root, group, name, 'bench');
    if (!fs.existsSync(folder) || (wanted.length > 0 && !wanted.includes(name))) return [];
    return fs
      .readdirSync(folder)
      .filter((file) => file.endsWith(ending))
      .map((file) => path.join(folder, file));
  }),
);
if (benches.length === 0) {
  process.stderr.write(`no bench found${wanted.length > 0 ? ` in ${wanted.join(', ')}` : ''}\n`);
  process.exit(1);
}
const env = withPeers ? { ...process.env, OPENEXEC_BENCH_PEERS: installPeers() } : process.env;
const failed = benches.filter((file) => {
  process.stdout.write(`\n== ${path.relative(root, file)}\n`);
  return spawnSync(process.execPath, [path.join(root, 'scripts/run-ts.mjs'), file, ...flags], { stdio: 'inherit', env }).status !== 0;
});
process.stdout.write(`\n${benches.length - failed.length} benches ran, ${failed.length} failed\n`);
process.exit(failed.length === 0 ? 0 : 1);

/** Installs the peers by their own lockfile, once for each lockfile; gives the folder. */
function installPeers() {
  const manifests = path.join(root, 'libs/stores/bench/peers');
  const lock = fs.readFileSync(path.join(manifests, 'package-lock.json'));
  const place = path.join(root, '.cache/bench-peers', createHash('sha256').update(lock).digest('hex').slice(0, 12));
  if (fs.existsSync(path.join(place, 'done'))) return place;
  fs.mkdirSync(place, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) fs.copyFileSync(path.join(manifests, name), path.join(place, name));
  const installed = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: place, stdio: ['ignore', 2, 2] });
  if (installed.status !== 0) {
    process.stderr.write('the peers could not be installed\n');
    process.exit(1);
  }
  fs.writeFileSync(path.join(place, 'done'), '');
  return place;
}
