/**
 * `openexec ledger tiles --out DIR`: the tree as C2SP tlog-tiles, and proofs read from such tiles alone. Every proof is held against the signed
 * checkpoint before it is printed (PROTOCOL §§3, 11).
 */
import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { examineTiles, keepTiles, type TileFolderError, type TilesKept, tileReaderOf, type TreeOfTiles } from '@openexec/anchors';
import { type Bytes, ok, type Result, utf8Decode } from '@openexec/canon';
import type { LedgerStore, StoredCheckpoint } from '@openexec/ledger';
import {
  type Checkpoint,
  consistencyFromTiles,
  entryFromTiles,
  formatAddCheckpoint,
  formatTlogProof,
  inclusionFromTiles,
  leafHash,
  openCheckpoint,
  rootFromTiles,
  type TileError,
  type TileReader,
  verifyConsistency,
  verifyTlogProof,
} from '@openexec/proof';
import type { Command } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { logKeys } from '../read/proofs.ts';

interface TilesOptions {
  readonly out: string;
  readonly ledger?: string;
}

/** A folder of tiles with the checkpoint that they lead to. */
interface TileFolder {
  readonly read: TileReader;
  readonly note: string;
  readonly checkpoint: Checkpoint;
  readonly vkeys: readonly string[];
}

/** What was made again of a folder of tiles. */
export interface TilesExamined {
  readonly tiles: number;
  readonly findings: readonly { readonly path: string; readonly index: bigint; readonly what: 'missing' | 'different' }[];
  readonly omitted: number;
}

/** Adds options and action to the command `tiles`. */
export function registerTiles(command: Command, context: CommandContext): void {
  command
    .requiredOption('--out <folder>', 'where tile/, checkpoint and log.vkey are written')
    .action(context.act((options: TilesOptions) => tiles(context, options)));
}

async function tiles(context: CommandContext, options: TilesOptions): Promise<CommandResult> {
  const out = isAbsolute(options.out) ? options.out : resolve(context.cwd, options.out);
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    let newest: StoredCheckpoint | null = null;
    for await (const checkpoint of store.checkpoints()) newest = checkpoint;
    if (newest === null) return refuse('usage.invalid', 'no checkpoint is kept; openexec ledger checkpoint makes one');
    const kept = await tendTiles(store, out, newest);
    if (!kept.ok) return kept;
    const { from, files, rebuilt } = kept.value;
    if (rebuilt !== null) context.output.warn(`the tiles were written anew: ${safeLine(rebuilt)}`);
    const behind = from === 0n ? '' : `, ${newest.size - from} of them new`;
    context.output.result(`${files} tiles and bundles of ${newest.size} entries${behind} in ${safeLine(out)}`);
    return ok(EXIT.ok);
  });
}

/** Brings a folder of tiles up to a kept checkpoint; only what is new is read and written. */
export async function tendTiles(store: LedgerStore, folder: string, newest: StoredCheckpoint): Promise<Result<TilesKept, Refusal>> {
  const tree = await treeOf(store, folder, newest);
  if (!tree.ok) return tree;
  const kept = await keepTiles(tree.value);
  return kept.ok ? kept : folderRefusal(kept.error);
}

/** Makes every tile under the folder's own checkpoint again from the entries; answers what differs, by leaf index. */
export async function checkTiles(
  store: LedgerStore,
  folder: string,
  options: { readonly repair: boolean; readonly most: number },
): Promise<Result<TilesExamined, Refusal>> {
  const note = textOf(join(folder, 'checkpoint'));
  if (!note.ok) return note;
  const tree = await treeOf(store, folder, { note: note.value, size: null });
  if (!tree.ok) return tree;
  const { size } = await store.head();
  if (tree.value.checkpoint.size > size)
    return refuse('anchor.conflict', `the tiles are of ${tree.value.checkpoint.size} entries, the ledger has ${size}: an older copy?`);
  const examined = await examineTiles(tree.value, options);
  return examined.ok ? examined : folderRefusal(examined.error);
}

async function treeOf(
  store: LedgerStore,
  folder: string,
  { note, size }: { readonly note: string; readonly size: bigint | null },
): Promise<Result<TreeOfTiles, Refusal>> {
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const opened = openCheckpoint(note, vkeys.value);
  if (!opened.ok)
    return refuse('verify.failed', `the checkpoint${size === null ? '' : ` of size ${size}`} does not open: ${opened.error.message}`);
  const entries = async function* (from: bigint, to: bigint): AsyncGenerator<readonly Bytes[]> {
    for await (const page of store.rows(from, to)) yield page.map(({ entryBytes }) => entryBytes);
  };
  return ok({ folder, checkpoint: opened.value, note, vkeys: vkeys.value, entries });
}

function folderRefusal({ code, message }: TileFolderError): { readonly ok: false; readonly error: Refusal } {
  if (code === 'tiles.unwritable') return refuse('file.unwritable', message);
  return code === 'tiles.conflict' ? refuse('anchor.conflict', message) : refuse('tiles.failed', message);
}

/** A tlog-proof of one entry, from a folder of tiles. */
export async function proveFromTiles(context: CommandContext, folder: string, index: bigint): Promise<Result<string, Refusal>> {
  const opened = openTiles(context, folder);
  if (!opened.ok) return opened;
  const { read, note, checkpoint, vkeys } = opened.value;
  const { size } = checkpoint;
  if (index >= size) return refuse('usage.invalid', `the tiles are of ${size} entries; there is no entry ${index}`);
  const hashes = await inclusionFromTiles(read, { index, size, treeSize: size });
  if (!hashes.ok) return tileRefusal(hashes.error);
  const entry = await entryFromTiles(read, index, size);
  if (!entry.ok) return tileRefusal(entry.error);
  const proof = formatTlogProof({ index, hashes: hashes.value, checkpoint: note });
  const verified = verifyTlogProof({ proof, leaf: leafHash(entry.value), vkeys });
  return verified.ok ? ok(proof) : refuse('tiles.failed', `the tiles do not prove entry ${index}: ${verified.error.message}`);
}

/** The body of an add-checkpoint request from any earlier size to that of the tiles. */
export async function consistencyOfTiles(
  context: CommandContext,
  folder: string,
  sizes: { readonly oldSize: bigint; readonly newSize: bigint },
): Promise<Result<string, Refusal>> {
  const opened = openTiles(context, folder);
  if (!opened.ok) return opened;
  const { read, note, checkpoint } = opened.value;
  const { oldSize, newSize } = sizes;
  if (newSize !== checkpoint.size)
    return refuse('usage.invalid', `the checkpoint beside the tiles is of size ${checkpoint.size}, not ${newSize}`);
  if (oldSize > newSize) return refuse('usage.invalid', `the first size is the older one; ${oldSize} is more than ${newSize}`);
  const proof = await consistencyFromTiles(read, { oldSize, newSize, treeSize: newSize });
  if (!proof.ok) return tileRefusal(proof.error);
  const oldRoot = await rootFromTiles(read, oldSize, newSize);
  if (!oldRoot.ok) return tileRefusal(oldRoot.error);
  const verified = verifyConsistency({ oldSize, oldRoot: oldRoot.value, newSize, newRoot: checkpoint.root, proof: proof.value });
  if (!verified.ok) return refuse('tiles.failed', `the tiles do not lead to their checkpoint: ${verified.error.message}`);
  return ok(formatAddCheckpoint({ oldSize, proof: proof.value, checkpoint: note }));
}

/** The keys are those that lie beside the tiles: who trusts them has to know them from elsewhere, as with any checkpoint. */
function openTiles(context: CommandContext, given: string): Result<TileFolder, Refusal> {
  const folder = isAbsolute(given) ? given : resolve(context.cwd, given);
  const note = textOf(join(folder, 'checkpoint'));
  if (!note.ok) return note;
  const keys = textOf(join(folder, 'log.vkey'));
  if (!keys.ok) return keys;
  const vkeys = keys.value.split('\n').filter((line) => line !== '');
  const checkpoint = openCheckpoint(note.value, vkeys);
  if (!checkpoint.ok) return refuse('tiles.failed', `the checkpoint beside the tiles does not open: ${checkpoint.error.message}`);
  return ok({ read: tileReaderOf(folder), note: note.value, checkpoint: checkpoint.value, vkeys });
}

function textOf(path: string): Result<string, Refusal> {
  try {
    const text = utf8Decode(readFileSync(path));
    return text.ok ? text : refuse('tiles.failed', `${safeLine(path)}: ${text.error.message}`);
  } catch {
    return refuse('usage.invalid', `${safeLine(path)} cannot be read; openexec ledger tiles --out DIR writes such a folder`);
  }
}

function tileRefusal(error: TileError): { readonly ok: false; readonly error: Refusal } {
  return refuse('tiles.failed', `${error.code}: ${error.message}`);
}
