/**
 * The image of a fold: everything a state is made of as one text, and the state again from that text. What is a function of `run.opened` alone stands
 * there by name only; lists and trees that states share are written once. Equal states have equal images. A cache for whoever keeps it, never truth
 * (PROTOCOL §3 "Snapshots").
 */
import { type Bytes, concatBytes, err, fromBase64, ok, type Result, toBase64, utf8Decode, utf8Encode } from '@openexec/canon';
import type { History } from '@openexec/catalogue';
import { mapRoot } from '@openexec/proof';
import { readHistory, writeHistory, type WrittenHistory } from './imageHistory.ts';
import type { RunLaw } from './state.ts';
import type { World } from './world.ts';

/** Marks what JSON has no word for. A member of that name is written out as a list of members. */
const MARK = '$';
const LINE_END = 0x0a;
type Plain = null | boolean | number | string | readonly Plain[] | { readonly [member: string]: Plain };
type Members = { readonly [member: string]: unknown };

/** Raised by every change of how images are written; an image of another number is not read. */
export const IMAGE_FORMAT = 1;

/**
 * The image of a fold: of a run's state, or of a record that holds one as `state`. `base` is the law of the run as `run.opened` alone makes it: what of it is
 * in the fold is named, not written.
 */
export function imageOf(fold: object, base: RunLaw | null): Bytes {
  const history = historyIn(fold);
  const shared: object[] = [];
  const numbers = new Map<object, number>();
  const named = namesIn(base);
  const plain = (value: unknown): Plain => {
    if (value === undefined) return { [MARK]: ['undefined'] };
    if (typeof value !== 'object' || value === null) return value as Plain; // No state holds functions, symbols or big integers.
    if (value instanceof Uint8Array) return { [MARK]: ['bytes', toBase64(value)] };
    if (value === history) return { [MARK]: ['history'] };
    const name = named.get(value);
    if (name !== undefined) return { [MARK]: ['law', name] };
    if (!isShared(value)) return shape(value);
    const known = numbers.get(value);
    const number = known ?? shared.push(value) - 1;
    numbers.set(value, number);
    return { [MARK]: ['node', number] };
  };
  const shape = (value: object): Plain => {
    if (Array.isArray(value)) return value.map(plain);
    if (value instanceof Map) return { [MARK]: ['map', [...value].map(([key, held]) => [plain(key), plain(held)])] };
    // Branches learn their hash when a root is first asked for; an image shows it always.
    if (isWorld(value)) mapRoot(value);
    const members = value as Members; // Neither list nor map nor bytes: a record.
    const list = Object.keys(members)
      .sort()
      .map((key) => [key, plain(members[key])] as const);
    return MARK in members ? { [MARK]: ['object', list] } : Object.fromEntries(list);
  };
  const root = plain(fold);
  const nodes: Plain[] = [];
  // A list of any length and a tree of any depth is walked without recursion: what is met on the way waits at the end.
  for (let at = 0; at < shared.length; at++) nodes.push(shape(shared[at] as object));
  const { segments, tail } = writeHistory(history);
  const head = { format: IMAGE_FORMAT, root, nodes, tail, segments: segments.map(({ length }) => length) };
  // JSON has no line end of its own: what stands after the first one are the segments, one after the other.
  return concatBytes(utf8Encode(`${JSON.stringify(head)}\n`), ...segments);
}

/**
 * The fold of an image. Only for bytes that are known to be what {@link imageOf} wrote: nothing of a state's shape is checked here. `image.unreadable`
 * where they are no image, or one of another format, or name a law that `base` is not.
 */
export function foldOfImage(
  image: Bytes,
  base: RunLaw | null,
): Result<unknown, { readonly code: 'image.unreadable'; readonly message: string }> {
  const end = image.indexOf(LINE_END);
  const text = utf8Decode(image.subarray(0, Math.max(0, end)));
  if (!text.ok) return err({ code: 'image.unreadable', message: 'it is not UTF-8' });
  try {
    const head = JSON.parse(text.value) as Head;
    const { format, root, nodes } = head;
    if (format !== IMAGE_FORMAT)
      return err({ code: 'image.unreadable', message: `it has format ${String(format)}, this kernel writes ${IMAGE_FORMAT}` });
    const history = readHistory({ segments: segmentsIn(image.subarray(end + 1), head.segments), tail: head.tail });
    return ok(new Reader(nodes, base, history).read(root));
  } catch (error) {
    // Whatever it is, it is no image; the entries are there.
    const { message } = (error ?? {}) as { readonly message?: unknown };
    return err({ code: 'image.unreadable', message: typeof message === 'string' ? message.slice(0, 200) : 'it is no image' });
  }
}

/** The part of an image before its first line end. */
interface Head {
  readonly format: unknown;
  readonly root: Plain;
  readonly nodes: readonly Plain[];
  readonly tail: WrittenHistory['tail'];
  /** Lengths in bytes. */
  readonly segments: readonly number[];
}

function segmentsIn(bytes: Bytes, lengths: readonly number[]): readonly Bytes[] {
  const segments: Bytes[] = [];
  let at = 0;
  for (const length of lengths) segments.push(bytes.subarray(at, (at += length)));
  if (at !== bytes.length) throw new Error(`its segments have ${bytes.length} bytes, not ${at}`);
  return segments;
}

/** The history of the state, wherever it stands. */
function historyIn(fold: object): History | null {
  const { history } = ('state' in fold ? fold.state : fold) as { readonly history?: History | null };
  return history ?? null;
}

/** Reads plain values back; what is shared is made first and filled afterwards, so that it may stand in itself's list. */
class Reader {
  readonly #shells: readonly object[];
  readonly #base: RunLaw | null;
  readonly #history: History | null;

  constructor(nodes: readonly Plain[], base: RunLaw | null, history: History | null) {
    this.#base = base;
    this.#history = history;
    this.#shells = nodes.map(() => ({}));
    for (const [at, node] of nodes.entries()) {
      const shell = this.#shells[at];
      // Defined, not assigned: a member may have any name.
      for (const [key, value] of this.#members(node))
        Object.defineProperty(shell, key, { value, writable: true, enumerable: true, configurable: true });
    }
  }

  read(plain: Plain): unknown {
    if (typeof plain !== 'object' || plain === null) return plain;
    if (Array.isArray(plain)) return plain.map((each: Plain) => this.read(each));
    return MARK in plain ? this.#marked(plain[MARK]) : Object.fromEntries(this.#members(plain));
  }

  #members(plain: Plain): readonly (readonly [string, unknown])[] {
    const marked = (plain as { readonly [MARK]?: Plain })[MARK];
    const list =
      Array.isArray(marked) && marked[0] === 'object'
        ? (marked[1] as readonly (readonly [string, Plain])[])
        : Object.entries(plain as Members);
    return list.map(([key, value]) => [key, this.read(value as Plain)]);
  }

  #marked(marked: Plain | undefined): unknown {
    const [what, value] = marked as readonly [string, Plain];
    switch (what) {
      case 'undefined':
        return undefined;
      case 'object':
        return Object.fromEntries(this.#members({ [MARK]: marked as Plain }));
      case 'history':
        return this.#history;
      case 'map':
        return new Map((value as readonly (readonly [Plain, Plain])[]).map(([key, held]) => [this.read(key), this.read(held)]));
      case 'bytes': {
        const bytes = fromBase64(value as string);
        if (!bytes.ok) throw new Error('bytes are not base64');
        return bytes.value;
      }
      case 'node': {
        const shell = this.#shells[value as number];
        if (shell === undefined) throw new Error(`there is no such node`);
        return shell;
      }
      case 'law': {
        const found = this.#base === null ? undefined : value === '' ? this.#base : (this.#base as unknown as Members)[value as string];
        if (found === undefined) throw new Error(`the law of the run has no such member`);
        return found;
      }
      default:
        throw new Error(`${what} is no mark`);
    }
  }
}

/** Names of a run's law and of its members, by the very objects. */
function namesIn(base: RunLaw | null): ReadonlyMap<object, string> {
  const named = new Map<object, string>();
  if (base === null) return named;
  for (const [name, value] of Object.entries(base))
    if (typeof value === 'object' && value !== null && !named.has(value)) named.set(value, name);
  return named.set(base, '');
}

/** A node of a list from the newest on, or of a world's tree: many states hold the same ones. */
function isShared(value: object): boolean {
  return 'earlier' in value || ('zero' in value && 'one' in value) || ('valueHash' in value && 'key' in value);
}

function isWorld(value: object): value is World {
  return 'tree' in value && 'size' in value && Object.keys(value).length === 2;
}
