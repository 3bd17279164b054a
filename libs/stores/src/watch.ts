/**
 * Tells subscriptions that the ledger may have moved: at once for this handle's commits, by asking SQLite for those of other processes. Must
 * ask nothing while nobody waits. MECHANICS part 2 (data_version, 100 ms).
 */
import type Database from 'better-sqlite3';
import { isOutcome } from './errors.ts';

const POLL_MS = 100;

/** Who waits for the ledger to move, on one handle. */
export class Watch {
  readonly #version: Database.Statement;
  readonly #watchers = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #last: unknown;

  constructor(db: Database.Database) {
    this.#version = db.prepare('PRAGMA data_version').pluck();
    this.#last = this.#version.get();
  }

  /** Calls back on changes until the result is called. */
  add(changed: () => void): () => void {
    this.#watchers.add(changed);
    this.#timer ??= setInterval(() => this.#poll(), POLL_MS);
    return () => {
      this.#watchers.delete(changed);
      if (this.#watchers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  /** After this handle's own commit, which the version does not count. */
  changed(): void {
    for (const changed of this.#watchers) changed();
  }

  /** Wakes everybody for the last time. */
  close(): void {
    this.changed();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The version is only asked for while somebody waits, so the first poll may tell of a commit that was read already: harmless. */
  #poll(): void {
    let version: unknown;
    try {
      version = this.#version.get();
    } catch (error) {
      if (!isOutcome(error)) throw error;
      // Whoever waits looks, and is told what is wrong in the words of a reading.
      version = undefined;
    }
    if (version === this.#last) return;
    this.#last = version;
    this.changed();
  }
}
