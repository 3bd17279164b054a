/**
 * One driver's hold on one run: the fold it acts on, the law it judges under, and the only place from which it appends. Must never act on a state
 * that is not durable, nor count a duplicate as a licence for an effect (PROTOCOL §§3, 4.1, 4.4).
 */
import { type Bytes, type Digest, instantToMs, type Instant, type Json, maxInstant, ok, type Result } from '@openexec/canon';
import type { LawView } from '@openexec/authority';
import { evolve, judge, type Judgement, neededBlobs, rewindProblem, type RunEvent, type RunState } from '@openexec/kernel';
import type { Actor, AppendBatch, Appended, AppendFailure, Blob, Draft } from '@openexec/ledger';
import type { Body, FactKind, RunRewound } from '@openexec/protocol';
import { type CarvePart, settle } from './carve.ts';
import { ledgerRefusal, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands } from './hands.ts';
import { type Folded, foldStored, foldTail, loadLaw } from './read.ts';
import { SnapshotHabit } from './snapshots.ts';
import { NEVER } from './stop.ts';

/** A store that is busy is asked this often again, this long apart. */
const BUSY_TRIES = 20;
const BUSY_WAIT_MS = 100;
/** Conflicts in a row, each with something read in between, before the store is held for broken. */
const MAX_CONFLICTS = 1000;

/** A fact of the driver before it has a place. `blobs` holds every blob that the body names and the ledger may not have. */
export interface FactOf<K extends FactKind> {
  readonly kind: K;
  readonly body: Body<K>;
  readonly actor: Actor;
  readonly blobs: readonly Blob[];
}
/** Any of them, told apart by its kind. */
export type NewFact = { readonly [K in FactKind]: FactOf<K> }[FactKind];
/** What an append came to: in the ledger, or the state has moved and is to be looked at again. */
type Progress = 'appended' | 'again';

/** Mutable on purpose: exactly one per drive, and nobody else holds it. */
export class Session {
  readonly hands: Hands;
  readonly driver: string;
  #epoch: number;
  #folded: Folded;
  #law: LawView;
  /** Positions of `execution.started` and `model.asked` that this process made durable: only these may it perform. */
  readonly #started = new Set<number>();
  readonly #habit: SnapshotHabit | null;

  constructor(start: { readonly hands: Hands; readonly driver: string; readonly folded: Folded; readonly law: LawView }) {
    this.hands = start.hands;
    this.driver = start.driver;
    this.#epoch = start.folded.epoch;
    this.#folded = start.folded;
    this.#law = start.law;
    this.#habit = start.hands.snapshots === undefined ? null : new SnapshotHabit(start.hands.snapshots, start.folded);
  }

  get state(): RunState {
    return this.#folded.state;
  }
  get folded(): Folded {
    return this.#folded;
  }
  /** What each fact of this driver carries. */
  get driven(): { readonly driver: string; readonly epoch: number } {
    return { driver: this.driver, epoch: this.#epoch };
  }
  /** Whether this process may perform what was started at this position. */
  mayPerform(startedSeq: number): boolean {
    return this.#started.has(startedSeq);
  }
  now(): Instant {
    const { clock } = this.hands;
    return this.#folded.factAt === null ? clock.now() : maxInstant(clock.now(), this.#folded.factAt);
  }
  /** Milliseconds until an instant by this driver's clock; zero once it has passed. */
  until(instant: Instant): number {
    return Math.max(0, instantToMs(instant) - instantToMs(this.now()));
  }

  /** Reads what others appended. `run.busy` once somebody drives under a newer epoch. */
  async refresh(): Promise<Result<void, RuntimeFailure>> {
    const tail = await foldTail(this.hands.ledger, this.#folded, (stored, body) => this.hands.observe?.(stored, body));
    if (!tail.ok) return tail;
    this.#folded = tail.value;
    const { epoch, driver, state } = tail.value;
    if (epoch > this.#epoch || (epoch === this.#epoch && driver !== this.driver))
      return refuse('run.busy', `${state.run} is driven by ${driver} under epoch ${epoch}; this driver (epoch ${this.#epoch}) stops`);
    return ok(undefined);
  }

  /** Judges everything that is queued, oldest first. */
  async settle(): Promise<Result<void, RuntimeFailure>> {
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; ) {
      const fact = this.state.queue[0];
      if (fact === undefined || this.state.status === 'closed') return ok(undefined);
      const judged = draftsOf(judge(this.state, this.#law), { at: fact.event.at, cause: fact.seq, law: this.#law.position });
      const done = await this.#append(judged.drafts, judged.blobs, this.#law.position);
      if (!done.ok) return done;
      conflicts = done.value === 'again' ? conflicts + 1 : 0;
    }
    return contended(this.state);
  }

  /**
   * Appends one fact with its judgements in one batch, once everything queued is judged. When the run has moved meanwhile and `wanted` no longer
   * holds, nothing is appended and the answer is false.
   */
  async add(fact: NewFact, wanted: (state: RunState) => boolean = () => true): Promise<Result<boolean, RuntimeFailure>> {
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      const settled = await this.settle();
      if (!settled.ok) return settled;
      if (this.state.status === 'closed' || !wanted(this.state)) return ok(false);
      const at = this.now();
      const seq = this.state.nextSeq;
      const queued = evolve(this.state, seq, eventOf(fact, at));
      const judged = draftsOf(judge(queued, this.#law), { at, cause: seq, law: this.#law.position });
      const done = await this.#append(
        [draftOf(fact, at), ...judged.drafts],
        distinct([...fact.blobs, ...judged.blobs]),
        this.#law.position,
      );
      if (!done.ok) return done;
      if (done.value === 'appended') return ok(true);
    }
    return contended(this.state);
  }

  /**
   * Takes the run over under the next epoch: `run.resumed` alone, also while other facts are queued (PROTOCOL §4.4). `run.busy` when another
   * driver does the same first.
   */
  async resume(because: string): Promise<Result<void, RuntimeFailure>> {
    this.#epoch = this.#folded.epoch + 1;
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      if (this.state.status === 'closed') return ok(undefined);
      const fact: NewFact = { kind: 'run.resumed', actor: 'runtime', body: { ...this.driven, because }, blobs: [] };
      const done = await this.#append([draftOf(fact, this.now())], [], undefined);
      if (!done.ok) return done;
      if (done.value === 'appended') return ok(undefined);
    }
    return contended(this.state);
  }

  /**
   * Takes the run over under the next epoch by rewinding it, once everything queued is judged. False, and nothing appended, where the rewind would be
   * refused.
   */
  async rewind(to: Pick<RunRewound, 'stage' | 'visit'>): Promise<Result<boolean, RuntimeFailure>> {
    const settled = await this.settle();
    if (!settled.ok) return settled;
    this.#epoch = this.#folded.epoch + 1;
    const body = { ...this.driven, ...to };
    return this.add({ kind: 'run.rewound', actor: 'runtime', body, blobs: [] }, (state) => rewindProblem(state, body) === null);
  }

  async #append(drafts: readonly Draft[], blobs: readonly Blob[], law: number | undefined): Promise<Result<Progress, RuntimeFailure>> {
    this.hands.crashPoint?.('W2.appending');
    const batch: AppendBatch = {
      to: [{ trajectory: this.state.run, expect: this.state.nextSeq - 1, drafts }, ...this.#givenBack(drafts)],
      blobs,
      ...(law === undefined ? {} : { law }),
    };
    const appended = await this.#handIn(batch);
    if (!appended.ok) return this.#after(appended.error);
    this.hands.crashPoint?.('W3.appended');
    const known = new Map<Digest, Bytes>(blobs.map((blob) => [blob.digest, blob.bytes]));
    for (const stored of appended.value.stored) {
      if (stored.entry.trajectory !== this.state.run) continue;
      const next = await foldStored(this.hands.ledger, this.#folded, stored, known);
      if (!next.ok) return next;
      this.#folded = next.value.folded;
      const { kind, seq } = stored.entry;
      if (appended.value.outcome === 'appended' && (kind === 'execution.started' || kind === 'model.asked')) this.#started.add(seq);
      this.hands.observe?.(stored, next.value.body);
    }
    if ((await this.#habit?.after(this.#folded)) === true) this.hands.crashPoint?.('W14.kept');
    return ok('appended');
  }

  /** What a close gives back to the writs that the run was carved from. */
  #givenBack(drafts: readonly Draft[]): readonly CarvePart[] {
    const close = drafts.find(({ kind }) => kind === 'run.closed');
    if (close === undefined) return [];
    // The kernel wrote it just now.
    const { spend } = close.payload as unknown as Body<'run.closed'>;
    return settle({ writs: this.#folded.writs, delegated: this.#folded.delegated, run: this.state.run, at: close.at, spend });
  }

  /** The port promises that nothing was stored when it was busy; every other refusal is the caller's to look at. */
  async #handIn(batch: AppendBatch): Promise<Result<Appended, AppendFailure>> {
    for (let tries = 1; ; tries++) {
      const appended = await this.hands.ledger.append(batch);
      if (appended.ok || appended.error.code !== 'store.busy' || tries >= BUSY_TRIES) return appended;
      await this.hands.sleep(BUSY_WAIT_MS, NEVER);
    }
  }

  async #after(failure: AppendFailure): Promise<Result<Progress, RuntimeFailure>> {
    if (failure.code === 'law.stale') {
      const law = await loadLaw(this.hands.ledger, this.#law);
      if (!law.ok) return law;
      this.#law = law.value;
      return ok('again');
    }
    if (failure.code !== 'conflict' && failure.code !== 'trajectory.closed') return ledgerRefusal(failure);
    const read = await this.refresh();
    return read.ok ? ok('again') : read;
  }
}

function eventOf(fact: NewFact, at: Instant): RunEvent {
  const all = new Map(fact.blobs.map((blob) => [blob.digest, blob.bytes]));
  const needed = new Map<Digest, Bytes>();
  for (const { digest } of neededBlobs(fact)) {
    const bytes = all.get(digest);
    if (bytes === undefined) throw new Error(`runtime: ${fact.kind} names a blob that it does not bring`);
    needed.set(digest, bytes);
  }
  // Kind and body stand together in a NewFact; the mapped union cannot be rebuilt from them without saying so.
  return { kind: fact.kind, at, cause: null, law: null, body: fact.body, blobs: needed } as unknown as RunEvent;
}

function draftOf(fact: NewFact, at: Instant): Draft {
  // A member that may be left out is left out, never undefined: the body is JSON by its schema.
  return { kind: fact.kind, at, actor: fact.actor, cause: null, law: null, payload: fact.body as unknown as Json };
}

function draftsOf(
  judgements: readonly Judgement[],
  place: { readonly at: Instant; readonly cause: number; readonly law: number },
): { readonly drafts: readonly Draft[]; readonly blobs: readonly Blob[] } {
  const drafts = judgements.map(({ kind, body }): Draft => ({ kind, actor: 'runtime', payload: body as unknown as Json, ...place }));
  return { drafts, blobs: distinct(judgements.flatMap(({ blobs }) => blobs)) };
}

function distinct(blobs: readonly Blob[]): readonly Blob[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

function contended(state: RunState): { readonly ok: false; readonly error: RuntimeFailure } {
  return refuse(
    'ledger.conflict',
    `${MAX_CONFLICTS} appends to ${state.run} in a row met a conflict although each had read the end before; the store does not keep its contract`,
  );
}
