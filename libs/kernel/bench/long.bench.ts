/**
 * Judging and folding one long run: time per event early (the second thousand, as the opening is in the first) and in the last thousand, which are
 * to cost the same, beside a bare fold that reads the same payloads with JSON.parse and keeps them in a map. Prints; must never judge. BENCH_EVENTS
 * makes it longer. GOALS §3 "costs must stay flat".
 */
import process from 'node:process';
import { type Bytes, canonicalText, type Digest, digestOf } from '@openexec/canon';
import { evolve, initialState, isFact, judge, neededBlobs, type RunEvent, type RunState } from '@openexec/kernel';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 20_000);
const ROUNDS = 3;
const WINDOW = 1000;
/** Patches an answer, so that a turn is a few hundred events. */
const CALLS = 40;
const MANY = 10 ** 12;
const DISTINCT_FILES = 2000;

interface Recorded {
  readonly seq: number;
  readonly event: RunEvent;
  readonly text: string;
}

/** Plays a run of at least so many events through the kernel and gives them as recorded. */
async function record(): Promise<{ readonly house: House; readonly run: RunDriver; readonly events: readonly Recorded[] }> {
  const house = await House.found();
  const stages = Array.from({ length: Math.ceil(EVENTS / 20_000) }, (_, at) => ({
    id: `work_${at}`,
    type: 'agent',
    goal: 'g',
    turn_limit: 100,
    on_success: 'done',
    on_failure: 'fail',
  }));
  const linked = stages.map((stage, at) => (at + 1 < stages.length ? { ...stage, on_success: `work_${at + 1}` } : stage));
  const grant = { budget: { tokens: MANY, usdMicros: MANY, calls: MANY }, wallMs: MANY, notAfter: house.later(MANY) };
  const run = await RunDriver.open(house, { blueprint: { ...(ONE_AGENT as object), stages: linked }, grant });
  for (let turn = 0; run.state.nextSeq < EVENTS; turn++) {
    const calls = Array.from({ length: CALLS }, (_, at) => writeFile(`src/${(turn * CALLS + at) % DISTINCT_FILES}.ts`, `${turn}.${at}`));
    await run.answer(run.state.stage !== null && run.state.stage.turn >= 99 ? 'on' : calls);
    while (run.state.status === 'running' && run.state.stage?.intents.some(({ phase }) => phase !== 'ended') === true) await run.perform();
  }
  return { house, run, events: await recorded(house, run) };
}

async function recorded(house: House, run: RunDriver): Promise<readonly Recorded[]> {
  const events: Recorded[] = [];
  for await (const { entry, payload } of house.store.read(run.run)) {
    const text = new TextDecoder().decode(payload ?? new Uint8Array());
    const bare = { kind: entry.kind, at: entry.at, cause: entry.cause, law: entry.law, body: JSON.parse(text) as unknown };
    const blobs = new Map<Digest, Bytes>();
    // The store admits an entry only with a body of its kind.
    for (const { digest } of neededBlobs(bare as unknown as RunEvent)) {
      const read = await house.store.blob(digest);
      if (read.ok) blobs.set(digest, read.value);
    }
    events.push({ seq: entry.seq, event: { ...bare, blobs } as unknown as RunEvent, text });
  }
  return events;
}

interface Windows {
  readonly first: number;
  readonly last: number;
  readonly all: number;
}

/** Microseconds an event: of the first window, the last, and all. */
function timed(events: readonly Recorded[], step: (each: Recorded) => void): Windows {
  const marks: number[] = [];
  for (const [at, each] of events.entries()) {
    if (at % WINDOW === 0) marks.push(performance.now());
    step(each);
  }
  const end = performance.now();
  const whole = Math.floor(events.length / WINDOW);
  const span = (index: number): number => (((marks[index + 1] ?? end) - (marks[index] ?? 0)) / WINDOW) * 1000;
  // The opening is in the first window: it parses the whole law of the run. The second window is the first plain one.
  return { first: span(1), last: span(whole - 1), all: ((end - (marks[0] ?? 0)) / events.length) * 1000 };
}

const { house, run, events } = await record();
let made = 0;
function folding(judging: boolean): (each: Recorded) => void {
  let state: RunState = initialState(run.run);
  return ({ seq, event }) => {
    state = evolve(state, seq, event);
    if (judging && isFact(event)) made += judge(state, house.law).length;
  };
}
function bare(): (each: Recorded) => void {
  const map = new Map<number, unknown>();
  return ({ seq, text }) => void map.set(seq, JSON.parse(text));
}

const works: Readonly<Record<string, () => (each: Recorded) => void>> = {
  'judge + evolve': () => folding(true),
  'evolve alone': () => folding(false),
  'JSON.parse + map': bare,
};
const best = new Map<string, Windows>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, work] of Object.entries(works)) {
    const now = timed(events, work());
    const known = best.get(name) ?? now;
    best.set(name, { first: Math.min(known.first, now.first), last: Math.min(known.last, now.last), all: Math.min(known.all, now.all) });
  }
}
const facts = events.filter(({ event }) => isFact(event)).length;
if (made !== (events.length - facts) * ROUNDS)
  throw new Error(`the ledger has ${events.length - facts} judgements, ${made / ROUNDS} were made`);
console.log(
  `one run of ${events.length} events, ${facts} of them facts, ${run.state.world.size} files; result ${digestOf(canonicalText(events.map(({ text }) => digestOf(text))))}`,
);
const floor = best.get('JSON.parse + map')?.all ?? 0;
for (const [name, { first, last, all }] of best) {
  console.log(
    `${name.padEnd(17)} ${(1e3 / all).toFixed(1).padStart(7)} k/s   second 1000 ${first.toFixed(1).padStart(6)} us, last 1000 ${last.toFixed(1).padStart(6)} us, last of second ${(last / first).toFixed(2)}   ${(all / floor).toFixed(1)} times the bare fold`,
  );
}
