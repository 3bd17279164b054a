/**
 * Invariant 9: an approval is for this exact action, by keys in force, each once, before it expires, under the same policy, and is used once. Counted
 * here from the recorded votes and the law as it was, not asked of the kernel. ARCHITECTURE §7, PROTOCOL §6.
 */
import type { Digest, Instant, Json, KeyId, TrajectoryId } from '@openexec/canon';
import { approvalDigest, checkSignature, keyInForce, type LawView, VOTE_TYPE, writId } from '@openexec/authority';
import type { ApprovalRequested, ApprovalVoted } from '@openexec/protocol';
import { type Checker, type EntryMoment, inlineOf, placeOf, type Tell } from '../moment.ts';

interface Request {
  readonly body: ApprovalRequested;
  outcome: string | null;
  used: boolean;
}
interface Voted {
  readonly vote: ApprovalVoted['vote'];
  readonly at: Instant;
  /** The law under which it was judged. */
  law: LawView | null;
}
interface Declared {
  readonly action: string;
  readonly arguments: Json | undefined;
  /** Whether policy or a gate ever asked for an approval of it. */
  asked: boolean;
}

class ApprovedExactly implements Checker {
  readonly invariant = 9;
  readonly name = 'an approval is for this exact action, by keys in force, once, in time';
  readonly #requests = new Map<Digest, Request>();
  readonly #votes = new Map<string, Voted>();
  readonly #intents = new Map<Digest, Declared>();
  readonly #policies = new Map<Digest, Digest>();

  see(moment: Parameters<Checker['see']>[0], tell: Tell): void {
    if (moment.what !== 'entry') return;
    const { stored, law } = moment;
    const { trajectory, cause, seq, at } = stored.entry;
    const voted = cause === null ? undefined : this.#votes.get(`${trajectory} ${cause}`);
    if (voted !== undefined) voted.law ??= law;
    if (moment.kind === 'approval.requested') this.#requests.set(moment.body.request, { body: moment.body, outcome: null, used: false });
    if (moment.kind === 'approval.voted') this.#votes.set(`${trajectory} ${seq}`, { vote: moment.body.vote, at, law: null });
    if (moment.kind === 'approval.resolved') this.#resolved(moment, tell);
    if (moment.kind === 'intent.declared') {
      const { intent, action } = moment.body;
      this.#intents.set(intent, { action, arguments: inlineOf(moment.body.arguments), asked: false });
    }
    if (moment.kind === 'policy.decided') {
      this.#policies.set(moment.body.decision, moment.body.policySet);
      const intent = moment.body.intent === null ? undefined : this.#intents.get(moment.body.intent);
      if (intent !== undefined && moment.body.verdict === 'approve') intent.asked = true;
    }
    if (moment.kind === 'proposal.staged') this.#staged(moment, tell);
  }

  #resolved({ body, stored, law, after }: Extract<EntryMoment, { kind: 'approval.resolved' }>, tell: Tell): void {
    const place = placeOf(stored);
    const request = this.#requests.get(body.request);
    if (request === undefined) return tell(`${place} resolves what was never requested`);
    if (request.outcome !== null) tell(`${place} resolves a request that was ${request.outcome}`);
    request.outcome = body.outcome;
    const { terms, until } = request.body;
    const sound = body.votes.filter(({ key, seq }) =>
      this.#counts(stored.entry.trajectory, { key, seq }, request.body, after?.law?.opened.opener ?? null),
    );
    if (sound.length !== body.votes.length) tell(`${place} counts ${body.votes.length - sound.length} votes that do not count`);
    const decisions = sound.map(({ seq }) => this.#votes.get(`${stored.entry.trajectory} ${seq}`)?.vote.body.decision);
    if (body.outcome === 'approved') {
      if (new Set(sound.map(({ key }) => key)).size < terms.quorum) tell(`${place} lacks its quorum of ${terms.quorum}`);
      if (decisions.includes('deny')) tell(`${place} passes over a denial`);
      if (stored.entry.at > until) tell(`${place} is granted after ${until}`);
    }
    if (body.outcome === 'denied' && !decisions.includes('deny')) tell(`${place} is denied by nobody`);
    if (body.outcome === 'expired' && stored.entry.at < until) tell(`${place} expires before ${until}`);
    if (law.ledger === null) tell(`${place} is resolved without a law`);
  }

  /** Whether a recorded vote counts for the request: content, time, key, role and signature, under the law of its own judgement. */
  #counts(
    run: TrajectoryId,
    { key, seq }: { readonly key: KeyId; readonly seq: number },
    request: ApprovalRequested,
    opener: KeyId | null,
  ): boolean {
    const voted = this.#votes.get(`${run} ${seq}`);
    const [signature, ...more] = voted?.vote.signatures ?? [];
    if (voted === undefined || voted.law === null || signature === undefined || more.length > 0 || signature.key !== key) return false;
    const { body } = voted.vote;
    const { law, at } = voted;
    if (body.run !== run || body.request !== request.request || body.digest !== request.digest || body.ledger !== law.ledger) return false;
    if (at > request.until || at > body.expiry) return false;
    const record = keyInForce(law, key, at);
    if (record === null || record.roles.includes('runtime') || !record.roles.some((role) => request.terms.roles.includes(role)))
      return false;
    if (key === opener && !request.terms.openerMayApprove) return false;
    return checkSignature({ type: VOTE_TYPE, body, publicKey: record.publicKey, signature });
  }

  #staged({ body, stored, before }: Extract<EntryMoment, { kind: 'proposal.staged' }>, tell: Tell): void {
    const place = placeOf(stored);
    const intent = this.#intents.get(body.intent);
    if (body.approval === null) {
      if (intent?.asked === true) tell(`${place} is staged without the approval that was asked for`);
      return;
    }
    const request = this.#requests.get(body.approval);
    if (request?.outcome !== 'approved') return tell(`${place} uses an approval that was not given`);
    if (request.used) tell(`${place} uses an approval a second time`);
    request.used = true;
    const policySet = this.#policies.get(body.decision);
    const writ = before?.law?.opened.writs.at(-1)?.body;
    // Arguments over 8 KiB lie in a blob; the kernel's own digest of them is judged again by invariant 5.
    if (intent?.arguments === undefined || policySet === undefined || writ === undefined) return;
    const digest = approvalDigest({
      action: intent.action,
      arguments: intent.arguments,
      preImage: body.preImage,
      policySet,
      writ: writId(writ),
    });
    if (digest !== request.body.digest) tell(`${place} stages another action than the one that was approved`);
  }
}

/** 9: approvals bind. */
export function approvedExactly(): Checker {
  return new ApprovedExactly();
}
