/**
 * Takes away what the ledger says was forgotten: payloads, salts, and blobs that nothing names any more. Runs after the entry that says so is in the
 * stream, and again at the next opening where it was cut off. Must never take what an entry on its way still names. PROTOCOL §3 "Erasure".
 */
import type { Digest, TrajectoryId } from '@openexec/canon';
import { decodeEntry, LedgerFault, placeKey, Release, type Released, runLater } from '@openexec/ledger';
import { ERASED } from '../blobParts.ts';
import { forgetSnapshots } from '../querySnapshots.ts';
import { type CompanionTx, inTransaction, NOTHING, type OpenedCompanion, TO_FORGET, TO_TRUNCATE } from './companion.ts';
import { indexHead, lockedHead } from './indexHead.ts';
import { blobOf, payloadsOf } from './payloads.ts';
import type { EntryStream } from './stream.ts';

const PAGE = 1000;
const AT_ONCE = 500;
const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.

/** What it works with. */
export interface Settling {
  readonly companion: OpenedCompanion;
  readonly stream: EntryStream;
  readonly onWindow: (window: number) => void;
}
/** What was taken away. `lingering`: another process holds old bytes back in SQLite's log. */
export interface Settled {
  readonly blobs: number;
  readonly lingering: boolean;
}

/** Finishes what is to be finished of a forgetting; the index has been caught up. Throws what the stream or the companion throw. */
export async function settle({ companion, stream, onWindow }: Settling): Promise<Settled> {
  const { db, truncateLog } = companion;
  const { unfinished } = await indexHead(db);
  if (unfinished !== TO_FORGET && unfinished !== TO_TRUNCATE) return { blobs: 0, lingering: false };
  const blobs = unfinished === TO_FORGET ? await inTransaction(db, (tx) => forget(tx, stream)) : 0;
  // Window 12: a death from here on has forgotten; the next opening empties the log that still holds the bytes.
  onWindow(12);
  if (!(await truncateLog())) return { blobs, lingering: true };
  await db.updateTable('head').set({ unfinished: NOTHING }).where('unfinished', '=', TO_TRUNCATE).execute();
  return { blobs, lingering: false };
}

/** All of it or nothing: while the payloads are there, so are the blobs that go with them. Answers the number of blobs. */
async function forget(tx: CompanionTx, stream: EntryStream): Promise<number> {
  const head = await lockedHead(tx);
  if (head.unfinished !== TO_FORGET) return 0;
  const { drop, hollow } = await releasedBy(tx, stream, head.size);
  const runs = await tx
    .selectFrom('entries')
    .innerJoin('trajectories', 'trajectories.id', 'entries.trajectory')
    .select('trajectories.name')
    .distinct()
    .where('entries.erased', '=', 1)
    .execute();
  await forgetSnapshots(
    tx,
    runs.map(({ name }) => name),
  );
  await tx
    .deleteFrom('payloads')
    .where('commitment', 'in', tx.selectFrom('entries').select('commitment').where('erased', '=', 1))
    .execute();
  const blobs = (await dropBlobs(tx, [...drop])) + (await hollowBlobs(tx, [...hollow]));
  await tx.updateTable('head').set({ unfinished: TO_TRUNCATE }).where('id', '=', 0).execute();
  return blobs;
}

/** One reading of all payloads under the lock, those of appends on their way with them: nobody can name a blob anew meanwhile. */
async function releasedBy(tx: CompanionTx, stream: EntryStream, size: number): Promise<Released> {
  const going = await tx
    .selectFrom('entries')
    .innerJoin('trajectories', 'trajectories.id', 'entries.trajectory')
    .select(['trajectories.name', 'entries.seq'])
    .where('entries.erased', '=', 1)
    .execute();
  const release = new Release(new Set(going.map(({ name, seq }) => placeKey(name, Number(seq)))));
  for (let at = 0; at < size; ) {
    const page = await stream.page(BigInt(at), Math.min(PAGE, size - at));
    if (page.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on are missing in the stream; run verify`);
    const entries = page.flatMap(({ entryBytes }) => {
      const entry = decodeEntry(entryBytes);
      return entry.ok ? [entry.value] : [];
    });
    const known = await payloadsOf(
      tx,
      entries.map(({ commitment }) => commitment),
      true,
    );
    for (const entry of entries) release.take(entry, known.get(entry.commitment)?.payload ?? null);
    at += page.length;
  }
  for await (const payload of unnamed(tx)) release.take({ kind: 'fact.noted', trajectory: LEDGER, seq: -1 }, payload);
  return runLater(release.finish(), (digest) => blobOf(tx, digest));
}

/** Payloads that no entry of the index names: of appends on their way, or that never came to be. */
export async function* unnamed(tx: CompanionTx): AsyncGenerator<Uint8Array> {
  for (let after = ''; ; ) {
    const page = await tx
      .selectFrom('payloads')
      .select(['commitment', 'payload'])
      .where('commitment', '>', after)
      .where('commitment', 'not in', tx.selectFrom('entries').select('commitment'))
      .orderBy('commitment')
      .limit(PAGE)
      .execute();
    for (const { payload } of page) yield Uint8Array.from(payload);
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.commitment;
  }
}

/** Takes blobs away without a trace; answers how many were there. */
export async function dropBlobs(tx: CompanionTx, digests: readonly Digest[]): Promise<number> {
  let count = 0;
  for (let from = 0; from < digests.length; from += AT_ONCE) {
    const some = digests.slice(from, from + AT_ONCE);
    await tx.deleteFrom('blob_parts').where('digest', 'in', some).execute();
    const { numDeletedRows } = await tx.deleteFrom('blobs').where('digest', 'in', some).executeTakeFirst();
    count += Number(numDeletedRows);
  }
  return count;
}

/** Takes their bytes, and remembers that they were erased. */
async function hollowBlobs(tx: CompanionTx, digests: readonly Digest[]): Promise<number> {
  let count = 0;
  for (let from = 0; from < digests.length; from += AT_ONCE) {
    const some = digests.slice(from, from + AT_ONCE);
    await tx.deleteFrom('blob_parts').where('digest', 'in', some).execute();
    const { numUpdatedRows } = await tx
      .updateTable('blobs')
      .set({ length: ERASED })
      .where('digest', 'in', some)
      .where('length', '>=', 0)
      .executeTakeFirst();
    count += Number(numUpdatedRows);
  }
  return count;
}
