/**
 * Watches a ledger and the hands that work on it: tells the checkers of all ten invariants of each moment, in the order in which it happened, with every
 * new entry read from the store itself. Must never change what happens. ARCHITECTURE §7.
 */
import { type Bytes, type Digest, type Json, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { emptyLaw } from '@openexec/authority';
import { DeepPass } from '@openexec/audit';
import type { AppendBatch, Appended, AppendFailure, LedgerStore, Stored } from '@openexec/ledger';
import { approvedExactly } from './invariants/approvals.ts';
import { claimsChangeNothing } from './invariants/claims.ts';
import { nothingPassesUnrun, provenFirst, writtenOrNothing } from './invariants/effects.ts';
import { judgedAgain, nothingLost, underTheTree } from './invariants/proof.ts';
import { secretNowhere } from './invariants/secrets.ts';
import { withinWrits } from './invariants/writs.ts';
import { SECRET } from './model.ts';
import type { Checker, EntryMoment, Moment } from './moment.ts';

const MAX_FINDINGS = 10;

/** One checker for each invariant of ARCHITECTURE §7, in its order. */
export function checkers(pass: DeepPass): readonly Checker[] {
  return [
    provenFirst(),
    withinWrits(),
    writtenOrNothing(),
    underTheTree(),
    judgedAgain(pass),
    nothingLost(),
    nothingPassesUnrun(),
    claimsChangeNothing(),
    approvedExactly(),
    secretNowhere(SECRET),
  ];
}

/** Mutable on purpose: one for each played run. */
export class Watch {
  readonly #store: LedgerStore;
  readonly #pass: DeepPass;
  readonly #checkers: readonly Checker[];
  readonly #problems: string[] = [];
  readonly #kept: Moment[] | null;
  /** Moments are told one after the other, whatever happens at the same time. */
  #turn: Promise<void> = Promise.resolve();
  #next = 0n;
  #moments = 0;

  /** With `keep` the moments are remembered, to be told again otherwise. */
  constructor(store: LedgerStore, options: { readonly keep?: boolean } = {}) {
    this.#store = store;
    this.#pass = new DeepPass(portOf(store));
    this.#checkers = checkers(this.#pass);
    this.#kept = options.keep === true ? [] : null;
  }

  /** What is wrong so far: number of the step, invariant, and what it is. */
  get problems(): readonly string[] {
    return this.#problems;
  }
  /** Moments so far. */
  get moments(): number {
    return this.#moments;
  }
  get kept(): readonly Moment[] {
    return this.#kept ?? [];
  }

  /** A handle on the store under a name of its own. */
  handle(by: string): LedgerStore {
    const store = this.#store;
    return { ...portOf(store), append: (batch) => this.append(by, batch, true) };
  }

  /** Hands a batch in; `told` is false where the caller will never hear the answer. */
  append(by: string, batch: AppendBatch, told: boolean): Promise<Result<Appended, AppendFailure>> {
    return this.#inTurn(async () => {
      const blobs = batch.blobs.map((blob) => ({ ...blob, bytes: sharedBytes(blob.digest, blob.bytes) }));
      const appended = await this.#store.append({ ...batch, blobs });
      await this.#say({
        what: 'handed',
        by,
        drafts: batch.to.reduce((sum, { drafts }) => sum + drafts.length, 0),
        blobs: batch.blobs,
        outcome: appended.ok ? appended.value.outcome : 'refused',
        code: appended.ok ? null : appended.error.code,
        told,
        stored: appended.ok ? appended.value.stored : [],
      });
      await this.#read();
      return appended;
    });
  }

  /** Tells every checker of one moment. */
  tell(moment: Moment): Promise<void> {
    return this.#inTurn(() => this.#say(moment));
  }

  /** One after the other; a checker that throws is a defect and ends the play. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  /** Reads the whole ledger once more. */
  async reread(): Promise<void> {
    const entries: Stored[] = [];
    for await (const stored of this.#store.all(0n)) entries.push(stored);
    await this.tell({ what: 'reread', entries });
  }

  async #read(): Promise<void> {
    const head = await this.#store.head();
    if (head.size === this.#next) return;
    for await (const stored of this.#store.all(this.#next, head.size)) {
      const run = stored.entry.trajectory;
      const before = this.#pass.stateOf(run);
      await this.#pass.take(stored);
      const after = this.#pass.stateOf(run);
      this.#next = stored.index + 1n;
      await this.#say(entryMoment(stored, { law: this.#pass.law, before, after }));
    }
    await this.#say({ what: 'head', size: head.size, root: head.root });
  }

  async #say(moment: Moment): Promise<void> {
    this.#moments++;
    this.#kept?.push(moment);
    for (const checker of this.#checkers) {
      await checker.see(moment, (problem) => {
        if (this.#problems.length < MAX_FINDINGS)
          this.#problems.push(`step ${this.#moments}: invariant ${checker.invariant} (${checker.name}): ${problem}`);
      });
    }
  }
}

/** An entry as the checkers see it. */
export function entryMoment(stored: Stored, at: Partial<Pick<EntryMoment, 'law' | 'before' | 'after'>> = {}): EntryMoment {
  const { entry, payload } = stored;
  // The store admitted the payload under this kind; what is gone is an empty body, and invariant 4 says so.
  const body: Json = payload === null ? {} : (JSON.parse(Buffer.from(payload).toString('utf8')) as Json);
  return { what: 'entry', kind: entry.kind, body, stored, before: null, after: null, law: emptyLaw(), ...at } as unknown as EntryMoment;
}

/** Bytes by digest, over all plays of a process: what was parsed from the same object once is not parsed again. Content-addressed, so it cannot matter. */
const shared = new Map<Digest, Bytes>();
const MAX_SHARED = 1024;

function sharedBytes(digest: Digest, bytes: Bytes): Bytes {
  const known = shared.get(digest);
  if (known !== undefined) return known;
  if (shared.size >= MAX_SHARED) shared.clear();
  shared.set(digest, bytes);
  return bytes;
}

/** The members of a port, bound, so that one of them can be replaced. */
export function portOf(inner: LedgerStore): LedgerStore {
  return {
    append: (batch) => inner.append(batch),
    read: (trajectory: TrajectoryId, from, to) => inner.read(trajectory, from, to),
    all: (from, to) => inner.all(from, to),
    rows: (from, to) => inner.rows(from, to),
    blob: async (digest) => {
      const read = await inner.blob(digest);
      return read.ok ? ok(sharedBytes(digest, read.value)) : read;
    },
    follow: (from) => inner.follow(from),
    head: () => inner.head(),
    trajectory: (trajectory) => inner.trajectory(trajectory),
    trajectories: (prefix) => inner.trajectories(prefix),
    checkpoint: () => inner.checkpoint(),
    checkpoints: () => inner.checkpoints(),
    inclusion: (index, size) => inner.inclusion(index, size),
    consistency: (oldSize, newSize) => inner.consistency(oldSize, newSize),
    close: () => inner.close(),
  };
}
