/**
 * From the columns of a row to an entry. Must never hand out an entry whose bytes were not decoded. PROTOCOL §2.
 */
import { type Bytes, digestFromBytes } from '@openexec/canon';
import { decodeEntry, LedgerFault, type Stored } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';

/** What a row holds of an entry, in plain bytes. */
export interface EntryColumns {
  readonly index: bigint;
  readonly entryBytes: Bytes;
  readonly payload: Bytes | null;
  readonly salt: Bytes | null;
}

/** The entry of a row. Throws `store.corrupt` where its bytes are no entry. */
export function storedOf({ index, entryBytes, payload, salt }: EntryColumns): Stored {
  const entry = decodeEntry(entryBytes);
  if (!entry.ok) throw new LedgerFault('store.corrupt', `entry ${index}: ${entry.error.message}; run verify`);
  return { index, entry: entry.value, entryBytes, leaf: digestFromBytes(leafHash(entryBytes)), payload, salt };
}
