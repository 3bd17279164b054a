/**
 * Payloads and salts by commitment, blobs by digest: what the stream does not hold. Must be durable before the entries that name them are sent.
 * PROTOCOL §3.
 */
import type { Bytes, Digest, Instant, Result } from '@openexec/canon';
import { type Blob, type BlobFailure, decodeEntry, LedgerFault, type Row, type Stored } from '@openexec/ledger';
import { joined, PARTS_AT_ONCE, partsOf } from '../blobParts.ts';
import { storedOf } from '../storedRow.ts';
import { type Companion, type CompanionTx, inTransaction, TO_POUR } from './companion.ts';
import { CopyUnderWay } from './failures.ts';
import { lockedHead } from './indexHead.ts';
import type { StreamEntry } from './stream.ts';

/** Rows of one statement; SQLite takes 32,766 values, and payloads may be 64 KiB each. */
const ROWS_AT_ONCE = 64;
const KEYS_AT_ONCE = 500;

/** Stores what entries are going to name, in one transaction; resolves once it would survive a power cut. */
export async function storePayloads(db: Companion, entries: readonly Stored[], blobs: readonly Blob[], now: Instant): Promise<void> {
  await inTransaction(db, async (tx) => {
    // The lock that a forgetting holds: what it looks through has these payloads in it, or they find its blobs gone and store them again.
    const { unfinished } = await lockedHead(tx);
    if (unfinished === TO_POUR) throw new CopyUnderWay();
    const rows = entries.flatMap(({ entry, payload, salt }) =>
      payload === null || salt === null
        ? []
        : [{ commitment: entry.commitment, payload: Buffer.from(payload), salt: Buffer.from(salt), stored: now }],
    );
    for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
      await tx
        .insertInto('payloads')
        .values(rows.slice(from, from + ROWS_AT_ONCE))
        // What a first try left behind is young again, so that no sweep takes it.
        .onConflict((on) => on.column('commitment').doUpdateSet({ stored: now }))
        .execute();
    for (const blob of blobs) await storeBlob(tx, blob);
  });
}

/** Stores a blob, also where the same bytes were erased before: named again, they are new data. */
export async function storeBlob(tx: CompanionTx, { digest, bytes }: Pick<Blob, 'digest' | 'bytes'>): Promise<void> {
  const added = await tx
    .insertInto('blobs')
    .values({ digest, length: bytes.length })
    .onConflict((on) => on.column('digest').doUpdateSet({ length: bytes.length }).where('blobs.length', '<', 0))
    .returning('digest')
    .executeTakeFirst();
  if (added === undefined) return;
  const parts = partsOf(bytes).map((part, at) => ({ digest, part: at, bytes: part }));
  for (let from = 0; from < parts.length; from += PARTS_AT_ONCE)
    await tx
      .insertInto('blob_parts')
      .values(parts.slice(from, from + PARTS_AT_ONCE))
      .execute();
}

/** Bytes of a blob, put together from its parts and hashed again. */
export async function readBlob(db: Companion | CompanionTx, digest: Digest): Promise<Result<Bytes, BlobFailure>> {
  // One statement, one moment: a forgetting takes row and parts together.
  const rows = await db
    .selectFrom('blobs')
    .leftJoin('blob_parts', 'blob_parts.digest', 'blobs.digest')
    .select(['blobs.length', 'blob_parts.bytes'])
    .where('blobs.digest', '=', digest)
    .orderBy('blob_parts.part')
    .execute();
  const [first] = rows;
  return joined(
    digest,
    first === undefined ? null : Number(first.length),
    rows.flatMap(({ bytes }) => (bytes === null ? [] : [bytes])),
  );
}

/** The bytes of a blob, null where there are none. */
export async function blobOf(db: Companion | CompanionTx, digest: Digest): Promise<Bytes | null> {
  const read = await readBlob(db, digest);
  return read.ok ? read.value : null;
}

interface Opened {
  readonly payload: Bytes;
  readonly salt: Bytes;
}

/** Payloads that are there; without `all` none that the ledger says is forgotten, though it may not be taken away yet. */
export async function payloadsOf(
  db: Companion | CompanionTx,
  commitments: readonly string[],
  all = false,
): Promise<ReadonlyMap<string, Opened>> {
  const found = new Map<string, Opened>();
  for (let from = 0; from < commitments.length; from += KEYS_AT_ONCE) {
    const some = commitments.slice(from, from + KEYS_AT_ONCE);
    const forgotten = db.selectFrom('entries').select('commitment').where('erased', '=', 1).where('commitment', 'in', some);
    const rows = await db
      .selectFrom('payloads')
      .select(['commitment', 'payload', 'salt'])
      .where('commitment', 'in', some)
      .$if(!all, (query) => query.where('commitment', 'not in', forgotten))
      .execute();
    for (const { commitment, payload, salt } of rows)
      found.set(commitment, { payload: Uint8Array.from(payload), salt: Uint8Array.from(salt) });
  }
  return found;
}

/** Entries with their payloads, decoded. One without is handed out only where {@link isSound} says that the ledger names it as gone. */
export async function hydrate(
  db: Companion | CompanionTx,
  entries: readonly StreamEntry[],
  isSound: (missing: readonly bigint[]) => Promise<ReadonlySet<bigint>>,
): Promise<readonly Stored[]> {
  const decoded = entries.map(({ index, entryBytes }) => storedOf({ index, entryBytes, payload: null, salt: null }));
  const known = await payloadsOf(
    db,
    decoded.map(({ entry }) => entry.commitment),
  );
  const missing = decoded.flatMap(({ index, entry }) => (known.has(entry.commitment) ? [] : [index]));
  const sound = missing.length === 0 ? new Set() : await isSound(missing);
  const lost = missing.find((index) => !sound.has(index));
  if (lost !== undefined)
    throw new LedgerFault(
      'store.corrupt',
      `the payload of entry ${lost} is not in the companion store, and nothing in the ledger says that it was erased; restore the companion`,
    );
  return decoded.map((one) => {
    const opened = known.get(one.entry.commitment);
    return { ...one, payload: opened?.payload ?? null, salt: opened?.salt ?? null };
  });
}

/** The same as rows, for those who trust no decoding but their own: what is missing is null, whatever the reason. */
export async function rowsOf(db: Companion, entries: readonly StreamEntry[]): Promise<readonly Row[]> {
  const commitments = entries.map(({ entryBytes }) => {
    const entry = decodeEntry(entryBytes);
    return entry.ok ? entry.value.commitment : '';
  });
  const known = await payloadsOf(db, commitments);
  return entries.map(({ entryBytes }, at) => {
    const opened = known.get(commitments[at] ?? '');
    return { entryBytes, payload: opened?.payload ?? null, salt: opened?.salt ?? null };
  });
}
