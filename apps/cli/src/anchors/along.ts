/**
 * What a driven run owes the world outside while it works and when it closes: a signed tree head at most every second while entries come, and the
 * configured anchors asked by time and at the close. Must never make a run fail or wait without end: what was not taken is said, and asked again at
 * the next close or by `openexec ledger anchor` (PROTOCOL §3 "Checkpoint").
 */
import { instantToMs, ok, type Result } from '@openexec/canon';
import type { LedgerFault } from '@openexec/ledger';
import type { OpenLedger, Project, Surroundings } from '../context.ts';
import type { Refusal } from '../exit.ts';
import { tendTiles } from '../ledger/tiles.ts';
import { readAttempts } from './attempts.ts';
import { type AnchorPlace, type AnchorPlaces, openPlaces } from './places.ts';
import { type Shown, showTo } from './submit.ts';

/** Tree heads come no closer together than this while a run is busy. */
const CHECKPOINT_MS = 1000;

/** How the anchors came out at the end of a drive. */
export interface AnchorsTold {
  /** Those that were asked when the run closed. */
  readonly shown: readonly Shown[];
  /** What went wrong beside single anchors: a tree head or a fact could not be written. */
  readonly problem: string | null;
}

/** The places that are to be asked: by time once it has come, and again whatever did not take the last one. */
export function dueOf(places: readonly AnchorPlace[], stateFolder: string, nowMs: number): readonly AnchorPlace[] {
  const attempts = readAttempts(stateFolder);
  return places.filter(({ anchor, when }) => {
    const last = attempts.get(anchor.name);
    if (last === undefined || last.problem !== null) return when.at !== 'demand';
    return when.at === 'every' && nowMs - last.askedMs >= when.everyMs;
  });
}

/** Goes along with one drive. Belongs to it alone. */
export class Along {
  readonly #context: Pick<Surroundings, 'clock'>;
  readonly #ledger: OpenLedger;
  readonly #places: AnchorPlaces;
  #timer: NodeJS.Timeout | null = null;
  /** The work of the last beat; the next one begins after it. */
  #work: Promise<void> | null = null;
  #again = false;
  #ended = false;
  #lastMs = performance.now();
  #problem: string | null = null;

  constructor(context: Pick<Surroundings, 'clock'>, ledger: OpenLedger, places: AnchorPlaces) {
    this.#context = context;
    this.#ledger = ledger;
    this.#places = places;
  }

  /** Told of every commit of the run; returns at once. */
  committed(): void {
    if (this.#ended) return;
    if (this.#work !== null) this.#again = true;
    else this.#timer ??= this.#arm();
  }

  #arm(): NodeJS.Timeout {
    const timer = setTimeout(() => this.#beat(), Math.max(0, this.#lastMs + CHECKPOINT_MS - performance.now()));
    // A run that has ended does not wait for its next tree head.
    timer.unref();
    return timer;
  }

  #beat(): void {
    this.#timer = null;
    this.#lastMs = performance.now();
    this.#work = this.#checkpoint().finally(() => {
      this.#work = null;
      if (this.#again) this.committed();
      this.#again = false;
    });
  }

  async #checkpoint(): Promise<void> {
    await this.#guarded(async () => {
      await this.#tiles();
      const byTime = this.#places.places.filter(({ when }) => when.at === 'every');
      // While the run is busy, what failed waits its time too: otherwise it would be asked every second.
      const due = byTime.filter(({ anchor, when }) => {
        const last = readAttempts(this.#ledger.stateFolder).get(anchor.name);
        return when.at === 'every' && (last === undefined || this.#nowMs() - last.askedMs >= when.everyMs);
      });
      if (due.length > 0) await this.#show(due);
    });
  }

  /** Ends it. `closedAt` is the tree size from which on the run is closed; null where it is not: then nobody is asked. */
  async finish(closedAt: bigint | null): Promise<AnchorsTold> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    // Bounded by the deadlines of the anchors that were asked.
    await this.#work;
    if (closedAt === null) return { shown: [], problem: this.#problem };
    await this.#guarded(() => this.#tiles());
    const { places } = this.#places;
    const attempts = readAttempts(this.#ledger.stateFolder);
    const due = dueOf(places, this.#ledger.stateFolder, this.#nowMs());
    const behind = places.filter(({ anchor, when }) => when.at === 'close' && (attempts.get(anchor.name)?.taken ?? 0n) < closedAt);
    const wanted = places.filter((place) => due.includes(place) || behind.includes(place));
    let shown: readonly Shown[] = [];
    if (wanted.length > 0)
      await this.#guarded(async () => {
        shown = await this.#show(wanted);
      });
    return { shown, problem: this.#problem };
  }

  /** A tree head of what is there now, and the folder of tiles that leads to it. */
  async #tiles(): Promise<void> {
    const { store } = this.#ledger;
    const made = await store.checkpoint();
    if (!made.ok) this.#problem = made.error.message;
    else if (this.#places.tiles !== null) {
      const kept = await tendTiles(store, this.#places.tiles, made.value);
      if (!kept.ok) this.#problem = `tiles: ${kept.error.message}`;
    }
  }

  async #show(places: readonly AnchorPlace[]): Promise<readonly Shown[]> {
    const showing = await showTo(places, this.#context, this.#ledger);
    if (showing.ok) return showing.value.shown;
    this.#problem = showing.error.message;
    return [];
  }

  /** A ledger that cannot be read or is closed is told; any other throw is a defect and stays one. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code, message } = error as Partial<LedgerFault>;
      if (code !== 'store.corrupt' && code !== 'store.unreachable' && code !== 'store.closed') throw error;
      this.#problem = message ?? code;
    }
  }

  #nowMs(): number {
    return instantToMs(this.#context.clock.now());
  }
}

/** What goes along with a drive on this ledger; refuses a configuration that cannot be used, before anything is done. */
export function alongFor(
  context: Pick<Surroundings, 'clock' | 'randomness' | 'places'>,
  project: Project,
  ledger: OpenLedger,
): Result<Along, Refusal> {
  const places = openPlaces(context, { fingerprint: ledger.fingerprint, project });
  return places.ok ? ok(new Along(context, ledger, places.value)) : places;
}
