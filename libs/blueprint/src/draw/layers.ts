/**
 * From a stage graph to layers: loops are taken out as back edges, what remains is ranked by its longest way, and each layer is ordered so that few
 * edges cross. Deterministic: the same blueprint gives the same layers. Sugiyama's method, sized for a hundred stages.
 */
import type { CheckedBlueprint } from '@openexec/protocol';

/** How a stage is left. */
export type RouteKind = 'success' | 'failure' | 'both';
/** A route to be drawn between two nodes. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly route: RouteKind;
}
/** A forward edge with every node on its way: its two ends, and a bend in each layer between them. */
export interface Way {
  readonly edge: GraphEdge;
  readonly nodes: readonly string[];
}
/** The layered graph. Bends are nodes whose id no stage can have. */
export interface Layered {
  readonly rows: readonly (readonly string[])[];
  readonly ways: readonly Way[];
  readonly back: readonly GraphEdge[];
}
/** The graph before it has layers; ends other than `done` are drawn at their stage and are no nodes. */
export interface PlainGraph {
  readonly nodes: readonly string[];
  readonly edges: readonly GraphEdge[];
}

/** Two neighbours in adjacent layers, the upper first. */
type Link = readonly [string, string];

const SWEEPS = 24;
/** Layers up to this long are ordered exactly: 120 orders each. */
const EXACT_ROW = 5;
/** Beyond so many links neighbours are no longer exchanged one by one: it would take longer than anybody waits for a drawing. */
const EXCHANGED_LINKS = 200;

/** Stages, and `done` where a route leads there; two routes to one place are one edge. */
export function graphOf(checked: CheckedBlueprint): PlainGraph {
  const stages = checked.stages.map(({ id }) => id);
  const edges = checked.stages.flatMap(({ id, onSuccess, onFailure }): GraphEdge[] =>
    onSuccess === onFailure
      ? [{ from: id, to: onSuccess, route: 'both' }]
      : [
          { from: id, to: onSuccess, route: 'success' },
          { from: id, to: onFailure, route: 'failure' },
        ],
  );
  const ends = edges.some(({ to }) => to === 'done') ? ['done'] : [];
  const nodes = [...stages, ...ends];
  return { nodes, edges: edges.filter(({ to }) => nodes.includes(to)) };
}

/** Layers of a graph whose first node is the entry. */
export function layersOf(graph: PlainGraph): Layered {
  const back = backEdges(graph);
  const forward = graph.edges.filter((edge) => !back.has(edge));
  const rank = ranksOf(graph.nodes, forward);
  const ways = forward.map((edge): Way => ({ edge, nodes: [edge.from, ...bendsOf(edge, rank), edge.to] }));
  const rows = orderRows(rowsOf(graph.nodes, rank, ways), ways);
  return { rows, ways, back: [...back] };
}

/** Edges to a node that is on the way to where they start: depth first, in the order of the blueprint. */
function backEdges({ nodes, edges }: PlainGraph): ReadonlySet<GraphEdge> {
  const back = new Set<GraphEdge>();
  const state = new Map<string, 'open' | 'closed'>();
  const visit = (id: string): void => {
    state.set(id, 'open');
    for (const edge of edges) {
      if (edge.from !== id) continue;
      const there = state.get(edge.to);
      if (there === 'open') back.add(edge);
      else if (there === undefined) visit(edge.to);
    }
    state.set(id, 'closed');
  };
  for (const id of nodes) if (!state.has(id)) visit(id);
  return back;
}

/** The longest way from an entry to each node, in edges; there is no cycle left. */
function ranksOf(nodes: readonly string[], forward: readonly GraphEdge[]): ReadonlyMap<string, number> {
  const rank = new Map(nodes.map((id) => [id, 0]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to } of forward) {
      const least = (rank.get(from) ?? 0) + 1;
      if ((rank.get(to) ?? 0) >= least) continue;
      rank.set(to, least);
      changed = true;
    }
  }
  // The end stands below everything, however short the way to it is.
  if (rank.has('done')) rank.set('done', Math.max(...rank.values()));
  return rank;
}

function bendsOf({ from, to, route }: GraphEdge, rank: ReadonlyMap<string, number>): readonly string[] {
  const first = (rank.get(from) ?? 0) + 1;
  const count = Math.max(0, (rank.get(to) ?? 0) - first);
  return Array.from({ length: count }, (_, at) => `${from}>${to}/${route}#${first + at}`);
}

function rowsOf(nodes: readonly string[], rank: ReadonlyMap<string, number>, ways: readonly Way[]): string[][] {
  const rows: string[][] = [];
  const put = (id: string, row: number): void => {
    while (rows.length <= row) rows.push([]);
    rows[row]?.push(id);
  };
  for (const id of nodes) put(id, rank.get(id) ?? 0);
  for (const way of ways) {
    const first = rank.get(way.edge.from) ?? 0;
    for (const [at, id] of way.nodes.entries()) if (at > 0 && at < way.nodes.length - 1) put(id, first + at);
  }
  return rows;
}

/** Pairs of neighbours in adjacent layers. */
function linksOf(ways: readonly Way[]): readonly Link[] {
  return ways.flatMap(({ nodes }) => nodes.slice(1).map((id, at): Link => [nodes[at] ?? id, id]));
}

/** The best order there is where layers are short, else a good one. */
function orderRows(rows: readonly (readonly string[])[], ways: readonly Way[]): readonly (readonly string[])[] {
  const links = linksOf(ways);
  return rows.every((row) => row.length <= EXACT_ROW) ? bestOrder(rows, links) : goodOrder(rows, links);
}

interface Ordering {
  readonly rows: readonly (readonly string[])[];
  readonly crossed: number;
}

/**
 * Crossings lie between neighbouring layers only, so the best order of all is found layer by layer: for each order of a layer, the best of all orders
 * above it.
 */
function bestOrder(rows: readonly (readonly string[])[], links: readonly Link[]): readonly (readonly string[])[] {
  let known: readonly Ordering[] = [{ rows: [], crossed: 0 }];
  for (const row of rows) {
    known = permutations(row).map((order) => {
      const extended = known.map((above): Ordering => {
        const last = above.rows.at(-1);
        return { rows: [...above.rows, order], crossed: above.crossed + (last === undefined ? 0 : crossings([last, order], links)) };
      });
      return fewest(extended);
    });
  }
  return fewest(known).rows;
}

/** The first of those with the fewest crossings. */
function fewest(orderings: readonly Ordering[]): Ordering {
  return orderings.reduce((best, one) => (one.crossed < best.crossed ? one : best));
}

function permutations(row: readonly string[]): readonly (readonly string[])[] {
  if (row.length <= 1) return [row];
  return row.flatMap((id, at) => permutations([...row.slice(0, at), ...row.slice(at + 1)]).map((rest) => [id, ...rest]));
}

/** Sweeps by the mean place of the neighbours, then exchanges neighbours while that helps; the best order that was seen is kept. */
function goodOrder(rows: readonly (readonly string[])[], links: readonly Link[]): readonly (readonly string[])[] {
  let best = rows.map((row) => [...row]);
  let least = crossings(best, links);
  let now = best;
  const near = { down: neighbours(links, 'down'), up: neighbours(links, 'up') };
  for (let sweep = 0; sweep < SWEEPS && least > 0; sweep++) {
    const way = sweep % 2 === 0 ? 'down' : 'up';
    now = swept(now, near[way], way);
    if (links.length <= EXCHANGED_LINKS) transpose(now, links);
    const count = crossings(now, links);
    if (count >= least) continue;
    least = count;
    best = now;
  }
  return best;
}

function swept(rows: readonly (readonly string[])[], near: ReadonlyMap<string, readonly string[]>, way: 'down' | 'up'): string[][] {
  const place = new Map(rows.flatMap((row) => row.map((id, at): [string, number] => [id, at])));
  const next = rows.map((row) => [...row]);
  const order = way === 'down' ? next : [...next].reverse();
  for (const row of order) {
    const wish = new Map(row.map((id, at): [string, number] => [id, meanOf(near.get(id) ?? [], place) ?? at]));
    // Array.sort is stable: equal wishes keep their order.
    row.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
    for (const [at, id] of row.entries()) place.set(id, at);
  }
  return next;
}

/** What each node is drawn to: those above it, or those below it. */
function neighbours(links: readonly Link[], way: 'down' | 'up'): ReadonlyMap<string, readonly string[]> {
  const near = new Map<string, string[]>();
  for (const [upper, lower] of links) {
    const [id, other] = way === 'down' ? [lower, upper] : [upper, lower];
    const group = near.get(id) ?? [];
    near.set(id, group);
    group.push(other);
  }
  return near;
}

function meanOf(ids: readonly string[], place: ReadonlyMap<string, number>): number | null {
  return ids.length === 0 ? null : ids.reduce((sum, id) => sum + (place.get(id) ?? 0), 0) / ids.length;
}

function transpose(rows: readonly string[][], links: readonly Link[]): void {
  for (let better = true; better; ) {
    better = false;
    for (const row of rows) {
      for (let at = 0; at + 1 < row.length; at++) {
        const before = crossings(rows, links);
        exchange(row, at);
        if (crossings(rows, links) < before) better = true;
        else exchange(row, at);
      }
    }
  }
}

function exchange(row: string[], at: number): void {
  const [left, right] = [row[at], row[at + 1]];
  if (left === undefined || right === undefined) return;
  row[at] = right;
  row[at + 1] = left;
}

/** Pairs of links between the same two layers that cross. */
export function crossings(rows: readonly (readonly string[])[], links: readonly Link[]): number {
  const place = new Map(rows.flatMap((row, layer) => row.map((id, at): [string, { layer: number; at: number }] => [id, { layer, at }])));
  const layers = new Map<number, { readonly from: number; readonly to: number }[]>();
  for (const [upper, lower] of links) {
    const [a, b] = [place.get(upper), place.get(lower)];
    if (a === undefined || b === undefined) continue;
    const group = layers.get(a.layer) ?? [];
    layers.set(a.layer, group);
    group.push({ from: a.at, to: b.at });
  }
  let count = 0;
  for (const group of layers.values())
    for (const [at, one] of group.entries())
      for (let next = at + 1; next < group.length; next++) {
        const other = group[next];
        if (other !== undefined && (one.from - other.from) * (one.to - other.to) < 0) count += 1;
      }
  return count;
}
