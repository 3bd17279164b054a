/**
 * How long the command takes to start: `openexec --help`, `--version` and the help of a heavy command, over `node -e 0`, in alternating rounds. The
 * bundle is built into a folder of its own first. Prints medians; must never judge. GOALS §3 "start", TOOLCHAIN §5.8.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const RUNS = Number(process.env['BENCH_RUNS'] ?? 15);
const GOAL_MS = 100;
const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
/** Reading further certificates costs Node some 40 ms a start, whatever is started. */
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;

/** Milliseconds from start to end. */
function timed(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { env, cwd: HOUSE, stdio: ['ignore', 'pipe', 'pipe'] });
  const took = performance.now() - start;
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr.toString('utf8')}`);
  return took;
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce(
    (sum, item) => sum + (item.isDirectory() ? bytesBelow(join(folder, item.name)) : statSync(join(folder, item.name)).size),
    0,
  );
}

mkdirSync(join(HOUSE, '.cache'), { recursive: true });
// Below the repository, so that the native add-on is found.
const folder = mkdtempSync(join(HOUSE, '.cache/bench-start-'));
try {
  const built = spawnSync(process.execPath, [join(HOUSE, 'apps/cli/scripts/build.mjs'), folder], {
    cwd: HOUSE,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (built.status !== 0) throw new Error(`the bundle was not built: ${built.stderr.toString('utf8')}`);
  const entry = join(folder, 'openexec.mjs');
  const cases = {
    'node -e 0': ['-e', '0'],
    'openexec --help': [entry, '--help'],
    'openexec --version': [entry, '--version'],
    'openexec run --help': [entry, 'run', '--help'],
  };
  const times = new Map<string, number[]>();
  for (let run = -1; run < RUNS; run++) {
    for (const [name, args] of Object.entries(cases)) {
      const took = timed(args);
      if (run >= 0) times.set(name, [...(times.get(name) ?? []), took]);
    }
  }
  const median = (name: string): number => [...(times.get(name) ?? [])].sort((a, b) => a - b)[RUNS >> 1] ?? 0;
  const least = (name: string): number => Math.min(...(times.get(name) ?? []));
  const bare = median('node -e 0');
  for (const name of Object.keys(cases)) {
    const took = median(name);
    const more = `${(took - bare).toFixed(0).padStart(4)} ms more, at best ${(least(name) - least('node -e 0')).toFixed(0)}`;
    console.log(`${name.padEnd(20)} ${took.toFixed(0).padStart(4)} ms   ${more}   ratio ${(took / bare).toFixed(2)}`);
  }
  console.log(
    `goal: openexec --help <= ${GOAL_MS} ms more than node -e 0; medians of ${RUNS}, the bundle has ${(bytesBelow(folder) / 1024).toFixed(0)} KiB`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
