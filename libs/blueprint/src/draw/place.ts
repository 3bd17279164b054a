/**
 * From layers to places: every node gets a box, every edge a line that leaves the boxes alone. Loops run in lanes of their own beside the graph, so that
 * they are seen. All numbers are pixels of the drawing; deterministic.
 */
import type { CheckedBlueprint } from '@openexec/protocol';
import { graphOf, type GraphEdge, type Layered, layersOf, type Way } from './layers.ts';

/** A node's box by its middle and its top. `tail` is room at its right for what hangs there. */
export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly tail: number;
  readonly x: number;
  readonly y: number;
}
/** A line through points; `loop` leads back. */
export interface Line {
  readonly edge: GraphEdge;
  readonly loop: boolean;
  readonly points: readonly (readonly [number, number])[];
}
/** The whole drawing's geometry. */
export interface Placed {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly lines: readonly Line[];
}
/** What a node needs. */
export interface Size {
  readonly width: number;
  readonly height: number;
  readonly tail: number;
}

const MARGIN = 24;
const COLUMN_GAP = 36;
const ROW_GAP = 52;
const LANE = 16;
const BEND: Size = { width: 8, height: 0, tail: 0 };
const ROUNDS = 200;

/** Places of a blueprint whose nodes have these sizes, below a heading of that height. */
export function placeGraph(checked: CheckedBlueprint, sizeOf: (id: string) => Size, heading: number): Placed {
  const layered = layersOf(graphOf(checked));
  const sizes = new Map(layered.rows.flat().map((id) => [id, isBend(id) ? BEND : sizeOf(id)]));
  const size = (id: string): Size => sizes.get(id) ?? BEND;
  const lanes = [...layered.back].sort((a, b) => spanOf(a, layered) - spanOf(b, layered));
  const x = columns(layered, size);
  const rows = rowsOf(layered, size, { lanes, heading });
  const least = Math.min(...[...x].map(([id, middle]) => middle - size(id).width / 2));
  const shift = MARGIN + lanes.length * LANE + (lanes.length > 0 ? LANE : 0) - least;
  const boxes = layered.rows.flatMap((row, layer) =>
    row.map((id): Box => {
      const { width, height, tail } = size(id);
      const room = rows.heights[layer] ?? height;
      return { id, width, height, tail, x: (x.get(id) ?? 0) + shift, y: (rows.tops[layer] ?? 0) + (room - height) / 2 };
    }),
  );
  const at = new Map(boxes.map((box) => [box.id, box]));
  const lines = [...forwardLines(layered, at, rows), ...loopLines(lanes, layered, { at, rows })];
  const width = Math.max(...boxes.map((box) => box.x + box.width / 2 + box.tail)) + MARGIN;
  return { width, height: rows.end + MARGIN, boxes: boxes.filter(({ id }) => !isBend(id)), lines };
}

/** Bends have a mark that no stage id may hold. */
function isBend(id: string): boolean {
  return id.includes('>');
}

function layerOf(id: string, { rows }: Layered): number {
  return rows.findIndex((row) => row.includes(id));
}

function spanOf(edge: GraphEdge, layered: Layered): number {
  return layerOf(edge.from, layered) - layerOf(edge.to, layered);
}

/** Middles of all nodes: each is drawn to the mean of its neighbours, as far as those beside it leave room. */
function columns({ rows, ways }: Layered, size: (id: string) => Size): ReadonlyMap<string, number> {
  const x = new Map<string, number>();
  const near = new Map<string, string[]>();
  const link = (one: string, other: string): void => void near.set(one, [...(near.get(one) ?? []), other]);
  for (const { nodes } of ways) {
    for (const [at, id] of nodes.entries()) {
      const next = nodes[at + 1];
      if (next === undefined) continue;
      link(id, next);
      link(next, id);
    }
  }
  for (const row of rows) setRow(row, x, size, (_, at) => at);
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of round % 2 === 0 ? rows : [...rows].reverse()) {
      setRow(row, x, size, (id) => meanOf(id, near, x));
    }
  }
  // Last, each below those that lead to it: chains stand straight.
  const above = new Map<string, string[]>();
  for (const { nodes } of ways)
    for (const [at, id] of nodes.entries()) if (at > 0) above.set(id, [...(above.get(id) ?? []), nodes[at - 1] ?? id]);
  for (const row of rows) setRow(row, x, size, (id) => meanOf(id, above, x));
  return x;
}

/** The mean place of these neighbours, or where the node stands when it has none. */
function meanOf(id: string, near: ReadonlyMap<string, readonly string[]>, x: ReadonlyMap<string, number>): number {
  const places = (near.get(id) ?? []).map((other) => x.get(other) ?? 0);
  return places.length === 0 ? (x.get(id) ?? 0) : places.reduce((sum, place) => sum + place, 0) / places.length;
}

function setRow(
  row: readonly string[],
  x: Map<string, number>,
  size: (id: string) => Size,
  wish: (id: string, at: number) => number,
): void {
  const wishes = row.map(wish);
  let edge = Number.NEGATIVE_INFINITY;
  const placed = row.map((id, at) => {
    const { width, tail } = size(id);
    const middle = Math.max(wishes[at] ?? 0, edge + width / 2);
    edge = middle + width / 2 + tail + COLUMN_GAP;
    return middle;
  });
  // Pushing goes to the right only; half of it is given back to the left.
  const pushed = placed.reduce((sum, middle, at) => sum + middle - (wishes[at] ?? 0), 0) / Math.max(1, row.length);
  for (const [at, id] of row.entries()) x.set(id, (placed[at] ?? 0) - pushed);
}

interface Rows {
  readonly tops: readonly number[];
  readonly heights: readonly number[];
  /** Where the gap above each layer begins; the one after the last is the end of the drawing. */
  readonly gaps: readonly number[];
  readonly end: number;
}

/** Tops of the layers. A gap that loops turn in is higher by a lane for each. */
function rowsOf(
  layered: Layered,
  size: (id: string) => Size,
  more: { readonly lanes: readonly GraphEdge[]; readonly heading: number },
): Rows {
  const tops: number[] = [];
  const heights: number[] = [];
  const gaps: number[] = [];
  let y = MARGIN + more.heading;
  for (const [layer, row] of layered.rows.entries()) {
    gaps.push(y);
    const turns = more.lanes.filter((edge) => layerOf(edge.to, layered) === layer || layerOf(edge.from, layered) + 1 === layer).length;
    y += layer === 0 ? turns * LANE : ROW_GAP + turns * LANE;
    tops.push(y);
    const height = Math.max(...row.map((id) => size(id).height));
    heights.push(height);
    y += height;
  }
  gaps.push(y);
  const last = more.lanes.filter((edge) => layerOf(edge.from, layered) === layered.rows.length - 1).length;
  return { tops, heights, gaps, end: y + last * LANE };
}

/** Where lines leave a box: one in the middle; of two, the one that goes further left on the left, so that they do not cross at once. */
function exitsOf({ ways }: Layered, at: ReadonlyMap<string, Box>): ReadonlyMap<Way, number> {
  const exits = new Map<Way, number>();
  for (const box of at.values()) {
    const leaving = ways.filter(({ edge }) => edge.from === box.id).sort((a, b) => aimOf(a, at) - aimOf(b, at));
    for (const [index, way] of leaving.entries())
      exits.set(way, box.x + (leaving.length === 1 ? 0 : (index === 0 ? -1 : 1) * (box.width / 6)));
  }
  return exits;
}

function aimOf({ nodes }: Way, at: ReadonlyMap<string, Box>): number {
  return at.get(nodes[1] ?? '')?.x ?? 0;
}

function forwardLines(layered: Layered, at: ReadonlyMap<string, Box>, rows: Rows): readonly Line[] {
  const exits = exitsOf(layered, at);
  return layered.ways.flatMap((way): Line[] => {
    const { edge, nodes } = way;
    const boxes = nodes.flatMap((id) => at.get(id) ?? []);
    const [from, to] = [boxes[0], boxes.at(-1)];
    if (from === undefined || to === undefined) return [];
    const bends = boxes.slice(1, -1).flatMap((box): (readonly [number, number])[] => {
      const layer = rows.tops.findIndex((top, index) => box.y >= top && box.y <= top + (rows.heights[index] ?? 0));
      const top = rows.tops[layer] ?? box.y;
      return [
        [box.x, top],
        [box.x, top + (rows.heights[layer] ?? 0)],
      ];
    });
    const entering = layered.ways
      .filter((other) => other.edge.to === edge.to)
      .sort((one, other) => comesFrom(one, at) - comesFrom(other, at));
    const enter = to.x + (entering.indexOf(way) - (entering.length - 1) / 2) * 14;
    return [{ edge, loop: false, points: [[exits.get(way) ?? from.x, from.y + from.height], ...bends, [enter, to.y]] }];
  });
}

function comesFrom({ nodes }: Way, at: ReadonlyMap<string, Box>): number {
  return at.get(nodes.at(-2) ?? '')?.x ?? 0;
}

/** A loop goes down into the gap below its stage, out to its lane, up, and in through the gap above the stage that it leads back to. */
function loopLines(
  lanes: readonly GraphEdge[],
  layered: Layered,
  { at, rows }: { readonly at: ReadonlyMap<string, Box>; readonly rows: Rows },
): readonly Line[] {
  return lanes.flatMap((edge, index): Line[] => {
    const [from, to] = [at.get(edge.from), at.get(edge.to)];
    if (from === undefined || to === undefined) return [];
    const lane = MARGIN + (lanes.length - 1 - index) * LANE;
    const [start, end] = [layerOf(edge.from, layered) + 1, layerOf(edge.to, layered)];
    const below = (rows.gaps[start] ?? 0) + LANE * (turnsIn(start, lanes, layered).indexOf(`${index} out`) + 0.75);
    const above = (rows.gaps[end] ?? 0) + LANE * (turnsIn(end, lanes, layered).indexOf(`${index} in`) + 0.75);
    const beside = (key: 'from' | 'to') => lanes.slice(0, index).filter((other) => other[key] === edge[key]).length;
    const out = from.x - from.width / 3 - beside('from') * 14;
    const entry = to.x - to.width / 3 + beside('to') * 14;
    return [
      {
        edge,
        loop: true,
        points: [
          [out, from.y + from.height],
          [out, below],
          [lane, below],
          [lane, above],
          [entry, above],
          [entry, to.y],
        ],
      },
    ];
  });
}

/**
 * The turns of loops in the gap above a layer, from the top: those that leave the layer above, inner lanes first, then those that enter the layer below,
 * outer lanes first, so that loops do not cross each other there.
 */
function turnsIn(gap: number, lanes: readonly GraphEdge[], layered: Layered): readonly string[] {
  const leaving = lanes.flatMap((edge, index) => (layerOf(edge.from, layered) + 1 === gap ? [`${index} out`] : []));
  const entering = lanes.flatMap((edge, index) => (layerOf(edge.to, layered) === gap ? [`${index} in`] : []));
  return [...leaving, ...entering.reverse()];
}
