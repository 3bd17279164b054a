/**
 * A copied ledger into an empty stream and its companion. What is checked is kept in the companion first, whole, in one transaction; from there its
 * entries go into the stream, and whoever opens it for writing next pours on where a death cut that off. Must never begin to pour what has not been
 * checked to its end, nor append behind an entry that is not its own. PROTOCOL §3 "Moving".
 */
import { type Clock, type Digest, digestFromBytes, equalBytes, err, ok, type Result } from '@openexec/canon';
import {
  CopyCheck,
  type CopyFailure,
  type CopyPart,
  decodeEntry,
  type LedgerCopy,
  LedgerFault,
  type Row,
  type Stored,
} from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import { ERASED } from '../blobParts.ts';
import { copyFailure } from '../keeping.ts';
import { type CompanionTx, inTransaction, NOTHING, type OpenedCompanion, TO_POUR } from './companion.ts';
import { appendRefusal, companionRefusal, isOutcome, isPassing, wasNotSent } from './failures.ts';
import { indexHead, lockedHead } from './indexHead.ts';
import { storeBlob } from './payloads.ts';
import type { EntryStream } from './stream.ts';
import { markPruned, takeUp } from './trajectories.ts';

/** One append to the stream: well below what a node takes by default (1 MiB). */
const POUR_BYTES = 512 * 1024;
const POUR_ENTRIES = 256;
const ROWS_AT_ONCE = 64;
const TRIES = 5;
const RETRY_MS = 100;

/** What it works with. */
export interface Copying {
  readonly companion: OpenedCompanion;
  readonly stream: EntryStream;
  readonly clock: Clock;
  readonly onWindow: (window: number) => void;
}

/** Checks a copy, keeps it, and pours it. */
export async function copyInto(copying: Copying, copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
  const { companion, stream, onWindow } = copying;
  let kept = false;
  try {
    if ((await stream.page(0n, 1)).length > 0) return NOT_EMPTY;
    const check = await inTransaction(companion.db, (tx) => new Keeping(tx, copying, copy).keep());
    if (check === null) return NOT_EMPTY;
    kept = true;
    // Window 14: a death from here on leaves the copy whole in the companion; the next opening for writing pours what the stream has not yet.
    onWindow(14);
    await pour(copying);
    return ok({ blobs: check.blobs });
  } catch (error) {
    const failure = copyFailure(error, (other) => (isOutcome(other) ? companionRefusal(other) : undefined));
    if (failure === undefined) throw error;
    if (!kept) return err(failure);
    const { message } = appendRefusal(error);
    return err({
      code: 'store.unknownOutcome',
      message: `the copy is kept, and its way into the stream was cut off (${message}); open it for writing to go on`,
    });
  }
}

const NOT_EMPTY = {
  ok: false,
  error: { code: 'copy.notEmpty', message: 'this stream or its companion has entries or payloads already; copy into new ones' },
} as const;

/** The copy in the companion, in one transaction. */
class Keeping {
  readonly #tx: CompanionTx;
  readonly #copying: Copying;
  readonly #copy: LedgerCopy;
  readonly #check: CopyCheck;
  readonly #lists: Digest[] = [];

  constructor(tx: CompanionTx, copying: Copying, copy: LedgerCopy) {
    this.#tx = tx;
    this.#copying = copying;
    this.#copy = copy;
    this.#check = new CopyCheck(copy);
  }

  /** Null where the companion is not empty. Payloads that are there are of an append that may still arrive: it and a copy exclude each other. */
  async keep(): Promise<CopyCheck | null> {
    const { size, unfinished } = await lockedHead(this.#tx);
    const other = await this.#tx.selectFrom('payloads').select('commitment').limit(1).executeTakeFirst();
    if (size > 0 || unfinished !== NOTHING || other !== undefined) return null;
    for await (const part of this.#copy.parts()) await this.#part(part);
    this.#check.finish();
    for (const list of this.#lists) await markPruned(this.#tx, list);
    // What it says is forgotten did not come along.
    await this.#tx.updateTable('head').set({ unfinished: TO_POUR }).where('id', '=', 0).execute();
    // Window 13: a death before this transaction is durable leaves an empty store.
    this.#copying.onWindow(13);
    return this.#check;
  }

  async #part(part: CopyPart): Promise<void> {
    if (part.is === 'rows') return this.#rows(part.rows);
    if (part.is === 'checkpoint') {
      const { size, note } = part.checkpoint;
      this.#check.checkpoint(part.checkpoint);
      await this.#tx
        .insertInto('checkpoints')
        .values({ size: Number(size), note })
        .execute();
      return;
    }
    const { digest, bytes } = part;
    this.#check.blob(digest, bytes);
    if (bytes === null) await this.#tx.insertInto('blobs').values({ digest, length: ERASED }).execute();
    else await storeBlob(this.#tx, { digest, bytes });
  }

  async #rows(rows: readonly Row[]): Promise<void> {
    const stored = rows.map((row): Stored => {
      const { entry, leaf, index } = this.#check.row(row);
      return { ...row, entry, leaf, index: BigInt(index) };
    });
    const now = this.#copying.clock.now();
    for (let from = 0; from < stored.length; from += ROWS_AT_ONCE) {
      const some = stored.slice(from, from + ROWS_AT_ONCE);
      const payloads = some.flatMap(({ entry, payload, salt }) =>
        payload === null || salt === null
          ? []
          : [{ commitment: entry.commitment, payload: Buffer.from(payload), salt: Buffer.from(salt), stored: now }],
      );
      if (payloads.length > 0) await this.#tx.insertInto('payloads').values(payloads).execute();
      await this.#tx
        .insertInto('staged')
        .values(some.map(({ index, entryBytes }) => ({ idx: Number(index), entry: Buffer.from(entryBytes) })))
        .execute();
    }
    if (stored.length > 0) this.#lists.push(...(await takeUp(this.#tx, await indexHead(this.#tx), stored)));
  }
}

/** Appends what the stream has not yet of a copy that is kept, and forgets that there was one. Throws what the stream or the companion throw. */
export async function pour({ companion, stream, onWindow }: Copying): Promise<void> {
  const { db } = companion;
  const { unfinished, size } = await indexHead(db);
  if (unfinished !== TO_POUR) return;
  for (let at = 0, tries = 0; at < size; ) {
    const rows = await stagedFrom(db, at);
    try {
      const there = await stream.page(BigInt(at), rows.length);
      if (there.some(({ entryBytes }, offset) => !equalBytes(entryBytes, rows[offset]?.entryBytes ?? NONE))) throw foreign(at);
      at += there.length;
      const rest = rows.slice(there.length);
      // Its answer, also that of a conflict, is read from the stream in the next round.
      if (rest.length > 0) await stream.append(rest, at);
      // Window 15: a death between two of these appends is the same as one before the first.
      if (rest.length > 0) onWindow(15);
      tries = 0;
    } catch (error) {
      if (!(isPassing(error) || wasNotSent(error)) || ++tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries));
    }
  }
  await inTransaction(db, async (tx) => {
    await tx.updateTable('head').set({ unfinished: NOTHING }).where('unfinished', '=', TO_POUR).execute();
    await tx.deleteFrom('staged').execute();
  });
}

const NONE = new Uint8Array(0);

function foreign(at: number): LedgerFault {
  return new LedgerFault(
    'store.corrupt',
    `another ledger was begun in this stream while a copy came in (from entry ${at} on); copy into a new one`,
  );
}

/** The next entries of the copy, as many as one append takes. */
async function stagedFrom(db: OpenedCompanion['db'], at: number): Promise<readonly Stored[]> {
  const rows = await db.selectFrom('staged').selectAll().where('idx', '>=', at).orderBy('idx').limit(POUR_ENTRIES).execute();
  const found: Stored[] = [];
  let bytes = 0;
  for (const { idx, entry } of rows) {
    bytes += entry.length;
    if (bytes > POUR_BYTES && found.length > 0) break;
    const entryBytes = Uint8Array.from(entry);
    const decoded = decodeEntry(entryBytes);
    if (!decoded.ok || Number(idx) !== at + found.length)
      throw new LedgerFault('store.corrupt', `entry ${at + found.length} of the copy is not there; import it again`);
    found.push({
      index: BigInt(idx),
      entry: decoded.value,
      entryBytes,
      leaf: digestFromBytes(leafHash(entryBytes)),
      payload: null,
      salt: null,
    });
  }
  if (found.length === 0) throw new LedgerFault('store.corrupt', `entry ${at} of the copy is not there; import it again`);
  return found;
}
