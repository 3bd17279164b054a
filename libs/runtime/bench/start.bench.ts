/**
 * The start of a long run, which is what a new driver does first: folded from its opening, and from the newest snapshot, in alternating rounds of one
 * process; what making a snapshot costs and how large it is, in milliseconds of processor time. In memory, where reading an entry is cheapest and a snapshot gains least. Prints; must never
 * judge. BENCH_FACTS makes it longer. PROTOCOL §3 "Snapshots".
 */
import process from 'node:process';
import { type Bytes, concatBytes, digestOf, sha256, utf8Encode } from '@openexec/canon';
import { imageOf } from '@openexec/kernel';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { KeptLedger, KeptSnapshot } from '@openexec/ledger';
import { foldStored, unopened } from '../src/read.ts';
import { loadRun, SnapshotHabit, type Snapshots } from '../src/snapshots.ts';

const FACTS = Number(process.env['BENCH_FACTS'] ?? 10_000);
const ROUNDS = 5;
const MANY = 10 ** 12;
const CALLS = 40;
const DISTINCT_FILES = 500;
/** Patches an answer, answers a visit, so that the run stays within the limits of one stage. */
const TURNS = 99;

/** Of the processor, not of the clock: on a shared machine a long piece of work waits more often than a short one. */
function spentMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

async function record(): Promise<{ readonly house: House; readonly run: RunDriver; readonly facts: number }> {
  const house = await House.found();
  const count = Math.ceil(FACTS / (CALLS * TURNS)) + 1;
  const stages = Array.from({ length: count }, (_, at) => ({
    id: `work_${at}`,
    type: 'agent',
    goal: 'g',
    turn_limit: 100,
    on_success: at + 1 < count ? `work_${at + 1}` : 'done',
    on_failure: 'fail',
  }));
  const grant = { budget: { tokens: MANY, usdMicros: MANY, calls: MANY }, wallMs: MANY, notAfter: house.later(MANY) };
  const run = await RunDriver.open(house, { blueprint: { ...(ONE_AGENT as object), stages }, grant });
  let facts = 1;
  for (let turn = 0; facts < FACTS; turn++) {
    const over = (run.state.stage?.turn ?? 0) >= TURNS;
    const calls = Array.from({ length: CALLS }, (_, at) => writeFile(`src/${(turn * CALLS + at) % DISTINCT_FILES}.ts`, `${turn}.${at}`));
    await run.answer(over ? 'on' : calls);
    facts += 1;
    for (let at = 0; !over && at < CALLS; at++, facts++) await run.perform();
  }
  return { house, run, facts };
}

const { house, run, facts } = await record();
const store = house.store as KeptLedger; // The fixture's ledger is the one in memory.
const key = utf8Encode('bench');
const snapshots: Snapshots = {
  shelf: store.snapshots,
  program: 'bench',
  tag: (bytes: Bytes) => sha256(concatBytes(key, bytes)),
  note: (message) => {
    throw new Error(message);
  },
};
const habit = new SnapshotHabit(snapshots, { keptAt: 0 });
let folded = unopened(run.run);
const making: number[] = [];
const positions: number[] = [];
for await (const stored of store.read(run.run)) {
  const next = await foldStored(store, folded, stored);
  if (!next.ok) throw new Error(next.error.message);
  folded = next.value.folded;
  const start = process.cpuUsage();
  if (!(await habit.after(folded))) continue;
  making.push(spentMs(start));
  positions.push(stored.entry.seq);
}
const entries = folded.state.nextSeq;
const newest = await store.snapshots.read({ run: run.run, seq: positions.at(-1) ?? -1 });
const kept: KeptSnapshot | null = newest.ok ? newest.value : null;
if (kept === null) throw new Error('no snapshot was kept');

const wanted = digestOf(imageOf(folded.state, null));
async function timed(using: Snapshots | null): Promise<number> {
  const start = process.cpuUsage();
  const loaded = await loadRun(store, run.run, using);
  const ms = spentMs(start);
  if (!loaded.ok || digestOf(imageOf(loaded.value, null)) !== wanted) throw new Error('another state');
  return ms;
}
const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;
const times: { readonly whole: number[]; readonly short: number[] } = { whole: [], short: [] };
for (let round = -1; round < ROUNDS; round++) {
  const [whole, short] = [await timed(null), await timed(snapshots)];
  if (round < 0) continue; // Warms the code up.
  times.whole.push(whole);
  times.short.push(short);
}
const [whole, short] = [median(times.whole), median(times.short)];
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
console.log(`one run of ${facts} facts, ${entries} entries, ${folded.state.world.size} files; result ${wanted}`);
console.log(`start from the opening      ${whole.toFixed(0).padStart(6)} ms`);
console.log(
  `start from the snapshot     ${short.toFixed(0).padStart(6)} ms   1/${(whole / short).toFixed(1)} of it; at ${kept.seq}, ${entries - 1 - kept.seq} entries before the end`,
);
console.log(
  `${positions.length} snapshots made on the way  ${making.reduce((sum, ms) => sum + ms, 0).toFixed(0)} ms in all, the last ${(making.at(-1) ?? 0).toFixed(0)} ms; ${megabytes(kept.bytes.length)}`,
);
