/**
 * What others than the driver may add to a run: a wish to cancel or pause, and votes. They only append; whoever drives judges (PROTOCOL §3).
 */
import { runTrajectory } from '@openexec/authority';
import {
  canonicalBytes,
  type Clock,
  type EventId,
  instantToMs,
  type KeyId,
  ok,
  parseCanonical,
  parseEventId,
  type Randomness,
  type Result,
  toHex,
  type TrajectoryId,
} from '@openexec/canon';
import type { Actor, Blob, Draft, LedgerStore } from '@openexec/ledger';
import { type ApprovalVoted, type Assurance, type Body, kindRow, type Reason, type Skill } from '@openexec/protocol';
import { ledgerRefusal, reading, refuse, type RuntimeFailure } from './failure.ts';
import { blobOf } from './open.ts';

const ID_RANDOM_BYTES = 10;
const ID_TIME_DIGITS = 12;

/** Where and by whom something is said to a run. */
export interface Speaker {
  readonly ledger: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly run: TrajectoryId;
  readonly actor: KeyId;
}
/** Where the fact stands. */
export interface Noted {
  readonly seq: number;
}

/** A time-ordered id (PROTOCOL §2 `id`). */
function newId(clock: Clock, randomness: Randomness): string {
  return `${instantToMs(clock.now()).toString(16).padStart(ID_TIME_DIGITS, '0')}-${toHex(randomness.bytes(ID_RANDOM_BYTES))}`;
}

async function note(
  where: Pick<Speaker, 'ledger' | 'run'>,
  id: string,
  draft: Omit<Draft, 'cause' | 'law' | 'id'>,
  blobs: readonly Blob[] = [],
): Promise<Result<Noted, RuntimeFailure>> {
  const head = await where.ledger.trajectory(where.run);
  if (head === null) return refuse('run.unknown', `the ledger has no ${where.run}; list the runs it has`);
  const parsed = parseEventId(id);
  if (!parsed.ok) return refuse('ledger.draft.invalid', parsed.error.message);
  const eventId: EventId = parsed.value;
  // With an id and position `any`, a repeat of this very append is answered with its first result.
  const appended = await where.ledger.append({
    to: [{ trajectory: where.run, expect: 'any', drafts: [{ ...draft, cause: null, law: null, id: eventId }] }],
    blobs,
  });
  if (!appended.ok && appended.error.code === 'trajectory.closed')
    return refuse('run.closed', `${where.run} is closed; nothing can be added to it`);
  if (!appended.ok) return ledgerRefusal(appended.error);
  return ok({ seq: appended.value.stored[0]?.entry.seq ?? head.seq });
}

/** Asks that the run be cancelled; it closes once nothing is in flight. */
export function requestCancel(options: Speaker & { readonly because: string }): Promise<Result<Noted, RuntimeFailure>> {
  const { clock, randomness, actor, because } = options;
  return note(options, newId(clock, randomness), {
    kind: 'run.cancelRequested',
    at: clock.now(),
    actor: `key:${actor}`,
    payload: { because },
  });
}

/** The child runs of a run that are open, as the ledger has them. */
export async function openChildren(ledger: LedgerStore, run: TrajectoryId): Promise<Result<readonly TrajectoryId[], RuntimeFailure>> {
  return reading(async () => {
    const open = new Map<string, TrajectoryId>();
    for await (const { entry, payload } of ledger.read(run)) {
      if (entry.kind !== 'delegation.opened' && entry.kind !== 'delegation.closed') continue;
      const json = payload === null ? null : parseCanonical(payload);
      const body = json?.ok === true ? kindRow(entry.kind).body.safeParse(json.value) : null;
      if (body?.success !== true) return refuse('run.unreadable', `${run} ${entry.seq} cannot be read, so its child runs cannot be known`);
      // Just held against the schemas of these kinds.
      if (entry.kind === 'delegation.opened') {
        const { delegation, writ } = body.data as Body<'delegation.opened'>;
        const child = runTrajectory({ issuer: writ.issuer, nonce: writ.nonce });
        if ((await ledger.trajectory(child)) !== null) open.set(delegation, child);
      } else open.delete((body.data as Body<'delegation.closed'>).delegation);
    }
    return ok([...open.values()]);
  });
}

/** The same wish for every child run that is open, and for theirs: a run ends only after them. One that ended meanwhile is no failure. */
export async function requestCancelBelow(options: Speaker & { readonly because: string }): Promise<Result<void, RuntimeFailure>> {
  const children = await openChildren(options.ledger, options.run);
  if (!children.ok) return children;
  for (const run of children.value) {
    const asked = await requestCancel({ ...options, run });
    if (!asked.ok && asked.error.code !== 'run.closed') return asked;
    const below = await requestCancelBelow({ ...options, run });
    if (!below.ok) return below;
  }
  return ok(undefined);
}

/** Asks that the run be parked; it goes on by `driveRun` with `resume`. */
export function requestPause(options: Speaker & { readonly because: Reason }): Promise<Result<Noted, RuntimeFailure>> {
  const { clock, randomness, actor, because } = options;
  return note(options, newId(clock, randomness), {
    kind: 'run.pauseRequested',
    at: clock.now(),
    actor: `key:${actor}`,
    payload: { by: 'person', because: { ...because } },
  });
}

/** A template and the values of its parameters, for a run that is open. */
export interface SkillBinding {
  readonly template: Skill;
  readonly params: Readonly<Record<string, string>>;
  readonly because: string;
}

/** Binds an open run to a skill: from the judgement of this fact on it has less. Whoever drives judges; what runs by then goes on. */
export function bindSkillTo(options: Speaker & SkillBinding): Promise<Result<Noted, RuntimeFailure>> {
  const { clock, randomness, actor, template, params, because } = options;
  const { ref, blob } = blobOf(canonicalBytes(template), 'application/json');
  return note(
    options,
    newId(clock, randomness),
    { kind: 'skill.bound', at: clock.now(), actor: `key:${actor}`, payload: { template: ref, params: { ...params }, because } },
    [blob],
  );
}

/** A vote to be recorded. Its id is its nonce, so that handing in the same vote again changes nothing. */
export interface CastVote {
  readonly ledger: LedgerStore;
  readonly clock: Clock;
  readonly run: TrajectoryId;
  readonly signedVote: ApprovalVoted['vote'];
  /** How the key was held, as the caller knows it; must be what the vote says under its signature. */
  readonly assurance: Assurance;
}

/** Records a signed vote. Whether it counts is judged by the driver, under the law of that moment. */
export async function castVote(options: CastVote): Promise<Result<Noted, RuntimeFailure>> {
  const { signedVote, assurance, clock } = options;
  if (signedVote.body.assurance !== assurance)
    return refuse(
      'vote.assurance',
      `the vote is signed as held by ${signedVote.body.assurance}, but the key is held by ${assurance}; sign it again`,
    );
  const signer = signedVote.signatures[0]?.key;
  if (signer === undefined) return refuse('ledger.payload.invalid', 'the vote carries no signature');
  const actor: Actor = `key:${signer}`;
  return note(options, `vote-${signedVote.body.nonce}`, { kind: 'approval.voted', at: clock.now(), actor, payload: { vote: signedVote } });
}
