/**
 * The difference of two texts by lines, as hunks with three lines around. Myers' greedy algorithm (E. Myers, "An O(ND) Difference Algorithm", 1986)
 * up to a number of edits; beyond it the whole middle is one replacement, which is as true and only longer. Bytes in, bytes out: nothing is decoded.
 */
import { type Bytes, equalBytes } from '@openexec/canon';

/** A hunk: where it stands on both sides (1-based, as git counts), and its lines. */
export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  readonly lines: readonly { readonly sign: ' ' | '-' | '+'; readonly bytes: Bytes }[];
}
interface Edit {
  readonly sign: ' ' | '-' | '+';
  readonly bytes: Bytes;
}

const CONTEXT = 3;
/** Edits up to which the shortest script is looked for: the trace takes their square in memory. */
const MAX_EDITS = 1000;
const NEWLINE = 10;

/** Lines with their newline; the last may have none. */
export function splitLines(bytes: Bytes): Bytes[] {
  const lines: Bytes[] = [];
  let from = 0;
  while (from < bytes.length) {
    const end = bytes.indexOf(NEWLINE, from);
    const to = end < 0 ? bytes.length : end + 1;
    lines.push(bytes.subarray(from, to));
    from = to;
  }
  return lines;
}

/** The hunks that make `after` of `before`; none where they are the same. */
export function diffLines(before: Bytes, after: Bytes): readonly Hunk[] {
  const [a, b] = [splitLines(before), splitLines(after)];
  const same = (i: number, j: number): boolean => {
    const [left, right] = [a[i], b[j]];
    return left !== undefined && right !== undefined && equalBytes(left, right);
  };
  let head = 0;
  while (same(head, head)) head += 1;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && same(a.length - 1 - tail, b.length - 1 - tail)) tail += 1;
  const [oldMiddle, newMiddle] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const edits: Edit[] = [
    ...a.slice(0, head).map(kept),
    ...(script(oldMiddle, newMiddle) ?? [...oldMiddle.map(removed), ...newMiddle.map(added)]),
    ...a.slice(a.length - tail).map(kept),
  ];
  return hunksOf(edits);
}

const kept = (bytes: Bytes): Edit => ({ sign: ' ', bytes });
const removed = (bytes: Bytes): Edit => ({ sign: '-', bytes });
const added = (bytes: Bytes): Edit => ({ sign: '+', bytes });

/** The shortest script, or null beyond the bound. */
function script(a: readonly Bytes[], b: readonly Bytes[]): readonly Edit[] | null {
  const bound = Math.min(a.length + b.length, MAX_EDITS);
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  const isSame = (x: number, y: number): boolean => {
    const [left, right] = [a[x], b[y]];
    return left !== undefined && right !== undefined && equalBytes(left, right);
  };
  for (let d = 0; d <= bound; d += 1) {
    trace.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
      let x = down ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (isSame(x, x - k)) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return backwards(trace, a, b);
    }
  }
  return null;
}

function at(furthest: ReadonlyMap<number, number>, k: number): number {
  return furthest.get(k) ?? -1;
}

function backwards(trace: readonly ReadonlyMap<number, number>[], a: readonly Bytes[], b: readonly Bytes[]): readonly Edit[] {
  const edits: Edit[] = [];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const furthest = trace[d] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
    const fromX = d === 0 ? 0 : at(furthest, down ? k + 1 : k - 1);
    const fromY = d === 0 ? 0 : fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      edits.push(kept(a[x] ?? new Uint8Array()));
    }
    if (d === 0) break;
    edits.push(down ? added(b[fromY] ?? new Uint8Array()) : removed(a[fromX] ?? new Uint8Array()));
    [x, y] = [fromX, fromY];
  }
  return edits.reverse();
}

function hunksOf(edits: readonly Edit[]): readonly Hunk[] {
  const hunks: Hunk[] = [];
  let [oldLine, newLine, index] = [1, 1, 0];
  const step = ({ sign }: Edit): void => {
    if (sign !== '+') oldLine += 1;
    if (sign !== '-') newLine += 1;
  };
  while (index < edits.length) {
    const first = nextChange(edits, index);
    if (first === null) break;
    const start = Math.max(index, first - CONTEXT);
    while (index < start) step(edits[index++] ?? kept(new Uint8Array()));
    let end = first + 1;
    for (let next = nextChange(edits, end); next !== null && next - end <= 2 * CONTEXT; next = nextChange(edits, end)) end = next + 1;
    end = Math.min(edits.length, end + CONTEXT);
    const lines = edits.slice(start, end);
    const oldLines = lines.filter(({ sign }) => sign !== '+').length;
    const newLines = lines.filter(({ sign }) => sign !== '-').length;
    // A side without a line is counted from the line before it.
    hunks.push({
      oldStart: oldLines === 0 ? oldLine - 1 : oldLine,
      oldLines,
      newStart: newLines === 0 ? newLine - 1 : newLine,
      newLines,
      lines,
    });
    for (const edit of lines) step(edit);
    index = end;
  }
  return hunks;
}

function nextChange(edits: readonly Edit[], from: number): number | null {
  for (let index = from; index < edits.length; index += 1) if (edits[index]?.sign !== ' ') return index;
  return null;
}
