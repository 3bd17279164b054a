/**
 * The ledger as a writer over a connection has it in mind: the head it grows from, and what one transaction is going to add to it. Owned by one
 * writer; what stands here and was not stored has to be forgotten. PROTOCOL §3.
 */
import { ok, type TrajectoryId } from '@openexec/canon';
import {
  type Blob,
  type PreparedBatch,
  type Sequenced,
  sequence,
  type SequenceContext,
  type Stored,
  type TrajectoryState,
} from '@openexec/ledger';
import type { Answer } from './group.ts';
import type { KnownHead } from './headKeeper.ts';
import { Frontier, rootOf, type Subtree } from './tree.ts';
import { type HeadRow, View, type ViewSource } from './view.ts';

/** What one transaction is going to add. */
export interface Growth {
  readonly stored: Stored[];
  readonly subtrees: Subtree[];
  readonly blobs: Map<string, Blob>;
  readonly states: Map<TrajectoryId, TrajectoryState>;
}

/** One writer's picture of the ledger. */
export class Standing {
  readonly view = new View();
  readonly #source: SequenceContext;
  #size = -1;
  #frontier = new Frontier(0, new Uint8Array(0));
  #fingerprint: HeadRow['fingerprint'] = null;
  #successor: string | null = null;

  constructor(context: SequenceContext) {
    this.#source = context;
  }

  /** Entries of the ledger as it stands here; -1 where it has to be read again. */
  get size(): number {
    return this.#size;
  }

  /** What stands here may not be what is stored: it has to be read again. */
  forget(): void {
    this.#size = -1;
  }

  /** Takes up a head that others have moved. */
  takeUp({ size, frontier, fingerprint, successor }: HeadRow): void {
    this.view.clear();
    this.#frontier = new Frontier(size, frontier);
    this.#size = size;
    this.#fingerprint = fingerprint;
    this.#successor = successor;
  }

  /** The head as it is going to be stored. */
  head(): HeadRow {
    return { size: this.#size, frontier: this.#frontier.stored(), fingerprint: this.#fingerprint, successor: this.#successor };
  }

  /** The same as it is remembered elsewhere. */
  known(): KnownHead {
    return { size: BigInt(this.#size), root: rootOf(this.#size, this.#frontier.stored()), fingerprint: this.#fingerprint };
  }

  /** Before a group is placed: fetches what its batches are sure to ask for. */
  async begin(from: ViewSource, batches: readonly PreparedBatch[]): Promise<Growth> {
    this.view.begin();
    this.#stand();
    await this.view.fetch(from, batches);
    return { stored: [], subtrees: [], blobs: new Map(), states: new Map() };
  }

  /** Places one batch behind what stands here; where it is taken `growth` has it, and `idOf` has numbered its new trajectories. */
  async place(from: ViewSource, batch: PreparedBatch, growth: Growth, idOf: (trajectory: TrajectoryId) => bigint): Promise<Answer> {
    const placed = await this.view.ask(from, (view) => sequence(view, batch, this.#source));
    if (!placed.ok) return placed;
    if (placed.value.outcome === 'duplicate') {
      const stored = placed.value.places.flatMap(({ trajectory, first, count }) =>
        Array.from({ length: count }, (_, offset) => this.view.entry(trajectory, first + offset)),
      );
      return ok({ outcome: 'duplicate', stored, size: BigInt(this.#size) });
    }
    this.#grow(placed.value, batch.blobs, growth);
    this.view.adopt(placed.value.stored, placed.value.states, idOf);
    this.#stand();
    return ok({ outcome: 'appended', stored: placed.value.stored, size: BigInt(this.#size) });
  }

  #grow(batch: Sequenced & { readonly outcome: 'appended' }, blobs: readonly Blob[], growth: Growth): void {
    growth.stored.push(...batch.stored);
    for (const leaf of batch.leaves) this.#frontier.append(leaf, (subtree) => growth.subtrees.push(subtree));
    for (const blob of blobs) growth.blobs.set(blob.digest, blob);
    for (const [trajectory, state] of batch.states) growth.states.set(trajectory, state);
    this.#size += batch.stored.length;
    this.#fingerprint = batch.fingerprint;
    this.#successor = batch.successor;
  }

  #stand(): void {
    this.view.stand({ size: BigInt(this.#size), fingerprint: this.#fingerprint, successor: this.#successor });
  }
}
