/**
 * A folder that holds a tree as C2SP tlog-tiles under its newest checkpoint, kept as the tree grows: only tiles that became full and the partial right
 * edge are written. Whoever reads it at any moment, also after a crash, finds every tile of the checkpoint that lies there. Must never put a checkpoint
 * in the place of one that it does not continue. c2sp.org/tlog-tiles; PROTOCOL §3.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Bytes, equalBytes, err, ok, type Result } from '@openexec/canon';
import {
  type Checkpoint,
  CompactRange,
  EMPTY_ROOT,
  leafHash,
  openCheckpoint,
  parseEntryBundle,
  parseTilePath,
  TileBuilder,
  type TileFile,
  type TileReader,
  type TileRef,
  tilePath,
} from '@openexec/proof';
import { faultCode, readText, replaceFile } from './files.ts';

const CHECKPOINT = 'checkpoint';
const KEYS = 'log.vkey';
const UNFINISHED = '.unfinished';
/** What a killed writer left is swept by one that comes this much later. */
const STALE_MS = 3_600_000;
const TILE_WIDTH = 256;
const HASH_BYTES = 32;
const MAX_TILE_BYTES = TILE_WIDTH * (0xffff + 2);

/** Why a folder was not brought up to date, or cannot be read. What lay there is still whole. */
export interface TileFolderError {
  readonly code: /** The system says no. */
    | 'tiles.unwritable'
    /** It holds a checkpoint that the new one does not continue: shorter, or another tree. An alarm. */
    | 'tiles.conflict'
    /** The entries do not make the root of the checkpoint that is to be kept. */
    | 'tiles.otherRoot';
  readonly message: string;
}

/** A tree that is to be kept. */
export interface TreeOfTiles {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly note: string;
  /** Keys of the log, as they are written beside the checkpoint. */
  readonly vkeys: readonly string[];
  /** The bytes of the entries from one index up to another, in order, in pages. */
  entries(from: bigint, to: bigint): AsyncIterable<readonly Bytes[]>;
}

/** What was done. */
export interface TilesKept {
  /** Entries that were there already; 0 where everything was written anew. */
  readonly from: bigint;
  readonly files: number;
  /** Why everything was written anew although something was there; null otherwise. */
  readonly rebuilt: string | null;
}

/** Reads tiles of a folder; where a partial one went because its full one is there, that one serves (tlog-tiles, "partial tiles"). */
export function tileReaderOf(folder: string): TileReader {
  return async (tile) => {
    const path = tilePath(tile);
    const found = bytesOf(join(folder, path)) ?? (tile.width === TILE_WIDTH ? null : cut(folder, tile));
    return found === null ? err({ code: 'tile.missing', message: `${path} is not there` }) : ok(found);
  };
}

function bytesOf(path: string): Bytes | null {
  try {
    return statSync(path).size > MAX_TILE_BYTES ? null : new Uint8Array(readFileSync(path));
  } catch {
    // Not there, or not a file: either way no tile.
    return null;
  }
}

function cut(folder: string, tile: TileRef): Bytes | null {
  const full = bytesOf(join(folder, tilePath({ ...tile, width: TILE_WIDTH })));
  if (full === null || tile.level !== 'entries') return full === null ? null : full.slice(0, tile.width * HASH_BYTES);
  const entries = parseEntryBundle(full);
  if (!entries.ok || entries.value.length < tile.width) return null;
  const length = entries.value.slice(0, tile.width).reduce((sum, entry) => sum + entry.length + 2, 0);
  return full.slice(0, length);
}

/** Brings the folder up to the checkpoint. */
export async function keepTiles(tree: TreeOfTiles): Promise<Result<TilesKept, TileFolderError>> {
  const { folder, checkpoint, note, vkeys } = tree;
  const writer = new TileWriter(folder);
  try {
    const began = await begin(tree);
    if (!began.ok) return began;
    const { builder, rebuilt } = began.value;
    const from = builder.size;
    const full: string[] = [];
    for await (const page of tree.entries(from, checkpoint.size))
      for (const entry of page)
        for (const file of builder.append(entry)) {
          writer.write(file);
          full.push(file.path);
        }
    for (const file of builder.finish()) writer.write(file);
    if (builder.size !== checkpoint.size || !equalBytes(builder.root(), checkpoint.root))
      return await otherTree(tree, from, began.value.root);
    // Window 1: every tile is there under its name, the old checkpoint stands. It leads to tiles that were not touched.
    writer.sync();
    const keys = vkeys.map((vkey) => `${vkey}\n`).join('');
    if (readText(join(folder, KEYS)) !== keys) replaceFile(join(folder, KEYS), keys);
    // Somebody else may have gone further meanwhile; a smaller tree never takes its place.
    const now = readText(join(folder, CHECKPOINT));
    const there = now === null ? undefined : openCheckpoint(now, vkeys);
    if (there?.ok !== true || there.value.size <= checkpoint.size) replaceFile(join(folder, CHECKPOINT), note);
    // Window 2: the new checkpoint stands, partial tiles that are full now are still there; the next writer does not need them.
    for (const path of full) rmSync(join(folder, `${path}.p`), { recursive: true, force: true });
    return ok({ from, files: writer.files, rebuilt });
  } catch (error) {
    const code = faultCode(error);
    if (/^E[A-Z0-9]+$/.test(code)) return refuse('tiles.unwritable', `${folder} cannot be written (${code})`);
    throw error;
  }
}

/** Which of the two does not continue: what the folder held of `from` entries, or what was handed in. */
async function otherTree(tree: TreeOfTiles, from: bigint, held: Bytes): Promise<{ readonly ok: false; readonly error: TileFolderError }> {
  if (!equalBytes(await rootOver(tree, from), held))
    return refuse('tiles.conflict', `${tree.folder} holds another tree of size ${from}: this ledger does not continue it`);
  return refuse('tiles.otherRoot', `the entries do not make the root of the checkpoint of size ${tree.checkpoint.size}`);
}

/** A builder that stands where the folder does. What lies there and does not hold is written anew, once the entries are found to continue it. */
async function begin(
  tree: TreeOfTiles,
): Promise<Result<{ readonly builder: TileBuilder; readonly root: Bytes; readonly rebuilt: string | null }, TileFolderError>> {
  const { folder, checkpoint, vkeys } = tree;
  const held = readText(join(folder, CHECKPOINT));
  if (held === null) return ok({ builder: new TileBuilder(), root: EMPTY_ROOT, rebuilt: null });
  const old = openCheckpoint(held, vkeys);
  if (!old.ok) return refuse('tiles.conflict', `the checkpoint in ${folder} is not of this ledger: ${old.error.message}`);
  const { size, root } = old.value;
  if (size > checkpoint.size)
    return refuse('tiles.conflict', `${folder} holds a tree of ${size}, more than the ${checkpoint.size} of this one: an older copy?`);
  const builder = await TileBuilder.from(tileReaderOf(folder), size);
  if (builder.ok && equalBytes(builder.value.root(), root)) return ok({ builder: builder.value, root, rebuilt: null });
  if (!equalBytes(await rootOver(tree, size), root))
    return refuse('tiles.conflict', `${folder} holds another tree of size ${size}: this ledger does not continue it`);
  const why = builder.ok ? 'its right edge does not make the root of its checkpoint' : builder.error.message;
  return ok({ builder: new TileBuilder(), root: EMPTY_ROOT, rebuilt: why });
}

async function rootOver(tree: TreeOfTiles, size: bigint): Promise<Bytes> {
  const range = CompactRange.empty();
  for await (const page of tree.entries(0n, size)) for (const entry of page) range.append(leafHash(entry));
  return range.root();
}

/** Files whole or not there; their folders are synced together at the end. */
class TileWriter {
  readonly #folder: string;
  readonly #folders = new Set<string>();
  #files = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get files(): number {
    return this.#files;
  }

  write({ path, bytes }: TileFile): void {
    const unfinished = join(this.#prepared(), randomUUID());
    const file = openSync(unfinished, 'wx', 0o644);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    const target = join(this.#folder, path);
    this.#enter(dirname(target));
    renameSync(unfinished, target);
    this.#files += 1;
  }

  /** The folder of unfinished files, swept when it is first needed. */
  #prepared(): string {
    const folder = join(this.#folder, UNFINISHED);
    if (this.#files > 0) return folder;
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder))
      if (Date.now() - (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0) > STALE_MS)
        rmSync(join(folder, name), { force: true });
    return folder;
  }

  #enter(folder: string): void {
    if (this.#folders.has(folder)) return;
    mkdirSync(folder, { recursive: true });
    for (let at = folder; at.startsWith(this.#folder) && !this.#folders.has(at); at = dirname(at)) this.#folders.add(at);
  }

  sync(): void {
    for (const folder of this.#folders) {
      const handle = openSync(folder, 'r');
      try {
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    }
  }
}

/** A tile that is not what the entries make. */
export interface TileFinding {
  readonly path: string;
  /** First leaf index that it covers. */
  readonly index: bigint;
  readonly what: 'missing' | 'different';
}

/** Makes every tile of the folder's checkpoint again from the entries and compares; with `repair` puts right what differs. Memory is one tile a level. */
export async function examineTiles(
  tree: TreeOfTiles,
  options: { readonly repair: boolean; readonly most: number },
): Promise<Result<{ readonly tiles: number; readonly findings: readonly TileFinding[]; readonly omitted: number }, TileFolderError>> {
  // Nothing is put right for a tree that the checkpoint is not of.
  if (!equalBytes(await rootOver(tree, tree.checkpoint.size), tree.checkpoint.root))
    return refuse('tiles.conflict', `the checkpoint in ${tree.folder} is not of this tree`);
  const builder = new TileBuilder();
  const writer = new TileWriter(tree.folder);
  const read = tileReaderOf(tree.folder);
  const findings: TileFinding[] = [];
  let tiles = 0;
  let omitted = 0;
  const take = async (file: TileFile, tile: TileRef): Promise<void> => {
    tiles += 1;
    const kept = await read(tile);
    if (kept.ok && equalBytes(kept.value, file.bytes)) return;
    const span = BigInt(TILE_WIDTH) ** BigInt(tile.level === 'entries' ? 1 : tile.level + 1);
    if (findings.length < options.most)
      findings.push({ path: file.path, index: tile.index * span, what: kept.ok ? 'different' : 'missing' });
    else omitted += 1;
    if (options.repair) writer.write(file);
  };
  try {
    for await (const page of tree.entries(0n, tree.checkpoint.size))
      for (const entry of page) for (const file of builder.append(entry)) await take(file, refOf(file));
    for (const file of builder.finish()) await take(file, refOf(file));
    if (options.repair) writer.sync();
  } catch (error) {
    const code = faultCode(error);
    if (/^E[A-Z0-9]+$/.test(code)) return refuse('tiles.unwritable', `${tree.folder} cannot be written (${code})`);
    throw error;
  }
  return ok({ tiles, findings: findings.sort((a, b) => (a.index < b.index ? -1 : a.index > b.index ? 1 : 0)), omitted });
}

function refOf({ path }: TileFile): TileRef {
  const tile = parseTilePath(path);
  if (!tile.ok) throw new Error(`a tile was made with a path that is none: ${path}`);
  return tile.value;
}

function refuse(code: TileFolderError['code'], message: string): { readonly ok: false; readonly error: TileFolderError } {
  return err({ code, message });
}
