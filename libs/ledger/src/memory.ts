/**
 * The ledger in memory: for tests, simulation and dry runs. Keeps every rule of the port except durability, which it has none of. PROTOCOL §3.
 */
import { type Bytes, type Digest, err, type EventId, ok, type Randomness, type Result, toHex, type TrajectoryId } from '@openexec/canon';
import { CompactRange, consistencyProof, inclusionProof, nodeHash, type Signer } from '@openexec/proof';
import { makeCheckpoint } from './checkpoint.ts';
import type { AppendFailure, BlobFailure, CheckpointFailure, ProofFailure } from './errors.ts';
import { follow } from './follow.ts';
import { originIn } from './founding.ts';
import { prepare } from './prepare.ts';
import { type Sequenced, type SequenceView, sequence, type TrajectoryState } from './sequence.ts';
import { CopyCheck } from './copyCheck.ts';
import { batchOfWish, forgetFault, placesOfWish } from './forgetting.ts';
import { placeKey, Release, runNow } from './holding.ts';
import {
  CopyFault,
  type CopyFailure,
  type Examination,
  type ForgetFailure,
  type Forgetting,
  type Forgotten,
  type KeptLedger,
  type LedgerCopy,
  type LedgerKeeper,
} from './keeper.ts';
import { Retrace } from './retrace.ts';
import { MemorySnapshots } from './snapshotsMemory.ts';
import { LedgerFault, type Subscription } from './store.ts';
import type { AppendBatch, Appended, EntrySigner, Head, Row, Stored, StoredCheckpoint, TrajectoryHead } from './types.ts';

const PAGE_ENTRIES = 256;
const INSTANCE_BYTES = 16;

/** What a ledger in memory is made of. */
export interface MemoryLedgerOptions {
  readonly randomness: Randomness;
  /** The runtime key; signs `commit.recorded` and `run.closed`. */
  readonly signer?: EntrySigner;
  /** The log key; without it there are no checkpoints. */
  readonly logSigner?: Signer;
}

/** An empty ledger in memory. */
export function memoryLedger(options: MemoryLedgerOptions): KeptLedger {
  return new MemoryLedger(options);
}

interface Stream {
  readonly entries: Stored[];
  readonly ids: Map<EventId, number>;
  state: TrajectoryState;
}

class MemoryLedger implements KeptLedger {
  readonly keeper: LedgerKeeper;
  readonly snapshots = new MemorySnapshots(() => this.#closed);
  readonly #options: MemoryLedgerOptions;
  readonly #instance: string;
  readonly #entries: Stored[] = [];
  readonly #streams = new Map<TrajectoryId, Stream>();
  /** Null where it was erased and a `run.opened` still names it. */
  readonly #blobs = new Map<Digest, Bytes | null>();
  readonly #checkpoints: StoredCheckpoint[] = [];
  readonly #tree = CompactRange.empty();
  /** Hashes of complete subtrees by level; level 0 are the leaves. */
  readonly #levels: Bytes[][] = [];
  readonly #watchers = new Set<() => void>();
  #closed = false;
  #fingerprint: Digest | null = null;
  #successor: string | null = null;

  constructor(options: MemoryLedgerOptions) {
    this.#options = options;
    this.#instance = toHex(options.randomness.bytes(INSTANCE_BYTES));
    this.keeper = new MemoryKeeper({
      instance: this.#instance,
      successor: () => this.#successor,
      blobs: this.#blobs,
      entries: this.#entries,
      state: (trajectory) => this.#streams.get(trajectory)?.state ?? null,
      closed: () => this.#closed,
      append: (batch) => this.append(batch),
      blank: (stored) => this.#blank(stored),
      takeAll: (check) => this.#takeAll(check),
      forgotten: (trajectory) => this.snapshots.forget(trajectory),
    });
  }

  /** Payload and salt go, the entry stays. */
  #blank(stored: Stored): void {
    const blank = { ...stored, payload: null, salt: null };
    this.#entries[Number(stored.index)] = blank;
    const stream = this.#streams.get(stored.entry.trajectory);
    if (stream !== undefined) stream.entries[stored.entry.seq] = blank;
  }

  /** What a copy brought, all of it at once. */
  #takeAll({ stored, hashes, states, checkpoints, fingerprint, successor }: Taken): void {
    this.#adopt({ outcome: 'appended', stored, leaves: hashes, states, fingerprint, successor });
    this.#checkpoints.push(...checkpoints);
    for (const changed of Array.from(this.#watchers)) changed();
  }

  get #size(): bigint {
    return BigInt(this.#entries.length);
  }

  /** What sequencing sees; appends run to the end without yielding, so it is one moment. */
  #view(): SequenceView {
    return {
      size: this.#size,
      fingerprint: this.#fingerprint,
      successor: this.#successor,
      trajectory: (trajectory) => this.#streams.get(trajectory)?.state ?? null,
      placed: (trajectory, seq) => {
        const stored = this.#streams.get(trajectory)?.entries[seq];
        return stored === undefined ? null : { kind: stored.entry.kind, at: stored.entry.at, payload: stored.payload };
      },
      byId: (trajectory, id) => this.#streams.get(trajectory)?.ids.get(id) ?? null,
    };
  }

  // ---- appending

  async append(batch: AppendBatch): Promise<Result<Appended, AppendFailure>> {
    if (this.#closed) return err({ code: 'store.closed', message: 'this ledger was closed' });
    const prepared = prepare(batch, this.#options.randomness);
    if (!prepared.ok) return prepared;
    const { signer } = this.#options;
    const placed = sequence(this.#view(), prepared.value, { instance: this.#instance, ...(signer === undefined ? {} : { signer }) });
    if (!placed.ok) return placed;
    if (placed.value.outcome === 'duplicate')
      return ok({ outcome: 'duplicate', stored: this.#firstResult(placed.value.places), size: this.#size });
    for (const blob of batch.blobs) this.#blobs.set(blob.digest, blob.bytes.slice());
    this.#adopt(placed.value);
    for (const changed of Array.from(this.#watchers)) changed();
    return ok({ outcome: 'appended', stored: placed.value.stored, size: this.#size });
  }

  #adopt(batch: Sequenced & { readonly outcome: 'appended' }): void {
    for (const stored of batch.stored) {
      const { trajectory, id, seq } = stored.entry;
      const state = batch.states.get(trajectory);
      if (state === undefined) throw new Error('a sequenced batch has a state for each of its trajectories');
      const stream: Stream = this.#streams.get(trajectory) ?? { entries: [], ids: new Map(), state };
      stream.entries.push(stored);
      if (id !== undefined) stream.ids.set(id, seq);
      stream.state = state;
      this.#streams.set(trajectory, stream);
      this.#entries.push(stored);
    }
    for (const leaf of batch.leaves) this.#grow(leaf);
    this.#fingerprint = batch.fingerprint;
    this.#successor = batch.successor;
  }

  #grow(leaf: Bytes): void {
    this.#tree.append(leaf);
    let hash = leaf;
    for (let level = 0; ; level++) {
      const hashes = (this.#levels[level] ??= []);
      hashes.push(hash);
      const left = hashes.at(-2);
      if (hashes.length % 2 === 1 || left === undefined) return;
      hash = nodeHash(left, hash);
    }
  }

  #firstResult(places: readonly { readonly trajectory: TrajectoryId; readonly first: number; readonly count: number }[]): Stored[] {
    return places.flatMap(({ trajectory, first, count }) => this.#streams.get(trajectory)?.entries.slice(first, first + count) ?? []);
  }

  // ---- reading

  async *read(trajectory: TrajectoryId, from = 0, to?: number): AsyncGenerator<Stored> {
    this.#requireOpen();
    yield* this.#streams.get(trajectory)?.entries.slice(from, to) ?? [];
  }

  async *all(from = 0n, to = this.#size): AsyncGenerator<Stored> {
    for await (const page of this.#pages(from, to)) yield* page;
  }

  async *rows(from = 0n, to = this.#size): AsyncGenerator<readonly Row[]> {
    for await (const page of this.#pages(from, to)) yield page.map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
  }

  async *#pages(from: bigint, to: bigint): AsyncGenerator<readonly Stored[]> {
    this.#requireOpen();
    const end = Number(to < this.#size ? to : this.#size);
    for (let at = Number(from); at < end; at += PAGE_ENTRIES) {
      this.#requireOpen();
      yield this.#entries.slice(at, Math.min(at + PAGE_ENTRIES, end));
    }
  }

  async blob(digest: Digest): Promise<Result<Bytes, BlobFailure>> {
    if (this.#closed) return err({ code: 'store.closed', message: 'this ledger was closed' });
    const bytes = this.#blobs.get(digest);
    if (bytes === null) return err({ code: 'blob.erased', message: `the blob ${digest} was erased` });
    return bytes === undefined ? err({ code: 'blob.unknown', message: `no blob ${digest} is stored here` }) : ok(bytes.slice());
  }

  follow(from = 0n): Subscription {
    const page = (next: bigint) => (this.#closed ? null : this.#entries.slice(Number(next), Number(next) + PAGE_ENTRIES));
    const onChange = (changed: () => void) => {
      this.#watchers.add(changed);
      return () => this.#watchers.delete(changed);
    };
    return follow({ page, onChange }, from);
  }

  async head(): Promise<Head> {
    this.#requireOpen();
    return this.#head();
  }

  #head(): Head {
    const founding = this.#entries[0]?.payload ?? null;
    return {
      size: this.#size,
      root: this.#tree.root(),
      fingerprint: this.#fingerprint,
      origin: founding === null ? null : originIn(founding),
    };
  }

  async trajectory(trajectory: TrajectoryId): Promise<TrajectoryHead | null> {
    this.#requireOpen();
    const state = this.#streams.get(trajectory)?.state;
    return state === undefined ? null : { trajectory, seq: state.seq, leaf: state.leaf, closed: state.closed };
  }

  async *trajectories(prefix = ''): AsyncGenerator<TrajectoryHead> {
    this.#requireOpen();
    const names = [...this.#streams.keys()].filter((name) => name.startsWith(prefix)).sort();
    for (const name of names) {
      const head = await this.trajectory(name);
      if (head !== null) yield head;
    }
  }

  // ---- proving

  async checkpoint(): Promise<Result<StoredCheckpoint, CheckpointFailure>> {
    if (this.#closed) return err({ code: 'store.closed', message: 'this ledger was closed' });
    const known = this.#checkpoints.find(({ size }) => size === this.#size);
    if (known !== undefined) return ok(known);
    const made = await makeCheckpoint(this.#head(), this.#options.logSigner);
    if (!made.ok) return made;
    const first = this.#checkpoints.find(({ size }) => size === made.value.size);
    if (first !== undefined) return ok(first);
    this.#checkpoints.push(made.value);
    this.#checkpoints.sort((a, b) => (a.size < b.size ? -1 : 1));
    return made;
  }

  async *checkpoints(): AsyncGenerator<StoredCheckpoint> {
    this.#requireOpen();
    yield* this.#checkpoints.slice();
  }

  async inclusion(index: bigint, size: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return err({ code: 'store.closed', message: 'this ledger was closed' });
    if (index < 0n || index >= size || size > this.#size)
      return outOfRange(`there is no leaf ${index} in a tree of ${size} within ${this.#size}`);
    return ok(inclusionProof((level, at) => this.#node(level, at), index, size));
  }

  async consistency(oldSize: bigint, newSize: bigint): Promise<Result<readonly Bytes[], ProofFailure>> {
    if (this.#closed) return err({ code: 'store.closed', message: 'this ledger was closed' });
    if (oldSize < 0n || oldSize > newSize || newSize > this.#size)
      return outOfRange(`there is no way from ${oldSize} to ${newSize} within ${this.#size}`);
    return ok(consistencyProof((level, at) => this.#node(level, at), oldSize, newSize));
  }

  #node(level: number, index: bigint): Bytes {
    const hash = this.#levels[level]?.[Number(index)];
    if (hash === undefined) throw new Error(`no complete subtree at level ${level}, index ${index}`);
    return hash;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const changed of Array.from(this.#watchers)) changed();
  }

  #requireOpen(): void {
    if (this.#closed) throw new LedgerFault('store.closed', 'this ledger was closed');
  }
}

function outOfRange(message: string): { readonly ok: false; readonly error: ProofFailure } {
  return err({ code: 'proof.outOfRange', message });
}

/** What a copy brought. */
interface Taken {
  readonly stored: readonly Stored[];
  readonly hashes: readonly Bytes[];
  readonly states: ReadonlyMap<TrajectoryId, TrajectoryState>;
  readonly checkpoints: readonly StoredCheckpoint[];
  readonly fingerprint: Digest | null;
  readonly successor: string | null;
}
/** What the keeper sees of its ledger. */
interface Kept {
  readonly instance: string;
  readonly successor: () => string | null;
  readonly blobs: Map<Digest, Bytes | null>;
  readonly entries: readonly Stored[];
  readonly state: (trajectory: TrajectoryId) => TrajectoryState | null;
  readonly closed: () => boolean;
  readonly append: (batch: AppendBatch) => Promise<Result<Appended, AppendFailure>>;
  readonly blank: (stored: Stored) => void;
  readonly takeAll: (taken: Taken) => void;
  /** Some of its payloads are gone. */
  readonly forgotten: (trajectory: TrajectoryId) => void;
}
const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this ledger was closed' } } as const;

class MemoryKeeper implements LedgerKeeper {
  readonly #kept: Kept;

  constructor(kept: Kept) {
    this.#kept = kept;
  }

  async instance(): Promise<string> {
    return this.#kept.instance;
  }

  async successor(): Promise<string | null> {
    return this.#kept.successor();
  }

  async *blobs(): AsyncGenerator<{ readonly digest: Digest; readonly bytes: number | null }> {
    const sorted = [...this.#kept.blobs].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [digest, bytes] of sorted) yield { digest, bytes: bytes?.length ?? null };
  }

  /** Nothing is awaited between the check and the end but the append, which runs in the same turn. */
  async forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>> {
    const { entries, state, blobs } = this.#kept;
    if (this.#kept.closed()) return CLOSED;
    const before = wish.kind === 'prune' ? wish.before : null;
    const byPlace = new Map(entries.map((stored) => [placeKey(stored.entry.trajectory, stored.entry.seq), stored]));
    const going = new Map<string, Stored>();
    for (const place of placesOfWish(wish)) {
      const key = placeKey(place.trajectory, place.seq);
      const stored = byPlace.get(key) ?? null;
      const found = stored === null ? null : { entry: stored.entry, closed: state(place.trajectory)?.closed === true };
      const fault = forgetFault(place, found, before);
      if (fault !== null) return err(fault);
      if (stored !== null && stored.payload !== null) going.set(key, stored);
    }
    if (going.size === 0) return err({ code: 'forget.nothing', message: 'none of these payloads is there' });
    const appended = await this.#kept.append(batchOfWish(wish));
    if (!appended.ok) return appended;
    const release = new Release(new Set(going.keys()));
    for (const { entry, payload } of entries) release.take(entry, payload);
    const { drop, hollow } = runNow(release.finish(), (digest) => blobs.get(digest) ?? null);
    for (const stored of going.values()) {
      this.#kept.blank(stored);
      this.#kept.forgotten(stored.entry.trajectory);
    }
    let gone = 0;
    for (const digest of drop) if (blobs.delete(digest)) gone += 1;
    for (const digest of hollow) {
      if ((blobs.get(digest) ?? null) === null) continue;
      blobs.set(digest, null);
      gone += 1;
    }
    return ok({ stored: appended.value.stored, payloads: going.size, blobs: gone, lingering: false });
  }

  async copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
    const check = new CopyCheck(copy);
    const stored: Stored[] = [];
    const hashes: Bytes[] = [];
    const checkpoints: StoredCheckpoint[] = [];
    const blobs = new Map<Digest, Bytes | null>();
    try {
      for await (const part of copy.parts()) {
        if (part.is === 'rows')
          for (const row of part.rows) {
            const { entry, leaf, hash, index } = check.row(row);
            stored.push({ ...row, entry, leaf, index: BigInt(index) });
            hashes.push(hash);
          }
        else if (part.is === 'checkpoint') {
          check.checkpoint(part.checkpoint);
          checkpoints.push(part.checkpoint);
        } else {
          check.blob(part.digest, part.bytes);
          blobs.set(part.digest, part.bytes);
        }
      }
      check.finish();
    } catch (error) {
      if (error instanceof CopyFault) return err({ code: error.code, message: error.message });
      throw error;
    }
    if (this.#kept.closed()) return CLOSED;
    if (this.#kept.entries.length > 0)
      return err({ code: 'copy.notEmpty', message: 'this ledger has entries already; copy into a new one' });
    const { states, fingerprint, successor } = check.retrace;
    this.#kept.takeAll({ stored, hashes, states, checkpoints, fingerprint, successor });
    for (const [digest, bytes] of blobs) this.#kept.blobs.set(digest, bytes);
    return ok({ blobs: check.blobs });
  }

  /** Memory keeps nothing derived that could differ; entries and payloads are looked at all the same. */
  async examine(): Promise<Result<Examination, never>> {
    const retrace = new Retrace();
    const faults = this.#kept.entries.flatMap((row) => {
      const taken = retrace.take(row);
      return taken.ok ? [] : [{ ...taken.error, repaired: false }];
    });
    const { entries, blobs } = this.#kept;
    return ok({
      entries: entries.length,
      root: retrace.root(),
      blobs: blobs.size,
      findings: faults,
      omitted: 0,
      firstBad: faults[0]?.index ?? null,
    });
  }
}
