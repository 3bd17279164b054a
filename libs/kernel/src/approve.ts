/**
 * Approvals: counting votes, resolving a request, withdrawing it. A vote is for this exact action, by a key, once, before it expires
 * (PROTOCOL §6; ARCHITECTURE invariant 9).
 */
import { checkVote, countVotes } from '@openexec/authority';
import type { ApprovalVoted, Reason } from '@openexec/protocol';
import { judgement } from './emit.ts';
import { type Pen, write } from './pen.ts';
import type { OpenRequest } from './state.ts';
import { cut } from './text.ts';

const noted = (pen: Pen, why: string, message: string, violation: boolean): void =>
  write(pen, judgement('fact.noted', { why, message: cut(message, 2000), violation }));

function resolve(pen: Pen, request: OpenRequest, outcome: 'approved' | 'denied' | 'expired' | 'withdrawn', because: Reason): void {
  const votes = request.votes.map((vote) => ({ key: vote.key, seq: vote.seq }));
  write(pen, judgement('approval.resolved', { request: request.id, outcome, votes, because }));
}

/** A vote counts, or the ledger says why not. */
export function resolveVote(pen: Pen, body: ApprovalVoted): void {
  const { request, law, run, fact } = pen.state;
  const opener = law?.opened.opener;
  if (request === null || request.id !== body.vote.body.request || fact === null || opener === undefined)
    return noted(pen, 'approval.late', 'no open request has this id', false);
  const checked = checkVote({
    vote: body.vote,
    request: { request: request.id, digest: request.digest, terms: request.terms, until: request.until },
    run,
    law: pen.law,
    at: pen.at,
    opener,
  });
  if (!checked.ok) return noted(pen, 'vote.refused', `${checked.error.code}: ${checked.error.message}`, false);
  if (request.votes.some((vote) => vote.key === checked.value.key))
    return noted(pen, 'vote.twice', 'this key has voted on this request already', false);
  const votes = [...request.votes, { key: checked.value.key, seq: fact.seq, decision: checked.value.decision }];
  const standing = countVotes({ votes, terms: request.terms });
  const counted: OpenRequest = { ...request, votes };
  if (standing === 'approved')
    return resolve(pen, counted, 'approved', { code: 'approval.granted', message: `${votes.length} of ${request.terms.quorum} approved` });
  if (standing === 'denied')
    return resolve(pen, counted, 'denied', {
      code: 'approval.denied',
      message: body.vote.body.because === '' ? 'an approver denied it' : body.vote.body.because,
    });
  return noted(pen, 'vote.counted', `${votes.length} of ${request.terms.quorum} votes are in`, false);
}

/** The driver says that the time is up; the kernel has checked that it is. */
export function resolveExpired(pen: Pen): void {
  const request = pen.state.request;
  if (request !== null) resolve(pen, request, 'expired', { code: 'approval.expired', message: `nobody decided before ${request.until}` });
}

/** An open request of a run that ends is withdrawn, so that a later vote meets nothing. */
export function withdrawRequest(pen: Pen, message: string): void {
  const request = pen.state.request;
  if (request !== null) resolve(pen, request, 'withdrawn', { code: 'approval.withdrawn', message });
}
