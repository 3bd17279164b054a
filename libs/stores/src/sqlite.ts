/**
 * A ledger in one SQLite database, with a folder of large blobs beside it. Durable before it answers; many processes may append. Must never
 * delete or change an entry; what forgets payloads is its keeper. PROTOCOL §3; the life of one append stands in the README.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { dirname, join } from 'node:path';
import {
  type Bytes,
  type Clock,
  type Digest,
  digestOf,
  err,
  instantToMs,
  ok,
  type Randomness,
  type Result,
  type TrajectoryId,
} from '@openexec/canon';
import {
  type AppendBatch,
  type AppendFailure,
  type Appended,
  type BlobFailure,
  type CheckpointFailure,
  type EntrySigner,
  factsOf,
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
import { consistencyProof, inclusionProof, type Signer } from '@openexec/proof';
import Database from 'better-sqlite3';
import { BlobFiles, MAX_ROW_BLOB_BYTES } from './blobFiles.ts';
import { codeOf, isOutcome, messageOf, type OpenFailure, openRefusal, writeRefusal } from './errors.ts';
import { readHeadFile, rollBackOf } from './headFile.ts';
import { HeadKeeper } from './headKeeper.ts';
import { RowReader } from './rows.ts';
import { inPortions } from './salts.ts';
import { checkDurable, checkVersion, FORMAT_VERSION, migrate, setDurable } from './schema.ts';
import { rootOf, TreeReader } from './tree.ts';
import { SqliteKeeper } from './sqliteKeeper.ts';
import { Watch } from './watch.ts';
import { Writer } from './writer.ts';

/** How a ledger in SQLite is opened. */
export interface SqliteLedgerOptions {
  /** The database file; large blobs go to a folder `blobs` beside it. */
  readonly path: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** The runtime key; signs `commit.recorded` and `run.closed`. */
  readonly signer?: EntrySigner;
  /** The log key; without it this handle makes no checkpoints. */
  readonly logSigner?: Signer;
  /** Where the head is remembered outside the ledger; checked now, written after commits. */
  readonly headFile?: string;
  readonly access?: 'readWrite' | 'readOnly';
  /** `create` makes a new database where there is none; without it a missing file is refused. */
  readonly missing?: 'create' | 'refuse';
  /** Told of each numbered window of forgetting and copying as it is passed: tests die there. */
  readonly onWindow?: (window: number) => void;
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. Nothing is repaired. */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<Result<KeptLedger, OpenFailure>> {
  const { path } = options;
  if (!existsSync(dirname(path)))
    return err({ code: 'store.missingDirectory', message: `the folder ${dirname(path)} does not exist; make it first` });
  if (!existsSync(path) && options.missing !== 'create') return err({ code: 'store.missing', message: `there is no ledger at ${path}` });
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { readonly: options.access === 'readOnly' });
    const prepared = prepareDatabase(db, options);
    if (!prepared.ok) {
      db.close();
      return prepared;
    }
    const blobs = new BlobFiles(join(dirname(path), 'blobs'), options.randomness);
    if (options.access !== 'readOnly') await blobs.sweep(instantToMs(options.clock.now()));
    const ledger = new SqliteLedger(db, blobs, options);
    const remembered = ledger.checkRemembered();
    if (remembered.ok) return ok(ledger);
    await ledger.close();
    return remembered;
  } catch (error) {
    db?.close();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, path, isWritable(path)));
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return true;
  } catch {
    // The system's one way to say no.
    return false;
  }
}

function prepareDatabase(db: Database.Database, options: SqliteLedgerOptions): Result<void, OpenFailure> {
  if (options.access === 'readOnly') {
    const version = checkVersion(db, options.path);
    if (!version.ok) return version;
    if (version.value === FORMAT_VERSION) return ok(undefined);
    return err({ code: 'store.notALedger', message: `${options.path} holds no ledger of this format yet; open it for writing once` });
  }
  // Before anything is written to a file that may be somebody else's.
  const version = checkVersion(db, options.path);
  if (!version.ok) return version;
  setDurable(db);
  const migrated = migrate(db, options);
  return migrated.ok ? checkDurable(db, options.path) : migrated;
}

class SqliteLedger implements KeptLedger {
  readonly keeper: LedgerKeeper;
  readonly #db: Database.Database;
  readonly #options: SqliteLedgerOptions;
  readonly #reader: RowReader;
  readonly #tree: TreeReader;
  readonly #writer: Writer;
  readonly #blobFiles: BlobFiles;
  readonly #watch: Watch;
  readonly #heads: HeadKeeper | null;
  readonly #blobRow: Database.Statement;
  readonly #checkpointAt: Database.Statement;
  readonly #checkpointsAfter: Database.Statement;
  readonly #addCheckpoint: Database.Statement;
  readonly #salts: Randomness;
  #origin: string | null = null;
  #closed = false;

  constructor(db: Database.Database, blobFiles: BlobFiles, options: SqliteLedgerOptions) {
    this.#db = db;
    this.#options = options;
    this.#blobFiles = blobFiles;
    this.#salts = inPortions(options.randomness);
    this.#reader = new RowReader(db);
    this.#tree = new TreeReader(db);
    this.#watch = new Watch(db);
    this.#blobRow = db.prepare('SELECT length, bytes FROM blobs WHERE digest = ?').raw();
    this.#checkpointAt = db.prepare('SELECT note FROM checkpoints WHERE size = ?').pluck();
    this.#checkpointsAfter = db.prepare('SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT 256').raw();
    this.#addCheckpoint = db.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?) ON CONFLICT (size) DO NOTHING');
    this.#heads =
      options.headFile === undefined || options.access === 'readOnly' ? null : new HeadKeeper(options.headFile, () => this.#head());
    this.#writer = new Writer({
      db,
      reader: this.#reader,
      instance: String(db.prepare('SELECT instance FROM store').pluck().get()),
      signer: options.signer,
      isThere: (digest) => blobFiles.has(digest),
      onCommit: () => {
        this.#heads?.committed();
        this.#watch.changed();
      },
      steadyMs: () => performance.now(),
    });
    const keeper = new SqliteKeeper({
      db,
      path: options.path,
      blobFiles,
      reader: this.#reader,
      writer: this.#writer,
      salts: this.#salts,
      readOnly: options.access === 'readOnly',
      isClosed: () => this.#closed,
      onWindow: options.onWindow ?? (() => undefined),
      onCopied: () => {
        this.#heads?.committed();
        this.#watch.changed();
      },
    });
    this.keeper = keeper;
    // Start-up finishes what an interrupted forgetting left (PROTOCOL §3).
    if (options.access !== 'readOnly') keeper.settle();
  }

  /** Holds the head remembered elsewhere against the entries. */
  checkRemembered(): Result<void, OpenFailure> {
    const { headFile } = this.#options;
    if (headFile === undefined) return ok(undefined);
    const remembered = readHeadFile(headFile);
    if (!remembered.ok) return remembered;
    if (remembered.value === null) return ok(undefined);
    const { fingerprint, size } = this.#head();
    const rolledBack = rollBackOf(remembered.value, { fingerprint, size, rootAt: (at) => this.#tree.root(at) });
    return rolledBack === undefined ? ok(undefined) : err(rolledBack);
  }

  // ---- appending

  append(batch: AppendBatch): Promise<Result<Appended, AppendFailure>> {
    if (this.#closed) return Promise.resolve(CLOSED);
    if (this.#options.access === 'readOnly')
      return Promise.resolve(err({ code: 'store.readOnly', message: 'this ledger was opened for reading only' }));
    const prepared = prepare(batch, this.#salts);
    if (!prepared.ok) return Promise.resolve(prepared);
    const large = batch.blobs.filter(({ bytes }) => bytes.length > MAX_ROW_BLOB_BYTES);
    if (large.length === 0) return this.#writer.append(prepared.value);
    return this.#withFiles(large, () => this.#writer.append(prepared.value));
  }

  /** Large blobs are durable before the transaction whose entries name them begins. */
  async #withFiles(
    large: AppendBatch['blobs'],
    then: () => Promise<Result<Appended, AppendFailure>>,
  ): Promise<Result<Appended, AppendFailure>> {
    try {
      for (const { digest, bytes } of large) await this.#blobFiles.write(digest, bytes);
    } catch (error) {
      if (!isOutcome(error)) throw error;
      const refusal = writeRefusal(error, true);
      this.#writer.stop(refusal);
      return err(refusal);
    }
    return this.#closed ? CLOSED : then();
  }

  // ---- reading

  async *read(trajectory: TrajectoryId, from = 0, to = Number.MAX_SAFE_INTEGER): AsyncGenerator<Stored> {
    this.#requireOpen();
    const id = this.#reader.trajectoryId(trajectory);
    if (id === null) return;
    let last = -1;
    for (const { entry } of this.#reader.fromEnd(id)) {
      last = entry.seq;
      break;
    }
    const end = Math.min(to, last + 1);
    for (let at = from; at < end; ) {
      this.#requireOpen();
      const page = this.#reader.trajectoryPage(id, at, end);
      // A damaged head could name any position: what is missing before it is damage, and must not become an endless search.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries of ${trajectory} from ${at} on are missing; run verify`);
      yield* page;
      at += page.length;
    }
  }

  async *all(from = 0n, to?: bigint): AsyncGenerator<Stored> {
    for await (const page of this.#pages(from, to, (at, end) => this.#reader.storedPage(at, end))) yield* page;
  }

  rows(from = 0n, to?: bigint): AsyncGenerator<readonly Row[]> {
    return this.#pages(from, to, (at, end) => this.#reader.page(at, end));
  }

  async *#pages<T>(from: bigint, to: bigint | undefined, read: (from: number, to: number) => readonly T[]): AsyncGenerator<readonly T[]> {
    this.#requireOpen();
    const size = this.#writer.headRow().size;
    const end = to === undefined ? size : Math.min(Number(to), size);
    for (let at = Number(from); at < end; ) {
      this.#requireOpen();
      const page = read(at, end);
      // A row that is missing inside the ledger is damage, but an empty page must not turn into an endless loop.
      if (page.length === 0) throw new LedgerFault('store.corrupt', `entries from ${at} on are missing below the head ${size}; run verify`);
      yield page;
      at += page.length;
    }
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    if (this.#closed) return CLOSED;
    const row = this.#blobRow.get(digest) as readonly [number, Uint8Array | null] | undefined;
    if (row === undefined) return err({ code: 'blob.unknown', message: `no blob ${digest} is stored here` });
    if (row[0] < 0) return err({ code: 'blob.erased', message: `the blob ${digest} was erased` });
    const bytes = row[1] === null ? await this.#blobFiles.read(digest) : new Uint8Array(row[1]);
    if (bytes !== null && bytes.length === row[0] && digestOf(bytes) === digest) return ok(bytes);
    return err({
      code: 'blob.corrupt',
      message: `the blob ${digest} is ${bytes === null ? 'missing from its folder' : 'not what its name says'}`,
    });
  }

  follow(from = 0n): Subscription {
    const page = (next: bigint) => (this.#closed ? null : this.#reader.storedPage(Number(next), this.#writer.headRow().size));
    return follow({ page, onChange: (changed) => this.#watch.add(changed) }, from);
  }

  async head(): Promise<Head> {
    this.#requireOpen();
    return this.#head();
  }

  #head(): Head {
    const { size, frontier, fingerprint } = this.#writer.headRow();
    if (this.#origin === null && size > 0) {
      const founding = this.#reader.storedPage(0, 1)[0]?.payload ?? null;
      this.#origin = founding === null ? null : originIn(founding);
    }
    return { size: BigInt(size), root: rootOf(size, frontier), fingerprint, origin: this.#origin };
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null> {
    this.#requireOpen();
    const id = this.#reader.trajectoryId(trajectory);
    if (id === null) return null;
    for (const { entry, leaf } of this.#reader.fromEnd(id))
      return { trajectory, seq: entry.seq, leaf, closed: factsOf(entry.kind)?.closes === true };
    return null;
  }

  async *trajectories(prefix = ''): AsyncGenerator<TrajectoryHead> {
    // Names begin after the empty text; the first page may begin with the prefix itself.
    let after = prefix === '' ? '' : prefix.slice(0, -1);
    for (;;) {
      this.#requireOpen();
      const names = this.#reader.names(after);
      for (const name of names) {
        if (name.startsWith(prefix)) {
          const head = await this.trajectory(name);
          if (head !== null) yield head;
        } else if (name > prefix) return;
      }
      const last = names.at(-1);
      if (last === undefined) return;
      after = last;
    }
  }

  // ---- proving

  async checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
    if (this.#closed) return CLOSED;
    const read = orDamage(() => this.#head());
    if (!read.ok) return read;
    const head = read.value;
    const known = this.#checkpointOf(head.size);
    if (known !== null) return ok(known);
    if (this.#options.access === 'readOnly') return err({ code: 'store.readOnly', message: 'this ledger was opened for reading only' });
    const made = await makeCheckpoint(head, this.#options.logSigner);
    if (!made.ok || this.#closed) return this.#closed ? CLOSED : made;
    try {
      this.#addCheckpoint.run(Number(made.value.size), made.value.note);
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(writeRefusal(error, false));
    }
    this.#heads?.now();
    // Whoever was first at this size has made the one that is kept.
    return ok(this.#checkpointOf(made.value.size) ?? made.value);
  }

  #checkpointOf(size: bigint): StoredCheckpoint | null {
    const note = this.#checkpointAt.get(Number(size));
    return typeof note === 'string' ? { size, note } : null;
  }

  async *checkpoints(): AsyncGenerator<StoredCheckpoint> {
    for (let after = -1; ; ) {
      this.#requireOpen();
      const rows = this.#checkpointsAfter.all(after) as (readonly [number, string])[];
      for (const [size, note] of rows) yield { size: BigInt(size), note };
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last[0];
    }
  }

  async inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = BigInt(this.#writer.headRow().size);
    if (index < 0n || index >= size || size > now) return outOfRange(`there is no leaf ${index} in a tree of ${size} within ${now}`);
    return orDamage(() => inclusionProof((level, at) => this.#tree.node(level, at), index, size));
  }

  async consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return CLOSED;
    const now = BigInt(this.#writer.headRow().size);
    if (oldSize < 0n || oldSize > newSize || newSize > now)
      return outOfRange(`there is no way from ${oldSize} to ${newSize} within ${now}`);
    return orDamage(() => consistencyProof((level, at) => this.#tree.node(level, at), oldSize, newSize));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#writer.finish();
    this.#heads?.now();
    this.#closed = true;
    this.#watch.close();
    // An append that still writes its files answers `store.closed` when it comes back; it does not touch the database.
    this.#db.close();
  }

  #requireOpen(): void {
    if (this.#closed) throw new LedgerFault('store.closed', 'this handle was closed');
  }
}

const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this handle was closed' } } as const;

/** What `make` answers, or that the stored tree is damaged. */
function orDamage<T>(make: () => T): Result<T, { readonly code: 'store.corrupt'; readonly message: string }> {
  try {
    return ok(make());
  } catch (error) {
    if (codeOf(error) !== 'store.corrupt') throw error;
    return err({ code: 'store.corrupt', message: `${messageOf(error)}; run verify` });
  }
}

function outOfRange(message: string): { readonly ok: false; readonly error: ProofFailure } {
  return err({ code: 'proof.outOfRange', message });
}
