/**
 * File names in the headers of a diff: quoting, the `a/` and `b/` prefixes, `/dev/null`. Must never accept two readings of one header.
 */
import { type Bytes, concatBytes, utf8Decode, utf8Encode } from '@openexec/canon';

const NO_FILE = '/dev/null';
const ESCAPES: { readonly [letter: string]: number } = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, '"': 34, '\\': 92 };

/** Reads git's C-style quoting from the opening quote on: the name and the index after the closing quote, or null where it is broken. */
function unquote(text: string): { readonly name: string; readonly end: number } | null {
  const parts: Bytes[] = [];
  let plain = '';
  const flush = (): void => {
    parts.push(utf8Encode(plain));
    plain = '';
  };
  for (let at = 1; at < text.length; at += 1) {
    const unit = text[at] ?? '';
    if (unit === '"') {
      flush();
      const name = utf8Decode(concatBytes(...parts));
      return name.ok ? { name: name.value, end: at + 1 } : null;
    }
    if (unit !== '\\') {
      plain += unit;
      continue;
    }
    const octal = /^[0-3][0-7]{2}/.exec(text.slice(at + 1, at + 4))?.[0];
    const letter = ESCAPES[text[at + 1] ?? ''];
    if (octal === undefined && letter === undefined) return null;
    flush();
    parts.push(Uint8Array.of(octal === undefined ? (letter ?? 0) : Number.parseInt(octal, 8)));
    at += octal === undefined ? 1 : 3;
  }
  return null;
}

/** The name of a `---` or `+++` line: quoted, or up to a tab (after which tools write a time). */
export function nameOf(rest: string): string | null {
  if (!rest.startsWith('"')) return rest.split('\t')[0] ?? '';
  const quoted = unquote(rest);
  if (quoted === null) return null;
  const tail = rest.slice(quoted.end);
  return tail === '' || tail.startsWith('\t') ? quoted.name : null;
}

/** The one path of `a/PATH b/PATH`, or null where the two differ or the prefixes are missing. */
export function gitHeaderPath(rest: string): string | null {
  let before: string;
  let after: string;
  if (rest.startsWith('"')) {
    const quoted = unquote(rest);
    if (quoted === null || rest[quoted.end] !== ' ') return null;
    before = quoted.name;
    after = secondName(rest.slice(quoted.end + 1)) ?? '';
  } else if (rest.endsWith('"')) {
    // Only one of two equal names cannot need quotes: git quotes both or none.
    return null;
  } else {
    // Equal names make the split certain, even where a name holds " b/".
    const middle = (rest.length - 1) / 2;
    if (!Number.isInteger(middle) || rest[middle] !== ' ') return null;
    before = rest.slice(0, middle);
    after = rest.slice(middle + 1);
  }
  if (!before.startsWith('a/') || !after.startsWith('b/') || before.slice(2) !== after.slice(2)) return null;
  return before.slice(2);
}

function secondName(text: string): string | null {
  if (!text.startsWith('"')) return text;
  const quoted = unquote(text);
  return quoted !== null && quoted.end === text.length ? quoted.name : null;
}

/**
 * Path and kind from both names. Where a side is `/dev/null`, the other loses its `a/` or `b/` if it has it, as git writes it; where both are
 * files, they lose the prefixes together or not at all. Null where the two name different files.
 */
export function stripSides(before: string, after: string): { readonly path: string; readonly kind: 'modify' | 'create' | 'delete' } | null {
  if (before === NO_FILE && after === NO_FILE) return null;
  if (before === NO_FILE) return { path: after.startsWith('b/') ? after.slice(2) : after, kind: 'create' };
  if (after === NO_FILE) return { path: before.startsWith('a/') ? before.slice(2) : before, kind: 'delete' };
  if (before.startsWith('a/') && after.startsWith('b/'))
    return before.slice(2) === after.slice(2) ? { path: before.slice(2), kind: 'modify' } : null;
  return before === after ? { path: before, kind: 'modify' } : null;
}
