/**
 * Durable appends beside bare better-sqlite3 doing the same inserts at the same durability, in one process, round by round. Prints both sides,
 * the median ratio and its spread. GOALS §3; method of TOOLCHAIN §7.
 */
import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import type { Draft, LedgerStore, Stored } from '@openexec/ledger';
import type { TrajectoryId } from '@openexec/canon';
import Database from 'better-sqlite3';
import { folder, found, opened, openRun, removeFolders } from '../test/support.ts';

const SCALE = Number(process.env['OPENEXEC_BENCH_SCALE'] ?? '1');
/** Many short rounds: the load of a shared machine changes within seconds, and must change for both sides alike. */
const ROUNDS = 25;
const WARM_UP = 12;
const COMMIT = { because: 'x'.repeat(250) };

const draft = (seq: number): Draft => fixtures.fact('run.cancelRequested', COMMIT, { at: fixtures.after(seq) });

async function ledger(): Promise<{ store: LedgerStore; run: TrajectoryId }> {
  const store = await opened(join(folder(), 'ledger.db'));
  return { store, run: await openRun(store, await found(store), 'bench') };
}

/** The same bytes in the same columns under the same unique index. */
function bare(index: boolean): { db: Database.Database; insert: Database.Statement } {
  const db = new Database(join(folder(), 'bare.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(
    'CREATE TABLE entries (idx INTEGER PRIMARY KEY, trajectory INTEGER NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, payload BLOB, salt BLOB)',
  );
  if (index) db.exec('CREATE UNIQUE INDEX place ON entries (trajectory, seq)');
  return { db, insert: db.prepare('INSERT INTO entries (trajectory, seq, entry, payload, salt) VALUES (?, ?, ?, ?, ?)') };
}

async function sample(): Promise<Stored> {
  const { store, run } = await ledger();
  const result = await store.append(fixtures.batchTo(run, 0, [draft(1)]));
  if (!result.ok || result.value.stored[0] === undefined) throw new Error('no sample');
  await store.close();
  return result.value.stored[0];
}

/** Entries per second of one round. */
type Side = () => Promise<number>;

async function timed(count: number, work: () => Promise<void> | void): Promise<number> {
  const since = performance.now();
  await work();
  return (count * 1000) / (performance.now() - since);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function pair(name: string, goal: string, ours: Side, floor: Side): Promise<void> {
  const rates: { ours: number; floor: number }[] = [];
  // Until the compiler has seen enough: the first two thousand appends of a process cost twice what the later ones do.
  for (let round = 0; round < WARM_UP; round++) await ours();
  await floor();
  for (let round = 0; round < ROUNDS; round++)
    rates.push(round % 2 === 0 ? { ours: await ours(), floor: await floor() } : { floor: await floor(), ours: await ours() });
  const ratios = rates.map((rate) => rate.ours / rate.floor);
  const text = (value: number): string => Math.round(value).toLocaleString('en').padStart(9);
  process.stdout.write(
    `${name.padEnd(44)} ours ${text(median(rates.map((rate) => rate.ours)))}/s  other ${text(median(rates.map((rate) => rate.floor)))}/s  ` +
      `ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})  goal ${goal}\n`,
  );
}

async function main(): Promise<void> {
  const row = await sample();
  process.stdout.write(`entry ${row.entryBytes.length} bytes, payload ${row.payload?.length ?? 0} bytes, Node ${process.version}\n`);
  const { store, run } = await ledger();
  let seq = 0;
  const floor = bare(true);
  const naked = bare(false);
  let at = 0;
  const singles = Math.round(150 * SCALE);
  const insertOne = (): void => void floor.insert.run(1, at++, row.entryBytes, row.payload, row.salt);
  await pair(
    'one durable append',
    '>= 0.9',
    () =>
      timed(singles, async () => {
        for (let i = 0; i < singles; i++) await take(store, run, seq, [draft(++seq)]);
      }),
    () =>
      timed(singles, () => {
        for (let i = 0; i < singles; i++) insertOne();
      }),
  );

  const batches = Math.round(12 * SCALE);
  const many = (side: { db: Database.Database; insert: Database.Statement }): Side => {
    const all = side.db.transaction(() => {
      for (let i = 0; i < 256; i++) side.insert.run(1, at++, row.entryBytes, row.payload, row.salt);
    });
    return () =>
      timed(batches * 256, () => {
        for (let i = 0; i < batches; i++) all.immediate();
      });
  };
  const ours: Side = () => {
    const drafts = Array.from({ length: batches }, (_, i) => Array.from({ length: 256 }, (__, j) => draft(seq + i * 256 + j)));
    return timed(batches * 256, async () => {
      for (const batch of drafts) {
        await take(store, run, seq, batch);
        seq += 256;
      }
    });
  };
  await pair('256 events per commit, same unique index', '>= 0.7', ours, many(floor));
  await pair('256 events per commit, bare without index', '>= 0.3', ours, many(naked));

  await appenders(store, run, singles);
  process.stdout.write(
    `size ${(await store.head()).size}, root ${Buffer.from((await store.head()).root)
      .toString('hex')
      .slice(0, 16)}\n`,
  );
  await store.close();
  floor.db.close();
  naked.db.close();
  removeFolders();
}

/** The gain of sharing commits: 64 that each wait for their own appends, beside one that does. */
async function appenders(store: LedgerStore, run: TrajectoryId, singles: number): Promise<void> {
  const each = Math.round(16 * SCALE);
  await pair(
    '64 appenders at once, beside one',
    '>= 10',
    () =>
      timed(64 * each, async () => {
        await Promise.all(
          Array.from({ length: 64 }, async () => {
            for (let i = 0; i < each; i++) await take(store, run, 'any', [draft(0)]);
          }),
        );
      }),
    () =>
      timed(singles, async () => {
        for (let i = 0; i < singles; i++) await take(store, run, 'any', [draft(0)]);
      }),
  );
}

async function take(store: LedgerStore, run: TrajectoryId, expect: 'any' | number, drafts: readonly Draft[]): Promise<void> {
  const result = await store.append(fixtures.batchTo(run, expect, drafts));
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
}

await main();
