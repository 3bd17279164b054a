/**
 * A bundle as the source of deep verification and replay: its entries with their places, its blobs by digest. Only for a bundle that was verified;
 * what it withholds is not handed out, and its run is then not derivable. PROTOCOL §§10, 11.
 */
import { type Bytes, type Digest, digestOf, err, type LeafHash, ok, type Result, toHex } from '@openexec/canon';
import { decodeEntry, type Stored } from '@openexec/ledger';
import { linesOf } from '@openexec/ledger/codec';
import { leafHash } from '@openexec/proof';
import { blobPath, type BundleParts, EVENTS, MAX_EVENT_LINE_BYTES, parseEvent } from '@openexec/verify';
import type { AuditSource } from '../report.ts';

/** Throws where a line is no entry, which verification has ruled out. */
export function bundleSource(parts: BundleParts): AuditSource {
  return {
    all: (from = 0n) => entriesOf(parts, from),
    blob: (digest) => blobOf(parts, digest),
  };
}

async function* entriesOf(parts: BundleParts, from: bigint): AsyncGenerator<Stored> {
  const part = parts.get(EVENTS);
  if (part === undefined) return;
  for await (const line of linesOf(part.read(), MAX_EVENT_LINE_BYTES, (_, message) => new Error(message))) {
    const event = parseEvent(line);
    if (!event.ok) throw new Error(event.error);
    const { index, row } = event.value;
    if (BigInt(index) < from) continue;
    const entry = decodeEntry(row.entryBytes);
    if (!entry.ok) throw new Error(entry.error.message);
    const leaf = `sha256:${toHex(leafHash(row.entryBytes))}` as LeafHash; // 32 bytes of SHA-256
    yield { ...row, index: BigInt(index), entry: entry.value, leaf };
  }
}

async function blobOf(parts: BundleParts, digest: Digest): Promise<Result<Bytes, { readonly code: string; readonly message: string }>> {
  const part = parts.get(blobPath(digest));
  if (part === undefined) return err({ code: 'blob.withheld', message: 'the bundle does not hold it' });
  const pieces: Bytes[] = [];
  for await (const piece of part.read()) pieces.push(piece);
  const [only] = pieces;
  const bytes = pieces.length === 1 && only !== undefined ? only : joined(pieces, part.bytes);
  return digestOf(bytes) === digest ? ok(bytes) : err({ code: 'blob.corrupt', message: 'the bundle holds other bytes under this digest' });
}

function joined(pieces: readonly Bytes[], length: number): Bytes {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece.subarray(0, length - at), at);
    at += piece.length;
  }
  return bytes;
}
