/**
 * Stored entries as events for people and programs: the body held against the schema of its kind. Must never guess at a body that is not of its
 * schema (CLI.md, PROTOCOL §4).
 */
import { type Bytes, type Json, parseCanonical, parseJson, utf8Decode } from '@openexec/canon';
import { type EventLine, eventLine as lineOf, type LedgerStore, type Stored } from '@openexec/ledger';
import { type BlobRef, type Body, type InlineOrBlob, type Kind, kindRow } from '@openexec/protocol';

/** An event told apart by its kind. */
export type KnownEvent = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];

/** A stored entry, read. `event` is null when its payload was erased or is not of its kind. */
export interface ReadEvent {
  readonly stored: Stored;
  readonly json: Json | null;
  readonly event: KnownEvent | null;
}

/** Reads one stored entry. */
export function readEvent(stored: Stored): ReadEvent {
  const { kind } = stored.entry;
  const json = stored.payload === null ? null : parseCanonical(stored.payload);
  if (json === null || !json.ok) return { stored, json: null, event: null };
  const checked = kindRow(kind).body.safeParse(json.value);
  // The body was just held against the schema of this very kind.
  return { stored, json: json.value, event: checked.success ? ({ kind, body: checked.data } as KnownEvent) : null };
}

/** The line of an event that was read. */
export function eventLine({ stored, json }: ReadEvent): EventLine {
  return lineOf(stored, json);
}

async function blobBytes(store: LedgerStore, ref: BlobRef): Promise<Bytes | null> {
  const read = await store.blob(ref.digest);
  return read.ok ? read.value : null;
}

/** The text of a blob; null when it is gone or not UTF-8. */
export async function blobText(store: LedgerStore, ref: BlobRef): Promise<string | null> {
  const bytes = await blobBytes(store, ref);
  const text = bytes === null ? null : utf8Decode(bytes);
  return text?.ok === true ? text.value : null;
}

/** The JSON of a blob; null when it is gone or not strict JSON. */
export async function blobJson(store: LedgerStore, ref: BlobRef): Promise<Json | null> {
  const bytes = await blobBytes(store, ref);
  const json = bytes === null ? null : parseJson(bytes, { maxBytes: bytes.length, numbers: 'doubles' });
  return json?.ok === true ? json.value : null;
}

/** A value that stands in the payload or in a blob; null when the blob is gone. */
export async function heldJson(store: LedgerStore, held: InlineOrBlob): Promise<Json | null> {
  return 'inline' in held ? held.inline : blobJson(store, held.blob);
}
