/**
 * Signing a vote: over this request, this content, once, until the request ends. Must never sign with a key that was not chosen (GOALS E04, E21).
 */
import { checkVote, signBody, VOTE_TYPE } from '@openexec/authority';
import { type Clock, type Digest, err, type Instant, type KeyId, type Randomness, type Result } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import type { ApprovalVoted, Vote } from '@openexec/protocol';
import { castVote, loadLaw } from '@openexec/runtime';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { nonceOf } from '../setup/found.ts';
import type { OpenApproval } from './requests.ts';

const BECAUSE_MAX = 2000;

/** A signed vote by a key from a file; how the file holds the key is part of what is signed. */
export function signVote(options: {
  readonly key: FileKey;
  readonly randomness: Randomness;
  readonly ledger: Digest;
  readonly run: string;
  readonly request: Digest;
  readonly digest: Digest;
  readonly until: Instant;
  readonly decision: 'approve' | 'deny';
  readonly because: string;
}): ApprovalVoted['vote'] {
  const { key, randomness, ledger, run, request, digest, until, decision, because } = options;
  const body: Vote = {
    ledger,
    run,
    request,
    decision,
    digest,
    expiry: until,
    nonce: nonceOf(randomness),
    assurance: key.assurance,
    because: because.slice(0, BECAUSE_MAX),
  };
  const signed = signBody({ type: VOTE_TYPE, body: body, seeds: [key.seed] });
  return { body, signatures: signed.signatures };
}

/** A vote before it is signed. */
export interface Voting {
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly fingerprint: Digest;
  readonly key: FileKey;
  readonly approval: OpenApproval;
  readonly decision: 'approve' | 'deny';
  readonly because: string;
}

/** Signs and records a vote. One that could not count is refused here, with the reason, and not recorded. */
export async function vote(voting: Voting): Promise<Result<{ readonly seq: number }, Refusal>> {
  const { store, clock, randomness, fingerprint, key, approval, decision, because } = voting;
  const { request, run, state } = approval;
  const signedVote = signVote({
    key,
    randomness,
    ledger: fingerprint,
    run,
    request: request.id,
    digest: request.digest,
    until: request.until,
    decision,
    because,
  });
  const law = await loadLaw(store);
  if (!law.ok) return err(storeRefusal(law.error));
  const opener = state.law?.opened.opener;
  if (opener === undefined) return refuse('approval.unknown', `${run} does not say who opened it`);
  const inForce = { request: request.id, digest: request.digest, terms: request.terms, until: request.until };
  const checked = checkVote({ vote: signedVote, request: inForce, run, law: law.value, at: clock.now(), opener });
  if (!checked.ok) return refuse('approval.refused', `this vote would not count: ${checked.error.code}: ${checked.error.message}`);
  // Key files hold checked ids.
  const own = key.keyId as KeyId;
  // A vote that counts and is not judged yet is one as well; a false one in this key's name keeps nobody from voting.
  const queued = state.queue.some(({ event }) => {
    if (event.kind !== 'approval.voted' || event.body.vote.signatures[0]?.key !== own) return false;
    return checkVote({ vote: event.body.vote, request: inForce, run, law: law.value, at: event.at, opener }).ok;
  });
  if (queued || request.votes.some((voted) => voted.key === own))
    return refuse('approval.refused', `this vote would not count: vote.twice: key ${own} has voted on this request already`);
  const cast = await castVote({ ledger: store, clock, run, signedVote, assurance: key.assurance });
  return cast.ok ? cast : err(storeRefusal(cast.error));
}
