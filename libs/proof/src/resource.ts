/**
 * Resources of a world as keys and records of the sparse map, and map proofs as JSON. One place for both sides: who proves and who checks must hash
 * the same bytes. PROTOCOL §8.
 */
import {
  type Bytes,
  canonicalText,
  type Digest,
  digestBytes,
  digestJson,
  err,
  fromHex,
  type Json,
  ok,
  type Result,
  sha256,
  toHex,
  utf8Encode,
} from '@openexec/canon';
import type { MapProof } from './sparse.ts';

const HASH_BYTES = 32;

/** What stands under the root of one resource. `value` is the digest of its value, null once it is retracted. A type, so that it is JSON as it is. */
export type ResourceRecord = {
  readonly version: number;
  readonly value: Digest | null;
  readonly retracted: boolean;
  /** Position of the commit that changed it last, in its run. */
  readonly lastCommit: number;
};
/** A map proof in hex. */
export interface MapProofJson {
  readonly siblings: readonly string[];
  readonly end: { readonly key: string; readonly valueHash: string } | null;
}

/** The key of a resource: SHA-256 of JCS [kind, id]. */
export function resourceKey(kind: string, id: string): Bytes {
  return sha256(utf8Encode(canonicalText([kind, id])));
}

/** The hash of a record, as the map holds it. */
export function recordHash({ version, value, retracted, lastCommit }: ResourceRecord): Bytes {
  return digestBytes(digestJson({ version, value, retracted, lastCommit }));
}

/** A proof for a file. */
export function mapProofJson({ siblings, end }: MapProof): MapProofJson {
  return {
    siblings: siblings.map(toHex),
    end: end === null ? null : { key: toHex(end.key), valueHash: toHex(end.valueHash) },
  };
}

/** A proof from a file that may hold anything; its shape only, what it shows {@link verifyMapProof} says. */
export function readMapProof(value: Json | undefined): Result<MapProof, string> {
  if (!isMembers(value)) return err('the proof is no object');
  const { siblings, end, ...surplus } = value;
  if (Object.keys(surplus).length > 0 || !Array.isArray(siblings) || end === undefined)
    return err('the proof has other members than siblings and end');
  const path = (siblings as readonly Json[]).map(hashOf);
  if (!path.every((hash) => hash !== null)) return err('a sibling is not 32 bytes in hex');
  if (end === null) return ok({ siblings: path, end: null });
  const [key, valueHash] = isMembers(end) && Object.keys(end).length === 2 ? [hashOf(end['key']), hashOf(end['valueHash'])] : [null, null];
  return key === null || valueHash === null
    ? err('the end of the path is not a key with a hash')
    : ok({ siblings: path, end: { key, valueHash } });
}

function isMembers(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hashOf(value: Json | undefined): Bytes | null {
  const bytes = typeof value === 'string' ? fromHex(value) : null;
  return bytes?.ok === true && bytes.value.length === HASH_BYTES ? bytes.value : null;
}
