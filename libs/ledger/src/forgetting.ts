/**
 * The rules of forgetting that need no store: what may go, what is appended, how the list of a pruning is written and read. PROTOCOL §3 "Erasure".
 */
import {
  type Bytes,
  canonicalBytes,
  type Digest,
  digestOf,
  type Instant,
  instantFromMs,
  instantToMs,
  type Json,
  type KeyId,
  parseCanonical,
  type TrajectoryId,
} from '@openexec/canon';
import { type Forgetting, MAX_ERASED_PLACES, type Place, PRUNED_LIST_TYPE } from './keeper.ts';
import type { AppendBatch, Blob, Draft, Entry } from './types.ts';

/** What is signed in an erasure: its body without signatures, with the ledger's fingerprint. */
export const ERASURE_TYPE = 'application/vnd.openexec.payload.erased.v1+json';
/** The floor that binds pruning (PROTOCOL §3). */
export const RETENTION_FLOOR_DAYS = 180;
const DAY_MS = 86_400_000;
const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.
const KEPT = /^(law|ledger|writ\/.*)$/;

/** Why one payload may not go, or null. `closed` is whether its trajectory has had its last entry. */
export function forgetFault(
  place: Place,
  found: { readonly entry: Pick<Entry, 'kind' | 'at'>; readonly closed: boolean } | null,
  before: Instant | null,
): { readonly code: 'forget.unknown' | 'forget.kept' | 'forget.openRun' | 'forget.tooYoung'; readonly message: string } | null {
  const where = `${place.trajectory} ${place.seq}`;
  if (found === null) return { code: 'forget.unknown', message: `there is no entry ${where}` };
  if (KEPT.test(place.trajectory) || found.entry.kind === 'run.opened')
    return { code: 'forget.kept', message: `${where} is ${found.entry.kind}, whose payload can never be erased` };
  if (place.trajectory.startsWith('run/') && !found.closed)
    return { code: 'forget.openRun', message: `${place.trajectory} is not closed; payloads of open runs cannot be erased` };
  if (before !== null && found.entry.at >= before)
    return { code: 'forget.tooYoung', message: `${where} is of ${found.entry.at}; this rule reaches to ${before}` };
  return null;
}

/** All places that a wish names. */
export function placesOfWish(wish: Forgetting): readonly Place[] {
  return wish.kind === 'erase' ? wish.bodies.flatMap(({ entries }) => entries) : wish.places;
}

/** What is appended with a forgetting. */
export function batchOfWish(wish: Forgetting): AppendBatch {
  if (wish.kind === 'erase')
    return batchOf(
      wish.bodies.map((body) => fact('payload.erased', wish.at, `key:${body.by}`, body as unknown as Json)),
      [],
    );
  const list = prunedList(wish.places);
  const { digest, bytes, mediaType } = list;
  const { before, rule, because, places, at, by } = wish;
  const body = { before, rule, entries: places.length, list: { digest, bytes: bytes.length, mediaType }, because };
  return batchOf([fact('ledger.pruned', at, `key:${by}`, body)], [list]);
}

function fact(kind: Draft['kind'], at: Instant, actor: Draft['actor'], payload: Json): Draft {
  return { kind, at, actor, cause: null, law: null, payload };
}

function batchOf(drafts: readonly Draft[], blobs: readonly Blob[]): AppendBatch {
  return { to: [{ trajectory: LEDGER, expect: 'any', drafts }], blobs };
}

/** The body that is signed for one part of an erasure. */
export function erasureBody(part: {
  readonly ledger: Digest;
  readonly entries: readonly Place[];
  readonly by: KeyId;
  readonly because: string;
  readonly rule: string;
}): Json {
  const { ledger, entries, by, because, rule } = part;
  return { ledger, entries: entries.map(({ trajectory, seq }) => ({ trajectory, seq })), by, because, rule };
}

/** Places in parts that each fit into one payload. */
export function partsOf(places: readonly Place[]): readonly (readonly Place[])[] {
  return Array.from({ length: Math.ceil(places.length / MAX_ERASED_PLACES) }, (_, at) =>
    places.slice(at * MAX_ERASED_PLACES, (at + 1) * MAX_ERASED_PLACES),
  );
}

/** The list of a pruning: `{v, runs: [[trajectory, [[first, last], …]], …]}`, trajectories and ranges ascending. */
export function prunedList(places: readonly Place[]): Blob {
  const byName = new Map<TrajectoryId, number[]>();
  for (const { trajectory, seq } of places) {
    const seqs = byName.get(trajectory);
    if (seqs === undefined) byName.set(trajectory, [seq]);
    else seqs.push(seq);
  }
  const runs = [...byName.keys()].sort().map((name): Json => [name, rangesOf(byName.get(name) ?? [])]);
  const bytes = canonicalBytes({ v: 1, runs });
  return { digest: digestOf(bytes), bytes, mediaType: PRUNED_LIST_TYPE };
}

function rangesOf(seqs: readonly number[]): Json {
  const ranges: [number, number][] = [];
  for (const seq of [...new Set(seqs)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === seq - 1) last[1] = seq;
    else ranges.push([seq, seq]);
  }
  return ranges;
}

/** Longest list that is believed: what one pruning names. */
const MAX_PRUNED = 100_000_000;

/** Reads such a list; null where it is none. */
export function readPrunedList(
  bytes: Bytes,
): readonly { readonly trajectory: string; readonly first: number; readonly last: number }[] | null {
  const body = parseCanonical(bytes);
  if (!body.ok || typeof body.value !== 'object' || body.value === null || Array.isArray(body.value)) return null;
  const { v, runs } = body.value as { readonly [name: string]: Json };
  if (v !== 1 || !Array.isArray(runs)) return null;
  const found: { trajectory: string; first: number; last: number }[] = [];
  for (const run of runs as readonly Json[]) {
    if (!Array.isArray(run) || run.length !== 2) return null;
    const [trajectory, ranges] = run as readonly Json[];
    if (typeof trajectory !== 'string' || !Array.isArray(ranges)) return null;
    for (const range of ranges as readonly Json[]) {
      if (!Array.isArray(range) || range.length !== 2) return null;
      const [first, last] = range as readonly Json[];
      if (!isSeq(first) || !isSeq(last) || last < first) return null;
      found.push({ trajectory, first, last });
    }
  }
  return found;
}

function isSeq(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < MAX_PRUNED;
}

/** The youngest moment that a rule may reach to: `keepDays` before now, which is never less than the floor. */
export function pruneBefore(now: Instant, keepDays: number): Instant {
  return instantFromMs(instantToMs(now) - Math.max(keepDays, 0) * DAY_MS);
}
