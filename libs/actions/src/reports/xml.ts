/**
 * A scanner for the XML that test tools write: elements, attributes, text. Must never resolve an entity but the five predefined ones and characters by
 * number: a document type is not read at all, so that nothing can be expanded, fetched or nested without bound.
 */

/** What the scanner meets, in order. `close` also follows the opening of an empty element. */
export type XmlPart =
  | { readonly kind: 'open'; readonly name: string; readonly attributes: ReadonlyMap<string, string> }
  | { readonly kind: 'close'; readonly name: string }
  | { readonly kind: 'text'; readonly text: string };

const DEPTH_MAX = 64;
const PARTS_MAX = 400_000;
const ATTRIBUTES_MAX = 64;
const NAME = /[A-Za-z_][\w:.-]{0,99}/y;
const ATTRIBUTE = /\s+([A-Za-z_][\w:.-]{0,99})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const TAG_END = /\s*(\/)?>/y;
const CLOSING = /<\/([A-Za-z_][\w:.-]{0,99})\s*>/y;
const PREDEFINED: { readonly [name: string]: string } = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** The parts of the one element that begins at `from`; null where it is not well formed, not closed, too deep or has a document type in it. */
export function scanXml(text: string, from: number): readonly XmlPart[] | null {
  const parts: XmlPart[] = [];
  const open: string[] = [];
  let at = from;
  do {
    if (parts.length > PARTS_MAX || open.length > DEPTH_MAX) return null;
    const next = text.indexOf('<', at);
    if (next < 0) return null;
    if (next > at) parts.push({ kind: 'text', text: decoded(text.slice(at, next)) });
    const end = takeTag(text, next, parts, open);
    if (end === null) return null;
    at = end;
  } while (open.length > 0);
  return parts;
}

/** Takes what begins with `<`; the index behind it, or null. */
function takeTag(text: string, at: number, parts: XmlPart[], open: string[]): number | null {
  if (text.startsWith('<!--', at)) return behind(text, '-->', at);
  if (text.startsWith('<?', at)) return behind(text, '?>', at);
  if (text.startsWith('<![CDATA[', at)) {
    const end = behind(text, ']]>', at);
    if (end !== null) parts.push({ kind: 'text', text: text.slice(at + '<![CDATA['.length, end - ']]>'.length) });
    return end;
  }
  CLOSING.lastIndex = at;
  const closing = CLOSING.exec(text)?.[1];
  if (closing !== undefined) {
    if (open.pop() !== closing) return null;
    parts.push({ kind: 'close', name: closing });
    return CLOSING.lastIndex;
  }
  return takeOpening(text, at, parts, open);
}

function behind(text: string, mark: string, from: number): number | null {
  const at = text.indexOf(mark, from);
  return at < 0 ? null : at + mark.length;
}

function takeOpening(text: string, from: number, parts: XmlPart[], open: string[]): number | null {
  NAME.lastIndex = from + 1;
  const name = NAME.exec(text)?.[0];
  if (name === undefined) return null;
  let at = NAME.lastIndex;
  const attributes = new Map<string, string>();
  for (;;) {
    ATTRIBUTE.lastIndex = at;
    const match = ATTRIBUTE.exec(text);
    if (match === null) break;
    if (attributes.size >= ATTRIBUTES_MAX || attributes.has(match[1] ?? '')) return null;
    attributes.set(match[1] ?? '', decoded(match[2] ?? match[3] ?? ''));
    at = ATTRIBUTE.lastIndex;
  }
  TAG_END.lastIndex = at;
  const end = TAG_END.exec(text);
  if (end === null) return null;
  parts.push({ kind: 'open', name, attributes });
  if (end[1] === undefined) open.push(name);
  else parts.push({ kind: 'close', name });
  return TAG_END.lastIndex;
}

function decoded(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|(lt|gt|amp|quot|apos));/g,
    (all, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return PREDEFINED[name] ?? all;
      const point = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
      return point > 0 && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff) ? String.fromCodePoint(point) : all;
    },
  );
}
