/**
 * A whole ledger out into one file and in again: copied, or moved for good. Must never leave half a file or half a ledger, and never let in what does
 * not verify. PROTOCOL §3 "Moving"; schemas/export.md.
 */
import { createReadStream, existsSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { type Bytes, type Digest, digestFromBytes, err, type Json, ok, parseDigest, type Result, type TrajectoryId } from '@openexec/canon';
import { CopyFault, exportLines, type ExportHead, type KeptLedger, type Row, type StoredCheckpoint, readExport } from '@openexec/ledger';
import { verifyLedger, type VerifyReport } from '@openexec/verify';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { checkPlace, findLedgerPlace, openStore } from '../ledgerPlace.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';

/** Options of `ledger export`. */
export interface ExportOptions {
  readonly ledger?: string;
  readonly move?: boolean;
  readonly to?: string;
}
/** Options of `ledger import`. */
export interface ImportOptions {
  readonly ledger?: string;
  readonly prepare?: boolean;
  readonly trust?: string;
}

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.

/** Writes the file, after sealing the ledger where it is to move. */
export async function exportLedger(context: CommandContext, file: string, options: ExportOptions): Promise<CommandResult> {
  const { move, to, ledger } = options;
  if ((move === true) !== (to !== undefined)) return refuse('usage.invalid', '--move and --to ID belong together');
  if (to !== undefined && !/^[0-9a-f]{32}$/.test(to))
    return refuse('usage.invalid', '--to is the id that openexec ledger import --prepare printed: 32 hex digits');
  const path = isAbsolute(file) ? file : resolve(context.cwd, file);
  if (existsSync(path)) return refuse('file.exists', `"${safeLine(path)}" is there already`);
  return withLedger(context, { ledger, access: to === undefined ? 'read' : 'write' }, async (opened) => {
    if (to !== undefined) {
      const sealed = await seal(context, opened, to);
      if (!sealed.ok) return sealed;
    }
    const { fingerprint, origin, size, root } = await opened.store.head();
    if (fingerprint === null || origin === null) return refuse('ledger.missing', 'this ledger was never founded');
    const written = await writeWhole(path, exportLines(opened.store, { fingerprint, origin, size, root }));
    if (!written.ok) return written;
    context.output.result(`exported  ${size} entries, ${written.value} bytes  ${safeLine(path)}`);
    if (to !== undefined)
      context.output.result(`moved     to store ${to}; this ledger takes no more entries\n  there: openexec ledger import FILE`);
    return ok(EXIT.ok);
  });
}

/** The last entry of this store: names the one that goes on. Sealed for the same one already: the export was interrupted and is made again. */
async function seal(context: CommandContext, { store }: OpenLedger, to: string): Promise<Result<void, Refusal>> {
  if (to === (await store.keeper.instance())) return refuse('usage.invalid', 'a ledger cannot move to itself');
  if ((await store.keeper.successor()) !== to) {
    const { size, root } = await store.head();
    const payload: Json = { successor: to, size: Number(size), root: digestFromBytes(root) };
    const draft = { kind: 'ledger.sealed' as const, at: context.clock.now(), actor: 'runtime' as const, cause: null, law: null, payload };
    const appended = await store.append({ to: [{ trajectory: LEDGER, expect: 'any', drafts: [draft] }], blobs: [] });
    if (!appended.ok) return err(storeRefusal(appended.error));
  }
  const signed = await store.checkpoint();
  return signed.ok ? ok(undefined) : err(storeRefusal(signed.error));
}

/** Durable and whole, or not there. Answers its length. */
async function writeWhole(path: string, chunks: AsyncIterable<Bytes>): Promise<Result<number, Refusal>> {
  const unfinished = `${path}.unfinished`;
  try {
    const file = await open(unfinished, 'wx', 0o600);
    let length = 0;
    try {
      for await (const chunk of chunks) length += (await file.write(chunk)).bytesWritten;
      await file.sync();
    } finally {
      await file.close();
    }
    renameSync(unfinished, path);
    return ok(length);
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    if (code !== 'EEXIST') rmSync(unfinished, { force: true });
    if (error instanceof CopyFault) return refuse('ledger.corrupt', error.message);
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code))
      return refuse(
        code === 'ENOSPC' ? 'ledger.full' : code === 'EEXIST' ? 'file.exists' : 'file.unwritable',
        `"${safeLine(unfinished)}": ${String(message)}`,
      );
    throw error;
  }
}

/** Takes a file in, or only makes the place for one. */
export async function importLedger(context: CommandContext, file: string | undefined, options: ImportOptions): Promise<CommandResult> {
  if (file === undefined && options.prepare !== true) return refuse('usage.invalid', 'give the FILE to import, or --prepare');
  const trust = options.trust === undefined ? ok(null) : parseDigest(options.trust);
  if (!trust.ok) return refuse('usage.invalid', '--trust is sha256: and 64 lower-case hex digits');
  const place = await findLedgerPlace(context, options.ledger);
  if (!place.ok) return place;
  const { name } = place.value;
  // What only the repository names is not connected to; a file that is not there yet is what this command makes.
  const allowed = place.value.kind === 'sqlite' ? ok(undefined) : checkPlace(place.value, false);
  if (!allowed.ok) return allowed;
  const source = file === undefined ? null : isAbsolute(file) ? file : resolve(context.cwd, file);
  if (source !== null && !existsSync(source)) return refuse('import.refused', `there is no file "${safeLine(source)}"`);
  // What does not verify makes no ledger either.
  const checked = source === null ? ok(null) : await checkFile(source, trust.value);
  if (!checked.ok) return checked;
  const { clock, randomness } = context;
  const store = await openStore(place.value, { clock, randomness, missing: 'create' });
  if (!store.ok) return err(storeRefusal(store.error));
  try {
    if (source !== null && checked.value !== null)
      return await takeIn(context, { source, path: name, store: store.value, checked: checked.value });
    if ((await store.value.head()).size !== 0n) return refuse('ledger.notEmpty', `"${safeLine(name)}" is a ledger with entries`);
    context.output.result(await store.value.keeper.instance());
    context.output.progress('at the source: openexec ledger export FILE --move --to that id; then here: openexec ledger import FILE');
    return ok(EXIT.ok);
  } finally {
    await store.value.close();
  }
}

interface Checked {
  readonly head: ExportHead;
  readonly sum: Digest | null;
  readonly report: VerifyReport;
}

/** Reads the whole file twice: once for checkpoints and lists of prunings, once for the verifier. Memory stays flat. */
async function checkFile(path: string, trust: Digest | null): Promise<Result<Checked, Refusal>> {
  try {
    const file = await readExport(() => createReadStream(path));
    const checkpoints: StoredCheckpoint[] = [];
    const lists = new Map<Digest, Bytes | null>();
    for await (const part of file.parts()) {
      if (part.is === 'checkpoint') checkpoints.push(part.checkpoint);
      else if (part.is === 'rows') for (const row of part.rows) for (const digest of listIn(row)) lists.set(digest, null);
      else if (lists.has(part.digest)) lists.set(part.digest, part.bytes);
    }
    const rows = async function* (): AsyncGenerator<readonly Row[]> {
      for await (const part of file.parts()) {
        if (part.is !== 'rows') return;
        yield part.rows;
      }
    };
    const sum = file.sum();
    const report = await verifyLedger(
      { rows: rows(), checkpoints, head: null, blob: async (digest) => lists.get(digest) ?? null },
      { trust },
    );
    const [finding] = report.findings;
    if (finding !== undefined)
      return refuse(
        'import.refused',
        `the ledger in the file does not verify: ${finding.index === null ? '' : `entry ${finding.index}: `}${finding.code}: ${finding.message}`,
      );
    return ok({ head: file.head, sum, report });
  } catch (error) {
    if (error instanceof CopyFault) return err(storeRefusal(error));
    const { code } = error as { readonly code?: unknown };
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return refuse('import.refused', `"${safeLine(path)}" cannot be read (${code})`);
    throw error;
  }
}

/** The lists that a row names, looked for in its text: the verifier reads it rightly. */
function listIn({ entryBytes, payload }: Row): readonly Digest[] {
  if (payload === null || !Buffer.from(entryBytes).includes('"kind":"ledger.pruned"')) return [];
  return (Buffer.from(payload)
    .toString('utf8')
    .match(/sha256:[0-9a-f]{64}/g) ?? []) as Digest[]; // The pattern is that of a digest.
}

interface TakeIn {
  readonly source: string;
  readonly path: string;
  readonly store: KeptLedger;
  readonly checked: Checked;
}

async function takeIn(context: CommandContext, { source, path, store, checked }: TakeIn): Promise<CommandResult> {
  const file = await readExport(() => createReadStream(source));
  const parts = async function* (): ReturnType<typeof file.parts> {
    yield* file.parts();
    // The bytes that are stored are the bytes that were verified.
    if (file.sum() !== checked.sum) throw new CopyFault('copy.unreadable', 'the file changed while it was read');
  };
  const taken = await store.keeper.copyIn({ size: file.size, root: file.root, parts });
  if (!taken.ok) return err(storeRefusal(taken.error));
  const { head, report } = checked;
  const { output } = context;
  output.result(`imported     ${head.size} entries, ${taken.value.blobs} blobs  ${safeLine(path)}`);
  output.result(`fingerprint  ${head.fingerprint}`);
  output.result(`verified     ${report.level ?? 'none'}; trust ${report.trust === 'pinned' ? 'as you gave it' : 'self-asserted'}`);
  const [successor, instance] = [await store.keeper.successor(), await store.keeper.instance()];
  if (successor === instance) output.result('moved        this store goes on');
  else if (successor !== null) output.result(`sealed       the store ${successor} goes on; this copy takes no entries`);
  else output.result('copy         the source was not sealed: append to one of the two only');
  output.progress('openexec ledger pin FINGERPRINT trusts it');
  return ok(EXIT.ok);
}
