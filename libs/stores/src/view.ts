/**
 * What sequencing sees of a ledger that is asked over a connection: everything it may ask is fetched before, because it asks without waiting. What
 * was not foreseen is named, fetched, and asked again: sequencing is a pure function. Owned by the writer, which guarantees that what was fetched
 * is of one moment: by the row lock of the head in Postgres, by the expected revision in EventStoreDB. PROTOCOL §3.
 */
import type { Bytes, EventId, Instant, LeafHash, TrajectoryId } from '@openexec/canon';
import type { Placed, PreparedBatch, SequenceView, Stored, TrajectoryState } from '@openexec/ledger';

/** Trajectories and entries remembered between commits; both are forgotten when another process has moved the ledger. */
const MAX_REMEMBERED = 4096;
const MAX_RECENT = 1024;
const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** The row that every append reads first and writes last. */
export interface HeadRow {
  readonly size: number;
  readonly frontier: Bytes;
  readonly fingerprint: SequenceView['fingerprint'];
  readonly successor: string | null;
}

/** Where a trajectory stands, as its row says. */
export interface TrajectoryRow {
  readonly id: bigint;
  readonly name: TrajectoryId;
  readonly seq: number;
  readonly leaf: LeafHash;
  readonly factAt: Instant | null;
  readonly closed: boolean;
}
/** A place in the ledger by the number of its trajectory. */
export interface PlaceKey {
  readonly trajectory: bigint;
  readonly seq: number;
}
/** An event id by the number of its trajectory. */
export interface EventKey {
  readonly trajectory: bigint;
  readonly event: EventId;
}

/** What a store answers about itself; what is not there is left out, and the order does not matter. */
export interface ViewSource {
  trajectories(names: readonly TrajectoryId[]): Promise<readonly TrajectoryRow[]>;
  places(places: readonly PlaceKey[]): Promise<readonly Stored[]>;
  events(events: readonly EventKey[]): Promise<readonly (EventKey & { readonly seq: number })[]>;
}

/** A question that was not fetched for. */
interface Missing {
  readonly places: readonly { readonly trajectory: TrajectoryId; readonly seq: number }[];
  readonly events: readonly { readonly trajectory: TrajectoryId; readonly event: EventId }[];
}
class NotFetched extends Error {
  readonly missing: Missing;
  constructor(missing: Missing) {
    super('a place was asked for that was not fetched');
    this.missing = missing;
  }
}
interface Known {
  readonly id: bigint;
  state: TrajectoryState;
}

/** One handle's picture of the ledger. */
export class View {
  readonly #trajectories = new Map<TrajectoryId, Known | null>();
  /** Entries by place; null where it is known that nothing stands. */
  readonly #entries = new Map<string, Stored | null>();
  readonly #events = new Map<string, number | null>();
  #head: Pick<SequenceView, 'size' | 'fingerprint' | 'successor'> = { size: 0n, fingerprint: null, successor: null };

  /** Forgets everything: another process appended. */
  clear(): void {
    this.#trajectories.clear();
    this.#entries.clear();
    this.#events.clear();
  }

  /** Takes over the head under the lock, or after a batch of the same transaction. */
  stand(head: Pick<SequenceView, 'size' | 'fingerprint' | 'successor'>): void {
    this.#head = head;
  }

  /** Before a transaction: bounds what is remembered. Ids are asked for again each time; most of them are new. */
  begin(): void {
    if (this.#trajectories.size > MAX_REMEMBERED) this.#trajectories.clear();
    if (this.#entries.size > MAX_RECENT) this.#entries.clear();
    this.#events.clear();
  }

  /** Fetches what these batches are sure to ask for. */
  async fetch(source: ViewSource, batches: readonly PreparedBatch[]): Promise<void> {
    const names = batches.flatMap(({ parts, law }) => [...parts.map(({ trajectory }) => trajectory), ...(law === undefined ? [] : [LAW])]);
    await this.#fetchTrajectories(source, names);
    const places: { trajectory: TrajectoryId; seq: number }[] = [];
    const events: { trajectory: TrajectoryId; event: EventId }[] = [];
    for (const { trajectory, expect, drafts } of batches.flatMap(({ parts }) => parts)) {
      const last = this.#trajectories.get(trajectory)?.state.seq ?? -1;
      const first = expect === 'none' ? 0 : typeof expect === 'number' ? expect + 1 : null;
      for (const [offset, { id, cause }] of drafts.entries()) {
        if (first !== null && first + offset <= last) places.push({ trajectory, seq: first + offset });
        if (cause !== null && cause <= last) places.push({ trajectory, seq: cause });
        if (id !== undefined) events.push({ trajectory, event: id });
      }
    }
    await this.#fetchPlaces(source, places);
    await this.#fetchEvents(source, events);
  }

  /** Runs `decide` on this picture, fetching what it turns out to ask for. `decide` must be pure. */
  async ask<T>(source: ViewSource, decide: (view: SequenceView) => T): Promise<T> {
    for (;;) {
      try {
        return decide(this.#sequenceView());
      } catch (error) {
        if (!(error instanceof NotFetched)) throw error;
        await this.#fetchPlaces(source, error.missing.places);
        await this.#fetchEvents(source, error.missing.events);
      }
    }
  }

  /** Remembers what was appended in this transaction. */
  adopt(stored: readonly Stored[], states: ReadonlyMap<TrajectoryId, TrajectoryState>, idOf: (trajectory: TrajectoryId) => bigint): void {
    for (const one of stored) {
      const { trajectory, seq, id } = one.entry;
      this.#entries.set(placeKey(trajectory, seq), one);
      if (id !== undefined) this.#events.set(placeKey(trajectory, id), seq);
    }
    for (const [trajectory, state] of states) {
      const known = this.#trajectories.get(trajectory);
      if (known === undefined || known === null) this.#trajectories.set(trajectory, { id: idOf(trajectory), state });
      else known.state = state;
    }
  }

  /** Takes over numbers that were given only after {@link View.adopt}. */
  renumber(rows: readonly TrajectoryRow[]): void {
    for (const { name, id } of rows) {
      const known = this.#trajectories.get(name);
      if (known !== undefined && known !== null) this.#trajectories.set(name, { id, state: known.state });
    }
  }

  /** Number and state of a trajectory that was fetched; null where it has not begun. */
  known(trajectory: TrajectoryId): { readonly id: bigint; readonly state: TrajectoryState } | null {
    return this.#trajectories.get(trajectory) ?? null;
  }

  /** An entry that sequencing has just asked for. */
  entry(trajectory: TrajectoryId, seq: number): Stored {
    const stored = this.#entries.get(placeKey(trajectory, seq));
    if (stored === undefined || stored === null) throw new Error('a repeat was found at a place where nothing stands');
    return stored;
  }

  #sequenceView(): SequenceView {
    return {
      ...this.#head,
      trajectory: (trajectory) => {
        const known = this.#trajectories.get(trajectory);
        if (known === undefined) throw new Error(`${trajectory} was not fetched`);
        return known?.state ?? null;
      },
      placed: (trajectory, seq) => this.#placed(trajectory, seq),
      byId: (trajectory, event) => {
        if (this.known(trajectory) === null) return null;
        const seq = this.#events.get(placeKey(trajectory, event));
        if (seq === undefined) throw new NotFetched({ places: [], events: [{ trajectory, event }] });
        return seq;
      },
    };
  }

  #placed(trajectory: TrajectoryId, seq: number): Placed | null {
    const known = this.known(trajectory);
    if (known === null || seq < 0 || seq > known.state.seq) return null;
    const stored = this.#entries.get(placeKey(trajectory, seq));
    if (stored === undefined) throw new NotFetched({ places: [{ trajectory, seq }], events: [] });
    return stored === null ? null : { kind: stored.entry.kind, at: stored.entry.at, payload: stored.payload };
  }

  async #fetchTrajectories(source: ViewSource, names: readonly TrajectoryId[]): Promise<void> {
    const wanted = [...new Set(names)].filter((name) => !this.#trajectories.has(name));
    for (const name of wanted) this.#trajectories.set(name, null);
    for (const row of await source.trajectories(wanted)) this.#trajectories.set(row.name, { id: row.id, state: stateOf(row) });
  }

  async #fetchPlaces(source: ViewSource, places: readonly { readonly trajectory: TrajectoryId; readonly seq: number }[]): Promise<void> {
    const wanted = places.filter(({ trajectory, seq }) => !this.#entries.has(placeKey(trajectory, seq)));
    for (const { trajectory, seq } of wanted) this.#entries.set(placeKey(trajectory, seq), null);
    const keys = wanted.flatMap(({ trajectory, seq }) => {
      const known = this.known(trajectory);
      return known === null ? [] : [{ trajectory: known.id, seq }];
    });
    for (const stored of await source.places(keys)) this.#entries.set(placeKey(stored.entry.trajectory, stored.entry.seq), stored);
  }

  async #fetchEvents(source: ViewSource, events: readonly { readonly trajectory: TrajectoryId; readonly event: EventId }[]): Promise<void> {
    const wanted = events.filter(({ trajectory, event }) => !this.#events.has(placeKey(trajectory, event)));
    for (const { trajectory, event } of wanted) this.#events.set(placeKey(trajectory, event), null);
    const names = new Map<bigint, TrajectoryId>();
    const keys = wanted.flatMap(({ trajectory, event }) => {
      const known = this.known(trajectory);
      if (known === null) return [];
      names.set(known.id, trajectory);
      return [{ trajectory: known.id, event }];
    });
    for (const { trajectory, event, seq } of await source.events(keys)) {
      const name = names.get(trajectory);
      if (name !== undefined) this.#events.set(placeKey(name, event), seq);
    }
  }
}

function placeKey(trajectory: TrajectoryId, place: number | EventId): string {
  return `${trajectory} ${place}`;
}

function stateOf({ seq, leaf, factAt, closed }: TrajectoryRow): TrajectoryState {
  return { seq, leaf, factAt, closed };
}
