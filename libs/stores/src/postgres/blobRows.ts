/** The bytes of a blob in Postgres, for those who ask for no reason. */
import type { Bytes, Digest } from '@openexec/canon';
import { readBlob, type Source } from './reader.ts';

/** The bytes of a blob, null where there are none. */
export async function blobOf(db: Source, digest: Digest): Promise<Bytes | null> {
  const read = await readBlob(db, digest);
  return read.ok ? read.value : null;
}
