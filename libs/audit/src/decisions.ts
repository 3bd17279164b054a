/**
 * Every recorded decision of one run, each with the state and the law at the very point at which it was taken, one after the other: for whoever
 * explains decisions or holds another policy against them. Holds one state at a time; what cannot be derived is said with the place from which on,
 * never left out (PROTOCOL §§4.1, 10).
 */
import { emptyLaw, type LawView } from '@openexec/authority';
import { canonicalText, type Bytes, type Digest, type Instant, type Json, type Result, type TrajectoryId } from '@openexec/canon';
import { type DecidedAgain, decideAgain, evolve, initialState, type RunState } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import type { ApprovalResolved, PolicyDecided } from '@openexec/protocol';
import { BlobReader, bodyOf, eventOf } from './event.ts';
import { nextLaw } from './law.ts';
import type { NotDerivable } from './report.ts';

/** Where trajectories and blobs are read from: any store. */
export interface TrajectorySource {
  read(trajectory: TrajectoryId, from?: number, to?: number): AsyncIterable<Stored>;
  blob(digest: Digest): Promise<Result<Bytes, { readonly code: string; readonly message: string }>>;
}
/** A recorded decision where it stands. */
export interface DecisionPoint {
  readonly what: 'decision';
  readonly seq: number;
  readonly at: Instant;
  readonly cause: number;
  readonly body: PolicyDecided;
  /** Where the intent was declared; null for the question to a model. */
  readonly intentSeq: number | null;
  /** The fold of every entry before it. */
  readonly state: RunState;
  /** The law under which it was taken. */
  readonly law: LawView;
  /** The same decision made again, as it was. */
  readonly again: DecidedAgain;
}
/** What people made of a question that a decision asked; `decision` is that decision's `seq`. */
export interface AnsweredPoint {
  readonly what: 'answered';
  readonly seq: number;
  readonly decision: number;
  readonly outcome: ApprovalResolved['outcome'];
  readonly keys: readonly string[];
}
/** An effect outside the declaration, and the decision that had let its action through. */
export interface UndeclaredPoint {
  readonly what: 'undeclared';
  readonly seq: number;
  readonly decision: number;
  readonly code: string;
  /** Packets towards the network; 0 where none was seen. */
  readonly attempts: number;
}
/** From here on nothing of the run can be derived: `missed` decisions stand behind it. */
export interface GonePoint {
  readonly what: 'gone';
  readonly from: NotDerivable;
  readonly missed: number;
}
export type RunPoint = DecisionPoint | AnsweredPoint | UndeclaredPoint | GonePoint;

const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** The law after each of its entries, by position. Views share what they have in common. */
export class LawHistory {
  readonly #views: LawView[] = [];

  /** Reads the whole trajectory `law`. */
  static async read(source: TrajectorySource, reader: BlobReader): Promise<LawHistory> {
    const history = new LawHistory();
    let law = emptyLaw();
    for await (const stored of source.read(LAW)) {
      ({ law } = await nextLaw(law, stored, reader));
      history.#views.push(law);
    }
    return history;
  }

  at(position: number | null): LawView | null {
    return position === null ? null : (this.#views[position] ?? null);
  }
}

/** Reads one run. Whoever stops reading stops the work. */
export async function* decisionsOf(
  source: TrajectorySource,
  run: TrajectoryId,
  shared: { readonly reader: BlobReader; readonly laws: LawHistory },
): AsyncGenerator<RunPoint> {
  const walk = new Walk(run, shared);
  for await (const stored of source.read(run)) {
    const point = await walk.take(stored);
    if (point !== null) yield point;
  }
  if (walk.gone !== null) yield walk.gone;
}

class Walk {
  readonly #shared: { readonly reader: BlobReader; readonly laws: LawHistory };
  #state: RunState;
  /** `seq` of what an id names: of an intent's declaration, of a decision, of the decision that asked a request, that let an execution start. */
  readonly #places = new Map<string, number>();
  gone: GonePoint | null = null;

  constructor(run: TrajectoryId, shared: { readonly reader: BlobReader; readonly laws: LawHistory }) {
    this.#shared = shared;
    this.#state = initialState(run);
  }

  async take(stored: Stored): Promise<RunPoint | null> {
    const { kind } = stored.entry;
    if (this.gone !== null) {
      if (kind === 'policy.decided') this.gone = { ...this.gone, missed: this.gone.missed + 1 };
      return null;
    }
    const body = bodyOf(stored);
    if (!body.ok) return this.#stop(stored, body.error);
    const event = await eventOf(stored, body.value, this.#shared.reader);
    if (!event.ok) return this.#stop(stored, event.error);
    try {
      const point = event.value.kind === 'policy.decided' ? this.#decided(stored, event.value.body) : this.#noticed(stored, event.value);
      this.#state = evolve(this.#state, stored.entry.seq, event.value);
      return point;
    } catch (fault) {
      // The kernel never stops on a past that it made itself; on any other it may.
      const message = typeof fault === 'object' && fault !== null && 'message' in fault ? String(fault.message) : String(fault);
      return this.#stop(stored, { code: 'kernel.refused', message });
    }
  }

  #decided(stored: Stored, body: PolicyDecided): RunPoint | null {
    const { seq, at, cause } = stored.entry;
    this.#places.set(body.decision, seq);
    const law = this.#shared.laws.at(stored.entry.law);
    const point = { cause: cause ?? -1, intent: body.intent };
    const again = law === null ? null : decideAgain(this.#state, law, point);
    if (law === null || again === null)
      return this.#stop(stored, { code: 'decision.underivable', message: 'nothing was to be decided here' });
    if (!sameDecision(body, again))
      return this.#stop(stored, {
        code: 'decision.diverges',
        message: 'the kernel decides otherwise here; openexec verify --deep says how',
      });
    const intentSeq = body.intent === null ? null : (this.#places.get(body.intent) ?? null);
    return { what: 'decision', seq, at, cause: point.cause, body, intentSeq, state: this.#state, law, again };
  }

  #noticed(stored: Stored, event: Exclude<Parameters<typeof evolve>[2], { kind: 'policy.decided' }>): RunPoint | null {
    const { seq } = stored.entry;
    const place = (id: string): number => this.#places.get(id) ?? -1;
    if (event.kind === 'intent.declared') this.#places.set(event.body.intent, seq);
    if (event.kind === 'proposal.suspended') this.#places.set(event.body.request, place(event.body.decision));
    if (event.kind === 'proposal.staged') this.#places.set(event.body.proposal, place(event.body.decision));
    if (event.kind === 'execution.started') this.#places.set(event.body.execution, place(event.body.proposal));
    if (event.kind === 'approval.resolved' && this.#places.has(event.body.request)) {
      const { request, outcome, votes } = event.body;
      return { what: 'answered', seq, decision: place(request), outcome, keys: votes.map(({ key }) => key) };
    }
    if (event.kind !== 'effect.undeclared') return null;
    const { execution, because, network } = event.body;
    return { what: 'undeclared', seq, decision: place(execution), code: because.code, attempts: network?.attempts ?? 0 };
  }

  #stop(stored: Stored, problem: { readonly code: string; readonly message: string }): null {
    const { seq, kind, trajectory } = stored.entry;
    const from = { seq, code: problem.code, message: problem.message };
    this.gone = { what: 'gone', from, missed: kind === 'policy.decided' ? 1 : 0 };
    this.#state = initialState(trajectory); // Nothing more is derived, so nothing more is held.
    return null;
  }
}

/** A question to a model cannot be asked of people, so that policy's wish to ask is recorded as a denial. */
export function verdictOf(body: { readonly intent: Digest | null }, verdict: PolicyDecided['verdict']): PolicyDecided['verdict'] {
  return body.intent === null && verdict === 'approve' ? 'deny' : verdict;
}

function sameDecision(body: PolicyDecided, { decision }: DecidedAgain): boolean {
  const { verdict, by, rule, policySet } = decision;
  const made: Json = { verdict: verdictOf(body, verdict), by, rule, policySet };
  return canonicalText(made) === canonicalText({ verdict: body.verdict, by: body.by, rule: body.rule, policySet: body.policySet });
}
