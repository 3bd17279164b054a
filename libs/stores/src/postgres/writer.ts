/**
 * The writing half of a store in Postgres: group commit under the row lock of the head. Must never answer an append before its commit is durable,
 * and never write again after a commit whose outcome is unknown. PROTOCOL §3.
 */
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type AppendFailure,
  type Appended,
  type Blob,
  type EntrySigner,
  type Head,
  type PreparedBatch,
  type Sequenced,
  sequence,
  type Stored,
  type StoreRefusalCode,
  type TrajectoryState,
} from '@openexec/ledger';
import { type ControlledTransaction, sql } from 'kysely';
import { Frontier, rootOf, type Subtree } from '../tree.ts';
import { View } from '../view.ts';
import type { HeadRow } from '../writer.ts';
import { isCut, isOutcome, writeRefusal } from './connect.ts';
import { readHead, viewOf } from './reader.ts';
import type { Database, Tables } from './tables.ts';

/** PROTOCOL §3: what one commit takes at most. */
const MAX_GROUP_ENTRIES = 256;
/** PROTOCOL §2: rows of a blob. */
const PART_BYTES = 128 * 1024;

/** What happens in the same transaction as an append: a check under the lock before it, a change after it. */
export interface Within {
  check(tx: Tx): Promise<AppendFailure | null>;
  apply(tx: Tx): Promise<void>;
}

interface Request {
  readonly batch: PreparedBatch;
  readonly within: Within | undefined;
  readonly resolve: (result: Result<Appended, AppendFailure>) => void;
  readonly reject: (error: unknown) => void;
}
type Answer = Result<Appended, AppendFailure>;
type Stop = { readonly code: StoreRefusalCode; readonly message: string };
export type Tx = ControlledTransaction<Tables>;

/** What one transaction is going to add. */
interface Growth {
  readonly stored: Stored[];
  readonly subtrees: Subtree[];
  readonly blobs: Map<string, Blob>;
  readonly states: Map<TrajectoryId, TrajectoryState>;
}

/** What a writer works with. */
export interface PostgresWriterOptions {
  readonly db: Database;
  readonly schema: string;
  readonly instance: string;
  readonly signer: EntrySigner | undefined;
  /** Called after every durable commit, with the head that it made. */
  readonly onCommit: (head: Pick<Head, 'size' | 'root' | 'fingerprint'>) => void;
}

/** One handle's writer: one transaction at a time, each taking what arrived while the one before ran. */
export class PostgresWriter {
  readonly #options: PostgresWriterOptions;
  readonly #view = new View();
  #queue: Request[] = [];
  #running: Promise<void> | null = null;
  #size = -1;
  #stale = false;
  #frontier = new Frontier(0, new Uint8Array(0));
  #fingerprint: HeadRow['fingerprint'] = null;
  #successor: string | null = null;
  #trajectories = 0n;
  #stopped: Stop | null = null;

  constructor(options: PostgresWriterOptions) {
    this.#options = options;
  }

  /** Queues a batch. */
  append(batch: PreparedBatch, within?: Within): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, within, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Answers everything that is queued; then nothing more is taken. */
  async finish(): Promise<void> {
    await this.#running;
    this.#stopped ??= { code: 'store.closed', message: 'this handle was closed' };
  }

  async #run(): Promise<void> {
    // What is asked in the same turn of the event loop shares one commit.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        const answers = this.#stopped === null ? await this.#commit(group) : group.map((): Answer => err(this.#stopped ?? STOPPED));
        for (const [at, request] of group.entries()) request.resolve(answers[at] ?? err(STOPPED));
      } catch (error) {
        // Not an outcome of the server's: a broken invariant. It is shown to whoever asked, and nothing more is written.
        this.#stopped = STOPPED;
        for (const request of group) request.reject(error);
      }
    }
    this.#running = null;
  }

  #takeGroup(): Request[] {
    let entries = 0;
    let count = 0;
    for (const { batch } of this.#queue) {
      if (count > 0 && entries + batch.count > MAX_GROUP_ENTRIES) break;
      entries += batch.count;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** A connection that was cut while nobody used it is noticed only now, and nothing has been sent on it: the next one is tried. */
  async #commit(group: readonly Request[]): Promise<readonly Answer[]> {
    for (let tries = 1; ; tries++) {
      const answers = await this.#attempt(group, tries <= RETRIES);
      if (answers !== null) return answers;
    }
  }

  /** One transaction. A refused append in the group costs the others nothing. Null where the connection broke before COMMIT and `again` allows. */
  async #attempt(group: readonly Request[], again: boolean): Promise<readonly Answer[] | null> {
    let tx: Tx | null = null;
    let committing = false;
    try {
      tx = await this.#options.db.startTransaction().execute();
      await this.#refresh(tx);
      const { answers, growth } = await this.#placeAll(tx, group);
      if (growth.stored.length === 0) {
        await tx.rollback().execute();
        return answers;
      }
      await this.#store(tx, growth);
      // Window 3: a death before COMMIT is received leaves nothing of the group.
      committing = true;
      await tx.commit().execute();
      // Window 4: a death from here on loses no entry, only the answer: a repeat is answered as duplicate.
      this.#options.onCommit({
        size: BigInt(this.#size),
        root: rootOf(this.#size, this.#frontier.stored()),
        fingerprint: this.#fingerprint,
      });
      return answers;
    } catch (error) {
      // After any failure the memory of the ledger is void.
      this.#size = -1;
      if (tx !== null && !committing) await rollBack(tx);
      if (!isOutcome(error)) throw error;
      if (again && !committing && isCut(error)) return null;
      const refusal = writeRefusal(error, committing);
      if (refusal.code !== 'store.busy' && refusal.code !== 'store.readOnly')
        this.#stopped = { code: 'store.stopped', message: `this handle stopped writing: ${refusal.message}` };
      return group.map(() => err(refusal));
    }
  }

  /** Takes the lock, and takes up what others appended since this handle's last commit. */
  async #refresh(tx: Tx): Promise<void> {
    const head = await readHead(tx, true);
    if (head.size !== this.#size || this.#stale) {
      this.#stale = false;
      this.#view.clear();
      this.#frontier = new Frontier(head.size, head.frontier);
      const count = await sql<{ readonly last: string }>`SELECT coalesce(max(id), 0) AS last FROM trajectories`.execute(tx);
      this.#trajectories = BigInt(count.rows[0]?.last ?? 0);
    }
    this.#size = head.size;
    this.#fingerprint = head.fingerprint;
    this.#successor = head.successor;
  }

  async #placeAll(tx: Tx, group: readonly Request[]): Promise<{ readonly answers: readonly Answer[]; readonly growth: Growth }> {
    const growth: Growth = { stored: [], subtrees: [], blobs: new Map(), states: new Map() };
    const answers: Answer[] = [];
    this.#view.begin();
    this.#view.stand(this.#headFields());
    await this.#view.fetch(
      viewOf(tx),
      group.map(({ batch }) => batch),
    );
    for (const { batch, within } of group) {
      const refused = (await within?.check(tx)) ?? null;
      const answer = refused === null ? await this.#place(tx, batch, growth) : err(refused);
      answers.push(answer);
      if (within === undefined || !answer.ok || answer.value.outcome === 'duplicate') continue;
      await within.apply(tx);
      // What this handle remembers of payloads is void after this.
      this.#stale = true;
    }
    return { answers, growth };
  }

  #headFields(): { readonly size: bigint; readonly fingerprint: HeadRow['fingerprint']; readonly successor: string | null } {
    return { size: BigInt(this.#size), fingerprint: this.#fingerprint, successor: this.#successor };
  }

  async #place(tx: Tx, batch: PreparedBatch, growth: Growth): Promise<Answer> {
    const { signer, instance } = this.#options;
    const context = signer === undefined ? { instance } : { instance, signer };
    const placed = await this.#view.ask(viewOf(tx), (view) => sequence(view, batch, context));
    if (!placed.ok) return placed;
    if (placed.value.outcome === 'duplicate') {
      const stored = placed.value.places.flatMap(({ trajectory, first, count }) =>
        Array.from({ length: count }, (_, offset) => this.#view.entry(trajectory, first + offset)),
      );
      return ok({ outcome: 'duplicate', stored, size: BigInt(this.#size) });
    }
    this.#grow(placed.value, batch.blobs, growth);
    return ok({ outcome: 'appended', stored: placed.value.stored, size: BigInt(this.#size) });
  }

  #grow(batch: Sequenced & { readonly outcome: 'appended' }, blobs: readonly Blob[], growth: Growth): void {
    growth.stored.push(...batch.stored);
    for (const leaf of batch.leaves) this.#frontier.append(leaf, (subtree) => growth.subtrees.push(subtree));
    for (const blob of blobs) growth.blobs.set(blob.digest, blob);
    for (const [trajectory, state] of batch.states) growth.states.set(trajectory, state);
    this.#view.adopt(batch.stored, batch.states, () => ++this.#trajectories);
    this.#size += batch.stored.length;
    this.#fingerprint = batch.fingerprint;
    this.#successor = batch.successor;
    this.#view.stand(this.#headFields());
  }

  async #store(tx: Tx, growth: Growth): Promise<void> {
    await this.#storeBlobs(tx, [...growth.blobs.values()]);
    const { stored, subtrees, states } = growth;
    const idOf = (trajectory: TrajectoryId): string => String(this.#view.known(trajectory)?.id ?? 0n);
    const heads = [...states];
    // One statement, so one way there and back: every part of it runs, whether it is read from or not. NOTIFY is delivered with the commit.
    await sql`
      WITH
        added AS (INSERT INTO entries (idx, trajectory, seq, entry, payload, salt, event)
          SELECT * FROM UNNEST(${stored.map(({ index }) => String(index))}::bigint[], ${stored.map(({ entry }) => idOf(entry.trajectory))}::bigint[],
            ${stored.map(({ entry }) => entry.seq)}::bigint[], ${stored.map(({ entryBytes }) => bufferOf(entryBytes))}::bytea[],
            ${stored.map(({ payload }) => bufferOrNull(payload))}::bytea[], ${stored.map(({ salt }) => bufferOrNull(salt))}::bytea[],
            ${stored.map(({ entry }) => entry.id ?? null)}::text[])),
        moved AS (INSERT INTO trajectories (id, name, seq, leaf, fact_at, closed)
          SELECT * FROM UNNEST(${heads.map(([name]) => idOf(name))}::bigint[], ${heads.map(([name]) => name)}::text[],
            ${heads.map(([, { seq }]) => seq)}::bigint[], ${heads.map(([, { leaf }]) => leaf)}::text[],
            ${heads.map(([, { factAt }]) => factAt)}::text[], ${heads.map(([, { closed }]) => closed)}::boolean[])
          ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, leaf = excluded.leaf, fact_at = excluded.fact_at, closed = excluded.closed),
        grown AS (INSERT INTO subtrees (level, idx, hash)
          SELECT * FROM UNNEST(${subtrees.map(({ level }) => level)}::integer[], ${subtrees.map(({ index }) => index)}::bigint[],
            ${subtrees.map(({ hash }) => bufferOf(hash))}::bytea[])),
        stands AS (UPDATE head SET size = ${String(this.#size)}, frontier = ${bufferOf(this.#frontier.stored())},
          fingerprint = ${this.#fingerprint}, successor = ${this.#successor} WHERE id = 0)
      SELECT pg_notify(${`openexec_${this.#options.schema}`}, ${String(this.#size)})`.execute(tx);
  }

  async #storeBlobs(tx: Tx, blobs: readonly Blob[]): Promise<void> {
    if (blobs.length === 0) return;
    const added = await sql<{ readonly digest: string }>`
      INSERT INTO blobs (digest, length)
      SELECT * FROM UNNEST(${blobs.map(({ digest }) => digest)}::text[], ${blobs.map(({ bytes }) => String(bytes.length))}::bigint[])
      ON CONFLICT (digest) DO UPDATE SET length = excluded.length WHERE blobs.length < 0 RETURNING digest`.execute(tx);
    const isNew = new Set(added.rows.map(({ digest }) => digest));
    for (const { digest, bytes } of blobs) {
      if (!isNew.has(digest)) continue;
      const parts = Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, part) =>
        Buffer.from(bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)),
      );
      // A few parts at a time: one statement with all of a large blob would hold it three times in memory.
      for (let from = 0; from < parts.length; from += PARTS_AT_ONCE) {
        const some = parts.slice(from, from + PARTS_AT_ONCE);
        await sql`
          INSERT INTO blob_parts (digest, part, bytes)
          SELECT ${digest}, * FROM UNNEST(${some.map((_, part) => from + part)}::integer[], ${some}::bytea[])`.execute(tx);
      }
    }
  }
}

/** More than a pool of dead connections. */
const RETRIES = 10;
const PARTS_AT_ONCE = 16;
const STOPPED: Stop = { code: 'store.stopped', message: 'an internal check failed' };

/** Best effort: a connection that broke has rolled back by itself. */
async function rollBack(tx: Tx): Promise<void> {
  try {
    await tx.rollback().execute();
  } catch (error) {
    if (!isOutcome(error)) throw error;
  }
}

function bufferOrNull(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : bufferOf(bytes);
}

/** The same bytes as the driver takes them; not a copy. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
