/**
 * One bounded body, of a request or of an answer. Must never hold more than the bound (PROTOCOL §3).
 */
import type { Bytes } from '@openexec/canon';

/** A cosignature is a line; a token with its certificates a few kilobytes. */
export const MAX_BODY_BYTES = 128 * 1024;

/** The whole body; null when it is longer than {@link MAX_BODY_BYTES}. `stream` hands out bytes: of a request no encoding may have been set. */
export async function readBody(stream: AsyncIterable<unknown> | Iterable<never>): Promise<Bytes | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = chunk as Uint8Array;
    size += bytes.length;
    if (size > MAX_BODY_BYTES) return null;
    chunks.push(bytes);
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
