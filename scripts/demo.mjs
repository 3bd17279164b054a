#!/usr/bin/env node
/**
 * `npm run demo [-- ARGUMENTS]`: set-up, then the demonstration of the bundled command line. Passes arguments and the exit code through.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { setupOrExit } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
await setupOrExit();
const { status } = spawnSync(process.execPath, [path.join(root, 'apps/cli/dist/openexec.mjs'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
