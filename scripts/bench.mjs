#!/usr/bin/env node
/**
 * `npm run bench [-- PACKAGE…] [-- ARGUMENTS]`: runs libs/*\/bench/*.bench.ts one after the other, each in a process of its own so that none warms
 * the next. Fails when there is nothing to run. `--million` runs *.million.ts instead: minutes, gigabytes, on demand only.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const given = process.argv.slice(2);
const wanted = given.filter((arg) => !arg.startsWith('-'));
const flags = given.filter((arg) => arg.startsWith('-'));
const ending = flags.includes('--million') ? '.million.ts' : '.bench.ts';

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
const failed = benches.filter((file) => {
  process.stdout.write(`\n== ${path.relative(root, file)}\n`);
  return spawnSync(process.execPath, [path.join(root, 'scripts/run-ts.mjs'), file, ...flags], { stdio: 'inherit' }).status !== 0;
});
process.stdout.write(`\n${benches.length - failed.length} benches ran, ${failed.length} failed\n`);
process.exit(failed.length === 0 ? 0 : 1);
