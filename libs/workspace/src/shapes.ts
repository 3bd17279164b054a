/**
 * Shapes of common credentials: prefixes that vendors publish, and assignments in command output. The first opinion on secrets nobody registered; no
 * entropy rule, which would shred hashes and lockfiles. Must stay linear on hostile input (SECURITY §5).
 */

/** A credential by its shape, as a half-open range of a latin1 text. */
export interface ShapeHit {
  /** Where what makes it one begins, when that is before `start`. */
  readonly from?: number;
  readonly start: number;
  readonly end: number;
  readonly kind: string;
}

interface Shape {
  readonly kind: string;
  readonly source: string;
}
/** Prefix shapes (no entropy rule: it shreds hashes and lockfiles). Sources: the vendors' published token formats. */
const SHAPES: readonly Shape[] = [
  {
    kind: 'pem',
    source: String.raw`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\sA-Za-z0-9+/=:,\\-])*(?:-----END[A-Z0-9 ]{0,48}-----)?`,
  },
  { kind: 'aws', source: String.raw`(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])` },
  { kind: 'github', source: String.raw`gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}` },
  { kind: 'anthropic', source: String.raw`sk-ant-[A-Za-z0-9_-]{20,255}` },
  {
    kind: 'openai',
    source: String.raw`(?<![A-Za-z0-9_-])sk-(?:proj-|svcacct-|admin-|or-)?[A-Za-z0-9_-]{0,100}[A-Za-z0-9]{20}[A-Za-z0-9_-]{0,200}`,
  },
  { kind: 'slack', source: String.raw`xox[abeoprs]-[A-Za-z0-9-]{10,250}` },
  { kind: 'stripe', source: String.raw`(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9+/=]{24,128}` },
  { kind: 'google', source: String.raw`AIza[0-9A-Za-z_-]{35}` },
  { kind: 'jwt', source: String.raw`eyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?` },
  { kind: 'npm', source: String.raw`npm_[A-Za-z0-9]{36}` },
  { kind: 'gitlab', source: String.raw`gl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_.-]{20,255}` },
  { kind: 'sendgrid', source: String.raw`SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}` },
  { kind: 'pypi', source: String.raw`pypi-[A-Za-z0-9_-]{50,255}` },
];
/** `NAME_TOKEN=value` lines of command output only; the value is what counts. */
const ASSIGNMENT = /(?:^|\n)(?:export )?([A-Z][A-Z0-9_]{0,90})=["']?([^\s"'`$]{12,512})/g;
const SECRET_NAME = /PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY/;
const ASSIGNMENT_ENTROPY = 3.5;

/** Bits per character, over the characters of the text itself. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const c of text) counts.set(c, (counts.get(c) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

const PATTERN = new RegExp(SHAPES.map((shape) => `(${shape.source})`).join('|'), 'g');

/** An escape or colour whose last letter would seem to belong to the credential that follows it: `\\nAKIA…` in a JSON text, `ESC[31mAKIA…`. */
const BORDER =
  /(?:(?:\u001b|\\+(?:u001b|x1b|033|e))\[[0-9;?]{0,16}[A-Za-z]|\\+(?:[nrtbfv0]|u00[01][0-9a-f]|x[01][0-9a-f])|%[01][0-9a-f])(?=[A-Za-z0-9])/gi;

/** What `find` finds in the text, and in the text with such borders blanked out, byte for byte. */
export function acrossBorders(text: string, find: (text: string) => readonly ShapeHit[]): readonly ShapeHit[] {
  const blanked = text.replace(BORDER, (border) => ' '.repeat(border.length));
  return blanked === text ? find(text) : [...find(text), ...find(blanked)];
}

/** Prefix shapes: for files, where only a vendor's own prefix is proof enough. */
export function findShapes(text: string): readonly ShapeHit[] {
  return acrossBorders(text, findPrefixes);
}

function findPrefixes(text: string): readonly ShapeHit[] {
  return Array.from(text.matchAll(PATTERN), (match) => ({
    start: match.index,
    end: match.index + match[0].length,
    kind: SHAPES[match.findIndex((group, index) => index > 0 && group !== undefined) - 1]?.kind ?? 'secret',
  }));
}

/** Prefix shapes and assignments: for what a command prints. `atLineStart`: whether the text begins a line. */
export function findInOutput(text: string, atLineStart: boolean): readonly ShapeHit[] {
  const hits = [...findShapes(text)];
  for (const match of text.matchAll(ASSIGNMENT)) {
    const [whole, name = '', value = ''] = match;
    if (match.index === 0 && !atLineStart && !whole.startsWith('\n')) continue;
    if (!SECRET_NAME.test(name) || entropy(value) < ASSIGNMENT_ENTROPY) continue;
    const end = match.index + whole.length;
    hits.push({ from: match.index, start: end - value.length, end, kind: 'assignment' });
  }
  return hits;
}
