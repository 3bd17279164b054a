/**
 * C2SP tlog-tiles: published paths and census, one spelling per tile, subtrees found in tiles.
 */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  entryBundleOf,
  inclusionNodes,
  parseTilePath,
  type TileRef,
  tileIndexPath,
  tileLevels,
  tileOfNode,
  tilePath,
} from '../../src/index.ts';
import { describeVectors, vectorJson } from '../vectors.ts';
import { thrownCode } from './common.ts';

interface Vectors {
  readonly tile_paths: readonly { level: number; index: number; partial_width: number; path: string }[];
  readonly entry_bundle_for_index: readonly { index: number; tree_size: number; path: string }[];
  readonly index_encoding: readonly { n: number; path: string }[];
  readonly tile_census: readonly Readonly<Record<string, number>>[];
}

function publishedTiles(): void {
  describeVectors('tlog-tiles', () => {
    const vectors = vectorJson<Vectors>('tlog-tiles/vectors.json');

    test('tile paths are written and read as published', () => {
      expect(vectors.tile_paths.length).toBe(5);
      for (const { level, index, partial_width, path } of vectors.tile_paths) {
        const tile: TileRef = { level, index: BigInt(index), width: partial_width === 0 ? 256 : partial_width };
        expect(tilePath(tile)).toBe(path);
        expect(parseTilePath(path)).toEqual({ ok: true, value: tile });
      }
    });

    test('entry bundles are found as published', () => {
      expect(vectors.entry_bundle_for_index.length).toBe(7);
      for (const { index, tree_size, path } of vectors.entry_bundle_for_index) {
        const bundle = entryBundleOf(BigInt(index), BigInt(tree_size));
        expect(tilePath(bundle)).toBe(path);
        expect(parseTilePath(path)).toEqual({ ok: true, value: bundle });
      }
    });

    test('indexes are grouped as published', () => {
      expect(vectors.index_encoding.map(({ n }) => tileIndexPath(BigInt(n)))).toEqual(vectors.index_encoding.map(({ path }) => path));
    });

    test('trees have the published tiles', () => {
      for (const census of vectors.tile_census) {
        const levels = tileLevels(BigInt(census['tree_size'] ?? 0));
        for (const [name, expected] of Object.entries(census)) {
          const [, kind, level] = /^(full|partial)_level(\d)/.exec(name) ?? [];
          if (level === undefined) continue;
          const found = levels[Number(level)];
          expect([name, kind === 'full' ? Number(found?.full ?? 0n) : (found?.partialWidth ?? 0)]).toEqual([name, expected]);
        }
      }
    });
  });
}

function tiles(): void {
  describe('tiles', () => {
    test('every tile has one path, and every path one tile', () => {
      const level = fc.oneof(fc.constant('entries' as const), fc.nat(63));
      fc.assert(
        fc.property(level, fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
          const tile: TileRef = { level, index, width };
          expect(parseTilePath(tilePath(tile))).toEqual({ ok: true, value: tile });
        }),
      );
    });

    test.each([
      ['', 'tile.malformed'],
      ['tile/0/0', 'tile.malformed'],
      ['tile/0/0000', 'tile.malformed'],
      ['tile/00/000', 'tile.malformed'],
      ['tile/-1/000', 'tile.malformed'],
      ['tile/0/x000/001', 'tile.malformed'],
      ['tile/0/001/002', 'tile.malformed'],
      ['tile/0/x001', 'tile.malformed'],
      ['tile/0/000.p/0', 'tile.malformed'],
      ['tile/0/000.p/01', 'tile.malformed'],
      ['tile/0/000.p/256', 'tile.outOfRange'],
      ['tile/64/000', 'tile.outOfRange'],
      ['tile/0/000/', 'tile.malformed'],
      ['/tile/0/000', 'tile.malformed'],
      ['tile/0/../000', 'tile.malformed'],
      ['tile/entry/000', 'tile.malformed'],
      ['tile/0/000\n', 'tile.malformed'],
      [`tile/0/${'x001/'.repeat(6)}001`, 'tile.malformed'],
    ])('%j is refused', (path, code) => {
      expect(parseTilePath(path)).toMatchObject({ ok: false, error: { code } });
    });

    test('tiles and bundles that cannot exist are a caller mistake', () => {
      const tile: TileRef = { level: 0, index: 0n, width: 1 };
      for (const change of [{ level: 64 }, { level: -1 }, { level: 0.5 }, { index: -1n }, { width: 0 }, { width: 257 }]) {
        expect(thrownCode(() => tilePath({ ...tile, ...change }))).toBe('fault.badArgument');
      }
      expect(thrownCode(() => entryBundleOf(5n, 5n))).toBe('fault.badArgument');
      expect(thrownCode(() => tileOfNode({ level: 1, index: 2n }, 5n))).toBe('fault.badArgument');
    });

    test('every subtree a proof needs lies within one tile that the tree has', () => {
      fc.assert(
        fc.property(fc.bigInt({ min: 1n, max: 2n ** 40n }), fc.bigInt({ min: 0n, max: 2n ** 40n }), (size, seed) => {
          for (const node of inclusionNodes(seed % size, size)) {
            const { tile, first, count } = tileOfNode(node, size);
            const level = tileLevels(size)[Number(tile.level)];
            expect(first + count).toBeLessThanOrEqual(tile.width);
            expect(tile.index < (level?.full ?? 0n) ? 256 : level?.partialWidth).toBe(tile.width);
            const leaves = 2n ** BigInt(node.level);
            expect((tile.index * 256n + BigInt(first)) * 256n ** BigInt(tile.level)).toBe(node.index * leaves);
            expect(BigInt(count) * 256n ** BigInt(tile.level)).toBe(leaves);
          }
        }),
      );
    });
  });
}

export function describeTiles(): void {
  publishedTiles();
  tiles();
}
