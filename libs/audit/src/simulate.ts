/**
 * Counterfactual policy: every recorded decision taken again at its own point, with a candidate bundle in the place of what stood in its layer; nothing
 * is asked, performed or written (PROTOCOL §4.1, GOALS first 7). A run that cannot be derived is named with the number of decisions that were not
 * looked at; it is never counted as unchanged.
 */
import type { LawView } from '@openexec/authority';
import type { Digest, KeyId, TrajectoryId } from '@openexec/canon';
import { decideAgain, type RunState } from '@openexec/kernel';
import type { ApprovalTerms, PolicyBundle, PolicyDecided, PolicyLayerName, PolicySet } from '@openexec/protocol';
import { type DecisionPoint, decisionsOf, LawHistory, type TrajectorySource, verdictOf } from './decisions.ts';
import { BlobReader } from './event.ts';
import type { NotDerivable } from './report.ts';

/** A bundle that is not in force, as if it had been: in its layer, for the whole past. */
export interface Candidate {
  readonly layer: PolicyLayerName;
  readonly bundle: PolicyBundle;
  readonly source: string;
  readonly signers: readonly KeyId[];
  /** Name of the shipped bundle in whose place a policy of the law decides. */
  readonly replaces: string;
}
/** How a decision would have come out; `asksOtherwise`: asked all the same, on other terms. */
export type DecisionChange = 'same' | 'newlyDenies' | 'newlyAsks' | 'newlyPermits' | 'asksOtherwise';
/** `both`: of the terms one is stricter, another looser. */
export type Direction = 'none' | 'narrowed' | 'widened' | 'both';
/** What a policy says of one decision. */
export interface Said {
  readonly verdict: PolicyDecided['verdict'];
  readonly by: PolicyDecided['by'];
  readonly rule: PolicyDecided['rule'];
  readonly because: string;
  readonly terms: ApprovalTerms | null;
}
/** One decision under both policies. */
export interface SimulatedDecision {
  readonly run: TrajectoryId;
  readonly seq: number;
  readonly intentSeq: number | null;
  readonly subject: string;
  readonly change: DecisionChange;
  readonly direction: Direction;
  readonly recorded: Said;
  readonly candidate: Said;
}
/** What became of one run. */
export interface SimulatedRun {
  readonly run: TrajectoryId;
  readonly decisions: number;
  readonly counts: Readonly<Record<DecisionChange, number>>;
  /** Null where every decision could be derived. */
  readonly notDerivable: (NotDerivable & { readonly missed: number }) | null;
}
/** The sum of all. */
export interface Simulation {
  readonly runs: readonly SimulatedRun[];
  readonly decisions: number;
  readonly counts: Readonly<Record<DecisionChange, number>>;
  readonly widened: number;
  readonly narrowed: number;
  /** Decisions that stand behind what was erased or cannot be read. */
  readonly missed: number;
}

const STRICTNESS = { permit: 0, approve: 1, deny: 2 } as const;
const NEWLY = { permit: 'newlyPermits', approve: 'newlyAsks', deny: 'newlyDenies' } as const;
const ASSURANCES = ['file', 'passphrase', 'hardware'];
const LAW_LAYERS: readonly PolicyLayerName[] = ['organisation', 'operator'];
const DECIDING: readonly PolicyLayerName[] = [...LAW_LAYERS, 'shipped'];
/** Of a kind of its own, so that it is never taken for a position of the law. */
const BESIDE_THE_LAW = Number.MAX_SAFE_INTEGER;
const noCounts = (): Record<DecisionChange, number> => ({ same: 0, newlyDenies: 0, newlyAsks: 0, newlyPermits: 0, asksOtherwise: 0 });

/** Simulates run after run; `each` is given every decision as it is made, and nothing of it is kept here. */
export async function simulate(
  source: TrajectorySource,
  runs: readonly TrajectoryId[],
  candidate: Candidate,
  each: (decision: SimulatedDecision) => void,
): Promise<Simulation> {
  const reader = new BlobReader(source);
  const shared = { reader, laws: await LawHistory.read(source, reader) };
  const swap = new Swap(candidate);
  const done: SimulatedRun[] = [];
  const sum = { widened: 0, narrowed: 0 };
  for (const run of runs) {
    const counts = noCounts();
    let notDerivable: SimulatedRun['notDerivable'] = null;
    for await (const point of decisionsOf(source, run, shared)) {
      if (point.what === 'gone') notDerivable = { ...point.from, missed: point.missed };
      if (point.what !== 'decision') continue;
      const made = simulateDecision(run, point, swap);
      counts[made.change] += 1;
      if (made.direction === 'widened' || made.direction === 'both') sum.widened += 1;
      if (made.direction === 'narrowed' || made.direction === 'both') sum.narrowed += 1;
      each(made);
    }
    done.push({ run, decisions: Object.values(counts).reduce((total, count) => total + count, 0), counts, notDerivable });
  }
  const counts = noCounts();
  for (const run of done) for (const change of Object.keys(counts) as DecisionChange[]) counts[change] += run.counts[change];
  return {
    runs: done,
    decisions: done.reduce((total, run) => total + run.decisions, 0),
    counts,
    ...sum,
    missed: done.reduce((total, run) => total + (run.notDerivable?.missed ?? 0), 0),
  };
}

function simulateDecision(run: TrajectoryId, point: DecisionPoint, swap: Swap): SimulatedDecision {
  const { seq, intentSeq, body, state, law, again, cause } = point;
  const other = decideAgain(swap.state(state), swap.law(law), { cause, intent: body.intent }, { carry: true });
  const recorded = saidOf(body, again.decision);
  const candidate = other === null ? recorded : saidOf(body, other.decision);
  return { run, seq, intentSeq, subject: body.subject, ...comparison(recorded, candidate), recorded, candidate };
}

function saidOf(
  body: { readonly intent: Digest | null },
  decision: Omit<Said, 'because'> & { readonly because: { readonly message: string } },
): Said {
  const { by, rule, because, terms } = decision;
  const verdict = verdictOf(body, decision.verdict);
  return { verdict, by, rule, because: because.message, terms: verdict === 'approve' ? terms : null };
}

function comparison(recorded: Said, candidate: Said): { readonly change: DecisionChange; readonly direction: Direction } {
  if (recorded.verdict !== candidate.verdict)
    return {
      change: NEWLY[candidate.verdict],
      direction: STRICTNESS[candidate.verdict] > STRICTNESS[recorded.verdict] ? 'narrowed' : 'widened',
    };
  const direction = recorded.terms === null || candidate.terms === null ? 'none' : termsDirection(recorded.terms, candidate.terms);
  return { change: direction === 'none' ? 'same' : 'asksOtherwise', direction };
}

function termsDirection(before: ApprovalTerms, after: ApprovalTerms): Direction {
  const rank = ({ minAssurance }: ApprovalTerms) => ASSURANCES.indexOf(minAssurance);
  const narrower = (a: ApprovalTerms, b: ApprovalTerms): boolean =>
    b.quorum > a.quorum ||
    b.ttlMs < a.ttlMs ||
    rank(b) > rank(a) ||
    (a.openerMayApprove && !b.openerMayApprove) ||
    a.roles.some((role) => !b.roles.includes(role));
  const narrowed = narrower(before, after);
  const widened = narrower(after, before);
  if (narrowed && widened) return 'both';
  return narrowed ? 'narrowed' : widened ? 'widened' : 'none';
}

/** Puts the candidate where it would stand, once per set and law: the kernel compiles a set by its object. */
class Swap {
  readonly #candidate: Candidate;
  readonly #sets = new WeakMap<PolicySet, PolicySet>();
  readonly #adopted = new WeakMap<LawView['adopted'], LawView['adopted']>();

  constructor(candidate: Candidate) {
    this.#candidate = candidate;
  }

  /**
   * A layer of the run's own: the deciding ones as a whole, project and run by the name of the bundle, beside the others where there is none of it. What
   * the law adopts decides in the place of what ships.
   */
  state(state: RunState): RunState {
    const { law } = state;
    const { layer, bundle, source, replaces } = this.#candidate;
    if (law === null) return state;
    const known = this.#sets.get(law.policySet);
    const taken = (each: PolicySet['layers'][number]) =>
      (each.layer === layer && (DECIDING.includes(layer) || each.bundle.name === bundle.name)) ||
      (LAW_LAYERS.includes(layer) && each.layer === 'shipped' && each.bundle.name === replaces);
    const made = known ?? {
      ...law.policySet,
      layers: [...law.policySet.layers.filter((each) => !taken(each)), { layer, bundle, source: source.slice(0, 256) }],
    };
    this.#sets.set(law.policySet, made);
    return { ...state, law: { ...law, policySet: made } };
  }

  law(law: LawView): LawView {
    const { layer, bundle, signers } = this.#candidate;
    if (layer !== 'operator' && layer !== 'organisation') return law;
    const known = this.#adopted.get(law.adopted);
    const before = law.adopted.find((each) => each.layer === layer);
    const digest = before?.digest ?? law.ledger;
    const seq = before?.seq ?? BESIDE_THE_LAW;
    const others = law.adopted.filter((each) => each.layer !== layer);
    const made = known ?? (digest === null ? law.adopted : [...others, { layer, bundle, digest, seq, signers }]);
    this.#adopted.set(law.adopted, made);
    return { ...law, adopted: made };
  }
}
