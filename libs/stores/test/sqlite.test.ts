/** SQLite: the contract of ledgers, opening and refusing, durability settings, many processes, the head elsewhere, the lease. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync, copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import { fixtures, ledgerKeeperContract, ledgerStoreContract, snapshotShelfContract } from '@openexec/ledger/contract';
import { acquireLease, FORMAT_VERSION } from '@openexec/stores';
import { verifyLedger } from '@openexec/verify';
import Database from 'better-sqlite3';
import { bundled, run } from './children.ts';
import { leaseContract } from './lease.contract.ts';
import { check, folder, found, opened, openRun, openWith, refusalOf, removeFolders } from './support.ts';

const { batchTo, fact, CANCEL, textBlob } = fixtures;
// Each test opens ledgers on a disk that other suites use too.
jest.setTimeout(60_000);
let child = '';
beforeAll(async () => {
  child = await bundled('appendChild');
});
afterAll(() => {
  removeFolders();
  rmSync(child, { force: true });
});

ledgerStoreContract({ describe, test, expect }, { name: 'SQLite', check, open: (keys) => openWith(join(folder(), 'ledger.db'), keys) });
ledgerKeeperContract({ describe, test, expect }, { name: 'SQLite', check, open: (keys) => openWith(join(folder(), 'ledger.db'), keys) });
snapshotShelfContract({ describe, test, expect }, { name: 'SQLite', check, open: (keys) => openWith(join(folder(), 'ledger.db'), keys) });

describe('opening', () => {
  test('a missing folder, a missing file, a file of something else and a newer format are each refused by name', async () => {
    const at = folder();
    expect(await refusalOf(join(at, 'none/ledger.db'), { missing: 'create' })).toBe('store.missingDirectory');
    expect(await refusalOf(join(at, 'ledger.db'))).toBe('store.missing');
    writeFileSync(join(at, 'text.db'), 'not a database, but long enough to be looked at: '.repeat(50));
    expect(await refusalOf(join(at, 'text.db'))).toBe('store.notALedger');
    const other = new Database(join(at, 'other.db'));
    other.exec('CREATE TABLE t (a)');
    other.close();
    expect(await refusalOf(join(at, 'other.db'))).toBe('store.notALedger');
    expect(readFileSync(join(at, 'other.db')).includes('entries_place')).toBe(false);
    // A folder where the file should be: there, writable, and nothing that SQLite can open.
    mkdirSync(join(at, 'folder.db'));
    expect(await refusalOf(join(at, 'folder.db'))).toBe('store.unreadable');
    await (await opened(join(at, 'new.db'))).close();
    const newer = new Database(join(at, 'new.db'));
    newer.pragma(`user_version = ${FORMAT_VERSION + 1}`);
    newer.close();
    expect(await refusalOf(join(at, 'new.db'))).toBe('store.newerFormat');
    expect(await refusalOf(join(at, 'new.db'), { access: 'readOnly' })).toBe('store.newerFormat');
  });

  test('what was appended is there after closing and opening again, and appending goes on', async () => {
    const path = join(folder(), 'ledger.db');
    const first = await opened(path);
    const fingerprint = await found(first);
    const name = await openRun(first, fingerprint, 'a');
    const batch = batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]);
    expect(await first.append(batch)).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    const { root } = await first.head();
    await first.close();
    const again = await opened(path);
    expect((await again.head()).root).toEqual(root);
    expect(await again.append(batch)).toMatchObject({ ok: true, value: { outcome: 'duplicate' } });
    expect(await again.append(batchTo(name, 1, [fact('run.cancelRequested', CANCEL)]))).toMatchObject({
      ok: true,
      value: { outcome: 'appended' },
    });
    await check(again);
    await again.close();
  });

  test('a ledger of the format before is brought to this one when it is opened for writing, and keeps snapshots then', async () => {
    const path = join(folder(), 'ledger.db');
    const first = await opened(path);
    const run = await openRun(first, await found(first), 'a');
    const { root } = await first.head();
    await first.close();
    const older = new Database(path);
    older.exec('DROP TABLE snapshots; DELETE FROM migrations WHERE version = 2; PRAGMA user_version = 1;');
    older.close();
    const read = await opened(path, { access: 'readOnly' });
    expect([(await read.head()).root, await read.snapshots?.places()]).toEqual([root, { ok: true, value: [] }]);
    await read.close();
    const again = await opened(path);
    expect((await again.head()).root).toEqual(root);
    const leaf = (await again.trajectory(run))?.leaf;
    if (leaf === undefined) throw new Error('the run is gone');
    const bytes = new TextEncoder().encode('an image');
    const snapshot = { run, seq: 0, leaf, digest: digestOf(bytes), tag: bytes, bytes };
    expect(await again.snapshots.keep(snapshot)).toMatchObject({ ok: true });
    expect(await again.snapshots.read({ run, seq: 0 })).toEqual({ ok: true, value: snapshot });
    await check(again);
    await again.close();
    const reading = await opened(path, { access: 'readOnly' });
    expect(await reading.snapshots.keep(snapshot)).toMatchObject({ ok: false, error: { code: 'store.readOnly' } });
    expect(await reading.snapshots.read({ run, seq: 0 })).toEqual({ ok: true, value: snapshot });
    await reading.close();
  });

  test('opened for reading only, it reads and refuses to write', async () => {
    const path = join(folder(), 'ledger.db');
    const writer = await opened(path);
    const fingerprint = await found(writer);
    await writer.close();
    const reader = await opened(path, { access: 'readOnly' });
    await check(reader);
    expect(await reader.append(batchTo(fixtures.LAW, 1, [fixtures.trustDraft(fingerprint, { nonce: 'x' })]))).toMatchObject({
      ok: false,
      error: { code: 'store.readOnly' },
    });
    expect(await reader.checkpoint()).toMatchObject({ ok: false, error: { code: 'store.readOnly' } });
    await reader.close();
  });

  test('every connection has WAL and FULL, read back from SQLite itself', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    await found(store);
    expect(existsSync(`${path}-wal`)).toBe(true);
    await store.close();
    // The trap this guards against: the driver's own default for a WAL database is NORMAL.
    const bare = new Database(path);
    expect(bare.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(bare.pragma('synchronous', { simple: true })).toBe(1);
    bare.close();
  });
});

describe('many processes', () => {
  test('of two processes that race for the same positions exactly one wins each, and both stay in order', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    await openRun(store, await found(store), 'race');
    const outcomes = await Promise.all(['one', 'two'].map((name) => run(process.execPath, [child, 'race', path, name, '40'])));
    const wins = outcomes.flatMap(({ lines }) => lines.filter((line) => line.startsWith('won ')).map((line) => Number(line.slice(4))));
    expect(outcomes.map(({ errors }) => errors)).toEqual(['', '']);
    expect(wins.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    await check(store);
    await store.close();
  });

  test('a subscription sees what another process appends, all of it once', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    await openRun(store, await found(store), 'race');
    const seen: bigint[] = [];
    const following = (async () => {
      for await (const stored of store.follow(3n)) {
        seen.push(stored.index);
        if (seen.length === 40) break;
      }
    })();
    await run(process.execPath, [child, 'race', path, 'other', '40']);
    await following;
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => BigInt(i + 3)));
    await store.close();
  });

  test('two handles of one process keep each other up to date', async () => {
    const path = join(folder(), 'ledger.db');
    const [a, b] = [await opened(path), await opened(path)];
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
  });

  test('a writer that holds the lock for good makes others answer store.busy, storing nothing', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    const name = await openRun(store, await found(store), 'a');
    const holder = new Database(path);
    holder.exec('BEGIN IMMEDIATE');
    const batch = batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]);
    expect(await store.append(batch)).toMatchObject({ ok: false, error: { code: 'store.busy' } });
    holder.exec('ROLLBACK');
    holder.close();
    expect(await store.append(batch)).toMatchObject({ ok: true, value: { outcome: 'appended' } });
    await check(store);
    await store.close();
  });
});

describe('the head elsewhere', () => {
  test('is written on closing, and only moves forward', async () => {
    const at = folder();
    const [path, headFile] = [join(at, 'ledger.db'), join(at, 'state/head.json')];
    const store = await opened(path, { headFile });
    const name = await openRun(store, await found(store), 'a');
    await store.close();
    expect(JSON.parse(readFileSync(headFile, 'utf8')).size).toBe(3);
    const longer = await opened(path, { headFile });
    await longer.append(batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]));
    await longer.checkpoint();
    expect(JSON.parse(readFileSync(headFile, 'utf8')).size).toBe(4);
    await longer.close();
  });

  test('an older copy, another history and another ledger in its place are refused as rolled back', async () => {
    const at = folder();
    const [path, headFile] = [join(at, 'ledger.db'), join(at, 'head.json')];
    const store = await opened(path);
    const fingerprint = await found(store);
    await store.close();
    copyFileSync(path, join(at, 'old.db'));
    const grown = await opened(path, { headFile });
    await openRun(grown, fingerprint, 'a');
    await grown.close();
    expect(await refusalOf(path, { headFile })).toBe('opened');
    expect(await refusalOf(join(at, 'old.db'), { headFile })).toBe('ledger.rolledBack');
    const fork = await opened(join(at, 'old.db'));
    await openRun(fork, fingerprint, 'b');
    await openRun(fork, fingerprint, 'c');
    await fork.close();
    expect(await refusalOf(join(at, 'old.db'), { headFile })).toBe('ledger.rolledBack');
    const other = await opened(join(at, 'other.db'));
    await other.append(fixtures.foundingBatch({ at: fixtures.after(1) }));
    await other.close();
    expect(await refusalOf(join(at, 'other.db'), { headFile })).toBe('ledger.rolledBack');
    writeFileSync(headFile, '{"size":');
    expect(await refusalOf(path, { headFile })).toBe('headFile.malformed');
  });

  test('window 5: a file that lags behind the ledger is accepted', async () => {
    const at = folder();
    const [path, headFile] = [join(at, 'ledger.db'), join(at, 'head.json')];
    const store = await opened(path, { headFile });
    const fingerprint = await found(store);
    await store.checkpoint();
    const remembered = readFileSync(headFile);
    await openRun(store, fingerprint, 'a');
    await store.close();
    writeFileSync(headFile, remembered);
    expect(await refusalOf(path, { headFile })).toBe('opened');
  });
});

describe('large blobs', () => {
  const large = textBlob('x'.repeat(300_000));
  const fileOf = (at: string): string => join(at, 'blobs', large.digest.slice(7, 9), large.digest.slice(7));

  test('window 1: an unfinished file of a dead writer is never read, and removed once it is old', async () => {
    const at = folder();
    await (await opened(join(at, 'ledger.db'))).close();
    const leftover = join(at, 'blobs', large.digest.slice(7, 9), '.unfinished-0000');
    mkdirSync(join(at, 'blobs', large.digest.slice(7, 9)), { recursive: true });
    writeFileSync(leftover, 'half');
    await (await opened(join(at, 'ledger.db'))).close();
    expect(existsSync(leftover)).toBe(true);
    utimesSync(leftover, new Date(0), new Date(0));
    const store = await opened(join(at, 'ledger.db'));
    expect(existsSync(leftover)).toBe(false);
    await store.close();
  });

  test('window 2: a file that no entry names is taken up by the next append of the same bytes, and replaced if it is not whole', async () => {
    const at = folder();
    mkdirSync(join(at, 'blobs', large.digest.slice(7, 9)), { recursive: true });
    writeFileSync(fileOf(at), large.bytes.subarray(0, 1000));
    const store = await opened(join(at, 'ledger.db'));
    const name = await openRun(store, await found(store), 'a');
    expect(await store.blob(large.digest)).toMatchObject({ ok: false, error: { code: 'blob.unknown' } });
    await store.append({ ...batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]), blobs: [large] });
    expect(statSync(fileOf(at)).size).toBe(300_000);
    expect(await store.blob(large.digest)).toMatchObject({ ok: true });
    expect(readdirSync(join(at, 'blobs', large.digest.slice(7, 9)))).toEqual([large.digest.slice(7)]);
    await store.close();
  });

  test('changed or missing bytes are not handed out', async () => {
    const at = folder();
    const store = await opened(join(at, 'ledger.db'));
    const name = await openRun(store, await found(store), 'a');
    const small = textBlob('small');
    await store.append({ ...batchTo(name, 0, [fact('run.cancelRequested', CANCEL)]), blobs: [large, small] });
    writeFileSync(fileOf(at), 'y'.repeat(300_000));
    expect(await store.blob(large.digest)).toMatchObject({ ok: false, error: { code: 'blob.corrupt' } });
    rmSync(fileOf(at));
    expect(await store.blob(large.digest)).toMatchObject({ ok: false, error: { code: 'blob.corrupt' } });
    const db = new Database(join(at, 'ledger.db'));
    db.prepare('UPDATE blobs SET bytes = ? WHERE digest = ?').run(Buffer.from('Small'), small.digest);
    db.close();
    expect(await store.blob(small.digest)).toMatchObject({ ok: false, error: { code: 'blob.corrupt' } });
    await store.close();
  });
});

describe('damage', () => {
  test('an entry that was changed in the database is named when it is read, and found by verification', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    const name = await openRun(store, await found(store), 'a');
    const db = new Database(path);
    db.prepare('UPDATE entries SET entry = ? WHERE idx = 2').run(Buffer.from('{}'));
    db.close();
    const reading = (async () => {
      for await (const stored of store.read(name)) return stored.index;
      return null;
    })();
    expect(
      await reading.then(
        () => 'read',
        (error: { code: string }) => error.code,
      ),
    ).toBe('store.corrupt');
    const report = await verifyLedger({ rows: store.rows(), checkpoints: [], head: null }, { trust: null });
    expect(report).toMatchObject({ sound: false, firstBad: 2 });
    await store.close();
  });
});

describe('a damaged head', () => {
  test.each([
    ['cut off', "x''"],
    ['too long', 'CAST(frontier || zeroblob(32) AS BLOB)'],
    ['not of whole hashes', "x'0011'"],
  ])('%s is a typed fault when read and a typed refusal when something is appended; the handle closes', async (_, frontier) => {
    const path = join(folder(), 'ledger.db');
    const first = await opened(path);
    const law = await found(first);
    await first.close();
    const db = new Database(path);
    db.exec(`UPDATE head SET frontier = ${frontier}`);
    db.close();
    const headFile = `${path}.head`;
    const damaged = await opened(path, { headFile });
    await expect(damaged.head()).rejects.toMatchObject({ code: 'store.corrupt' });
    await expect(openRun(damaged, law, 'a')).rejects.toThrow(/store\.corrupt/);
    expect(await damaged.checkpoint()).toMatchObject({ ok: false, error: { code: 'store.corrupt' } });
    await damaged.close();
    expect(existsSync(headFile)).toBe(false);
  });
});

leaseContract('SQLite', {
  child: () => child,
  place: () => {
    const path = join(folder(), 'run.lease');
    return { acquire: async () => acquireLease({ path }), holding: [path] };
  },
});

test('a lease where no file can be is refused by name', () => {
  expect(acquireLease({ path: join(folder(), 'none/run.lease') })).toMatchObject({ ok: false, error: { code: 'lease.unavailable' } });
});
