/**
 * Looking after a ledger: what is derived held against the entries, a backup while others write, growth per kind. Must never repair what does not verify.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { type Digest, err, ok, toHex } from '@openexec/canon';
import { decodeEntry, type KeptLedger, mentionedIn } from '@openexec/ledger';
import { checkSnapshots } from '@openexec/runtime';
import { backUpSqliteLedger } from '@openexec/stores';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { checkTiles } from '../ledger/tiles.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { programDigest } from '../program.ts';
import { openEvidence } from '../read/evidence.ts';
import { withLedger } from '../read/guard.ts';

/** Options of `ledger fsck`. */
export interface FsckOptions {
  readonly ledger?: string;
  readonly repair?: boolean;
  /** A folder of tiles that is made again from the entries too. */
  readonly tiles?: string;
}
const MOST_TILES = 20;

/** Examines, and repairs where asked: only a ledger whose every entry verifies. */
export async function fsck(context: CommandContext, options: FsckOptions): Promise<CommandResult> {
  const { output } = context;
  const evidence = await openEvidence(context, { ledger: options.ledger });
  if (!evidence.ok) return evidence;
  const { report } = await evidence.value.check();
  await evidence.value.close();
  const [finding] = report.findings;
  if (finding !== undefined) {
    for (const { index, code, message } of report.findings.slice(0, 20))
      output.result(`✗ ${index === null ? 'ledger' : `index ${index}`}: ${code}: ${safeLine(message)}`);
    return refuse('fsck.failed', `the entries do not verify, first bad index ${report.firstBad ?? 'none'}; nothing was repaired`);
  }
  return withLedger(context, { ledger: options.ledger, access: options.repair === true ? 'append' : 'read' }, async ({ store }) => {
    const examined = await store.keeper.examine({ repair: options.repair === true });
    if (!examined.ok) return err(storeRefusal(examined.error));
    const { entries, root, blobs, findings, omitted, firstBad } = examined.value;
    for (const { index, code, message, repaired } of findings)
      output.result(`${repaired ? 'repaired' : '✗'} ${index === null ? 'ledger' : `index ${index}`}: ${code}: ${safeLine(message)}`);
    if (omitted > 0) output.result(`  and ${omitted} more`);
    output.result(`examined  ${entries} entries, ${blobs} blobs, root sha256:${toHex(root)}`);
    const derived = await fsckSnapshots(context, store, options.repair === true);
    const left = findings.filter(({ repaired }) => !repaired).length + derived;
    if (left > 0 || omitted > 0)
      return refuse('fsck.failed', `${left + omitted} findings${firstBad === null ? '' : `, first bad index ${firstBad}`}`);
    return options.tiles === undefined ? ok(EXIT.ok) : fsckTiles(context, store, { ...options, tiles: options.tiles });
  });
}

/** Snapshots folded again from entries that were found sound; what differs is dropped where that is asked for. Answers how many are left. */
async function fsckSnapshots({ assets, output }: CommandContext, store: KeptLedger, repair: boolean): Promise<number> {
  const checked = await checkSnapshots(store, { shelf: store.snapshots, program: programDigest(assets) });
  if (!checked.ok) {
    output.result(`✗ snapshots: ${safeLine(checked.error.message)}`);
    return 1;
  }
  const { wrong } = checked.value;
  const dropped = repair && wrong.length > 0 && (await store.snapshots.drop(wrong)).ok;
  for (const { message } of wrong) output.result(`${dropped ? 'dropped' : '✗'} snapshot.wrong: ${safeLine(message)}`);
  if (checked.value.checked > 0) output.result(`examined  ${checked.value.checked} snapshots of runs`);
  return dropped ? 0 : wrong.length;
}

/** Every tile of a folder, made again from entries that were found sound. */
async function fsckTiles(
  { cwd, output }: CommandContext,
  store: KeptLedger,
  { tiles: given, repair = false }: FsckOptions & { readonly tiles: string },
): Promise<CommandResult> {
  const folder = isAbsolute(given) ? given : resolve(cwd, given);
  const examined = await checkTiles(store, folder, { repair, most: MOST_TILES });
  if (!examined.ok) return examined;
  const { tiles, findings, omitted } = examined.value;
  for (const { path, index, what } of findings) output.result(`${repair ? 'repaired' : '✗'} index ${index}: tile.${what}: ${path}`);
  if (omitted > 0) output.result(`  and ${omitted} more`);
  output.result(`examined  ${tiles} tiles and bundles in ${safeLine(folder)}`);
  const [first] = findings;
  if (repair || first === undefined) return ok(EXIT.ok);
  return refuse('fsck.failed', `${findings.length + omitted} tiles are not what the entries make, first bad index ${first.index}`);
}

/** A copy of the files as of one moment, while others write. */
export async function backUp(context: CommandContext, file: string, options: { readonly ledger?: string }): Promise<CommandResult> {
  const to = isAbsolute(file) ? file : resolve(context.cwd, file);
  if (existsSync(to)) return refuse('file.exists', `"${safeLine(to)}" is there already`);
  return withLedger(context, { ledger: options.ledger }, async ({ path, place }) => {
    if (place.kind !== 'sqlite')
      return refuse(
        'usage.invalid',
        `the ledger at "${safeLine(path)}" is backed up with its server; openexec ledger export FILE makes a whole copy of it`,
      );
    const made = await backUpSqliteLedger({ path, to });
    if (!made.ok) return err(storeRefusal(made.error));
    context.output.result(`backed up  ${made.value.entries} entries, ${made.value.blobFiles} blob files  ${safeLine(to)}`);
    return ok(EXIT.ok);
  });
}

/** What entries of one kind cost. */
export interface Growth {
  entries: number;
  entryBytes: number;
  payloadBytes: number;
  blobs: number;
  blobBytes: number;
}

/** Bytes by kind; a blob is counted once, for the first kind whose payload names it. */
export async function growthOf(store: KeptLedger): Promise<{ readonly [kind: string]: Growth }> {
  const lengths = new Map<Digest, number>();
  for await (const { digest, bytes } of store.keeper.blobs()) if (bytes !== null) lengths.set(digest, bytes);
  const kinds = new Map<string, Growth>();
  for await (const page of store.rows())
    for (const { entryBytes, payload } of page) {
      const entry = decodeEntry(entryBytes);
      const kind = entry.ok ? entry.value.kind : 'unreadable';
      const growth = kinds.get(kind) ?? { entries: 0, entryBytes: 0, payloadBytes: 0, blobs: 0, blobBytes: 0 };
      kinds.set(kind, growth);
      growth.entries += 1;
      growth.entryBytes += entryBytes.length;
      growth.payloadBytes += payload?.length ?? 0;
      for (const digest of payload === null ? [] : mentionedIn(payload)) {
        const length = lengths.get(digest);
        if (length === undefined) continue;
        lengths.delete(digest);
        growth.blobs += 1;
        growth.blobBytes += length;
      }
    }
  return Object.fromEntries([...kinds].sort(([, a], [, b]) => total(b) - total(a)));
}

/** All bytes of a kind. */
export function total({ entryBytes, payloadBytes, blobBytes }: Growth): number {
  return entryBytes + payloadBytes + blobBytes;
}
