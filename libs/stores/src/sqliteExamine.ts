/**
 * Everything that a ledger in SQLite keeps beside its entries, derived again from them and compared; repaired where asked. In one transaction, so
 * that no append comes between. Must never repair while an entry or a payload is broken. PROTOCOL §3 (fsck).
 */
import { type Bytes, type Digest, digestOf, isDigest, type TrajectoryId } from '@openexec/canon';
import { type Examination, Holding, LedgerFault, reach, Retrace, runNow } from '@openexec/ledger';
import type Database from 'better-sqlite3';
import type { BlobFiles } from './blobFiles.ts';
import { integerIn } from './columns.ts';
import { Findings } from './findings.ts';
import { readBlobNow } from './blobRows.ts';
import { unpacked } from './packed.ts';
import { Frontier, leavesUnder, type Subtree } from './tree.ts';
import { headIn } from './sqliteReading.ts';

const PAGE = 1000;

interface Examined {
  readonly db: Database.Database;
  readonly blobFiles: BlobFiles;
  /** Names of the files that were there before the transaction. */
  readonly files: readonly Digest[];
  readonly repair: boolean;
}
type RawRow = readonly [number, unknown, unknown, unknown, string | null, number, string | null];
interface WrongPlace {
  readonly idx: number;
  readonly trajectory: TrajectoryId;
  readonly seq: number;
  readonly event: string | null;
}

/** Examines, and repairs where asked. Throws SQLite's errors. */
export function examineSqlite(examined: Examined): Examination {
  const work = new SqliteExamination(examined);
  const transaction = examined.db.transaction(() => work.run());
  return examined.repair ? transaction.immediate() : transaction.deferred();
}

class SqliteExamination {
  readonly #of: Examined;
  readonly #retrace = new Retrace();
  readonly #frontier = new Frontier(0, new Uint8Array(0));
  readonly #holding = new Holding();
  readonly #found = new Findings();
  readonly #places: WrongPlace[] = [];
  readonly #subtrees: Subtree[] = [];
  readonly #orphans: { readonly digest: Digest; readonly isFile: boolean }[] = [];
  #complete = 0;

  constructor(of: Examined) {
    this.#of = of;
  }

  run(): Examination {
    this.#entries();
    // Nothing can be derived from broken entries; what is kept may then be the better witness, and is left as it is.
    const blobs = this.#found.broken ? 0 : this.#derived();
    const repaired = this.#of.repair && !this.#found.broken;
    if (repaired) this.#repair();
    const { omitted, firstBad } = this.#found;
    return { entries: this.#retrace.size, root: this.#retrace.root(), blobs, findings: this.#found.after(repaired), omitted, firstBad };
  }

  #derived(): number {
    this.#subtreeCount();
    this.#trajectories();
    this.#head();
    return this.#blobs();
  }

  #entries(): void {
    const page = this.#of.db
      .prepare(
        `SELECT e.idx, e.entry, e.payload, e.salt, t.name, e.seq, e.event FROM entries e LEFT JOIN trajectories t ON t.id = e.trajectory
         WHERE e.idx > ? ORDER BY e.idx LIMIT ${PAGE}`,
      )
      .raw();
    for (let after = -1; ; ) {
      const rows = page.all(after) as RawRow[];
      for (const row of rows) {
        // A damaged table may give rows in any order: read in circles it would never end.
        if (integerIn(row[0], 'the index of an entry') <= after)
          throw new LedgerFault('store.corrupt', `the entries from ${after} on are out of order; run verify`);
        this.#found.gap(after + 1, row[0]);
        after = row[0];
        this.#row(row);
      }
      if (rows.length === 0) return;
    }
  }

  #row([idx, entryBytes, payload, salt, name, seq, event]: RawRow): void {
    const row = {
      entryBytes: unpacked(plain(entryBytes)),
      payload: payload === null ? null : unpacked(plain(payload)),
      salt: salt === null ? null : plain(salt),
    };
    const taken = this.#retrace.take(row);
    if (!taken.ok) return this.#found.add(taken.error.code, idx, taken.error.message);
    const { entry, hash } = taken.value;
    this.#holding.take(entry, row.payload);
    if (!this.#found.place(idx, { name, seq, event }, entry))
      this.#places.push({ idx, trajectory: entry.trajectory, seq: entry.seq, event: entry.id ?? null });
    this.#frontier.append(hash, (subtree) => this.#subtree(subtree));
  }

  #subtree(subtree: Subtree): void {
    if (this.#found.broken) return;
    this.#complete += 1;
    const stored = this.#of.db.prepare('SELECT hash FROM subtrees WHERE level = ? AND idx = ?').pluck().get(subtree.level, subtree.index);
    if (!this.#found.subtree(subtree, stored === undefined ? undefined : plain(stored))) this.#subtrees.push(subtree);
  }

  #subtreeCount(): void {
    const kept = Number(this.#of.db.prepare('SELECT count(*) FROM subtrees').pluck().get());
    const missing = this.#subtrees.filter(
      ({ level, index }) => this.#of.db.prepare('SELECT 1 FROM subtrees WHERE level = ? AND idx = ?').get(level, index) === undefined,
    ).length;
    if (kept > this.#complete - missing)
      this.#found.add('subtree.wrong', null, `${kept} roots of subtrees are kept, the entries have ${this.#complete}`);
  }

  #trajectories(): void {
    const names = this.#of.db.prepare('SELECT name FROM trajectories').pluck().all() as TrajectoryId[];
    for (const name of names)
      if (!this.#retrace.states.has(name)) this.#found.add('trajectory.wrong', null, `${name} is kept, and has no entry`);
  }

  #head(): void {
    const head = headIn(this.#of.db.prepare('SELECT size, frontier, fingerprint, successor FROM head WHERE id = 0').get());
    this.#found.head(head, this.#retrace, this.#frontier.stored());
  }

  #blobs(): number {
    const { db, blobFiles, files } = this.#of;
    const { held, containers, openedOnly } = this.#holding.finish();
    const all = runNow(reach(held, containers), (digest) => readBlobNow({ db, blobFiles }, digest));
    const rows = db.prepare("SELECT digest, length, bytes IS NULL FROM blobs WHERE digest <> '' ORDER BY digest").raw().all() as (readonly [
      Digest,
      number,
      number,
    ])[];
    const asFile = new Set<Digest>();
    for (const [digest, length, isFile] of rows) {
      // It becomes a path: what is no digest goes nowhere near a file.
      if (!isDigest(digest)) {
        this.#orphan(digest, false);
        continue;
      }
      if (length >= 0 && isFile === 1) asFile.add(digest);
      const named = length >= 0 ? all.has(digest) : length < -1 || (openedOnly.has(digest) && !all.has(digest));
      if (!named) this.#orphan(digest, false);
      if (length < 0) continue;
      const bytes = readBlobNow({ db, blobFiles }, digest);
      if (bytes === null || bytes.length !== length || digestOf(bytes) !== digest)
        this.#found.add(
          'blob.corrupt',
          null,
          `the blob ${digest} is ${bytes === null ? 'missing from its folder' : 'not what its name says'}`,
        );
    }
    for (const digest of files) if (!asFile.has(digest)) this.#orphan(digest, true);
    return rows.length;
  }

  #orphan(digest: Digest, isFile: boolean): void {
    this.#found.add('blob.orphan', null, `nothing names the ${isFile ? 'file of the blob' : 'blob'} ${digest}`);
    this.#orphans.push({ digest, isFile });
  }

  #repair(): void {
    const { db, blobFiles } = this.#of;
    const idOf = (name: string): number => {
      db.prepare('INSERT INTO trajectories (name) VALUES (?) ON CONFLICT DO NOTHING').run(name);
      return Number(db.prepare('SELECT id FROM trajectories WHERE name = ?').pluck().get(name));
    };
    // First out of each other's way: two places may have been swapped.
    for (const { idx } of this.#places) db.prepare('UPDATE entries SET trajectory = ?, event = NULL WHERE idx = ?').run(-idx - 1, idx);
    for (const { idx, trajectory, seq, event } of this.#places)
      db.prepare('UPDATE entries SET trajectory = ?, seq = ?, event = ? WHERE idx = ?').run(idOf(trajectory), seq, event, idx);
    db.prepare('DELETE FROM trajectories WHERE id NOT IN (SELECT DISTINCT trajectory FROM entries)').run();
    for (const { level, index, hash } of this.#subtrees)
      db.prepare('INSERT INTO subtrees VALUES (?, ?, ?) ON CONFLICT (level, idx) DO UPDATE SET hash = excluded.hash').run(
        level,
        index,
        hash,
      );
    const { size, fingerprint, successor } = this.#retrace;
    const levels = db.prepare('SELECT DISTINCT level FROM subtrees').pluck().all() as number[];
    for (const level of levels)
      db.prepare('DELETE FROM subtrees WHERE level = ? AND idx >= ?').run(level, Math.floor(size / leavesUnder(level)));
    db.prepare('UPDATE head SET size = ?, frontier = ?, fingerprint = ?, successor = ?').run(
      size,
      this.#frontier.stored(),
      fingerprint,
      successor,
    );
    for (const { digest, isFile } of this.#orphans) {
      if (!isFile) db.prepare('DELETE FROM blobs WHERE digest = ?').run(digest);
      if (isDigest(digest)) blobFiles.removeNow(digest);
    }
  }
}

/** Bytes as they are; anything else in their place is none, which what is derived from them then says. */
function plain(value: unknown): Bytes {
  return value instanceof Uint8Array ? new Uint8Array(value) : new Uint8Array(0);
}
