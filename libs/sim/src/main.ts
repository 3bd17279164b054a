/**
 * `npm run sim -- [--seed N] [--count M]`: simulates M seeds from N on, says what came of them, and for each that failed prints the line that runs it
 * again. Exit 1 when one failed.
 */
import process from 'node:process';
import { simulate } from './simulate.ts';

const USAGE = 'usage: npm run sim -- [--seed N] [--count M]\n';

function numberAfter(flag: string, otherwise: number): number | null {
  const at = process.argv.indexOf(flag);
  if (at < 0) return otherwise;
  const value = process.argv[at + 1] ?? '';
  return /^(0|[1-9][0-9]{0,9})$/.test(value) ? Number(value) : null;
}

async function main(): Promise<void> {
  const seed = numberAfter('--seed', 1);
  const count = numberAfter('--count', 100);
  if (seed === null || count === null || count === 0) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const sum = { entries: 0, drives: 0, crashes: 0, faults: 0, busy: 0, rewinds: 0, compared: 0, failed: 0 };
  const outcomes = new Map<string, number>();
  for (let at = seed; at < seed + count; at++) {
    const report = await simulate(`${at}`);
    for (const key of ['entries', 'drives', 'crashes', 'faults', 'busy', 'rewinds'] as const) sum[key] += report[key];
    sum.compared += report.compared ? 1 : 0;
    outcomes.set(report.outcome, (outcomes.get(report.outcome) ?? 0) + 1);
    if (report.problems.length === 0) continue;
    sum.failed++;
    process.stdout.write(
      `seed ${at} failed:\n${report.problems.map((one) => `  ${one}\n`).join('')}  again: npm run sim -- --seed ${at} --count 1\n`,
    );
  }
  const ends = [...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(', ');
  process.stdout.write(
    `${count} seeds: ${ends}; ${sum.entries} entries, ${sum.drives} drives, ${sum.crashes} crashes, ${sum.faults} store faults, ${sum.busy} drivers refused or overtaken, ${sum.rewinds} rewinds, ${sum.compared} compared with a calm run, ${sum.failed} failed\n`,
  );
  process.exitCode = sum.failed === 0 ? 0 : 1;
}

await main();
