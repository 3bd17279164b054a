/**
 * The one rule of judging, held against one recorded run: at the first judgement with a new cause the kernel judges once, at that same point, and
 * its list is compared with the recorded one, entry by entry. What differs is listed, the recorded event is folded, and it goes on (PROTOCOL §4.1).
 */
import type { LawView } from '@openexec/authority';
import { type Bytes, canonicalBytes, type Digest, equalBytes, type Instant, type Json, type TrajectoryId } from '@openexec/canon';
import { evolve, initialState, type Judgement, judge, type RunEvent, type RunState } from '@openexec/kernel';
import { factsOf, type Stored } from '@openexec/ledger';
import type { FactNoted } from '@openexec/protocol';
import { aboutOf } from './about.ts';
import { boundedDrift, type Difference, textOf } from './drift.ts';
import { type BlobReader, bodyOf, type EventProblem, eventOf } from './event.ts';
import type { Divergence, DivergenceKind, DriftKind, NotDerivable, RunReport, Violation } from './report.ts';

/** The list that the kernel makes of one fact, and how much of it was met. */
interface Expectation {
  readonly cause: number;
  readonly at: Instant;
  readonly law: number;
  readonly list: readonly Judgement[];
  next: number;
}

/** The two functions of the kernel that judging again needs; a candidate for the next version of it is another pair (ARCHITECTURE §2 "golden runs"). */
export interface JudgingKernel {
  readonly evolve: typeof evolve;
  readonly judge: typeof judge;
}

const PRESENT: JudgingKernel = { evolve, judge };

/** Divergences listed one by one; the rest are counted. */
const MAX_LISTED = 1000;

/** Both values as text, every place in which they differ, and the bodies they were taken from. */
interface Values {
  readonly expected: string | null;
  readonly recorded: string | null;
  readonly drift?: readonly Difference[];
  readonly sides?: { readonly expected: Json | undefined; readonly recorded: Json | undefined };
}

const bodyBytes = (made: Judgement): Bytes => canonicalBytes(asJson(made.body));

/** Bodies are JSON by their schemas; only their interfaces lack the index signature. */
function asJson(body: unknown): Json {
  return body as Json;
}

export class RunAudit {
  readonly run: TrajectoryId;
  readonly #reader: BlobReader;
  readonly #kernel: JudgingKernel;
  readonly #divergences: Divergence[] = [];
  readonly #counts = new Map<DriftKind, number>();
  #total = 0;
  readonly #violations: Violation[] = [];
  /** Blobs of judgements that were found there already. */
  readonly #seen = new Set<Digest>();
  #state: RunState;
  #expected: Expectation | null = null;
  #from: NotDerivable | null = null;
  #judgements = 0;
  #facts = 0;
  #closed = false;
  /** Queued and not yet judged. */
  #pending = 0;
  #last: Stored | null = null;

  constructor(run: TrajectoryId, reader: BlobReader, kernel: JudgingKernel = PRESENT) {
    this.run = run;
    this.#reader = reader;
    this.#kernel = kernel;
    this.#state = initialState(run);
  }

  /** The fold so far; not meaningful once the run is not derivable. */
  get state(): RunState {
    return this.#state;
  }

  /** How many differences there are of each kind. */
  get counts(): ReadonlyMap<DriftKind, number> {
    return this.#counts;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get divergences(): number {
    return this.#total;
  }

  /** Takes the next entry of this run. `law` is the law as it stands at this place of the tree. */
  async take(stored: Stored, law: LawView): Promise<void> {
    this.#last = stored;
    // Closing empties the queue; what stood in it then stays pending for ever.
    const left = this.#state.queue.filter(({ seq }) => seq !== stored.entry.cause).length;
    const judged = factsOf(stored.entry.kind)?.judged === true;
    if (judged) this.#judgements += 1;
    else this.#facts += 1;
    if (this.#from === null) await (judged ? this.#takeJudgement(stored, law) : this.#takeFact(stored));
    if (stored.entry.kind === 'run.closed' || stored.entry.kind === 'selfTest.recorded') {
      this.#finishList(stored);
      this.#closed = true;
    }
    this.#pending = this.#closed && this.#from === null ? left : this.#state.queue.length;
  }

  /** Folds an entry as it is recorded and judges nothing: for what stands before the part that is looked at. */
  async passOver(stored: Stored): Promise<void> {
    this.#last = stored;
    if (this.#from !== null) return;
    const body = bodyOf(stored);
    const event = body.ok ? await eventOf(stored, body.value, this.#reader) : body;
    if (!event.ok) return this.#stop(stored, event.error);
    this.#fold(stored, event.value);
    this.#pending = this.#state.queue.length;
  }

  async #takeFact(stored: Stored): Promise<void> {
    const open = this.#expected;
    const due = open?.list[open.next];
    if (due !== undefined) this.#differ(stored, 'order', due.kind, { expected: due.kind, recorded: stored.entry.kind });
    const body = bodyOf(stored);
    if (!body.ok) return this.#stop(stored, body.error);
    await this.#evolve(stored, body.value);
  }

  async #takeJudgement(stored: Stored, law: LawView): Promise<void> {
    const { cause } = stored.entry;
    if (this.#expected === null || this.#expected.cause !== cause) {
      this.#finishList(stored);
      this.#expected = this.#judgeAgain(stored, law);
    }
    const expected = this.#expected;
    if (expected === null) return;
    const matched = this.#compare(stored, expected);
    if (matched !== null) {
      await this.#blobsThere(stored, matched);
      return this.#evolve(stored, asJson(matched.body), matched);
    }
    const body = bodyOf(stored);
    if (!body.ok) return this.#stop(stored, body.error);
    await this.#evolve(stored, body.value);
  }

  /** Lets the kernel judge at this point; null when it cannot, which ends the audit of this run. */
  #judgeAgain(stored: Stored, law: LawView): Expectation | null {
    const { cause, at } = stored.entry;
    const fact = this.#state.queue.find(({ seq }) => seq === cause);
    const oldest = this.#state.queue[0];
    const list: readonly Judgement[] = [];
    if (fact === undefined) return { cause: cause ?? -1, at, law: law.position, list, next: 0 };
    if (oldest !== undefined && oldest !== fact)
      this.#differ(stored, 'cause', stored.entry.kind, { expected: `${oldest.seq}`, recorded: `${fact.seq}` });
    // Where an older fact was passed over, the recorded one is judged all the same, so that one fault does not hide the next.
    const queue = [fact, ...this.#state.queue.filter((queued) => queued !== fact)];
    try {
      return { cause: fact.seq, at: fact.event.at, law: law.position, list: this.#kernel.judge({ ...this.#state, queue }, law), next: 0 };
    } catch (fault) {
      this.#impossible(stored, fault);
      return null;
    }
  }

  /** Compares one recorded judgement with the list; gives the kernel's own where it is the same, else null. */
  #compare(stored: Stored, expected: Expectation): Judgement | null {
    const { kind, at, law } = stored.entry;
    if (law !== expected.law) this.#differ(stored, 'law', kind, { expected: `${expected.law}`, recorded: `${law}` });
    if (at !== expected.at) this.#differ(stored, 'at', kind, { expected: expected.at, recorded: at });
    const due = expected.list[expected.next];
    const { payload } = stored;
    const isSame = (made: Judgement): boolean => made.kind === kind && payload !== null && equalBytes(bodyBytes(made), payload);
    if (due !== undefined && isSame(due)) {
      expected.next += 1;
      return due;
    }
    const later = expected.list.findIndex((made, place) => place > expected.next && isSame(made));
    if (later >= 0) {
      for (const made of expected.list.slice(expected.next, later)) this.#missing(stored, made);
      expected.next = later + 1;
      return expected.list[later] ?? null;
    }
    if (payload === null) {
      expected.next += 1; // Its place is taken by what nobody can read any more.
      return null;
    }
    this.#unequal(stored, expected, due);
    return null;
  }

  #unequal(stored: Stored, expected: Expectation, due: Judgement | undefined): void {
    const { kind } = stored.entry;
    const body = bodyOf(stored);
    const recorded = body.ok ? body.value : undefined;
    if (due?.kind !== kind)
      return this.#differ(stored, due === undefined ? 'extra' : 'kind', due?.kind ?? null, {
        expected: due?.kind ?? null,
        recorded: kind,
        sides: { expected: due === undefined ? undefined : asJson(due.body), recorded },
      });
    expected.next += 1;
    const made = asJson(due.body);
    this.#differ(stored, 'payload', kind, {
      expected: textOf(made),
      recorded: textOf(recorded),
      drift: recorded === undefined ? [] : boundedDrift(made, recorded),
      sides: { expected: made, recorded },
    });
  }

  #missing(stored: Stored, made: Judgement): void {
    const body = asJson(made.body);
    const sides = { expected: body, recorded: undefined };
    this.#note(stored, 'missing', { expected: made.kind, recorded: null }, { expected: textOf(body), recorded: null, sides });
  }

  /** What the kernel made beyond what was recorded. */
  #finishList(stored: Stored | null): void {
    const open = this.#expected;
    this.#expected = null;
    if (open === null || stored === null) return;
    for (const made of open.list.slice(open.next)) this.#missing(stored, made);
  }

  async #blobsThere(stored: Stored, made: Judgement): Promise<void> {
    for (const { digest } of made.blobs) {
      if (this.#seen.has(digest)) continue;
      const read = await this.#reader.read(digest);
      if (read.ok) this.#seen.add(digest);
      else if (read.error.code === 'blob.erased') this.#notDerivable(stored, read.error);
      else this.#differ(stored, 'blob', made.kind, { expected: digest, recorded: null });
    }
  }

  async #evolve(stored: Stored, body: Json, made?: Judgement): Promise<void> {
    const given = new Map(made?.blobs.map((blob) => [blob.digest, blob.bytes] as const) ?? []);
    const event = await eventOf(stored, body, this.#reader, given);
    if (!event.ok) return this.#stop(stored, event.error);
    if (event.value.kind === 'fact.noted') this.#noteViolation(stored, event.value.body);
    this.#fold(stored, event.value);
  }

  #fold(stored: Stored, event: RunEvent): void {
    try {
      this.#state = this.#kernel.evolve(this.#state, stored.entry.seq, event);
    } catch (fault) {
      this.#impossible(stored, fault);
    }
  }

  #noteViolation(stored: Stored, body: FactNoted): void {
    if (body.violation) this.#violations.push({ seq: stored.entry.seq, why: body.why, message: body.message });
  }

  #stop(stored: Stored, problem: EventProblem): void {
    if (problem.what === 'body')
      this.#differ(stored, 'body', stored.entry.kind, { expected: `a body of ${stored.entry.kind}`, recorded: problem.message });
    this.#notDerivable(stored, problem);
  }

  /** The kernel never stops on a past that it made itself; on any other it may. */
  #impossible(stored: Stored, fault: unknown): void {
    const message = typeof fault === 'object' && fault !== null && 'message' in fault ? String(fault.message) : String(fault);
    this.#differ(stored, 'kernel', null, { expected: 'a past that the kernel can have made', recorded: message });
    this.#notDerivable(stored, { code: 'kernel.refused', message });
  }

  #notDerivable(stored: Stored, problem: { readonly code: string; readonly message: string }): void {
    this.#from ??= { seq: stored.entry.seq, code: problem.code, message: problem.message };
    this.#expected = null;
    this.#state = initialState(this.run); // Nothing more is judged, so nothing more is held.
  }

  #differ(stored: Stored, what: DivergenceKind, expectedKind: string | null, values: Values): void {
    this.#note(stored, what, { expected: expectedKind, recorded: stored.entry.kind }, values);
  }

  #note(stored: Stored, what: DivergenceKind, kind: Divergence['kind'], values: Values): void {
    const { expected, recorded, drift = [], sides } = values;
    const about = aboutOf({ what, kind, expected: sides?.expected, recorded: sides?.recorded, drift });
    this.#total += 1;
    this.#counts.set(about, (this.#counts.get(about) ?? 0) + 1);
    if (this.#divergences.length >= MAX_LISTED) return;
    this.#divergences.push({ index: stored.index, seq: stored.entry.seq, kind, what, about, expected, recorded, drift });
  }

  /** Something about an entry that does not hold although the kernel has no say in it. */
  fault(stored: Stored, what: DivergenceKind, values: { readonly expected: string | null; readonly recorded: string | null }): void {
    this.#differ(stored, what, stored.entry.kind, values);
  }

  /** Ends the audit: what is missing at the end is missing, what is queued is pending. */
  finish(): RunReport {
    if (this.#from === null) this.#finishList(this.#last);
    const verdict = this.#total > 0 ? 'diverges' : this.#from === null ? 'agrees' : 'notDerivable';
    return {
      run: this.run,
      verdict,
      judgements: this.#judgements,
      facts: this.#facts,
      pending: this.#pending,
      closed: this.#closed,
      divergences: this.#divergences,
      omitted: this.#total - this.#divergences.length,
      violations: this.#violations,
      ...(this.#from === null ? {} : { from: this.#from }),
    };
  }
}
