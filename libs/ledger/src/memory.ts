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
import { LedgerFault, type LedgerStore, type Subscription } from './store.ts';
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
export function memoryLedger(options: MemoryLedgerOptions): LedgerStore {
  return new MemoryLedger(options);
}

interface Stream {
  readonly entries: Stored[];
  readonly ids: Map<EventId, number>;
  state: TrajectoryState;
}

class MemoryLedger implements LedgerStore {
  readonly #options: MemoryLedgerOptions;
  readonly #instance: string;
  readonly #entries: Stored[] = [];
  readonly #streams = new Map<TrajectoryId, Stream>();
  readonly #blobs = new Map<Digest, Bytes>();
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
    return bytes === undefined ? err({ code: 'blob.unknown', message: `no blob ${digest} was ever stored here` }) : ok(bytes.slice());
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
