/** Snapshots of a ledger in memory. Must never keep one of a run some of whose payloads were forgotten. PROTOCOL §3 "Snapshots". */
import { ok, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type KeptSnapshot,
  MAX_SNAPSHOT_BYTES,
  type SnapshotFailure,
  type SnapshotPlace,
  type SnapshotShelf,
  SNAPSHOTS_KEPT,
} from './snapshots.ts';

const CLOSED = { ok: false, error: { code: 'store.closed', message: 'this ledger was closed' } } as const;

/** The shelf of a ledger in memory. */
export class MemorySnapshots implements SnapshotShelf {
  readonly #isClosed: () => boolean;
  /** By run, the newest first. */
  readonly #kept = new Map<TrajectoryId, readonly KeptSnapshot[]>();
  readonly #forgotten = new Set<TrajectoryId>();

  constructor(isClosed: () => boolean) {
    this.#isClosed = isClosed;
  }

  /** Payloads of the run are gone: so are its snapshots, for ever. */
  forget(run: TrajectoryId): void {
    this.#forgotten.add(run);
    this.#kept.delete(run);
  }

  async keep(snapshot: KeptSnapshot): Promise<Result<void, SnapshotFailure>> {
    if (this.#isClosed()) return CLOSED;
    const { run, seq, bytes } = snapshot;
    if (this.#forgotten.has(run) || bytes.length > MAX_SNAPSHOT_BYTES) return ok(undefined);
    const older = (this.#kept.get(run) ?? []).filter((each) => each.seq < seq);
    this.#kept.set(run, [{ ...snapshot, bytes: bytes.slice() }, ...older].slice(0, SNAPSHOTS_KEPT));
    return ok(undefined);
  }

  async places(run?: TrajectoryId): Promise<Result<readonly SnapshotPlace[], SnapshotFailure>> {
    if (this.#isClosed()) return CLOSED;
    const runs = run === undefined ? [...this.#kept.keys()].sort() : [run];
    return ok(runs.flatMap((name) => (this.#kept.get(name) ?? []).map(({ seq }) => ({ run: name, seq }))));
  }

  async read({ run, seq }: SnapshotPlace): Promise<Result<KeptSnapshot | null, SnapshotFailure>> {
    if (this.#isClosed()) return CLOSED;
    return ok(this.#kept.get(run)?.find((each) => each.seq === seq) ?? null);
  }

  async drop(places: readonly SnapshotPlace[]): Promise<Result<void, SnapshotFailure>> {
    if (this.#isClosed()) return CLOSED;
    for (const { run, seq } of places) {
      const left = (this.#kept.get(run) ?? []).filter((each) => each.seq !== seq);
      if (left.length === 0) this.#kept.delete(run);
      else this.#kept.set(run, left);
    }
    return ok(undefined);
  }
}
