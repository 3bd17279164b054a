/**
 * A ledger in one stream of EventStoreDB, with a companion store for payloads and blobs. Durable before it answers; many processes on many hosts may
 * append. Must never delete or change an entry. PROTOCOL §3.
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
  type LedgerStore,
  makeCheckpoint,
  originIn,
  prepare,
  type ProofFailure,
  type Row,
  type Stored,
  type StoredCheckpoint,
  type Subscription,
  type TrajectoryHead,
} from '@openexec/ledger';
import { CompactRange, consistencyProof, inclusionProof, rangeNodes, type Signer } from '@openexec/proof';
import type { OpenFailure } from '../errors.ts';
import { readHeadFile, rollBackOf } from '../headFile.ts';
import { HeadKeeper } from '../headKeeper.ts';
import { inPortions } from '../salts.ts';
import { rootOf } from '../tree.ts';
import { connectClient, type EventStoreAddress, parseEventStoreAddress } from './address.ts';
import { openCompanion, type OpenedCompanion } from './companion.ts';
import { companionRefusal, isOutcome, openRefusal } from './failures.ts';
import { readBlob } from './payloads.ts';
import { EventStoreReader } from './reader.ts';
import { EntryStream } from './stream.ts';
import { TrajectoryIndex } from './trajectories.ts';
import { StreamWatch } from './watch.ts';
import { EventStoreWriter } from './writer.ts';

/** How a ledger in EventStoreDB is opened. */
export interface EventStoreLedgerOptions {
  /** `esdb://host:2113/?stream=name&companion=place`; TLS unless `tls=false`. */
  readonly address: string;
  /** The companion store, where the address does not name it: the path of a SQLite file, or an address of Postgres. */
  readonly companion?: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** The runtime key; signs `commit.recorded` and `run.closed`. */
  readonly signer?: EntrySigner;
  /** The log key; without it this handle makes no checkpoints. */
  readonly logSigner?: Signer;
  /** Where the head is remembered outside the ledger; checked now, written after commits. */
  readonly headFile?: string;
  readonly access?: 'readWrite' | 'readOnly';
  /** `create` makes a new companion store where there is none; without it a missing one is refused. The stream begins with the first entry. */
  readonly missing?: 'create' | 'refuse';
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. What was appended and not indexed is caught up; nothing else is repaired. */
export async function openEventStoreLedger(options: EventStoreLedgerOptions): Promise<Result<LedgerStore, OpenFailure>> {
  const address = parseEventStoreAddress(options.address);
  if (!address.ok) return address;
  const place = options.companion ?? address.value.companion;
  if (place === null)
    return err({
      code: 'store.address',
      message:
        'a ledger in EventStoreDB needs a companion store for payloads: add &companion= with the path of a SQLite file or an address of Postgres',
    });
  const client = connectClient(address.value);
  if (!client.ok) return client;
  const stream = new EntryStream(client.value, address.value);
  let ledger: EventStoreLedger | undefined;
  try {
    // A companion that is made now holds no payload: that is right for a stream that has not begun, and for no other.
    const create = options.missing === 'create' && (await stream.page(0n, 1)).length === 0;
    const companion = await openCompanion({
      place,
      stream: address.value.stream,
      clock: options.clock,
      randomness: options.randomness,
      readOnly: options.access === 'readOnly',
      create,
    });
    if (!companion.ok) {
      await stream.close();
      return companion;
    }
    ledger = new EventStoreLedger(stream, companion.value, options);
    const checked = await ledger.check(address.value);
    if (checked.ok) return ok(ledger);
    await ledger.close();
    return checked;
  } catch (error) {
    await (ledger ?? stream).close();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, address.value.where));
  }
}

class EventStoreLedger implements LedgerStore {
  readonly #options: EventStoreLedgerOptions;
  readonly #stream: EntryStream;
  readonly #companion: OpenedCompanion;
  readonly #index: TrajectoryIndex;
  readonly #reader: EventStoreReader;
  readonly #writer: EventStoreWriter;
  readonly #watch: StreamWatch;
  readonly #heads: HeadKeeper | null;
  readonly #salts: Randomness;
  /** The last head that this handle saw, for the head file. */
  #seen: Pick<Head, 'size' | 'root' | 'fingerprint'> | null = null;
  #origin: string | null = null;
  #closed = false;

  constructor(stream: EntryStream, companion: OpenedCompanion, options: EventStoreLedgerOptions) {
    this.#options = options;
    this.#stream = stream;
    this.#companion = companion;
    this.#salts = inPortions(options.randomness);
    this.#index = new TrajectoryIndex(companion.db, stream, options.access === 'readOnly');
    this.#reader = new EventStoreReader(companion.db, stream, this.#index);
    this.#watch = new StreamWatch(stream);
    this.#heads =
      options.headFile === undefined || options.access === 'readOnly' ? null : new HeadKeeper(options.headFile, () => this.#seen);
    this.#writer = new EventStoreWriter({
      db: companion.db,
      stream,
      index: this.#index,
      source: this.#reader.source,
      instance: companion.instance,
      signer: options.signer,
      clock: options.clock,
      onCommit: (head) => {
        this.#seen = head;
        this.#heads?.committed();
        this.#watch.changed();
      },
    });
  }

  /** Before the handle is given out: what would make the stream forget, and the head remembered elsewhere. */
  async check(address: EventStoreAddress): Promise<Result<void, OpenFailure>> {
    const why = await this.#stream.forgets();
    if (why !== null)
      return err({
        code: 'store.notDurable',
        message: `${address.where} is set to forget entries: ${why}; take that out of its metadata, and restore what it has forgotten`,
      });
    const { fingerprint, size } = await this.#readHead();
    const { headFile } = this.#options;
    const remembered = headFile === undefined ? ok(null) : readHeadFile(headFile);
    if (!remembered.ok) return remembered;
    if (remembered.value === null) return ok(undefined);
    const at = remembered.value.size;
    const root = at <= size ? await this.#rootAt(at) : new Uint8Array(0);
    const rolledBack = rollBackOf(remembered.value, { fingerprint, size, rootAt: () => root });
    return rolledBack === undefined ? ok(undefined) : err(rolledBack);
  }

  // ---- appending

  async append(batch: AppendBatch): Promise<Result<Appended, AppendFailure>> {
    if (this.#closed) return CLOSED;
    if (this.#options.access === 'readOnly') return err(READ_ONLY);
    const prepared = prepare(batch, this.#salts);
    return prepared.ok ? this.#writer.append(prepared.value) : prepared;
  }

  // ---- reading

  async *read(trajectory: TrajectoryId, from = 0, to = Number.MAX_SAFE_INTEGER): AsyncGenerator<Stored> {
    this.#requireOpen();
    await this.#index.catchUp();
    const [row] = await this.#index.trajectories([trajectory]);
    if (row === undefined) return;
    const end = Math.min(to, row.seq + 1);
    for (let at = from; at < end; ) {
      this.#requireOpen();
      const page = await this.#reader.trajectoryPage(row.id, at, end);
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries of ${trajectory} from ${at} on are missing; run verify`);
      yield* page;
      at += page.length;
    }
  }

  async *all(from = 0n, to?: bigint): AsyncGenerator<Stored> {
    for await (const page of this.#pages(from, to, (at, end) => this.#reader.storedPage(at, end))) yield* page;
  }

  rows(from = 0n, to?: bigint): AsyncGenerator<readonly Row[]> {
    return this.#pages(from, to, (at, end) => this.#reader.rowPage(at, end));
  }

  async *#pages<T>(
    from: bigint,
    to: bigint | undefined,
    read: (from: bigint, to: bigint) => Promise<readonly T[]>,
  ): AsyncGenerator<readonly T[]> {
    this.#requireOpen();
    const size = BigInt((await this.#index.catchUp()).size);
    const end = to === undefined || to > size ? size : to;
    for (let at = from; at < end; ) {
      this.#requireOpen();
      const page = await read(at, end);
      // An entry that is missing inside the ledger is damage, but an empty page must not turn into an endless loop.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on are missing below the head ${size}; run verify`);
      yield page;
      at += BigInt(page.length);
    }
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    return this.#closed ? CLOSED : readBlob(this.#companion.db, digest);
  }

  follow(from = 0n): Subscription {
    const page = async (next: bigint): Promise<readonly Stored[] | null> => (this.#closed ? null : this.#reader.storedPage(next));
    return follow({ page, onChange: (changed) => this.#watch.add(changed) }, from);
  }

  async head(): Promise<Head> {
    this.#requireOpen();
    return this.#readHead();
  }

  async #readHead(): Promise<Head> {
    const { size, frontier, fingerprint } = await this.#index.catchUp();
    if (this.#origin === null && size > 0) {
      const founding = (await this.#reader.storedPage(0n, 1n))[0]?.payload ?? null;
      this.#origin = founding === null ? null : originIn(founding);
    }
    const head = { size: BigInt(size), root: rootOf(size, frontier), fingerprint, origin: this.#origin };
    this.#seen = head;
    return head;
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null> {
    this.#requireOpen();
    await this.#index.catchUp();
    const [row] = await this.#index.trajectories([trajectory]);
    return row === undefined ? null : { trajectory, seq: row.seq, leaf: row.leaf, closed: row.closed };
  }

  async *trajectories(prefix = ''): AsyncGenerator<TrajectoryHead> {
    this.#requireOpen();
    await this.#index.catchUp();
    for (let after = ''; ; ) {
      this.#requireOpen();
      const rows = await this.#index.trajectoriesAfter(after, prefix);
      for (const { name, seq, leaf, closed } of rows) yield { trajectory: name, seq, leaf, closed };
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.name;
    }
  }

  // ---- proving

  async checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
    if (this.#closed) return CLOSED;
    try {
      const head = await this.#readHead();
      const known = await this.#reader.checkpoint(head.size);
      if (known !== null) return ok(known);
      if (this.#options.access === 'readOnly') return err(READ_ONLY);
      const made = await makeCheckpoint(head, this.#options.logSigner);
      if (!made.ok || this.#closed) return this.#closed ? CLOSED : made;
      // Whoever was first at this size has made the one that is kept.
      const kept = await this.#reader.keep(made.value);
      this.#heads?.now();
      return ok(kept);
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(companionRefusal(error));
    }
  }

  async *checkpoints(): AsyncGenerator<StoredCheckpoint> {
    for (let after = -1n; ; ) {
      this.#requireOpen();
      const rows = await this.#reader.checkpointsAfter(after);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.size;
    }
  }

  async inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = await this.#sizeFor(size);
    if (index < 0n || index >= size || size > now) return outOfRange(`there is no leaf ${index} in a tree of ${size} within ${now}`);
    return ok(await this.#proved((node) => inclusionProof(node, index, size)));
  }

  async consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = await this.#sizeFor(newSize);
    if (oldSize < 0n || oldSize > newSize || newSize > now)
      return outOfRange(`there is no way from ${oldSize} to ${newSize} within ${now}`);
    return ok(await this.#proved((node) => consistencyProof(node, oldSize, newSize)));
  }

  /** The size of the ledger, as far as it has to be known for a proof up to `size`. */
  async #sizeFor(size: bigint): Promise<bigint> {
    const known = BigInt((await this.#index.head()).size);
    return size <= known ? known : BigInt((await this.#index.catchUp()).size);
  }

  /** Which nodes a proof takes depends on its sizes alone: it is made once to hear their names, and again with the nodes. */
  async #proved(make: (node: (level: number, index: bigint) => Bytes) => readonly Bytes[]): Promise<readonly Bytes[]> {
    const nodes = new Map<string, Bytes>();
    const wanted: { readonly level: number; readonly index: bigint }[] = [];
    make((level, index) => {
      wanted.push({ level, index });
      return new Uint8Array(32);
    });
    await Promise.all(
      wanted.map(async ({ level, index }) => nodes.set(`${level}/${index}`, await this.#reader.node(level, index, 'index'))),
    );
    return make((level, index) => nodes.get(`${level}/${index}`) ?? new Uint8Array(0));
  }

  /** The root of the tree of `size` leaves, recomputed. */
  async #rootAt(size: bigint): Promise<Bytes> {
    const hashes: Bytes[] = [];
    for (const { level, index } of rangeNodes(size)) hashes.push(await this.#reader.node(level, index, 'stream'));
    const range = CompactRange.from(size, hashes);
    if (!range.ok) throw new LedgerFault('store.corrupt', `the tree of ${size} entries does not fit together; run verify`);
    return range.value.root();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writer.finish();
    this.#heads?.now();
    this.#closed = true;
    await this.#watch.close();
    await this.#stream.close();
    await this.#companion.db.destroy();
  }

  #requireOpen(): void {
    if (this.#closed) throw new LedgerFault('store.closed', 'this handle was closed');
  }
}

const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this handle was closed' } } as const;
const READ_ONLY = { code: 'store.readOnly', message: 'this ledger was opened for reading only' } as const;

function outOfRange(message: string): { readonly ok: false; readonly error: ProofFailure } {
  return err({ code: 'proof.outOfRange', message });
}
