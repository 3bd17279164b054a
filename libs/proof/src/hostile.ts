/**
 * Hostile variations of real examples, from a seed: bits, ranges and lengths of bytes; lines, numbers and base64 of texts; splices of two examples. One
 * round is one number, so that a failing one is played again by it. For the tests of packages that read what strangers hand in; nothing that ships uses it.
 */
import { type Bytes, concatBytes, fromBase64, toBase64 } from '@openexec/canon';

/** Reproducible numbers. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** A number from 0 up to, not including, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % end;
  }

  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  }
}

const NUMBERS = [
  '0',
  '64',
  '255',
  '256',
  '00',
  '-1',
  '+1',
  '1e3',
  '9007199254740992',
  '9223372036854775807',
  '9223372036854775808',
  `1${'0'.repeat(400)}`,
  '',
  ' 1',
];
const ODD = ['\u0000', '\r', '\t', '\u2028', '\u0085', '\ud800', '—', '𝄞', '\n', '\n\n', ' ', '+', '=', '.p/', '..', '\u202e'];
const WORDS = ['old ', 'index ', 'extra ', 'c2sp.org/tlog-proof@v1', '— ', 'quorum none', 'time 0', 'AAAA', 'null', '{}', '[[[[', '"v":1'];

/** One variation of a text. `others` are further examples of the same kind. */
export function mutateText(text: string, chance: Chance, others: readonly string[] = []): string {
  let made = text;
  for (let times = 1 + chance.below(3); times > 0; times--) made = oneText(made, chance, others);
  return made;
}

function oneText(text: string, chance: Chance, others: readonly string[]): string {
  const lines = text.split('\n');
  const at = chance.below(lines.length);
  const line = lines[at] ?? '';
  const put = (value: readonly string[]): string => [...lines.slice(0, at), ...value, ...lines.slice(at + 1)].join('\n');
  const spot = chance.below(text.length + 1);
  switch (chance.below(14)) {
    case 0:
      return put([]);
    case 1:
      return put([line, line]);
    case 2:
      return put([lines[chance.below(lines.length)] ?? '']);
    case 3:
      return put([line.replace(/-?\d+/, chance.pick(NUMBERS))]);
    case 4:
      return put([line.replace(/[A-Za-z0-9+/]{8,}={0,2}/, (found) => base64Of(found, chance))]);
    case 5:
      return text.slice(0, spot) + chance.pick(ODD) + text.slice(spot);
    case 6:
      return text.slice(0, spot);
    case 7:
      return text.slice(spot);
    case 8:
      return text.slice(0, spot) + text.slice(spot + 1 + chance.below(8));
    case 9: {
      const code = (text.charCodeAt(spot) || 65) ^ (1 << chance.below(7));
      return text.slice(0, spot) + String.fromCharCode(code) + text.slice(spot + 1);
    }
    case 10:
      return put(Array.from({ length: chance.pick([2, 70, 130, 700]) }, () => line));
    case 11: {
      const other = others.length === 0 ? text : chance.pick(others);
      return text.slice(0, spot) + other.slice(chance.below(other.length + 1));
    }
    case 12:
      return put([chance.pick(WORDS) + line]);
    default:
      return put([
        line.replace(/ /, chance.pick([' ', '  ', '\t', '+'])),
        ...(chance.below(4) === 0 ? ['x'.repeat(chance.pick([1, 5000]))] : []),
      ]);
  }
}

/** Base64 of other bytes, of another length, or not quite base64. */
function base64Of(found: string, chance: Chance): string {
  const bytes = fromBase64(found);
  const changed = bytes.ok ? toBase64(mutateBytes(bytes.value, chance)) : found.slice(2);
  return chance.pick([changed, changed, found.slice(1), `${found}=`, found.toLowerCase(), found.replace(/[+/]/g, '-')]);
}

/** One variation of bytes. */
export function mutateBytes(bytes: Uint8Array, chance: Chance, others: readonly Uint8Array[] = []): Uint8Array {
  let made: Bytes = Uint8Array.from(bytes);
  for (let times = 1 + chance.below(3); times > 0; times--) made = oneBytes(made, chance, others);
  return made;
}

function oneBytes(bytes: Uint8Array, chance: Chance, others: readonly Uint8Array[]): Bytes {
  const at = chance.below(bytes.length + 1);
  const end = at + 1 + chance.below(40);
  const made = Uint8Array.from(bytes);
  switch (chance.below(9)) {
    case 0:
    case 1:
    case 2:
      made[at] = (made[at] ?? 0) ^ (1 << chance.below(8));
      return made;
    case 3:
      // What lengths and tags are made of.
      made[at] = chance.pick([0, 1, 0x1f, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x84, 0x88, 0xa0, 0xff]);
      return made;
    case 4:
      return made.slice(0, at);
    case 5:
      return concatBytes(made.slice(0, at), made.slice(end));
    case 6:
      return concatBytes(made.slice(0, end), made.slice(at, end), made.slice(end));
    case 7: {
      const other = others.length === 0 ? bytes : chance.pick(others);
      return concatBytes(made.slice(0, at), Uint8Array.from(other).slice(chance.below(other.length + 1)));
    }
    default:
      return concatBytes(
        made.slice(0, at),
        Uint8Array.from({ length: 1 + chance.below(16) }, () => chance.below(256)),
        made.slice(at),
      );
  }
}

/** Throws, naming the round, when something that must hold of what was taken does not. */
export function insist(holds: boolean, round: string): void {
  if (!holds) throw new Error(`${round}: what was taken does not hold`);
}

/** What came out of one input. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: { readonly code: string } };

/** How often each code came, `ok` among them. */
export class Outcomes {
  readonly counts = new Map<string, number>();

  /** Takes one in; `round` is said when it is none of the codes that may come. */
  take(outcome: Outcome, codes: ReadonlySet<string>, round: string): void {
    const code = outcome.ok ? 'ok' : outcome.error.code;
    if (!outcome.ok && !codes.has(code)) throw new Error(`${round}: ${code} is none of the codes that may come`);
    this.counts.set(code, (this.counts.get(code) ?? 0) + 1);
  }

  /** Null when it was no idle play: this many inputs, most refused, and the refusals of several kinds; else what is wrong. */
  idle(inputs: number, kinds: number): string | null {
    const total = [...this.counts.values()].reduce((sum, count) => sum + count, 0);
    const refusals = [...this.counts.keys()].filter((code) => code !== 'ok').length;
    if (total !== inputs) return `${total} inputs, not ${inputs}`;
    if ((this.counts.get('ok') ?? 0) * 2 >= total) return `${this.counts.get('ok') ?? 0} of ${total} were taken`;
    return refusals >= kinds ? null : `only ${refusals} kinds of refusal: ${[...this.counts.keys()].join(', ')}`;
  }
}

/**
 * Runs `work` and answers how many bytes of typed arrays it asked for: what a hostile length would make us allocate. Counted, not measured, so that no
 * machine can change it. `scope` is the global object.
 */
export async function allocatedBy(scope: { Uint8Array: Uint8ArrayConstructor }, work: () => unknown): Promise<number> {
  const real = scope.Uint8Array;
  let bytes = 0;
  const counting = new Proxy(real, {
    construct: (target, given: unknown[], fresh) => {
      const made = Reflect.construct(target, given, fresh === counting ? target : fresh) as Uint8Array;
      if (typeof given[0] === 'number') bytes += made.length;
      return made;
    },
  });
  scope.Uint8Array = counting;
  try {
    await work();
  } finally {
    scope.Uint8Array = real;
  }
  return bytes;
}
