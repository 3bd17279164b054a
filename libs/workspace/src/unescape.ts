/**
 * What a text says once its escapes are undone: JSON and C escapes however deeply nested, percent-encoding, XML references. Known secrets are looked
 * for in this view too, because a model, a test report or a body within a body may write them so. Must never change the text itself (SECURITY §5).
 */

/** Bytes with their escapes undone, and where each of them came from. */
export interface Unescaped {
  readonly bytes: Uint8Array;
  /** `at[i]` is where byte `i` began in the original; one more entry than bytes, for the end. */
  readonly at: Int32Array;
}

/** Escapes that can hide an ordinary character, whole or cut off at the end. */
const HIDES =
  /\\(?:u00[2-7][0-9a-f]|x[2-7][0-9a-f])|%[2-7][0-9a-f]|&(?:#|amp;|lt;|gt;|quot;|apos;)|(?:\\(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|%[0-9a-f]?)$/i;
/** The same, and those that only matter where a value holds quotes, slashes, backslashes, line breaks or characters beyond ASCII. */
const HIDES_MORE = /\\[\\"'/nrtbfux]|[%&]|\\$/i;
const ESCAPE =
  /\\+u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})|\\+u([0-9a-f]{4})|\\+x([0-9a-f]{2})|\\+([nrtbf])|\\+(["'/])|\\+|%([0-9a-f]{2})|&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));/gi;
const LETTERS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
const NAMES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const LAST_CODE_POINT = 0x10ffff;
const ORDINARY = /^[A-Za-z0-9 !#$()*+,.:;<=>?@[\]^_`{|}~-]*$/;

/** True where no escape of the value but `\uXXXX`, `\xXX` and percent can occur. */
export function isOrdinary(value: string): boolean {
  return ORDINARY.test(value);
}

/** The view of a text given as latin1; null where nothing in it could hide a value. `ordinary`: no value looked for needs the rarer escapes. */
export function unescaped(text: string, ordinary: boolean): Unescaped | null {
  if (!(ordinary ? HIDES : HIDES_MORE).test(text)) return null;
  const bytes = Buffer.allocUnsafe(text.length + 8);
  const at = new Int32Array(text.length + 9);
  let to = 0;
  let from = 0;
  const plain = (end: number): void => {
    bytes.write(text.slice(from, end), to, 'latin1');
    for (; from < end; from += 1) at[to++] = from;
  };
  for (const match of text.matchAll(ESCAPE)) {
    const said = Buffer.from(meaning(match), 'utf8');
    // A byte given as such (%C3, \xC3) is that byte, not a character.
    const raw = match[4] ?? match[7];
    plain(match.index);
    const written = raw === undefined ? said : Buffer.from([Number.parseInt(raw, 16)]);
    for (const byte of written) {
      bytes[to] = byte;
      at[to++] = match.index;
    }
    from = match.index + match[0].length;
  }
  plain(text.length);
  at[to] = text.length;
  return { bytes: bytes.subarray(0, to), at };
}

function meaning(match: RegExpMatchArray): string {
  const [, high, low, unit, , letter, mark, , hex, decimal, name] = match;
  if (high !== undefined && low !== undefined) return String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16));
  if (unit !== undefined) return String.fromCharCode(Number.parseInt(unit, 16));
  if (letter !== undefined) return LETTERS[letter.toLowerCase()] ?? '';
  if (mark !== undefined) return mark;
  if (name !== undefined) return NAMES[name.toLowerCase()] ?? '';
  const point = hex !== undefined ? Number.parseInt(hex, 16) : decimal === undefined ? null : Number(decimal);
  if (point !== null) return point <= LAST_CODE_POINT ? String.fromCodePoint(point) : '\ufffd';
  // A run of backslashes before anything else is one backslash, at whatever depth it was written.
  return '\\';
}

/** The value as it looks in the view: what the automaton has to know besides the value itself. */
export function unescapedValue(value: string): Uint8Array {
  const latin = Buffer.from(value, 'utf8').toString('latin1');
  return unescaped(latin, false)?.bytes ?? Buffer.from(latin, 'latin1');
}
