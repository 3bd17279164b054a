/**
 * Which policies a decision is taken under: the set that the run was opened with, and what the law has adopted. Must never let what a run carries stand
 * in the place of what the law says now; the strictest of both wins (PROTOCOL §§6, 7).
 */
import type { LawView } from '@openexec/authority';
import { type Digest, digestJson } from '@openexec/canon';
import type { LayeredPolicy } from '@openexec/policy';
import type { PolicySet } from '@openexec/protocol';
import type { RunState } from './state.ts';

/** Both sets; `adopted` is null where the law adds nothing to what the run carries. */
export interface PoliciesInForce {
  readonly own: LayeredPolicy;
  readonly adopted: LayeredPolicy | null;
}

/** By the very objects of a run's set and of a law view, so that a set is compiled once per law position. */
const known = new WeakMap<PolicySet, WeakMap<LawView['adopted'], PoliciesInForce>>();

/** The sets that are asked; null before the run has a law. */
export function policiesInForce(state: RunState, law: LawView): PoliciesInForce | null {
  const set = state.law?.policySet;
  if (set === undefined) return null;
  const ofSet = known.get(set) ?? new WeakMap<LawView['adopted'], PoliciesInForce>();
  known.set(set, ofSet);
  const made = ofSet.get(law.adopted) ?? join(set, law);
  ofSet.set(law.adopted, made);
  return made;
}

function join(set: PolicySet, { adopted }: LawView): PoliciesInForce {
  if (adopted.length === 0) return { own: set, adopted: null };
  const signed = adopted.map(({ layer, bundle, seq, signers }) => ({ layer, bundle, source: `law/${seq}`, signers }));
  // A run that was opened under this very law carries its bundles: they are asked once, under the names of those who signed them.
  const lawOf = new Map<string, Digest>(adopted.map(({ layer, digest }) => [layer, digest]));
  const layers = set.layers.map((each) => {
    const found = lawOf.get(each.layer) === undefined ? undefined : signed.find(({ layer }) => layer === each.layer);
    return found !== undefined && digestJson(each.bundle) === lawOf.get(each.layer) ? found : each;
  });
  const carried = signed.filter((each) => layers.includes(each));
  const own = carried.length === 0 ? set : { ...set, layers };
  return { own, adopted: carried.length === signed.length ? null : { layers: signed, riskThreshold: set.riskThreshold } };
}
