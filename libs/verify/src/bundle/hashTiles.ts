/**
 * The hash tiles of a bundle that holds a part of a ledger: authenticated from the signed root down, then every entry's place is looked up in them.
 * Must never hand out a hash that does not lead to the root. c2sp.org/tlog-tiles; PROTOCOL §11.
 */
import { type Bytes, type Digest, digestFromBytes, equalBytes, err, ok, type Result } from '@openexec/canon';
import { parseTilePath, rootFromTiles, type TileError, type TileRef, tileOfNode, tilePath, treeRoot } from '@openexec/proof';
import { type BundleFault, bundleFault } from './format.ts';
import { type BundleParts, readSmall } from './source.ts';

const HASH_BYTES = 32;
const TILE_HEIGHT = 8;
const FULL_BYTES = 256 * HASH_BYTES;

interface Tile {
  readonly ref: TileRef;
  readonly bytes: Bytes;
}

/** Leaf hashes of the entries of a bundle, each proved to stand in the signed tree. */
export class HashTiles {
  readonly #tiles: ReadonlyMap<string, Tile>;
  readonly #size: bigint;

  private constructor(tiles: ReadonlyMap<string, Tile>, size: bigint) {
    this.#tiles = tiles;
    this.#size = size;
  }

  /** Reads every part below `tile/` and holds all of them against the root of the tree of `size` entries. */
  static async read(parts: BundleParts, size: bigint, root: Digest): Promise<Result<HashTiles, BundleFault>> {
    const tiles = new Map<string, Tile>();
    for (const part of parts.values()) {
      if (!part.path.startsWith('tile/')) continue;
      const ref = parseTilePath(part.path);
      if (!ref.ok || ref.value.level === 'entries')
        return bundleFault(
          'bundle.extra',
          part.path,
          'a bundle of a part of a ledger holds hash tiles of it, and nothing else of that kind',
        );
      const bytes = await readSmall(part, FULL_BYTES);
      if (!bytes.ok) return bytes;
      if (bytes.value.length !== ref.value.width * HASH_BYTES)
        return bundleFault('bundle.malformed', part.path, `it has ${bytes.value.length} bytes; its name says ${ref.value.width} hashes`);
      tiles.set(part.path, { ref: ref.value, bytes: bytes.value });
    }
    const own = new HashTiles(tiles, size);
    const fault = await own.#authenticate(root);
    return fault === null ? ok(own) : err(fault);
  }

  get count(): number {
    return this.#tiles.size;
  }

  /** The leaf hash at this index; null where the bundle has no tile for it. */
  leaf(index: bigint): Bytes | null {
    return this.#hash(0, index);
  }

  /** Root first, then every full tile by the hash that stands for it one level up; the partial ones are what the root was made of. */
  async #authenticate(root: Digest): Promise<BundleFault | null> {
    const made = await rootFromTiles((tile) => this.#fetch(tile), this.#size, this.#size);
    if (!made.ok) return { code: 'bundle.missing', part: 'tile', message: made.error.message };
    if (digestFromBytes(made.value) !== root)
      return { code: 'bundle.digest', part: 'tile', message: 'the tiles make another root than the signed one' };
    const known = new Set<string>();
    const byLevel = [...this.#tiles].sort(([, a], [, b]) => Number(b.ref.level) - Number(a.ref.level));
    for (const [path, tile] of byLevel) {
      const fault = this.#authenticateTile(path, tile, known);
      if (fault !== null) return fault;
      known.add(path);
    }
    return null;
  }

  #authenticateTile(path: string, { ref, bytes }: Tile, known: ReadonlySet<string>): BundleFault | null {
    const level = Number(ref.level);
    const extra = (message: string): BundleFault => ({ code: 'bundle.extra', part: path, message });
    const first = { level: level * TILE_HEIGHT, index: ref.index * 256n };
    if ((first.index + 1n) << BigInt(first.level) > this.#size) return extra(`a tree of ${this.#size} entries has no such tile`);
    if (tilePath(tileOfNode(first, this.#size).tile) !== path)
      return extra(`in a tree of ${this.#size} entries this tile has another width`);
    if (ref.width < 256) return null; // The right edge: all its hashes went into the root.
    const above = { level: (level + 1) * TILE_HEIGHT, index: ref.index };
    const parent = tilePath(tileOfNode(above, this.#size).tile);
    if (!known.has(parent)) return { code: 'bundle.missing', part: parent, message: `without it ${path} does not lead to the root` };
    const own: Bytes[] = [];
    for (let at = 0; at < bytes.length; at += HASH_BYTES) own.push(bytes.subarray(at, at + HASH_BYTES));
    const hash = this.#hash(level + 1, ref.index);
    return hash !== null && equalBytes(hash, treeRoot(own))
      ? null
      : { code: 'bundle.digest', part: path, message: `its hashes do not make the one that ${parent} has for it` };
  }

  /** The hash at a place of a level of tiles. */
  #hash(level: number, index: bigint): Bytes | null {
    const { tile, first } = tileOfNode({ level: level * TILE_HEIGHT, index }, this.#size);
    const found = this.#tiles.get(tilePath(tile));
    return found === undefined ? null : found.bytes.subarray(first * HASH_BYTES, (first + 1) * HASH_BYTES);
  }

  #fetch(tile: TileRef): Promise<Result<Bytes, TileError>> {
    const path = tilePath(tile);
    const found = this.#tiles.get(path);
    return Promise.resolve(found === undefined ? err({ code: 'tile.missing', message: `${path} is not in the bundle` }) : ok(found.bytes));
  }
}
