/**
 * The keeper of a ledger in Postgres. What is forgotten is deleted in the transaction that says so; dead rows, write-ahead log and backups keep old bytes
 * until the server reuses or drops them (docs/how-to/erase-and-prune.md). Must never touch an entry. PROTOCOL §3.
 */
import { type Digest, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  batchOfWish,
  type BlobEntry,
  CopyCheck,
  type CopyFailure,
  CopyFault,
  decodeEntry,
  type Examination,
  type ForgetFailure,
  forgetFault,
  type Forgetting,
  type Forgotten,
  type LedgerCopy,
  type LedgerKeeper,
  type Place,
  placeKey,
  placesOfWish,
  prepare,
  Release,
  type Released,
  runLater,
  type StoreRefusalCode,
} from '@openexec/ledger';
import { type ControlledTransaction, sql } from 'kysely';
import { blobOf, ERASED } from './blobRows.ts';
import { isOutcome, writeRefusal } from './connect.ts';
import { PostgresExamination } from './examine.ts';
import { readHead, readPlaces, readTrajectories } from './reader.ts';
import { Taking } from './take.ts';
import type { Database, Tables } from './tables.ts';
import type { PostgresWriter, Tx, Within } from './writer.ts';

const PAGE = 1000;

/** What the keeper of one handle works with. */
export interface PostgresKeeperOptions {
  readonly db: Database;
  readonly writer: PostgresWriter;
  readonly schema: string;
  readonly instance: string;
  readonly salts: Randomness;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
}

/** See {@link LedgerKeeper}. */
export class PostgresKeeper implements LedgerKeeper {
  readonly #options: PostgresKeeperOptions;

  constructor(options: PostgresKeeperOptions) {
    this.#options = options;
  }

  async instance(): Promise<string> {
    return this.#options.instance;
  }

  async successor(): Promise<string | null> {
    return (await readHead(this.#options.db, false)).successor;
  }

  async *blobs(): AsyncGenerator<BlobEntry> {
    for (let after = ''; ; ) {
      const page = await this.#options.db
        .selectFrom('blobs')
        .selectAll()
        .where('digest', '>', after)
        .orderBy('digest')
        .limit(PAGE)
        .execute();
      // Only digests are written there.
      for (const { digest, length } of page) yield { digest: digest as Digest, bytes: Number(length) < 0 ? null : Number(length) };
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.digest;
    }
  }

  async forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>> {
    const { salts, writer, readOnly, isClosed } = this.#options;
    if (isClosed()) return CLOSED;
    if (readOnly) return err(READ_ONLY);
    const batch = batchOfWish(wish);
    if (batch.to[0]?.drafts.length === 0) return err({ code: 'forget.nothing', message: 'nothing was named' });
    const prepared = prepare(batch, salts);
    if (!prepared.ok) return prepared;
    const work = new ForgetWork(wish);
    const appended = await writer.append(prepared.value, work);
    if (!appended.ok) return err(work.refused ?? appended.error);
    return ok({ stored: appended.value.stored, payloads: work.payloads, blobs: work.blobs, lingering: false });
  }

  async copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
    const { db, readOnly, isClosed, schema } = this.#options;
    if (isClosed()) return CLOSED;
    if (readOnly) return err(READ_ONLY);
    let tx: ControlledTransaction<Tables> | null = null;
    let committing = false;
    try {
      tx = await db.startTransaction().execute();
      if ((await readHead(tx, true)).size !== 0)
        return err({ code: 'copy.notEmpty', message: 'this ledger has entries already; copy into a new one' });
      const check = new CopyCheck(copy);
      const taking = new Taking(tx, check);
      for await (const part of copy.parts()) await taking.take(part);
      check.finish();
      await taking.finish(schema);
      committing = true;
      await tx.commit().execute();
      tx = null;
      return ok({ blobs: check.blobs });
    } catch (error) {
      if (error instanceof CopyFault) return err({ code: error.code, message: error.message });
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, committing));
    } finally {
      if (tx !== null && !committing) await rollBack(tx);
    }
  }

  async examine(options: {
    readonly repair: boolean;
  }): Promise<Result<Examination, { readonly code: StoreRefusalCode; readonly message: string }>> {
    const { db, readOnly, isClosed } = this.#options;
    if (isClosed()) return CLOSED;
    if (readOnly && options.repair) return err(READ_ONLY);
    try {
      const isolated = db.transaction().setIsolationLevel('repeatable read');
      return ok(await isolated.execute((tx) => new PostgresExamination(tx, options.repair).run()));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, false));
    }
  }
}

const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this handle was closed' } } as const;
const READ_ONLY = { code: 'store.readOnly', message: 'this ledger was opened for reading only' } as const;
/** The writer's answer where the check of a forgetting refused; the keeper gives its own reason instead. */
const REFUSED = { code: 'batch.invalid', message: 'what was to be forgotten may not be' } as const;

/** Best effort: a connection that broke has rolled back by itself. */
async function rollBack(tx: ControlledTransaction<Tables>): Promise<void> {
  try {
    await tx.rollback().execute();
  } catch (error) {
    if (!isOutcome(error)) throw error;
  }
}

/** One forgetting under the lock of the head. */
class ForgetWork implements Within {
  readonly #wish: Forgetting;
  readonly #going = new Map<string, { readonly id: bigint; readonly seq: number }>();
  refused: ForgetFailure | null = null;
  payloads = 0;
  blobs = 0;

  constructor(wish: Forgetting) {
    this.#wish = wish;
  }

  async check(tx: Tx): Promise<typeof REFUSED | null> {
    this.#going.clear();
    const before = this.#wish.kind === 'prune' ? this.#wish.before : null;
    const places = placesOfWish(this.#wish);
    const names = [...new Set(places.map(({ trajectory }) => trajectory))];
    const heads = new Map((await readTrajectories(tx, names)).map((row) => [row.name, row]));
    for (let from = 0; from < places.length; from += PAGE) {
      const refused = await this.#checkPage(tx, places.slice(from, from + PAGE), heads, before);
      if (refused !== null) {
        this.refused = refused;
        return REFUSED;
      }
    }
    this.payloads = this.#going.size;
    this.refused = this.payloads === 0 ? { code: 'forget.nothing', message: 'none of these payloads is there' } : null;
    return this.refused === null ? null : REFUSED;
  }

  async #checkPage(
    tx: Tx,
    places: readonly Place[],
    heads: ReadonlyMap<TrajectoryId, { readonly id: bigint; readonly closed: boolean }>,
    before: Parameters<typeof forgetFault>[2],
  ): Promise<ForgetFailure | null> {
    const keys = places.flatMap(({ trajectory, seq }) => {
      const head = heads.get(trajectory);
      return head === undefined ? [] : [{ trajectory: head.id, seq }];
    });
    const stored = new Map((await readPlaces(tx, keys)).map((row) => [placeKey(row.entry.trajectory, row.entry.seq), row]));
    for (const place of places) {
      const key = placeKey(place.trajectory, place.seq);
      const row = stored.get(key);
      const head = heads.get(place.trajectory);
      const fault = forgetFault(place, row === undefined ? null : { entry: row.entry, closed: head?.closed === true }, before);
      if (fault !== null) return fault;
      if (row !== undefined && head !== undefined && row.payload !== null) this.#going.set(key, { id: head.id, seq: place.seq });
    }
    return null;
  }

  async apply(tx: Tx): Promise<void> {
    const released = await this.#release(tx);
    const going = [...this.#going.values()];
    await sql`
      UPDATE entries SET payload = NULL, salt = NULL
      FROM UNNEST(${going.map(({ id }) => String(id))}::bigint[], ${going.map(({ seq }) => seq)}::bigint[]) AS p (trajectory, seq)
      WHERE entries.trajectory = p.trajectory AND entries.seq = p.seq`.execute(tx);
    const drop = [...released.drop];
    const hollow = [...released.hollow];
    await sql`DELETE FROM blob_parts WHERE digest = ANY(${[...drop, ...hollow]}::text[])`.execute(tx);
    const marked = await sql`UPDATE blobs SET length = ${ERASED} WHERE digest = ANY(${hollow}::text[]) AND length >= 0`.execute(tx);
    const dropped = await sql`DELETE FROM blobs WHERE digest = ANY(${drop}::text[])`.execute(tx);
    this.blobs = Number(marked.numAffectedRows ?? 0n) + Number(dropped.numAffectedRows ?? 0n);
  }

  /** One reading of all payloads, under the lock: nobody can name a blob anew meanwhile. */
  async #release(tx: Tx): Promise<Released> {
    const release = new Release(new Set(this.#going.keys()));
    for (let after = -1; ; ) {
      const page = await tx
        .selectFrom('entries')
        .select(['idx', 'entry', 'payload'])
        .where('idx', '>', String(after))
        .orderBy('idx')
        .limit(PAGE)
        .execute();
      for (const { entry, payload } of page) {
        const decoded = decodeEntry(new Uint8Array(entry));
        if (decoded.ok) release.take(decoded.value, payload === null ? null : new Uint8Array(payload));
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = Number(last.idx);
    }
    return runLater(release.finish(), (digest) => blobOf(tx, digest));
  }
}
