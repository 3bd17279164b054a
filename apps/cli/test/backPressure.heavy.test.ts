/**
 * GOALS E17, back-pressure and not a leak: a run whose model is faster than its store waits for the store, one append at a time, in a heap that what the model
 * says would not fit into. A process of its own under that bound dies where it keeps it; the control does. Run by `npm test -- --heavy`.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, jest, test } from '@jest/globals';

const TEST = dirname(fileURLToPath(import.meta.url));
const HOUSE = resolve(TEST, '../../..');
/** What the model says does not fit into this, and is held several times over: as the answer, as its calls, as what is stored. */
const HEAP_MB = 64;
const PRODUCED_MB = 60;
/** Of the whole process: its code and the add-on, the bound, and the blobs of one append. */
const PEAK_MB = 320;
jest.setTimeout(600_000);

function driven(manner: string): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [join(HOUSE, 'scripts/run-ts.mjs'), join(TEST, 'slowStoreChild.ts'), manner], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` },
  });
}

describe('a run whose model is faster than its store', () => {
  test('waits for it, one append at a time, and goes to its end in bounded memory (E17)', () => {
    const { status, stdout, stderr } = driven('drive');
    expect([status, stderr]).toEqual([0, '']);
    const { actions, appends, mostAtOnce, peakMb, producedMb } = JSON.parse(stdout) as { readonly [name: string]: number };
    expect([actions, mostAtOnce]).toEqual([1000, 1]);
    expect(appends).toBeGreaterThan(1000);
    expect(producedMb).toBeGreaterThanOrEqual(PRODUCED_MB);
    expect(peakMb).toBeLessThan(PEAK_MB);
  });

  test('the control: one that keeps what the model said dies of the same bound', () => {
    const { status, stderr } = driven('hoard');
    expect([status === 0, stderr]).toEqual([false, expect.stringContaining('heap out of memory')]);
  });
});
