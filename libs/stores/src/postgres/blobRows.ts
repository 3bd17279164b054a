/** What a row of `blobs` says in Postgres, and its bytes. */
import type { Bytes, Digest } from '@openexec/canon';
import { readBlob, type Source } from './reader.ts';

/** The length of a blob that was erased and that a `run.opened` still names. */
export const ERASED = -1;

/** The bytes of a blob, null where there are none. */
export async function blobOf(db: Source, digest: Digest): Promise<Bytes | null> {
  const read = await readBlob(db, digest);
  return read.ok ? read.value : null;
}
