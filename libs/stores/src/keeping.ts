/**
 * The steps that every keeper takes in the same order: who may, what a forgetting takes with it, how a copy or an examination that fails is answered.
 * Must never decide by itself what is stored how. PROTOCOL §3.
 */
import { err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  batchOfWish,
  type CopyFailure,
  CopyFault,
  decodeEntry,
  type Entry,
  type ForgetFailure,
  forgetFault,
  type Forgetting,
  type Forgotten,
  type Place,
  placeKey,
  prepare,
  type PreparedBatch,
  type Release,
} from '@openexec/ledger';
import { CLOSED, READ_ONLY, type Refusal } from './errors.ts';
import type { Answer } from './group.ts';
import type { Later } from './reading.ts';

/** What every keeper knows of its handle. */
export interface KeeperHandle {
  readonly salts: Randomness;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
}

/** Why the handle cannot be used for this now; null where it can. */
export function hindrance({ readOnly, isClosed }: Pick<KeeperHandle, 'readOnly' | 'isClosed'>, writes: boolean): Refusal | null {
  if (isClosed()) return CLOSED;
  return writes && readOnly ? READ_ONLY : null;
}

/** The writer's answer where the check of a forgetting refused; the keeper gives its own reason instead. */
export const REFUSED = { code: 'batch.invalid', message: 'what was to be forgotten may not be' } as const;

/** What one forgetting takes, gathered under the write lock; `K` says which row. */
export class Going<K> {
  readonly #before: Parameters<typeof forgetFault>[2];
  readonly rows = new Map<string, K>();
  readonly #runs = new Set<TrajectoryId>();
  refused: ForgetFailure | null = null;
  /** Blobs that nothing names any more; set by whoever drops them. */
  blobs = 0;

  constructor(wish: Forgetting) {
    this.#before = wish.kind === 'prune' ? wish.before : null;
  }

  get payloads(): number {
    return this.rows.size;
  }

  /** Trajectories that lose a payload. */
  get runs(): ReadonlySet<TrajectoryId> {
    return this.#runs;
  }

  /** Begins again: the transaction is a new one. */
  begin(): void {
    this.rows.clear();
    this.#runs.clear();
    this.refused = null;
  }

  /** Looks at one place; false where it may not be forgotten, and nothing at all is. What is gone already is passed over. */
  take(place: Place, found: { readonly entry: Entry; readonly closed: boolean; readonly row: K | null } | null): boolean {
    this.refused = forgetFault(place, found, this.#before);
    if (this.refused !== null) return false;
    if (found !== null && found.row !== null) {
      this.rows.set(placeKey(place.trajectory, place.seq), found.row);
      this.#runs.add(place.trajectory);
    }
    return true;
  }

  /** After the last place: what the writer is told. */
  verdict(): typeof REFUSED | null {
    if (this.refused === null && this.payloads === 0) this.refused = { code: 'forget.nothing', message: 'none of these payloads is there' };
    return this.refused === null ? null : REFUSED;
  }
}

/** A forgetting from the wish to the answer; `append` makes it durable, `settled` says afterwards whether old bytes are out of all files. */
export async function forgetBy<K>(
  wish: Forgetting,
  handle: KeeperHandle,
  steps: { readonly going: Going<K>; append(batch: PreparedBatch): Promise<Answer>; settled(): Later<boolean> },
): Promise<Result<Forgotten, ForgetFailure>> {
  const { going, append, settled } = steps;
  const hindered = hindrance(handle, true);
  if (hindered !== null) return err(hindered);
  const batch = batchOfWish(wish);
  if (batch.to[0]?.drafts.length === 0) return err({ code: 'forget.nothing', message: 'nothing was named' });
  const prepared = prepare(batch, handle.salts);
  if (!prepared.ok) return prepared;
  const appended = await append(prepared.value);
  if (!appended.ok) return err(going.refused ?? appended.error);
  const { payloads } = going;
  const isSettled = await settled();
  return ok({ stored: appended.value.stored, payloads, blobs: going.blobs, lingering: !isSettled });
}

/** One row of the reading that finds what else names a blob. */
export function noteIn(release: Release, entry: Uint8Array, payload: Uint8Array | null): void {
  const decoded = decodeEntry(new Uint8Array(entry));
  if (decoded.ok) release.take(decoded.value, payload === null ? null : new Uint8Array(payload));
}

/** The answer to a copy into a store that has entries. */
export const NOT_EMPTY = { code: 'copy.notEmpty', message: 'this ledger has entries already; copy into a new one' } as const;

/** What ended a copy; undefined for a bug. `refusalOf` translates the driver's errors. */
export function copyFailure(error: unknown, refusalOf: (error: unknown) => Refusal | undefined): CopyFailure | undefined {
  return error instanceof CopyFault ? { code: error.code, message: error.message } : refusalOf(error);
}
