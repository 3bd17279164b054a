/** EventStoreDB: the contract of ledgers over SQLite and Postgres companions, opening and refusing, faults, many writers, the same bytes. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Clock, instantFromMs } from '@openexec/canon';
import { type LedgerStore, memoryLedger, type Stored } from '@openexec/ledger';
import { fixtures, ledgerStoreContract } from '@openexec/ledger/contract';
import { openEventStoreLedger } from '@openexec/stores/eventstore';
import Sqlite from 'better-sqlite3';
import { proposedJson } from './eventstoreServer/log.ts';
import { EventStoreServer } from './eventstoreServer/server.ts';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { check, clock, folder, found, keys, opened, openRun, openWith, randomness, refusalOf, removeFolders } from './support.ts';

const { batchTo, fact, CANCEL, textBlob } = fixtures;
const START_MS = 240_000;
const cluster = process.env['OPENEXEC_TEST_EVENTSTORE_URL'];
let server: EventStoreServer;
let postgres: PostgresServer;
let database = '';
let serial = 0;

interface Place {
  readonly address: string;
  readonly stream: string;
  readonly companion: string;
}
/** A ledger that is not there yet: a stream and a companion of its own. */
function fresh(companion = join(folder(), 'companion.db')): Place {
  const stream = `ledger-${++serial}`;
  const address = `esdb://127.0.0.1:${server.port}/?tls=false&stream=${stream}&companion=${encodeURIComponent(companion)}`;
  return { address, stream, companion };
}
const cancel = (run: Parameters<typeof batchTo>[0], seq: number) => batchTo(run, seq, [fact('run.cancelRequested', CANCEL)]);

beforeAll(async () => {
  server = await EventStoreServer.start();
  postgres = await startPostgres();
  database = await postgres.database();
}, START_MS);
afterAll(async () => {
  await server.stop();
  await postgres.stop();
  removeFolders();
}, START_MS);

ledgerStoreContract(
  { describe, test, expect },
  { name: 'EventStoreDB with SQLite', check, open: (keys) => openWith(fresh().address, keys) },
);
ledgerStoreContract(
  { describe, test, expect },
  { name: 'EventStoreDB with Postgres', check, open: (keys) => openWith(fresh(`${database}?schema=c${++serial}`).address, keys) },
);

// Where no cluster is named the suites above stand alone, and this title says so.
(cluster === undefined ? describe.skip : describe)('a real cluster (not run where OPENEXEC_TEST_EVENTSTORE_URL names none)', () => {
  ledgerStoreContract(
    { describe, test, expect },
    {
      name: 'it',
      check,
      open: (keys) => {
        const url = `${cluster ?? ''}${(cluster ?? '').includes('?') ? '&' : '/?'}stream=openexec-test-${randomBytes(8).toString('hex')}`;
        return openWith(url, { ...keys, companion: join(folder(), 'companion.db') });
      },
    },
  );
});

describe('opening', () => {
  test('a bad address is refused by name, and never shows its password', async () => {
    const companion = '&companion=%2Ftmp%2Fx.db';
    for (const address of [
      'esdb://',
      'esdb://h:1?stream=../x',
      'esdb://h?nodePreference=follower',
      'esdb://h?tlsVerifyCert=false',
      'esdb://h?throwOnAppendFailure=false',
      'esdb://h?tls=perhaps',
      'esdb://h?defaultDeadline=0',
      'esdb://h?colour=red',
      'esdb://h?tls=false&tls=true',
      'esdb://u:p@h?tls=false',
      'esdb://h?tlsCAFile=%2Fno%2Fsuch.pem',
      'esdb+discover://a,b',
    ])
      expect(await refusalOf(address.includes('?') ? `${address}${companion}` : address)).toBe('store.address');
    expect(await refusalOf('esdb://127.0.0.1:2113')).toBe('store.address');
    const shared = { clock, randomness, companion: join(folder(), 'c.db') };
    for (const address of ['esdb://ops:hunter2@127.0.0.1:1/?stream=!', 'esdb://ops:hunter2@127.0.0.1:1', 'esdb://ops:hunter2@h:99999']) {
      const refused = await openEventStoreLedger({ address, ...shared });
      expect(refused.ok).toBe(false);
      expect(JSON.stringify(refused)).not.toContain('hunter2');
    }
  });

  test('a node that is not there, a companion that is not there, foreign tables and another stream are each refused by name', async () => {
    const nowhere = `esdb://127.0.0.1:1/?tls=false&companion=${encodeURIComponent(join(folder(), 'c.db'))}`;
    expect(await refusalOf(nowhere, { missing: 'create' })).toBe('store.unreachable');
    const place = fresh();
    expect(await refusalOf(place.address)).toBe('store.missing');
    await (await opened(place.address)).close();
    expect(await refusalOf(fresh(place.companion).address)).toBe('store.notALedger');
    const ledger = join(folder(), 'ledger.db');
    await (await opened(ledger)).close();
    expect(await refusalOf(fresh(ledger).address)).toBe('store.notALedger');
    expect(await refusalOf(fresh('/no/such/folder/c.db').address, { missing: 'create' })).toBe('store.missingDirectory');
  });

  test('a stream that has begun is never opened with an empty companion: its payloads are elsewhere', async () => {
    const place = fresh();
    const store = await opened(place.address);
    await found(store);
    await store.close();
    expect(await refusalOf(place.address, { companion: join(folder(), 'other.db'), missing: 'create' })).toBe('store.missing');
  });

  test('opened for reading only it answers and refuses to write', async () => {
    const place = fresh();
    const store = await opened(place.address);
    const name = await openRun(store, await found(store), 'a');
    const head = await store.head();
    await store.close();
    const reading = await opened(place.address, { access: 'readOnly' });
    expect(await reading.head()).toEqual(head);
    expect(await reading.append(cancel(name, 0))).toMatchObject({ ok: false, error: { code: 'store.readOnly' } });
    await reading.close();
  });

  test('an index that was lost is read again from the stream, and one that is behind catches up', async () => {
    const place = fresh();
    const store = await opened(place.address);
    const name = await openRun(store, await found(store), 'a');
    for (let seq = 0; seq < 4; seq++) await store.append(cancel(name, seq));
    const head = await store.head();
    const [proof] = [await store.inclusion(2n, 5n)];
    await store.close();
    const file = new Sqlite(place.companion);
    file.exec("DELETE FROM entries; DELETE FROM trajectories; DELETE FROM subtrees; UPDATE head SET size = 0, frontier = x'', leaf = NULL");
    file.close();
    const again = await opened(place.address);
    expect(await again.head()).toEqual(head);
    expect(await again.inclusion(2n, 5n)).toEqual(proof);
    await check(again);
    await again.close();
  });

  test('a payload that is gone without a word in the ledger is damage; one that the ledger says was erased is not', async () => {
    const place = fresh();
    const store = await opened(place.address);
    const name = await openRun(store, await found(store), 'a');
    await store.append(cancel(name, 0));
    const [, last] = await all(store, name);
    const file = new Sqlite(place.companion);
    file.prepare('DELETE FROM payloads WHERE commitment = ?').run(last?.entry.commitment);
    await expect(all(store, name)).rejects.toMatchObject({ code: 'store.corrupt' });
    file.prepare('UPDATE entries SET erased = 1 WHERE idx = ?').run(Number(last?.index));
    file.close();
    expect((await all(store, name)).at(-1)).toMatchObject({ payload: null, salt: null });
    await store.close();
  });

  test('a payload that no entry names is swept after a day, and not before', async () => {
    const place = fresh();
    const store = await opened(place.address);
    const name = await openRun(store, await found(store), 'a');
    server.fail('denied');
    expect((await store.append(cancel(name, 0))).ok).toBe(false);
    const examined = (repair: boolean, more: Parameters<typeof opened>[1] = {}) => examinedAt(place.address, repair, more);
    expect(await examined(true)).toEqual([]);
    const day: Clock = { now: () => instantFromMs(Date.now() + 25 * 3600 * 1000) };
    expect(await examined(false, { clock: day })).toEqual([['payload.orphan', false]]);
    expect(await examined(true, { clock: day })).toEqual([['payload.orphan', true]]);
    expect(await examined(false, { clock: day })).toEqual([]);
    await check(store);
    await store.close();
  });
});

describe('many writers', () => {
  test(
    'two handles keep each other up to date, and of eight that race for each position exactly one wins',
    async () => {
      const place = fresh();
      const [a, b] = [await opened(place.address), await opened(place.address)];
      const name = await openRun(a, await found(a), 'a');
      for (let seq = 0; seq < 40; seq++) expect((await (seq % 2 === 0 ? a : b).append(cancel(name, seq))).ok).toBe(true);
      const more = await Promise.all(Array.from({ length: 6 }, () => opened(place.address)));
      const all = [a, b, ...more];
      for (let seq = 40; seq < 50; seq++) {
        // Others in content: a repeat of the same bytes would be a duplicate.
        const results = await Promise.all(
          all.map((store, at) => store.append(batchTo(name, seq, [fact('run.cancelRequested', { because: `writer ${at}` })]))),
        );
        expect(results.filter(({ ok }) => ok)).toHaveLength(1);
        expect(results.flatMap((result) => (result.ok ? [] : [result.error.code]))).toEqual(Array.from({ length: 7 }, () => 'conflict'));
      }
      for (const store of all) expect(await store.head()).toEqual(await a.head());
      await check(a);
      for (const store of all) await store.close();
    },
    START_MS,
  );

  test('what arrives together shares appends to the stream, and one conflict among them costs the others nothing', async () => {
    const store = await opened(fresh().address);
    const fingerprint = await found(store);
    const names = await Promise.all(Array.from({ length: 16 }, (_, i) => openRun(store, fingerprint, `r${i}`)));
    const before = server.appends;
    const results = await Promise.all(names.map((name, i) => store.append(cancel(name, i === 7 ? 5 : 0))));
    expect(results.flatMap((result, i) => (result.ok ? [] : [`${i} ${result.error.code}`]))).toEqual(['7 conflict']);
    expect(server.appends - before).toBeLessThan(4);
    await check(store);
    await store.close();
  });

  test('a group that is too large for one append is split; a batch that is too large alone is refused', async () => {
    const store = await opened(fresh().address);
    const fingerprint = await found(store);
    const names = await Promise.all(Array.from({ length: 4 }, (_, i) => openRun(store, fingerprint, `r${i}`)));
    server.log.maxAppendBytes = 1000;
    try {
      const results = await Promise.all(names.map((name) => store.append(cancel(name, 0))));
      expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true]);
      server.log.maxAppendBytes = 100;
      expect(await store.append(cancel(names[0] ?? fixtures.LAW, 1))).toMatchObject({ ok: false, error: { code: 'store.full' } });
    } finally {
      server.log.maxAppendBytes = 1024 * 1024;
    }
    await check(store);
    await store.close();
  });

  test(
    'a subscription sees what another handle appends, all of it once, also after its connections were cut',
    async () => {
      const place = fresh();
      const [store, other] = [await opened(place.address), await opened(place.address)];
      const name = await openRun(store, await found(store), 'a');
      const seen: bigint[] = [];
      const following = (async () => {
        for await (const stored of store.follow(3n)) if (seen.push(stored.index) === 20) break;
      })();
      for (let seq = 0; seq < 20; seq++) {
        if (seq === 10) await server.disconnect();
        expect((await other.append(cancel(name, seq))).ok).toBe(true);
      }
      await following;
      expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => BigInt(i + 3)));
      await store.close();
      await other.close();
    },
    START_MS,
  );
});

describe('a stream that forgets', () => {
  const settings = [{ $maxCount: 2 }, { $maxAge: 3600 }, { $tb: 1 }];
  test.each(settings)('by its metadata %j is refused when it is opened, and by a writer that is at work', async (body) => {
    const place = fresh();
    const store = await opened(place.address);
    await found(store);
    server.log.append(`$$${place.stream}`, 'any', [proposedJson('$metadata', body)]);
    expect(await refusalOf(place.address)).toBe('store.notDurable');
    await store.close();
  });

  test('by deletion or tombstone is refused', async () => {
    const [soft, hard] = [fresh(), fresh()];
    for (const { address } of [soft, hard]) {
      const store = await opened(address);
      await found(store);
      await store.close();
    }
    server.log.softDelete(soft.stream);
    server.log.tombstone(hard.stream);
    expect(await refusalOf(soft.address)).toBe('store.notDurable');
    expect(await refusalOf(hard.address)).toBe('store.corrupt');
  });

  test('that was rolled back, replaced or damaged is noticed', async () => {
    const short = fresh();
    let store = await opened(short.address);
    const name = await openRun(store, await found(store), 'a');
    await store.append(cancel(name, 0));
    await store.close();
    server.log.cut(short.stream, 3);
    expect(await refusalOf(short.address)).toBe('store.corrupt');

    const headFile = join(folder(), 'head.json');
    const place = fresh();
    store = await opened(place.address, { headFile });
    await found(store);
    await store.close();
    expect(await refusalOf(place.address, { headFile })).toBe('opened');
    const other = fresh();
    store = await opened(other.address);
    await found(store);
    await store.close();
    expect(await refusalOf(other.address, { headFile })).toBe('ledger.rolledBack');
    server.log.overwrite(place.stream, 1, new Uint8Array([1, 2, 3]));
    expect(await refusalOf(place.address, { headFile })).toBe('store.corrupt');
  });
});

describe('faults', () => {
  async function ready(): Promise<{
    readonly store: LedgerStore;
    readonly place: Place;
    readonly name: ReturnType<typeof fixtures.runNamed>;
  }> {
    const place = fresh();
    const store = await opened(`${place.address}&defaultDeadline=5000`);
    const name = await openRun(store, await found(store), 'a');
    return { store, place, name };
  }

  test.each(['cutBefore', 'cutAfter', 'silentAfter'] as const)(
    'an append that is not answered (%s) stops the writer; opened again, a repeat tells what became of it',
    async (fault) => {
      const { store, place, name } = await ready();
      const other = fresh();
      server.fail(fault);
      expect(await store.append(cancel(name, 0))).toMatchObject({ ok: false, error: { code: 'store.unknownOutcome' } });
      expect(await store.append(cancel(name, 0))).toMatchObject({ ok: false, error: { code: 'store.stopped' } });
      await store.close();
      // The node listens on the same port again.
      expect(other.address).toContain(String(server.port));
      const again = await opened(place.address);
      const outcome = fault === 'cutBefore' ? 'appended' : 'duplicate';
      expect(await again.append(cancel(name, 0))).toMatchObject({ ok: true, value: { outcome } });
      expect((await again.trajectory(name))?.seq).toBe(1);
      await check(again);
      await again.close();
    },
    START_MS,
  );

  test('an append that arrives twice, late, or at a node that is no longer the leader is stored once', async () => {
    const { store, name } = await ready();
    for (const [seq, fault] of (['twice', 'slow', 'notLeader'] as const).entries()) {
      server.fail(fault);
      expect(await store.append(cancel(name, seq))).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    }
    expect((await store.head()).size).toBe(6n);
    await check(store);
    await store.close();
  });

  test('a user who may not append is told so, and nothing is stored', async () => {
    const { store, name } = await ready();
    server.fail('denied');
    expect(await store.append(cancel(name, 0))).toMatchObject({ ok: false, error: { code: 'store.readOnly' } });
    expect((await store.head()).size).toBe(3n);
    expect(await store.append(cancel(name, 0))).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    await store.close();
  });

  test('connections that end between two appends and readings are replaced', async () => {
    const { store, name } = await ready();
    for (let seq = 0; seq < 4; seq++) {
      await server.disconnect();
      expect((await store.head()).size).toBe(BigInt(seq + 3));
      expect(await store.append(cancel(name, seq))).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    }
    await check(store);
    await store.close();
  });
});

describe('TLS', () => {
  test('is used with the authority named, and sends the password; without the authority nothing is sent', async () => {
    const home = folder();
    const [key, cert] = [join(home, 'key.pem'), join(home, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-keyout', key, '-out', cert, ...subject], { stdio: 'pipe' });
    const user = { user: 'ops', password: 'p@ss:word' };
    const secure = await EventStoreServer.start({ tls: { key: readFileSync(key), cert: readFileSync(cert), ...user } });
    const at = (login: string, ca: string) =>
      `esdb://${login}127.0.0.1:${secure.port}/?stream=secure&companion=${encodeURIComponent(join(home, 'c.db'))}${ca}`;
    const ca = `&tlsCAFile=${encodeURIComponent(cert)}`;
    const login = `ops:${encodeURIComponent('p@ss:word')}@`;
    try {
      expect(await refusalOf(at(login, ''), { missing: 'create' })).toBe('store.unreachable');
      expect(await refusalOf(at('ops:wrong@', ca), { missing: 'create' })).toBe('store.refused');
      const store = await opened(at(login, ca));
      await found(store);
      await check(store);
      await store.close();
    } finally {
      await secure.stop();
    }
  });
});

describe('the same history', () => {
  test(
    'has the same entries, root and fingerprint in memory, on SQLite, on Postgres and on EventStoreDB',
    async () => {
      const seeded = () => ({ randomness: fixtures.seededRandomness(7) });
      // Salts are drawn after the instance id, which every new store draws first.
      const stores = [
        memoryLedger({ ...seeded(), ...keys }),
        await opened(join(folder(), 'ledger.db'), seeded()),
        await opened(`${database}?schema=same`, seeded()),
        await opened(fresh().address, seeded()),
        await opened(fresh(`${database}?schema=samecompanion`).address, seeded()),
      ];
      const histories = [];
      for (const store of stores) {
        const run = await openRun(store, await found(store), 'same');
        for (let seq = 0; seq < 20; seq++) {
          const blobs = seq % 10 === 0 ? [textBlob(`blob ${seq} `.repeat(30_000))] : [];
          expect((await store.append({ ...cancel(run, seq), blobs })).ok).toBe(true);
        }
        const rows: string[] = [];
        for await (const page of store.rows()) rows.push(...page.map(({ entryBytes }) => Buffer.from(entryBytes).toString('utf8')));
        histories.push({ head: await store.head(), rows });
        await store.close();
      }
      for (const history of histories) expect(history).toEqual(histories[0]);
    },
    START_MS,
  );
});

async function examinedAt(address: string, repair: boolean, more: Parameters<typeof opened>[1]): Promise<readonly unknown[]> {
  const store = await opened(address, more);
  const examined = await store.keeper.examine({ repair });
  await store.close();
  return examined.ok ? examined.value.findings.map(({ code, repaired }) => [code, repaired]) : [examined.error];
}

async function all(store: LedgerStore, trajectory: ReturnType<typeof fixtures.runNamed>): Promise<readonly Stored[]> {
  const found: Stored[] = [];
  for await (const stored of store.read(trajectory)) found.push(stored);
  return found;
}
