/**
 * Snapshots in a database that is asked by queries: Postgres, and the companion of a ledger in EventStoreDB. Must never keep one of a run some of whose
 * payloads were forgotten: it is kept under the lock that a forgetting holds. PROTOCOL §3 "Snapshots".
 */
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type KeptSnapshot, MAX_SNAPSHOT_BYTES, type SnapshotFailure, type SnapshotPlace, type SnapshotShelf } from '@openexec/ledger';
import { type Kysely, sql, type Transaction } from 'kysely';
import { isOutcome as isFileOutcome, type Refusal } from './errors.ts';
import { hindrance } from './keeping.ts';
import { FORGOTTEN, placeIn, snapshotIn } from './snapshotRows.ts';

/** The table as kysely knows it. */
export interface SnapshotTable {
  readonly run: string;
  readonly seq: number | string;
  readonly leaf: string;
  readonly digest: string;
  readonly tag: Buffer;
  readonly bytes: Buffer;
}
/** A database that has it, whatever else it has. */
export interface WithSnapshots {
  readonly snapshots: SnapshotTable;
}

/** The statement that makes the table, with the types of its dialect. */
export function snapshotTable({ bytes, int, name }: { readonly bytes: string; readonly int: string; readonly name: string }): string {
  return `CREATE TABLE snapshots (run ${name} NOT NULL, seq ${int} NOT NULL, leaf ${name} NOT NULL, digest ${name} NOT NULL, tag ${bytes} NOT NULL, bytes ${bytes} NOT NULL, PRIMARY KEY (run, seq))`;
}

/** What the shelf of one handle works with. */
export interface QuerySnapshotsOptions {
  readonly db: Kysely<WithSnapshots>;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
  /** A transaction under the lock of everything that is written. */
  locked(work: (tx: Transaction<WithSnapshots>) => Promise<void>): Promise<void>;
  isOutcome(error: unknown): boolean;
  refusalOf(error: unknown): Refusal;
}

/** See {@link SnapshotShelf}. */
export class QuerySnapshots implements SnapshotShelf {
  readonly #options: QuerySnapshotsOptions;

  constructor(options: QuerySnapshotsOptions) {
    this.#options = options;
  }

  async keep({ run, seq, leaf, digest, tag, bytes }: KeptSnapshot): Promise<Result<void, SnapshotFailure>> {
    if (bytes.length > MAX_SNAPSHOT_BYTES) return ok(undefined);
    return this.#asked(true, () =>
      this.#options.locked(async (tx) => {
        const rows = await tx.selectFrom('snapshots').select('seq').where('run', '=', run).execute();
        const places = rows.map((row) => Number(row.seq));
        if (places.includes(FORGOTTEN)) return;
        // Beside it stays the newest of the older ones; what claims to be newer cannot be.
        const older = Math.max(FORGOTTEN, ...places.filter((place) => place < seq));
        await tx.deleteFrom('snapshots').where('run', '=', run).where('seq', '<>', older).execute();
        const row = { run, seq, leaf, digest, tag: Buffer.from(tag), bytes: Buffer.from(bytes) };
        await tx.insertInto('snapshots').values(row).execute();
      }),
    );
  }

  async places(run?: TrajectoryId): Promise<Result<readonly SnapshotPlace[], SnapshotFailure>> {
    return this.#asked(false, async () => {
      const all = this.#options.db.selectFrom('snapshots').select(['run', 'seq']).where('seq', '>=', 0);
      const wanted = run === undefined ? all : all.where('run', '=', run);
      return (await wanted.orderBy('run').orderBy('seq', 'desc').execute()).map(placeIn);
    });
  }

  async read({ run, seq }: SnapshotPlace): Promise<Result<KeptSnapshot | null, SnapshotFailure>> {
    return this.#asked(false, async () => {
      const row = await this.#options.db
        .selectFrom('snapshots')
        .selectAll()
        .where('run', '=', run)
        .where('seq', '=', seq)
        .executeTakeFirst();
      return row === undefined ? null : snapshotIn(row);
    });
  }

  async drop(places: readonly SnapshotPlace[]): Promise<Result<void, SnapshotFailure>> {
    return this.#asked(true, () =>
      this.#options.locked(async (tx) => {
        for (const { run, seq } of places) await tx.deleteFrom('snapshots').where('run', '=', run).where('seq', '=', seq).execute();
      }),
    );
  }

  async #asked<T>(writes: boolean, work: () => Promise<T>): Promise<Result<T, SnapshotFailure>> {
    const hindered = hindrance(this.#options, writes);
    if (hindered !== null) return err(hindered);
    try {
      return ok(await work());
    } catch (error) {
      if (!this.#options.isOutcome(error) && !isFileOutcome(error)) throw error;
      return err(this.#options.refusalOf(error));
    }
  }
}

/** In the transaction of a forgetting: snapshots of these runs go, and none is ever kept again. */
export async function forgetSnapshots(tx: Transaction<WithSnapshots>, runs: readonly string[]): Promise<void> {
  for (const run of runs) {
    await tx.deleteFrom('snapshots').where('run', '=', run).execute();
    const none = { run, seq: FORGOTTEN, leaf: '', digest: '', tag: Buffer.alloc(0), bytes: Buffer.alloc(0) };
    await tx.insertInto('snapshots').values(none).execute();
  }
}

/** Waits for the row that everything written to this ledger is written under. */
export async function lockHead(tx: Transaction<WithSnapshots>): Promise<void> {
  await sql`SELECT 1 FROM head WHERE id = 0 FOR UPDATE`.execute(tx);
}
