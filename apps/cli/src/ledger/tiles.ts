/**
 * `openexec ledger tiles --out DIR`: the tree as C2SP tlog-tiles, and proofs read from such tiles alone. Every proof is held against the signed
 * checkpoint before it is printed (PROTOCOL §§3, 11).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { type Bytes, err, equalBytes, ok, type Result, utf8Decode } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
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
  TileBuilder,
  type TileError,
  type TileReader,
  tilePath,
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

/** Adds options and action to the command `tiles`. */
export function registerTiles(command: Command, context: CommandContext): void {
  command
    .requiredOption('--out <folder>', 'where tile/, checkpoint and log.vkey are written')
    .action(context.act((options: TilesOptions) => tiles(context, options)));
}

async function tiles(context: CommandContext, options: TilesOptions): Promise<CommandResult> {
  const out = isAbsolute(options.out) ? options.out : resolve(context.cwd, options.out);
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    let newest: { readonly size: bigint; readonly note: string } | null = null;
    for await (const checkpoint of store.checkpoints()) newest = checkpoint;
    if (newest === null) return refuse('usage.invalid', 'no checkpoint is kept; openexec ledger checkpoint makes one');
    const vkeys = await logKeys(store);
    if (!vkeys.ok) return vkeys;
    const opened = openCheckpoint(newest.note, vkeys.value);
    if (!opened.ok) return refuse('verify.failed', `the checkpoint of size ${newest.size} does not open: ${opened.error.message}`);
    const written = await writeTiles(store, out, opened.value);
    if (!written.ok) return written;
    // Last, so that whoever sees the checkpoint finds every tile of its tree.
    writeFileSync(join(out, 'log.vkey'), vkeys.value.map((vkey) => `${vkey}\n`).join(''));
    writeFileSync(join(out, 'checkpoint'), newest.note);
    context.output.result(`${written.value} tiles and bundles of ${newest.size} entries in ${safeLine(out)}`);
    return ok(EXIT.ok);
  });
}

async function writeTiles(store: LedgerStore, out: string, checkpoint: Checkpoint): Promise<Result<number, Refusal>> {
  const builder = new TileBuilder();
  let count = 0;
  const keep = (path: string, bytes: Bytes): void => {
    const file = join(out, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    count += 1;
  };
  try {
    for await (const page of store.rows(0n, checkpoint.size))
      for (const row of page) for (const { path, bytes } of builder.append(row.entryBytes)) keep(path, bytes);
    for (const { path, bytes } of builder.finish()) keep(path, bytes);
  } catch (error) {
    const { code } = (error ?? {}) as { readonly code?: unknown };
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return refuse('usage.invalid', `${safeLine(out)} cannot be written (${code})`);
    throw error;
  }
  if (builder.size === checkpoint.size && equalBytes(builder.root(), checkpoint.root)) return ok(count);
  return refuse('tiles.failed', `the entries do not make the root of the checkpoint of size ${checkpoint.size}`);
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
  const read: TileReader = async (tile) => {
    const path = tilePath(tile);
    try {
      return ok(new Uint8Array(readFileSync(join(folder, path))));
    } catch {
      return err({ code: 'tile.missing', message: `${path} is not there` });
    }
  };
  return ok({ read, note: note.value, checkpoint: checkpoint.value, vkeys });
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
