/**
 * Payloads and salts by commitment, blobs by digest: what the stream does not hold. Must be durable before the entries that name them are sent.
 * PROTOCOL §3.
 */
import { type Bytes, type Digest, digestFromBytes, digestOf, err, type Instant, ok, type Result } from '@openexec/canon';
import { type Blob, type BlobFailure, decodeEntry, LedgerFault, type Row, type Stored } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import { type Companion, type CompanionTx, inTransaction } from './companion.ts';
import type { StreamEntry } from './stream.ts';

/** PROTOCOL §2: rows of a blob. */
const PART_BYTES = 128 * 1024;
const PARTS_AT_ONCE = 16;
/** Rows of one statement; SQLite takes 32,766 values, and payloads may be 64 KiB each. */
const ROWS_AT_ONCE = 64;
const KEYS_AT_ONCE = 500;

/** Stores what entries are going to name, in one transaction; resolves once it would survive a power cut. */
export async function storePayloads(db: Companion, entries: readonly Stored[], blobs: readonly Blob[], now: Instant): Promise<void> {
  await inTransaction(db, async (tx) => {
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

async function storeBlob(tx: CompanionTx, { digest, bytes }: Blob): Promise<void> {
  const added = await tx
    .insertInto('blobs')
    .values({ digest, length: bytes.length })
    .onConflict((on) => on.column('digest').doNothing())
    .returning('digest')
    .executeTakeFirst();
  if (added === undefined) return;
  const count = Math.ceil(bytes.length / PART_BYTES);
  for (let from = 0; from < count; from += PARTS_AT_ONCE) {
    const parts = Array.from({ length: Math.min(PARTS_AT_ONCE, count - from) }, (_, offset) => {
      const part = from + offset;
      return { digest, part, bytes: Buffer.from(bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)) };
    });
    await tx.insertInto('blob_parts').values(parts).execute();
  }
}

/** Bytes of a blob, put together from its parts and hashed again. */
export async function readBlob(db: Companion, digest: Digest): Promise<Result<Bytes, BlobFailure>> {
  const known = await db.selectFrom('blobs').select('length').where('digest', '=', digest).executeTakeFirst();
  if (known === undefined) return err({ code: 'blob.unknown', message: `no blob ${digest} was ever stored here` });
  const parts = await db.selectFrom('blob_parts').select('bytes').where('digest', '=', digest).orderBy('part').execute();
  const bytes = new Uint8Array(Buffer.concat(parts.map((part) => part.bytes)));
  if (bytes.length === Number(known.length) && digestOf(bytes) === digest) return ok(bytes);
  return err({ code: 'blob.corrupt', message: `the blob ${digest} is not what its name says` });
}

interface Opened {
  readonly payload: Bytes;
  readonly salt: Bytes;
}

async function payloadsOf(db: Companion | CompanionTx, commitments: readonly string[]): Promise<ReadonlyMap<string, Opened>> {
  const found = new Map<string, Opened>();
  for (let from = 0; from < commitments.length; from += KEYS_AT_ONCE) {
    const rows = await db
      .selectFrom('payloads')
      .select(['commitment', 'payload', 'salt'])
      .where('commitment', 'in', commitments.slice(from, from + KEYS_AT_ONCE))
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
  const decoded = entries.map(({ index, entryBytes }) => {
    const entry = decodeEntry(entryBytes);
    if (!entry.ok) throw new LedgerFault('store.corrupt', `entry ${index}: ${entry.error.message}; run verify`);
    return { index, entryBytes, entry: entry.value, leaf: digestFromBytes(leafHash(entryBytes)) };
  });
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
