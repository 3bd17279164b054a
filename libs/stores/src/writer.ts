/**
 * The writing half of a store: group commit under SQLite's write lock. Must never answer an append before its commit is durable, and never
 * write again after a commit whose outcome is unknown. PROTOCOL §3; TOOLCHAIN §5.1 (group commit).
 */
import { type Digest, type EventId, err, ok, type TrajectoryId } from '@openexec/canon';
import {
  type AppendFailure,
  type Blob,
  type EntrySigner,
  factsOf,
  type PreparedBatch,
  type Sequenced,
  sequence,
  type SequenceView,
  type Stored,
  type TrajectoryState,
} from '@openexec/ledger';
import type Database from 'better-sqlite3';
import { MAX_ROW_BLOB_BYTES } from './blobFiles.ts';
import { CLOSED, isOutcome, type Refusal, stoppedBy, writeRefusal } from './errors.ts';
import { type Answer, BROKEN, type Request, takeGroup } from './group.ts';
import { deflated, packed } from './packed.ts';
import type { RowReader } from './rows.ts';
import { Frontier } from './tree.ts';
import { headIn } from './sqliteReading.ts';
import type { HeadRow } from './view.ts';

/** PROTOCOL §3: what one commit takes at most, beside the entries of a group. */
const MAX_GROUP_MS = 2;
/** Trajectories whose heads are remembered between commits. */
const MAX_REMEMBERED = 4096;

/** A negative length is that of a blob that was erased; the same bytes in a later payload are new data (PROTOCOL §3). */
export const ADD_BLOB = `INSERT INTO blobs (digest, length, bytes) VALUES (?, ?, ?)
  ON CONFLICT (digest) DO UPDATE SET length = excluded.length, bytes = excluded.bytes WHERE length < 0`;

/** What happens in the same transaction as an append: a check under the lock before it, a change after it. */
export interface Within {
  check(): AppendFailure | null;
  apply(): void;
}

interface Answered {
  readonly request: Request<Within>;
  readonly result: Answer;
}
interface Remembered {
  readonly id: number;
  state: TrajectoryState | null;
}

/** What a writer works with. */
export interface WriterOptions {
  readonly db: Database.Database;
  readonly reader: RowReader;
  readonly instance: string;
  readonly signer: EntrySigner | undefined;
  /** Whether the file of a large blob is there. */
  readonly isThere: (digest: Digest) => boolean;
  /** Called after every durable commit. */
  readonly onCommit: () => void;
  /** Milliseconds of a steady clock. */
  readonly steadyMs: () => number;
}

/** One handle's writer. All its fields are touched by {@link Writer.#commit} alone, which runs to its end without yielding. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #head: Database.Statement;
  readonly #sizeNow: Database.Statement;
  readonly #setHead: Database.Statement;
  readonly #addEntry: Database.Statement;
  readonly #addTrajectory: Database.Statement;
  readonly #addSubtree: Database.Statement;
  readonly #addBlob: Database.Statement;
  readonly #begin: Database.Statement;
  readonly #end: Database.Statement;
  readonly #undo: Database.Statement;
  #queue: Request<Within>[] = [];
  #isScheduled = false;
  #lastGroup = 1;
  /** What the present process knows of the ledger at `#size`; forgotten when another process has moved it on. */
  #size = -1;
  #frontier = new Frontier(0, new Uint8Array(0));
  #fingerprint: HeadRow['fingerprint'] = null;
  #successor: string | null = null;
  readonly #trajectories = new Map<TrajectoryId, Remembered>();
  #stopped: Refusal | null = null;

  constructor(options: WriterOptions) {
    this.#options = options;
    const { db } = options;
    this.#head = db.prepare('SELECT size, frontier, fingerprint, successor FROM head WHERE id = 0');
    this.#sizeNow = db.prepare('SELECT size FROM head WHERE id = 0').pluck();
    this.#setHead = db.prepare('UPDATE head SET size = ?, frontier = ?, fingerprint = ?, successor = ? WHERE id = 0');
    this.#addEntry = db.prepare('INSERT INTO entries (idx, trajectory, seq, entry, payload, salt, event) VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#addTrajectory = db.prepare('INSERT INTO trajectories (name) VALUES (?)');
    this.#addSubtree = db.prepare('INSERT INTO subtrees (level, idx, hash) VALUES (?, ?, ?)');
    this.#addBlob = db.prepare(ADD_BLOB);
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#end = db.prepare('COMMIT');
    this.#undo = db.prepare('ROLLBACK');
  }

  /** The file that is written. */
  get path(): string {
    return this.#options.db.name;
  }

  /** The committed head, as any process sees it. */
  headRow(): HeadRow {
    return headIn(this.#head.get());
  }

  /** Queues a batch whose large blobs are durable already. */
  append(batch: PreparedBatch, within?: Within): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, within, resolve, reject });
      this.#schedule();
    });
  }

  /** Answers everything that is queued; then nothing more is taken. */
  finish(): void {
    while (this.#queue.length > 0) this.#flush();
    this.#stopped ??= CLOSED;
  }

  /** Stops this writer: a disk that failed once is not to be trusted on the same handle. */
  stop(refusal: Refusal): void {
    this.#stopped = stoppedBy(refusal);
  }

  /**
   * A lone writer's commit follows at once, in the same turn of the event loop. Where the last commit was shared, the next one waits for the
   * end of the turn, so that everybody who was just answered can join it.
   */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    if (this.#lastGroup > 1) setImmediate(() => this.#flush());
    else queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    const group = takeGroup(this.#queue);
    if (group.length === 0) return;
    this.#lastGroup = group.length;
    let answers: readonly Answered[];
    try {
      answers = this.#stopped === null ? this.#commit(group) : answerAll(group, err(this.#stopped));
    } catch (error) {
      // Not an outcome of SQLite's: a broken invariant. It is shown to whoever asked, and nothing more is written.
      this.stop(BROKEN);
      for (const request of group) request.reject(error);
      answers = [];
    }
    for (const { request, result } of answers) request.resolve(result);
    if (this.#queue.length > 0) this.#schedule();
  }

  /** One transaction. A refused append in the group costs the others nothing; what no longer fits into 2 ms goes back to the queue. */
  #commit(group: readonly Request<Within>[]): readonly Answered[] {
    let begun = false;
    try {
      this.#begin.run();
      begun = true;
      this.#refresh();
      const { answers, grew } = this.#placeAll(group);
      // Window 3: a death before COMMIT returns leaves frames in the log that no reader counts; nothing of the group is stored.
      if (!grew) {
        this.#undo.run();
        return answers;
      }
      this.#setHead.run(this.#size, this.#frontier.stored(), this.#fingerprint, this.#successor);
      this.#end.run();
      begun = false;
      // Window 4: a death from here on loses no entry, only the answer: a repeat is answered as duplicate.
      this.#options.onCommit();
      return answers;
    } catch (error) {
      return answerAll(group, err(this.#failed(error, begun)));
    }
  }

  /** After any failure the memory of the ledger is void. A failed write may or may not be stored, so this writer ends with it. */
  #failed(error: unknown, begun: boolean): Refusal {
    this.#size = -1;
    if (this.#options.db.inTransaction) this.#rollBack();
    if (!isOutcome(error)) throw error;
    const refusal = writeRefusal(error, this.path, begun);
    if (refusal.code !== 'store.busy' && refusal.code !== 'store.readOnly') this.stop(refusal);
    return refusal;
  }

  #rollBack(): void {
    try {
      this.#undo.run();
    } catch (error) {
      // The failure that led here is the one to report; after it the handle is given up anyway.
      if (!isOutcome(error)) throw error;
    }
  }

  /** Takes up what other processes appended since this one's last commit. */
  #refresh(): void {
    if (this.#sizeNow.get() === this.#size) return;
    const head = this.headRow();
    this.#trajectories.clear();
    this.#frontier = new Frontier(head.size, head.frontier);
    this.#size = head.size;
    this.#fingerprint = head.fingerprint;
    this.#successor = head.successor;
  }

  #placeAll(group: readonly Request<Within>[]): { readonly answers: readonly Answered[]; readonly grew: boolean } {
    const answers: Answered[] = [];
    const before = this.#size;
    const since = this.#options.steadyMs();
    for (const [at, request] of group.entries()) {
      if (at > 0 && this.#options.steadyMs() - since > MAX_GROUP_MS) {
        this.#queue.unshift(...group.slice(at));
        break;
      }
      answers.push({ request, result: this.#place(request) });
    }
    return { answers, grew: this.#size > before };
  }

  #place({ batch, within }: Request<Within>): Answer {
    const { signer, instance, isThere } = this.#options;
    const refused = within?.check() ?? null;
    if (refused !== null) return err(refused);
    const placed = sequence(this.#view(), batch, signer === undefined ? { instance } : { instance, signer });
    if (!placed.ok) return placed;
    if (placed.value.outcome === 'duplicate') {
      const stored = placed.value.places.flatMap(({ trajectory, first, count }) => this.#firstResult(trajectory, first, count));
      return ok({ outcome: 'duplicate', stored, size: BigInt(this.#size) });
    }
    const lost = batch.blobs.find(({ bytes, digest }) => bytes.length > MAX_ROW_BLOB_BYTES && !isThere(digest));
    if (lost !== undefined)
      return err({ code: 'store.busy', message: `the file of ${lost.digest} was just erased by another process; try again` });
    this.#store(placed.value, batch.blobs);
    within?.apply();
    return ok({ outcome: 'appended', stored: placed.value.stored, size: BigInt(this.#size) });
  }

  #store(batch: Sequenced & { readonly outcome: 'appended' }, blobs: readonly Blob[]): void {
    for (const { digest, bytes } of blobs)
      this.#addBlob.run(digest, bytes.length, bytes.length > MAX_ROW_BLOB_BYTES ? null : deflated(bytes));
    let name: TrajectoryId | undefined;
    let id = 0;
    for (const { entry, entryBytes, payload, salt } of batch.stored) {
      if (entry.trajectory !== name) {
        name = entry.trajectory;
        id = this.#adopt(name, batch.states.get(name) ?? null);
      }
      this.#addEntry.run(
        this.#size++,
        id,
        entry.seq,
        packed(entryBytes),
        payload === null ? null : packed(payload),
        salt,
        entry.id ?? null,
      );
    }
    for (const leaf of batch.leaves) this.#frontier.append(leaf, ({ level, index, hash }) => this.#addSubtree.run(level, index, hash));
    this.#fingerprint = batch.fingerprint;
    this.#successor = batch.successor;
  }

  /** Remembers where a trajectory stands now, and gives it a number when it is new. */
  #adopt(trajectory: TrajectoryId, state: TrajectoryState | null): number {
    const known = this.#known(trajectory);
    if (known !== null) {
      known.state = state;
      return known.id;
    }
    const id = Number(this.#addTrajectory.run(trajectory).lastInsertRowid);
    this.#trajectories.set(trajectory, { id, state });
    return id;
  }

  // ---- what sequencing sees, under the write lock

  #view(): SequenceView {
    return {
      size: BigInt(this.#size),
      fingerprint: this.#fingerprint,
      successor: this.#successor,
      trajectory: (trajectory) => this.#known(trajectory)?.state ?? null,
      placed: (trajectory, seq) => {
        const stored = this.#at(trajectory, seq);
        return stored === null ? null : { kind: stored.entry.kind, at: stored.entry.at, payload: stored.payload };
      },
      byId: (trajectory, event: EventId) => {
        const known = this.#known(trajectory);
        return known === null ? null : this.#options.reader.seqOfEvent(known.id, event);
      },
    };
  }

  #at(trajectory: TrajectoryId, seq: number): Stored | null {
    const known = this.#known(trajectory);
    return known === null ? null : this.#options.reader.at(known.id, seq);
  }

  #firstResult(trajectory: TrajectoryId, first: number, count: number): Stored[] {
    return Array.from({ length: count }, (_, offset) => {
      const stored = this.#at(trajectory, first + offset);
      if (stored === null) throw new Error('a repeat was found at a place where nothing stands');
      return stored;
    });
  }

  #known(trajectory: TrajectoryId): Remembered | null {
    const remembered = this.#trajectories.get(trajectory);
    if (remembered !== undefined) return remembered;
    const id = this.#options.reader.trajectoryId(trajectory);
    if (id === null) return null;
    if (this.#trajectories.size >= MAX_REMEMBERED) this.#trajectories.clear();
    const read = { id, state: this.#readState(id) };
    this.#trajectories.set(trajectory, read);
    return read;
  }

  /** From the end backwards to the last fact: the length of one list of judgements. */
  #readState(id: number): TrajectoryState | null {
    let head: Stored | null = null;
    for (const stored of this.#options.reader.fromEnd(id)) {
      head ??= stored;
      if (factsOf(stored.entry.kind)?.judged === false) return stateOf(head, stored.entry.at);
    }
    return head === null ? null : stateOf(head, null);
  }
}

function stateOf(head: Stored, factAt: TrajectoryState['factAt']): TrajectoryState {
  return { seq: head.entry.seq, leaf: head.leaf, factAt, closed: factsOf(head.entry.kind)?.closes === true };
}

function answerAll(group: readonly Request<Within>[], result: Answer): readonly Answered[] {
  return group.map((request) => ({ request, result }));
}
