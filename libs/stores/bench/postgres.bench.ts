/**
 * Durable appends to a ledger in Postgres beside bare transactions of the same bytes on the same server, round by round: alone, and 16 at once on one
 * ledger beside 16 connections that each lock the head, insert and commit. Prints both sides, the median ratio and its spread. GOALS §3.
 */
import { cpus } from 'node:os';
import process from 'node:process';
import type { TrajectoryId } from '@openexec/canon';
import { fixtures } from '@openexec/ledger/contract';
import type { Draft, LedgerStore, Stored } from '@openexec/ledger';
import { startPostgres } from '@openexec/stores/testServer';
import pg from 'pg';
import { found, opened, openRun } from '../test/support.ts';

const SCALE = Number(process.env['OPENEXEC_BENCH_SCALE'] ?? '1');
const ROUNDS = 15;
const WARM_UP = 4;
const WRITERS = 16;
const COMMIT = { because: 'x'.repeat(250) };
const EACH = Math.round(24 * SCALE);

const draft = (seq: number): Draft => fixtures.fact('run.cancelRequested', COMMIT, { at: fixtures.after(seq) });

async function take(store: LedgerStore, run: TrajectoryId): Promise<Stored> {
  const result = await store.append(fixtures.batchTo(run, 'any', [draft(0)]));
  const stored = result.ok ? result.value.stored[0] : undefined;
  if (stored === undefined) throw new Error(result.ok ? 'nothing was stored' : result.error.message);
  return stored;
}

/** One locked insert per transaction, as a program without a ledger would write an ordered log. */
async function bareInsert(client: pg.Client, row: Stored): Promise<void> {
  await client.query('BEGIN');
  const head = await client.query<{ readonly size: string }>('SELECT size FROM bare_head FOR UPDATE');
  const at = Number(head.rows[0]?.size ?? 0);
  await client.query('INSERT INTO bare VALUES ($1, $2, $3, $4, $5, $6)', [at, 1, at, row.entryBytes, row.payload, row.salt]);
  await client.query('UPDATE bare_head SET size = $1', [at + 1]);
  await client.query('COMMIT');
}

/** Per second. */
async function rate(count: number, work: () => Promise<void>): Promise<number> {
  const since = performance.now();
  await work();
  return (count * 1000) / (performance.now() - since);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function pair(name: string, goal: string, ours: () => Promise<number>, other: () => Promise<number>): Promise<void> {
  const rates: (readonly [number, number])[] = [];
  for (let round = 0; round < WARM_UP; round++) await ours();
  await other();
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % 2 === 0 ? await ours() : await other();
    const second = round % 2 === 0 ? await other() : await ours();
    rates.push(round % 2 === 0 ? [first, second] : [second, first]);
  }
  const ratios = rates.map(([left, right]) => left / right);
  const text = (value: number): string => Math.round(value).toLocaleString('en').padStart(7);
  process.stdout.write(
    `${name.padEnd(52)} ours ${text(median(rates.map(([left]) => left)))}/s  other ${text(median(rates.map(([, right]) => right)))}/s  ` +
      `ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})  goal ${goal}\n`,
  );
}

async function main(): Promise<void> {
  const server = await startPostgres();
  const address = await server.database();
  const store = await opened(address);
  const run = await openRun(store, await found(store), 'bench');
  const row = await take(store, run);
  const clients = await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      const client = new pg.Client({ connectionString: address });
      await client.connect();
      return client;
    }),
  );
  const [one] = clients;
  if (one === undefined) throw new Error('no connection');
  await one.query('CREATE TABLE bare_head (size bigint NOT NULL); INSERT INTO bare_head VALUES (0)');
  await one.query(
    'CREATE TABLE bare (idx bigint PRIMARY KEY, trajectory bigint NOT NULL, seq bigint NOT NULL, entry bytea NOT NULL, payload bytea, salt bytea, UNIQUE (trajectory, seq))',
  );
  process.stdout.write(
    `Postgres ${await server.version()}, fsync on, synchronous_commit on; entry ${row.entryBytes.length} bytes, payload ${row.payload?.length ?? 0} bytes, ` +
      `Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'})\n`,
  );
  const many = async (work: (writer: number) => Promise<unknown>): Promise<void> => {
    const turns = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let i = 0; i < EACH; i++) await work(writer);
    });
    await Promise.all(turns);
  };
  const alone = async (work: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < EACH * 2; i++) await work();
  };
  await pair(
    'one durable append, beside one locked insert',
    '>= 0.5',
    () => rate(EACH * 2, () => alone(() => take(store, run))),
    () => rate(EACH * 2, () => alone(() => bareInsert(one, row))),
  );
  await pair(
    '16 writers on one ledger, beside 16 locked inserts',
    '>= 10',
    () => rate(WRITERS * EACH, () => many(() => take(store, run))),
    () => rate(WRITERS * EACH, () => many((writer) => bareInsert(clients[writer] ?? one, row))),
  );
  for (const client of clients) await client.end();
  await store.close();
  await server.stop();
}

await main();
