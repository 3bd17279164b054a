/**
 * How verdicts are joined: deny over approve over permit, and of several approvals the strictest terms. Must never give less than any of its
 * parts asked. PROTOCOL §7.
 */

import type { ApprovalTerms, Assurance } from '@openexec/protocol';

/** What a set says in the end. */
export type PolicyVerdict = 'permit' | 'deny' | 'approve';

/** A verdict with its reason. */
export interface Voice {
  readonly verdict: PolicyVerdict;
  /** The rule that decided, or null when nothing permitted. */
  readonly rule: { readonly layer: string; readonly rule: string } | null;
  readonly because: string;
  /** For `approve`: the strictest of what the applying rules ask; else null. */
  readonly terms: ApprovalTerms | null;
}

const STRICTNESS: Readonly<Record<PolicyVerdict, number>> = { permit: 0, approve: 1, deny: 2 };
const ASSURANCE_ORDER: readonly Assurance[] = ['file', 'passphrase', 'hardware'];

/** Whether the first verdict is stricter than the second. */
export function stricter(a: PolicyVerdict, b: PolicyVerdict): boolean {
  return STRICTNESS[a] > STRICTNESS[b];
}

/** Approvals that no key could satisfy together deny. */
export function noCommonRole({ rule, because }: Voice): Voice {
  return { verdict: 'deny', rule, because: `${because}; but the rules that ask for approval have no approver role in common`, terms: null };
}

/** The strictest of at least one voice, the first of equals; approvals that no key could satisfy together deny. */
export function joinVoices(voices: readonly Voice[]): Voice {
  const [first, ...others] = voices;
  if (first === undefined) throw new Error('at least one layer speaks');
  let strictest = first;
  for (const voice of others) if (stricter(voice.verdict, strictest.verdict)) strictest = voice;
  const { verdict, rule, because } = strictest;
  if (verdict !== 'approve') return { verdict, rule, because, terms: null };
  const terms = joinTerms(voices.flatMap((voice) => (voice.terms === null ? [] : [voice.terms])));
  return terms === null ? noCommonRole(strictest) : { verdict, rule, because, terms };
}

/** What satisfies all: most votes, least time, highest assurance, common roles, the opener only where each allows it. Null: no common role. */
export function joinTerms(all: readonly ApprovalTerms[]): ApprovalTerms | null {
  const [first, ...others] = all;
  if (first === undefined) return null;
  const roles = first.roles.filter((role) => others.every((terms) => terms.roles.includes(role)));
  if (roles.length === 0) return null;
  const rank = Math.max(...all.map(({ minAssurance }) => ASSURANCE_ORDER.indexOf(minAssurance)));
  return {
    roles,
    quorum: Math.max(...all.map(({ quorum }) => quorum)),
    ttlMs: Math.min(...all.map(({ ttlMs }) => ttlMs)),
    minAssurance: ASSURANCE_ORDER[rank] ?? 'hardware',
    openerMayApprove: all.every(({ openerMayApprove }) => openerMayApprove),
  };
}
