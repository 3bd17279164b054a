/**
 * C2SP tlog-tiles: paths of tiles and entry bundles, and which tiles a tree has. Must never read or write a file; a path has exactly one
 * spelling. c2sp.org/tlog-tiles; PROTOCOL §3 and §11.
 */

import { err, ok, type Result } from '@openexec/canon';
import { ProofFault, type TileError } from './errors.ts';
import type { NodeRef } from './proofs.ts';

/** A tile holds 2^8 hashes of one level. */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
/** The specification allows levels 0 to 63. */
const MAX_LEVEL = 63;
const PATH = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;
/** Six groups of three digits cover every index below 2^53. */
const MAX_GROUPS = 6;

/** One tile or entry bundle; `width` is the number of hashes or entries in it, 256 when it is full. */
export interface TileRef {
  readonly level: number | 'entries';
  readonly index: bigint;
  readonly width: number;
}

/** How many tiles of one level a tree has: `full` ones, then one partial of `partialWidth` unless that is 0. */
export interface TileLevel {
  readonly level: number;
  readonly full: bigint;
  readonly partialWidth: number;
}

/** The path of a tile, `tile/<level>/<index>[.p/<width>]`. Throws `fault.badArgument` for a tile that cannot exist. */
export function tilePath(tile: TileRef): string {
  const { level, index, width } = tile;
  const levelExists = level === 'entries' || (Number.isInteger(level) && level >= 0 && level <= MAX_LEVEL);
  if (!levelExists || index < 0n || !Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new ProofFault('fault.badArgument', `there is no tile of level ${level}, index ${index}, width ${width}`);
  }
  return `tile/${level}/${tileIndexPath(index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** The index in groups of three digits, all but the last marked with x. */
export function tileIndexPath(index: bigint): string {
  const digits = `${index}`;
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/[0-9]{3}/g) ?? [];
  return groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/');
}

/** Reads a path of {@link tilePath}; refuses every other spelling. */
export function parseTilePath(path: string): Result<TileRef, TileError> {
  const match = PATH.exec(path);
  const groups = match?.[2]?.split('/') ?? [];
  if (match === null || groups.length > MAX_GROUPS)
    return err({ code: 'tile.malformed', message: 'expected tile/<level or entries>/<index>[.p/<width>]' });
  const level: TileRef['level'] = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const index = BigInt(groups.join('').replaceAll('x', ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  if ((level !== 'entries' && level > MAX_LEVEL) || (match[3] !== undefined && width >= TILE_WIDTH)) {
    return err({ code: 'tile.outOfRange', message: 'levels go from 0 to 63, widths of partial tiles from 1 to 255' });
  }
  const tile = { level, index, width };
  return tilePath(tile) === path ? ok(tile) : err({ code: 'tile.malformed', message: 'the index has leading zero groups' });
}

/** The tiles of a tree, level by level, as long as a level has any. */
export function tileLevels(size: bigint): readonly TileLevel[] {
  const levels: TileLevel[] = [];
  for (let level = 0, hashes = size; hashes > 0n; level++, hashes >>= BigInt(TILE_HEIGHT)) {
    levels.push({ level, full: hashes / BigInt(TILE_WIDTH), partialWidth: Number(hashes % BigInt(TILE_WIDTH)) });
  }
  return levels;
}

/** The entry bundle that holds an entry, as wide as the tree of `size` makes it. */
export function entryBundleOf(index: bigint, size: bigint): TileRef {
  if (index < 0n || index >= size) throw new ProofFault('fault.badArgument', `there is no entry ${index} in a tree of ${size}`);
  const bundle = index / BigInt(TILE_WIDTH);
  return { level: 'entries', index: bundle, width: widthAt(bundle, size) };
}

/** Where a complete subtree's hash comes from: fold the `count` hashes from `first` on in that tile; 1 means it is stored itself. */
export function tileOfNode(node: NodeRef, size: bigint): { readonly tile: TileRef; readonly first: number; readonly count: number } {
  if (node.level < 0 || node.index < 0n || (node.index + 1n) << BigInt(node.level) > size) {
    throw new ProofFault('fault.badArgument', `a tree of ${size} has no complete subtree (${node.level}, ${node.index})`);
  }
  const level = Math.floor(node.level / TILE_HEIGHT);
  const count = 2 ** (node.level % TILE_HEIGHT);
  const position = node.index * BigInt(count);
  const index = position / BigInt(TILE_WIDTH);
  const width = widthAt(index, size >> BigInt(TILE_HEIGHT * level));
  return { tile: { level, index, width }, first: Number(position % BigInt(TILE_WIDTH)), count };
}

/** The width of a tile in a level of `hashes` hashes. */
function widthAt(index: bigint, hashes: bigint): number {
  const rest = hashes - index * BigInt(TILE_WIDTH);
  return rest >= BigInt(TILE_WIDTH) ? TILE_WIDTH : Number(rest);
}
