/**
 * Approvals: what a vote signs, whether a vote counts, and how votes add up. Must never let the model, a runtime key or a stranger count, nor
 * one key twice. PROTOCOL §6.
 */

import { type Digest, digestJson, err, type Instant, type Json, type KeyId, ok, type Result } from '@openexec/canon';
import type { ApprovalTerms, ApprovalVoted, Assurance, Vote } from '@openexec/protocol';
import { keyInForce, type LawView } from './law.ts';
import { checkSignature, VOTE_TYPE } from './signing.ts';

/** Why a vote does not count. */
export type VoteProblemCode =
  | 'vote.ledger'
  | 'vote.run'
  | 'vote.request'
  | 'vote.digest'
  | 'vote.late'
  | 'vote.expired'
  | 'vote.untrusted'
  | 'vote.role'
  | 'vote.runtimeKey'
  | 'vote.opener'
  | 'vote.assurance'
  | 'vote.signature';

/** A refused vote; it changes nothing. */
export interface VoteProblem {
  readonly code: VoteProblemCode;
  readonly message: string;
}

/** The part of `approval.requested` that votes are held against. */
export interface RequestInForce {
  readonly request: Digest;
  /** {@link approvalDigest} of what is to be approved. */
  readonly digest: Digest;
  readonly terms: ApprovalTerms;
  /** Last moment at which a vote counts. */
  readonly until: Instant;
}

/** A vote that counts. */
export interface CheckedVote {
  readonly key: KeyId;
  readonly decision: 'approve' | 'deny';
}

/** Where the votes stand. */
export type ApprovalStanding = 'open' | 'approved' | 'denied';

const ASSURANCE_ORDER: readonly Assurance[] = ['file', 'passphrase', 'hardware'];

/** The digest of exactly what is approved; any change in it makes the approval worthless. */
export function approvalDigest(options: {
  action: string;
  arguments: Json;
  preImage: Digest | null;
  policySet: Digest;
  writ: Digest;
}): Digest {
  return digestJson([options.action, options.arguments, options.preImage, options.policySet, options.writ]);
}

/** What speaks for or against a key as a voter, whatever it votes. */
export interface Voter {
  readonly key: KeyId;
  /** How the key is held, as the vote says under its signature. */
  readonly assurance: Assurance;
}

/**
 * Why no vote of this key could count for the terms, or null. The voter must hold one of the terms' roles in force; runtime keys never count, and
 * the opener only where the terms say so.
 */
export function voterProblem(
  voter: Voter,
  options: { terms: ApprovalTerms; law: LawView; at: Instant; opener: KeyId },
): VoteProblem | null {
  const { key, assurance } = voter;
  const { terms, law, at, opener } = options;
  const record = keyInForce(law, key, at);
  if (record === null) return { code: 'vote.untrusted', message: `key ${key} is not in force at law position ${law.position}` };
  if (record.roles.includes('runtime'))
    return { code: 'vote.runtimeKey', message: `key ${key} is a runtime key; a runtime never approves` };
  if (!terms.roles.some((role) => record.roles.includes(role)))
    return { code: 'vote.role', message: `key ${key} holds ${record.roles.join(', ')}; this request wants ${terms.roles.join(' or ')}` };
  if (key === opener && !terms.openerMayApprove)
    return { code: 'vote.opener', message: `key ${key} opened the run; policy wants somebody else to decide` };
  if (ASSURANCE_ORDER.indexOf(assurance) >= ASSURANCE_ORDER.indexOf(terms.minAssurance)) return null;
  return { code: 'vote.assurance', message: `the key is held by ${assurance}; this request wants at least ${terms.minAssurance}` };
}

/** Whether a signed vote counts for the request, under the law at one position and at the time of the voting fact. */
export function checkVote(options: {
  vote: ApprovalVoted['vote'];
  request: RequestInForce;
  run: string;
  law: LawView;
  at: Instant;
  opener: KeyId;
}): Result<CheckedVote, VoteProblem> {
  const { vote, law, request, at, opener } = options;
  const wrong = contentProblem(vote.body, options) ?? timeProblem(vote.body, request, at);
  if (wrong !== null) return err(wrong);
  const [signature, ...others] = vote.signatures;
  if (signature === undefined || others.length > 0)
    return err({ code: 'vote.signature', message: 'a vote carries exactly one signature; each approver votes apart' });
  const { key } = signature;
  const unfit = voterProblem({ key, assurance: vote.body.assurance }, { terms: request.terms, law, at, opener });
  if (unfit !== null) return err(unfit);
  const publicKey = law.keys.get(key)?.publicKey ?? '';
  if (!checkSignature({ type: VOTE_TYPE, body: vote.body, publicKey, signature })) {
    return err({ code: 'vote.signature', message: `the signature is not that of key ${key} over this vote` });
  }
  return ok({ key, decision: vote.body.decision });
}

/** Adds up votes in the order in which they were accepted: the first denial ends it, as does the quorum of distinct keys. */
export function countVotes(options: { votes: readonly CheckedVote[]; terms: ApprovalTerms }): ApprovalStanding {
  const approving = new Set<KeyId>();
  for (const { key, decision } of options.votes) {
    if (decision === 'deny') return 'denied';
    approving.add(key);
    if (approving.size >= options.terms.quorum) return 'approved';
  }
  return 'open';
}

function contentProblem(vote: Vote, options: { request: RequestInForce; run: string; law: LawView }): VoteProblem | null {
  const { request, run, law } = options;
  if (vote.ledger !== law.ledger)
    return { code: 'vote.ledger', message: `the vote is for ledger ${vote.ledger}, this is ${law.ledger ?? 'not founded'}` };
  if (vote.run !== run) return { code: 'vote.run', message: `the vote is for ${vote.run}, this is ${run}` };
  if (vote.request !== request.request)
    return { code: 'vote.request', message: `the vote answers request ${vote.request}, open is ${request.request}` };
  if (vote.digest === request.digest) return null;
  return { code: 'vote.digest', message: 'the vote is over other content than the request; look at the request again and vote anew' };
}

function timeProblem(vote: Vote, request: RequestInForce, at: Instant): VoteProblem | null {
  if (at > request.until) return { code: 'vote.late', message: `votes counted until ${request.until}, now is ${at}` };
  return at > vote.expiry ? { code: 'vote.expired', message: `the vote counted until ${vote.expiry}, now is ${at}` } : null;
}
