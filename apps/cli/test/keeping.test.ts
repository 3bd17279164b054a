/**
 * A ledger that moves, forgets, is backed up and examined by commands, after a real run; the production verifier looks after each step. GOALS E10, E16.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { patchSum } from './place.ts';
import { done, inOnePlace, openexec, place, provider } from './scene.ts';
import { searchFolder } from './searcher.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 240_000;
const CANARY = 'canary-7d1f-of-the-task';
let fingerprint = '';

interface Verdict {
  readonly sound: boolean;
  readonly root: string;
  readonly erased: number;
  readonly pruned: number;
  readonly entries: number;
  readonly findings: readonly unknown[];
}
async function verified(...more: readonly string[]): Promise<Verdict> {
  const verdict = JSON.parse(await done('verify', '--json', ...more)) as Verdict;
  expect(verdict).toMatchObject({ sound: true, findings: [] });
  return verdict;
}
const at = (name: string): string => join(place.folder, name);
const ledger = (name: string): readonly string[] => ['--ledger', `sqlite:${at(name)}`];

inOnePlace(async () => {
  await done('init', '--model', 'openai:gpt-test');
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
  await done('run', `Make sum add ${CANARY}`);
  fingerprint = (JSON.parse(await done('ledger', 'info', '--json')) as { fingerprint: string }).fingerprint;
});

describe('a ledger after a run', () => {
  verifies(
    'E10',
    'nothing in it is left over, and its growth is told by kind: entries, payloads, blobs',
    async () => {
      const { growth, size } = JSON.parse(await done('ledger', 'info', '--growth', '--json')) as {
        growth: Record<string, { entries: number; payloadBytes: number; blobBytes: number }>;
        size: string;
      };
      expect(Object.values(growth).reduce((sum, { entries }) => sum + entries, 0)).toBe(Number(size));
      expect(growth['run.opened']?.blobBytes).toBeGreaterThan(0);
      // No event of a token: one answer is one entry.
      expect(growth['model.answered']?.entries).toBeLessThanOrEqual(provider.requests.length);
      expect(await done('ledger', 'info', '--growth')).toContain('model.answered');
      expect(await done('ledger', 'fsck')).toContain('examined');
    },
    TIME_MS,
  );

  test(
    'is backed up, and the copy verifies; a file that is there is not overwritten',
    async () => {
      await done('ledger', 'backup', at('backup.db'));
      expect((await verified(...ledger('backup.db'))).root).toBe((await verified()).root);
      expect(await openexec('ledger', 'backup', at('backup.db'))).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('file.exists'),
      });
    },
    TIME_MS,
  );

  test(
    'is exported and imported with the same root; what was cut or changed is refused and makes no ledger',
    async () => {
      await done('ledger', 'export', at('copy.oxl'));
      await done('ledger', 'import', at('copy.oxl'), ...ledger('copy.db'), '--trust', fingerprint);
      expect((await verified(...ledger('copy.db'), '--deep')).root).toBe((await verified()).root);
      await done('ledger', 'export', at('again.oxl'), ...ledger('copy.db'));
      expect(readFileSync(at('again.oxl')).equals(readFileSync(at('copy.oxl')))).toBe(true);
      expect(await openexec('ledger', 'import', at('copy.oxl'), ...ledger('copy.db'))).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('ledger.notEmpty'),
      });
      const text = readFileSync(at('copy.oxl'), 'utf8');
      writeFileSync(at('cut.oxl'), text.slice(0, -200));
      writeFileSync(at('changed.oxl'), text.replace('gpt-test', 'gpt-tesr'));
      writeFileSync(at('newer.oxl'), text.replace('"v":1}', '"v":2}'));
      for (const name of ['cut', 'changed'])
        expect(await openexec('ledger', 'import', at(`${name}.oxl`), ...ledger('none.db'))).toMatchObject({
          exit: 20,
          stderr: expect.stringContaining('import.refused'),
        });
      expect(await openexec('ledger', 'import', at('newer.oxl'), ...ledger('none.db'))).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('ledger.newer'),
      });
      const other = `sha256:${'0'.repeat(64)}`;
      expect(await openexec('ledger', 'import', at('copy.oxl'), ...ledger('none.db'), '--trust', other)).toMatchObject({ exit: 20 });
      expect(existsSync(at('none.db'))).toBe(false);
    },
    TIME_MS,
  );

  verifies(
    'E16',
    'prunes by a written rule that keeps 180 days at least, and erases a run by a signature: it verifies, and deep verification says from where nothing can be derived',
    async () => {
      const rule = (days: number): void =>
        place.write('retention.yaml', `version: 1\nname: yearly\nkeepDays: ${days}\nbecause: retention\n`);
      rule(10);
      expect(await openexec('ledger', 'prune', '--rule', 'retention.yaml')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('forget.refused'),
      });
      place.write('bad.yaml', 'version: 1\nname: yearly\nkeepDais: 200\nbecause: x\n');
      expect(await openexec('ledger', 'prune', '--rule', 'bad.yaml')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('keepDais'),
      });
      rule(180);
      expect(await done('ledger', 'prune', '--rule', 'retention.yaml', '--dry-run')).toContain('nothing to prune');
      const proof = await done('ledger', 'prove', '3');
      const before = await verified();
      expect(await done('ledger', 'erase', 'latest', '--because', 'asked by the customer')).toContain('every proof stays');
      const after = await verified('--deep');
      expect(after.entries).toBe(before.entries + 1);
      expect(after.erased).toBeGreaterThan(10);
      expect(await done('verify', '--deep')).toMatch(/not derivable from seq/);
      expect(await done('ledger', 'prove', '3')).toBe(proof);
      expect(await done('ledger', 'fsck')).toContain('examined');
      expect(await openexec('ledger', 'erase', 'latest', '--because', 'again')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('forget.'),
      });
      expect(await openexec('ledger', 'erase', '0', '--because', 'the law')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('forget.refused'),
      });
      for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
        if (existsSync(join(place.root, '.openexec', name)))
          expect(readFileSync(join(place.root, '.openexec', name)).includes(CANARY)).toBe(false);
      const { leaks, seen } = searchFolder(join(place.root, '.openexec'), [CANARY]);
      expect([leaks, seen.cells > 100]).toEqual([[], true]);
      await done('runs');
      await done('timeline', 'latest');
    },
    TIME_MS,
  );

  test(
    'moves: the source and every other copy take nothing more, the destination goes on, and all verify with one checkpoint',
    async () => {
      const id = (await done('ledger', 'import', '--prepare', ...ledger('new.db'))).trim();
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      await done('ledger', 'export', at('moved.oxl'), '--move', '--to', id);
      expect(await done('ledger', 'import', at('moved.oxl'), ...ledger('new.db'))).toContain('this store goes on');
      expect(await done('ledger', 'import', at('moved.oxl'), ...ledger('third.db'))).toContain('this copy takes no entries');
      const verdicts = [await verified(), await verified(...ledger('new.db')), await verified(...ledger('third.db'))];
      expect(new Set(verdicts.map(({ root, erased }) => `${root} ${erased}`)).size).toBe(1);
      const revoked = await openexec('run', 'Anything');
      expect([revoked.exit === 0, `${revoked.stdout}${revoked.stderr}`.includes('moved to the store')]).toEqual([false, true]);
      await done('ledger', 'pin', fingerprint, ...ledger('new.db'));
      await done('ledger', 'checkpoint', ...ledger('new.db'));
    },
    TIME_MS,
  );
});
