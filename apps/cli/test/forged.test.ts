/** The ledger of the demo, damaged: forged bytes, forged with all of its keys, a file cut or replaced, a rolled-back file. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import Database from 'better-sqlite3';
import { demoScene } from './demoScene.ts';
import { rewrite } from './forger.ts';

const scene = demoScene();
const { repository, ledgerFile, openexec, verified, copied } = scene;

describe('a forged ledger', () => {
  const SAMPLES = 5;
  const flip = (bytes: Uint8Array, at: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    return changed;
  };

  /** Flips one bit of a column at entries spread over the ledger; says for each what verify came to. */
  async function flipEverywhere(column: 'payload' | 'salt' | 'entry') {
    const source = new Database(ledgerFile(), { readonly: true });
    const size = Number(source.prepare('SELECT count(*) FROM entries').pluck().get());
    source.close();
    const outcomes: { readonly index: number; readonly exit: number | null; readonly firstBad: number }[] = [];
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const index = Math.floor(((sample + 0.5) * size) / SAMPLES);
      const path = copied(`forged-${column}-${sample}`, (db) => {
        const bytes = db.prepare(`SELECT ${column} FROM entries WHERE idx = ?`).pluck().get(index) as Uint8Array;
        const changed = flip(bytes, Math.floor((bytes.length * (sample + 1)) / (SAMPLES + 1)));
        db.prepare(`UPDATE entries SET ${column} = ? WHERE idx = ?`).run(changed, index);
      });
      const { exit, document } = await verified('--ledger', `sqlite:${path}`);
      outcomes.push({ index, exit, firstBad: document.firstBad ?? -1 });
    }
    return outcomes;
  }

  test.each(['payload', 'salt'] as const)('one flipped bit of a %s is found, and placed at its entry', async (column) => {
    const outcomes = await flipEverywhere(column);
    expect(outcomes).toEqual(outcomes.map(({ index }) => ({ index, exit: 20, firstBad: index })));
  });

  test('one flipped bit of an entry is found; where its own bytes can still be read, by what follows from them', async () => {
    const outcomes = await flipEverywhere('entry');
    expect(outcomes.map(({ exit }) => exit)).toEqual(outcomes.map(() => 20));
    expect(outcomes.filter(({ index, firstBad }) => firstBad < index)).toEqual([]);
  });

  test('one byte changed in the raw file under a payload is found at its entry', async () => {
    const source = new Database(ledgerFile(), { readonly: true });
    const rows = source.prepare('SELECT idx, payload FROM entries ORDER BY idx').raw().all() as [number, Buffer][];
    source.close();
    const copy = join(scene.folder, 'forged-raw');
    cpSync(join(repository(), '.openexec'), copy, { recursive: true });
    const path = join(copy, 'ledger.db');
    const bytes = readFileSync(path);
    const found = rows.find(([, payload]) => payload.length > 64 && bytes.indexOf(payload) >= 0);
    if (found === undefined) throw new Error('no payload stands in the file in one piece');
    const [index, payload] = found;
    for (let at = bytes.indexOf(payload); at >= 0; at = bytes.indexOf(payload, at + 1)) bytes[at + 32] = (bytes[at + 32] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { exit, document } = await verified('--ledger', `sqlite:${path}`);
    expect([exit, document.firstBad]).toEqual([20, index]);
  });

  test('a changed and a missing blob are each found, at the entry that names them', async () => {
    const changed = copied('forged-blob', (db) => {
      const [digest, bytes] = db.prepare('SELECT digest, bytes FROM blobs WHERE bytes IS NOT NULL LIMIT 1').raw().get() as [
        string,
        Uint8Array,
      ];
      db.prepare('UPDATE blobs SET bytes = ? WHERE digest = ?').run(flip(bytes, 0), digest);
    });
    expect((await verified('--ledger', `sqlite:${changed}`)).document.findings).toMatchObject([{ code: 'blob.corrupt' }]);
    const missing = copied(
      'missing-blob',
      (db) => void db.prepare('DELETE FROM blobs WHERE digest = (SELECT digest FROM blobs LIMIT 1)').run(),
    );
    const { exit, document } = await verified('--ledger', `sqlite:${missing}`);
    expect(exit).toBe(20);
    expect(document.findings).toMatchObject([{ code: 'blob.missing' }]);
  });

  test('a deleted and a swapped entry are found', async () => {
    const deleted = copied('deleted', (db) => void db.prepare('DELETE FROM entries WHERE idx = 7').run());
    expect((await verified('--ledger', `sqlite:${deleted}`)).exit).toBe(20);
    const swapped = copied('swapped', (db) => {
      const get = db.prepare('SELECT entry, payload, salt FROM entries WHERE idx = ?').raw();
      const set = db.prepare('UPDATE entries SET entry = ?, payload = ?, salt = ? WHERE idx = ?');
      const [seven, eight] = [get.get(7), get.get(8)] as unknown[][];
      set.run(...(eight ?? []), 7);
      set.run(...(seven ?? []), 8);
    });
    const { exit, document } = await verified('--ledger', `sqlite:${swapped}`);
    expect([exit, document.firstBad]).toEqual([20, 7]);
  });

  test('is not judged again: --deep says so and the exit code stays 20', async () => {
    const path = copied('forged-deep', (db) => void db.prepare("UPDATE entries SET payload = x'7b7d' WHERE idx = 9").run());
    const { exit, stdout } = await openexec('verify', '--deep', '--ledger', `sqlite:${path}`);
    expect(exit).toBe(20);
    expect(stdout).toMatch(/first bad index 9[\s\S]*not judged/);
  });
});

describe('a ledger forged with all of its keys', () => {
  test('is sound, but a judgement that the kernel would not make is found: verify --deep and replay exit 21 and say where', async () => {
    const target = join(scene.folder, 'with-keys/ledger.db');
    const { fingerprint } = (await verified()).document;
    let forgedIndex = -1;
    await rewrite({
      source: ledgerFile(),
      target,
      stateFolder: join(scene.folder, 'demo/state', fingerprint.slice('sha256:'.length, 'sha256:'.length + 32)),
      change: ({ index, entry }, payload) => {
        if (forgedIndex >= 0 || entry.kind !== 'stage.left') return payload;
        forgedIndex = Number(index);
        return { ...(payload as { readonly [name: string]: Json }), because: { code: 'answer.final', message: 'nothing to see here' } };
      },
    });
    const plain = await verified('--ledger', `sqlite:${target}`, '--trust', fingerprint);
    expect(plain).toMatchObject({ exit: 0, document: { sound: true, level: 'signed', trust: 'pinned', fingerprint } });
    const deep = await verified('--deep', '--ledger', `sqlite:${target}`);
    expect(deep.exit).toBe(21);
    expect(deep.document.deep).toMatchObject({
      totals: { divergences: 1 },
      runs: [{ verdict: 'diverges', divergences: [{ index: `${forgedIndex}`, what: 'payload', drift: [{ path: '/because/message' }] }] }],
    });
    const replayed = await openexec('replay', 'latest', '--ledger', `sqlite:${target}`);
    expect(replayed.exit).toBe(21);
    expect(replayed.stdout).toContain('nothing to see here');
  });
});

describe('a file that is no ledger any more', () => {
  test.each([
    ['cut in half', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['overwritten at its beginning', (bytes: Buffer) => Buffer.concat([Buffer.alloc(100), bytes.subarray(100)])],
    ['empty', () => Buffer.alloc(0)],
  ])('%s fails verification, exit 20', async (name, damage) => {
    const path = join(scene.folder, `damaged ${name}.db`);
    writeFileSync(path, damage(readFileSync(ledgerFile())));
    expect(await openexec('verify', '--ledger', `sqlite:${path}`)).toMatchObject({ exit: 20 });
  });
});

describe('a rolled-back ledger', () => {
  test('put in the place of the newer one is refused by verify and by every other command, exit 20', async () => {
    const file = ledgerFile();
    const older = readFileSync(file);
    const sizes = async () => (JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string }).size;
    const before = await sizes();
    const { runs } = JSON.parse((await openexec('runs', '--json')).stdout) as { runs: { run: string; status: string }[] };
    const done = runs.find(({ status }) => status === 'done')?.run ?? '';
    expect(await openexec('apply', done)).toMatchObject({ exit: 0 });
    expect(Number(await sizes())).toBeGreaterThan(Number(before));
    for (const suffix of ['-wal', '-shm']) if (existsSync(`${file}${suffix}`)) rmSync(`${file}${suffix}`);
    writeFileSync(file, older);
    const { exit, document } = await verified();
    expect(exit).toBe(20);
    expect(document).toMatchObject({ sound: false, level: null, findings: [{ index: null, code: 'ledger.rolledBack' }] });
    for (const command of [['runs'], ['show', 'latest'], ['timeline', 'latest'], ['ledger', 'info'], ['replay', 'latest']])
      expect(await openexec(...command)).toMatchObject({ exit: 20, stdout: '' });
  });

  test('a store that lies about its own head is found', async () => {
    const path = copied('lying-head', (db) => void db.prepare("UPDATE head SET frontier = x''").run());
    const { exit, document } = await verified('--ledger', `sqlite:${path}`);
    expect(exit).toBe(20);
    expect(document.findings).toMatchObject([{ index: null, code: 'store.head' }]);
    // Every other command says the same with the same exit, and none says it is a defect of ours.
    for (const command of [['runs'], ['show', 'latest'], ['timeline', 'latest'], ['ledger', 'info'], ['replay', 'latest']]) {
      const ended = await openexec(...command, '--ledger', `sqlite:${path}`);
      expect({ command, exit: ended.exit, said: ended.stderr.includes('ledger.corrupt (exit 20)') }).toEqual({
        command,
        exit: 20,
        said: true,
      });
    }
  });

  test('a file of something else is refused by every command with 20', async () => {
    const path = join(scene.folder, 'somebody-else.db');
    writeFileSync(path, 'this was never a ledger\n'.repeat(1000));
    for (const command of [['runs'], ['show', 'latest'], ['ledger', 'info'], ['replay', 'latest'], ['verify']])
      expect({ command, exit: (await openexec(...command, '--ledger', `sqlite:${path}`)).exit }).toEqual({ command, exit: 20 });
  });

  test('replay of a run of which a blob is missing or changed ends with 20, as deep verification does', async () => {
    const intact = copied('replay-intact', () => undefined);
    const listed = await openexec('runs', '--json', '--ledger', `sqlite:${intact}`);
    const { runs } = JSON.parse(listed.stdout) as { runs: { run: string; status: string }[] };
    const done = runs.find(({ status }) => status === 'done')?.run ?? '';
    expect(await openexec('replay', done, '--ledger', `sqlite:${intact}`)).toMatchObject({ exit: 0 });
    const damages: Readonly<Record<string, string>> = {
      'blob.unknown': 'DELETE FROM blobs',
      'blob.corrupt': "UPDATE blobs SET bytes = x'00'",
    };
    for (const [code, sql] of Object.entries(damages)) {
      const path = copied(`replay-${code}`, (db) => void db.prepare(sql).run());
      const replayed = await openexec('replay', done, '--json', '--ledger', `sqlite:${path}`);
      expect(JSON.parse(replayed.stdout)).toMatchObject({ verdict: 'notDerivable', from: { code } });
      expect(replayed.exit).toBe(20);
      expect((await openexec('verify', '--deep', '--ledger', `sqlite:${path}`)).exit).toBe(20);
    }
  });
});
