/** EventStoreDB: the contract of keepers over SQLite and Postgres companions, and what a death in each numbered window leaves. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import { exportLines, type KeptLedger, ledgerExport, memoryLedger } from '@openexec/ledger';
import { fixtures, keeping, ledgerKeeperContract, snapshotShelfContract } from '@openexec/ledger/contract';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import Sqlite from 'better-sqlite3';
import { bundled, type Outcome, run } from './children.ts';
import { EventStoreServer } from './eventstoreServer/server.ts';
import { check, folder, found, keys, opened, openWith, refusalOf, removeFolders } from './support.ts';

const { batchTo, CANCEL, CLOSED, after, fact, judgement, openedBody } = fixtures;
const { runOfKeeping, withBlob } = keeping;

const START_MS = 60_000;
jest.setTimeout(START_MS);
const cluster = process.env['OPENEXEC_TEST_EVENTSTORE_URL'];
let server: EventStoreServer;
let postgres: PostgresServer;
let database = '';
let serial = 0;
let child = '';

/** A ledger that is not there yet: a stream and a companion of its own. */
function fresh(companion = join(folder(), 'companion.db')): string {
  return `esdb://127.0.0.1:${server.port}/?tls=false&stream=kept-${++serial}&companion=${encodeURIComponent(companion)}`;
}

beforeAll(async () => {
  server = await EventStoreServer.start();
  postgres = await startPostgres();
  database = await postgres.database();
  child = await bundled('keepChild');
}, START_MS);
afterAll(async () => {
  rmSync(child, { force: true });
  await server.stop();
  await postgres.stop();
  removeFolders();
}, START_MS);

ledgerKeeperContract({ describe, test, expect }, { name: 'EventStoreDB with SQLite', check, open: (keys) => openWith(fresh(), keys) });
snapshotShelfContract({ describe, test, expect }, { name: 'EventStoreDB with SQLite', check, open: (keys) => openWith(fresh(), keys) });
ledgerKeeperContract(
  { describe, test, expect },
  { name: 'EventStoreDB with Postgres', check, open: (keys) => openWith(fresh(`${database}?schema=k${++serial}`), keys) },
);
snapshotShelfContract(
  { describe, test, expect },
  { name: 'EventStoreDB with Postgres', check, open: (keys) => openWith(fresh(`${database}?schema=k${++serial}`), keys) },
);

// Where no cluster is named the suites above stand alone, and this title says so.
(cluster === undefined ? describe.skip : describe)('a real cluster (not run where OPENEXEC_TEST_EVENTSTORE_URL names none)', () => {
  ledgerKeeperContract(
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

const RUN = runOfKeeping('a');
const canary = (at: number): string => `canary-${at}-${fixtures.nonceOf(`canary ${at}`)}`;
function companionOf(address: string): string {
  return decodeURIComponent(/companion=([^&]*)/.exec(address)?.[1] ?? '');
}
/** Canaries that any file of a SQLite companion still holds. */
function canariesIn(address: string, count: number): number {
  const path = companionOf(address);
  const files = readdirSync(dirname(path)).map((name) => readFileSync(join(dirname(path), name)));
  return Array.from({ length: count }, (_, at) => canary(at)).filter((text) => files.some((bytes) => bytes.includes(text))).length;
}

/** Founds a ledger with a run of `count` facts, each with a blob of its own; closed where it may be forgotten. */
async function filled(store: KeptLedger, count: number, closed: boolean): Promise<KeptLedger> {
  const fingerprint = await found(store);
  const facts = Array.from({ length: count }, (_, at) => withBlob(canary(at).repeat(20)));
  const took = async (batch: Parameters<KeptLedger['append']>[0]): Promise<void> => {
    const result = await store.append(batch);
    if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  };
  await took({
    ...batchTo(RUN, 'none', [fact('run.opened', openedBody(fingerprint, 'a')), ...facts.map(({ draft }) => draft)]),
    blobs: facts.map(({ blob }) => blob),
  });
  if (!closed) return store;
  await took(batchTo(RUN, count, [fact('run.cancelRequested', CANCEL, { at: after(1000) })]));
  await took(batchTo(RUN, count + 1, [judgement('run.closed', CLOSED, { cause: count + 1, law: 1, at: after(1000) })], 1));
  return store;
}
async function made(count: number, closed: boolean): Promise<string> {
  const address = fresh();
  await (await filled(await opened(address), count, closed)).close();
  return address;
}
function die(mode: 'append' | 'forget' | 'copy', address: string, window: number, more: string | number): Promise<Outcome> {
  return run(process.execPath, [child, mode, address, String(window), String(more)]);
}
test('a companion of the format before is brought to this one when it is opened for writing', async () => {
  const address = await made(2, true);
  const older = new Sqlite(companionOf(address));
  older.exec('DROP TABLE snapshots; UPDATE companion SET format = 1;');
  older.close();
  expect(await refusalOf(address, { access: 'readOnly' })).toBe('store.notALedger');
  const again = await opened(address);
  expect(await again.snapshots.places()).toEqual({ ok: true, value: [] });
  await check(again);
  await again.close();
  expect(asked(address, 'SELECT format FROM companion')).toBe(2);
});

/** What the companion's tables say, from outside. */
function asked(address: string, sql: string): unknown {
  const file = new Sqlite(companionOf(address), { readonly: true });
  try {
    return file.prepare(sql).pluck().get();
  } finally {
    file.close();
  }
}
const UNNAMED = 'SELECT count(*) FROM payloads WHERE commitment NOT IN (SELECT commitment FROM entries)';

describe('a death while appending', () => {
  const again = batchTo(RUN, 1, [fact('run.cancelRequested', CANCEL)]);
  async function killedIn(window: number): Promise<{ readonly address: string; readonly unnamed: unknown }> {
    const address = await made(1, false);
    expect(await die('append', address, window, 1)).toMatchObject({ signal: 'SIGKILL', errors: '' });
    return { address, unnamed: asked(address, UNNAMED) };
  }
  async function told(address: string, outcome: 'appended' | 'duplicate'): Promise<void> {
    const store = await opened(address);
    expect((await store.head()).size).toBe(outcome === 'appended' ? 4n : 5n);
    expect(await store.append(again)).toMatchObject({ ok: true, value: { outcome } });
    expect((await store.head()).size).toBe(5n);
    expect(await store.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
    await check(store);
    await store.close();
  }

  test('window 1: before the payloads are durable leaves nothing', async () => {
    const { address, unnamed } = await killedIn(1);
    expect(unnamed).toBe(0);
    await told(address, 'appended');
  });
  test('window 2: before the entry is sent leaves payloads that no entry names, and the append is made when it is asked for again', async () => {
    const { address, unnamed } = await killedIn(2);
    expect(unnamed).toBe(1);
    await told(address, 'appended');
  });
  test.each([
    ['cutBefore', 'appended'],
    ['silentAfter', 'duplicate'],
  ] as const)('window 3: sent and not answered (%s), all of it is stored or nothing, and a repeat tells which', async (fault, outcome) => {
    const address = await made(1, false);
    server.fail(fault);
    expect(await die('append', `${address}&defaultDeadline=8000`, 0, 1)).toMatchObject({ code: 0, errors: '' });
    await told(address, outcome);
  });
  test('window 4: between the append and its answer loses no entry; the repeat is answered as duplicate', async () => {
    const { address, unnamed } = await killedIn(4);
    // The index does not know of it yet.
    expect(unnamed).toBe(1);
    await told(address, 'duplicate');
  });
  test('window 5: before the index has it, whoever opens it next sees it all the same, also for reading only', async () => {
    const { address } = await killedIn(5);
    expect(asked(address, 'SELECT size FROM head')).toBe(4);
    const reading = await opened(address, { access: 'readOnly' });
    expect((await reading.head()).size).toBe(5n);
    await reading.close();
    await told(address, 'duplicate');
  });
});

describe('a death while forgetting', () => {
  const COUNT = 6;
  /** E16: it has happened whole or not at all; `left` are the canaries that the companion's files still hold before the next opening. */
  async function killedIn(window: number, happened: boolean, left: number): Promise<void> {
    const address = await made(COUNT, true);
    expect(canariesIn(address, COUNT)).toBe(COUNT);
    expect(await die('forget', address, window, COUNT + 2)).toMatchObject({ signal: 'SIGKILL', errors: '' });
    expect(canariesIn(address, COUNT)).toBe(left);
    const reading = await opened(address, { access: 'readOnly' });
    const shown: boolean[] = [];
    for await (const { payload } of reading.read(RUN, 1)) shown.push(payload !== null);
    expect(shown).toEqual(Array.from({ length: COUNT + 2 }, () => !happened));
    await reading.close();
    const store = await opened(address);
    expect(canariesIn(address, COUNT)).toBe(happened ? 0 : COUNT);
    expect((await store.blob(digestOf(canary(0).repeat(20)))).ok).toBe(!happened);
    expect(await store.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
    await check(store);
    await store.close();
  }

  test('window 10: before its entry is in the stream, nothing of it has happened (E16)', () => killedIn(10, false, COUNT));
  test('window 11: after its entry is in the stream, nobody is shown it any more, and the next opening takes it away (E16)', () =>
    killedIn(11, true, COUNT));
  test('window 12: after it was taken away, the next opening empties the log that holds the bytes (E16)', () => killedIn(12, true, COUNT));
});

describe('a death while copying', () => {
  const COUNT = 400;
  let source: KeptLedger;
  let file = '';
  beforeAll(async () => {
    source = await filled(memoryLedger({ ...keys, randomness: fixtures.seededRandomness(3) }), COUNT, false);
    const { fingerprint, origin, size, root } = await source.head();
    if (fingerprint === null || origin === null) throw new Error('not founded');
    const lines: Uint8Array[] = [];
    for await (const line of exportLines(source, { fingerprint, origin, size, root })) lines.push(line);
    file = join(folder(), 'ledger.oxl');
    writeFileSync(file, Buffer.concat(lines));
  });
  async function killedIn(window: number): Promise<string> {
    const address = fresh();
    expect(await die('copy', address, window, file)).toMatchObject({ signal: 'SIGKILL', errors: '' });
    return address;
  }
  async function whole(address: string): Promise<void> {
    const store = await opened(address);
    expect(await store.head()).toEqual(await source.head());
    expect(await store.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
    expect(asked(address, 'SELECT count(*) FROM staged')).toBe(0);
    await check(store);
    await store.close();
  }

  test('window 13: before it is kept whole leaves an empty store, which takes it when it comes again', async () => {
    const address = await killedIn(13);
    const store = await opened(address);
    expect((await store.head()).size).toBe(0n);
    await store.close();
    expect(await die('copy', address, 0, file)).toMatchObject({ code: 0, errors: '' });
    await whole(address);
  });
  test('window 14: kept and not yet in the stream, it is refused to readers, and the next opening for writing goes on', async () => {
    const address = await killedIn(14);
    expect(server.log.visible(/stream=([^&]*)/.exec(address)?.[1] ?? '')).toBeNull();
    expect(await refusalOf(address, { access: 'readOnly' })).toBe('store.busy');
    await whole(address);
  });
  test('window 15: partly in the stream, the next opening for writing appends the rest and nothing twice', async () => {
    const address = await killedIn(15);
    const there = server.log.visible(/stream=([^&]*)/.exec(address)?.[1] ?? '')?.length ?? 0;
    expect([there > 0, there < COUNT]).toEqual([true, true]);
    await whole(address);
  });
});

test('one ledger moves from SQLite to EventStoreDB, on to Postgres and into memory, with the same checkpoint; every sealed source refuses', async () => {
  const places = [join(folder(), 'ledger.db'), fresh(), `${database}?schema=moved`];
  const stores = [];
  for (const place of places) stores.push(await opened(place));
  stores.push(memoryLedger({ ...keys, randomness: fixtures.seededRandomness(9) }));
  const [first, ...rest] = stores;
  if (first === undefined) throw new Error('no store');
  await filled(first, 3, true);
  let from = first;
  const notes: string[] = [];
  for (const to of rest) {
    const { size, root } = await from.head();
    const seal = { successor: await to.keeper.instance(), size: Number(size), root: digestOf(root) };
    expect(await from.append(batchTo(fixtures.LEDGER, 'any', [fact('ledger.sealed', seal, { at: after(5000) })]))).toMatchObject({
      ok: true,
    });
    const note = await from.checkpoint();
    if (note.ok) notes.push(note.value.note);
    const { fingerprint, origin, ...head } = await from.head();
    if (fingerprint === null || origin === null) throw new Error('not founded');
    expect(await to.keeper.copyIn(ledgerExport(from, { fingerprint, origin, ...head }))).toMatchObject({ ok: true });
    const late = batchTo(runOfKeeping('late'), 'none', [fact('run.opened', openedBody(fingerprint, 'late'))]);
    expect(await from.append(late)).toMatchObject({ ok: false, error: { code: 'ledger.sealed' } });
    expect(await to.head()).toEqual(await from.head());
    const kept: string[] = [];
    for await (const { note: one } of to.checkpoints()) kept.push(one);
    expect(kept).toEqual(notes);
    await check(to);
    from = to;
  }
  expect(notes).toHaveLength(3);
  for (const store of stores) await store.close();
});

describe('examining', () => {
  async function examined(sql: string): Promise<readonly unknown[]> {
    const address = await made(3, true);
    const file = new Sqlite(companionOf(address));
    file.exec(sql);
    file.close();
    const store = await opened(address);
    const said: unknown[] = [];
    for (const repair of [false, true, false]) {
      const examination = await store.keeper.examine({ repair });
      if (!examination.ok) throw new Error(examination.error.code);
      said.push(examination.value.findings.map(({ code, repaired }) => `${code}${repaired ? ' repaired' : ''}`).join(' '));
    }
    if (said[2] === '') await check(store);
    await store.close();
    return said;
  }

  test.each([
    ["UPDATE trajectories SET leaf = 'x' WHERE name LIKE 'run/%'", 'trajectory.wrong'],
    ['UPDATE entries SET seq = 90 WHERE idx = 4', 'place.wrong'],
    ["UPDATE entries SET leaf = x'00' WHERE idx = 4", 'place.wrong'],
    ["INSERT INTO subtrees VALUES (1, 9, x'00')", 'subtree.wrong'],
    ["UPDATE head SET successor = 'x'", 'head.wrong'],
    [`INSERT INTO blobs VALUES ('sha256:${'0'.repeat(64)}', -1)`, 'blob.orphan'],
    ["INSERT INTO payloads VALUES ('sha256:x', x'7b7d', x'00', '2020-01-01T00:00:00.000Z')", 'payload.orphan'],
  ])('names what the companion keeps otherwise than the stream has it, and puts it right: %s', async (sql, code) => {
    expect(await examined(sql)).toEqual([code, `${code} repaired`, '']);
  });

  test.each([
    ['DELETE FROM payloads WHERE commitment = (SELECT commitment FROM entries WHERE idx = 4)', 'payload.broken'],
    ["UPDATE payloads SET payload = x'7b7d' WHERE commitment = (SELECT commitment FROM entries WHERE idx = 4)", 'payload.broken'],
  ])('never repairs while a payload is broken or gone without a word: %s', async (sql, code) => {
    expect(await examined(sql)).toEqual([code, code, code]);
  });
});
