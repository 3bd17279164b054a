/**
 * What SQLite's keeper promises beyond the contract: nothing of what was erased is left in any file, a death in any window leaves all or nothing, damage
 * to what is derived is named and put right, and a backup is one moment. GOALS E16; SECURITY §5.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Examination, exportLines, type KeptLedger } from '@openexec/ledger';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { backUpSqliteLedger } from '@openexec/stores';
import Database from 'better-sqlite3';
import { bundled, run } from './children.ts';
import { check, folder, found, opened, removeFolders } from './support.ts';

const { batchTo, CANCEL, CLOSED, after, fact, judgement, openedBody } = fixtures;
const { erasure, placesIn, runOfKeeping, withBlob } = keeping;
const LARGE = 200_000;
const TIME_MS = 240_000;
let child = '';
beforeAll(async () => {
  child = await bundled('keepChild');
});
afterAll(() => {
  removeFolders();
  rmSync(child, { force: true });
});

/** Without a digit of hex: what is no digest is not packed as one, and stands in the file letter by letter. */
const canary = (at: number): string =>
  `canary-${at}-${fixtures.nonceOf(`canary ${at}`).replace(/[0-9a-f]/g, (digit) => 'ghijklmnopqrstuv'.charAt(Number.parseInt(digit, 16)))}`;

/** A ledger with one closed run whose payloads and blobs, small and large, hold the canaries; and one run that stays. */
async function ledgerOf(canaries: number): Promise<{ readonly path: string; readonly places: number; readonly store: KeptLedger }> {
  const path = join(folder(), 'ledger.db');
  const store = await opened(path);
  const fingerprint = await found(store);
  const took = async (batch: Parameters<KeptLedger['append']>[0]): Promise<void> => {
    const result = await store.append(batch);
    if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  };
  for (const name of ['a', 'stays']) {
    const trajectory = runOfKeeping(name);
    await took(batchTo(trajectory, 'none', [fact('run.opened', openedBody(fingerprint, name))]));
    for (let at = 0; at < canaries; at++) {
      const text = name === 'a' ? canary(at) : `other ${at}`;
      const { blob, draft } = withBlob(at % 4 === 0 ? text.repeat(Math.ceil(LARGE / text.length)) : text);
      const inline = {
        channel: 'c',
        action: 'a',
        arguments: { inline: `${text} `.repeat(at % 3 === 0 ? 400 : 1) },
        claims: { rationale: null, claimedRisk: null },
      };
      await took({ ...batchTo(trajectory, at * 2, [draft, fact('intent.submitted', inline)]), blobs: [blob] });
    }
    const last = canaries * 2 + 1;
    await took(batchTo(trajectory, last - 1, [fact('run.cancelRequested', CANCEL, { at: after(1000) })]));
    await took(batchTo(trajectory, last, [judgement('run.closed', CLOSED, { cause: last, law: 1, at: after(1000) })], 1));
  }
  return { path, places: canaries * 2 + 2, store };
}

/** Every file of a ledger: database, log, shared memory, blobs. */
function filesOf(path: string): readonly string[] {
  const walk = (at: string): string[] => (statSync(at).isDirectory() ? readdirSync(at).flatMap((name) => walk(join(at, name))) : [at]);
  return walk(join(path, '..'));
}

function canariesIn(path: string, count: number): readonly string[] {
  const files = filesOf(path).map((file) => readFileSync(file));
  return Array.from({ length: count }, (_, at) => canary(at)).filter((text) => files.some((bytes) => bytes.includes(text)));
}

async function fingerprintOf(store: KeptLedger): Promise<Parameters<typeof erasure>[0]> {
  const { fingerprint } = await store.head();
  if (fingerprint === null) throw new Error('not founded');
  return fingerprint;
}

describe('erasing in SQLite', () => {
  test(
    'A88: leaves none of 100 canaries in any file: database, log, shared memory, blobs, a later export and a later backup',
    async () => {
      const { path, places, store } = await ledgerOf(100);
      expect(canariesIn(path, 100)).toHaveLength(100);
      const forgotten = await store.keeper.forget(erasure(await fingerprintOf(store), placesIn(runOfKeeping('a'), places)));
      expect(forgotten).toMatchObject({ ok: true, value: { payloads: places, blobs: 100, lingering: false } });
      expect(canariesIn(path, 100)).toEqual([]);
      const { fingerprint, origin, size, root } = await store.head();
      if (fingerprint === null || origin === null) throw new Error('not founded');
      const lines: Uint8Array[] = [];
      for await (const line of exportLines(store, { fingerprint, origin, size, root })) lines.push(line);
      writeFileSync(join(path, '../export.oxl'), Buffer.concat(lines));
      mkdirSync(join(path, '../backup'));
      expect(await backUpSqliteLedger({ path, to: join(path, '../backup/ledger.db') })).toMatchObject({
        ok: true,
        value: { blobFiles: 25 },
      });
      expect(canariesIn(path, 100)).toEqual([]);
      await check(store);
      await store.close();
      expect(canariesIn(path, 100)).toEqual([]);
    },
    TIME_MS,
  );

  /** E16: killed in one of its windows, a forgetting has happened whole or not at all, and the next opening finishes it. */
  async function killedIn(window: number, happened: boolean): Promise<void> {
    const { path, places, store } = await ledgerOf(8);
    const { size } = await store.head();
    await store.close();
    const outcome = await run(process.execPath, [child, 'forget', path, String(window), String(places)]);
    expect([outcome.signal, outcome.errors]).toEqual(['SIGKILL', '']);
    const again = await opened(path);
    await check(again);
    expect((await again.head()).size).toBe(happened ? size + 1n : size);
    let gone = 0;
    for await (const { payload } of again.read(runOfKeeping('a'))) gone += payload === null ? 1 : 0;
    expect([gone, canariesIn(path, 8).length]).toEqual(happened ? [places, 0] : [0, 8]);
    expect(await again.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
    await again.close();
  }
  test('window 6: killed before a forgetting commits, nothing of it has happened (E16)', () => killedIn(6, false), TIME_MS);
  test('window 7: killed after it committed, all of it has happened, and no file holds what went (E16)', () => killedIn(7, true), TIME_MS);
  test('window 8: killed before its files are gone, the next opening takes them away (E16)', () => killedIn(8, true), TIME_MS);
});

test(
  'window 9: killed before it commits, a copy leaves an empty store, and what lies beside it goes with the next examination',
  async () => {
    const { store, path } = await ledgerOf(8);
    const { fingerprint, origin, size, root } = await store.head();
    if (fingerprint === null || origin === null) throw new Error('not founded');
    const file = join(path, '../ledger.oxl');
    const lines: Uint8Array[] = [];
    for await (const line of exportLines(store, { fingerprint, origin, size, root })) lines.push(line);
    writeFileSync(file, Buffer.concat(lines));
    await store.close();
    const target = join(folder(), 'ledger.db');
    await (await opened(target)).close();
    expect(await run(process.execPath, [child, 'copy', target, '9', file])).toMatchObject({ signal: 'SIGKILL' });
    const empty = await opened(target);
    expect((await empty.head()).size).toBe(0n);
    expect(await empty.keeper.examine({ repair: true })).toMatchObject({
      ok: true,
      value: { findings: Array.from({ length: 4 }, () => ({ code: 'blob.orphan', repaired: true })) },
    });
    await empty.close();
    expect(await run(process.execPath, [child, 'copy', target, '0', file])).toMatchObject({ code: 0, errors: '' });
    const full = await opened(target);
    await check(full);
    expect((await full.head()).size).toBe(size);
    await full.close();
  },
  TIME_MS,
);

describe('examining', () => {
  const damaged = async (
    sql: string,
  ): Promise<{ readonly examined: Examination; readonly repaired: Examination; readonly after: Examination }> => {
    const { path, store } = await ledgerOf(70);
    await store.close();
    const db = new Database(path);
    db.exec(sql);
    db.close();
    const again = await opened(path);
    const look = async (repair: boolean): Promise<Examination> => {
      const result = await again.keeper.examine({ repair });
      if (!result.ok) throw new Error(result.error.code);
      return result.value;
    };
    const examined = await look(false);
    const repaired = await look(true);
    const afterwards = await look(false);
    if (afterwards.findings.length === 0) await check(again);
    await again.close();
    return { examined, repaired, after: afterwards };
  };

  test(
    'names the first bad index of what is derived, and puts it right from the entries',
    async () => {
      for (const [sql, code, firstBad] of [
        ['UPDATE subtrees SET hash = zeroblob(32)', 'subtree.wrong', 0],
        ['DELETE FROM subtrees', 'subtree.wrong', 0],
        ['INSERT INTO subtrees VALUES (1, 9, zeroblob(32))', 'subtree.wrong', null],
        ['UPDATE head SET fingerprint = NULL', 'head.wrong', null],
        ["UPDATE head SET successor = 'x'", 'head.wrong', null],
        ["INSERT INTO trajectories (name) VALUES ('run/none')", 'trajectory.wrong', null],
        ['UPDATE entries SET trajectory = 99 WHERE idx = 7', 'place.wrong', 7],
        ["UPDATE entries SET event = 'x' WHERE idx = 5", 'place.wrong', 5],
        ["INSERT INTO blobs VALUES ('sha256:00', 1, x'00')", 'blob.orphan', null],
      ] as const) {
        const { examined, repaired, after: afterwards } = await damaged(sql);
        expect([sql, examined.findings[0]?.code, examined.firstBad]).toEqual([sql, code, firstBad]);
        expect(repaired.findings.filter((each) => !each.repaired && each.code !== 'blob.corrupt')).toEqual([]);
        expect([sql, afterwards.findings]).toEqual([sql, []]);
      }
    },
    TIME_MS,
  );

  test(
    'never repairs while an entry or a payload is broken',
    async () => {
      for (const [sql, code, firstBad] of [
        ["UPDATE entries SET payload = x'7b7d' WHERE idx = 9", 'payload.broken', 9],
        ['UPDATE entries SET salt = NULL WHERE idx = 4', 'payload.broken', 4],
        ["UPDATE entries SET entry = x'7b7d' WHERE idx = 6", 'entry.broken', 6],
        ['DELETE FROM entries WHERE idx = 6', 'entry.broken', 6],
      ] as const) {
        const { examined, repaired } = await damaged(sql);
        expect([sql, examined.findings.some((each) => each.code === code), examined.firstBad]).toEqual([sql, true, firstBad]);
        expect(repaired.findings.some((each) => each.repaired)).toBe(false);
      }
    },
    TIME_MS,
  );
});

test(
  'a backup that is made while others write is one moment of the ledger and verifies',
  async () => {
    const { path, store } = await ledgerOf(8);
    const trajectory = runOfKeeping('busy');
    await store.append(batchTo(trajectory, 'none', [fact('run.opened', openedBody(await fingerprintOf(store), 'busy'))]));
    let stop = false;
    const writing = (async () => {
      for (let seq = 0; !stop; seq++) {
        await store.append(batchTo(trajectory, seq, [fact('run.cancelRequested', CANCEL)]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const places = [1, 2, 3].map((number) => join(folder(), `backup-${number}.db`));
    for (const to of places) expect(await backUpSqliteLedger({ path, to })).toMatchObject({ ok: true });
    stop = true;
    await writing;
    let last = 0n;
    for (const to of places) {
      const copy = await opened(to);
      await check(copy);
      const { size } = await copy.head();
      expect(size >= last).toBe(true);
      last = size;
      expect(await copy.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
      await copy.close();
    }
    expect(existsSync(`${places[0] ?? ''}.unfinished`)).toBe(false);
    await store.close();
  },
  TIME_MS,
);
