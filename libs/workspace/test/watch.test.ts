/**
 * The watch over a running command: growth of the tree is seen also where the rest of the disk shrinks at the same time.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { LimiterGroup } from '../src/limiter.ts';
import { watch } from '../src/watch.ts';

const MEBIBYTE = 1024 ** 2;
const NO_GROUP: LimiterGroup = { admit: () => undefined, exhausted: () => false, killAll: () => undefined, close: async () => true };
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-watch-'));
  mkdirSync(join(folder, 'tree'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Growth {
  readonly bytes: number;
  readonly inodes: number;
}
/**
 * Watches the tree while `work` changes the disk; answers with what was exceeded until then, or within two seconds. The watch counts the tree when it
 * begins, and `settleMs` is the time for that.
 */
async function watched(growth: Growth, work: () => Promise<void>, settleMs = 300): Promise<readonly string[]> {
  const exceeded: string[] = [];
  const end = watch({ workspace: join(folder, 'tree'), growth, group: NO_GROUP, memory: null, onExceeded: (what) => exceeded.push(what) });
  await sleep(settleMs);
  await work();
  for (let waited = 0; waited < 40 && exceeded.length === 0; waited += 1) await sleep(50);
  end();
  return exceeded;
}
/** What is exceeded in a tree made anew; on a busy machine the watch is left more time to begin. */
async function seenIn(prepare: () => void, growth: Growth, work: () => Promise<void>): Promise<readonly string[]> {
  let seen: readonly string[] = [];
  for (const settleMs of [300, 3_000, 20_000]) {
    if (seen.length > 0) break;
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    mkdirSync(join(folder, 'tree'));
    prepare();
    seen = await watched(growth, work, settleMs);
  }
  return seen;
}
const block = (count: number): Buffer => Buffer.alloc(count * MEBIBYTE, 7);

describe('the watch', () => {
  test('A51: sees a tree that grows while other files of the disk go', async () => {
    const prepare = () => {
      writeFileSync(join(folder, 'tree/base'), block(8));
      writeFileSync(join(folder, 'other'), block(96));
    };
    const seen = await seenIn(prepare, { bytes: 8 * MEBIBYTE, inodes: 1000 }, async () => {
      rmSync(join(folder, 'other'));
      for (let at = 0; at < 3; at += 1) writeFileSync(join(folder, `tree/fill-${at}`), block(4));
    });
    expect(seen).toContain('disk');
  });

  test('leaves a tree alone that was large before, and one that grows within its bound', async () => {
    writeFileSync(join(folder, 'tree/base'), block(32));
    expect(await watched({ bytes: 8 * MEBIBYTE, inodes: 1000 }, async () => writeFileSync(join(folder, 'tree/more'), block(4)))).toEqual(
      [],
    );
  });

  test('sees too many files', async () => {
    const seen = await seenIn(
      () => undefined,
      { bytes: 8 * MEBIBYTE, inodes: 50 },
      async () => {
        for (let at = 0; at < 60; at += 1) writeFileSync(join(folder, `tree/${at}`), '');
      },
    );
    expect(seen).toContain('disk');
  });
});
