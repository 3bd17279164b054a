/**
 * Bundles a test program of this package into one file that any user may run: Node 20 runs no TypeScript, and a dropped id cannot read every
 * checkout.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
export function bundle(name: string, folder: string, more: readonly string[] = []): string {
  const file = `${folder}/${name}.mjs`;
  const banner = "import{createRequire as openexecRequire}from'node:module';const require=openexecRequire(import.meta.url);";
  execFileSync(`${HERE}../../../node_modules/.bin/esbuild`, [
    `${HERE}${name}.ts`,
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--target=node20',
    '--conditions=@openexec/source',
    `--banner:js=${banner}`,
    `--outfile=${file}`,
    '--log-level=error',
    ...more,
  ]);
  chmodSync(file, 0o644);
  return file;
}
/** A suite of this package in one file that runs itself without jest; see plainRunner.ts. */
export function bundleSuite(name: string, folder: string): string {
  return bundle(name, folder, [
    `--alias:@jest/globals=${HERE}plainRunner.ts`,
    // The expect package looks for its siblings on disk, which a bundle does not need.
    '--define:__dirname="/nonexistent"',
  ]);
}
/** An id that no account has and that is not the reserved one: an ordinary user for tests run as root. */
export const THROWAWAY_ID = 64_999;
