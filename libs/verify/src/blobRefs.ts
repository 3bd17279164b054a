/**
 * Which blobs a body names. A reference is an object of exactly `digest`, `bytes` and `mediaType`, wherever the runtime puts one: what stands under
 * `inline` is a value of a model or an action, and names nothing, whatever it looks like. PROTOCOL §2.
 */
import { type Digest, isDigest, type Json } from '@openexec/canon';

/** Calls `name` for every reference inside a body, in the order in which they stand there; one that stands twice is named twice. */
export function eachBlobRef(value: Json, name: (digest: Digest, mediaType: string) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const each of value as readonly Json[]) eachBlobRef(each, name);
    return;
  }
  const members = value as { readonly [key: string]: Json };
  const { digest, bytes, mediaType } = members;
  const isRef = typeof digest === 'string' && isDigest(digest) && typeof bytes === 'number' && typeof mediaType === 'string';
  if (isRef && Object.keys(members).length === 3) name(digest, mediaType);
  else for (const [key, each] of Object.entries(members)) if (key !== 'inline') eachBlobRef(each, name);
}
