/**
 * The writing half of a store in EventStoreDB: group commit with the revision it expects. Must never send an entry whose payload is not durable, never
 * answer before the cluster has answered, and never write again after an append whose outcome is unknown. PROTOCOL §3.
 */
import { performance } from 'node:perf_hooks';
import { type Clock, err, ok, type Result } from '@openexec/canon';
import {
  type AppendFailure,
  type Appended,
  type Blob,
  type EntrySigner,
  type Head,
  type PreparedBatch,
  type Sequenced,
  sequence,
  type Stored,
  type StoreRefusalCode,
} from '@openexec/ledger';
import { Frontier, rootOf } from '../tree.ts';
import { View, type ViewSource } from '../view.ts';
import type { HeadRow } from '../writer.ts';
import type { Companion } from './companion.ts';
import { appendRefusal, companionRefusal, isOutcome, kindOf, wasNotSent } from './failures.ts';
import { storePayloads } from './payloads.ts';
import type { EntryStream } from './stream.ts';
import type { TrajectoryIndex } from './trajectories.ts';

/** PROTOCOL §3: what one commit takes at most. */
const MAX_GROUP_ENTRIES = 256;
/** How often others may be faster before an append says busy. */
const MAX_CONFLICTS = 100;
/** A cluster that has just lost its leader takes a moment to have one. */
const MAX_UNSENT = 5;
const UNSENT_WAIT_MS = 100;
/** Payloads that have waited longer than this are stored again before their entries are sent: a sweep takes what nothing names for a day. */
const MAX_PAYLOAD_WAIT_MS = 60_000;
/** How long the stream's settings are believed. */
const SETTINGS_MS = 10_000;

interface Request {
  readonly batch: PreparedBatch;
  readonly resolve: (result: Answer) => void;
  readonly reject: (error: unknown) => void;
}
type Answer = Result<Appended, AppendFailure>;
type Stop = { readonly code: StoreRefusalCode; readonly message: string };

/** What one append to the stream is going to add. */
interface Growth {
  readonly stored: Stored[];
  readonly blobs: Map<string, Blob>;
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
  /** Called after every durable append, with the head that it made. */
  readonly onCommit: (head: Pick<Head, 'size' | 'root' | 'fingerprint'>) => void;
}

/** One handle's writer: one append at a time, each taking what arrived while the one before ran. */
export class EventStoreWriter {
  readonly #options: EventStoreWriterOptions;
  readonly #view = new View();
  #queue: Request[] = [];
  #running: Promise<void> | null = null;
  /** What this handle believes the stream to be; -1 where it has to be read. */
  #size = -1;
  #frontier = new Frontier(0, new Uint8Array(0));
  #fingerprint: HeadRow['fingerprint'] = null;
  #successor: string | null = null;
  #settingsSeen = Number.NEGATIVE_INFINITY;
  #stopped: Stop | null = null;

  constructor(options: EventStoreWriterOptions) {
    this.#options = options;
  }

  /** Queues a batch. */
  append(batch: PreparedBatch): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Answers everything that is queued; then nothing more is taken. */
  async finish(): Promise<void> {
    await this.#running;
    this.#stopped ??= { code: 'store.closed', message: 'this handle was closed' };
  }

  async #run(): Promise<void> {
    // What is asked in the same turn of the event loop shares one append.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        const answers = this.#stopped === null ? await this.#commit(group) : group.map((): Answer => err(this.#stopped ?? STOPPED));
        for (const [at, request] of group.entries()) request.resolve(answers[at] ?? err(STOPPED));
      } catch (error) {
        // Not an outcome: a broken invariant. It is shown to whoever asked, and nothing more is written.
        this.#stopped = STOPPED;
        for (const request of group) request.reject(error);
      }
    }
    this.#running = null;
  }

  #takeGroup(): Request[] {
    let entries = 0;
    let count = 0;
    for (const { batch } of this.#queue) {
      if (count > 0 && entries + batch.count > MAX_GROUP_ENTRIES) break;
      entries += batch.count;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** One append to the stream, tried until it is decided. A refused one in the group costs the others nothing. */
  async #commit(group: readonly Request[]): Promise<readonly Answer[]> {
    let isFresh = false;
    let unsent = 0;
    for (let tries = 0; tries < MAX_CONFLICTS; tries++) {
      try {
        await this.#refresh(isFresh);
        const { answers, growth } = await this.#placeAll(group);
        // A refusal or a repeat is final only where nobody has appended since.
        if (!isFresh && answers.some((answer) => !answer.ok || answer.value.outcome === 'duplicate')) isFresh = true;
        else if (growth.stored.length === 0 || (await this.#send(growth)) === 'appended') return answers;
        else isFresh = true;
        // What was placed in memory has not been stored.
        this.#size = -1;
      } catch (error) {
        this.#size = -1;
        const cause = error instanceof SendFailed ? error.reason : error;
        if (!isOutcome(cause)) throw cause;
        isFresh = true;
        if (error instanceof SendFailed && wasNotSent(cause) && ++unsent < MAX_UNSENT) {
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
  async #oneByOne(group: readonly Request[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (const request of group) answers.push(...(this.#stopped === null ? await this.#commit([request]) : [err(this.#stopped)]));
    return answers;
  }

  #refuse(group: readonly Request[], refusal: Stop): readonly Answer[] {
    if (refusal.code === 'store.unknownOutcome' || refusal.code === 'store.corrupt')
      this.#stopped = { code: 'store.stopped', message: `this handle stopped writing: ${refusal.message}` };
    return group.map(() => err(refusal));
  }

  /** Takes up what others appended since this handle's last append; with `isFresh` by a look at the stream, else as far as the index knows. */
  async #refresh(isFresh: boolean): Promise<void> {
    await this.#checkSettings();
    if (!isFresh && this.#size >= 0) return;
    const { index } = this.#options;
    const head = await index.catchUp();
    this.#view.clear();
    this.#frontier = new Frontier(head.size, head.frontier);
    this.#size = head.size;
    this.#fingerprint = head.fingerprint;
    this.#successor = head.successor;
  }

  async #checkSettings(): Promise<void> {
    const now = performance.now();
    if (now - this.#settingsSeen < SETTINGS_MS) return;
    const why = await this.#options.stream.forgets();
    if (why !== null) throw new Forgetful(why);
    this.#settingsSeen = now;
  }

  async #placeAll(group: readonly Request[]): Promise<{ readonly answers: readonly Answer[]; readonly growth: Growth }> {
    const growth: Growth = { stored: [], blobs: new Map() };
    const answers: Answer[] = [];
    this.#view.begin();
    this.#view.stand(this.#headFields());
    await this.#view.fetch(
      this.#options.source,
      group.map(({ batch }) => batch),
    );
    for (const { batch } of group) answers.push(await this.#place(batch, growth));
    return { answers, growth };
  }

  #headFields(): { readonly size: bigint; readonly fingerprint: HeadRow['fingerprint']; readonly successor: string | null } {
    return { size: BigInt(this.#size), fingerprint: this.#fingerprint, successor: this.#successor };
  }

  async #place(batch: PreparedBatch, growth: Growth): Promise<Answer> {
    const { signer, instance, source } = this.#options;
    const context = signer === undefined ? { instance } : { instance, signer };
    const placed = await this.#view.ask(source, (view) => sequence(view, batch, context));
    if (!placed.ok) return placed;
    if (placed.value.outcome === 'duplicate') {
      const stored = placed.value.places.flatMap(({ trajectory, first, count }) =>
        Array.from({ length: count }, (_, offset) => this.#view.entry(trajectory, first + offset)),
      );
      return ok({ outcome: 'duplicate', stored, size: BigInt(this.#size) });
    }
    this.#grow(placed.value, batch.blobs, growth);
    return ok({ outcome: 'appended', stored: placed.value.stored, size: BigInt(this.#size) });
  }

  #grow(batch: Sequenced & { readonly outcome: 'appended' }, blobs: readonly Blob[], growth: Growth): void {
    growth.stored.push(...batch.stored);
    for (const leaf of batch.leaves) this.#frontier.append(leaf, () => undefined);
    for (const blob of blobs) growth.blobs.set(blob.digest, blob);
    // Numbers of new trajectories are given by the index; until it has them nothing of theirs is asked for by number.
    this.#view.adopt(batch.stored, batch.states, () => 0n);
    this.#size += batch.stored.length;
    this.#fingerprint = batch.fingerprint;
    this.#successor = batch.successor;
    this.#view.stand(this.#headFields());
  }

  async #send(growth: Growth): Promise<'appended' | 'conflict'> {
    const { db, stream, clock } = this.#options;
    const since = performance.now();
    // Window 1: a death before this transaction is durable leaves nothing.
    await storePayloads(db, growth.stored, [...growth.blobs.values()], clock.now());
    // Window 2: a death from here on leaves payloads that no entry names; the sweep takes them after a day.
    if (performance.now() - since > MAX_PAYLOAD_WAIT_MS) return 'conflict';
    let done: 'appended' | 'conflict';
    try {
      done = await stream.append(growth.stored, this.#size - growth.stored.length);
    } catch (error) {
      // Window 3: sent and not answered. All of it is stored or nothing; only who reads the stream again can say which.
      throw new SendFailed(error);
    }
    // Window 4: a death from here on loses no entry, only the answer: a repeat is answered as duplicate.
    if (done === 'appended') await this.#committed(growth);
    return done;
  }

  async #committed({ stored }: Growth): Promise<void> {
    const head = { size: BigInt(this.#size), root: rootOf(this.#size, this.#frontier.stored()), fingerprint: this.#fingerprint };
    try {
      // Window 5: a death before the index has it leaves the index behind; whoever reads next catches up.
      await this.#options.index.adopt(stored);
      this.#view.renumber(await this.#options.source.trajectories([...new Set(stored.map(({ entry }) => entry.trajectory))]));
    } catch (error) {
      if (!isOutcome(error)) throw error;
      // The append is durable and is answered so; the next one begins by catching up.
      this.#size = -1;
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

const STOPPED: Stop = { code: 'store.stopped', message: 'an internal check failed' };
