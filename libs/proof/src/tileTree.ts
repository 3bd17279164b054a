/**
 * A tree as tiles: built from its entries in one pass, and proofs read from tiles alone. Memory is one open tile per level; a proof of any size
 * reads no more than 64 tiles. Must never read or write a file itself. c2sp.org/tlog-tiles; PROTOCOL §3 and §11.
 */

import { type Bytes, concatBytes, equalBytes, err, ok, type Result } from '@openexec/canon';
import { ProofFault, type TileError } from './errors.ts';
import { CompactRange, EMPTY_ROOT, HASH_BYTES, leafHash, treeRoot } from './merkle.ts';
import { consistencyNodes, consistencyProof, inclusionNodes, inclusionProof, type NodeReader, type NodeRef, rangeNodes } from './proofs.ts';
import { entryBundleOf, TILE_WIDTH, tileLevels, tileOfNode, tilePath, type TileRef } from './tiles.ts';

/** tlog-tiles: the length before each entry of a bundle is a uint16. */
const MAX_ENTRY_BYTES = 0xffff;

/** One tile or entry bundle as a file. */
export interface TileFile {
  readonly path: string;
  readonly bytes: Bytes;
}

/** Fetches the bytes of a tile or entry bundle, exactly as stored. */
export type TileReader = (tile: TileRef) => Promise<Result<Bytes, TileError>>;

/** Collects entries into tiles; each full one is handed out as it fills. Belongs to one writer. */
export class TileBuilder {
  readonly #levels: { index: bigint; hashes: Bytes[] }[] = [];
  #range = CompactRange.empty();
  #bundle: Bytes[] = [];
  #size = 0n;

  /**
   * Goes on behind `size` entries whose partial tiles are kept: reads those alone, at most eight tiles and one bundle below 2^53 entries. Refuses a
   * bundle that is not of its tile; hold {@link TileBuilder.root} against a signed checkpoint of that size.
   */
  static async from(read: TileReader, size: bigint): Promise<Result<TileBuilder, TileError>> {
    const builder = new TileBuilder();
    const range: Bytes[] = [];
    for (const { level, full, partialWidth } of tileLevels(size).toReversed()) {
      const tile = { level, index: full, width: partialWidth };
      const bytes = partialWidth === 0 ? ok(new Uint8Array(0)) : await read(tile);
      if (!bytes.ok) return bytes;
      const hashes = hashesIn(bytes.value);
      if (hashes.length !== partialWidth || bytes.value.length !== partialWidth * HASH_BYTES)
        return err({ code: 'tile.wrongLength', message: `${tilePath(tile)} has ${bytes.value.length} bytes` });
      builder.#levels[level] = { index: full, hashes };
      range.push(...compact(hashes));
    }
    const restored = CompactRange.from(size, range);
    if (!restored.ok) return err({ code: 'tile.wrongLength', message: restored.error.message });
    builder.#range = restored.value;
    builder.#size = size;
    const leaves = builder.#levels[0]?.hashes ?? [];
    if (leaves.length === 0) return ok(builder);
    const bundle = await read(entryBundleOf(size - 1n, size));
    const entries = bundle.ok ? parseEntryBundle(bundle.value) : bundle;
    if (!bundle.ok || !entries.ok) return entries.ok ? err({ code: 'tile.missing', message: 'no bundle' }) : entries;
    if (entries.value.length !== leaves.length || entries.value.some((entry, at) => !equalBytes(leafHash(entry), leaves[at] ?? EMPTY_ROOT)))
      return err({
        code: 'tile.otherEntries',
        message: `${tilePath(entryBundleOf(size - 1n, size))} does not hold the entries of its tile`,
      });
    builder.#bundle = [bundle.value];
    return ok(builder);
  }

  /** Leaves so far. */
  get size(): bigint {
    return this.#size;
  }

  /** Root of the tree so far. */
  root(): Bytes {
    return this.#range.root();
  }

  /** Adds an entry (at most 65 535 bytes, else `fault.badArgument` is thrown) and returns the tiles that it filled. */
  append(entry: Bytes): readonly TileFile[] {
    if (entry.length > MAX_ENTRY_BYTES) throw new ProofFault('fault.badArgument', 'an entry of a bundle has at most 65535 bytes');
    const hash = leafHash(entry);
    this.#range.append(hash);
    this.#size += 1n;
    this.#bundle.push(Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry);
    const files: TileFile[] = [];
    if (this.#size % BigInt(TILE_WIDTH) === 0n) {
      files.push(this.#bundleFile());
      this.#bundle = [];
    }
    this.#push(0, hash, files);
    return files;
  }

  /** The partial tiles that the tree has at its present size. */
  finish(): readonly TileFile[] {
    const files = this.#bundle.length === 0 ? [] : [this.#bundleFile()];
    for (const [level, { index, hashes }] of this.#levels.entries())
      if (hashes.length > 0) files.push({ path: tilePath({ level, index, width: hashes.length }), bytes: concatBytes(...hashes) });
    return files;
  }

  #bundleFile(): TileFile {
    const tile = entryBundleOf(this.#size - 1n, this.#size);
    return { path: tilePath(tile), bytes: concatBytes(...this.#bundle) };
  }

  /** A full tile's own root is the next hash one level up. */
  #push(level: number, hash: Bytes, files: TileFile[]): void {
    const open = (this.#levels[level] ??= { index: 0n, hashes: [] });
    open.hashes.push(hash);
    if (open.hashes.length < TILE_WIDTH) return;
    files.push({ path: tilePath({ level, index: open.index, width: TILE_WIDTH }), bytes: concatBytes(...open.hashes) });
    const above = treeRoot(open.hashes);
    this.#levels[level] = { index: open.index + 1n, hashes: [] };
    this.#push(level + 1, above, files);
  }
}

function hashesIn(bytes: Bytes): Bytes[] {
  return Array.from({ length: Math.floor(bytes.length / HASH_BYTES) }, (_, at) => bytes.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

/** The compact range of the hashes of one partial tile. */
function compact(hashes: readonly Bytes[]): readonly Bytes[] {
  const range = CompactRange.empty();
  for (const hash of hashes) range.append(hash);
  return range.hashes();
}

/** The entries of a bundle; refuses bytes that do not end with the last entry. */
export function parseEntryBundle(bytes: Bytes): Result<readonly Bytes[], TileError> {
  const entries: Bytes[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const end = at + 2 + length;
    if (at + 2 > bytes.length || end > bytes.length)
      return err({ code: 'tile.wrongLength', message: 'an entry bundle ends inside an entry' });
    entries.push(bytes.slice(at + 2, end));
    at = end;
  }
  return ok(entries);
}

/** One entry out of the bundles of a tree of `treeSize`. Throws `fault.badArgument` unless 0 <= index < treeSize. */
export async function entryFromTiles(read: TileReader, index: bigint, treeSize: bigint): Promise<Result<Bytes, TileError>> {
  const tile = entryBundleOf(index, treeSize);
  const bytes = await read(tile);
  if (!bytes.ok) return bytes;
  const entries = parseEntryBundle(bytes.value);
  if (!entries.ok) return entries;
  const entry = entries.value[Number(index % BigInt(TILE_WIDTH))];
  if (entries.value.length !== tile.width || entry === undefined)
    return err({ code: 'tile.wrongLength', message: `${tilePath(tile)} holds ${entries.value.length} entries` });
  return ok(entry);
}

/**
 * The audit path of a leaf in the tree of `size` leaves, from tiles of a tree of `treeSize` (at least `size`) leaves. Not verified: hold it
 * against a signed root. Throws `fault.badArgument` unless 0 <= index < size <= treeSize.
 */
export async function inclusionFromTiles(
  read: TileReader,
  at: { readonly index: bigint; readonly size: bigint; readonly treeSize: bigint },
): Promise<Result<readonly Bytes[], TileError>> {
  const node = await readNodes(read, inclusionNodes(at.index, at.size), at.treeSize);
  return node.ok ? ok(inclusionProof(node.value, at.index, at.size)) : node;
}

/** The consistency proof between two sizes, likewise. Throws `fault.badArgument` unless 0 <= oldSize <= newSize <= treeSize. */
export async function consistencyFromTiles(
  read: TileReader,
  at: { readonly oldSize: bigint; readonly newSize: bigint; readonly treeSize: bigint },
): Promise<Result<readonly Bytes[], TileError>> {
  const node = await readNodes(read, consistencyNodes(at.oldSize, at.newSize), at.treeSize);
  return node.ok ? ok(consistencyProof(node.value, at.oldSize, at.newSize)) : node;
}

/** The root of the tree of `size` leaves, likewise. */
export async function rootFromTiles(read: TileReader, size: bigint, treeSize: bigint): Promise<Result<Bytes, TileError>> {
  const nodes = rangeNodes(size);
  const node = await readNodes(read, nodes, treeSize);
  if (!node.ok) return node;
  const range = CompactRange.from(
    size,
    nodes.map(({ level, index }) => node.value(level, index)),
  );
  return range.ok ? ok(range.value.root()) : err({ code: 'tile.wrongLength', message: range.error.message });
}

/** Each tile is read once, however many nodes lie in it. */
async function readNodes(read: TileReader, nodes: readonly NodeRef[], treeSize: bigint): Promise<Result<NodeReader, TileError>> {
  const tiles = new Map<string, Bytes>();
  const hashes = new Map<string, Bytes>();
  for (const node of nodes) {
    const { tile, first, count } = tileOfNode(node, treeSize);
    const path = tilePath(tile);
    let bytes = tiles.get(path);
    if (bytes === undefined) {
      const fetched = await read(tile);
      if (!fetched.ok) return fetched;
      bytes = fetched.value;
      if (bytes.length !== tile.width * HASH_BYTES)
        return err({ code: 'tile.wrongLength', message: `${path} has ${bytes.length} bytes, not ${tile.width * HASH_BYTES}` });
      tiles.set(path, bytes);
    }
    const own: Bytes[] = [];
    for (let i = first; i < first + count; i++) own.push(bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    hashes.set(`${node.level} ${node.index}`, treeRoot(own));
  }
  return ok((level, index) => {
    const hash = hashes.get(`${level} ${index}`);
    if (hash === undefined) throw new ProofFault('fault.badArgument', `the subtree (${level}, ${index}) was not asked for`);
    return hash;
  });
}
