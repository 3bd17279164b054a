/**
 * A ledger in one schema of a Postgres database: entries, payloads and blobs together. Durable before it answers; many processes on many hosts
 * may append. Must never delete or change an entry. PROTOCOL §3.
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
import { sql } from 'kysely';
import type { ClientConfig } from 'pg';
import { codeOf, messageOf, type OpenFailure } from '../errors.ts';
import { readHeadFile, rollBackOf } from '../headFile.ts';
import { HeadKeeper } from '../headKeeper.ts';
import { inPortions } from '../salts.ts';
import { rootOf } from '../tree.ts';
import { type Address, parseAddress } from './address.ts';
import { clientConfig, connect, isCut, isOutcome, openRefusal, readFault, writeRefusal } from './connect.ts';
import { PostgresKeeper } from './keeper.ts';
import { Listener } from './listener.ts';
import {
  checkpointsAfter,
  type NodeRef,
  readBlob,
  readCheckpoint,
  readHead,
  readNode,
  readTrajectories,
  rowPage,
  storedPage,
  trajectoriesAfter,
  trajectoryPage,
} from './reader.ts';
import { checkDurable, type Database, migrate, POSTGRES_FORMAT, readVersion } from './tables.ts';
import { PostgresWriter } from './writer.ts';

/** How a ledger in Postgres is opened. */
export interface PostgresLedgerOptions {
  /** `postgres://user@host/database?schema=name`; TLS as its `sslmode` says. */
  readonly address: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** The runtime key; signs `commit.recorded` and `run.closed`. */
  readonly signer?: EntrySigner;
  /** The log key; without it this handle makes no checkpoints. */
  readonly logSigner?: Signer;
  /** Where the head is remembered outside the ledger; checked now, written after commits. */
  readonly headFile?: string;
  readonly access?: 'readWrite' | 'readOnly';
  /** `create` makes a new schema where there is none; without it a missing one is refused. The database has to be there. */
  readonly missing?: 'create' | 'refuse';
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. Nothing is repaired. */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<Result<KeptLedger, OpenFailure>> {
  const address = parseAddress(options.address);
  if (!address.ok) return address;
  const config = clientConfig(address.value, 'openexec');
  if (!config.ok) return config;
  const db = connect(config.value, address.value.schema, options.access === 'readOnly');
  try {
    const prepared = await prepareSchema(db, address.value, options);
    if (!prepared.ok) return await givenUp(db, prepared);
    const instance = await sql<{ readonly instance: string }>`SELECT instance FROM store`.execute(db);
    const ledger = new PostgresLedger(
      { db, address: address.value, config: config.value, instance: instance.rows[0]?.instance ?? '' },
      options,
    );
    const remembered = await ledger.checkRemembered();
    if (remembered.ok) return ok(ledger);
    await ledger.close();
    return remembered;
  } catch (error) {
    await db.destroy();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, address.value));
  }
}

async function givenUp<T>(db: Database, refused: T): Promise<T> {
  await db.destroy();
  return refused;
}

async function prepareSchema(db: Database, address: Address, options: PostgresLedgerOptions): Promise<Result<void, OpenFailure>> {
  const { schema, place: where } = address;
  const version = await readVersion(db, schema, where);
  if (!version.ok) return version;
  if (version.value === 0 && options.missing !== 'create') return err({ code: 'store.missing', message: `there is no ledger at ${where}` });
  if (options.access === 'readOnly') {
    if (version.value === POSTGRES_FORMAT) return ok(undefined);
    return err({
      code: 'store.notALedger',
      message: `${where} holds no ledger of this format yet; open it for writing once`,
    });
  }
  if (version.value < POSTGRES_FORMAT) {
    const migrated = await migrate(db, { schema, clock: options.clock, randomness: options.randomness, where });
    if (!migrated.ok) return migrated;
  }
  return checkDurable(db, where);
}

/** What an open handle works with. */
interface Connected {
  readonly db: Database;
  readonly address: Address;
  readonly config: ClientConfig;
  readonly instance: string;
}

class PostgresLedger implements KeptLedger {
  readonly keeper: LedgerKeeper;
  readonly #db: Database;
  readonly #place: string;
  readonly #options: PostgresLedgerOptions;
  readonly #writer: PostgresWriter;
  readonly #listener: Listener;
  readonly #heads: HeadKeeper | null;
  readonly #salts: Randomness;
  /** The last head that this handle saw, for the head file. */
  #seen: Pick<Head, 'size' | 'root' | 'fingerprint'> | null = null;
  #origin: string | null = null;
  #closed = false;

  constructor({ db, address, config, instance }: Connected, options: PostgresLedgerOptions) {
    this.#db = db;
    this.#place = address.place;
    this.#options = options;
    this.#salts = inPortions(options.randomness);
    this.#listener = new Listener(config, address.schema);
    this.#heads =
      options.headFile === undefined || options.access === 'readOnly' ? null : new HeadKeeper(options.headFile, () => this.#seen);
    this.#writer = new PostgresWriter({
      db,
      schema: address.schema,
      instance,
      signer: options.signer,
      onCommit: (head) => {
        this.#seen = head;
        this.#heads?.committed();
        this.#listener.changed();
      },
    });
    this.keeper = new PostgresKeeper({
      db,
      writer: this.#writer,
      schema: address.schema,
      instance,
      salts: this.#salts,
      readOnly: options.access === 'readOnly',
      isClosed: () => this.#closed,
    });
  }

  /** Holds the head remembered elsewhere against the entries. */
  async checkRemembered(): Promise<Result<void, OpenFailure>> {
    const { headFile } = this.#options;
    if (headFile === undefined) return ok(undefined);
    const remembered = readHeadFile(headFile);
    if (!remembered.ok) return remembered;
    if (remembered.value === null) return ok(undefined);
    const { fingerprint, size } = await this.#readHead();
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
    const [row] = await this.#ask((db) => readTrajectories(db, [trajectory]));
    if (row === undefined) return;
    const end = Math.min(to, row.seq + 1);
    for (let at = from; at < end; ) {
      this.#requireOpen();
      const page = await this.#ask((db) => trajectoryPage(db, row.id, at, end));
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries of ${trajectory} from ${at} on are missing; run verify`);
      yield* page;
      at += page.length;
    }
  }

  async *all(from = 0n, to?: bigint): AsyncGenerator<Stored> {
    for await (const page of this.#pages(from, to, (at, end) => this.#ask((db) => storedPage(db, at, end)))) yield* page;
  }

  rows(from = 0n, to?: bigint): AsyncGenerator<readonly Row[]> {
    return this.#pages(from, to, (at, end) => this.#ask((db) => rowPage(db, at, end)));
  }

  async *#pages<T>(
    from: bigint,
    to: bigint | undefined,
    read: (from: number, to: number) => Promise<readonly T[]>,
  ): AsyncGenerator<readonly T[]> {
    this.#requireOpen();
    const { size } = await this.#ask((db) => readHead(db, false));
    const end = to === undefined ? size : Math.min(Number(to), size);
    for (let at = Number(from); at < end; ) {
      this.#requireOpen();
      const page = await read(at, end);
      // A row that is missing inside the ledger is damage, but an empty page must not turn into an endless loop.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on are missing below the head ${size}; run verify`);
      yield page;
      at += page.length;
    }
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    return this.#closed ? CLOSED : this.#ask((db) => readBlob(db, digest));
  }

  follow(from = 0n): Subscription {
    const page = async (next: bigint): Promise<readonly Stored[] | null> => {
      if (this.#closed) return null;
      const { size } = await this.#ask((db) => readHead(db, false));
      return this.#ask((db) => storedPage(db, Number(next), size));
    };
    return follow({ page, onChange: (changed) => this.#listener.add(changed) }, from);
  }

  async head(): Promise<Head> {
    this.#requireOpen();
    return this.#readHead();
  }

  async #readHead(): Promise<Head> {
    const { size, frontier, fingerprint } = await this.#ask((db) => readHead(db, false));
    if (this.#origin === null && size > 0) {
      const founding = (await this.#ask((db) => storedPage(db, 0, 1)))[0]?.payload ?? null;
      this.#origin = founding === null ? null : originIn(founding);
    }
    const head = { size: BigInt(size), root: rootOf(size, frontier), fingerprint, origin: this.#origin };
    this.#seen = head;
    return head;
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null> {
    this.#requireOpen();
    const [row] = await this.#ask((db) => readTrajectories(db, [trajectory]));
    return row === undefined ? null : { trajectory, seq: row.seq, leaf: row.leaf, closed: row.closed };
  }

  async *trajectories(prefix = ''): AsyncGenerator<TrajectoryHead> {
    for (let after = ''; ; ) {
      this.#requireOpen();
      const rows = await this.#ask((db) => trajectoriesAfter(db, after, prefix));
      for (const { name, seq, leaf, closed } of rows) yield { trajectory: name, seq, leaf, closed };
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.name;
    }
  }

  // ---- proving

  async checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
    if (this.#closed) return CLOSED;
    const head = await this.#readHead();
    const known = await this.#ask((db) => readCheckpoint(db, head.size));
    if (known !== null) return ok(known);
    if (this.#options.access === 'readOnly') return err(READ_ONLY);
    const made = await makeCheckpoint(head, this.#options.logSigner);
    if (!made.ok || this.#closed) return this.#closed ? CLOSED : made;
    const { size, note } = made.value;
    try {
      await sql`INSERT INTO checkpoints (size, note) VALUES (${String(size)}, ${note}) ON CONFLICT (size) DO NOTHING`.execute(this.#db);
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, false));
    }
    this.#heads?.now();
    // Whoever was first at this size has made the one that is kept.
    return ok((await this.#ask((db) => readCheckpoint(db, size))) ?? made.value);
  }

  async *checkpoints(): AsyncGenerator<StoredCheckpoint> {
    for (let after = -1n; ; ) {
      this.#requireOpen();
      const rows = await this.#ask((db) => checkpointsAfter(db, after));
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.size;
    }
  }

  async inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = BigInt((await this.#ask((db) => readHead(db, false))).size);
    if (index < 0n || index >= size || size > now) return outOfRange(`there is no leaf ${index} in a tree of ${size} within ${now}`);
    return this.#proved((node) => inclusionProof(node, index, size));
  }

  async consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = BigInt((await this.#ask((db) => readHead(db, false))).size);
    if (oldSize < 0n || oldSize > newSize || newSize > now)
      return outOfRange(`there is no way from ${oldSize} to ${newSize} within ${now}`);
    return this.#proved((node) => consistencyProof(node, oldSize, newSize));
  }

  /** Which nodes a proof takes depends on its sizes alone: it is made once to hear their names, and again with the nodes. */
  async #proved(
    make: (node: (level: number, index: bigint) => Bytes) => readonly Bytes[],
  ): Promise<Result<readonly Bytes[], ProofFailure>> {
    const wanted: NodeRef[] = [];
    make((level, index) => {
      wanted.push({ level, index });
      return new Uint8Array(32);
    });
    const nodes = new Map<string, Bytes>();
    try {
      for (const ref of wanted) nodes.set(`${ref.level}/${ref.index}`, await this.#ask((db) => readNode(db, ref)));
    } catch (error) {
      if (codeOf(error) !== 'store.corrupt') throw error;
      return err({ code: 'store.corrupt', message: messageOf(error) });
    }
    return ok(make((level, index) => nodes.get(`${level}/${index}`) ?? new Uint8Array(0)));
  }

  /** The root of the tree of `size` leaves, recomputed. */
  async #rootAt(size: bigint): Promise<Bytes> {
    const hashes: Bytes[] = [];
    for (const ref of rangeNodes(size)) hashes.push(await this.#ask((db) => readNode(db, ref)));
    const range = CompactRange.from(size, hashes);
    if (!range.ok) throw new LedgerFault('store.corrupt', `the tree of ${size} entries does not fit together; run verify`);
    return range.value.root();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writer.finish();
    this.#heads?.now();
    this.#closed = true;
    await this.#listener.close();
    await this.#db.destroy();
  }

  /** One reading. A connection that ended is no answer: the next one is asked, until the server itself does not answer. */
  async #ask<T>(read: (db: Database) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await read(this.#db);
      } catch (error) {
        if (isCut(error) && tries < READ_TRIES && !this.#closed) continue;
        throw readFault(error, this.#place);
      }
    }
  }

  #requireOpen(): void {
    if (this.#closed) throw new LedgerFault('store.closed', 'this handle was closed');
  }
}

/** More than a pool of dead connections. */
const READ_TRIES = 10;
const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this handle was closed' } } as const;
const READ_ONLY = { code: 'store.readOnly', message: 'this ledger was opened for reading only' } as const;

function outOfRange(message: string): { readonly ok: false; readonly error: ProofFailure } {
  return err({ code: 'proof.outOfRange', message });
}
