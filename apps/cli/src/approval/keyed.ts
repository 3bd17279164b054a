/**
 * An approver that holds a key: shows the exact content to whoever decides, and signs what they say. Must never sign without a decision.
 */
import type { Digest } from '@openexec/canon';
import type { ApprovalQuestion, Approver, StopSignal } from '@openexec/catalogue';
import type { FileKey } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import type { Surroundings } from '../context.ts';
import { contentOf, findApproval } from './requests.ts';
import { signVote } from './vote.ts';

/** What an approver signs with, and where it looks. */
export interface Keyed {
  readonly key: FileKey;
  readonly ledger: Digest;
  readonly store: LedgerStore;
  readonly root: string;
  /** Recorded with the vote. */
  readonly because: string;
}

/** Decides one question, seeing its exact content; null where no decision is given now. */
export type Decide = (question: ApprovalQuestion, content: string, stop: StopSignal) => Promise<'approve' | 'deny' | null>;

/** An approver that asks `decide` and signs its answer. */
export function keyedApprover(context: Pick<Surroundings, 'randomness'>, keyed: Keyed, decide: Decide): Approver {
  return {
    async ask(question, stop) {
      const found = await findApproval(keyed.store, question.request);
      const content = found.ok ? await contentOf(found.value, keyed) : question.detail;
      const decision = await decide(question, content, stop);
      if (decision === null) return null;
      const { key, ledger, because } = keyed;
      const { request, run, digest, until } = question;
      return signVote({ key, randomness: context.randomness, ledger, run, request, digest, until, decision, because });
    },
  };
}
