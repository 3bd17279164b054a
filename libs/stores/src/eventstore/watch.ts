/**
 * Tells subscriptions that the stream may have moved: at once for this handle's appends, by a subscription of the client for those of others. Must
 * tell also after the subscription broke: what came meanwhile was missed. PROTOCOL §3.
 */
import type { EntryStream } from './stream.ts';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

/** Who waits for the stream to move, on one handle. */
export class StreamWatch {
  readonly #stream: EntryStream;
  readonly #watchers = new Set<() => void>();
  #stop: (() => Promise<void>) | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(stream: EntryStream) {
    this.#stream = stream;
  }

  /** Calls back on changes until the result is called. The first one subscribes. */
  add(changed: () => void): () => void {
    this.#watchers.add(changed);
    if (this.#stop === null && this.#retry === undefined && !this.#closed) this.#start(FIRST_RETRY_MS);
    return () => void this.#watchers.delete(changed);
  }

  /** After this handle's own append. */
  changed(): void {
    for (const changed of Array.from(this.#watchers)) changed();
  }

  /** Wakes everybody for the last time. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.changed();
    const stop = this.#stop;
    this.#stop = null;
    await stop?.().catch(() => undefined);
  }

  #start(retryMs: number): void {
    let next = retryMs;
    const stop = this.#stream.subscribe(
      () => {
        // It works: the next break is tried again soon. Between the watcher's last look and this something may have been appended.
        next = FIRST_RETRY_MS;
        this.changed();
      },
      () => this.#lost(stop, next),
    );
    this.#stop = stop;
  }

  #lost(stop: () => Promise<void>, retryMs: number): void {
    if (this.#closed || this.#stop !== stop) return;
    this.#stop = null;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#watchers.size > 0) this.#start(Math.min(LAST_RETRY_MS, retryMs * 2));
    }, retryMs);
    this.#retry.unref();
  }
}
