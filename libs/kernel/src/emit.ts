/**
 * What the judge emits: one judgement with the blobs it names. Ids are digests of [noun, run, seq of the causing fact, ordinal] (PROTOCOL §2), so
 * that nobody has to draw a random number.
 */
import { type Bytes, canonicalBytes, type Digest, digestJson, digestOf, type Instant, type Json, utf8Encode } from '@openexec/canon';
import type { BlobRef, Body, InlineOrBlob, JudgementKind } from '@openexec/protocol';
import type { RunState } from './state.ts';

/** Bytes by content, to be durable with, or before, the entries that name them. */
export interface KernelBlob {
  readonly digest: Digest;
  readonly bytes: Bytes;
  readonly mediaType: string;
}
/** One judgement to be appended: kind and body of the registry, and the bytes it names. */
export type Judgement = {
  readonly [K in JudgementKind]: { readonly kind: K; readonly body: Body<K>; readonly blobs: readonly KernelBlob[] };
}[JudgementKind];

/** JSON over this many bytes travels as a blob (PROTOCOL §2). */
const INLINE_BYTES = 8 * 1024;

/** The id of the next `noun` of the fact in hand. */
export function nextId(state: RunState, noun: string): Digest {
  return digestJson([noun, state.run, state.fact?.seq ?? -1, state.ordinals[noun] ?? 0]);
}

/** One judgement. */
export function judgement<K extends JudgementKind>(kind: K, body: Body<K>, blobs: readonly KernelBlob[] = []): Judgement {
  // The mapped union cannot follow K, but kind and body are tied by the signature.
  return { kind, body, blobs } as unknown as Judgement;
}

/** A blob of canonical JSON. */
export function jsonBlob(value: Json, mediaType = 'application/json'): { readonly ref: BlobRef; readonly blob: KernelBlob } {
  const bytes = canonicalBytes(value);
  const digest = digestOf(bytes);
  return { ref: { digest, bytes: bytes.length, mediaType }, blob: { digest, bytes, mediaType } };
}

/** A blob of text. */
export function textBlob(text: string): { readonly ref: BlobRef; readonly blob: KernelBlob } {
  const bytes = utf8Encode(text);
  const digest = digestOf(bytes);
  const mediaType = 'text/plain; charset=utf-8';
  return { ref: { digest, bytes: bytes.length, mediaType }, blob: { digest, bytes, mediaType } };
}

/** Inline where small, else a blob. */
export function inlineOrBlob(value: Json): { readonly value: InlineOrBlob; readonly blobs: readonly KernelBlob[] } {
  const made = jsonBlob(value);
  if (made.ref.bytes <= INLINE_BYTES) return { value: { inline: value }, blobs: [] };
  return { value: { blob: made.ref }, blobs: [made.blob] };
}

/** The time of the fact in hand; judgements inherit it. */
export function factTime(state: RunState): Instant {
  const fact = state.fact;
  if (fact === null) throw new Error('no fact is in hand: judge was called without a queued fact');
  return fact.event.at;
}
