/**
 * What a governed step leaves on the disk: 1 KB of content through the real driver on a SQLite ledger, bytes of all files counted. Sizes are no times: they do
 * not depend on the machine. GOALS §3 "growth", E09, E10.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { expect, test } from '@jest/globals';
import { benchPlace } from '../bench/place.ts';

/** 5 MB for 400 steps. */
const MOST_BYTES_A_STEP = 12_500;
const TURNS = 20;
const STEP_BYTES = 1024;
// Sizes need no real disk.
if (existsSync('/dev/shm')) process.env['BENCH_DIR'] ??= '/dev/shm';

async function bytesOf(steps: number): Promise<number> {
  const place = await benchPlace();
  try {
    await place.drive({
      visits: steps / TURNS,
      turns: TURNS,
      // Random, so that a step differs from the others; as hex, which packs no better than the text of programs.
      callsOf: (visit, turn) => [
        { action: 'apply_patch', path: `src/step-${visit}-${turn}.txt`, content: randomBytes(STEP_BYTES / 2).toString('hex') },
      ],
    });
    return await place.close();
  } finally {
    place.remove();
  }
}

test('a ledger grows by less than 12.5 KB for each governed step of 1 KB, and by no more for a later one (E10)', async () => {
  const [few, some, many] = [await bytesOf(40), await bytesOf(80), await bytesOf(160)];
  expect(many / 160).toBeLessThan(MOST_BYTES_A_STEP);
  // Pages are whole: a tenth of play.
  expect((many - some) / 80 / ((some - few) / 40)).toBeLessThan(1.1);
}, 240_000);
