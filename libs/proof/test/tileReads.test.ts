/**
 * Proofs from tiles cost at most 64 reads, whatever the sizes: counted over random pairs in a tree of more than a million leaves, each proof verified
 * against a root that was not read from tiles. PROTOCOL §3.
 */
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Bytes, ok } from '@openexec/canon';
import fc from 'fast-check';
import {
  consistencyFromTiles,
  inclusionFromTiles,
  leafHash,
  rootFromTiles,
  TileBuilder,
  type TileReader,
  tilePath,
  verifyConsistency,
  verifyInclusion,
} from '../src/index.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const LEAVES = 1_050_000;
const MOST_READS = 64;
const SIZES = 257;
const entryOf = (index: number): Bytes => Uint8Array.of(index & 0xff, (index >> 8) & 0xff, (index >> 16) & 0xff);
const tiles = new Map<string, Bytes>();
/** Roots of some sizes, by a compact range alone. */
const roots = new Map<number, Bytes>();
/** Round and odd sizes over the whole range, from a seed. */
const sizes = Array.from({ length: SIZES }, (_, at) => {
  const edge = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 1_048_575, 1_048_576, 1_048_577, LEAVES][at];
  return edge ?? 1 + ((at * 2_654_435_761) % LEAVES);
});

beforeAll(() => {
  const wanted = new Set(sizes);
  const builder = new TileBuilder();
  const keep = (files: readonly { readonly path: string; readonly bytes: Bytes }[]): void => {
    for (const { path, bytes } of files) if (!path.startsWith('tile/entries')) tiles.set(path, bytes);
  };
  for (let index = 0; index < LEAVES; index++) {
    const entry = entryOf(index);
    keep(builder.append(entry));
    // The builder's root comes from its compact range, not from tiles.
    if (wanted.has(index + 1)) roots.set(index + 1, builder.root());
  }
  keep(builder.finish());
});

/** A tile of any tree is the beginning of the tile of a larger one. */
function counting(): { readonly read: TileReader; count(): number } {
  let reads = 0;
  const read: TileReader = async (tile) => {
    reads += 1;
    const full = tiles.get(tilePath({ ...tile, width: 256 }));
    const partial = [...Array(257).keys()].map((width) => (width === 0 ? undefined : tiles.get(tilePath({ ...tile, width }))));
    const bytes = full ?? partial.findLast((each) => each !== undefined);
    if (bytes === undefined || bytes.length < tile.width * 32) throw new Error(`${tilePath(tile)} was asked for and is not there`);
    return ok(bytes.slice(0, tile.width * 32));
  };
  return { read, count: () => reads };
}
const rootOf = (size: number): Bytes => {
  const root = roots.get(size);
  if (root === undefined) throw new Error(`no root of ${size}`);
  return root;
};
const anySize = fc.constantFrom(...sizes);

describe('proofs from tiles of more than a million leaves', () => {
  let most = 0;
  const within = (reads: number): void => {
    most = Math.max(most, reads);
    expect(reads).toBeLessThanOrEqual(MOST_READS);
  };

  test('an inclusion proof of any leaf in any size takes at most 64 reads and holds', async () => {
    await fc.assert(
      fc.asyncProperty(anySize, anySize, fc.nat(), async (one, other, at) => {
        const [size, treeSize] = one < other ? [one, other] : [other, one];
        const index = at % size;
        const { read, count } = counting();
        const proof = await inclusionFromTiles(read, { index: BigInt(index), size: BigInt(size), treeSize: BigInt(treeSize) });
        if (!proof.ok) throw new Error(proof.error.message);
        within(count());
        const leaf = leafHash(entryOf(index));
        expect(verifyInclusion({ leaf, index: BigInt(index), size: BigInt(size), root: rootOf(size), proof: proof.value })).toMatchObject({
          ok: true,
        });
      }),
      { numRuns: 300 },
    );
  });

  test('a consistency proof between any two sizes, and the root of any, take at most 64 reads and hold', async () => {
    await fc.assert(
      fc.asyncProperty(anySize, anySize, anySize, async (a, b, c) => {
        const [oldSize = 0, newSize = 0, treeSize = 0] = [a, b, c].sort((x, y) => x - y);
        const { read, count } = counting();
        const at = { oldSize: BigInt(oldSize), newSize: BigInt(newSize), treeSize: BigInt(treeSize) };
        const proof = await consistencyFromTiles(read, at);
        if (!proof.ok) throw new Error(proof.error.message);
        within(count());
        const claim = { ...at, oldRoot: rootOf(oldSize), newRoot: rootOf(newSize), proof: proof.value };
        expect(verifyConsistency(claim)).toMatchObject({ ok: true });
        const root = counting();
        expect(await rootFromTiles(root.read, at.oldSize, at.treeSize)).toEqual({ ok: true, value: rootOf(oldSize) });
        within(root.count());
      }),
      { numRuns: 300 },
    );
    expect(most).toBeGreaterThan(2);
  });

  test('a builder goes on from the right edge alone, in at most nine reads, and makes the same tree', async () => {
    for (const size of sizes.slice(0, 60).filter((each) => each % 256 === 0)) {
      const { read, count } = counting();
      const builder = await TileBuilder.from(read, BigInt(size));
      expect(builder.ok && builder.value.root()).toEqual(rootOf(size));
      expect(count()).toBeLessThanOrEqual(9);
    }
  });
});
