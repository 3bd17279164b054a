/**
 * Damaged pages of a ledger in SQLite: whatever is read, asked, appended, copied or repaired then, the answer is bytes that are right, a refusal or a
 * typed fault that names the place and what to do; never an error of the driver as it came, and never a hang. PROTOCOL §3; SECURITY §5.
 */
import { cpSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Digest, TrajectoryId } from '@openexec/canon';
import { type KeptLedger, LedgerFault } from '@openexec/ledger';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { backUpSqliteLedger, openSqliteLedger } from '@openexec/stores';
import { clock, folder, found, keys, opened, randomness, removeFolders } from './support.ts';

const { batchTo, CANCEL, fact, openedBody } = fixtures;
const { erasure, placesIn, runOfKeeping, withBlob } = keeping;
const TIME_MS = 120_000;
const PAGE_BYTES = 4096;
const ENTRIES = 300;

afterAll(removeFolders);

let original = '';
let fingerprint = '' as Digest;
const digests: Digest[] = [];
beforeAll(async () => {
  original = join(folder(), 'ledger.db');
  const store = await opened(original);
  fingerprint = (await found(store)) as Digest;
  for (const name of ['a', 'b']) {
    const run = runOfKeeping(name);
    await store.append(batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint, name))]));
    for (let at = 0; at < ENTRIES / 2; at++) {
      const { blob, draft } = withBlob(`${name} ${at} `.repeat(at % 10 === 0 ? 2000 : 20));
      digests.push(blob.digest);
      const result = await store.append({ ...batchTo(run, at, [draft]), blobs: [blob] });
      if (!result.ok) throw new Error(result.error.code);
    }
  }
  await store.checkpoint();
  await store.close();
}, TIME_MS);

/** Numbers that a seed makes the same everywhere. */
function chanceOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Damage = 'a zeroed page' | 'a page of noise' | 'a flipped byte' | 'sixteen flipped bytes' | 'two swapped pages' | 'a cut end';

function damaged(how: Damage, seed: number): string {
  const path = join(folder(), 'ledger.db');
  cpSync(original, path);
  const chance = chanceOf(seed);
  const bytes = readFileSync(path);
  const pages = bytes.length / PAGE_BYTES;
  const page = chance(pages) * PAGE_BYTES;
  if (how === 'a cut end') {
    truncateSync(path, PAGE_BYTES + chance(bytes.length - PAGE_BYTES));
    return path;
  }
  if (how === 'a zeroed page') bytes.fill(0, page, page + PAGE_BYTES);
  if (how === 'a page of noise') for (let at = 0; at < PAGE_BYTES; at++) bytes[page + at] = chance(256);
  // The first bytes of a page say how the rest is to be read: what is hit there hurts most.
  const flips = how === 'a flipped byte' ? 1 : how === 'sixteen flipped bytes' ? 16 : 0;
  for (let flip = 0; flip < flips; flip++) {
    const at = page + chance(seed % 2 === 0 ? 64 : PAGE_BYTES);
    bytes[at] = (bytes[at] ?? 0) ^ (1 + chance(255));
  }
  if (how === 'two swapped pages') {
    const other = chance(pages) * PAGE_BYTES;
    const held = Buffer.from(bytes.subarray(page, page + PAGE_BYTES));
    bytes.copy(bytes, page, other, other + PAGE_BYTES);
    held.copy(bytes, other);
  }
  writeFileSync(path, bytes);
  return path;
}

/** Everything that can be asked of a handle. */
function questions(store: KeptLedger, path: string): readonly (readonly [string, () => Promise<unknown>])[] {
  const drained = async (items: AsyncIterable<unknown>): Promise<void> => {
    for await (const item of items) void item;
  };
  const run = runOfKeeping('a');
  return [
    ['head', () => store.head()],
    ['trajectory', () => store.trajectory(run)],
    ['trajectories', () => drained(store.trajectories())],
    ['trajectories of a prefix', () => drained(store.trajectories('run/'))],
    ['read', () => drained(store.read(run))],
    ['read the law', () => drained(store.read('law' as TrajectoryId))],
    ['all', () => drained(store.all())],
    ['rows', () => drained(store.rows())],
    ['checkpoints', () => drained(store.checkpoints())],
    ['blobs', async () => Promise.all(digests.slice(0, 40).map((digest) => store.blob(digest)))],
    ['inclusion', () => store.inclusion(5n, 290n)],
    ['consistency', () => store.consistency(17n, 290n)],
    [
      'follow',
      async () => {
        // Where the head is damaged there may be nothing to come: whoever follows then waits until it is given up.
        const following = store.follow(0n);
        const given = setTimeout(() => void following.return(), 100);
        for (let count = 0; count < 280 && (await following.next()).done !== true; count++);
        clearTimeout(given);
        await following.return();
      },
    ],
    ['instance', () => store.keeper.instance()],
    ['successor', () => store.keeper.successor()],
    ['names of blobs', () => drained(store.keeper.blobs())],
    ['examine', () => store.keeper.examine({ repair: false })],
    ['back up', () => backUpSqliteLedger({ path, to: `${path}.backup` })],
    ['checkpoint', () => store.checkpoint()],
    ['append', () => store.append(batchTo(run, 'any', [fact('run.cancelRequested', CANCEL)]))],
    ['append a new run', () => store.append(batchTo(runOfKeeping('c'), 'none', [fact('run.opened', openedBody(fingerprint, 'c'))]))],
    ['forget', () => store.keeper.forget(erasure(fingerprint, placesIn(run, 3)))],
    ['repair', () => store.keeper.examine({ repair: true })],
    ['close', () => store.close()],
  ];
}

/** What is wrong with how a damaged ledger answered, and how many faults it named. */
async function asked(path: string): Promise<{ readonly wrong: readonly string[]; readonly faults: number }> {
  const wrong: string[] = [];
  let faults = 0;
  const judged = async (what: string, ask: () => Promise<unknown>): Promise<void> => {
    try {
      const answer = (await ask()) as
        | { readonly ok?: boolean; readonly error?: { readonly code: string; readonly message: string } }
        | undefined;
      if (answer?.ok === false) faults += 1;
      if (
        answer?.ok === false &&
        !/^(store|blob|forget|conflict|batch|ledger|checkpoint|proof|cause|trajectory|law)/.test(answer.error?.code ?? '')
      )
        wrong.push(`${what}: ${answer.error?.code ?? ''}`);
    } catch (error) {
      faults += 1;
      if (!(error instanceof LedgerFault)) wrong.push(`${what}: ${String(error)} ${(error as Error).stack?.split('\n')[1] ?? ''}`);
      else if (!/run verify|restore|try again/.test(error.message)) wrong.push(`${what}: says not what to do: ${error.message}`);
    }
  };
  await judged('open', async () => {
    const store = await openSqliteLedger({ path, clock, randomness, ...keys });
    if (!store.ok) return store;
    for (const [what, ask] of questions(store.value, path)) await judged(what, ask);
    return undefined;
  });
  return { wrong, faults };
}

describe('damaged pages', () => {
  test.each<[Damage]>([
    ['a zeroed page'],
    ['a page of noise'],
    ['a flipped byte'],
    ['sixteen flipped bytes'],
    ['two swapped pages'],
    ['a cut end'],
  ])(
    '%s is answered by refusals and typed faults on every way, never by an error of the driver',
    async (how) => {
      let faults = 0;
      const seeds = Number(process.env['OPENEXEC_DAMAGE_SEEDS'] ?? 6);
      for (let seed = 1; seed <= seeds; seed++) {
        const result = await asked(damaged(how, seed));
        expect([how, seed, result.wrong]).toEqual([how, seed, []]);
        faults += result.faults;
      }
      // The damage was seen: a test in which nothing was hit would prove nothing.
      expect(faults).toBeGreaterThan(0);
    },
    TIME_MS,
  );
});
