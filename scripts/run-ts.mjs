#!/usr/bin/env node
/**
 * Runs a TypeScript entry under any supported Node: bundles it with esbuild into .cache/run-ts and starts Node on the result.
 *
 *   node scripts/run-ts.mjs ENTRY.ts [ARGS…]
 *
 * Sibling packages are found as sources through the `@openexec/source` condition; every outside package stays external, so native add-ons load from
 * node_modules as usual. `import.meta.url` keeps meaning the source file, not the bundle. Must never swallow the child's exit code or signal.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const house = JSON.parse(fs.readFileSync(path.join(root, 'scripts/house.json'), 'utf8'));

/** Siblings and `#imports` are bundled; anything else that is not a path is left to Node. */
const outsideStaysOutside = {
  name: 'outside-stays-outside',
  setup(build) {
    build.onResolve({ filter: /^[^./#]/ }, (args) => {
      if (args.kind === 'entry-point' || args.path.startsWith(`${house.scope}/`) || path.isAbsolute(args.path)) return undefined;
      return { path: args.path, external: true };
    });
  },
};

/** A bundle lives elsewhere than its sources, so the address of each source is written into it. */
const addressOfSource = {
  name: 'address-of-source',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, (args) => {
      const text = fs.readFileSync(args.path, 'utf8');
      return { contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(args.path).href)), loader: 'ts' };
    });
  },
};

/** Bundles `entry` and returns the path of the result. */
export async function bundle(entry) {
  const { build } = await import('esbuild');
  const absolute = path.resolve(entry);
  const name = `${path.basename(absolute, '.ts')}-${createHash('sha256').update(absolute).digest('hex').slice(0, 12)}-${process.pid}.mjs`;
  const outfile = path.join(root, '.cache/run-ts', name);
  await build({
    entryPoints: [absolute],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    conditions: [house.sourceCondition, 'node'],
    sourcemap: 'inline',
    logLevel: 'error',
    absWorkingDir: root,
    plugins: [outsideStaysOutside, addressOfSource],
  });
  return outfile;
}

async function main() {
  const [entry, ...args] = process.argv.slice(2);
  if (entry === undefined) {
    process.stderr.write('usage: node scripts/run-ts.mjs ENTRY.ts [ARGS…]\n');
    process.exit(2);
  }
  const outfile = await bundle(entry);
  const child = spawn(process.execPath, ['--enable-source-maps', outfile, ...args], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    fs.rmSync(outfile, { force: true });
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    process.stderr.write(`${String(error?.message ?? error)}\n`);
    process.exit(1);
  });
}
