/**
 * What the contract suite is given: a test runner's globals and a store to try. Structural, so that no test library is imported here.
 */
import { type Digest, instantFromMs, type TrajectoryId } from '@openexec/canon';
import type { Signer } from '@openexec/proof';
import type { AppendFailure } from '../errors.ts';
import type { LedgerStore } from '../store.ts';
import type { AppendBatch, Appended, EntrySigner, Stored } from '../types.ts';
import { batchTo, CANCEL, fact, foundingBatch, LAW, logSigner, openedBody, runNamed, runtimeSigner, trustDraft } from './fixture.ts';

/** The matchers that the suite uses. */
export interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
  toMatchObject(expected: object): void;
}

/** A test runner, such as Jest's globals. */
export interface TestGlobals {
  describe(name: string, define: () => void): void;
  test(name: string, run: () => Promise<void>): void;
  expect(actual: unknown): Expectation;
}

/** A kind of store. */
export interface ContractSubject {
  /** Its name in titles. */
  readonly name: string;
  /** A new, empty ledger; given keys or none. */
  open(keys: { readonly signer?: EntrySigner; readonly logSigner?: Signer }): Promise<LedgerStore>;
  /** Verifies the whole ledger with the production verifier and throws when anything is wrong. */
  check(store: LedgerStore): Promise<void>;
}

/** One ledger under test. Every step ends with a verification of all of it; a test cannot leave that out. */
export class Bench {
  readonly store: LedgerStore;
  readonly #subject: ContractSubject;
  fingerprint: Digest = 'none' as Digest;

  constructor(store: LedgerStore, subject: ContractSubject) {
    this.store = store;
    this.#subject = subject;
  }

  /** Appends what must be taken. */
  async took(batch: AppendBatch): Promise<Appended> {
    const result = await this.store.append(batch);
    if (!result.ok) throw new Error(`refused: ${result.error.code}: ${result.error.message}`);
    await this.#subject.check(this.store);
    return result.value;
  }

  /** Appends what must be refused, and sees that nothing of it was stored. */
  async refused(batch: AppendBatch): Promise<AppendFailure> {
    const before = await this.store.head();
    const result = await this.store.append(batch);
    if (result.ok) throw new Error(`taken as ${result.value.outcome}, though it had to be refused`);
    const now = await this.store.head();
    if (now.size !== before.size) throw new Error(`a refusal (${result.error.code}) grew the ledger from ${before.size} to ${now.size}`);
    await this.#subject.check(this.store);
    return result.error;
  }

  /** Founds the ledger and trusts the runtime key. */
  async found(): Promise<this> {
    const founded = await this.took(foundingBatch());
    this.fingerprint = first(founded.stored).leaf;
    await this.took(batchTo(LAW, 0, [trustDraft(this.fingerprint)]));
    return this;
  }

  /** Opens a run. */
  async run(name: string): Promise<TrajectoryId> {
    const run = runNamed(name);
    await this.took(batchTo(run, 'none', [fact('run.opened', openedBody(this.fingerprint, name))]));
    return run;
  }

  /** Adds small facts to a run, one millisecond apart, `perBatch` at a time; verified once at the end. */
  async fill(run: TrajectoryId, count: number, perBatch: number): Promise<void> {
    for (let at = 0; at < count; at += perBatch) {
      const facts = Array.from({ length: Math.min(perBatch, count - at) }, (_, i) =>
        fact('run.cancelRequested', CANCEL, { at: instantFromMs(1_800_000_000_000 + at + i) }),
      );
      const result = await this.store.append(batchTo(run, 'exists', facts));
      if (!result.ok) throw new Error(`refused: ${result.error.code}: ${result.error.message}`);
    }
    await this.#subject.check(this.store);
  }
}

/** Runs a test body on a fresh ledger with both keys, and closes it. */
export function onLedger(
  subject: ContractSubject,
  body: (bench: Bench) => Promise<void>,
  keys: 'keys' | 'none' = 'keys',
): () => Promise<void> {
  return async () => {
    const store = await subject.open(keys === 'keys' ? { signer: runtimeSigner(), logSigner: logSigner() } : {});
    try {
      await body(new Bench(store, subject));
    } finally {
      await store.close();
    }
  };
}

/** The first of a list that must not be empty. */
export function first<T>(list: readonly T[]): T {
  const [value] = list;
  if (value === undefined) throw new Error('expected at least one');
  return value;
}

/** All of a finite reading. */
export async function collect<T>(reading: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of reading) all.push(one);
  return all;
}

/** Trajectory and position of entries, for comparing orders. */
export function placesOf(stored: readonly Stored[]): string[] {
  return stored.map(({ index, entry }) => `${index}:${entry.trajectory.slice(0, 6)}:${entry.seq}`);
}
