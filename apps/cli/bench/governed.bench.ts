/**
 * What governing one action costs: a no-op action from intent to commit through the real driver on a SQLite ledger at FULL, beside bare transactions
 * that make as many bytes durable in as many commits, in alternating rounds of one process; then how the ledger grows by steps of 1 KB. Prints; must
 * never judge. BENCH_ROUNDS and BENCH_STEPS make it larger. GOALS §3 "governed no-op action", "growth".
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import process from 'node:process';
import Database from 'better-sqlite3';
import { type BenchPlace, benchPlace, type Load } from './place.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const TURNS = 20;
/** A whole number of visits at each of the three marks. */
const STEPS = Math.max(1, Math.round(Number(process.env['BENCH_STEPS'] ?? 400) / (4 * TURNS))) * 4 * TURNS;
/** Turns of a conversation before the next stage starts another one. */
const VISITS = 5;
const STEP_BYTES = 1024;
const GOAL_MS = 1;
const GOAL_MB = 5;

const sorted = (list: readonly number[]): readonly number[] => [...list].sort((a, b) => a - b);
const quantile = (list: readonly number[], part: number): number => sorted(list)[Math.floor(list.length * part)] ?? 0;
const gaps = (times: readonly number[]): readonly number[] => times.slice(1).map((time, at) => time - (times[at] ?? 0));
const ms = (value: number): string => value.toFixed(3).padStart(7);

/** Commits of `bytes` each into a bare table, `commits` to a group; the time of each group. */
function bareGroups(
  folder: string,
  shape: { readonly groups: number; readonly commits: number; readonly bytes: number },
): readonly number[] {
  const db = new Database(join(folder, `bare-${randomBytes(4).toString('hex')}.db`));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE bare (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL)');
  const insert = db.prepare('INSERT INTO bare (payload) VALUES (?)');
  const payload = randomBytes(shape.bytes);
  const times = Array.from({ length: shape.groups }, () => {
    const start = performance.now();
    for (let commit = 0; commit < shape.commits; commit++) insert.run(payload);
    return performance.now() - start;
  });
  db.close();
  return times;
}

/** Bytes of a ledger that holds one such run, over those of a ledger that holds a run of one action. */
async function bytesPerAction(load: Load, actions: number): Promise<number> {
  const sizes: number[] = [];
  for (const one of [{ ...load, visits: 1, turns: 1 }, load]) {
    const place = await benchPlace();
    await place.drive(one);
    sizes.push(await place.close());
    place.remove();
  }
  return ((sizes[1] ?? 0) - (sizes[0] ?? 0)) / actions;
}

async function latency(place: BenchPlace, name: string, perAnswer: number): Promise<void> {
  const load: Load = {
    visits: VISITS,
    turns: TURNS / perAnswer,
    callsOf: () => Array.from({ length: perAnswer }, () => ({ action: 'list_files' as const })),
  };
  const actions = VISITS * TURNS;
  const bytes = await bytesPerAction(load, actions);
  await place.drive(load); // Warms the code up.
  const governed: number[] = [];
  const bare: number[] = [];
  const ratios: number[] = [];
  const floors: number[] = [];
  let appends = 0;
  let entries = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const seen = await place.drive(load);
    appends = seen.appends;
    entries = seen.entries;
    const commits = Math.round(appends / actions);
    const own = gaps(seen.performedMs);
    const floor = bareGroups(place.folder, { groups: actions, commits, bytes: Math.round(bytes / commits) });
    governed.push(...own);
    bare.push(...floor);
    floors.push(quantile(floor, 0.5));
    ratios.push(quantile(own, 0.5) / quantile(floor, 0.5));
  }
  console.log(name);
  console.log(`  governed   p50 ${ms(quantile(governed, 0.5))} ms   p95 ${ms(quantile(governed, 0.95))} ms   goal: p50 <= ${GOAL_MS} ms`);
  console.log(`  bare       p50 ${ms(quantile(bare, 0.5))} ms   p95 ${ms(quantile(bare, 0.95))} ms   as many commits of as many bytes`);
  console.log(`  ratio      ${quantile(ratios, 0.5).toFixed(2)} of the bare commits (median of ${ROUNDS} rounds of ${actions} actions)`);
  const spread = Math.max(...floors) / Math.min(...floors);
  console.log(
    `  spread     ${spread.toFixed(2)} of the bare commits over the rounds${spread > 2 ? ': the disk was not quiet, look at nothing but the ratio' : ''}`,
  );
  console.log(
    `  an action  ${(appends / actions).toFixed(2)} durable appends, ${(entries / actions).toFixed(1)} entries, ${Math.round(bytes)} bytes on disk`,
  );
}

/** Where the bytes of a ledger are, per step: what was recorded, as the rows keep it, and what the file needs around it. */
function whereBytesAre(folder: string, bytes: number, steps: number): string {
  const db = new Database(join(folder, 'ledger.db'), { readonly: true });
  const total = (sql: string): number => Number(db.prepare(sql).pluck().get()) / steps;
  const parts = {
    entries: total('SELECT sum(length(entry) + length(salt)) FROM entries'),
    payloads: total('SELECT sum(length(payload)) FROM entries'),
    blobs: total('SELECT sum(length(bytes)) FROM blobs'),
  };
  db.close();
  const around = bytes / steps - parts.entries - parts.payloads - parts.blobs;
  const said = Object.entries({ ...parts, 'pages and indexes': around }).map(([name, value]) => `${name} ${Math.round(value)}`);
  return said.join(', ');
}

async function growth(name: string, perAnswer: number): Promise<void> {
  console.log(`growth, ${name}: each step writes a file of ${STEP_BYTES} bytes`);
  const sizes: number[] = [];
  for (const steps of [STEPS / 4, STEPS / 2, STEPS]) {
    const grown = await benchPlace();
    const callsOf: Load['callsOf'] = (visit, turn) =>
      Array.from({ length: perAnswer }, (_, at) => ({
        action: 'apply_patch' as const,
        path: `src/step-${visit}-${turn}-${at}.txt`,
        content: randomBytes(STEP_BYTES / 2).toString('hex'),
      }));
    const seen = await grown.drive({ visits: steps / TURNS, turns: TURNS / perAnswer, callsOf });
    const bytes = await grown.close();
    sizes.push(bytes);
    console.log(
      `  ${String(steps).padStart(6)} steps   ${(bytes / 1e6).toFixed(2).padStart(6)} MB   ${Math.round(bytes / steps)} bytes and ${(seen.entries / steps).toFixed(1)} entries a step`,
    );
    if (steps === STEPS) console.log(`  of a step     ${whereBytesAre(grown.folder, bytes, steps)}`);
    grown.remove();
  }
  const [first = 0, middle = 0, last = 0] = sizes;
  const goal = (GOAL_MB * STEPS) / 400;
  console.log(
    `  linear        ${((last - middle) / (2 * (middle - first))).toFixed(3)}: growth per step of the last half over that of the quarter before it`,
  );
  console.log(`  goal          <= ${goal.toFixed(2)} MB at ${STEPS} steps; this is ${(last / 1e6 / goal).toFixed(2)} of it`);
}

const place = await benchPlace();
await latency(place, 'one action an answer (the model is asked before each)', 1);
await latency(place, `${TURNS} actions an answer`, TURNS);
await place.close();
place.remove();
await growth('one action an answer', 1);
await growth(`${TURNS} actions an answer`, TURNS);
