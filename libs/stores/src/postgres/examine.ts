/**
 * Everything that a ledger in Postgres keeps beside its entries, derived again from them and compared; repaired where asked. Under the lock of the head
 * where it repairs. Must never repair while an entry or a payload is broken. PROTOCOL §3 (fsck).
 */
import type { Digest } from '@openexec/canon';
import { type Examination, Holding, type KeepFinding, reach, Retrace, runLater, type TrajectoryState } from '@openexec/ledger';
import { sql, type Transaction } from 'kysely';
import { Findings } from '../findings.ts';
import { Frontier, type Subtree } from '../tree.ts';
import { ERASED } from '../blobParts.ts';
import { blobOf } from './blobRows.ts';
import { readHead, readBlob } from './reader.ts';
import type { Tables } from './tables.ts';

const PAGE = 1000;

interface RawRow {
  readonly idx: string;
  readonly entry: Buffer;
  readonly payload: Buffer | null;
  readonly salt: Buffer | null;
  readonly name: string | null;
  readonly seq: string;
  readonly event: string | null;
}

/** One examination in one transaction. */
export class PostgresExamination {
  readonly #tx: Transaction<Tables>;
  readonly #mayRepair: boolean;
  readonly #retrace = new Retrace();
  readonly #frontier = new Frontier(0, new Uint8Array(0));
  readonly #holding = new Holding();
  readonly #found = new Findings();
  readonly #subtrees: Subtree[] = [];
  readonly #orphans: Digest[] = [];
  readonly #heads: (readonly [string, TrajectoryState])[] = [];
  #misplaced = false;

  constructor(tx: Transaction<Tables>, mayRepair: boolean) {
    this.#tx = tx;
    this.#mayRepair = mayRepair;
  }

  async run(): Promise<Examination> {
    if (this.#mayRepair) await readHead(this.#tx, true);
    await this.#entries();
    // Nothing can be derived from broken entries; what is kept may then be the better witness, and is left as it is.
    const blobs = this.#found.broken ? 0 : await this.#derived();
    // Where an entry is kept under another place its numbers cannot be trusted either: such a ledger is exported and imported instead.
    const repaired = this.#mayRepair && !this.#found.broken && !this.#misplaced;
    if (repaired) await this.#repair();
    const { omitted, firstBad } = this.#found;
    const findings: readonly KeepFinding[] = this.#found.after(repaired);
    return { entries: this.#retrace.size, root: this.#retrace.root(), blobs, findings, omitted, firstBad };
  }

  async #derived(): Promise<number> {
    await this.#compareSubtrees();
    await this.#trajectories();
    await this.#head();
    return this.#blobs();
  }

  async #entries(): Promise<void> {
    for (let after = -1; ; ) {
      const page = await sql<RawRow>`
        SELECT e.idx, e.entry, e.payload, e.salt, t.name, e.seq, e.event FROM entries e LEFT JOIN trajectories t ON t.id = e.trajectory
        WHERE e.idx > ${String(after)} ORDER BY e.idx LIMIT ${PAGE}`.execute(this.#tx);
      for (const row of page.rows) {
        const idx = Number(row.idx);
        this.#found.gap(after + 1, idx);
        after = idx;
        this.#row(row, idx);
      }
      if (page.rows.length === 0) return;
    }
  }

  #row({ entry: bytes, payload, salt, name, seq, event }: RawRow, idx: number): void {
    const plain = (buffer: Buffer | null): Uint8Array | null => (buffer === null ? null : Uint8Array.from(buffer));
    const row = { entryBytes: Uint8Array.from(bytes), payload: plain(payload), salt: plain(salt) };
    const taken = this.#retrace.take(row);
    if (!taken.ok) return this.#found.add(taken.error.code, idx, taken.error.message);
    const { entry, hash } = taken.value;
    this.#holding.take(entry, row.payload);
    if (!this.#found.place(idx, { name, seq: Number(seq), event }, entry)) this.#misplaced = true;
    this.#frontier.append(hash, (subtree) => this.#subtrees.push(subtree));
  }

  async #compareSubtrees(): Promise<void> {
    const kept = new Map<string, Uint8Array>();
    const rows = await this.#tx.selectFrom('subtrees').selectAll().execute();
    for (const { level, idx, hash } of rows) kept.set(`${level}/${idx}`, hash);
    for (const subtree of this.#subtrees) {
      const name = `${subtree.level}/${subtree.index}`;
      this.#found.subtree(subtree, kept.get(name));
      kept.delete(name);
    }
    if (kept.size > 0) this.#found.add('subtree.wrong', null, `${kept.size} roots of subtrees are kept that the entries do not have`);
  }

  async #trajectories(): Promise<void> {
    const known = new Map(
      (await this.#tx.selectFrom('trajectories').select(['name', 'seq', 'leaf', 'fact_at', 'closed']).execute()).map(
        (row) => [row.name, row] as const,
      ),
    );
    for (const [name, state] of this.#retrace.states) {
      const row = known.get(name);
      known.delete(name);
      if (
        row !== undefined &&
        Number(row.seq) === state.seq &&
        row.leaf === state.leaf &&
        row.fact_at === state.factAt &&
        row.closed === state.closed
      )
        continue;
      this.#found.add('trajectory.wrong', null, `the head kept of ${name} is not that of its entries`);
      this.#heads.push([name, state]);
    }
    for (const name of known.keys()) this.#found.add('trajectory.wrong', null, `${name} is kept, and has no entry`);
  }

  async #head(): Promise<void> {
    this.#found.head(await readHead(this.#tx, false), this.#retrace, this.#frontier.stored());
  }

  async #blobs(): Promise<number> {
    const { held, containers, openedOnly } = this.#holding.finish();
    const all = await runLater(reach(held, containers), (digest) => blobOf(this.#tx, digest));
    const rows = await this.#tx.selectFrom('blobs').selectAll().orderBy('digest').execute();
    for (const row of rows) {
      const digest = row.digest as Digest; // Only digests are written there.
      const isErased = Number(row.length) === ERASED;
      if (isErased ? !openedOnly.has(digest) || all.has(digest) : !all.has(digest)) {
        this.#found.add('blob.orphan', null, `nothing names the blob ${digest}`);
        this.#orphans.push(digest);
      }
      const read = isErased ? null : await readBlob(this.#tx, digest);
      if (read?.ok === false) this.#found.add('blob.corrupt', null, read.error.message);
    }
    return rows.length;
  }

  async #repair(): Promise<void> {
    const tx = this.#tx;
    for (const [name, { seq, leaf, factAt, closed }] of this.#heads)
      await sql`UPDATE trajectories SET seq = ${seq}, leaf = ${leaf}, fact_at = ${factAt}, closed = ${closed} WHERE name = ${name}`.execute(
        tx,
      );
    await sql`DELETE FROM trajectories WHERE id NOT IN (SELECT trajectory FROM entries)`.execute(tx);
    await sql`DELETE FROM subtrees`.execute(tx);
    for (let from = 0; from < this.#subtrees.length; from += PAGE) {
      const some = this.#subtrees.slice(from, from + PAGE);
      await sql`
        INSERT INTO subtrees (level, idx, hash)
        SELECT * FROM UNNEST(${some.map(({ level }) => level)}::integer[], ${some.map(({ index }) => index)}::bigint[],
          ${some.map(({ hash }) => Buffer.from(hash))}::bytea[])`.execute(tx);
    }
    const { size, fingerprint, successor } = this.#retrace;
    await sql`
      UPDATE head SET size = ${String(size)}, frontier = ${Buffer.from(this.#frontier.stored())}, fingerprint = ${fingerprint},
        successor = ${successor} WHERE id = 0`.execute(tx);
    await sql`DELETE FROM blob_parts WHERE digest = ANY(${this.#orphans}::text[])`.execute(tx);
    await sql`DELETE FROM blobs WHERE digest = ANY(${this.#orphans}::text[])`.execute(tx);
  }
}
