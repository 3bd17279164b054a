/**
 * Stored entries as events for people and programs: the body held against the schema of its kind, and the one line of JSON that every
 * stream of events uses. Must never guess at a body that is not of its schema (CLI.md, PROTOCOL §4).
 */
import { type Bytes, type Json, parseCanonical, parseJson, utf8Decode } from '@openexec/canon';
import { factsOf, type LedgerStore, type Stored } from '@openexec/ledger';
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

/** One event as streams of events carry it, version 1. `cursor` is its position in the ledger: `--after` takes it. */
interface EventLine {
  readonly v: 1;
  readonly run: string;
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly cursor: string;
  readonly class: 'fact' | 'judgement';
  readonly actor: string;
  readonly cause: number | null;
  readonly law: number | null;
  /** Null when the payload was erased. */
  readonly body: Json | null;
}

/** The line of one event. */
export function eventLine(read: ReadEvent): EventLine {
  const { entry, index } = read.stored;
  return {
    v: 1,
    run: entry.trajectory,
    seq: entry.seq,
    at: entry.at,
    kind: entry.kind,
    cursor: index.toString(),
    class: factsOf(entry.kind)?.judged === true ? 'judgement' : 'fact',
    actor: entry.actor,
    cause: entry.cause,
    law: entry.law,
    body: read.json,
  };
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
