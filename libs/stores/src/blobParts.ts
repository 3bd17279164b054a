/**
 * Blobs as rows of parts, for stores that keep no files beside them. Must never hand out bytes that are not what their name says. PROTOCOL §2.
 */
import { type Bytes, type Digest, digestOf, err, ok, type Result } from '@openexec/canon';
import type { BlobFailure } from '@openexec/ledger';

/** PROTOCOL §2: rows of a blob. */
const PART_BYTES = 128 * 1024;
/** Parts of one statement: one with all of a large blob would hold it three times in memory. */
export const PARTS_AT_ONCE = 16;
/** The length of a blob that was erased and that a `run.opened` still names. */
export const ERASED = -1;

/** The parts of a blob, not copied. */
export function partsOf(bytes: Bytes): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, part) =>
    Buffer.from(bytes.buffer, bytes.byteOffset + part * PART_BYTES, Math.min(PART_BYTES, bytes.length - part * PART_BYTES)),
  );
}

/** The bytes of a blob put together and hashed again; `length` as its row says it, null where there is none. */
export function joined(digest: Digest, length: number | null, parts: readonly Uint8Array[]): Result<Bytes, BlobFailure> {
  if (length === null) return err({ code: 'blob.unknown', message: `no blob ${digest} is stored here` });
  if (length < 0) return err({ code: 'blob.erased', message: `the blob ${digest} was erased` });
  const bytes = new Uint8Array(Buffer.concat(parts));
  if (bytes.length === length && digestOf(bytes) === digest) return ok(bytes);
  return err({ code: 'blob.corrupt', message: `the blob ${digest} is not what its name says` });
}
