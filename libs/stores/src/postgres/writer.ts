/**
 * The writing half of a store in Postgres: group commit under the row lock of the head. Must never answer an append before its commit is durable,
 * and never write again after a commit whose outcome is unknown. PROTOCOL §3.
 */
import { err, type TrajectoryId } from '@openexec/canon';
import { type AppendFailure, type Blob, type EntrySigner, LedgerFault, type PreparedBatch } from '@openexec/ledger';
import { type ControlledTransaction, sql } from 'kysely';
import { PARTS_AT_ONCE, partsOf } from '../blobParts.ts';
import { type Answer, GroupCommit, type Request } from '../group.ts';
import type { KnownHead } from '../headKeeper.ts';
import { type Growth, Standing } from '../standing.ts';
import type { ViewSource } from '../view.ts';
import { isCut, isOutcome, writeRefusal } from './connect.ts';
import { readHead, viewOf } from './reader.ts';
import type { Database, Tables } from './tables.ts';

/** What happens in the same transaction as an append: a check under the lock before it, a change after it. */
export interface Within {
  check(tx: Tx): Promise<AppendFailure | null>;
  apply(tx: Tx): Promise<void>;
}

export type Tx = ControlledTransaction<Tables>;

/** What a writer works with. */
export interface PostgresWriterOptions {
  readonly db: Database;
  readonly schema: string;
  readonly instance: string;
  readonly signer: EntrySigner | undefined;
  /** Called after every durable commit, with the head that it made. */
  readonly onCommit: (head: KnownHead) => void;
}

/** A group placed in memory. */
interface Placed {
  readonly answers: readonly Answer[];
  readonly growth: Growth;
}

/** One handle's writer: one transaction at a time, each taking what arrived while the one before ran. */
export class PostgresWriter {
  readonly #options: PostgresWriterOptions;
  readonly #group = new GroupCommit<Within>((group) => this.#commit(group));
  readonly #standing: Standing;
  /** What this handle remembers of payloads is void. */
  #stale = false;
  #trajectories = 0n;
  /** Entries of the ledger at the head that is stored, as far as this handle knows. */
  #stored = -1;
  /** Somebody else appended since this handle last did: a guess would be for nothing as long as that goes on. */
  #isContended = false;

  constructor(options: PostgresWriterOptions) {
    this.#options = options;
    const { signer, instance } = options;
    this.#standing = new Standing(signer === undefined ? { instance } : { instance, signer });
  }

  /** Queues a batch. */
  append(batch: PreparedBatch, within?: Within): Promise<Answer> {
    return this.#group.append(batch, within);
  }

  /** Answers everything that is queued; then nothing more is taken. */
  finish(): Promise<void> {
    return this.#group.finish();
  }

  /** A connection that was cut while nobody used it is noticed only now, and nothing has been sent on it: the next one is tried. */
  async #commit(group: readonly Request<Within>[]): Promise<readonly Answer[]> {
    for (let tries = 1; ; tries++) {
      const answers = await this.#attempt(group, tries <= RETRIES);
      if (answers !== null) return answers;
    }
  }

  /** One transaction. A refused append in the group costs the others nothing. Null where the connection broke before COMMIT and `again` allows. */
  async #attempt(group: readonly Request<Within>[], again: boolean): Promise<readonly Answer[] | null> {
    let tx: Tx | null = null;
    let committing = false;
    try {
      const starting = this.#options.db.startTransaction().execute();
      // While BEGIN is on its way the group is placed behind the head that this handle knows.
      const [begun, guessed] = await Promise.allSettled([starting, this.#guess(group)]);
      if (begun.status === 'rejected') throw begun.reason;
      tx = begun.value;
      if (guessed.status === 'rejected') throw guessed.reason;
      const answers =
        guessed.value !== null && (await this.#store(tx, guessed.value)) ? guessed.value.answers : await this.#underLock(tx, group);
      if (this.#standing.size === this.#stored) {
        await tx.rollback().execute();
        return answers;
      }
      // Window 3: a death before COMMIT is received leaves nothing of the group.
      committing = true;
      await tx.commit().execute();
      this.#stored = this.#standing.size;
      // Window 4: a death from here on loses no entry, only the answer: a repeat is answered as duplicate.
      this.#options.onCommit(this.#standing.known());
      return answers;
    } catch (error) {
      // After any failure the memory of the ledger is void.
      this.#standing.forget();
      if (tx !== null && !committing) await rollBack(tx);
      if (!isOutcome(error)) throw error;
      if (again && !committing && isCut(error)) return null;
      const refusal = writeRefusal(error, committing);
      if (refusal.code !== 'store.busy' && refusal.code !== 'store.readOnly') this.#group.stop(refusal);
      return group.map(() => err(refusal));
    }
  }

  /**
   * The group behind the head that this handle knows, without the lock; null where that decides nothing. What is stored then depends on the head being that
   * one still. A refusal or a repeat is final only under the lock, and so is whatever else happens in the transaction.
   */
  async #guess(group: readonly Request<Within>[]): Promise<Placed | null> {
    if (this.#standing.size < 0 || this.#stale || this.#isContended || group.some(({ within }) => within !== undefined)) return null;
    const placed = await this.#placeAll(viewOf(this.#options.db), group);
    if (placed.answers.every((answer) => answer.ok && answer.value.outcome === 'appended')) return placed;
    this.#standing.forget();
    return null;
  }

  /** The same under the lock of the head, which nobody moves meanwhile. */
  async #underLock(tx: Tx, group: readonly Request<Within>[]): Promise<readonly Answer[]> {
    await this.#refresh(tx);
    const placed = await this.#placeAll(viewOf(tx), group, tx);
    if (placed.growth.stored.length > 0 && !(await this.#store(tx, placed)))
      throw new LedgerFault('store.corrupt', 'the head was moved by somebody who does not hold its lock; run verify');
    return placed.answers;
  }

  /** Takes the lock, and takes up what others appended since this handle's last commit. */
  async #refresh(tx: Tx): Promise<void> {
    const head = await readHead(tx, true);
    this.#stored = head.size;
    this.#isContended = head.size !== this.#standing.size;
    if (head.size === this.#standing.size && !this.#stale) return;
    this.#stale = false;
    this.#standing.takeUp(head);
    const count = await sql<{ readonly last: string }>`SELECT coalesce(max(id), 0) AS last FROM trajectories`.execute(tx);
    this.#trajectories = BigInt(count.rows[0]?.last ?? 0);
  }

  /** Places all of a group; `tx` is the transaction under whose lock that happens, where there is one. */
  async #placeAll(source: ViewSource, group: readonly Request<Within>[], tx?: Tx): Promise<Placed> {
    const answers: Answer[] = [];
    const growth = await this.#standing.begin(
      source,
      group.map(({ batch }) => batch),
    );
    for (const { batch, within } of group) {
      const refused = tx === undefined ? null : ((await within?.check(tx)) ?? null);
      const answer = refused === null ? await this.#standing.place(source, batch, growth, () => ++this.#trajectories) : err(refused);
      answers.push(answer);
      if (tx === undefined || within === undefined || !answer.ok || answer.value.outcome === 'duplicate') continue;
      await within.apply(tx);
      this.#stale = true;
    }
    return { answers, growth };
  }

  /** Stores what was placed, if the head is the one it was placed behind; false where it is not, and nothing is stored. Takes the lock of the head. */
  async #store(tx: Tx, { growth }: Placed): Promise<boolean> {
    const { stored, subtrees, states } = growth;
    const idOf = (trajectory: TrajectoryId): string => String(this.#standing.view.known(trajectory)?.id ?? 0n);
    const heads = [...states];
    const { size, frontier, fingerprint, successor } = this.#standing.head();
    // One statement, so one way there and back: every part of it waits for the lock and sees the head that it finds. NOTIFY is delivered with the commit.
    const told = await sql`
      WITH
        held AS (SELECT 1 FROM head WHERE id = 0 AND size = ${String(size - stored.length)} FOR UPDATE),
        added AS (INSERT INTO entries (idx, trajectory, seq, entry, payload, salt, event)
          SELECT * FROM UNNEST(${stored.map(({ index }) => String(index))}::bigint[], ${stored.map(({ entry }) => idOf(entry.trajectory))}::bigint[],
            ${stored.map(({ entry }) => entry.seq)}::bigint[], ${stored.map(({ entryBytes }) => bufferOf(entryBytes))}::bytea[],
            ${stored.map(({ payload }) => bufferOrNull(payload))}::bytea[], ${stored.map(({ salt }) => bufferOrNull(salt))}::bytea[],
            ${stored.map(({ entry }) => entry.id ?? null)}::text[]) WHERE EXISTS (SELECT 1 FROM held)),
        moved AS (INSERT INTO trajectories (id, name, seq, leaf, fact_at, closed)
          SELECT * FROM UNNEST(${heads.map(([name]) => idOf(name))}::bigint[], ${heads.map(([name]) => name)}::text[],
            ${heads.map(([, { seq }]) => seq)}::bigint[], ${heads.map(([, { leaf }]) => leaf)}::text[],
            ${heads.map(([, { factAt }]) => factAt)}::text[], ${heads.map(([, { closed }]) => closed)}::boolean[]) WHERE EXISTS (SELECT 1 FROM held)
          ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, leaf = excluded.leaf, fact_at = excluded.fact_at, closed = excluded.closed),
        grown AS (INSERT INTO subtrees (level, idx, hash)
          SELECT * FROM UNNEST(${subtrees.map(({ level }) => level)}::integer[], ${subtrees.map(({ index }) => index)}::bigint[],
            ${subtrees.map(({ hash }) => bufferOf(hash))}::bytea[]) WHERE EXISTS (SELECT 1 FROM held)),
        stands AS (UPDATE head SET size = ${String(size)}, frontier = ${bufferOf(frontier)},
          fingerprint = ${fingerprint}, successor = ${successor} WHERE id = 0 AND EXISTS (SELECT 1 FROM held))
      SELECT pg_notify(${`openexec_${this.#options.schema}`}, ${String(size)}) FROM held`.execute(tx);
    if (told.rows.length === 0) {
      this.#standing.forget();
      return false;
    }
    await this.#storeBlobs(tx, [...growth.blobs.values()]);
    return true;
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
      const parts = partsOf(bytes);
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

/** Best effort: a connection that broke has rolled back by itself. */
export async function rollBack(tx: Tx): Promise<void> {
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
