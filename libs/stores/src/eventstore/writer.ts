/**
 * The writing half of a store in EventStoreDB: group commit with the revision it expects. Must never send an entry whose payload is not durable, never
 * answer before the cluster has answered, and never write again after an append whose outcome is unknown. PROTOCOL §3.
 */
import { performance } from 'node:perf_hooks';
import { type Clock, err } from '@openexec/canon';
import type { AppendFailure, EntrySigner, PreparedBatch } from '@openexec/ledger';
import type { Refusal } from '../errors.ts';
import { type Answer, GroupCommit, type Request } from '../group.ts';
import type { KnownHead } from '../headKeeper.ts';
import { type Growth, Standing } from '../standing.ts';
import { isCut } from '../postgres/connect.ts';
import type { ViewSource } from '../view.ts';
import type { Companion } from './companion.ts';
import { appendRefusal, companionRefusal, isOutcome, kindOf, wasNotSent } from './failures.ts';
import { storePayloads } from './payloads.ts';
import type { EntryStream } from './stream.ts';
import type { TrajectoryIndex } from './trajectories.ts';

/** How often others may be faster before an append says busy. */
const MAX_CONFLICTS = 100;
/** A cluster that has just lost its leader takes a moment to have one. */
const MAX_UNSENT = 5;
const UNSENT_WAIT_MS = 100;
/** Payloads that have waited longer than this are stored again before their entries are sent: a sweep takes what nothing names for a day. */
const MAX_PAYLOAD_WAIT_MS = 60_000;
/** How long the stream's settings are believed. */
const SETTINGS_MS = 10_000;

/** What is asked of the ledger as it stands where a batch is going to stand, before it is sent. */
export interface Check {
  refusal(): Promise<(AppendFailure & { readonly code: 'batch.invalid' }) | null>;
}

/** What a writer works with. */
export interface EventStoreWriterOptions {
  readonly db: Companion;
  readonly stream: EntryStream;
  readonly index: TrajectoryIndex;
  readonly source: ViewSource;
  readonly instance: string;
  readonly signer: EntrySigner | undefined;
  readonly clock: Clock;
  /** Told of each numbered window as it is passed; for tests. */
  readonly onWindow: (window: number) => void;
  /** Called after every durable append, with the head that it made. */
  readonly onCommit: (head: KnownHead) => void;
}

/** One handle's writer: one append at a time, each taking what arrived while the one before ran. */
export class EventStoreWriter {
  readonly #options: EventStoreWriterOptions;
  readonly #group = new GroupCommit<Check>((group) => this.#commit(group));
  readonly #standing: Standing;
  #settingsSeen = Number.NEGATIVE_INFINITY;

  constructor(options: EventStoreWriterOptions) {
    this.#options = options;
    const { signer, instance } = options;
    this.#standing = new Standing(signer === undefined ? { instance } : { instance, signer });
  }

  /** Queues a batch. */
  append(batch: PreparedBatch, check?: Check): Promise<Answer> {
    return this.#group.append(batch, check);
  }

  /** Answers everything that is queued; then nothing more is taken. */
  finish(): Promise<void> {
    return this.#group.finish();
  }

  /** One append to the stream, tried until it is decided. A refused one in the group costs the others nothing. */
  async #commit(group: readonly Request<Check>[]): Promise<readonly Answer[]> {
    // What is checked has to hold where the batch is going to stand.
    let isFresh = group.some(({ within }) => within !== undefined);
    let unsent = 0;
    for (let tries = 0; tries < MAX_CONFLICTS; tries++) {
      try {
        await this.#refresh(isFresh);
        const { answers, growth } = await this.#placeAll(group);
        // A refusal or a repeat is final only where nobody has appended since.
        if (!isFresh && answers.some((answer) => !answer.ok || answer.value.outcome === 'duplicate')) isFresh = true;
        else if (growth.stored.length === 0 || (await this.#send(growth)) === 'appended') {
          // What this handle remembers of payloads is void after a forgetting.
          if (group.some(({ within }) => within !== undefined)) this.#standing.forget();
          return answers;
        } else isFresh = true;
        // What was placed in memory has not been stored.
        this.#standing.forget();
      } catch (error) {
        this.#standing.forget();
        const cause = error instanceof SendFailed ? error.reason : error;
        if (!isOutcome(cause)) throw cause;
        isFresh = true;
        // Nothing has reached the stream: the companion's connection was cut, or no node took the append.
        const wasKept = error instanceof SendFailed ? wasNotSent(cause) : isCut(cause);
        if (wasKept && ++unsent < MAX_UNSENT) {
          await new Promise((resolve) => setTimeout(resolve, UNSENT_WAIT_MS * unsent));
          continue;
        }
        if (error instanceof SendFailed && kindOf(cause) === 'maximum-append-size-exceeded' && group.length > 1)
          return this.#oneByOne(group);
        return this.#refuse(group, error instanceof SendFailed ? appendRefusal(cause) : companionRefusal(cause));
      }
    }
    return this.#refuse(group, { code: 'store.busy', message: 'others appended all the time; nothing was stored, try again' });
  }

  /** Together they were too much for one append. */
  async #oneByOne(group: readonly Request<Check>[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (const request of group) {
      const { stopped } = this.#group;
      answers.push(...(stopped === null ? await this.#commit([request]) : [err(stopped)]));
    }
    return answers;
  }

  #refuse(group: readonly Request<Check>[], refusal: Refusal): readonly Answer[] {
    if (refusal.code === 'store.unknownOutcome' || refusal.code === 'store.corrupt') this.#group.stop(refusal);
    return group.map(() => err(refusal));
  }

  /** Takes up what others appended since this handle's last append; with `isFresh` by a look at the stream, else as far as the index knows. */
  async #refresh(isFresh: boolean): Promise<void> {
    await this.#checkSettings();
    if (!isFresh && this.#standing.size >= 0) return;
    this.#standing.takeUp(await this.#options.index.catchUp());
  }

  async #checkSettings(): Promise<void> {
    const now = performance.now();
    if (now - this.#settingsSeen < SETTINGS_MS) return;
    const why = await this.#options.stream.forgets();
    if (why !== null) throw new Forgetful(why);
    this.#settingsSeen = now;
  }

  async #placeAll(group: readonly Request<Check>[]): Promise<{ readonly answers: readonly Answer[]; readonly growth: Growth }> {
    const { source } = this.#options;
    const answers: Answer[] = [];
    const growth = await this.#standing.begin(
      source,
      group.map(({ batch }) => batch),
    );
    // Numbers of new trajectories are given by the index; until it has them nothing of theirs is asked for by number.
    for (const { batch, within } of group) {
      const refused = (await within?.refusal()) ?? null;
      answers.push(refused === null ? await this.#standing.place(source, batch, growth, () => 0n) : err(refused));
    }
    return { answers, growth };
  }

  async #send(growth: Growth): Promise<'appended' | 'conflict'> {
    const { db, stream, clock, onWindow } = this.#options;
    const since = performance.now();
    // Window 1: a death before this transaction is durable leaves nothing.
    onWindow(1);
    await storePayloads(db, growth.stored, [...growth.blobs.values()], clock.now());
    // Window 2: a death from here on leaves payloads that no entry names; the sweep takes them after a day.
    onWindow(2);
    if (performance.now() - since > MAX_PAYLOAD_WAIT_MS) return 'conflict';
    let done: 'appended' | 'conflict';
    try {
      done = await stream.append(growth.stored, this.#standing.size - growth.stored.length);
    } catch (error) {
      // Window 3: sent and not answered. All of it is stored or nothing; only who reads the stream again can say which.
      throw new SendFailed(error);
    }
    // Window 4: a death from here on loses no entry, only the answer: a repeat is answered as duplicate.
    onWindow(4);
    if (done === 'appended') await this.#committed(growth);
    return done;
  }

  async #committed({ stored }: Growth): Promise<void> {
    const head = this.#standing.known();
    try {
      // Window 5: a death before the index has it leaves the index behind; whoever reads next catches up.
      this.#options.onWindow(5);
      await this.#options.index.adopt(stored);
      this.#standing.view.renumber(await this.#options.source.trajectories([...new Set(stored.map(({ entry }) => entry.trajectory))]));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      // The append is durable and is answered so; the next one begins by catching up.
      this.#standing.forget();
    }
    this.#options.onCommit(head);
  }
}

/** An error of the append to the stream, apart from those of everything that goes before. */
class SendFailed extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super('the append to the stream failed');
    this.reason = reason;
  }
}

/** Somebody has told the stream to forget. */
class Forgetful extends Error {
  readonly code = 'store.corrupt';
  constructor(why: string) {
    super(`the stream's metadata would make it forget entries: ${why}; take it away before anything more is recorded`);
  }
}
