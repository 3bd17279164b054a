/**
 * Everything that a companion keeps of a stream, derived again from its entries and compared; the index made again where asked, and what nothing names
 * taken out. Must never repair while an entry or a payload is broken, nor take what an append on its way has just stored. PROTOCOL §3 (fsck).
 */
import { type Clock, type Digest, instantFromMs, instantToMs, toHex, type TrajectoryId } from '@openexec/canon';
import { decodeEntry, type Examination, Holding, LedgerFault, reach, readPrunedList, Retrace, type Row, runLater } from '@openexec/ledger';
import { sql } from 'kysely';
import { Findings } from '../findings.ts';
import { Frontier, type Subtree } from '../tree.ts';
import { ERASED } from '../blobParts.ts';
import { type CompanionTx, inTransaction, type OpenedCompanion } from './companion.ts';
import { indexHead, lockedHead } from './indexHead.ts';
import { blobOf, hydrate, payloadsOf, readBlob } from './payloads.ts';
import { dropBlobs, unnamed } from './settle.ts';
import type { EntryStream, StreamEntry } from './stream.ts';
import { listIn, markPruned, placesIn, takeUp } from './trajectories.ts';

const PAGE = 1000;
/** No append takes this long; see the writer. */
const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;
const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.

/** What an examination works with. */
export interface Examining {
  readonly companion: OpenedCompanion;
  readonly stream: EntryStream;
  readonly clock: Clock;
  readonly readOnly: boolean;
}

/** An entry without payload, and where it stands. */
interface Missing {
  readonly index: number;
  readonly trajectory: string;
  readonly seq: number;
}

/** One examination in one transaction, as far as the index has taken the stream up. */
export class EventStoreExamination {
  readonly #tx: CompanionTx;
  readonly #options: Examining;
  readonly #retrace = new Retrace();
  readonly #frontier = new Frontier(0, new Uint8Array(0));
  readonly #holding = new Holding();
  readonly #found = new Findings();
  readonly #subtrees: Subtree[] = [];
  readonly #orphans: Digest[] = [];
  readonly #missing: Missing[] = [];
  /** Places that erasures name, and lists of prunings. */
  readonly #erased = new Set<string>();
  readonly #lists: Digest[] = [];

  private constructor(tx: CompanionTx, options: Examining) {
    this.#tx = tx;
    this.#options = options;
  }

  /** Examines, and repairs where asked. Throws what the stream or the companion throw. */
  static of(options: Examining, repair: boolean): Promise<Examination> {
    const { db } = options.companion;
    if (!options.readOnly) return inTransaction(db, (tx) => new EventStoreExamination(tx, options).#run(repair));
    return db.transaction().execute(async (tx) => {
      if (options.companion.isPostgres) await sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`.execute(tx);
      return new EventStoreExamination(tx, options).#run(false);
    });
  }

  async #run(repair: boolean): Promise<Examination> {
    const { size } = this.#options.readOnly ? await indexHead(this.#tx) : await lockedHead(this.#tx);
    await this.#entries(size);
    await this.#missingPayloads();
    // Nothing can be derived from broken entries; what is kept may then be the better witness, and is left as it is.
    const blobs = this.#found.broken ? 0 : await this.#derived();
    const repaired = repair && !this.#found.broken;
    if (repaired) await this.#repair(size);
    const { omitted, firstBad } = this.#found;
    const findings = this.#found.after(repaired);
    return { entries: this.#retrace.size, root: this.#retrace.root(), blobs, findings, omitted, firstBad };
  }

  // ---- entries and payloads

  async #entries(size: number): Promise<void> {
    for (let at = 0; at < size; ) {
      const page = await this.#page(at, size);
      if (page.length === 0) return this.#found.add('entry.broken', at, `entries ${at} to ${size - 1} are missing in the stream`);
      await this.#rows(page);
      at += page.length;
    }
  }

  /** None where the stream has a gap, which is said by whoever asked. */
  async #page(at: number, size: number): Promise<readonly StreamEntry[]> {
    try {
      return await this.#options.stream.page(BigInt(at), Math.min(PAGE, size - at));
    } catch (error) {
      if (!(error instanceof LedgerFault) || error.code !== 'store.corrupt') throw error;
      return [];
    }
  }

  async #rows(page: readonly StreamEntry[]): Promise<void> {
    const commitments = page.map(({ entryBytes }) => {
      const entry = decodeEntry(entryBytes);
      return entry.ok ? entry.value.commitment : '';
    });
    const payloads = await payloadsOf(this.#tx, commitments, true);
    const first = Number(page[0]?.index ?? 0n);
    const kept = await this.#kept(first, page.length);
    for (const [at, { entryBytes }] of page.entries()) {
      const opened = payloads.get(commitments[at] ?? '');
      this.#row({ entryBytes, payload: opened?.payload ?? null, salt: opened?.salt ?? null }, kept.get(first + at));
    }
  }

  #row(row: Row, kept: string | undefined): void {
    const index = this.#retrace.size;
    const taken = this.#retrace.take(row);
    if (!taken.ok) return this.#found.add(taken.error.code, index, taken.error.message);
    const { entry, hash } = taken.value;
    const { trajectory, seq, kind, id, commitment } = entry;
    this.#holding.take(entry, row.payload);
    if (row.payload === null) this.#missing.push({ index, trajectory, seq });
    else if (kind === 'payload.erased') for (const place of placesIn(row.payload)) this.#erased.add(`${place.trajectory} ${place.seq}`);
    else if (kind === 'ledger.pruned') this.#lists.push(...listIn(row.payload));
    const wanted = [trajectory, seq, id ?? null, commitment, toHex(hash)].join(' ');
    if (kept !== wanted) this.#found.add('place.wrong', index, `the index keeps entry ${index} otherwise than the stream has it`);
    this.#frontier.append(hash, (subtree) => this.#subtrees.push(subtree));
  }

  /** What the index says of a stretch of entries. */
  async #kept(first: number, count: number): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#tx
      .selectFrom('entries')
      .leftJoin('trajectories', 'trajectories.id', 'entries.trajectory')
      .select(['entries.idx', 'trajectories.name', 'entries.seq', 'entries.event', 'entries.commitment', 'entries.leaf'])
      .where('entries.idx', '>=', first)
      .where('entries.idx', '<', first + count)
      .execute();
    return new Map(
      rows.map(({ idx, name, seq, event, commitment, leaf }) => [
        Number(idx),
        [name, Number(seq), event, commitment, toHex(Uint8Array.from(leaf))].join(' '),
      ]),
    );
  }

  /** An entry without payload that nothing in the ledger names is damage. */
  async #missingPayloads(): Promise<void> {
    if (this.#missing.every(({ trajectory, seq }) => this.#erased.has(`${trajectory} ${seq}`))) return;
    const ranges = [];
    for (const list of this.#lists) {
      const bytes = await blobOf(this.#tx, list);
      ranges.push(...((bytes === null ? null : readPrunedList(bytes)) ?? []));
    }
    for (const { index, trajectory, seq } of this.#missing)
      if (
        !this.#erased.has(`${trajectory} ${seq}`) &&
        !ranges.some((range) => range.trajectory === trajectory && range.first <= seq && seq <= range.last)
      )
        this.#found.add(
          'payload.broken',
          index,
          `the payload of entry ${index} is gone, and nothing in the ledger says that it was forgotten`,
        );
  }

  // ---- what is derived

  async #derived(): Promise<number> {
    await this.#compareSubtrees();
    await this.#trajectories();
    await this.#head();
    await this.#unnamedPayloads();
    return this.#blobs();
  }

  async #compareSubtrees(): Promise<void> {
    const rows = await this.#tx.selectFrom('subtrees').selectAll().execute();
    const kept = new Map(rows.map(({ level, idx, hash }) => [`${Number(level)}/${Number(idx)}`, hash]));
    for (const subtree of this.#subtrees) {
      const name = `${subtree.level}/${subtree.index}`;
      this.#found.subtree(subtree, kept.get(name));
      kept.delete(name);
    }
    if (kept.size > 0) this.#found.add('subtree.wrong', null, `${kept.size} roots of subtrees are kept that the entries do not have`);
  }

  async #trajectories(): Promise<void> {
    const rows = await this.#tx.selectFrom('trajectories').selectAll().execute();
    const known = new Map(
      rows.map(({ name, seq, leaf, fact_at, closed }) => [name, [Number(seq), leaf, fact_at, Number(closed) === 1].join(' ')]),
    );
    for (const [name, { seq, leaf, factAt, closed }] of this.#retrace.states) {
      const kept = known.get(name);
      known.delete(name);
      if (kept !== [seq, leaf, factAt, closed].join(' '))
        this.#found.add('trajectory.wrong', null, `the head kept of ${name} is not that of its entries`);
    }
    for (const name of known.keys()) this.#found.add('trajectory.wrong', null, `${name} is kept, and has no entry`);
  }

  async #head(): Promise<void> {
    this.#found.head(await indexHead(this.#tx), this.#retrace, this.#frontier.stored());
  }

  /** Younger ones may belong to an append on its way: they are left, and what they name with them. */
  async #unnamedPayloads(): Promise<void> {
    const { count } = await this.#tx
      .selectFrom('payloads')
      .select((eb) => eb.fn.countAll().as('count'))
      .where('stored', '<', this.#young())
      .where('commitment', 'not in', this.#tx.selectFrom('entries').select('commitment'))
      .executeTakeFirstOrThrow();
    if (Number(count) > 0) this.#found.add('payload.orphan', null, `no entry names ${Number(count)} payloads that are older than a day`);
  }

  #young(): string {
    // Instants are of one length, so that they compare as texts.
    return instantFromMs(instantToMs(this.#options.clock.now()) - ORPHAN_AGE_MS);
  }

  async #blobs(): Promise<number> {
    for await (const payload of unnamed(this.#tx)) this.#holding.take({ kind: 'fact.noted', trajectory: LEDGER }, payload);
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

  /** The index is made again from the stream, whatever was wrong with it. */
  async #repair(size: number): Promise<void> {
    const tx = this.#tx;
    await this.#sweep();
    await dropBlobs(tx, this.#orphans);
    const isIndexRight = this.#found.list.every(({ code }) => ['payload.orphan', 'blob.orphan', 'blob.corrupt'].includes(code));
    if (isIndexRight && this.#found.omitted === 0) return;
    for (const table of ['entries', 'trajectories', 'subtrees'] as const) await tx.deleteFrom(table).execute();
    const empty = { size: 0, frontier: Buffer.alloc(0), leaf: null, fingerprint: null, successor: null };
    await tx.updateTable('head').set(empty).where('id', '=', 0).execute();
    for (let at = 0; at < size; ) {
      const page = await this.#page(at, size);
      const stored = await hydrate(tx, page, async (lost) => new Set(lost));
      // What was forgotten is settled; a mark that is made again asks for it once more, and finds nothing.
      if (stored.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on went missing while they were read`);
      for (const list of await takeUp(tx, await indexHead(tx), stored)) await markPruned(tx, list);
      at += page.length;
    }
  }

  /** Takes out what an append left behind that was refused or cut off, once it is a day old. */
  async #sweep(): Promise<void> {
    await this.#tx
      .deleteFrom('payloads')
      .where('stored', '<', this.#young())
      .where('commitment', 'not in', this.#tx.selectFrom('entries').select('commitment'))
      .execute();
  }
}
