/**
 * Tells subscriptions that the ledger may have moved: at once for this handle's commits, by LISTEN for those of other processes. Must tell also
 * after a connection broke: what was announced meanwhile was missed. PROTOCOL §3.
 */
import pg from 'pg';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

/** Who waits for the ledger to move, on one handle. */
export class Listener {
  readonly #config: pg.ClientConfig;
  readonly #channel: string;
  readonly #watchers = new Set<() => void>();
  #client: pg.Client | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(config: pg.ClientConfig, schema: string) {
    this.#config = config;
    this.#channel = `openexec_${schema}`;
  }

  /** Calls back on changes until the result is called. The first one opens the connection. */
  add(changed: () => void): () => void {
    this.#watchers.add(changed);
    if (this.#client === null && this.#retry === undefined) this.#start(FIRST_RETRY_MS);
    return () => void this.#watchers.delete(changed);
  }

  /** After this handle's own commit. */
  changed(): void {
    for (const changed of this.#watchers) changed();
  }

  /** Wakes everybody for the last time. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.changed();
    const client = this.#client;
    this.#client = null;
    await client?.end();
  }

  #start(retryMs: number): void {
    const client = new pg.Client({ ...this.#config, application_name: 'openexec listen' });
    this.#client = client;
    // Nothing is lost with a listener: whatever went wrong, it is tried again, more and more seldom.
    this.#listen(client, retryMs).catch(() => this.#lost(client, Math.min(LAST_RETRY_MS, retryMs * 2)));
  }

  async #listen(client: pg.Client, retryMs: number): Promise<void> {
    client.on('notification', () => this.changed());
    client.on('error', () => undefined);
    client.on('end', () => this.#lost(client, retryMs));
    await client.connect();
    await client.query(`LISTEN ${pg.escapeIdentifier(this.#channel)}`);
    // Between the watcher's last look and LISTEN something may have been appended.
    this.changed();
  }

  #lost(client: pg.Client, retryMs: number): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = null;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#watchers.size > 0) this.#start(retryMs);
    }, retryMs);
    this.#retry.unref();
  }
}
