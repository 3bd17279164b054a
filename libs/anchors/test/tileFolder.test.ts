/**
 * A folder of tiles grows with its tree: what it holds is at every moment, also after a crash in any window, the whole tree of the checkpoint in it; only
 * what is new is written; another tree never takes its place; every damaged tile is found by its first index.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Bytes, equalBytes, utf8Encode } from '@openexec/canon';
import {
  CompactRange,
  entryFromTiles,
  formatVkey,
  inclusionFromTiles,
  leafHash,
  openCheckpoint,
  rootFromTiles,
  seedSigner,
  signCheckpoint,
  tileLevels,
  verifyInclusion,
} from '@openexec/proof';
import fc from 'fast-check';
import { examineTiles, keepTiles, tileReaderOf, type TreeOfTiles } from '../src/index.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const ORIGIN = 'log.example/tiles';
const signer = seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32).fill(5) });
const vkeys = [formatVkey(signer)];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-tiles-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entryOf = (index: number, forkAt: number): Bytes => utf8Encode(`${index < forkAt ? 'entry' : 'forged'} ${index}`);

/** The tree of `size` entries; those from `forkAt` on are another's. `dieAt`: reading fails before that entry. */
async function tree(
  size: number,
  options: { readonly forkAt?: number; readonly dieAt?: number; readonly to?: string } = {},
): Promise<TreeOfTiles> {
  const { forkAt = size, dieAt = -1, to = folder } = options;
  const range = CompactRange.empty();
  for (let at = 0; at < size; at++) range.append(leafHash(entryOf(at, forkAt)));
  const note = await signCheckpoint({ origin: ORIGIN, size: BigInt(size), root: range.root() }, signer);
  const checkpoint = note.ok ? openCheckpoint(note.value, vkeys) : note;
  if (!note.ok || !checkpoint.ok) throw new Error('no checkpoint');
  return {
    folder: to,
    checkpoint: checkpoint.value,
    note: note.value,
    vkeys,
    async *entries(from, end) {
      for (let at = Number(from); at < Number(end); at++) {
        if (at === dieAt) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
        yield [entryOf(at, forkAt)];
      }
    },
  };
}

/** Every file by its path, with what tells whether it was written again. */
function files(of = folder): ReadonlyMap<string, number> {
  const found = readdirSync(of, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return new Map(found.map(({ parentPath, name }) => [relative(of, join(parentPath, name)), statSync(join(parentPath, name)).ino]));
}

/** The tree of the checkpoint that lies there, from tiles alone: its root, every entry, and a proof of each. */
async function readable(): Promise<number> {
  const opened = openCheckpoint(readFileSync(join(folder, 'checkpoint'), 'utf8'), vkeys);
  if (!opened.ok) throw new Error(opened.error.message);
  const { size, root } = opened.value;
  const read = tileReaderOf(folder);
  expect(await rootFromTiles(read, size, size)).toEqual({ ok: true, value: root });
  const steps = size > 40n ? size / 40n : 1n;
  for (let index = 0n; index < size; index += steps) {
    const entry = await entryFromTiles(read, index, size);
    const proof = await inclusionFromTiles(read, { index, size, treeSize: size });
    if (!entry.ok || !proof.ok) throw new Error(`entry ${index} cannot be read`);
    expect(verifyInclusion({ leaf: leafHash(entry.value), index, size, root, proof: proof.value })).toMatchObject({ ok: true });
  }
  return Number(size);
}

describe('a folder of tiles', () => {
  test('grown in any steps holds what one writing holds; nothing of before is written again, and partial tiles go when they are full', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 6 }), async (steps) => {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        let size = 1;
        for (const step of steps) {
          size += step;
          const before = new Map([...files()].filter(([path]) => /^tile\/.*[0-9]{3}$/.test(path) && !path.includes('.p/')));
          const kept = await keepTiles(await tree(size));
          if (!kept.ok) throw new Error(kept.error.message);
          const now = files();
          for (const [path, inode] of before) expect([path, now.get(path)]).toEqual([path, inode]);
          // Full tiles that are new, both as hashes and as entries, and one partial a level.
          const full = tileLevels(BigInt(size)).reduce((sum, each) => sum + Number(each.full) * (each.level === 0 ? 2 : 1), 0);
          const partial = tileLevels(BigInt(size)).reduce((sum, each) => sum + (each.partialWidth > 0 ? (each.level === 0 ? 2 : 1) : 0), 0);
          expect(kept.value.files).toBe(full - before.size + partial);
          for (const path of now.keys()) expect(path.includes('.p/') && now.has(path.slice(0, path.indexOf('.p/')))).toBe(false);
        }
        expect(await readable()).toBe(size);
        const whole = join(folder, 'whole');
        await keepTiles(await tree(size, { to: whole }));
        for (const path of files(whole).keys())
          expect(equalBytes(readFileSync(join(whole, path)), readFileSync(join(folder, path)))).toBe(true);
      }),
      { numRuns: 8 },
    );
  });

  test('a writer that dies before any entry, or before the checkpoint, leaves the tree of before; the next one goes on (windows 1 and 2)', async () => {
    await keepTiles(await tree(300));
    for (const dieAt of [300, 301, 511, 512, 513, 700, 767, 768, 799]) {
      expect(await keepTiles(await tree(800, { dieAt }))).toMatchObject({ ok: false, error: { code: 'tiles.unwritable' } });
      expect(await readable()).toBe(300);
    }
    // Window 1: all tiles are there, the checkpoint cannot be put in its place.
    mkdirSync(join(folder, 'checkpoint.unfinished'));
    expect(await keepTiles(await tree(800))).toMatchObject({ ok: false, error: { code: 'tiles.unwritable' } });
    expect(await readable()).toBe(300);
    rmSync(join(folder, 'checkpoint.unfinished'), { recursive: true });
    expect(await keepTiles(await tree(800))).toMatchObject({ ok: true, value: { from: 300n, rebuilt: null } });
    expect(await readable()).toBe(800);
    // Window 2: partial tiles of before are still there; a reader with an older checkpoint is served by them or by the full ones.
    mkdirSync(join(folder, 'tile/0/002.p'));
    writeFileSync(join(folder, 'tile/0/002.p/44'), 'left');
    expect(await keepTiles(await tree(801))).toMatchObject({ ok: true, value: { from: 800n } });
    expect(await readable()).toBe(801);
    const old = await tree(300);
    expect(await rootFromTiles(tileReaderOf(folder), 300n, 300n)).toEqual({ ok: true, value: old.checkpoint.root });
  });

  test('a smaller tree, another of the same size and one that grew again from elsewhere are refused, and change nothing', async () => {
    await keepTiles(await tree(600));
    const before = readFileSync(join(folder, 'checkpoint'), 'utf8');
    for (const other of [await tree(599), await tree(600, { forkAt: 100 }), await tree(900, { forkAt: 100 })])
      expect(await keepTiles(other)).toMatchObject({ ok: false, error: { code: 'tiles.conflict' } });
    const lied = { ...(await tree(900)), entries: (await tree(900, { forkAt: 700 })).entries };
    expect(await keepTiles(lied)).toMatchObject({ ok: false, error: { code: 'tiles.otherRoot' } });
    const stranger = await tree(900);
    expect(await keepTiles({ ...stranger, vkeys: [formatVkey(seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32) }))] })).toMatchObject({
      ok: false,
      error: { code: 'tiles.conflict' },
    });
    expect(readFileSync(join(folder, 'checkpoint'), 'utf8')).toBe(before);
    expect(await readable()).toBe(600);
    expect(await keepTiles(await tree(900))).toMatchObject({ ok: true });
    expect(await readable()).toBe(900);
  });

  test('a right edge that is damaged is written anew from entries that continue the checkpoint, and from no others', async () => {
    await keepTiles(await tree(600));
    writeFileSync(join(folder, 'tile/0/002.p/88'), new Uint8Array(88 * 32));
    expect(await keepTiles(await tree(900, { forkAt: 100 }))).toMatchObject({ ok: false, error: { code: 'tiles.conflict' } });
    const kept = await keepTiles(await tree(900));
    expect(kept).toMatchObject({ ok: true, value: { from: 0n, rebuilt: expect.any(String) } });
    expect(await readable()).toBe(900);
  });

  test('is made again tile by tile: each damaged one is found by the first index that it covers, and put right where asked', async () => {
    const whole = await tree(3000);
    await keepTiles(whole);
    expect(await examineTiles(whole, { repair: false, most: 9 })).toMatchObject({ ok: true, value: { findings: [], omitted: 0 } });
    const flip = (path: string): void => {
      const bytes = readFileSync(join(folder, path));
      bytes[5] = (bytes[5] ?? 0) ^ 1;
      writeFileSync(join(folder, path), bytes);
    };
    flip('tile/1/000.p/11');
    flip('tile/entries/007');
    renameSync(join(folder, 'tile/0/009'), join(folder, 'gone'));
    const damaged = [
      { path: 'tile/1/000.p/11', index: 0n, what: 'different' },
      { path: 'tile/entries/007', index: 1792n, what: 'different' },
      { path: 'tile/0/009', index: 2304n, what: 'missing' },
    ];
    expect(await examineTiles(whole, { repair: false, most: 9 })).toMatchObject({ ok: true, value: { findings: damaged, omitted: 0 } });
    expect(await examineTiles(whole, { repair: false, most: 1 })).toMatchObject({ ok: true, value: { omitted: 2 } });
    const mixed = { ...whole, entries: (await tree(3000, { forkAt: 3 })).entries };
    expect(await examineTiles(mixed, { repair: true, most: 9 })).toMatchObject({ ok: false, error: { code: 'tiles.conflict' } });
    expect(await examineTiles(whole, { repair: false, most: 9 })).toMatchObject({ ok: true, value: { findings: damaged } });
    expect(await examineTiles(whole, { repair: true, most: 9 })).toMatchObject({ ok: true });
    expect(await examineTiles(whole, { repair: false, most: 9 })).toMatchObject({ ok: true, value: { findings: [] } });
  });
});
