/** Postgres: the contract of ledgers, opening and refusing, durability settings, many processes, broken connections, crashes, the same bytes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { fixtures, ledgerKeeperContract, ledgerStoreContract, snapshotShelfContract } from '@openexec/ledger/contract';
import type { KeptLedger } from '@openexec/ledger';
import pg from 'pg';
import { acquirePostgresLease } from '@openexec/stores/postgres';
import { bundled, run } from './children.ts';
import { hasSystemPostgres, type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { leaseContract, taken } from './lease.contract.ts';
import { check, folder, found, opened, openRun, openWith, refusalOf, removeFolders } from './support.ts';

const { batchTo, fact, CANCEL, textBlob } = fixtures;
const START_MS = 240_000;
// A contract's test opens several ledgers, each a schema with its tables, on a server that waits for the disk.
jest.setTimeout(START_MS);
let server: PostgresServer;
let database = '';
let child = '';
let serial = 0;
/** An address of a ledger that is not there yet: one database, a schema for each. */
const fresh = (): string => `${database}?schema=l${++serial}`;
/** Takes a lock in a session of its own and keeps it; `awaited` comes when somebody else waits for a lock. */
async function holding(statement: string): Promise<{ awaited(): Promise<void>; letGo(): Promise<void> }> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  await client.query('BEGIN');
  await client.query(statement);
  return {
    awaited: async () => {
      while ((await client.query('SELECT 1 FROM pg_locks WHERE NOT granted')).rows.length === 0)
        await new Promise((resolve) => setTimeout(resolve, 10));
    },
    letGo: async () => {
      await client.query('ROLLBACK');
      await client.end();
    },
  };
}

beforeAll(async () => {
  child = await bundled('appendChild');
  server = await startPostgres();
  database = await server.database();
}, START_MS);
afterAll(async () => {
  await server.stop();
  removeFolders();
  rmSync(child, { force: true });
}, START_MS);

ledgerStoreContract({ describe, test, expect }, { name: 'Postgres', check, open: (keys) => openWith(fresh(), keys) });
ledgerKeeperContract({ describe, test, expect }, { name: 'Postgres', check, open: (keys) => openWith(fresh(), keys) });
snapshotShelfContract({ describe, test, expect }, { name: 'Postgres', check, open: (keys) => openWith(fresh(), keys) });

// Two majors apart: what only one of them takes shows here. Where the system has none of its own the suite above stands alone, and this title says so.
(hasSystemPostgres() ? describe : describe.skip)('the Postgres of the system (not run where none is installed)', () => {
  let other: PostgresServer;
  let place = '';
  beforeAll(async () => {
    other = await startPostgres('system');
    place = await other.database();
  }, START_MS);
  afterAll(async () => other.stop(), START_MS);
  ledgerStoreContract({ describe, test, expect }, { name: 'it', check, open: (keys) => openWith(`${place}?schema=s${++serial}`, keys) });
});

describe('opening', () => {
  test('a bad address, an unknown host, a missing database and ledger, foreign tables and a newer format are each refused by name', async () => {
    expect(await refusalOf('postgres://[')).toBe('store.address');
    expect(await refusalOf(`${database}?schema=Robert'); DROP`)).toBe('store.address');
    expect(await refusalOf('postgres://openexec@127.0.0.1:1/none')).toBe('store.unreachable');
    const missing = new URL(database);
    missing.pathname = '/no_such_database';
    expect(await refusalOf(missing.toString(), { missing: 'create' })).toBe('store.missing');
    expect(await refusalOf(fresh())).toBe('store.missing');
    const name = new URL(database).pathname.slice(1);
    await server.admin('CREATE SCHEMA other; CREATE TABLE other.t (a int)', name);
    expect(await refusalOf(`${database}?schema=other`, { missing: 'create' })).toBe('store.notALedger');
    const place = fresh();
    await (await opened(place)).close();
    await server.admin(`UPDATE ${place.split('=')[1]}.migrations SET version = 99 WHERE version > 1`, name);
    expect(await refusalOf(place)).toBe('store.newerFormat');
    expect(await refusalOf(place, { access: 'readOnly' })).toBe('store.newerFormat');
  });

  test('a role that may not read is denied, and one that may not write is refused writing before it tries', async () => {
    const place = fresh();
    await (await opened(place)).close();
    const [schema, database_] = [place.split('=')[1], new URL(database).pathname.slice(1)];
    const role = `role_${schema}`;
    const as = new URL(place);
    as.username = role;
    await server.admin(`CREATE ROLE ${role} LOGIN`);
    expect(await refusalOf(as.toString(), { access: 'readOnly' })).toBe('store.denied');
    await server.admin(`GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`, database_);
    expect(await refusalOf(as.toString(), { access: 'readOnly' })).toBe('opened');
    expect(await refusalOf(as.toString())).toBe('store.readOnly');
  });

  test('what was appended is there after closing and opening again, and opened for reading only it refuses to write', async () => {
    const place = fresh();
    const store = await opened(place);
    const name = await openRun(store, await found(store), 'a');
    const head = await store.head();
    await store.close();
    const reading = await opened(place, { access: 'readOnly' });
    expect(await reading.head()).toEqual(head);
    expect(await reading.append(batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]))).toMatchObject({
      ok: false,
      error: { code: 'store.readOnly' },
    });
    await reading.close();
  });

  test('two processes that open a new ledger at once make one', async () => {
    const place = fresh();
    const stores = await Promise.all([1, 2, 3, 4].map(() => opened(place)));
    const [first, second] = stores as [KeptLedger, KeptLedger];
    await found(first);
    expect(await second.head()).toEqual(await first.head());
    await Promise.all(stores.map((store) => store.close()));
  });

  test('a server that would lose a commit in a power cut is refused', async () => {
    const place = fresh();
    await (await opened(place)).close();
    await server.admin('ALTER SYSTEM SET full_page_writes = off');
    await server.admin('SELECT pg_reload_conf()');
    try {
      let code = '';
      for (let tries = 0; tries < 1500 && code !== 'store.notDurable'; tries++) {
        code = await refusalOf(place);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(code).toBe('store.notDurable');
    } finally {
      await server.admin('ALTER SYSTEM RESET full_page_writes');
      await server.admin('SELECT pg_reload_conf()');
    }
  });

  test('a role whose sessions do not wait for the disk is made to wait', async () => {
    await server.admin('CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off');
    const at = new URL(fresh());
    at.username = 'hasty';
    await (await opened(at.toString())).close();
  });
});

describe('many writers', () => {
  test(
    'of two processes that race for the same positions exactly one wins each, and both stay in order',
    async () => {
      const place = fresh();
      const store = await opened(place);
      await openRun(store, await found(store), 'race');
      const outcomes = await Promise.all(['one', 'two'].map((name) => run(process.execPath, [child, 'race', place, name, '40'])));
      const wins = outcomes.flatMap(({ lines }) => lines.filter((line) => line.startsWith('won ')).map((line) => Number(line.slice(4))));
      expect(outcomes.map(({ errors }) => errors)).toEqual(['', '']);
      expect(wins.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      await check(store);
      await store.close();
    },
    START_MS,
  );

  test(
    'a subscription sees what another process appends, all of it once, also after its connection was cut',
    async () => {
      const place = fresh();
      const store = await opened(place);
      await openRun(store, await found(store), 'race');
      const seen: bigint[] = [];
      const following = (async () => {
        for await (const stored of store.follow(3n)) {
          seen.push(stored.index);
          if (seen.length === 80) break;
        }
      })();
      await run(process.execPath, [child, 'race', place, 'other', '40']);
      const cut = await server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openexec listen'");
      expect(cut.rowCount).toBeGreaterThan(0);
      await run(process.execPath, [child, 'race', place, 'again', '80']);
      await following;
      expect(seen).toEqual(Array.from({ length: 80 }, (_, i) => BigInt(i + 3)));
      await store.close();
    },
    START_MS,
  );

  test(
    'two handles of one process keep each other up to date, over several blocks of the tree',
    async () => {
      const place = fresh();
      const [a, b] = [await opened(place), await opened(place)];
      const name = await openRun(a, await found(a), 'a');
      for (let seq = 0; seq < 600; seq++) {
        const taken = await (seq % 2 === 0 ? a : b).append(batchTo(name, seq, [fact('run.cancelRequested', CANCEL)]));
        expect(taken.ok).toBe(true);
      }
      await check(a);
      expect(await a.head()).toEqual(await b.head());
      await a.close();
      await check(b);
      await b.close();
    },
    START_MS,
  );

  test('what arrives together shares commits, and one conflict among them costs the others nothing', async () => {
    const place = fresh();
    const store = await opened(place);
    const fingerprint = await found(store);
    const names = await Promise.all(Array.from({ length: 32 }, (_, i) => openRun(store, fingerprint, `r${i}`)));
    const results = await Promise.all(
      names.map((name, i) => store.append(batchTo(name, i === 7 ? 5 : 0, [fact('run.cancelRequested', CANCEL)]))),
    );
    expect(results.flatMap((result, i) => (result.ok ? [] : [`${i} ${result.error.code}`]))).toEqual(['7 conflict']);
    await check(store);
    await store.close();
  });

  test(
    'a writer that holds the lock for good makes others answer store.busy, storing nothing',
    async () => {
      const place = fresh();
      const store = await opened(place);
      const name = await openRun(store, await found(store), 'a');
      const holder = await holding(`SELECT 1 FROM ${place.split('=')[1]}.head FOR UPDATE`);
      const batch = batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]);
      expect(await store.append(batch)).toMatchObject({ ok: false, error: { code: 'store.busy' } });
      await holder.letGo();
      expect(await store.append(batch)).toMatchObject({ ok: true, value: { outcome: 'appended' } });
      await check(store);
      await store.close();
    },
    START_MS,
  );
});

describe('damaged tables', () => {
  test('are named with place and what to do on every way, never shown as an error of the driver', async () => {
    const drained = async (items: AsyncIterable<unknown>): Promise<void> => {
      for await (const item of items) void item;
    };
    for (const damage of [
      'DROP TABLE blobs',
      'DROP TABLE checkpoints',
      'DROP TABLE entries',
      'DROP TABLE trajectories',
      'DROP TABLE head',
      "UPDATE head SET frontier = 'xy'",
      'DELETE FROM head',
      "UPDATE entries SET entry = 'xy'",
    ]) {
      const place = fresh();
      const store = await opened(place);
      const run = await openRun(store, await found(store), 'a');
      await server.admin(`SET search_path TO l${serial}; ${damage}`, new URL(database).pathname.slice(1));
      const ways: readonly (readonly [string, () => Promise<unknown>])[] = [
        ['head', () => store.head()],
        ['trajectories', () => drained(store.trajectories())],
        ['read', () => drained(store.read(run))],
        ['all', () => drained(store.all())],
        ['rows', () => drained(store.rows())],
        ['checkpoints', () => drained(store.checkpoints())],
        ['blob', () => store.blob(textBlob('none').digest)],
        ['inclusion', () => store.inclusion(0n, 2n)],
        ['successor', () => store.keeper.successor()],
        ['names of blobs', () => drained(store.keeper.blobs())],
        ['checkpoint', () => store.checkpoint()],
        ['examine', () => store.keeper.examine({ repair: false })],
        ['append', () => store.append(batchTo(run, 'any', [fact('run.cancelRequested', CANCEL)]))],
      ];
      let faults = 0;
      const raw: string[] = [];
      for (const [what, ask] of ways) {
        const answer = await ask().catch((error: unknown) => error as Error);
        if (answer instanceof Error || (answer as { readonly ok?: boolean } | undefined)?.ok === false) faults += 1;
        if (answer instanceof Error && !(answer.name === 'LedgerFault' && /run verify|try again/.test(answer.message)))
          raw.push(`${what}: ${String(answer)}`);
      }
      expect([damage, raw]).toEqual([damage, []]);
      expect([damage, faults > 0]).toEqual([damage, true]);
      await store.close();
    }
  });
});

describe('a connection', () => {
  test('that is cut between two appends is replaced', async () => {
    const store = await opened(fresh());
    const name = await openRun(store, await found(store), 'a');
    for (let seq = 0; seq < 5; seq++) {
      await server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openexec'");
      const result = await store.append(batchTo(name, seq, [fact('run.cancelRequested', CANCEL)]));
      expect(result).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    }
    await check(store);
    await store.close();
  });
});

leaseContract('Postgres', {
  child: () => child,
  place: () => {
    const name = `run/${++serial}`;
    return { acquire: () => acquirePostgresLease({ address: database, name }), holding: [database, name] };
  },
});

describe('a lease whose connection was cut', () => {
  const cut = async (): Promise<void> => {
    const ended = await server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openexec lease'");
    expect(ended.rowCount).toBeGreaterThan(0);
  };

  test('is taken again before anything is started under it', async () => {
    const acquire = (): ReturnType<typeof acquirePostgresLease> => acquirePostgresLease({ address: database, name: 'run/again' });
    const lease = await taken(acquire);
    await cut();
    expect(await lease.held()).toBe(true);
    expect(await acquire()).toMatchObject({ ok: false, error: { code: 'lease.held' } });
    await lease.release();
  });

  test('is gone where somebody else took it meanwhile', async () => {
    const acquire = (): ReturnType<typeof acquirePostgresLease> => acquirePostgresLease({ address: database, name: 'run/lost' });
    const lease = await taken(acquire);
    await cut();
    let other = await acquire();
    for (let tries = 0; !other.ok && tries < 100; tries++) other = await acquire();
    expect(other.ok).toBe(true);
    expect(await lease.held()).toBe(false);
    if (other.ok) await other.value.release();
    await lease.release();
  });

  test('is unavailable, not held, where the server does not answer', async () => {
    expect(await acquirePostgresLease({ address: 'postgres://openexec@127.0.0.1:1/none', name: 'run/x' })).toMatchObject({
      ok: false,
      error: { code: 'lease.unavailable' },
    });
  });
});

describe('a writer that dies', () => {
  test(
    'window 3: before COMMIT is received leaves nothing of the group',
    async () => {
      const place = fresh();
      const store = await opened(place);
      await openRun(store, await found(store), 'kill');
      let holder: Awaited<ReturnType<typeof holding>> | undefined;
      const onLine = async (): Promise<void> => {
        // Rows can still be read, but not added: the next append waits inside its transaction until it is killed there.
        holder = await holding(`LOCK TABLE ${place.split('=')[1]}.entries IN SHARE MODE`);
        await holder.awaited();
      };
      const outcome = await run(process.execPath, [child, 'kill', place, '1'], { killAfterMs: 0, onLine });
      await holder?.letGo();
      expect(outcome.signal).toBe('SIGKILL');
      const acknowledged = Number(outcome.lines.at(-1)?.split(' ')[0]);
      expect(acknowledged).toBeGreaterThan(0);
      expect((await store.trajectory(fixtures.runNamed('kill')))?.seq).toBe(acknowledged);
      expect(await store.append(batchTo(fixtures.runNamed('kill'), acknowledged, [fact('run.cancelRequested', CANCEL)]))).toMatchObject({
        ok: true,
        value: { outcome: 'appended' },
      });
      await check(store);
      await store.close();
    },
    START_MS,
  );

  test(
    'window 4: between COMMIT and its answer loses no entry; the repeat is answered as duplicate',
    async () => {
      const place = fresh();
      const store = await opened(place);
      const name = await openRun(store, await found(store), 'kill');
      expect(await run(process.execPath, [child, 'dies', place])).toMatchObject({ signal: 'SIGKILL', lines: [] });
      expect((await store.trajectory(name))?.seq).toBe(1);
      expect(await store.append(batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]))).toMatchObject({
        ok: true,
        value: { outcome: 'duplicate' },
      });
      await check(store);
      await store.close();
    },
    START_MS,
  );
});

describe('a server that is killed', () => {
  test(
    'loses nothing that was acknowledged and keeps no half batch',
    async () => {
      const own = await startPostgres('npm');
      try {
        const place = await own.database();
        const store = await opened(place);
        await openRun(store, await found(store), 'kill');
        await store.close();
        let acknowledged = 0;
        for (let round = 0; round < 4; round++) {
          const crashes: Promise<void>[] = [];
          const onLine = (): void => {
            crashes.push(new Promise<void>((resolve) => setTimeout(resolve, 60 * (round + 1))).then(() => own.crash()));
          };
          const outcome = await run(process.execPath, [child, 'kill', place, String(round)], { killAfterMs: 2500, onLine });
          await Promise.all(crashes);
          expect(crashes).toHaveLength(1);
          const last = outcome.lines.findLast((line) => /^\d+ \d+$/.test(line)) ?? '0 0';
          acknowledged = Math.max(acknowledged, Number(last.split(' ')[0]));
          const after = await opened(place);
          await check(after);
          expect((await after.trajectory(fixtures.runNamed('kill')))?.seq ?? 0).toBeGreaterThanOrEqual(acknowledged);
          await after.close();
        }
        // Each round went on from what was there, and told of a batch before the server was killed.
        expect(acknowledged).toBeGreaterThanOrEqual(4);
      } finally {
        await own.stop();
      }
    },
    START_MS * 2,
  );
});

describe('the same history', () => {
  test(
    'has the same entries, root and fingerprint on SQLite and on Postgres',
    async () => {
      const stores = [
        await opened(join(folder(), 'ledger.db'), { randomness: fixtures.seededRandomness(7) }),
        await opened(fresh(), { randomness: fixtures.seededRandomness(7) }),
      ];
      const heads = [];
      for (const store of stores) {
        const run = await openRun(store, await found(store), 'same');
        for (let seq = 0; seq < 40; seq++) {
          const blobs = seq % 10 === 0 ? [textBlob(`blob ${seq} `.repeat(30_000))] : [];
          await store.append({ ...batchTo(run, seq, [fact('run.cancelRequested', CANCEL)]), blobs });
        }
        const rows: string[] = [];
        for await (const page of store.rows()) rows.push(...page.map(({ entryBytes }) => Buffer.from(entryBytes).toString('utf8')));
        heads.push({ head: await store.head(), rows });
        await store.close();
      }
      expect(heads[1]).toEqual(heads[0]);
    },
    START_MS,
  );
});
