/**
 * The keeper of a ledger in Postgres. What is forgotten is deleted in the transaction that says so; dead rows, write-ahead log and backups keep old bytes
 * until the server reuses or drops them (docs/how-to/erase-and-prune.md). Must never touch an entry. PROTOCOL §3.
 */
import { type Digest, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type BlobEntry,
  CopyCheck,
  type CopyFailure,
  type Examination,
  type ForgetFailure,
  type Forgetting,
  type Forgotten,
  type LedgerCopy,
  type LedgerKeeper,
  type Place,
  placeKey,
  placesOfWish,
  Release,
  type Released,
  runLater,
} from '@openexec/ledger';
import { sql, type Transaction } from 'kysely';
import { ERASED } from '../blobParts.ts';
import type { Refusal } from '../errors.ts';
import { copyFailure, forgetBy, Going, hindrance, NOT_EMPTY, noteIn, type REFUSED } from '../keeping.ts';
import { forgetSnapshots, type WithSnapshots } from '../querySnapshots.ts';
import type { LedgerParts } from '../storedLedger.ts';
import type { TrajectoryRow } from '../view.ts';
import { blobOf } from './blobRows.ts';
import { isOutcome, writeRefusal } from './connect.ts';
import { PostgresExamination } from './examine.ts';
import { readHead, readPlaces, readTrajectories } from './reader.ts';
import { Taking } from './take.ts';
import type { Database } from './tables.ts';
import { type PostgresWriter, rollBack, type Tx, type Within } from './writer.ts';

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
  /** Runs one reading; what fails is thrown as `LedgerFault`. */
  readonly ask: LedgerParts['ask'];
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
    const { ask, db } = this.#options;
    return (await ask('the head', () => readHead(db, false))).successor;
  }

  async *blobs(): AsyncGenerator<BlobEntry> {
    const { ask, db } = this.#options;
    for (let after = ''; ; ) {
      const last = after;
      const page = await ask('the names of blobs', () =>
        db.selectFrom('blobs').selectAll().where('digest', '>', last).orderBy('digest').limit(PAGE).execute(),
      );
      // Only digests are written there.
      for (const { digest, length } of page) yield { digest: digest as Digest, bytes: Number(length) < 0 ? null : Number(length) };
      const end = page.at(-1);
      if (end === undefined) return;
      after = end.digest;
    }
  }

  async forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>> {
    const work = new ForgetWork(wish);
    return forgetBy(wish, this.#options, {
      going: work.going,
      append: (batch) => this.#options.writer.append(batch, work),
      settled: () => true,
    });
  }

  async copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
    const { db, schema } = this.#options;
    const hindered = hindrance(this.#options, true);
    if (hindered !== null) return err(hindered);
    let tx: Tx | null = null;
    let committing = false;
    try {
      tx = await db.startTransaction().execute();
      if ((await readHead(tx, true)).size !== 0) return err(NOT_EMPTY);
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
      const failure = copyFailure(error, (driver) => (isOutcome(driver) ? writeRefusal(driver, committing) : undefined));
      if (failure === undefined) throw error;
      return err(failure);
    } finally {
      if (tx !== null && !committing) await rollBack(tx);
    }
  }

  async examine(options: { readonly repair: boolean }): Promise<Result<Examination, Refusal>> {
    const hindered = hindrance(this.#options, options.repair);
    if (hindered !== null) return err(hindered);
    try {
      const isolated = this.#options.db.transaction().setIsolationLevel('repeatable read');
      return ok(await isolated.execute((tx) => new PostgresExamination(tx, options.repair).run()));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, false));
    }
  }
}

/** One forgetting under the lock of the head. */
class ForgetWork implements Within {
  readonly #wish: Forgetting;
  readonly going: Going<{ readonly id: bigint; readonly seq: number }>;

  constructor(wish: Forgetting) {
    this.#wish = wish;
    this.going = new Going(wish);
  }

  async check(tx: Tx): Promise<typeof REFUSED | null> {
    this.going.begin();
    const places = placesOfWish(this.#wish);
    const names = [...new Set(places.map(({ trajectory }) => trajectory))];
    const heads = new Map((await readTrajectories(tx, names)).map((row) => [row.name, row]));
    for (let from = 0; from < places.length; from += PAGE) if (!(await this.#checkPage(tx, places.slice(from, from + PAGE), heads))) break;
    return this.going.verdict();
  }

  async #checkPage(tx: Tx, places: readonly Place[], heads: ReadonlyMap<TrajectoryId, TrajectoryRow>): Promise<boolean> {
    const keys = places.flatMap(({ trajectory, seq }) => {
      const head = heads.get(trajectory);
      return head === undefined ? [] : [{ trajectory: head.id, seq }];
    });
    const stored = new Map((await readPlaces(tx, keys)).map((row) => [placeKey(row.entry.trajectory, row.entry.seq), row]));
    return places.every((place) => {
      const row = stored.get(placeKey(place.trajectory, place.seq));
      const head = heads.get(place.trajectory);
      if (row === undefined || head === undefined) return this.going.take(place, null);
      return this.going.take(place, {
        entry: row.entry,
        closed: head.closed,
        row: row.payload === null ? null : { id: head.id, seq: place.seq },
      });
    });
  }

  async apply(tx: Tx): Promise<void> {
    const released = await this.#release(tx);
    const going = [...this.going.rows.values()];
    await sql`
      UPDATE entries SET payload = NULL, salt = NULL
      FROM UNNEST(${going.map(({ id }) => String(id))}::bigint[], ${going.map(({ seq }) => seq)}::bigint[]) AS p (trajectory, seq)
      WHERE entries.trajectory = p.trajectory AND entries.seq = p.seq`.execute(tx);
    // One schema holds both tables.
    await forgetSnapshots(tx as unknown as Transaction<WithSnapshots>, [...this.going.runs]);
    const drop = [...released.drop];
    const hollow = [...released.hollow];
    await sql`DELETE FROM blob_parts WHERE digest = ANY(${[...drop, ...hollow]}::text[])`.execute(tx);
    const marked = await sql`UPDATE blobs SET length = ${ERASED} WHERE digest = ANY(${hollow}::text[]) AND length >= 0`.execute(tx);
    const dropped = await sql`DELETE FROM blobs WHERE digest = ANY(${drop}::text[])`.execute(tx);
    this.going.blobs = Number(marked.numAffectedRows ?? 0n) + Number(dropped.numAffectedRows ?? 0n);
  }

  /** One reading of all payloads, under the lock: nobody can name a blob anew meanwhile. */
  async #release(tx: Tx): Promise<Released> {
    const release = new Release(new Set(this.going.rows.keys()));
    for (let after = -1; ; ) {
      const page = await tx
        .selectFrom('entries')
        .select(['idx', 'entry', 'payload'])
        .where('idx', '>', String(after))
        .orderBy('idx')
        .limit(PAGE)
        .execute();
      for (const { entry, payload } of page) noteIn(release, entry, payload);
      const last = page.at(-1);
      if (last === undefined) break;
      after = Number(last.idx);
    }
    return runLater(release.finish(), (digest) => blobOf(tx, digest));
  }
}
