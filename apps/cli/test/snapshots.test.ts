/**
 * Snapshots through the bundle: kept by a run, named by deep verification and fsck where they differ from the entries, passed over by whoever reads, and
 * gone with what they hold. PROTOCOL §3 "Snapshots"; GOALS E10, E16.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import type { Ended } from './cli.ts';
import { inOnePlace, openexecWith, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 240_000;
const CANARY = 'canary-51c0-of-a-patch';
const OFTEN = { OPENEXEC_SNAPSHOT_EVERY: '4' };

const openexec = (...args: readonly string[]): Promise<Ended> => openexecWith(args, { env: OFTEN });
async function done(...args: readonly string[]): Promise<string> {
  const ended = await openexec(...args);
  if (ended.exit !== 0) throw new Error(`${args.join(' ')}: ${ended.exit}: ${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}
interface Deep {
  readonly exit: number;
  readonly sound: boolean;
  readonly snapshots: { readonly checked: number; readonly foreign: number; readonly wrong: readonly { readonly message: string }[] };
  readonly notChecked: readonly string[];
}
async function deep(): Promise<Deep> {
  const ended = await openexec('verify', '--deep', '--json');
  const verdict = JSON.parse(ended.stdout) as Deep;
  expect(verdict.sound).toBe(true);
  expect(verdict.exit).toBe(ended.exit);
  return verdict;
}
const file = (): string => join(place.root, '.openexec', 'ledger.db');
function withDb<T>(work: (db: Database.Database) => T): T {
  const db = new Database(file());
  try {
    return work(db);
  } finally {
    db.close();
  }
}
interface Row {
  readonly run: string;
  readonly seq: number;
  readonly digest: string;
  readonly tag: Buffer;
  readonly bytes: Buffer;
}
const rows = (): readonly Row[] => withDb((db) => db.prepare('SELECT * FROM snapshots WHERE seq >= 0 ORDER BY seq').all() as Row[]);
/** Whether the bytes stand in any file of the ledger. */
function held(text: string): boolean {
  const folder = join(place.root, '.openexec');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /(?:ledger\.db|blobs)/.test(name));
  return names.some((name) => {
    const path = join(folder, name);
    return existsSync(path) && !readdirSafe(path) && readFileSync(path).includes(text);
  });
}
function readdirSafe(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

inOnePlace(async () => {
  await done('init', '--model', 'openai:gpt-test');
  const patch = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'note.js', content: `// ${CANARY}\n` } };
  provider.say({ calls: [patch] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
  await openexec('run', 'Leave a note');
});

describe('a run with snapshots', () => {
  test(
    'keeps the last two; deep verification and fsck fold them again',
    async () => {
      const kept = rows();
      expect(kept).toHaveLength(2);
      expect(kept.every(({ bytes }) => bytes.includes(CANARY))).toBe(true);
      expect((await deep()).snapshots).toEqual({ checked: 2, foreign: 0, wrong: [] });
      expect(await done('verify', '--deep')).toContain('every snapshot of a run');
      expect(await done('ledger', 'fsck')).toContain('examined  2 snapshots');
    },
    TIME_MS,
  );

  test(
    'is read from them: what reads says the same with and without',
    async () => {
      const before = await done('rewind', 'latest', '--json');
      withDb((db) => db.prepare('DELETE FROM snapshots').run());
      expect(await done('rewind', 'latest', '--json')).toBe(before);
    },
    TIME_MS,
  );

  test(
    'whose snapshot was changed says so and reads the entries instead; verification names it, fsck drops it',
    async () => {
      // Kept anew: a second run.
      provider.say({ text: 'nothing to do' }, { text: 'done' }, { text: 'done' });
      await openexec('run', 'Look around');
      const sound = await done('rewind', 'latest', '--json');
      expect(rows().length).toBeGreaterThan(0);
      withDb((db) => {
        const forge = db.prepare('UPDATE snapshots SET bytes = ? WHERE run = ? AND seq = ?');
        for (const { run, seq, bytes } of db.prepare('SELECT * FROM snapshots WHERE seq >= 0').all() as Row[])
          forge.run(Buffer.from(bytes.toString('utf8').replace('"status":"', '"status":"x')), run, seq);
      });
      const read = await openexec('rewind', 'latest', '--json');
      expect(read).toMatchObject({ exit: 0, stdout: sound });
      expect(read.stderr).toContain('is passed over: it was not made by this installation, or was changed since');
      const verdict = await deep();
      expect(verdict.exit).toBe(21);
      expect(verdict.snapshots.wrong.length).toBe(verdict.snapshots.checked);
      expect((await openexec('verify', '--deep')).stdout).toContain('derived data: the snapshot of');
      expect(await openexec('ledger', 'fsck')).toMatchObject({ exit: 20, stdout: expect.stringContaining('snapshot.wrong') });
      expect(await done('ledger', 'fsck', '--repair')).toContain('dropped snapshot.wrong');
      expect(await deep()).toMatchObject({ exit: 0, snapshots: { checked: 0, wrong: [] } });
    },
    TIME_MS,
  );

  test('refuses a spacing that is no number', async () => {
    const ended = await openexecWith(['approvals'], { env: { OPENEXEC_SNAPSHOT_EVERY: 'often' } });
    expect(ended).toMatchObject({ exit: 2, stderr: expect.stringContaining('OPENEXEC_SNAPSHOT_EVERY') });
  });

  verifies(
    'E16',
    'that is erased takes its snapshots along: no byte of it is left in any file of the ledger',
    async () => {
      const patch = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'more.js', content: `// ${CANARY} again\n` } };
      provider.say({ calls: [patch] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
      await openexec('run', 'Leave another note');
      expect(rows().some(({ bytes }) => bytes.includes(`${CANARY} again`))).toBe(true);
      const runs = [...new Set(rows().map(({ run }) => run))];
      for (const run of (JSON.parse(await done('runs', '--json')) as { runs: readonly { run: string }[] }).runs)
        await done('ledger', 'erase', run.run, '--because', 'asked by the customer');
      expect(held(CANARY)).toBe(false);
      expect(rows()).toEqual([]);
      expect(runs.length).toBeGreaterThan(0);
      expect(await deep()).toMatchObject({ snapshots: { checked: 0, wrong: [] } });
    },
    TIME_MS,
  );
});
