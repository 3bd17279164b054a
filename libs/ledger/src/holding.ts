/**
 * Which blobs the payloads of a ledger still hold: by their own references, and by those inside JSON blobs. Counts anything that looks like a digest
 * as a reference, so that nothing is given up by mistake. PROTOCOL §3 "Erasure".
 */
import { type Bytes, type Digest, type TrajectoryId, utf8Decode } from '@openexec/canon';
import type { Entry } from './types.ts';

const DIGEST = /sha256:[0-9a-f]{64}/g;
/** Canonical references: `{"bytes":…,"digest":…,"mediaType":…}`. */
const JSON_REF = /"digest":"(sha256:[0-9a-f]{64})","mediaType":"[^"]*json/g;

/** Every digest that these bytes mention; bytes that are no text mention none. */
export function mentionedIn(bytes: Bytes): readonly Digest[] {
  const text = utf8Decode(bytes);
  return text.ok ? ((text.value.match(DIGEST) ?? []) as Digest[]) : []; // The pattern is that of a digest.
}

/** One pass over all entries. `run.opened` keeps its payload for ever, but holds its blobs only while its run has another payload. */
export class Holding {
  readonly #held = new Set<Digest>();
  readonly #containers = new Set<Digest>();
  readonly #openings = new Map<TrajectoryId, readonly Digest[]>();
  /** Runs with a payload besides `run.opened`, and runs that have lost one. */
  readonly #alive = new Set<TrajectoryId>();
  readonly #robbed = new Set<TrajectoryId>();

  /** Takes one entry; `payload` is null where it is gone or about to go. */
  take(entry: Pick<Entry, 'kind' | 'trajectory'>, payload: Bytes | null): void {
    const { kind, trajectory } = entry;
    if (payload === null) {
      this.#robbed.add(trajectory);
      return;
    }
    const text = utf8Decode(payload);
    if (!text.ok) return;
    const digests = (text.value.match(DIGEST) ?? []) as Digest[]; // The pattern is that of a digest.
    for (const [, digest] of text.value.matchAll(JSON_REF)) this.#containers.add(digest as Digest);
    if (kind === 'run.opened') {
      this.#openings.set(trajectory, digests);
      return;
    }
    if (trajectory.startsWith('run/')) this.#alive.add(trajectory);
    for (const digest of digests) this.#held.add(digest);
  }

  /** Whether only `run.opened` is left of this run. */
  isHollow(trajectory: TrajectoryId): boolean {
    return this.#robbed.has(trajectory) && !this.#alive.has(trajectory);
  }

  /** Digests that payloads hold. `openedOnly` are named by a `run.opened` alone that holds nothing any more. */
  finish(): { readonly held: Set<Digest>; readonly containers: ReadonlySet<Digest>; readonly openedOnly: ReadonlySet<Digest> } {
    const openedOnly = new Set<Digest>();
    for (const [run, digests] of this.#openings) {
      const into = this.isHollow(run) ? openedOnly : this.#held;
      for (const digest of digests) into.add(digest);
    }
    for (const digest of this.#held) openedOnly.delete(digest);
    return { held: this.#held, containers: this.#containers, openedOnly };
  }
}

/** Asks for the bytes of one blob after another (null: there are none) and ends with its result; driven by {@link runNow} or {@link runLater}. */
export type Reading<T> = Generator<Digest, T, Bytes | null>;

/** Drives a reading where bytes are at hand. */
export function runNow<T>(reading: Reading<T>, read: (digest: Digest) => Bytes | null): T {
  for (let step = reading.next(); ; step = reading.next(read(step.value))) if (step.done === true) return step.value;
}

/** Drives a reading where bytes have to be waited for. */
export async function runLater<T>(reading: Reading<T>, read: (digest: Digest) => Promise<Bytes | null>): Promise<T> {
  for (let step = reading.next(); ; step = reading.next(await read(step.value))) if (step.done === true) return step.value;
}

/** `roots` and all that is named through JSON blobs among them. What is named inside another blob is itself looked into; each is read once. */
export function* reach(roots: Iterable<Digest>, containers: ReadonlySet<Digest>): Reading<Set<Digest>> {
  const all = new Set(roots);
  const waiting = [...all].filter((digest) => containers.has(digest));
  const seen = new Set(waiting);
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    const bytes: Bytes | null = yield digest;
    for (const inner of bytes === null ? [] : mentionedIn(bytes)) {
      all.add(inner);
      if (seen.has(inner)) continue;
      seen.add(inner);
      waiting.push(inner);
    }
  }
  return all;
}

/** What becomes of blobs: `drop` leaves no trace, `hollow` is still named by a `run.opened` and so is remembered as erased. */
export interface Released {
  readonly drop: ReadonlySet<Digest>;
  readonly hollow: ReadonlySet<Digest>;
}

/** One pass over a ledger some of whose payloads are about to go. */
export class Release {
  readonly #going: ReadonlySet<string>;
  readonly #leaving = new Holding();
  readonly #staying = new Holding();

  /** `going` as {@link placeKey} writes it. */
  constructor(going: ReadonlySet<string>) {
    this.#going = going;
  }

  take(entry: Pick<Entry, 'kind' | 'trajectory' | 'seq'>, payload: Bytes | null): void {
    const goes = this.#going.has(placeKey(entry.trajectory, entry.seq));
    if (goes) this.#leaving.take(entry, payload);
    this.#staying.take(entry, goes ? null : payload);
  }

  /** What nothing holds any more, of what the leaving payloads and hollow openings reach. */
  *finish(): Reading<Released> {
    const staying = this.#staying.finish();
    const leaving = this.#leaving.finish();
    const held = yield* reach(staying.held, staying.containers);
    const containers = new Set([...leaving.containers, ...staying.containers]);
    const loose = yield* reach([...leaving.held, ...staying.openedOnly], containers);
    const hollow = new Set([...staying.openedOnly].filter((digest) => !held.has(digest)));
    return { drop: new Set([...loose].filter((digest) => !held.has(digest) && !hollow.has(digest))), hollow };
  }
}

/** A place as one text. */
export function placeKey(trajectory: string, seq: number): string {
  return `${trajectory} ${seq}`;
}
