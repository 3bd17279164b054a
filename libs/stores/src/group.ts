/**
 * Group commit: what arrives while a commit runs goes into the next one. Must never take more into one commit than PROTOCOL §3 allows, answer in
 * another order than it was asked, nor write again once its owner has stopped it.
 */
import type { Result } from '@openexec/canon';
import type { AppendFailure, Appended, PreparedBatch } from '@openexec/ledger';
import { err } from '@openexec/canon';
import { CLOSED, type Refusal, stoppedBy } from './errors.ts';

/** PROTOCOL §3: what one commit takes at most. */
const MAX_GROUP_ENTRIES = 256;

/** What an append comes to. */
export type Answer = Result<Appended, AppendFailure>;

/** An append that waits for its answer; `within` is what its owner does in the same transaction. */
export interface Request<W> {
  readonly batch: PreparedBatch;
  readonly within: W | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Takes from the queue what the next commit holds: at least one append, and never a part of one. */
export function takeGroup<W>(queue: Request<W>[]): Request<W>[] {
  let entries = 0;
  let count = 0;
  for (const { batch } of queue) {
    if (count > 0 && entries + batch.count > MAX_GROUP_ENTRIES) break;
    entries += batch.count;
    count++;
  }
  return queue.splice(0, count);
}

/** What a broken invariant leaves: nothing more is written. */
export const BROKEN: Refusal = { code: 'store.stopped', message: 'an internal check failed' };

/** The queue of a store that is reached over a connection: one commit at a time. */
export class GroupCommit<W = never> {
  readonly #commit: (group: readonly Request<W>[]) => Promise<readonly Answer[]>;
  #queue: Request<W>[] = [];
  #running: Promise<void> | null = null;
  #stopped: Refusal | null = null;

  /** `commit` answers each of its group, in order; what it throws is a broken invariant. */
  constructor(commit: (group: readonly Request<W>[]) => Promise<readonly Answer[]>) {
    this.#commit = commit;
  }

  /** Queues a batch. */
  append(batch: PreparedBatch, within?: W): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, within, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Answers everything that is queued; then nothing more is taken. */
  async finish(): Promise<void> {
    await this.#running;
    this.#stopped ??= CLOSED;
  }

  /** Why nothing more is written, null as long as it is. */
  get stopped(): Refusal | null {
    return this.#stopped;
  }

  /** Stops writing: what failed once is not to be trusted on the same handle. */
  stop(refusal: Refusal): void {
    this.#stopped = stoppedBy(refusal);
  }

  async #run(): Promise<void> {
    // What is asked in the same turn of the event loop shares one commit.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = takeGroup(this.#queue);
      try {
        const stopped = this.#stopped;
        const answers = stopped === null ? await this.#commit(group) : group.map((): Answer => err(stopped));
        for (const [at, request] of group.entries()) request.resolve(answers[at] ?? err(BROKEN));
      } catch (error) {
        // Not an outcome of the server's: a broken invariant. It is shown to whoever asked, and nothing more is written.
        this.#stopped = BROKEN;
        for (const request of group) request.reject(error);
      }
    }
    this.#running = null;
  }
}
