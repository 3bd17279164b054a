/**
 * One stream through the client: pages of entries in order, one append with the revision it expects, a look at what would make the stream forget.
 * Must never hand out a page with a gap. PROTOCOL §3; TOOLCHAIN §4.2.
 */
import type { BinaryEventData, EventStoreDBClient, ResolvedEvent } from '@eventstore/db-client';
import type { Bytes } from '@openexec/canon';
import { LedgerFault, type Stored } from '@openexec/ledger';
import type { EventStoreAddress } from './address.ts';
import { isPassing, kindOf } from './failures.ts';

const READ_TRIES = 4;
const RETRY_MS = 50;
/** Hexadecimal digits of the parts of a UUID. */
const UUID_PARTS = [8, 12, 16, 20, 32] as const;

/** An entry as the stream holds it. */
export interface StreamEntry {
  readonly index: bigint;
  readonly entryBytes: Bytes;
}
/** The stream stood elsewhere than expected: somebody else appended. */
export type StreamAppend = 'appended' | 'conflict';

/** One stream of one cluster. */
export class EntryStream {
  readonly #client: EventStoreDBClient;
  readonly #address: EventStoreAddress;
  /** Handed over with every append: the client then makes one call of its own for it. Its other way shares answers between connections. */
  readonly #credentials: { readonly username: string; readonly password: string };

  constructor(client: EventStoreDBClient, address: EventStoreAddress) {
    this.#client = client;
    this.#address = address;
    this.#credentials = address.login ?? { username: 'openexec', password: 'unused' };
  }

  /** Entries from `from` on, at most `count`, none where the stream has not got so far. Throws `store.corrupt` where entries are missing. */
  async page(from: bigint, count: number): Promise<readonly StreamEntry[]> {
    if (count <= 0) return [];
    for (let tries = 1; ; tries++) {
      try {
        return await this.#readPage(from, count);
      } catch (error) {
        if (tries >= READ_TRIES || !isPassing(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries));
      }
    }
  }

  async #readPage(from: bigint, count: number): Promise<readonly StreamEntry[]> {
    const reading = this.#client.readStream(this.#address.stream, { fromRevision: from, maxCount: count, requiresLeader: true });
    // The client sets no deadline on readings: a node that goes silent would be waited for for ever.
    const late = setTimeout(() => reading.destroy(new ReadingLate()), this.#address.deadlineMs);
    const entries: StreamEntry[] = [];
    try {
      for await (const resolved of reading) entries.push(this.#entryOf(resolved, from + BigInt(entries.length)));
      return entries;
    } catch (error) {
      if (kindOf(error) === 'stream-not-found') return [];
      throw error;
    } finally {
      clearTimeout(late);
      // Ends the call where the loop ended before it.
      void reading.cancel().catch(() => undefined);
    }
  }

  #entryOf({ event }: ResolvedEvent, expected: bigint): StreamEntry {
    if (event === undefined || event.revision !== expected)
      throw new LedgerFault(
        'store.corrupt',
        `the entries ${expected} to ${event?.revision ?? expected} are gone from ${this.#address.where} (scavenge, $maxCount, $maxAge or $tb); restore the cluster from a backup`,
      );
    if (event.isJson || !(ArrayBuffer.isView(event.data) && event.data instanceof Uint8Array))
      throw new LedgerFault('store.corrupt', `event ${expected} of ${this.#address.where} is no entry; run verify`);
    return { index: expected, entryBytes: Uint8Array.from(event.data) };
  }

  /** Appends what follows on `size` entries, all or nothing; resolves once the cluster has it on its disks. Rejects with the client's error. */
  async append(entries: readonly Stored[], size: number): Promise<StreamAppend> {
    const events = entries.map(
      ({ entry, entryBytes, leaf }): BinaryEventData => ({
        id: uuidOf(leaf),
        type: entry.kind,
        contentType: 'application/octet-stream',
        data: entryBytes,
        metadata: undefined,
      }),
    );
    try {
      const done = await this.#client.appendToStream(this.#address.stream, events, {
        expectedRevision: size === 0 ? 'no_stream' : BigInt(size - 1),
        requiresLeader: true,
        credentials: this.#credentials,
        deadline: this.#address.deadlineMs,
      });
      return done.success && done.nextExpectedRevision === BigInt(size + entries.length - 1) ? 'appended' : 'conflict';
    } catch (error) {
      if (kindOf(error) === 'wrong-expected-version') return 'conflict';
      throw error;
    }
  }

  /** What would make the stream forget entries, null where nothing does. */
  async forgets(): Promise<string | null> {
    for (let tries = 1; ; tries++) {
      try {
        const { metadata = {} } = await this.#client.getStreamMetadata(this.#address.stream, { requiresLeader: true });
        const { maxAge, maxCount, truncateBefore } = metadata as { readonly [name: string]: unknown };
        if (maxAge !== undefined) return `$maxAge (${JSON.stringify(maxAge)} s)`;
        if (maxCount !== undefined) return `$maxCount (${JSON.stringify(maxCount)})`;
        if (truncateBefore !== undefined) return `$tb (${JSON.stringify(truncateBefore)}): it was truncated or deleted`;
        return null;
      } catch (error) {
        if (tries >= READ_TRIES || !isPassing(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries));
      }
    }
  }

  /** Calls back on every event from now on; `ended` once, when the subscription broke. Answers how to stop it. */
  subscribe(arrived: () => void, ended: () => void): () => Promise<void> {
    const subscription = this.#client.subscribeToStream(this.#address.stream, { fromRevision: 'end', requiresLeader: true });
    subscription.on('confirmation', arrived);
    subscription.on('data', arrived);
    subscription.on('error', ended);
    subscription.on('end', ended);
    subscription.on('close', ended);
    return () => subscription.unsubscribe();
  }

  /** Ends every call under way. */
  close(): Promise<void> {
    return this.#client.dispose();
  }
}

/** A reading that took longer than the deadline. */
class ReadingLate extends Error {
  readonly type = 'deadline-exceeded';
  constructor() {
    super('the node did not answer in time');
  }
}

/** An event id from the entry's identity: the same entry sent again is the same event, which the server does not store twice. */
function uuidOf(leaf: string): string {
  const hex = leaf.slice('sha256:'.length);
  let from = 0;
  const parts = UUID_PARTS.map((to) => {
    const part = hex.slice(from, to);
    from = to;
    return part;
  });
  // RFC 9562: version 8, variant 10.
  return parts.map((part, at) => (at === 2 ? `8${part.slice(1)}` : at === 3 ? `a${part.slice(1)}` : part)).join('-');
}
