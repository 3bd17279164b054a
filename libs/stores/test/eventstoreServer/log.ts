/**
 * What a node of EventStoreDB keeps, in memory: one log of events, streams over it, metadata that hides events, tombstones. The rules of its appends
 * and readings, without the protocol. Facts from the published protocol definitions and documentation of the server.
 */

/** An event before it has a place. */
export interface Proposed {
  readonly id: string;
  readonly metadata: readonly (readonly [string, string])[];
  readonly custom: Uint8Array;
  readonly data: Uint8Array;
}
/** An event in the log. */
export interface Recorded extends Proposed {
  readonly stream: string;
  readonly revision: number;
  /** Commit and prepare position alike. */
  readonly position: number;
  readonly createdMs: number;
}
export type ExpectedRevision = number | 'no_stream' | 'any' | 'stream_exists';
/** What an append came to. `current` is null where the stream does not exist. */
export type Outcome =
  | { readonly kind: 'appended'; readonly revision: number; readonly position: number }
  | { readonly kind: 'wrongExpectedVersion'; readonly current: number | null }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'tooLarge' };

interface Settings {
  readonly $maxCount?: number;
  readonly $maxAge?: number;
  readonly $tb?: number;
}

/** One node's data. */
export class Log {
  readonly events: Recorded[] = [];
  readonly #streams = new Map<string, Recorded[]>();
  readonly #tombstones = new Set<string>();
  readonly #watchers = new Set<() => void>();
  #position = 0;
  /** Bytes of one append; the server's own default. */
  maxAppendBytes = 1024 * 1024;

  onAppend(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => void this.#watchers.delete(changed);
  }

  isTombstoned(stream: string): boolean {
    return this.#tombstones.has(stream);
  }

  /** All or nothing; the same events appended again at the same place are answered as they were the first time. */
  append(stream: string, expected: ExpectedRevision, proposed: readonly Proposed[]): Outcome {
    if (this.#tombstones.has(stream)) return { kind: 'deleted' };
    if (proposed.reduce((sum, { data, custom }) => sum + data.length + custom.length, 0) > this.maxAppendBytes) return { kind: 'tooLarge' };
    const events = this.#streams.get(stream) ?? [];
    const last = events.length - 1;
    const repeat = this.#repeatOf(events, expected, proposed);
    if (repeat !== undefined) return repeat;
    const fits = expected === 'any' || (expected === 'no_stream' ? last < 0 : expected === 'stream_exists' ? last >= 0 : expected === last);
    if (!fits) return { kind: 'wrongExpectedVersion', current: last < 0 ? null : last };
    this.#streams.set(stream, events);
    for (const one of proposed) {
      // Positions are places in a file: they grow by what is written, never by one.
      this.#position += 100 + one.data.length + one.custom.length;
      const recorded = { ...one, stream, revision: events.length, position: this.#position, createdMs: Date.now() };
      events.push(recorded);
      this.events.push(recorded);
    }
    for (const changed of Array.from(this.#watchers)) changed();
    return { kind: 'appended', revision: events.length - 1, position: this.#position };
  }

  #repeatOf(events: readonly Recorded[], expected: ExpectedRevision, proposed: readonly Proposed[]): Outcome | undefined {
    const [first] = proposed;
    if (first === undefined || expected === 'stream_exists') return undefined;
    const at = expected === 'any' ? events.findIndex(({ id }) => id === first.id) : expected === 'no_stream' ? 0 : expected + 1;
    if (at < 0 || at + proposed.length > events.length || !proposed.every(({ id }, offset) => events[at + offset]?.id === id))
      return undefined;
    const last = events[at + proposed.length - 1];
    return last === undefined ? undefined : { kind: 'appended', revision: last.revision, position: last.position };
  }

  #settings(stream: string): Settings {
    if (stream.startsWith('$$')) return {};
    const last = this.#streams.get(`$$${stream}`)?.at(-1);
    return last === undefined ? {} : (JSON.parse(Buffer.from(last.data).toString('utf8')) as Settings);
  }

  /** Events of a stream that its settings leave to be seen; null where it does not exist or was deleted softly. */
  visible(stream: string): readonly Recorded[] | null {
    const events = this.#streams.get(stream);
    if (events === undefined) return null;
    const { $maxCount, $maxAge, $tb } = this.#settings(stream);
    if ($tb !== undefined && $tb >= Number.MAX_SAFE_INTEGER) return null;
    const oldest = $maxAge === undefined ? Number.NEGATIVE_INFINITY : Date.now() - $maxAge * 1000;
    return events.filter(
      ({ revision, createdMs }) => revision >= ($tb ?? 0) && revision >= events.length - ($maxCount ?? Infinity) && createdMs >= oldest,
    );
  }

  /** Hides everything until something new is appended; numbers go on. */
  softDelete(stream: string): void {
    this.append(`$$${stream}`, 'any', [proposedJson('$metadata', { $tb: Number.MAX_SAFE_INTEGER })]);
  }

  tombstone(stream: string): void {
    this.#tombstones.add(stream);
  }

  /** What a restore from an older backup does: the stream ends earlier. */
  cut(stream: string, size: number): void {
    const events = this.#streams.get(stream);
    events?.splice(size);
    if (size === 0) this.#streams.delete(stream);
  }

  /** Damages an event as a broken disk would. */
  overwrite(stream: string, revision: number, data: Uint8Array): void {
    const events = this.#streams.get(stream);
    const old = events?.[revision];
    if (events !== undefined && old !== undefined) events[revision] = { ...old, data };
  }
}

let serial = 0;
export function proposedJson(type: string, body: unknown): Proposed {
  return {
    id: `00000000-0000-4000-8000-${String(++serial).padStart(12, '0')}`,
    metadata: [
      ['type', type],
      ['content-type', 'application/json'],
    ],
    custom: new Uint8Array(0),
    data: Buffer.from(JSON.stringify(body), 'utf8'),
  };
}
