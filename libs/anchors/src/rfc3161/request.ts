/** A request for a time stamp over a checkpoint. RFC 3161 §2.4.1. */
import { type Bytes, sha256 } from '@openexec/canon';
import { der, derInteger, TAG } from './der.ts';

/** 2.16.840.1.101.3.4.2.1 */
const SHA256_OID = Uint8Array.of(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);

/** Media types of the request and of its answer. */
export const QUERY_TYPE = 'application/timestamp-query';
/** See {@link QUERY_TYPE}. */
export const REPLY_TYPE = 'application/timestamp-reply';

/** The DER of a TimeStampReq over SHA-256 of `data`, with a nonce, asking for the certificates. */
export function timestampRequest(data: Bytes, nonce: bigint): Bytes {
  const algorithm = der(TAG.sequence, der(TAG.oid, SHA256_OID), der(TAG.null));
  const imprint = der(TAG.sequence, algorithm, der(TAG.octets, sha256(data)));
  return der(TAG.sequence, derInteger(1n), imprint, derInteger(nonce), der(TAG.boolean, Uint8Array.of(0xff)));
}
