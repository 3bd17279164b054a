/**
 * Approvers, and those who would like to be: the vote that an honest person casts, and everything else that somebody may hand in before or instead of
 * it. Must never reach into a run but by the runtime's own call. PROTOCOL §6.
 */
import { type Bytes, digestOf, instantToMs, type Instant, type TrajectoryId, toHex } from '@openexec/canon';
import { signBody, VOTE_TYPE } from '@openexec/authority';
import type { ApprovalQuestion } from '@openexec/catalogue';
import type { ApprovalVoted, Vote } from '@openexec/protocol';
import { castVote } from '@openexec/runtime';
import { type Chance, chanceOf, type SimClock } from './chance.ts';
import { count, type Tally, type Trouble, type VoteFault } from './faults.ts';
import { keyOf, SEEDS, type SimLedger } from './founding.ts';

/** Who votes on what. */
export interface People extends Pick<SimLedger, 'store' | 'fingerprint' | 'legislate'> {
  readonly seed: string;
  readonly run: TrajectoryId;
  readonly clock: SimClock;
  readonly chance: Chance;
  readonly trouble: Trouble;
  readonly tally: Tally;
  /** Keys that the law retired: a second time would be no law. */
  readonly retired: Set<string>;
  /** Times that each request was voted on. */
  readonly turns: Map<string, number>;
  /** Id of the run's writ. */
  readonly writ: string;
}
type Asked = Pick<ApprovalQuestion, 'request' | 'digest' | 'until' | 'action'>;
type Signed = ApprovalVoted['vote'];

const NONCE_BYTES = 16;
const MOST_TURNS = 4;
/** These leave the outcome to the honest votes. */
const POWERLESS: readonly [VoteFault, ...VoteFault[]] = [
  'vote.twice',
  'vote.stranger',
  'vote.runtimeKey',
  'vote.wrongRole',
  'vote.otherDigest',
  'vote.otherRequest',
  'vote.forged',
];

/** These may end it. */
const DECISIVE = ['vote.late', 'vote.veto', 'vote.keyRetired', 'vote.writRevoked'] as const;

function voteOf(people: People, asked: Asked, change: Partial<Vote> = {}, key: Bytes = SEEDS.approver): Signed {
  // The same answer to the same question in every play of a seed.
  const denies = asked.action === 'notify' && chanceOf(`${people.seed}/votes`).once(2);
  const body: Vote = {
    ledger: people.fingerprint as Vote['ledger'], // The kernel compares it with the law's.
    run: people.run,
    request: asked.request,
    decision: denies ? 'deny' : 'approve',
    digest: asked.digest,
    expiry: asked.until,
    nonce: toHex(people.chance.bytes(NONCE_BYTES)),
    assurance: 'file',
    because: denies ? 'not to people' : '',
    ...change,
  };
  return signBody({ type: VOTE_TYPE, body, seeds: [key] });
}

/** The vote of the person at hand. */
export function honestVote(people: People, question: ApprovalQuestion): Signed & { readonly assurance: 'file' } {
  return { ...voteOf(people, question), assurance: 'file' };
}

/** Votes on an open request: what the seed makes of it first, then both approvers. */
export async function voteFromOutside(people: People, asked: Asked): Promise<void> {
  const { trouble, chance, turns, clock } = people;
  const turn = (turns.get(asked.request) ?? 0) + 1;
  turns.set(asked.request, turn);
  // Where too few keys are left to decide it, everybody waits until it expires.
  if (turn > MOST_TURNS) return clock.pass(late(asked.until, clock));
  if (trouble.votes > 0 && chance.once(trouble.votes)) {
    await misbehave(people, asked, trouble.votesMayDecide && !chance.once(3) ? chance.pick(DECISIVE) : chance.pick(POWERLESS));
  }
  await cast(people, voteOf(people, asked));
  await cast(people, voteOf(people, asked, {}, SEEDS.second));
}

async function cast(people: People, signedVote: Signed): Promise<void> {
  const { store: ledger, clock, run } = people;
  const done = await castVote({ ledger, clock, run, signedVote, assurance: 'file' });
  if (!done.ok && done.error.code !== 'run.closed')
    throw new Error(`sim: the vote was not taken: ${done.error.code}: ${done.error.message}`);
}

async function misbehave(people: People, asked: Asked, kind: VoteFault): Promise<void> {
  const { chance, clock, legislate, tally } = people;
  count(tally, kind);
  const yes = { decision: 'approve' } as const;
  switch (kind) {
    case 'vote.twice': {
      const vote = voteOf(people, asked);
      await cast(people, vote);
      await cast(people, vote);
      return cast(people, voteOf(people, asked));
    }
    case 'vote.stranger':
      return cast(people, voteOf(people, asked, yes, SEEDS.stranger));
    case 'vote.runtimeKey':
      return cast(people, voteOf(people, asked, yes, SEEDS.runtime));
    case 'vote.wrongRole':
      return cast(people, voteOf(people, asked, yes, SEEDS.issuer));
    case 'vote.otherDigest':
      return cast(people, voteOf(people, asked, { ...yes, digest: digestOf(chance.bytes(NONCE_BYTES)) }));
    case 'vote.otherRequest':
      return cast(people, voteOf(people, asked, { ...yes, request: digestOf(chance.bytes(NONCE_BYTES)) }));
    case 'vote.forged': {
      const made = voteOf(people, asked, yes, SEEDS.stranger);
      const signatures = made.signatures.map((signature) => ({ ...signature, key: keyOf(SEEDS.second) }));
      return cast(people, { ...made, signatures });
    }
    case 'vote.late':
      return clock.pass(late(asked.until, clock));
    case 'vote.veto':
      return cast(people, voteOf(people, asked, { decision: 'deny', because: 'over my dead body' }, SEEDS.second));
    case 'vote.keyRetired':
      if (chance.once(2)) await cast(people, voteOf(people, asked));
      return retire(people, keyOf(chance.once(2) ? SEEDS.approver : SEEDS.second));
    case 'vote.writRevoked':
      await cast(people, voteOf(people, asked));
      return legislate('writ.revoked', { writ: people.writ, because: 'second thoughts' });
  }
}

async function retire({ retired, legislate }: People, key: string): Promise<void> {
  if (retired.has(key)) return;
  retired.add(key);
  await legislate('key.retired', { key, because: 'lost in a train' });
}

/** Until just after the request's last moment. */
function late(until: Instant, clock: SimClock): number {
  return Math.max(0, instantToMs(until) - instantToMs(clock.now())) + 2000;
}
