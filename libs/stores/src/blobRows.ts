/**
 * What a row of `blobs` says in SQLite, and its bytes at once. Must never wait: it is read under the write lock.
 */
import type { Bytes, Digest } from '@openexec/canon';
import type Database from 'better-sqlite3';
import type { BlobFiles } from './blobFiles.ts';
import { bytesOrNull, integerIn } from './columns.ts';
import { inflated } from './packed.ts';

/**
 * Lengths that are no lengths, beside ERASED. LEAVING and TO_ERASED: the transaction is over, the file is not gone
 * yet; a row of that kind without a name says that the log is not truncated yet.
 */
export const LEAVING = -2;
export const TO_ERASED = -3;

/** The bytes of a blob at once, null where there are none. */
export function readBlobNow(from: { readonly db: Database.Database; readonly blobFiles: BlobFiles }, digest: Digest): Bytes | null {
  const row = from.db.prepare('SELECT length, bytes FROM blobs WHERE digest = ?').raw().get(digest) as readonly unknown[] | undefined;
  const what = `the blob ${digest}`;
  const length = row === undefined ? -1 : integerIn(row[0], what);
  if (row === undefined || length < 0) return null;
  const kept = bytesOrNull(row[1], what);
  return kept === null ? from.blobFiles.readNow(digest) : inflated(kept, length);
}
