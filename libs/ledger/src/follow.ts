/**
 * The one subscription that all stores share: pages on demand, then waits for the head to move. Must never hold more than one page.
 * PROTOCOL §3; GOALS E11, E17.
 */
import type { Subscription } from './store.ts';
import type { Stored } from './types.ts';

/** What a store must offer to be followed. */
export interface FollowSource {
  /** Durable entries from this leaf index on, at most a page, none when there are none yet; null when the store is closed. */
  page(from: bigint): readonly Stored[] | null | Promise<readonly Stored[] | null>;
  /** Calls back after the head may have moved or the store was closed; returns how to stop that. May call back too often, never too seldom. */
  onChange(changed: () => void): () => void;
}

/** Follows a store from a leaf index on. */
export function follow(source: FollowSource, from: bigint): Subscription {
  return new Follower(source, from);
}

class Follower implements Subscription {
  readonly #source: FollowSource;
  #next: bigint;
  #page: readonly Stored[] = [];
  #at = 0;
  #stopped = false;
  #wake: (() => void) | undefined;
  /** Calls of `next` answer in the order in which they were made. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(source: FollowSource, from: bigint) {
    this.#source = source;
    this.#next = from;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Stored>> {
    const answer = this.#turn.then(() => this.#advance());
    // A reading that failed says so to its own caller; the next one tries again.
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async return(): Promise<IteratorResult<Stored>> {
    this.#stopped = true;
    this.#wake?.();
    return { done: true, value: undefined };
  }

  async #advance(): Promise<IteratorResult<Stored>> {
    while (!this.#stopped) {
      const stored = this.#page[this.#at];
      if (stored !== undefined) {
        this.#at++;
        this.#next = stored.index + 1n;
        return { done: false, value: stored };
      }
      // Waiting begins before looking, so that no commit falls between them, however long the look takes.
      const change = this.#awaitChange();
      const page = await this.#look(change);
      if (page === null) {
        change.stop();
        break;
      }
      this.#page = page;
      this.#at = 0;
      if (page.length === 0) await change.happened;
      else change.stop();
    }
    this.#stopped = true;
    return { done: true, value: undefined };
  }

  async #look(change: Change): Promise<readonly Stored[] | null> {
    try {
      return await this.#source.page(this.#next);
    } catch (error) {
      change.stop();
      throw error;
    }
  }

  #awaitChange(): Change {
    let stop = (): void => undefined;
    const happened = new Promise<void>((resolve) => {
      const end = this.#source.onChange(() => this.#wake?.());
      stop = () => {
        this.#wake = undefined;
        end();
        resolve();
      };
      this.#wake = stop;
    });
    return { happened, stop };
  }
}

/** A wait that ends with the next change, or when it is stopped. */
interface Change {
  readonly happened: Promise<void>;
  stop(): void;
}
