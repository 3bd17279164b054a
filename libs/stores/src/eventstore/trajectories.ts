/**
 * The index beside the stream: where trajectories stand, where their entries are, the tree's blocks. Read from the stream and nothing else, so that
 * it can be thrown away; several processes keep it together. Must notice a stream that is shorter than, or other than, what was read before.
 * PROTOCOL §3.
 */
import {
  type Bytes,
  type Digest,
  digestFromBytes,
  type Instant,
  type Json,
  type LeafHash,
  parseCanonical,
  type TrajectoryId,
} from '@openexec/canon';
import { type Entry, factsOf, LedgerFault, readPrunedList, type Stored, successorIn, type TrajectoryState } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import { Frontier, type Subtree } from '../tree.ts';
import type { EventKey, PlaceKey, TrajectoryRow } from '../view.ts';
import { type Companion, type CompanionTx, inTransaction, TO_FORGET } from './companion.ts';
import { type IndexHead, indexHead, lockedHead } from './indexHead.ts';
import { hydrate, readBlob } from './payloads.ts';
import type { EntryStream, StreamEntry } from './stream.ts';

/** Entries taken up in one transaction. */
const PAGE_ENTRIES = 1000;
const NAMES_PAGE = 256;
const ROWS_AT_ONCE = 500;
/** Alternatives of one condition. */
const PLACES_AT_ONCE = 100;

/** What one transaction adds. */
interface Growth {
  readonly rows: { idx: number; trajectory: string; seq: number; event: string | null; commitment: string; leaf: Buffer; erased: number }[];
  readonly subtrees: Subtree[];
  readonly changed: Set<string>;
  /** Places of payloads that were erased. */
  readonly erased: { readonly trajectory: string; readonly seq: number }[];
}

/** One handle's way to the index. */
export class TrajectoryIndex {
  readonly #db: Companion;
  readonly #stream: EntryStream;
  readonly #readOnly: boolean;
  #running: Promise<IndexHead> | null = null;
  #next: Promise<IndexHead> | null = null;

  constructor(db: Companion, stream: EntryStream, readOnly: boolean) {
    this.#db = db;
    this.#stream = stream;
    this.#readOnly = readOnly;
  }

  /** The head as the index has it, without a look at the stream. */
  head(): Promise<IndexHead> {
    return indexHead(this.#db);
  }

  /** Takes up what was appended since, by whomever; answers the head of a moment after the call. Throws `store.corrupt`. */
  catchUp(): Promise<IndexHead> {
    if (this.#running === null) return this.#start();
    // One that runs may have looked before the caller's moment; one that waits has not looked yet and serves all who come.
    this.#next ??= this.#running.catch(() => undefined).then(() => this.#start());
    return this.#next;
  }

  #start(): Promise<IndexHead> {
    this.#next = null;
    const running = this.#catchUp().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  async #catchUp(): Promise<IndexHead> {
    for (;;) {
      const head = await this.head();
      const fresh = await this.#following(head);
      // A handle that may not write answers from the moment up to which others have taken the stream up.
      if (fresh.length === 0 || this.#readOnly) return head;
      await inTransaction(this.#db, (tx) => this.#take(tx, fresh, (some) => hydrate(tx, some, async (lost) => new Set(lost))));
      if (fresh.length < PAGE_ENTRIES) return this.head();
    }
  }

  /** Reads on after the last entry known, which has to be there still. */
  async #following(head: IndexHead): Promise<readonly StreamEntry[]> {
    if (head.size === 0) return this.#stream.page(0n, PAGE_ENTRIES);
    const [last, ...fresh] = await this.#stream.page(BigInt(head.size - 1), PAGE_ENTRIES + 1);
    if (last === undefined)
      throw new LedgerFault(
        'store.corrupt',
        `the stream is shorter than the ${head.size} entries read before: it was deleted or rolled back`,
      );
    if (digestFromBytes(leafHash(last.entryBytes)) !== head.leaf)
      throw new LedgerFault('store.corrupt', `entry ${head.size - 1} of the stream is not the one read before: history was replaced`);
    return fresh;
  }

  /** Takes up this handle's own entries, just appended; where others were between, the next look catches up. */
  async adopt(stored: readonly Stored[]): Promise<void> {
    await inTransaction(this.#db, (tx) => this.#take(tx, stored, async (some) => some));
  }

  /** Under the head's lock: leaves out what another process has taken up already. */
  async #take<T extends StreamEntry>(
    tx: CompanionTx,
    entries: readonly T[],
    opened: (fresh: readonly T[]) => Promise<readonly Stored[]>,
  ): Promise<void> {
    const head = await lockedHead(tx);
    const fresh = entries.filter(({ index }) => index >= BigInt(head.size));
    const [first] = fresh;
    if (first === undefined || first.index > BigInt(head.size)) return;
    for (const list of await takeUp(tx, head, await opened(fresh))) await markPruned(tx, list);
  }

  // ---- what is asked

  async trajectories(names: readonly string[]): Promise<readonly TrajectoryRow[]> {
    return trajectoriesIn(this.#db, names);
  }

  /** A page of trajectories after a name, by name. */
  async trajectoriesAfter(after: string, prefix: string): Promise<readonly TrajectoryRow[]> {
    // Names are ASCII, so the first text behind all that begin so is the prefix and a character above all of theirs.
    const rows = await this.#db
      .selectFrom('trajectories')
      .selectAll()
      .where('name', '>', after)
      .where('name', '>=', prefix)
      .where('name', '<', `${prefix}\u{7f}`)
      .orderBy('name')
      .limit(NAMES_PAGE)
      .execute();
    return rows.map(trajectoryOf);
  }

  /** Leaf indices of a part of a trajectory, in order. */
  async indicesOf(trajectory: bigint, from: number, to: number, limit: number): Promise<readonly bigint[]> {
    const rows = await this.#db
      .selectFrom('entries')
      .select('idx')
      .where('trajectory', '=', Number(trajectory))
      .where('seq', '>=', from)
      .where('seq', '<', to)
      .orderBy('seq')
      .limit(limit)
      .execute();
    return rows.map(({ idx }) => BigInt(idx));
  }

  /** Leaf indices of places. */
  async indicesAt(places: readonly PlaceKey[]): Promise<readonly bigint[]> {
    const found: bigint[] = [];
    for (let from = 0; from < places.length; from += PLACES_AT_ONCE) {
      const some = places.slice(from, from + PLACES_AT_ONCE);
      const rows = await this.#db
        .selectFrom('entries')
        .select('idx')
        .where((eb) => eb.or(some.map(({ trajectory, seq }) => eb.and({ trajectory: Number(trajectory), seq }))))
        .execute();
      found.push(...rows.map(({ idx }) => BigInt(idx)));
    }
    return found;
  }

  /** Positions of event ids. */
  async events(events: readonly EventKey[]): Promise<readonly (EventKey & { readonly seq: number })[]> {
    const found: (EventKey & { readonly seq: number })[] = [];
    for (let from = 0; from < events.length; from += PLACES_AT_ONCE) {
      const some = events.slice(from, from + PLACES_AT_ONCE);
      const rows = await this.#db
        .selectFrom('entries')
        .select(['trajectory', 'event', 'seq'])
        .where((eb) => eb.or(some.map(({ trajectory, event }) => eb.and({ trajectory: Number(trajectory), event }))))
        .execute();
      for (const row of rows)
        found.push({ trajectory: BigInt(row.trajectory), event: row.event as EventKey['event'], seq: Number(row.seq) });
    }
    return found;
  }

  /** Those of these entries whose payloads the ledger names as gone. */
  async soundlyMissing(indices: readonly bigint[]): Promise<ReadonlySet<bigint>> {
    const head = await this.head();
    // Where the list of a pruning is gone, its having been there has to do; verification says so.
    if (head.pruned) return new Set(indices);
    const rows = await this.#db
      .selectFrom('entries')
      .select('idx')
      .where('idx', 'in', indices.map(Number))
      .where('erased', '=', 1)
      .execute();
    return new Set(rows.map(({ idx }) => BigInt(idx)));
  }

  /** Hashes of leaves as they were taken up: good for proofs, which show by themselves whether they are right. */
  async leaves(first: number, count: number): Promise<Bytes[]> {
    const rows = await this.#db
      .selectFrom('entries')
      .select('leaf')
      .where('idx', '>=', first)
      .where('idx', '<', first + count)
      .orderBy('idx')
      .execute();
    return rows.map(({ leaf }) => Uint8Array.from(leaf));
  }

  /** Stored roots of blocks. */
  async subtrees(level: number, first: number, count: number): Promise<Bytes[]> {
    const rows = await this.#db
      .selectFrom('subtrees')
      .select('hash')
      .where('level', '=', level)
      .where('idx', '>=', first)
      .where('idx', '<', first + count)
      .orderBy('idx')
      .execute();
    return rows.map(({ hash }) => Uint8Array.from(hash));
  }
}

/** Takes decoded entries into the index, under its lock; they follow on `head`. Answers the lists of prunings, which are still to be marked. */
export async function takeUp(tx: CompanionTx, head: IndexHead, stored: readonly Stored[]): Promise<readonly Digest[]> {
  const taking = new Taking(tx, head);
  await taking.take(stored);
  return taking.lists;
}

/** Marks what the list of a pruning names; where the list is not here, that is remembered. */
export async function markPruned(tx: CompanionTx, list: Digest): Promise<void> {
  const read = await readBlob(tx, list);
  const ranges = read.ok ? readPrunedList(read.value) : null;
  if (ranges === null) {
    await tx.updateTable('head').set({ pruned: 1 }).where('id', '=', 0).execute();
    return;
  }
  const ids = new Map(
    (await trajectoriesIn(tx, [...new Set(ranges.map(({ trajectory }) => trajectory))])).map(({ name, id }) => [name, id]),
  );
  for (const { trajectory, first, last } of ranges) {
    const id = ids.get(trajectory as TrajectoryId);
    if (id === undefined) continue;
    await tx
      .updateTable('entries')
      .set({ erased: 1 })
      .where('trajectory', '=', Number(id))
      .where('seq', '>=', first)
      .where('seq', '<=', last)
      .execute();
  }
}

/** The reading of a page, under the head's lock. */
class Taking {
  readonly #tx: CompanionTx;
  readonly #head: IndexHead;
  readonly #frontier: Frontier;
  readonly #known = new Map<string, { id: string; state: TrajectoryState | null }>();
  readonly #growth: Growth = { rows: [], subtrees: [], changed: new Set(), erased: [] };
  /** Lists of prunings among what was taken. */
  readonly lists: Digest[] = [];
  #fingerprint: Digest | null;
  #successor: string | null;

  constructor(tx: CompanionTx, head: IndexHead) {
    this.#tx = tx;
    this.#head = head;
    this.#frontier = new Frontier(head.size, head.frontier);
    this.#fingerprint = head.fingerprint;
    this.#successor = head.successor;
  }

  async take(stored: readonly Stored[]): Promise<void> {
    await this.#fetch([...new Set(stored.map(({ entry }) => entry.trajectory))]);
    for (const one of stored) this.#read(one);
    await this.#write(stored);
  }

  async #fetch(names: readonly TrajectoryId[]): Promise<void> {
    const rows = new Map((await trajectoriesIn(this.#tx, names)).map((row) => [row.name, row]));
    const highest = await this.#tx
      .selectFrom('trajectories')
      .select((eb) => eb.fn.max('id').as('id'))
      .executeTakeFirst();
    let last = BigInt(highest?.id ?? 0);
    for (const name of names) {
      const row = rows.get(name);
      this.#known.set(name, { id: String(row?.id ?? ++last), state: row ?? null });
    }
  }

  #read({ index, entry, leaf, entryBytes, payload }: Stored): void {
    const known = this.#known.get(entry.trajectory);
    if (known === undefined) throw new Error(`${entry.trajectory} was not fetched`);
    const facts = factsOf(entry.kind);
    if (entry.seq !== (known.state === null ? 0 : known.state.seq + 1) || entry.prev !== (known.state?.leaf ?? null))
      throw new LedgerFault('store.corrupt', `entry ${index} does not follow on what stands before it in ${entry.trajectory}; run verify`);
    known.state = {
      seq: entry.seq,
      leaf,
      factAt: facts?.judged === true ? (known.state?.factAt ?? null) : entry.at,
      closed: facts?.closes === true,
    };
    const hash = leafHash(entryBytes);
    this.#growth.changed.add(entry.trajectory);
    this.#growth.rows.push({
      idx: Number(index),
      trajectory: known.id,
      seq: entry.seq,
      event: entry.id ?? null,
      commitment: entry.commitment,
      leaf: Buffer.from(hash),
      erased: 0,
    });
    this.#frontier.append(hash, (subtree) => this.#growth.subtrees.push(subtree));
    this.#note(entry, leaf, payload, index);
  }

  /** What the head keeps of single kinds. */
  #note(entry: Entry, leaf: LeafHash, payload: Stored['payload'], index: bigint): void {
    if (entry.kind === 'ledger.founded') this.#fingerprint = leaf;
    if (entry.kind !== 'ledger.sealed' && entry.kind !== 'payload.erased' && entry.kind !== 'ledger.pruned') return;
    if (payload === null)
      throw new LedgerFault('store.corrupt', `the payload of entry ${index}, a ${entry.kind}, is not in the companion store`);
    if (entry.kind === 'ledger.sealed') this.#successor = successorIn(payload) ?? this.#successor;
    else if (entry.kind === 'ledger.pruned') this.lists.push(...listIn(payload));
    else this.#growth.erased.push(...placesIn(payload));
  }

  async #write(stored: readonly Stored[]): Promise<void> {
    const { rows, subtrees, changed, erased } = this.#growth;
    for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
      await this.#tx
        .insertInto('entries')
        .values(rows.slice(from, from + ROWS_AT_ONCE))
        .execute();
    const heads = [...changed].flatMap((name) => {
      const { id, state } = this.#known.get(name) ?? { id: '', state: null };
      return state === null ? [] : [{ id, name, seq: state.seq, leaf: state.leaf, fact_at: state.factAt, closed: state.closed ? 1 : 0 }];
    });
    for (let from = 0; from < heads.length; from += ROWS_AT_ONCE)
      await this.#tx
        .insertInto('trajectories')
        .values(heads.slice(from, from + ROWS_AT_ONCE))
        .onConflict((on) =>
          on.column('id').doUpdateSet((eb) => ({
            seq: eb.ref('excluded.seq'),
            leaf: eb.ref('excluded.leaf'),
            fact_at: eb.ref('excluded.fact_at'),
            closed: eb.ref('excluded.closed'),
          })),
        )
        .execute();
    for (const { level, index, hash } of subtrees)
      await this.#tx
        .insertInto('subtrees')
        .values({ level, idx: index, hash: Buffer.from(hash) })
        .execute();
    await this.#markErased(erased);
    const forgets = erased.length + this.lists.length > 0;
    await this.#tx
      .updateTable('head')
      .set({
        size: this.#head.size + stored.length,
        frontier: Buffer.from(this.#frontier.stored()),
        leaf: stored.at(-1)?.leaf ?? null,
        fingerprint: this.#fingerprint,
        successor: this.#successor,
        ...(forgets ? { unfinished: TO_FORGET } : {}),
      })
      .where('id', '=', 0)
      .execute();
  }

  async #markErased(places: Growth['erased']): Promise<void> {
    const ids = new Map(
      (await trajectoriesIn(this.#tx, [...new Set(places.map(({ trajectory }) => trajectory))])).map(({ name, id }) => [
        name as string,
        id,
      ]),
    );
    for (const [name, id] of ids) {
      const seqs = places.flatMap(({ trajectory, seq }) => (trajectory === name ? [seq] : []));
      for (let from = 0; from < seqs.length; from += ROWS_AT_ONCE)
        await this.#tx
          .updateTable('entries')
          .set({ erased: 1 })
          .where('trajectory', '=', Number(id))
          .where('seq', 'in', seqs.slice(from, from + ROWS_AT_ONCE))
          .execute();
    }
  }
}

async function trajectoriesIn(db: Companion | CompanionTx, names: readonly string[]): Promise<readonly TrajectoryRow[]> {
  const found: TrajectoryRow[] = [];
  for (let from = 0; from < names.length; from += ROWS_AT_ONCE) {
    const some = names.slice(from, from + ROWS_AT_ONCE);
    found.push(...(await db.selectFrom('trajectories').selectAll().where('name', 'in', some).execute()).map(trajectoryOf));
  }
  return found;
}

/** Written by us alone, from decoded entries. */
function trajectoryOf(row: {
  readonly id: number | string;
  readonly name: string;
  readonly seq: number | string;
  readonly leaf: string;
  readonly fact_at: string | null;
  readonly closed: number;
}): TrajectoryRow {
  return {
    id: BigInt(row.id),
    name: row.name as TrajectoryId,
    seq: Number(row.seq),
    leaf: row.leaf as LeafHash,
    factAt: row.fact_at as Instant | null,
    closed: Number(row.closed) === 1,
  };
}

/** The places that a `payload.erased` names; its shape was checked when it was appended. */
export function placesIn(payload: Bytes): readonly { readonly trajectory: string; readonly seq: number }[] {
  const body = parseCanonical(payload);
  const { entries } = (body.ok ? body.value : {}) as { readonly entries?: readonly Json[] };
  return (entries ?? []).flatMap((one) => {
    const { trajectory, seq } = one as { readonly trajectory?: Json; readonly seq?: Json };
    return typeof trajectory === 'string' && typeof seq === 'number' ? [{ trajectory, seq }] : [];
  });
}

/** The list that a `ledger.pruned` names; its shape was checked when it was appended. */
export function listIn(payload: Bytes): readonly Digest[] {
  const body = parseCanonical(payload);
  const { list } = (body.ok ? body.value : {}) as { readonly list?: { readonly digest?: Json } };
  return typeof list?.digest === 'string' ? [list.digest as Digest] : [];
}
