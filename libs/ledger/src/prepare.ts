/**
 * The half of an append that needs no ledger: kinds, shapes, bodies, canonical payloads, salts, commitments, blobs. Done before the write
 * lock is taken. Must never look at a position. PROTOCOL §2 and §4.2.
 */
import {
  type Bytes,
  type CanonError,
  canonicalBytes,
  type Digest,
  digestOf,
  err,
  type EventId,
  type Instant,
  isDigest,
  ok,
  parseEventId,
  parseTrajectoryId,
  type Randomness,
  type Result,
  type TrajectoryId,
} from '@openexec/canon';
import { isKind, type Kind, kindRow } from '@openexec/protocol';
import { commitmentOf, isActor, isMoment, MAX_PAYLOAD_BYTES, SALT_BYTES } from './entry.ts';
import type { AppendFailure, BatchRefusalCode } from './errors.ts';
import { factsOf, familyOfTrajectory, type KindFacts } from './kinds.ts';
import type { Actor, AppendBatch, AppendPart, Blob, Draft, Expected } from './types.ts';

/** Drafts of one batch; a run's largest list of judgements stays far below. */
export const MAX_BATCH_DRAFTS = 4096;
/** One blob; a store keeps it in memory once while it is written. */
export const MAX_BLOB_BYTES = 64 * 1024 * 1024;
/** The port hands out at most this many bytes at once. */
const MAX_RANDOM_BYTES = 65_536;

/** A draft whose content is final; only its place is missing. */
export interface PreparedDraft {
  readonly kind: Kind;
  readonly facts: KindFacts;
  readonly at: Instant;
  readonly actor: Actor;
  readonly cause: number | null;
  readonly law: number | null;
  readonly id: EventId | undefined;
  readonly payload: Bytes;
  readonly salt: Bytes;
  readonly commitment: Digest;
  /** Named by a `ledger.sealed`, else undefined. */
  readonly successor: string | undefined;
}

/** The drafts of one trajectory, whose content is final. */
export interface PreparedPart {
  readonly trajectory: TrajectoryId;
  readonly expect: Expected;
  readonly drafts: readonly PreparedDraft[];
}

/** A batch whose content is final. */
export interface PreparedBatch {
  readonly parts: readonly PreparedPart[];
  readonly law: number | undefined;
  readonly blobs: readonly Blob[];
  /** Number of drafts in all parts. */
  readonly count: number;
}

type Refusal = { readonly ok: false; readonly error: AppendFailure };

/** Checks and freezes the content of a batch; see {@link BatchRefusalCode}. */
export function prepare(batch: AppendBatch, randomness: Randomness): Result<PreparedBatch, AppendFailure> {
  const count = batch.to.reduce((sum, part) => sum + part.drafts.length, 0);
  const shape = checkBatch(batch, count) ?? checkBlobs(batch.blobs);
  if (shape !== undefined) return shape;
  const salts = makeSalts(randomness, count);
  const parts: PreparedPart[] = [];
  let next = 0;
  for (const part of batch.to) {
    const drafts: PreparedDraft[] = [];
    for (const draft of part.drafts) {
      const salt = salts[next++];
      if (salt === undefined) throw new Error('fewer salts than drafts');
      const prepared = prepareDraft(part, draft, batch.law, salt);
      if (!prepared.ok) return prepared;
      drafts.push(prepared.value);
    }
    parts.push({ trajectory: part.trajectory, expect: part.expect, drafts });
  }
  return ok({ parts, law: batch.law, blobs: batch.blobs, count });
}

function checkBatch(batch: AppendBatch, count: number): Refusal | undefined {
  if (count === 0 || batch.to.some((part) => part.drafts.length === 0))
    return refuse('batch.empty', 'every part of a batch holds at least one draft');
  if (count > MAX_BATCH_DRAFTS) return refuse('batch.tooLarge', `a batch holds at most ${MAX_BATCH_DRAFTS} drafts, not ${count}`);
  if (batch.law !== undefined && !isPosition(batch.law)) return refuse('batch.invalid', 'the expected position of law is no position');
  if (new Set(batch.to.map((part) => part.trajectory)).size < batch.to.length)
    return refuse('batch.invalid', 'a batch names each trajectory at most once');
  for (const { trajectory, expect, drafts } of batch.to) {
    const ids = drafts.flatMap(({ id }) => (id === undefined ? [] : [id]));
    if (new Set(ids).size < ids.length) return refuse('batch.invalid', `${trajectory}: an id stands twice in the batch`);
    if (!parseTrajectoryId(trajectory).ok || familyOfTrajectory(trajectory) === null) {
      return refuse('trajectory.unknown', `${trajectory} belongs to no family of this registry`);
    }
    if (typeof expect === 'number' && !isPosition(expect))
      return refuse('batch.invalid', `the expected position of ${trajectory} is no position`);
  }
  if (batch.law !== undefined && batch.to.some((part) => part.trajectory === 'law')) {
    return refuse('batch.invalid', 'a batch that fixes the position of law cannot move it; append the law change alone');
  }
  return undefined;
}

function checkBlobs(blobs: readonly Blob[]): Refusal | undefined {
  for (const blob of blobs) {
    if (blob.bytes.length > MAX_BLOB_BYTES)
      return refuse('blob.tooLarge', `a blob holds at most ${MAX_BLOB_BYTES} bytes; ${blob.digest} has ${blob.bytes.length}`);
    if (!isDigest(blob.digest) || digestOf(blob.bytes) !== blob.digest)
      return refuse('blob.mismatch', `the bytes handed in as ${blob.digest} have another digest`);
  }
  return undefined;
}

function makeSalts(randomness: Randomness, count: number): Bytes[] {
  const salts: Bytes[] = [];
  for (let left = count * SALT_BYTES; left > 0; left -= MAX_RANDOM_BYTES) {
    const bytes = randomness.bytes(Math.min(left, MAX_RANDOM_BYTES));
    for (let at = 0; at < bytes.length; at += SALT_BYTES) salts.push(bytes.subarray(at, at + SALT_BYTES));
  }
  return salts;
}

function prepareDraft(part: AppendPart, draft: Draft, law: number | undefined, salt: Bytes): Result<PreparedDraft, AppendFailure> {
  const facts = isKind(draft.kind) ? factsOf(draft.kind) : undefined;
  if (facts === undefined) return refuse('kind.unknown', `${String(draft.kind)} is no kind of this registry`);
  const family = familyOfTrajectory(part.trajectory);
  if (family === null || !facts.families.includes(family))
    return refuse('kind.misplaced', `${draft.kind} has no place in ${part.trajectory}`);
  const wrong = facts.judged ? judgementFault(part, draft, law) : factFault(part, draft);
  if (wrong !== undefined) return refuse('draft.invalid', `${draft.kind} in ${part.trajectory}: ${wrong}`);
  if (!isActor(draft.actor)) return refuse('draft.invalid', `${draft.kind}: ${String(draft.actor)} is no actor`);
  if (!isMoment(draft.at)) return refuse('draft.invalid', `${draft.kind}: "at" is no moment of UTC`);
  const payload = payloadOf(draft);
  if (!payload.ok) return payload;
  return ok({
    kind: draft.kind,
    facts,
    at: draft.at,
    actor: draft.actor,
    cause: draft.cause,
    law: draft.law,
    id: draft.id,
    payload: payload.value,
    salt,
    commitment: commitmentOf(salt, payload.value),
    successor: draft.kind === 'ledger.sealed' ? successorIn(draft) : undefined,
  });
}

function judgementFault(part: AppendPart, draft: Draft, law: number | undefined): string | undefined {
  if (draft.cause === null || !isPosition(draft.cause)) return 'a judgement names its fact as cause';
  if (draft.law === null || !isPosition(draft.law)) return 'a judgement names the position of law it was made under';
  if (law === undefined || draft.law !== law) return 'the batch must expect the position of law that its judgements name';
  if (draft.id !== undefined) return 'only facts have an id';
  if (part.expect === 'any' || part.expect === 'exists') return 'judgements are appended at a numeric position, or with none';
  return undefined;
}

function factFault(part: AppendPart, draft: Draft): string | undefined {
  if (draft.cause !== null || draft.law !== null) return 'a fact names neither cause nor law';
  if (draft.id === undefined) return undefined;
  if (part.expect !== 'any') return 'an id goes with position any only';
  return parseEventId(draft.id).ok ? undefined : 'the id is malformed';
}

/** The body is checked by its schema and then written as it was handed in: schemas have neither defaults nor transforms. */
function payloadOf(draft: Draft): Result<Bytes, AppendFailure> {
  const checked = kindRow(draft.kind).body.safeParse(draft.payload);
  if (!checked.success) {
    const issue = checked.error.issues[0];
    return refuse('payload.invalid', `${draft.kind}: ${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'refused'}`);
  }
  try {
    const bytes = canonicalBytes(draft.payload);
    if (bytes.length <= MAX_PAYLOAD_BYTES) return ok(bytes);
    return refuse(
      'payload.tooLarge',
      `${draft.kind}: a payload has at most ${MAX_PAYLOAD_BYTES} bytes, not ${bytes.length}; put what is large into a blob`,
    );
  } catch (error) {
    // Canon throws only its own errors here, for values that have no JSON form.
    return refuse('payload.invalid', `${draft.kind}: ${(error as CanonError).message}`);
  }
}

/** The body has just passed its schema, in which the member is required. */
function successorIn(draft: Draft): string | undefined {
  const body = draft.payload as { readonly successor?: unknown };
  return typeof body.successor === 'string' ? body.successor : undefined;
}

function isPosition(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function refuse(code: BatchRefusalCode, message: string): Refusal {
  return err({ code, message });
}
