/**
 * The handle of a ledger that outlives the process, over whatever keeps it: pages, heads, checkpoints, proofs, the head remembered elsewhere. Must never
 * take an empty page for the end of what the head says is there, nor let an error of a driver out as it came. PROTOCOL §3.
 */
import { type Bytes, type Clock, type Digest, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type AppendBatch,
  type AppendFailure,
  type Appended,
  type BlobFailure,
  type CheckpointFailure,
  type EntrySigner,
  follow,
  type Head,
  LedgerFault,
  type KeptLedger,
  type LedgerKeeper,
  type LedgerStore,
  makeCheckpoint,
  originIn,
  prepare,
  type PreparedBatch,
  type ProofFailure,
  type Row,
  type SnapshotShelf,
  type Stored,
  type StoredCheckpoint,
  type Subscription,
  type TrajectoryHead,
} from '@openexec/ledger';
import { CompactRange, consistencyProof, inclusionProof, rangeNodes, type Signer } from '@openexec/proof';
import { CLOSED, codeOf, messageOf, type OpenFailure, READ_ONLY, type Refusal } from './errors.ts';
import type { Answer } from './group.ts';
import { readHeadFile, rollBackOf } from './headFile.ts';
import { HeadKeeper, type KnownHead } from './headKeeper.ts';
import type { Later, LedgerReading } from './reading.ts';
import { rootOf } from './tree.ts';

/** How a ledger is opened, whatever keeps it. */
export interface OpenOptions {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** The runtime key; signs `commit.recorded` and `run.closed`. */
  readonly signer?: EntrySigner;
  /** The log key; without it this handle makes no checkpoints. */
  readonly logSigner?: Signer;
  /** Where the head is remembered outside the ledger; checked now, written after commits. */
  readonly headFile?: string;
  readonly access?: 'readWrite' | 'readOnly';
  /** `create` makes what is not there; without it a missing ledger is refused. */
  readonly missing?: 'create' | 'refuse';
}

/** What a handle is made of. */
export interface LedgerParts {
  readonly options: OpenOptions;
  readonly salts: Randomness;
  readonly reading: LedgerReading;
  /** Appends what was prepared; `finish` answers what is queued and takes nothing more. */
  readonly writer: { append(batch: PreparedBatch): Promise<Answer>; finish(): Later<void> };
  /** Tells subscriptions that the ledger may have moved; `close` wakes them for the last time. */
  readonly watch: { add(changed: () => void): () => void; changed(): void; close(): Later<void> };
  /** Runs one reading. `what` names it for whoever is told that it failed; what fails is thrown as {@link LedgerFault}. */
  ask<T>(what: string, read: () => Later<T>): Promise<T>;
  /** What a checkpoint that could not be kept means; undefined for a bug. */
  refusalOf(error: unknown): Refusal | undefined;
  /** The head for the head file where it can be had at once; otherwise the last one that this handle saw. */
  readonly headNow?: () => KnownHead | null;
  /** Gives up the connection. */
  dispose(): Later<void>;
}

/** One open handle. */
export class StoredLedger implements LedgerStore {
  readonly #parts: LedgerParts;
  readonly #heads: HeadKeeper | null;
  /** The last head that this handle saw. */
  #seen: KnownHead | null = null;
  #origin: string | null = null;
  #isClosed = false;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    const { headFile, access } = parts.options;
    this.#heads =
      headFile === undefined || access === 'readOnly'
        ? null
        : new HeadKeeper(headFile, parts.headNow ?? ((): KnownHead | null => this.#seen));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** After every durable commit, with the head that it made where the writer knows it. */
  committed(head?: KnownHead): void {
    if (head !== undefined) this.#seen = head;
    this.#heads?.committed();
    this.#parts.watch.changed();
  }

  /** Holds the head remembered elsewhere against the entries. */
  async checkRemembered(): Promise<Result<void, OpenFailure>> {
    const { headFile } = this.#parts.options;
    if (headFile === undefined) return ok(undefined);
    const remembered = readHeadFile(headFile);
    if (!remembered.ok) return remembered;
    if (remembered.value === null) return ok(undefined);
    const { fingerprint, size } = await this.#readHead();
    const rolledBack = await rollBackOf(remembered.value, { fingerprint, size, rootAt: (at) => this.#rootAt(at) });
    return rolledBack === undefined ? ok(undefined) : err(rolledBack);
  }

  // ---- appending

  append(batch: AppendBatch): Promise<Result<Appended, AppendFailure>> {
    if (this.#isClosed) return Promise.resolve(err(CLOSED));
    if (this.#parts.options.access === 'readOnly') return Promise.resolve(err(READ_ONLY));
    const prepared = prepare(batch, this.#parts.salts);
    return prepared.ok ? this.#parts.writer.append(prepared.value) : Promise.resolve(prepared);
  }

  // ---- reading

  async *read(trajectory: TrajectoryId, from = 0, to = Number.MAX_SAFE_INTEGER): AsyncGenerator<Stored> {
    const place = await this.#place(trajectory);
    if (place === null) return;
    const end = Math.min(to, place.seq + 1);
    for (let at = from; at < end; ) {
      const first = at;
      const page = await this.#ask(`entries of ${trajectory} from ${first} on`, (reading) => reading.trajectoryPage(place.id, first, end));
      // A damaged head could name any position: what is missing before it is damage, and must not become an endless search.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries of ${trajectory} from ${at} on are missing; run verify`);
      yield* page;
      at += page.length;
    }
  }

  async *all(from = 0n, to?: bigint): AsyncGenerator<Stored> {
    for await (const page of this.#pages(from, to, (reading, at, end) => reading.storedPage(at, end))) yield* page;
  }

  rows(from = 0n, to?: bigint): AsyncGenerator<readonly Row[]> {
    return this.#pages(from, to, (reading, at, end) => reading.rowPage(at, end));
  }

  async *#pages<T>(
    from: bigint,
    to: bigint | undefined,
    read: (reading: LedgerReading, from: bigint, to: bigint) => Later<readonly T[]>,
  ): AsyncGenerator<readonly T[]> {
    const size = BigInt((await this.#headRow()).size);
    const end = to === undefined || to > size ? size : to;
    for (let at = from; at < end; ) {
      const first = at;
      const page = await this.#ask(`entries from ${first} on`, (reading) => read(reading, first, end));
      // A row that is missing inside the ledger is damage, but an empty page must not turn into an endless loop.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on are missing below the head ${size}; run verify`);
      yield page;
      at += BigInt(page.length);
    }
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    if (this.#isClosed) return err(CLOSED);
    try {
      return await this.#ask(`the blob ${digest}`, (reading) => reading.blob(digest));
    } catch (error) {
      if (codeOf(error) !== 'store.corrupt') throw error;
      return err({ code: 'blob.corrupt', message: messageOf(error) });
    }
  }

  follow(from = 0n): Subscription {
    const { ask, reading, watch } = this.#parts;
    const page = async (next: bigint): Promise<readonly Stored[] | null> =>
      this.#isClosed ? null : ask(`entries from ${next} on`, () => reading.newPage(next));
    return follow({ page, onChange: (changed) => watch.add(changed) }, from);
  }

  async head(): Promise<Head> {
    return this.#readHead();
  }

  #headRow(): Promise<Awaited<ReturnType<LedgerReading['head']>>> {
    return this.#ask('the head', (reading) => reading.head());
  }

  async #readHead(): Promise<Head> {
    const { size, frontier, fingerprint } = await this.#headRow();
    if (this.#origin === null && size > 0) {
      const founding = (await this.#ask('entry 0', (reading) => reading.storedPage(0n, 1n)))[0]?.payload ?? null;
      this.#origin = founding === null ? null : originIn(founding);
    }
    const head = { size: BigInt(size), root: rootOf(size, frontier), fingerprint, origin: this.#origin };
    this.#seen = head;
    return head;
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null> {
    const place = await this.#place(trajectory);
    return place === null ? null : { trajectory, seq: place.seq, leaf: place.leaf, closed: place.closed };
  }

  #place(trajectory: TrajectoryId): Promise<Awaited<ReturnType<LedgerReading['trajectory']>>> {
    return this.#ask(`the head of ${trajectory}`, (reading) => reading.trajectory(trajectory));
  }

  async *trajectories(prefix = ''): AsyncGenerator<TrajectoryHead> {
    for (let after = ''; ; ) {
      const last = after;
      const page = await this.#ask('the trajectories', (reading) => reading.trajectoriesAfter(last, prefix));
      for (const { name, seq, leaf, closed } of page) yield { trajectory: name, seq, leaf, closed };
      const next = page.at(-1);
      if (next === undefined) return;
      after = next.name;
    }
  }

  // ---- proving

  async checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
    if (this.#isClosed) return err(CLOSED);
    const { options, reading, refusalOf } = this.#parts;
    try {
      const head = await this.#readHead();
      const known = await this.#checkpointOf(head.size);
      if (known !== null) return ok(known);
      if (options.access === 'readOnly') return err(READ_ONLY);
      const made = await makeCheckpoint(head, options.logSigner);
      if (!made.ok || this.#isClosed) return this.#isClosed ? err(CLOSED) : made;
      await reading.keep(made.value);
      this.#heads?.now();
      // Whoever was first at this size has made the one that is kept.
      return ok((await this.#checkpointOf(made.value.size)) ?? made.value);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return err(refusal);
    }
  }

  #checkpointOf(size: bigint): Promise<StoredCheckpoint | null> {
    return this.#ask('the checkpoints', (reading) => reading.checkpoint(size));
  }

  async *checkpoints(): AsyncGenerator<StoredCheckpoint> {
    for (let after = -1n; ; ) {
      const last = after;
      const page = await this.#ask('the checkpoints', (reading) => reading.checkpointsAfter(last));
      yield* page;
      const next = page.at(-1);
      if (next === undefined) return;
      after = next.size;
    }
  }

  async inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#isClosed) return err(CLOSED);
    return this.#proved(size, (now) =>
      index < 0n || index >= size || size > now
        ? `there is no leaf ${index} in a tree of ${size} within ${now}`
        : (node) => inclusionProof(node, index, size),
    );
  }

  async consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#isClosed) return err(CLOSED);
    return this.#proved(newSize, (now) =>
      oldSize < 0n || oldSize > newSize || newSize > now
        ? `there is no way from ${oldSize} to ${newSize} within ${now}`
        : (node) => consistencyProof(node, oldSize, newSize),
    );
  }

  /**
   * A proof within `size`, or why there is none. Which nodes it takes depends on its sizes alone: it is made once to hear their names, and again with
   * the nodes.
   */
  async #proved(size: bigint, within: (now: bigint) => string | Proving): Promise<Result<readonly Bytes[], ProofFailure>> {
    try {
      const make = within(await this.#ask('the head', (reading) => reading.sizeFor(size)));
      if (typeof make === 'string') return err({ code: 'proof.outOfRange', message: make });
      const wanted: NodeRef[] = [];
      make((level, index) => {
        wanted.push({ level, index });
        return new Uint8Array(32);
      });
      const nodes = await this.#nodes(wanted, 'proof');
      return ok(make((level, index) => nodes.get(`${level}/${index}`) ?? new Uint8Array(0)));
    } catch (error) {
      if (codeOf(error) !== 'store.corrupt') throw error;
      return err({ code: 'store.corrupt', message: messageOf(error) });
    }
  }

  async #nodes(wanted: readonly NodeRef[], purpose: 'proof' | 'root'): Promise<ReadonlyMap<string, Bytes>> {
    const read = async ({ level, index }: NodeRef): Promise<readonly [string, Bytes]> => [
      `${level}/${index}`,
      await this.#ask(`the tree at (${level}, ${index})`, (reading) => reading.node(level, index, purpose)),
    ];
    return new Map(await Promise.all(wanted.map(read)));
  }

  /** The root of the tree of `size` leaves, recomputed. */
  async #rootAt(size: bigint): Promise<Bytes> {
    const wanted = rangeNodes(size);
    const nodes = await this.#nodes(wanted, 'root');
    const hashes = wanted.map(({ level, index }) => nodes.get(`${level}/${index}`) ?? new Uint8Array(0));
    const range = CompactRange.from(size, hashes);
    if (!range.ok) throw new LedgerFault('store.corrupt', `the tree of ${size} entries does not fit together; run verify`);
    return range.value.root();
  }

  /** A store that answers at once is closed at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    const { writer, watch, dispose } = this.#parts;
    const finished = writer.finish();
    if (finished instanceof Promise) await finished;
    this.#heads?.now();
    this.#isClosed = true;
    const asleep = watch.close();
    if (asleep instanceof Promise) await asleep;
    await dispose();
  }

  #ask<T>(what: string, read: (reading: LedgerReading) => Later<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new LedgerFault(CLOSED.code, CLOSED.message));
    return this.#parts.ask(what, () => read(this.#parts.reading));
  }
}

/** One that has a keeper and snapshots. */
export class KeptStoredLedger extends StoredLedger implements KeptLedger {
  readonly keeper: LedgerKeeper;
  readonly snapshots: SnapshotShelf;

  constructor(parts: LedgerParts, keeper: LedgerKeeper, snapshots: SnapshotShelf) {
    super(parts);
    this.keeper = keeper;
    this.snapshots = snapshots;
  }
}

type Proving = (node: (level: number, index: bigint) => Bytes) => readonly Bytes[];
interface NodeRef {
  readonly level: number;
  readonly index: bigint;
}
