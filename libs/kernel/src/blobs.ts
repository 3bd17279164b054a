/**
 * JSON of a body that stands in the payload or in a blob of its own (PROTOCOL §2).
 */
import { type Json, parseJson } from '@openexec/canon';

/** The JSON that stands inline or in a hydrated blob; null where the blob is gone. */
export function inlineOrParsed(
  value: { readonly inline: Json } | { readonly blob: { readonly digest: string } },
  blobs: ReadonlyMap<string, Uint8Array>,
): Json {
  if ('inline' in value) return value.inline;
  const bytes = blobs.get(value.blob.digest);
  const parsed = bytes === undefined ? undefined : parseJson(bytes, { maxBytes: 64 * 1024 * 1024, numbers: 'doubles' });
  return parsed?.ok === true ? parsed.value : null;
}
