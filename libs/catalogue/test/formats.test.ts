/**
 * The four patch formats as laws: a patch made from any two texts gives exactly the second; applied to anything else it either stands where a naive
 * reading finds it alone, or is a conflict; and no input costs more steps than it is given.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, type Json, utf8Decode, utf8Encode } from '@openexec/canon';
import fc from 'fast-check';
import { applyChange, parsePatch, readChange } from '../src/index.ts';
import { findPlaces } from '../src/find.ts';

const line = fc.constantFrom(
  '',
  'a',
  'b',
  'c',
  '}',
  '  return x;',
  '+plus',
  '-minus',
  ' space',
  '@@ x',
  '*** End Patch',
  '\\ odd',
  'é😀',
  'cr\r',
  '=======',
);
const text = fc
  .tuple(fc.array(line, { maxLength: 20 }), fc.boolean())
  .map(([lines, ends]) => lines.join('\n') + (ends && lines.length > 0 ? '\n' : ''));

interface Op {
  readonly op: ' ' | '-' | '+';
  readonly text: string;
}
const PATH = 'dir/x.txt';
const closed = (all: string): boolean => all === '' || all.endsWith('\n');
const linesOf = (all: string): readonly string[] => (all === '' ? [] : (all.endsWith('\n') ? all.slice(0, -1) : all).split('\n'));

/** The shortest edit script by the textbook table. */
function script(before: readonly string[], after: readonly string[]): readonly Op[] {
  const same = before.map(() => after.map(() => 0));
  const at = (i: number, j: number): number => same[i]?.[j] ?? 0;
  for (const [i, row] of [...same.entries()].reverse())
    for (let j = after.length - 1; j >= 0; j -= 1)
      row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const ops: Op[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) ops.push({ op: ' ', text: before[((j += 1), i++)] ?? '' });
    else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1))) ops.push({ op: '-', text: before[i++] ?? '' });
    else ops.push({ op: '+', text: after[j++] ?? '' });
  }
  return ops;
}

function occurrences(lines: readonly string[], part: readonly string[]): readonly number[] {
  return lines.flatMap((_, at) => (part.every((one, offset) => lines[at + offset] === one) ? [at] : []));
}

/** Runs of changes with so much context that each stands once; neighbours that meet are joined. */
function hunksOf(before: readonly string[], ops: readonly Op[], context: number): readonly (readonly Op[])[] {
  const near = ops.map((_, at) => ops.slice(Math.max(0, at - context), at + context + 1).some(({ op }) => op !== ' '));
  const hunks: Op[][] = [];
  for (const [at, op] of ops.entries()) {
    if (near[at] !== true) continue;
    if (near[at - 1] === true) hunks.at(-1)?.push(op);
    else hunks.push([op]);
  }
  const unique = hunks.every((hunk) => {
    const old = hunk.flatMap(({ op, text: one }) => (op === '+' ? [] : [one]));
    return old.length > 0 && occurrences(before, old).length === 1;
  });
  return unique || context > ops.length ? hunks : hunksOf(before, ops, context + 1);
}

const NO_NEWLINE = '\\ No newline at end of file';

/** A V4A patch from one text to another; where an end of file has no newline, one hunk of all lines that says so. */
function v4aOf(before: string, after: string): string {
  const ops = script(linesOf(before), linesOf(after));
  const head = ['*** Begin Patch', `*** Update File: ${PATH}`];
  const shown = ({ op, text: one }: Op): string => `${op}${one}`;
  if (closed(before) && closed(after) && before !== '') {
    const hunks = hunksOf(linesOf(before), ops, 1).flatMap((hunk) => ['@@', ...hunk.map(shown)]);
    return [...head, ...hunks, '*** End Patch', ''].join('\n');
  }
  const lastOld = ops.findLastIndex(({ op }) => op !== '+');
  const lastNew = ops.findLastIndex(({ op }) => op !== '-');
  const body = ops.flatMap((op, at) => {
    const [bare, stays] = [at === lastOld && !closed(before), at === lastNew && !closed(after)];
    if (op.op !== ' ' || bare === stays) return [shown(op), ...(bare || stays ? [NO_NEWLINE] : [])];
    return [`-${op.text}`, ...(bare ? [NO_NEWLINE] : []), `+${op.text}`, ...(stays ? [NO_NEWLINE] : [])];
  });
  return [...head, ...body, '*** End of File', '*** End Patch', ''].join('\n');
}

/** One replacement from one text to another: what differs, made longer until it stands once. */
function editOf(before: string, after: string): Json {
  let from = 0;
  while (from < Math.min(before.length, after.length) && before[from] === after[from]) from += 1;
  let tail = 0;
  while (tail < Math.min(before.length, after.length) - from && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  // A cut through a pair of surrogates is no text, and carriage returns say how lines end: the whole file is always right.
  const whole = /[\ud800-\udfff\r]/.test(before + after);
  for (let more = whole ? before.length : 0; ; more += 1) {
    const [start, end] = [Math.max(0, from - more), Math.min(before.length, before.length - tail + more)];
    const search = before.slice(start, end);
    if (search === '' || before.indexOf(search) !== before.lastIndexOf(search)) continue;
    return { path: PATH, search, replace: after.slice(start, after.length - (before.length - end)) };
  }
}

const reader =
  (content: string) =>
  (path: string): Bytes | null =>
    path === PATH ? utf8Encode(content) : null;
function applied(args: Json, content: string): { readonly text: string } | { readonly code: string } {
  const change = readChange(args);
  if (!change.ok) throw new Error(change.error.message);
  const edits = applyChange(change.value, reader(content));
  if (!edits.ok) return { code: edits.error.code };
  const bytes = edits.value[0]?.content;
  const decoded = utf8Decode(bytes ?? new Uint8Array());
  return { text: decoded.ok ? decoded.value : 'not UTF-8' };
}
const v4a = (before: string, after: string): Json => ({ format: 'v4a', patch: v4aOf(before, after) });
const search = (before: string, after: string): Json => ({ format: 'search_replace', edits: [editOf(before, after)] });

describe('a patch made from two texts', () => {
  test('in V4A gives exactly the second', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        fc.pre(before !== after);
        expect(applied(v4a(before, after), before)).toEqual({ text: after });
      }),
      { numRuns: 500 },
    );
  });
  test('as search and replace gives exactly the second', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        fc.pre(before !== after && before !== '');
        expect(applied(search(before, after), before)).toEqual({ text: after });
      }),
      { numRuns: 500 },
    );
  });
  test('as a whole file gives exactly the second, for new and for present files', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(applied({ format: 'whole_file', path: PATH, content: after }, before)).toEqual({ text: after });
      }),
    );
  });
  test('keeps every CRLF of a file although the patch has none', () => {
    const plain = fc
      .array(fc.constantFrom('a', 'b', '', '  c', 'é'), { minLength: 1, maxLength: 12 })
      .map((lines) => `${lines.join('\n')}\n`);
    fc.assert(
      fc.property(plain, plain, (before, after) => {
        fc.pre(before !== after);
        const crlf = (all: string): string => all.replaceAll('\n', '\r\n');
        for (const args of [v4a(before, after), search(before, after)]) expect(applied(args, crlf(before))).toEqual({ text: crlf(after) });
      }),
      { numRuns: 300 },
    );
  });
});

describe('a patch for another text', () => {
  /** The only reading: the old lines stand once, and what stands there is exchanged. */
  function naive(args: Json, content: string): string | null {
    const patch = (args as { readonly patch: string }).patch.split('\n').slice(3, -2);
    const [old, now] = ['+', '-'].map((not) => patch.flatMap((one) => (one.startsWith(not) ? [] : [one.slice(1)])));
    const lines = content.slice(0, -1).split('\n');
    const places = occurrences(lines, old ?? []);
    const at = places[0];
    if (at === undefined || places.length > 1) return null;
    const left = [...lines.slice(0, at), ...(now ?? []), ...lines.slice(at + (old?.length ?? 0))];
    // A file whose every line goes is empty, and has no newline to end with; one empty line is a line.
    return left.map((one) => `${one}\n`).join('');
  }
  const plain = fc
    .array(fc.constantFrom('a', 'b', 'c', '', '  c'), { minLength: 1, maxLength: 12 })
    .map((lines) => `${lines.join('\n')}\n`);
  test('never stands in silence where a naive reading does not find it alone (V4A)', () => {
    let [took, refused] = [0, 0];
    fc.assert(
      fc.property(plain, plain, plain, (before, after, other) => {
        fc.pre(before !== after);
        const args = v4a(before, after);
        fc.pre((args as { readonly patch: string }).patch.split('\n@@\n').length === 2);
        const result = applied(args, other);
        const expected = naive(args, other);
        expect('code' in result ? null : result.text).toEqual(expected);
        if ('code' in result) refused += 1;
        else took += 1;
      }),
      { numRuns: 2000 },
    );
    // Both ends were reached, so neither half of the law is empty.
    expect(Math.min(took, refused)).toBeGreaterThan(20);
  });
  test('never stands in silence where a naive reading does not find it alone (search and replace)', () => {
    let [took, refused] = [0, 0];
    fc.assert(
      fc.property(plain, plain, plain, (before, after, other) => {
        fc.pre(before !== after);
        const edit = editOf(before, after) as { readonly search: string; readonly replace: string };
        const result = applied({ format: 'search_replace', edits: [edit] }, other);
        const [first, last] = [other.indexOf(edit.search), other.lastIndexOf(edit.search)];
        const alone = first >= 0 && first === last;
        const expected = other.slice(0, first) + edit.replace + other.slice(first + edit.search.length);
        expect('code' in result ? null : result.text).toEqual(alone ? expected : null);
        if ('code' in result) refused += 1;
        else took += 1;
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(took, refused)).toBeGreaterThan(20);
  });
  test('whatever a reader is given, it answers', () => {
    const bits = fc.constantFrom(
      '*** Begin Patch',
      '*** Update File: a',
      '*** Add File: b',
      '*** Delete File: c',
      '*** Move to: d',
      '@@',
      '@@ x',
      ' a',
      '-b',
      '+c',
      '',
      '*** End of File',
      '\\ No newline at end of file',
      '*** End Patch',
      'x',
    );
    fc.assert(
      fc.property(fc.array(bits, { maxLength: 12 }), (lines) => {
        const patch = ['*** Begin Patch', ...lines, '*** End Patch'].join('\n');
        const change = readChange({ format: 'v4a', patch });
        if (!change.ok) return change.error.code.startsWith('patch.');
        const edits = applyChange(change.value, (path) => (path === 'b' || path === 'd' ? null : utf8Encode('x\na\nb\n')));
        return edits.ok || edits.error.message.length > 0;
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the cost', () => {
  const counted = (items: ArrayLike<number>, counter: { reads: number }): ArrayLike<number> =>
    new Proxy(items, {
      get: (target, name) => {
        if (name !== 'length') counter.reads += 1;
        return Reflect.get(target, name) as unknown;
      },
    });
  test('of a search is linear in what it looks at, also for the worst of texts', () => {
    for (const size of [1000, 2000, 4000]) {
      const counter = { reads: 0 };
      const haystack = counted(
        Array.from({ length: size }, () => 1),
        counter,
      );
      const needle = counted([...Array.from({ length: size / 2 }, () => 1), 2], counter);
      const meter = { left: 1_000_000 };
      expect(findPlaces(haystack, needle, meter, { from: 0, to: size })).toMatchObject({
        places: [],
        nearest: { at: 0, length: size / 2 },
      });
      // Each comparison reads two items; the price was taken beforehand.
      expect(counter.reads).toBeLessThan(8 * size);
      expect(1_000_000 - meter.left).toBeLessThan(4 * size);
    }
  });
  test('of a change never goes over its budget: what would is a conflict', () => {
    const many = 'x\n'.repeat(50_000);
    const hunks = Array.from({ length: 400 }, (_, index) => `@@\n-x\n-${index}\n+y`).join('\n');
    const envelope = { format: 'v4a', patch: `*** Begin Patch\n*** Update File: ${PATH}\n${hunks}\n*** End Patch\n` };
    const anchors = `${'@@ x\n'.repeat(1)}${'@@ z\n'.repeat(5000)}`;
    const deep = { format: 'v4a', patch: `*** Begin Patch\n*** Update File: ${PATH}\n${anchors}-x\n+y\n*** End Patch\n` };
    const edits = {
      format: 'search_replace',
      edits: Array.from({ length: 500 }, (_, index) => ({ path: PATH, search: `x\nx\n${index}`, replace: '' })),
    };
    for (const args of [envelope, deep, edits]) {
      const change = readChange(args);
      if (!change.ok) throw new Error(change.error.message);
      for (const budget of [0, 1000, 10_000_000]) {
        const meter = { left: budget };
        const result = applyChange(change.value, reader(many), meter);
        expect(result.ok).toBe(false);
        expect(meter.left).toBeGreaterThan(-200_001);
      }
      const none = applyChange(change.value, reader(many), { left: 0 });
      expect(none.ok ? 'ok' : none.error.code).toBe('patch.tooCostly');
    }
  });
  test('texts over the bounds are refused before they are read', () => {
    const large = 'x'.repeat(1_048_577);
    const code = (args: Json): string => {
      const change = readChange(args);
      return change.ok ? 'ok' : change.error.code;
    };
    expect(code({ format: 'v4a', patch: large })).toBe('patch.tooLarge');
    expect(code({ format: 'search_replace', edits: [{ path: 'a', search: large, replace: '' }] })).toBe('patch.tooLarge');
    const files = Array.from({ length: 501 }, (_, index) => `*** Delete File: f${index}`).join('\n');
    expect(code({ format: 'v4a', patch: `*** Begin Patch\n${files}\n*** End Patch\n` })).toBe('patch.tooLarge');
    const paths = Array.from({ length: 501 }, (_, index) => ({ path: `f${index}`, search: 'a', replace: 'b' }));
    expect(code({ format: 'search_replace', edits: paths })).toBe('patch.tooLarge');
  });
});

test('a V4A patch and the unified diff of the same change have the same end', () => {
  const before = 'one\ntwo\nthree\n';
  const unified = '--- a/dir/x.txt\n+++ b/dir/x.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n';
  expect(parsePatch(unified).ok).toBe(true);
  expect(applied({ format: 'unified', patch: unified }, before)).toEqual(applied(v4a(before, 'one\n2\nthree\n'), before));
});
