/**
 * The keeper of a ledger in EventStoreDB. An entry that says what is forgotten goes into the stream first; only then is it taken out of the companion,
 * and the next opening for writing finishes what was cut off. Must never touch an entry. PROTOCOL §3; windows 10 to 15.
 */
import { type Clock, type Digest, err, ok, type Randomness, type Result, type TrajectoryId } from '@openexec/canon';
import {
  type BlobEntry,
  type CopyFailure,
  type Examination,
  type ForgetFailure,
  type Forgetting,
  type Forgotten,
  type LedgerCopy,
  type LedgerKeeper,
  type Place,
  placeKey,
  placesOfWish,
} from '@openexec/ledger';
import type { Refusal } from '../errors.ts';
import { forgetBy, Going, hindrance, type REFUSED } from '../keeping.ts';
import type { TrajectoryRow, ViewSource } from '../view.ts';
import type { OpenedCompanion } from './companion.ts';
import { copyInto } from './copyIn.ts';
import { EventStoreExamination } from './examine.ts';
import { companionRefusal, isOutcome } from './failures.ts';
import { settle } from './settle.ts';
import type { EntryStream } from './stream.ts';
import type { TrajectoryIndex } from './trajectories.ts';
import type { Check, EventStoreWriter } from './writer.ts';

const PAGE = 1000;

/** What the keeper of one handle works with. */
export interface EventStoreKeeperOptions {
  readonly companion: OpenedCompanion;
  readonly stream: EntryStream;
  readonly index: TrajectoryIndex;
  readonly source: ViewSource;
  readonly writer: EventStoreWriter;
  readonly clock: Clock;
  readonly salts: Randomness;
  readonly readOnly: boolean;
  readonly isClosed: () => boolean;
  readonly onWindow: (window: number) => void;
}

/** See {@link LedgerKeeper}. */
export class EventStoreKeeper implements LedgerKeeper {
  readonly #options: EventStoreKeeperOptions;

  constructor(options: EventStoreKeeperOptions) {
    this.#options = options;
  }

  async instance(): Promise<string> {
    return this.#options.companion.instance;
  }

  async successor(): Promise<string | null> {
    return (await this.#options.index.catchUp()).successor;
  }

  async *blobs(): AsyncGenerator<BlobEntry> {
    for (let after = ''; ; ) {
      const page = await this.#options.companion.db
        .selectFrom('blobs')
        .selectAll()
        .where('digest', '>', after)
        .orderBy('digest')
        .limit(PAGE)
        .execute();
      // Only digests are written there.
      for (const { digest, length } of page) yield { digest: digest as Digest, bytes: Number(length) < 0 ? null : Number(length) };
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.digest;
    }
  }

  async forget(wish: Forgetting): Promise<Result<Forgotten, ForgetFailure>> {
    const { writer, source } = this.#options;
    const check = new ForgetCheck(wish, source, this.#options.onWindow);
    return forgetBy(wish, this.#options, {
      going: check.going,
      append: (batch) => writer.append(batch, check),
      settled: () => this.#settled(check.going),
    });
  }

  /** It is in the ledger and cannot be taken back; what cannot be taken away now goes when the ledger is next opened for writing. */
  async #settled(going: Going<true>): Promise<boolean> {
    // Window 11: a death from here on has forgotten: the ledger says so, nobody is shown it any more, and the next opening takes it away.
    this.#options.onWindow(11);
    try {
      await this.#options.index.catchUp();
      const { blobs, lingering } = await settle(this.#options);
      going.blobs = blobs;
      return !lingering;
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return false;
    }
  }

  async copyIn(copy: LedgerCopy): Promise<Result<{ readonly blobs: number }, CopyFailure>> {
    const hindered = hindrance(this.#options, true);
    return hindered === null ? copyInto(this.#options, copy) : err(hindered);
  }

  async examine(options: { readonly repair: boolean }): Promise<Result<Examination, Refusal>> {
    const hindered = hindrance(this.#options, options.repair);
    if (hindered !== null) return err(hindered);
    try {
      await this.#options.index.catchUp();
      return ok(await EventStoreExamination.of(this.#options, options.repair));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return err(companionRefusal(error));
    }
  }
}

/** Whether everything named may go, asked of the ledger as it stands where the entry that says so is going to stand. */
class ForgetCheck implements Check {
  readonly #source: ViewSource;
  readonly #wish: Forgetting;
  readonly #onWindow: (window: number) => void;
  readonly going: Going<true>;

  constructor(wish: Forgetting, source: ViewSource, onWindow: (window: number) => void) {
    this.#source = source;
    this.#wish = wish;
    this.#onWindow = onWindow;
    this.going = new Going(wish);
  }

  async refusal(): Promise<typeof REFUSED | null> {
    this.going.begin();
    const places = placesOfWish(this.#wish);
    const names = [...new Set(places.map(({ trajectory }) => trajectory))];
    const heads = new Map((await this.#source.trajectories(names)).map((row) => [row.name, row]));
    for (let from = 0; from < places.length; from += PAGE) if (!(await this.#takePage(places.slice(from, from + PAGE), heads))) break;
    // Window 10: a death from here until the entry is in the stream has forgotten nothing.
    this.#onWindow(10);
    return this.going.verdict();
  }

  async #takePage(places: readonly Place[], heads: ReadonlyMap<TrajectoryId, TrajectoryRow>): Promise<boolean> {
    const keys = places.flatMap(({ trajectory, seq }) => {
      const head = heads.get(trajectory);
      return head === undefined ? [] : [{ trajectory: head.id, seq }];
    });
    const stored = new Map((await this.#source.places(keys)).map((row) => [placeKey(row.entry.trajectory, row.entry.seq), row]));
    return places.every((place) => {
      const row = stored.get(placeKey(place.trajectory, place.seq));
      const closed = heads.get(place.trajectory)?.closed === true;
      return this.going.take(place, row === undefined ? null : { entry: row.entry, closed, row: row.payload === null ? null : true });
    });
  }
}
