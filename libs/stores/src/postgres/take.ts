/**
 * Rows of a copy into the tables of Postgres, a page at a time. Must never commit: that is the keeper's, after the last check. PROTOCOL §3.
 */
import type { Bytes, Digest, TrajectoryId } from '@openexec/canon';
import type { CopyCheck, CopyPart, Row } from '@openexec/ledger';
import { sql } from 'kysely';
import { Frontier, type Subtree } from '../tree.ts';
import { ERASED, partsOf } from '../blobParts.ts';
import type { Tx } from './writer.ts';

/** One copy being stored. */
export class Taking {
  readonly #tx: Tx;
  readonly #check: CopyCheck;
  readonly #frontier = new Frontier(0, new Uint8Array(0));
  readonly #ids = new Map<TrajectoryId, number>();

  constructor(tx: Tx, check: CopyCheck) {
    this.#tx = tx;
    this.#check = check;
  }

  async take(part: CopyPart): Promise<void> {
    if (part.is === 'rows') return this.#rows(part.rows);
    if (part.is === 'checkpoint') {
      const { size, note } = part.checkpoint;
      this.#check.checkpoint(part.checkpoint);
      await sql`INSERT INTO checkpoints (size, note) VALUES (${String(size)}, ${note})`.execute(this.#tx);
      return;
    }
    this.#check.blob(part.digest, part.bytes);
    await this.#blob(part.digest, part.bytes);
  }

  async #rows(rows: readonly Row[]): Promise<void> {
    const subtrees: Subtree[] = [];
    const taken = rows.map((row) => {
      const { entry, index, hash } = this.#check.row(row);
      this.#frontier.append(hash, (subtree) => subtrees.push(subtree));
      if (!this.#ids.has(entry.trajectory)) this.#ids.set(entry.trajectory, this.#ids.size + 1);
      return { row, entry, index, id: this.#ids.get(entry.trajectory) ?? 0 };
    });
    await sql`
      INSERT INTO entries (idx, trajectory, seq, entry, payload, salt, event)
      SELECT * FROM UNNEST(${taken.map(({ index }) => String(index))}::bigint[], ${taken.map(({ id }) => String(id))}::bigint[],
        ${taken.map(({ entry }) => entry.seq)}::bigint[], ${taken.map(({ row }) => Buffer.from(row.entryBytes))}::bytea[],
        ${taken.map(({ row }) => bufferOrNull(row.payload))}::bytea[], ${taken.map(({ row }) => bufferOrNull(row.salt))}::bytea[],
        ${taken.map(({ entry }) => entry.id ?? null)}::text[])`.execute(this.#tx);
    if (subtrees.length > 0)
      await sql`
        INSERT INTO subtrees (level, idx, hash)
        SELECT * FROM UNNEST(${subtrees.map(({ level }) => level)}::integer[], ${subtrees.map(({ index }) => index)}::bigint[],
          ${subtrees.map(({ hash }) => Buffer.from(hash))}::bytea[])`.execute(this.#tx);
  }

  async #blob(digest: Digest, bytes: Bytes | null): Promise<void> {
    await sql`INSERT INTO blobs (digest, length) VALUES (${digest}, ${bytes === null ? ERASED : bytes.length})`.execute(this.#tx);
    for (const [part, some] of partsOf(bytes ?? new Uint8Array(0)).entries())
      await sql`INSERT INTO blob_parts (digest, part, bytes) VALUES (${digest}, ${part}, ${some})`.execute(this.#tx);
  }

  /** Heads of trajectories and of the ledger, at the end. */
  async finish(schema: string): Promise<void> {
    const { states, size, fingerprint, successor } = this.#check.retrace;
    const heads = [...states];
    for (let from = 0; from < heads.length; from += 1000) {
      const some = heads.slice(from, from + 1000);
      await sql`
        INSERT INTO trajectories (id, name, seq, leaf, fact_at, closed)
        SELECT * FROM UNNEST(${some.map(([name]) => String(this.#ids.get(name) ?? 0))}::bigint[], ${some.map(([name]) => name)}::text[],
          ${some.map(([, { seq }]) => seq)}::bigint[], ${some.map(([, { leaf }]) => leaf)}::text[],
          ${some.map(([, { factAt }]) => factAt)}::text[], ${some.map(([, { closed }]) => closed)}::boolean[])`.execute(this.#tx);
    }
    await sql`
      UPDATE head SET size = ${String(size)}, frontier = ${Buffer.from(this.#frontier.stored())}, fingerprint = ${fingerprint},
        successor = ${successor} WHERE id = 0`.execute(this.#tx);
    await sql`SELECT pg_notify(${`openexec_${schema}`}, ${String(size)})`.execute(this.#tx);
  }
}

function bufferOrNull(bytes: Bytes | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
