/**
 * The history of a run in its image: long, only ever added to, and read by few. Written in segments of a fixed number of events from the start on, each
 * made once; read back unparsed until somebody looks. Must never let what was made before show in the bytes: equal histories are written alike.
 */
import { type Bytes, utf8Decode, utf8Encode } from '@openexec/canon';
import type { History, RememberedEvent } from '@openexec/catalogue';

/** Events of one segment. */
const SEGMENT = 256;

/** The end of a whole segment, and the segments before it. */
interface Boundary {
  readonly bytes: Bytes;
  readonly earlier: Boundary | null;
}
/** By the newest node of each segment that was written or read: from there on nothing has to be written again. */
const boundaries = new WeakMap<History, Boundary>();

/** Whole segments, the oldest first, and the events after the last of them. */
export interface WrittenHistory {
  readonly segments: readonly Bytes[];
  readonly tail: readonly RememberedEvent[];
}

/** Writes what is new since the last time, and names the rest. */
export function writeHistory(head: History | null): WrittenHistory {
  const fresh: History[] = [];
  let node = head;
  for (; node !== null && !boundaries.has(node); node = node.before) fresh.push(node);
  let last = node === null ? null : (boundaries.get(node) ?? null);
  fresh.reverse();
  const whole = fresh.length - (fresh.length % SEGMENT);
  for (let from = 0; from < whole; from += SEGMENT) {
    const part = fresh.slice(from, from + SEGMENT);
    // Bodies are JSON as it was read, in the order of its bytes.
    last = { bytes: utf8Encode(JSON.stringify(part.map(({ event }) => event))), earlier: last };
    const newest = part.at(-1);
    if (newest !== undefined) boundaries.set(newest, last);
  }
  const segments: Bytes[] = [];
  for (let at = last; at !== null; at = at.earlier) segments.push(at.bytes);
  return { segments: segments.reverse(), tail: fresh.slice(whole).map(({ event }) => event) };
}

/** The list again. */
export function readHistory({ segments, tail }: WrittenHistory): History | null {
  let node: History | null = null;
  let boundary: Boundary | null = null;
  for (const bytes of segments) {
    node = new Segment(bytes, node);
    boundary = { bytes, earlier: boundary };
    boundaries.set(node, boundary);
  }
  for (const event of tail) node = { event, before: node };
  return node;
}

/** The newest node of a segment; its events are parsed when one of them is asked for. The same to whoever reads it before and after. */
class Segment implements History {
  readonly #bytes: Bytes;
  readonly #earlier: History | null;
  #read: History | null = null;

  constructor(bytes: Bytes, earlier: History | null) {
    this.#bytes = bytes;
    this.#earlier = earlier;
  }

  get event(): RememberedEvent {
    return this.#parsed().event;
  }
  get before(): History | null {
    return this.#parsed().before;
  }

  #parsed(): History {
    if (this.#read !== null) return this.#read;
    const text = utf8Decode(this.#bytes);
    let node = this.#earlier;
    // Written by `writeHistory` and kept under its maker's tag.
    for (const event of text.ok ? (JSON.parse(text.value) as readonly RememberedEvent[]) : []) node = { event, before: node };
    if (node === null) throw new Error('kernel: a segment of a history has no event');
    this.#read = node;
    return node;
  }
}
