/**
 * Appends of this ledger beside other event stores and logs and beside bare inserts of the same bytes, in one process, on one disk and one server, round by
 * round: 1, 16, 64 and 256 entries an append; 1, 16 and 64 appenders at once. `npm run bench -- peers` installs the peers into .cache, by their lockfile.
 * Prints what each side does for its rate; must never judge. GOALS §3; TOOLCHAIN §6 "fairness".
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { TrajectoryId } from '@openexec/canon';
import type { Draft, LedgerStore, Stored } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { startPostgres } from '@openexec/stores/testServer';
import Database from 'better-sqlite3';
import pg from 'pg';
import { folder, found, opened, openRun, removeFolders } from '../test/support.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 7);
const SIZES = [1, 16, 64, 256];
const APPENDERS = [1, 16, 64];
const TEXT = 'x'.repeat(250);
/** Entries of one round of one side, whatever the size of its appends. */
const ENTRIES = 512;
const FEW = 128;

/** One side of a comparison: appends `count` entries at once, durably as it says. */
interface Side {
  readonly name: string;
  append(count: number): Promise<void> | void;
}
interface EventStore {
  appendToStream(stream: string, events: readonly { readonly type: string; readonly data: object }[]): Promise<unknown>;
  close?(): Promise<void>;
}
/** Null is a peer that does not load here; it is named with the reason. */
interface Peers {
  readonly sqlite: { getSQLiteEventStore(options: object): EventStore } | null;
  readonly postgresql: { getPostgreSQLEventStore(address: string): EventStore } | null;
  readonly Hypercore:
    | (new (
        path: string,
      ) => { ready(): Promise<void>; append(blocks: readonly Buffer[]): Promise<unknown>; close(): Promise<void> })
    | null;
  readonly version: (name: string) => string;
}

/** The peers where the bench command has put them: none of them is a dependency of the house. */
async function installed(place: string): Promise<Peers> {
  const manifest = join(place, 'package.json');
  const from = createRequire(manifest);
  const load = async (name: string): Promise<unknown> => {
    try {
      return await import(pathToFileURL(from.resolve(name)).href);
    } catch (error) {
      console.log(`not measured: ${name} does not load here: ${String(error).split('\n')[0]}`);
      return null;
    }
  };
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly dependencies: { readonly [name: string]: string } };
  // Their shapes are those of the versions that the lockfile names.
  const hypercore = (await load('hypercore')) as { readonly default: NonNullable<Peers['Hypercore']> } | null;
  return {
    sqlite: (await load('@event-driven-io/emmett-sqlite')) as Peers['sqlite'],
    postgresql: (await load('@event-driven-io/emmett-postgresql')) as Peers['postgresql'],
    Hypercore: hypercore?.default ?? null,
    version: (name) => `${name.split('/').at(-1)} ${dependencies[name]}`,
  };
}

const draft = (seq: number): Draft => fixtures.fact('run.cancelRequested', { because: TEXT }, { at: fixtures.after(seq) });
const drafts = (count: number): readonly Draft[] => Array.from({ length: count }, (_, at) => draft(at));

async function take(store: LedgerStore, run: TrajectoryId, list: readonly Draft[]): Promise<readonly Stored[]> {
  const result = await store.append(fixtures.batchTo(run, 'any', list));
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value.stored;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function rate(entries: number, work: () => Promise<void>): Promise<number> {
  const since = performance.now();
  await work();
  return (entries * 1000) / (performance.now() - since);
}

const per = (value: number): string => Math.round(value).toLocaleString('en').padStart(8);

/** Each side in turn, every round beginning with another one; rates per second, and their ratio to the first side in the same round. */
async function compare(title: string, entries: number, sides: readonly { readonly name: string; round(): Promise<void> }[]): Promise<void> {
  const rates = sides.map((): number[] => []);
  for (const { round } of sides) await round();
  for (let turn = 0; turn < ROUNDS; turn++)
    for (let at = 0; at < sides.length; at++) {
      const which = (at + turn) % sides.length;
      const side = sides[which];
      if (side !== undefined) rates[which]?.push(await rate(entries, () => side.round()));
    }
  console.log(title);
  for (const [at, { name }] of sides.entries()) {
    const own = rates[at] ?? [];
    const ratios = own.map((value, turn) => value / (rates[0]?.[turn] ?? Number.NaN));
    const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    console.log(`  ${name.padEnd(58)} ${per(median(own))} entries/s   ${median(ratios).toFixed(2)} of the first (${spread})`);
  }
}

/** A peer as a side, where it is there. */
function peer<T>(it: T | undefined, name: string, append: (it: T, count: number) => Promise<void>): readonly Side[] {
  return it === undefined ? [] : [{ name, append: (count) => append(it, count) }];
}

async function sizes(where: string, sides: readonly Side[]): Promise<void> {
  for (const size of SIZES) {
    const entries = size === 1 ? FEW : ENTRIES;
    const rounds = sides.map(({ name, append }) => ({
      name,
      round: async () => {
        for (let done = 0; done < entries; done += size) await append(size);
      },
    }));
    await compare(`${where}, ${size} an append`, entries, rounds);
  }
}

/** Many that each wait for their own appends, beside one that does. */
async function appenders(where: string, store: LedgerStore, run: TrajectoryId): Promise<void> {
  const rounds = APPENDERS.map((count) => ({
    name: `${count} appender${count > 1 ? 's' : ''} of this ledger, one entry each time`,
    round: async () => {
      const each = Array.from({ length: count }, async () => {
        for (let done = 0; done < FEW / Math.min(count, 16); done++) await take(store, run, [draft(0)]);
      });
      await Promise.all(each);
    },
  }));
  for (const [at, round] of rounds.entries()) {
    const count = APPENDERS[at] ?? 1;
    const one = rounds[0];
    if (one !== undefined && count > 1)
      await compareRates(`${where}, ${count} appenders at once beside one`, [
        { ...round, entries: count * Math.floor(FEW / Math.min(count, 16)) },
        { ...one, entries: FEW },
      ]);
  }
}

async function compareRates(
  title: string,
  [many, one]: readonly [{ round(): Promise<void>; readonly entries: number }, { round(): Promise<void>; readonly entries: number }],
): Promise<void> {
  const ratios: number[] = [];
  const rates: number[] = [];
  for (let turn = 0; turn <= ROUNDS; turn++) {
    const [left, right] = [await rate(many.entries, () => many.round()), await rate(one.entries, () => one.round())];
    if (turn === 0) continue;
    rates.push(left);
    ratios.push(left / right);
  }
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
  console.log(`${title}\n  ${''.padEnd(58)} ${per(median(rates))} entries/s   ${median(ratios).toFixed(2)} times one (${spread})`);
}

async function onSqlite(peers: Peers): Promise<void> {
  const store = await opened(join(folder(), 'ledger.db'));
  const run = await openRun(store, await found(store), 'bench');
  const [row] = await take(store, run, drafts(1));
  const bare = new Database(join(folder(), 'bare.db'));
  bare.pragma('journal_mode = WAL');
  bare.pragma('synchronous = FULL');
  bare.exec(
    'CREATE TABLE entries (idx INTEGER PRIMARY KEY, trajectory INTEGER, seq INTEGER, entry BLOB, payload BLOB, salt BLOB, UNIQUE (trajectory, seq))',
  );
  const insert = bare.prepare('INSERT INTO entries (trajectory, seq, entry, payload, salt) VALUES (1, ?, ?, ?, ?)');
  let seq = 0;
  const all = bare.transaction((count: number) => {
    for (let done = 0; done < count; done++) insert.run(seq++, row?.entryBytes, row?.payload, row?.salt);
  });
  const emmett = peers.sqlite?.getSQLiteEventStore({ fileName: join(folder(), 'emmett.db') });
  const core = peers.Hypercore === null ? undefined : new peers.Hypercore(join(folder(), 'core'));
  await core?.ready();
  const events = (count: number) => Array.from({ length: count }, () => ({ type: 'CancelRequested', data: { because: TEXT } }));
  const block = Buffer.from(JSON.stringify({ type: 'CancelRequested', data: { because: TEXT }, entry: randomBytes(180).toString('hex') }));
  await sizes('SQLite on this disk', [
    { name: 'bare better-sqlite3 insert, WAL and FULL, same bytes', append: (count) => all.immediate(count) },
    { name: 'this ledger, WAL and FULL', append: async (count) => void (await take(store, run, drafts(count))) },
    ...peer(emmett, `${peers.version('@event-driven-io/emmett-sqlite')}, as it comes (FULL, no chain)`, async (store_, count) => {
      await store_.appendToStream('bench', events(count));
    }),
    ...peer(core, `${peers.version('hypercore')}, signed and hashed, not synced by append`, async (log, count) => {
      await log.append(Array.from({ length: count }, () => block));
    }),
  ]);
  await appenders('SQLite on this disk', store, run);
  await core?.close();
  await emmett?.close?.();
  await store.close();
  bare.close();
}

async function onPostgres(peers: Peers): Promise<void> {
  const server = await startPostgres();
  const [ours, theirs] = [await server.database(), await server.database()];
  const store = await opened(ours);
  const run = await openRun(store, await found(store), 'bench');
  const [row] = await take(store, run, drafts(1));
  const client = new pg.Client({ connectionString: ours });
  await client.connect();
  await client.query('CREATE TABLE bare_head (size bigint NOT NULL); INSERT INTO bare_head VALUES (0)');
  await client.query('CREATE TABLE bare (idx bigint PRIMARY KEY, entry bytea NOT NULL, payload bytea, salt bytea)');
  const emmett = peers.postgresql?.getPostgreSQLEventStore(theirs);
  const events = (count: number) => Array.from({ length: count }, () => ({ type: 'CancelRequested', data: { because: TEXT } }));
  const bare = async (count: number): Promise<void> => {
    await client.query('BEGIN');
    const head = await client.query<{ readonly size: string }>('SELECT size FROM bare_head FOR UPDATE');
    const at = Number(head.rows[0]?.size ?? 0);
    const of = <T>(value: T): T[] => Array.from({ length: count }, () => value);
    const indexes = Array.from({ length: count }, (_, offset) => at + offset);
    await client.query('INSERT INTO bare SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[])', [
      indexes,
      of(Buffer.from(row?.entryBytes ?? [])),
      of(Buffer.from(row?.payload ?? [])),
      of(Buffer.from(row?.salt ?? [])),
    ]);
    await client.query('UPDATE bare_head SET size = $1', [at + count]);
    await client.query('COMMIT');
  };
  await sizes(`Postgres ${await server.version()}, synchronous_commit on`, [
    { name: 'bare locked insert by UNNEST, same bytes', append: bare },
    { name: 'this ledger', append: async (count) => void (await take(store, run, drafts(count))) },
    ...peer(emmett, `${peers.version('@event-driven-io/emmett-postgresql')}, as it comes (no chain)`, async (store_, count) => {
      await store_.appendToStream('bench', events(count));
    }),
  ]);
  await appenders('Postgres', store, run);
  await emmett?.close?.();
  await client.end();
  await store.close();
  await server.stop();
}

const place = process.env['OPENEXEC_BENCH_PEERS'];
if (place === undefined) throw new Error('the peers are not installed: npm run bench -- peers does that');
const peers = await installed(place);
const [cpu] = cpus();
console.log(
  `Node ${process.version}, ${cpus().length} cores (${cpu?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1)} at the beginning, ${ROUNDS} rounds`,
);
await onSqlite(peers);
await onPostgres(peers);
console.log(`load ${loadavg()[0]?.toFixed(1)} at the end`);
removeFolders();
process.exit(0);
