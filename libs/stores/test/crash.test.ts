/**
 * SIGKILL at seeded moments while batches are appended: what was acknowledged is there, batches are whole, the chain goes on (windows 3 and 4 of
 * the write path). Then a full disk and a disk that became read-only. GOALS §4. OPENEXEC_KILLS sets the number of kills.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fixtures } from '@openexec/ledger/contract';
import Database from 'better-sqlite3';
import { bundled, run } from './children.ts';
import { check, folder, found, opened, openRun, removeFolders } from './support.ts';

const KILLS = Number(process.env['OPENEXEC_KILLS'] ?? '60');
const LEDGERS = 4;
let child = '';
beforeAll(async () => {
  child = await bundled('appendChild');
});
afterAll(() => {
  removeFolders();
  rmSync(child, { force: true });
});

async function freshLedger(name: string): Promise<string> {
  const path = join(folder(), 'ledger.db');
  const store = await opened(path);
  await openRun(store, await found(store), name);
  await store.close();
  return path;
}

/** Kills one child and checks what it left; answers how many entries it had been told of and how many it left. */
async function killOnce(path: string, seed: number, before: number): Promise<{ acknowledged: number; stored: number }> {
  const [byte = 0] = fixtures.seededRandomness(seed).bytes(1);
  const outcome = await run(process.execPath, [child, 'kill', path, String(seed)], { killAfterMs: (byte * 40) / 255 });
  if (outcome.signal !== 'SIGKILL')
    throw new Error(`seed ${seed}: the child ended by itself: ${outcome.lines.at(-1) ?? ''} ${outcome.errors}`);
  const acknowledged = Number(outcome.lines.at(-1)?.split(' ')[0] ?? before);
  const store = await opened(path);
  const run_ = fixtures.runNamed('kill');
  const stored = (await store.trajectory(run_))?.seq ?? 0;
  // A batch is one fact and the judgements of it: each fact's batch states its length by where the next fact stands.
  let cause = 0;
  for await (const { entry } of store.read(run_, 1)) {
    if (entry.cause === null) cause = entry.seq;
    else if (entry.cause !== cause) throw new Error(`seed ${seed}: half a batch at ${entry.seq}`);
  }
  await store.close();
  return { acknowledged, stored };
}

describe(`${KILLS} kills`, () => {
  test(
    'lose no acknowledged entry and leave no half batch; the ledger verifies and goes on',
    async () => {
      let acknowledgedInAll = 0;
      const lanes = Array.from({ length: LEDGERS }, async (_, lane) => {
        const path = await freshLedger('kill');
        let before = 0;
        for (let seed = lane; seed < KILLS; seed += LEDGERS) {
          const { acknowledged, stored } = await killOnce(path, seed, before);
          if (stored < acknowledged) throw new Error(`seed ${seed}: ${acknowledged} acknowledged, ${stored} stored`);
          acknowledgedInAll += acknowledged - before;
          before = stored;
        }
        const store = await opened(path);
        await check(store);
        for await (const { payload } of store.read(fixtures.runNamed('kill'))) expect(payload === null).toBe(false);
        await store.close();
        const db = new Database(path, { readonly: true });
        expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
        db.close();
      });
      await Promise.all(lanes);
      expect(acknowledgedInAll).toBeGreaterThan(KILLS);
    },
    KILLS * 10_000,
  );

  test('a batch is never half there: the length it was appended with is the length that is stored', async () => {
    const path = await freshLedger('kill');
    const lengths = new Map<number, number>();
    for (let seed = 1000; seed < 1004; seed++) {
      const outcome = await run(process.execPath, [child, 'kill', path, String(seed)], { killAfterMs: 60 });
      for (const line of outcome.lines) {
        const [seq = 0, length = 0] = line.split(' ').map(Number);
        lengths.set(seq - length + 1, length);
      }
    }
    const store = await opened(path);
    const stored = new Map<number, number>();
    for await (const { entry } of store.read(fixtures.runNamed('kill'), 1))
      stored.set(entry.cause ?? entry.seq, (stored.get(entry.cause ?? entry.seq) ?? 0) + 1);
    await store.close();
    // Each of the four was killed after the first batch that it told of.
    expect(lengths.size).toBeGreaterThanOrEqual(4);
    for (const [fact, length] of lengths) expect([fact, stored.get(fact)]).toEqual([fact, length]);
  });
});

/** A private mount namespace without privileges, where the host allows one. */
const canMount = spawnSync('unshare', ['-Urm', 'sh', '-c', 'mount -t tmpfs -o size=1m none /mnt'], { stdio: 'ignore' }).status === 0;
const mounted = canMount ? test : test.skip;
const reason = canMount ? '' : ' (not run: this host gives no unprivileged mount namespace)';

async function inSmallDisk(script: string): Promise<{ readonly lines: readonly string[]; readonly errors: string }> {
  const disk = join(folder(), 'disk');
  mkdirSync(disk);
  const setUp = `mount -t tmpfs -o size=1m none "$1" && cp "$2"/* "$1"/ && ${script}`;
  const source = folder();
  const store = await opened(join(source, 'ledger.db'));
  await openRun(store, await found(store), 'fill');
  await store.close();
  return run('unshare', ['-Urm', 'sh', '-c', setUp, 'sh', disk, source, process.execPath, child]);
}

describe('a disk', () => {
  mounted(
    `that is full refuses with store.full and stops the handle; after making room nothing is lost${reason}`,
    async () => {
      const again = 'mount -o remount,size=16m "$1"';
      const { lines, errors } = await inSmallDisk(`"$3" "$4" fill "$1/ledger.db" && ${again} && "$3" "$4" read "$1/ledger.db"`);
      expect(errors).toBe('');
      const refused = lines.indexOf('refused store.full');
      const acknowledged = Number(lines[refused - 1]);
      expect(acknowledged).toBeGreaterThan(2);
      expect(lines[refused + 1]).toBe('then store.stopped');
      expect(lines.at(-1)).toBe(`sound ${acknowledged}`);
    },
    120_000,
  );

  mounted(
    `that is read-only is named as such when the ledger on it is opened${reason}`,
    async () => {
      const { lines, errors } = await inSmallDisk('mount -o remount,ro "$1" && "$3" "$4" open "$1/ledger.db"');
      expect(errors).toBe('');
      expect(lines).toEqual(['readWrite store.readOnly', 'readOnly store.readOnly']);
    },
    120_000,
  );
});
