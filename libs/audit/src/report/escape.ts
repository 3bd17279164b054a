/**
 * What came out of a ledger, made harmless in a page or in XML: markup is text, and every character that nobody sees or that turns the reading direction
 * is spelt out. Must never let one through, whoever wrote it (SECURITY "Trojan Source", CVE-2021-42574; XML 1.0 §2.2).
 */

/**
 * Control characters but newline and tab, the soft hyphen, everything of zero width, directions and their ends, line and paragraph separators, variation
 * selectors, tags, unpaired surrogates, and what is no character. Listed, not looked up: Unicode's own tables differ from Node to Node.
 */
const RANGES: readonly (readonly [number, number])[] = [
  [0x0, 0x8],
  [0xb, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x61c, 0x61c],
  [0x115f, 0x115f],
  [0x1160, 0x1160],
  [0x17b4, 0x17b4],
  [0x17b5, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202f],
  [0x205f, 0x206f],
  [0x3164, 0x3164],
  [0xfdd0, 0xfdef],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xffff],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];
const pointOf = (code: number): string => `\\u{${code.toString(16)}}`;
const UNSEEN = new RegExp(`[${RANGES.map(([from, to]) => `${pointOf(from)}-${pointOf(to)}`).join('')}]|\\p{Cs}`, 'gu');
const MARKUP: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Every character that nobody sees, spelt `\u{…}`. Newline and tab stay. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The text of a JSON document with every such character as an escape of JSON: they can only stand inside its strings. */
export function escapedJson(json: string): string {
  const unit = (each: string): string => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(UNSEEN, (char) => char.split('').map(unit).join(''));
}

/** Text for an element or a quoted attribute of HTML or XML. */
export function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => MARKUP[char] ?? '');
}

/** The same on one line. */
export function escapedLine(text: string): string {
  return escaped(text.replace(/\n/g, '⏎').replace(/\t/g, ' '));
}

/** The beginning of a text, by characters, and whether anything was cut. */
export function beginning(text: string, characters: number): { readonly text: string; readonly cut: boolean } {
  if (text.length <= characters) return { text, cut: false };
  const kept = Array.from(text.slice(0, 2 * characters))
    .slice(0, characters)
    .join('');
  return { text: kept, cut: kept.length < text.length };
}
