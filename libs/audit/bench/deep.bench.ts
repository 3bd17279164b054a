/**
 * Deep verification (every judgement made again) beside integrity verification of the same ledger in the same process: entries per second and the
 * ratio, for many short runs and for one long one. Prints; must never judge. Run: node scripts/run-ts.mjs libs/audit/bench/deep.bench.ts
 */
import process from 'node:process';
import { deepVerify } from '@openexec/audit';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { verifyLedger } from '@openexec/verify';

const RUNS = Number(process.env['BENCH_RUNS'] ?? 200);
const TURNS = Number(process.env['BENCH_TURNS'] ?? 20);
const ROUNDS = 6;

/** Entries per second of one verification. */
async function rate(entries: number, verify: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint();
  await verify();
  return entries / (Number(process.hrtime.bigint() - start) / 1e9);
}

async function measure(name: string, house: House): Promise<void> {
  const { size } = await house.store.head();
  const entries = Number(size);
  const checkBytes = async (): Promise<void> => {
    const report = await verifyLedger({ rows: house.store.rows(), checkpoints: [], head: null }, { trust: house.fingerprint });
    if (!report.sound) throw new Error(report.findings[0]?.message ?? 'the ledger is not sound');
  };
  const judgeAgain = async (): Promise<void> => {
    const { totals } = await deepVerify(house.store);
    if (totals.divergences > 0 || totals.notDerivable > 0) throw new Error('the ledger diverges');
  };
  let [integrity, deep] = [0, 0];
  // In turns, so that whatever else the machine does falls on both; the best of each counts.
  for (let round = 0; round < ROUNDS; round++) {
    integrity = Math.max(integrity, await rate(entries, checkBytes));
    deep = Math.max(deep, await rate(entries, judgeAgain));
  }
  console.log(
    `${name.padEnd(34)} ${String(entries).padStart(7)} entries   deep ${(deep / 1e3).toFixed(1)} k/s   integrity ${(integrity / 1e3).toFixed(1)} k/s   ratio ${(deep / integrity).toFixed(2)}`,
  );
}

const short = await House.found();
for (let at = 0; at < RUNS; at++) {
  const run = await RunDriver.open(short);
  await run.play({
    answers: [[writeFile('src/a.ts', `export const a = ${at};\n`)], 'written', [writeFile('src/b.ts', 'b\n')], 'repaired'],
    tests: [false, true],
  });
}
await measure(`${RUNS} runs of the fix loop`, short);

const long = await House.found();
const stages = [{ id: 'work', type: 'agent', goal: 'g', turn_limit: 100, visit_limit: 20, on_success: 'done', on_failure: 'fail' }];
const run = await RunDriver.open(long, {
  blueprint: { ...(ONE_AGENT as object), stages },
  grant: { budget: { tokens: 10 ** 12, usdMicros: 10 ** 12, calls: 10 ** 6 }, wallMs: 10 ** 12, notAfter: long.later(10 ** 12) },
});
for (let turn = 0; turn < TURNS; turn++) {
  const calls = Array.from({ length: 40 }, (_, at) => writeFile(`src/${turn}/${at}.ts`, `${turn}`));
  await run.answer(calls);
  for (let at = 0; at < calls.length; at++) await run.perform();
}
await measure(`one run of ${TURNS} turns of 40 patches`, long);
