/**
 * Bytes of every part of the bundle of one run, turned one by one: as it is, under a MANIFEST made anew, and under a statement that the log key signed
 * over it. Each is found; the counts are printed. And more parts than a bundle may have. Run by `npm test -- --heavy`: every 23rd byte, or with
 * OPENEXEC_TAMPER_STEP=1 every one (some ten minutes). PROTOCOL §11.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Bytes } from '@openexec/canon';
import { House, ONE_CHECK, RunDriver } from '@openexec/kernel/fixture';
import { type BundlePart, type BundleReport, LOG_VKEY, MANIFEST, partsOf, STATEMENT, verifyBundle } from '@openexec/verify';
import { byLog, listed, textOf, withParts } from './bundleForger.ts';
import { bundleOf, check, type Files, RUNS } from './bundles.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(3_600_000);

const STEP = Number(process.env['OPENEXEC_TAMPER_STEP'] ?? 23);
const NONE = { trust: null, policy: null, since: null };
let good: Files;
const counts: string[] = [];

beforeAll(async () => {
  const house = await House.found();
  const run = await RunDriver.open(house, { blueprint: ONE_CHECK });
  await run.play({ tests: [true] });
  // Blobs of one kind stand for all: each is read as bytes under a digest.
  const withhold = { payload: () => false, blob: (mediaType: string) => mediaType !== 'text/plain' };
  good = (await bundleOf(house, RUNS(run.run), { withhold })).files;
});
afterAll(() => void process.stderr.write(`${counts.join('\n')}\n`));

async function* once(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}
function verified(files: Files): Promise<BundleReport> {
  const parts = partsOf([...files].map(([path, bytes]): BundlePart => ({ path, bytes: bytes.length, read: () => once(bytes) })));
  if (!parts.ok) throw new Error(parts.error.message);
  return verifyBundle(parts.value, NONE);
}
/** One byte of each part after another, turned in its lowest, its case and its highest bit in turn. */
function* turned(skip: (path: string) => boolean): Generator<{ readonly path: string; readonly at: number; readonly files: Files }> {
  for (const [path, bytes] of good) {
    if (skip(path)) continue;
    for (let at = 0; at < bytes.length; at += STEP) {
      const made = Uint8Array.from(bytes);
      made[at] = (made[at] ?? 0) ^ ([1, 0x20, 0x80][at % 3] ?? 1);
      yield { path, at, files: withParts(good, { [path]: made }) };
    }
  }
}

describe(`every ${STEP === 1 ? 'byte' : `${STEP}rd byte`}`, () => {
  test('as it is: the part is named', async () => {
    expect((await verified(good)).findings).toEqual([]);
    let tried = 0;
    for (const { path, at, files } of turned(() => false)) {
      const { findings } = await verified(files);
      // A turned MANIFEST names what it lists wrongly, or is itself refused; the statement over it is never about it then.
      const named = findings.some(({ part }) => part === path || (path === MANIFEST && part === STATEMENT));
      if (!named) throw new Error(`${path} byte ${at}: ${JSON.stringify(findings.slice(0, 3))}`);
      tried += 1;
    }
    counts.push(`${tried} bytes turned: ${tried} found, each in its part`);
    expect([...good.keys()].some((path) => path.startsWith('blobs/'))).toBe(true);
    expect(tried).toBe([...good.values()].reduce((sum, { length }) => sum + Math.ceil(length / STEP), 0));
  });

  test('under a MANIFEST made anew, without the log key', async () => {
    let tried = 0;
    for (const { path, at, files } of turned((path) => path === MANIFEST || path === STATEMENT)) {
      if ((await verified(listed(files))).sound) throw new Error(`${path} byte ${at} was taken`);
      tried += 1;
    }
    counts.push(`${tried} bytes turned under another MANIFEST: ${tried} found`);
    expect(tried).toBeGreaterThan(10_000 / STEP);
  });

  test('under a statement signed anew by the log key', async () => {
    let tried = 0;
    for (const { path, at, files } of turned((path) => path === MANIFEST || path === STATEMENT)) {
      const { findings } = await verified(byLog(files));
      if (findings.length === 0) throw new Error(`${path} byte ${at} was taken`);
      tried += 1;
    }
    counts.push(`${tried} bytes turned and signed by the log key: ${tried} found`);
    expect(tried).toBeGreaterThan(10_000 / STEP);
  });
});

test('more than two million parts are refused', async () => {
  const tiny = new Uint8Array(1);
  const read = (): AsyncGenerator<Bytes> => once(tiny);
  const many = function* (): Generator<BundlePart> {
    for (let at = 0; at < 2_000_001; at++) yield { path: `changes/${at}`, bytes: 1, read };
  };
  expect(partsOf(many())).toMatchObject({ ok: false, error: { code: 'bundle.tooLarge' } });
  expect((await check(good)).sound).toBe(true);
  expect(textOf(good, LOG_VKEY)).toContain('ledger.test/house+');
});
