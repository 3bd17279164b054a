/**
 * The half of an append that needs the ledger: positions, repeats, order, time, cause, chain. One pure function that every store runs
 * under its write lock; nothing may be stored that did not pass it. Must never read a clock. PROTOCOL §3 and §4.1.
 */
import {
  type Bytes,
  type Digest,
  digestFromBytes,
  equalBytes,
  err,
  type EventId,
  type Instant,
  type LeafHash,
  maxInstant,
  ok,
  type Result,
  toBase64,
  type TrajectoryId,
} from '@openexec/canon';
import { leafHash } from '@openexec/proof';
import type { Kind } from '@openexec/protocol';
import { encodeEntry, entrySigningBytes, MAX_ENTRY_BYTES } from './entry.ts';
import type { AppendFailure } from './errors.ts';
import { factsOf, familyOfTrajectory, hasOpening } from './kinds.ts';
import type { PreparedBatch, PreparedDraft, PreparedPart } from './prepare.ts';
import type { Entry, EntrySigner, Stored } from './types.ts';

/** Where a trajectory stands, as sequencing needs it. */
export interface TrajectoryState {
  readonly seq: number;
  readonly leaf: LeafHash;
  /** `at` of its last fact, null when it has none. */
  readonly factAt: Instant | null;
  readonly closed: boolean;
}

/** What is known of an entry that is already there. */
export interface Placed {
  readonly kind: Kind;
  readonly at: Instant;
  readonly payload: Bytes | null;
}

/** The ledger as it stands under the write lock. All reads are of that one moment. */
export interface SequenceView {
  readonly size: bigint;
  readonly fingerprint: Digest | null;
  /** Named by the latest `ledger.sealed`, else null. */
  readonly successor: string | null;
  trajectory(trajectory: TrajectoryId): TrajectoryState | null;
  /** The entry at a position at or below the trajectory's head. */
  placed(trajectory: TrajectoryId, seq: number): Placed | null;
  /** The position of an id, else null. */
  byId(trajectory: TrajectoryId, id: EventId): number | null;
}

/** What belongs to this store rather than to the ledger. */
export interface SequenceContext {
  /** This store's random instance id, against which a seal is held. */
  readonly instance: string;
  /** The runtime key, where the store has it. */
  readonly signer?: EntrySigner;
}

/** A batch that has its place. `leaves` are the raw hashes of `stored`, for the tree. */
export type Sequenced =
  | {
      readonly outcome: 'appended';
      readonly stored: readonly Stored[];
      readonly leaves: readonly Bytes[];
      readonly states: ReadonlyMap<TrajectoryId, TrajectoryState>;
      readonly fingerprint: Digest | null;
      readonly successor: string | null;
    }
  /** Positions of the first result, part by part in the batch's order. */
  | {
      readonly outcome: 'duplicate';
      readonly places: readonly { readonly trajectory: TrajectoryId; readonly first: number; readonly count: number }[];
    };

type Refusal = { readonly ok: false; readonly error: AppendFailure };

/** Gives a batch its place, or says why it has none. Changes nothing: the caller stores the result and then adopts `states`. */
export function sequence(view: SequenceView, batch: PreparedBatch, context: SequenceContext): Result<Sequenced, AppendFailure> {
  // A repeat is answered before anything else, so that a closed run, a newer law or a seal never turns it into a refusal.
  const repeat = findRepeat(view, batch);
  if (repeat !== undefined) return repeat;
  if (view.successor !== null && view.successor !== context.instance) return sealed(view.successor);
  for (const part of batch.parts) {
    const refusal = checkPosition(view, part);
    if (refusal !== undefined) return refusal;
  }
  const law = batch.law === undefined ? undefined : (view.trajectory('law' as TrajectoryId)?.seq ?? null);
  if (law !== undefined && law !== batch.law) {
    return err({ code: 'law.stale', message: `law stands at ${law}, not at ${batch.law}; fold it and judge again`, actual: law });
  }
  return new Placing(view, context).place(batch);
}

/** The one place where a batch's entries are made, in order, each on top of the one before. */
class Placing {
  readonly #view: SequenceView;
  readonly #context: SequenceContext;
  readonly #stored: Stored[] = [];
  readonly #leaves: Bytes[] = [];
  readonly #states = new Map<TrajectoryId, TrajectoryState>();
  #next: bigint;
  #fingerprint: Digest | null;
  #successor: string | null;

  constructor(view: SequenceView, context: SequenceContext) {
    this.#view = view;
    this.#context = context;
    this.#next = view.size;
    this.#fingerprint = view.fingerprint;
    this.#successor = view.successor;
  }

  place(batch: PreparedBatch): Result<Sequenced, AppendFailure> {
    for (const part of batch.parts) {
      let state = this.#view.trajectory(part.trajectory);
      const first = this.#stored.length;
      for (const draft of part.drafts) {
        const refusal = this.#checkDraft(part.trajectory, state, draft);
        if (refusal !== undefined) return refusal;
        const at = this.#timeOf(part.trajectory, state, draft, first);
        if (!at.ok) return at;
        const placed = this.#add(part.trajectory, state, draft, at.value);
        if (!placed.ok) return placed;
        state = placed.value;
      }
      if (state !== null) this.#states.set(part.trajectory, state);
    }
    return ok({
      outcome: 'appended',
      stored: this.#stored,
      leaves: this.#leaves,
      states: this.#states,
      fingerprint: this.#fingerprint,
      successor: this.#successor,
    });
  }

  #checkDraft(trajectory: TrajectoryId, state: TrajectoryState | null, draft: PreparedDraft): Refusal | undefined {
    if (this.#successor !== null && this.#successor !== this.#context.instance) return sealed(this.#successor);
    if (state?.closed === true) return closed(trajectory);
    if (this.#next === 0n && draft.kind !== 'ledger.founded') {
      return err({ code: 'ledger.unfounded', message: 'the first entry of a ledger is ledger.founded' });
    }
    if (this.#next > 0n && draft.kind === 'ledger.founded') {
      return err({ code: 'ledger.alreadyFounded', message: 'this ledger has been founded; found another one elsewhere' });
    }
    const family = familyOfTrajectory(trajectory);
    if (family !== null && hasOpening(family) && draft.facts.opens !== (state === null)) {
      const message =
        state === null ? `${trajectory} does not begin with ${draft.kind}` : `${draft.kind} stands at the beginning of ${trajectory} only`;
      return err({ code: 'kind.misplaced', message });
    }
    return undefined;
  }

  /** A fact never lies before the last fact; a judgement repeats its cause's moment, and must have been made for exactly that. */
  #timeOf(trajectory: TrajectoryId, state: TrajectoryState | null, draft: PreparedDraft, first: number): Result<Instant, AppendFailure> {
    if (draft.cause === null) return ok(state === null || state.factAt === null ? draft.at : maxInstant(draft.at, state.factAt));
    const cause = this.#causeOf(trajectory, state, draft.cause, first);
    if (cause === null || factsOf(cause.kind)?.judged !== false) {
      return causeFault('cause.unknown', `no fact stands at ${draft.cause} of ${trajectory}`, { trajectory, cause: draft.cause, at: null });
    }
    if (cause.at !== draft.at) {
      return causeFault('cause.otherTime', `the fact at ${draft.cause} of ${trajectory} is of ${cause.at}; judge it at that moment`, {
        trajectory,
        cause: draft.cause,
        at: cause.at,
      });
    }
    return ok(cause.at);
  }

  #causeOf(
    trajectory: TrajectoryId,
    state: TrajectoryState | null,
    seq: number,
    first: number,
  ): { readonly kind: Kind; readonly at: Instant } | null {
    if (state === null || seq > state.seq) return null;
    const inBatch = this.#stored[first];
    if (inBatch !== undefined && seq >= inBatch.entry.seq) return this.#stored[first + seq - inBatch.entry.seq]?.entry ?? null;
    return this.#view.placed(trajectory, seq);
  }

  #add(trajectory: TrajectoryId, state: TrajectoryState | null, draft: PreparedDraft, at: Instant): Result<TrajectoryState, AppendFailure> {
    const unsigned: Entry = {
      v: 1,
      trajectory,
      seq: state === null ? 0 : state.seq + 1,
      prev: state === null ? null : state.leaf,
      kind: draft.kind,
      at,
      actor: draft.actor,
      cause: draft.cause,
      law: draft.law,
      ...(draft.id === undefined ? {} : { id: draft.id }),
      commitment: draft.commitment,
      bytes: draft.payload.length,
    };
    const entry = draft.facts.signed ? this.#signed(unsigned) : unsigned;
    const entryBytes = encodeEntry(entry);
    if (entryBytes.length > MAX_ENTRY_BYTES)
      return err({ code: 'entry.tooLarge', message: `the entry has ${entryBytes.length} bytes; at most ${MAX_ENTRY_BYTES} are allowed` });
    const raw = leafHash(entryBytes);
    const leaf = digestFromBytes(raw);
    this.#stored.push({ index: this.#next, entry, entryBytes, leaf, payload: draft.payload, salt: draft.salt });
    this.#leaves.push(raw);
    this.#next += 1n;
    if (draft.kind === 'ledger.founded') this.#fingerprint = leaf;
    if (draft.successor !== undefined) this.#successor = draft.successor;
    return ok({ seq: entry.seq, leaf, factAt: draft.facts.judged ? (state?.factAt ?? null) : at, closed: draft.facts.closes });
  }

  #signed(entry: Entry): Entry {
    const { signer } = this.#context;
    if (signer === undefined || this.#fingerprint === null) return entry;
    const value = toBase64(signer.sign(entrySigningBytes(entry, this.#fingerprint)));
    return { ...entry, sig: { key: signer.keyId, value } };
  }
}

/**
 * Decides whether a batch has been appended before: undefined when it is new, the first places when all of it is there, a conflict when a
 * part is there differently or only in part.
 */
function findRepeat(view: SequenceView, batch: PreparedBatch): Result<Sequenced, AppendFailure> | undefined {
  const places: { trajectory: TrajectoryId; first: number; count: number }[] = [];
  for (const part of batch.parts) {
    const first = placeOfRepeat(view, part);
    if (first === null) continue;
    if (!isSameContent(view, part, first)) return conflict(view, part, 'other entries stand there');
    places.push({ trajectory: part.trajectory, first, count: part.drafts.length });
  }
  const [known] = places;
  if (known === undefined) return undefined;
  if (places.length === batch.parts.length) return ok({ outcome: 'duplicate', places });
  const part = batch.parts.find(({ trajectory }) => trajectory === known.trajectory);
  return part === undefined ? undefined : conflict(view, part, 'one part of the batch is there already, another is not');
}

/** Where the part would stand if it were there already, or null when it cannot be. */
function placeOfRepeat(view: SequenceView, part: PreparedPart): number | null {
  if (part.expect === 'exists') return null;
  if (part.expect === 'any') {
    for (const [offset, { id }] of part.drafts.entries()) {
      const seq = id === undefined ? null : view.byId(part.trajectory, id);
      if (seq !== null) return seq - offset;
    }
    return null;
  }
  const first = part.expect === 'none' ? 0 : part.expect + 1;
  const head = view.trajectory(part.trajectory);
  return head !== null && head.seq >= first ? first : null;
}

/** Equality is kind and payload bytes (PROTOCOL §3), and the id where one was given. An erased payload equals nothing. */
function isSameContent(view: SequenceView, part: PreparedPart, first: number): boolean {
  if (first < 0) return false;
  return part.drafts.every((draft, offset) => {
    const placed = view.placed(part.trajectory, first + offset);
    if (placed === null || placed.kind !== draft.kind || placed.payload === null || !equalBytes(placed.payload, draft.payload))
      return false;
    return draft.id === undefined || view.byId(part.trajectory, draft.id) === first + offset;
  });
}

function checkPosition(view: SequenceView, part: PreparedPart): Refusal | undefined {
  const state = view.trajectory(part.trajectory);
  if (state?.closed === true) return closed(part.trajectory);
  switch (part.expect) {
    case 'any':
      return undefined;
    case 'none':
      return state === null ? undefined : conflict(view, part, 'it has begun');
    case 'exists':
      return state === null ? conflict(view, part, 'it has not begun') : undefined;
    default:
      return state?.seq === part.expect ? undefined : conflict(view, part, `it does not stand at ${part.expect}`);
  }
}

function conflict(view: SequenceView, part: PreparedPart, why: string): Refusal {
  const actual = view.trajectory(part.trajectory)?.seq ?? null;
  return err({
    code: 'conflict',
    message: `${part.trajectory} stands at ${actual ?? 'no entry'}: ${why}; read the tail and decide again`,
    trajectory: part.trajectory,
    actual,
  });
}

function closed(trajectory: TrajectoryId): Refusal {
  return err({ code: 'trajectory.closed', message: `${trajectory} is closed; nothing can follow its last entry`, trajectory });
}

function sealed(successor: string): Refusal {
  return err({ code: 'ledger.sealed', message: `this ledger moved to the store ${successor}; append there`, successor });
}

function causeFault(
  code: 'cause.unknown' | 'cause.otherTime',
  message: string,
  where: { readonly trajectory: TrajectoryId; readonly cause: number; readonly at: Instant | null },
): Refusal {
  return err({ code, message, ...where });
}
