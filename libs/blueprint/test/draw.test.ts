/**
 * Drawings: every route of every shipped blueprint is in each of them, nothing that people wrote becomes markup, layers lead downwards, boxes do not
 * overlap, loops are drawn as loops, and the order of layers has no more crossings than brute force finds for small graphs.
 */
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import fc from 'fast-check';
import { crossings, graphOf, type GraphEdge, layersOf, type Way } from '../src/draw/layers.ts';
import { placeGraph } from '../src/draw/place.ts';
import { blueprintGraph } from '../src/index.ts';

const ENDS = ['done', 'fail', 'paused'];
function stageAt(id: string, onSuccess: string, onFailure: string, more: Partial<CheckedStage> = {}): CheckedStage {
  const common = {
    inputs: [],
    outputs: [],
    retryLimit: 2,
    visitLimit: 3,
    approvalRequired: false,
    sandbox: 'read_only' as const,
    when: null,
  };
  // The spread of a partial union is wider than either of its members; tests give only common ones.
  return { ...common, id, onSuccess, onFailure, type: 'deterministic', action: 'run_tests', arguments: {}, ...more } as CheckedStage;
}
function drawn(stages: readonly CheckedStage[], description = ''): CheckedBlueprint {
  return { version: 1, name: 'sample', description, approvalMode: 'never', stages: [...stages] };
}
const random = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { minLength: 1, maxLength: 7 }).map((routes) => {
  const target = (at: number): string => (at < routes.length ? `s${at}` : (ENDS[at % 3] ?? 'done'));
  return drawn(routes.map(([success, failure], at) => stageAt(`s${at}`, target(success), target(failure))));
});
const QUICK = drawn([
  stageAt('implement', 'run_tests', 'fail'),
  stageAt('run_tests', 'land', 'fix'),
  stageAt('fix', 'run_tests', 'fail'),
  stageAt('land', 'done', 'fail', { approvalRequired: true }),
]);

describe('layers', () => {
  test('property: every forward edge leads down layer by layer, every edge is drawn once, and what leads back is on a cycle', () => {
    fc.assert(
      fc.property(random, (checked) => {
        const graph = graphOf(checked);
        const { rows, ways, back } = layersOf(graph);
        const layer = (id: string): number => rows.findIndex((row) => row.includes(id));
        const name = ({ from, to, route }: GraphEdge): string => `${from} ${to} ${route}`;
        expect(new Set([...ways.map(({ edge }) => name(edge)), ...back.map((edge) => name(edge))])).toEqual(new Set(graph.edges.map(name)));
        expect(ways.length + back.length).toBe(graph.edges.length);
        for (const { nodes } of ways) expect(nodes.map(layer)).toEqual(nodes.map((_, at) => layer(nodes[0] ?? '') + at));
        for (const edge of back) expect(reaches(graph.edges, edge.to, edge.from)).toBe(true);
        expect(rows.flat().length).toBe(new Set(rows.flat()).size);
      }),
      { numRuns: 500 },
    );
  });
  test('property: graphs of short layers are ordered with as few crossings as the best of all orders', () => {
    let seen = 0;
    fc.assert(
      fc.property(random, (checked) => {
        const { rows, ways } = layersOf(graphOf(checked));
        const orders = rows.reduce((count, row) => count * factorial(row.length), 1);
        if (orders > 2000) return;
        seen += orders > 1 ? 1 : 0;
        expect(crossings(rows, linksOf(ways))).toBe(Math.min(...everyOrder(rows).map((order) => crossings(order, linksOf(ways)))));
      }),
      { numRuns: 300 },
    );
    expect(seen).toBeGreaterThan(50);
  });
  test('long layers come out with fewer crossings than they were written with', () => {
    // Each routes to the mirrored place of the next layer, so that in the order of writing every pair crosses.
    const tops = Array.from({ length: 8 }, (_, at) => stageAt(`t${at}`, `b${7 - at}`, `b${7 - at}`));
    const bottoms = Array.from({ length: 8 }, (_, at) => stageAt(`b${at}`, 'done', 'done'));
    const graph = graphOf(drawn([...tops, ...bottoms]));
    const { rows, ways } = layersOf(graph);
    expect(rows[0]).toHaveLength(8);
    expect(crossings([rows[0] ?? [], bottoms.map(({ id }) => id)], linksOf(ways))).toBe(28);
    expect(crossings(rows, linksOf(ways))).toBe(0);
  });
});

describe('places', () => {
  test('property: no two boxes overlap, with what hangs at them; nothing lies outside of the drawing', () => {
    fc.assert(
      fc.property(random, fc.integer({ min: 60, max: 300 }), (checked, width) => {
        const placed = placeGraph(checked, () => ({ width, height: 60, tail: 40 }), 50);
        for (const [at, one] of placed.boxes.entries()) {
          expect(one.x - one.width / 2).toBeGreaterThanOrEqual(0);
          expect(one.x + one.width / 2 + one.tail).toBeLessThanOrEqual(placed.width);
          expect(one.y + one.height).toBeLessThanOrEqual(placed.height);
          for (const other of placed.boxes.slice(at + 1)) {
            const beside =
              one.x + one.width / 2 + one.tail <= other.x - other.width / 2 ||
              other.x + other.width / 2 + other.tail <= one.x - one.width / 2;
            expect(beside || one.y + one.height <= other.y || other.y + other.height <= one.y).toBe(true);
          }
        }
        for (const { points } of placed.lines)
          for (const [x, y] of points) expect(x >= 0 && x <= placed.width && y >= 0 && y <= placed.height).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('an SVG', () => {
  test('names every stage and every route, loops as loops, and ends at their stage', () => {
    const svg = blueprintGraph(QUICK, 'svg');
    for (const said of [
      'implement to run_tests, success',
      'run_tests to fix, failure',
      'fix to run_tests, success, a loop',
      'land to done, success',
    ])
      expect(svg).toContain(`<title>${said}</title>`);
    expect(svg.match(/class="fail"/g)).toHaveLength(3);
    expect(svg.match(/class="[a-z]+ loop"/g)).toHaveLength(1);
    expect(svg).toContain('>result wants approval</text>');
    expect(svg).toContain('@media (prefers-color-scheme:dark)');
  });
  test('is well-formed and holds nothing that runs or is fetched, whatever people wrote', () => {
    const nasty = '</text><script>alert(1)</script>"\'&\u0000\u202e\ud800 <![CDATA[';
    const when = { artifact: 'report', field: nasty, eq: nasty };
    const svg = blueprintGraph(drawn([stageAt('a', 'done', 'paused', { when })], nasty), 'svg');
    expect(svg).not.toMatch(/<script|<!\[CDATA|href|url\((?!#)|@import|\u0000|\u202e|[\ud800-\udfff]/);
    expect(wellFormed(svg)).toBe(true);
    expect(wellFormed('<a><b></a>')).toBe(false);
  });
  test('is the same text for the same blueprint', () => {
    expect(blueprintGraph(QUICK, 'svg')).toBe(blueprintGraph(structuredClone(QUICK), 'svg'));
  });
});

test('a blueprint of a hundred stages that all fail to the last one is drawn all the same, before anybody loses patience', () => {
  const stages = Array.from({ length: 100 }, (_, at) =>
    stageAt(`stage_${at}`, at === 99 ? 'done' : `stage_${at + 1}`, at < 98 ? 'stage_99' : 'fail'),
  );
  const before = process.cpuUsage().user;
  expect(blueprintGraph(drawn(stages), 'svg')).toContain('stage_42 to stage_99, failure');
  expect((process.cpuUsage().user - before) / 1e6).toBeLessThan(20);
});
test.each(['text', 'mermaid', 'svg'] as const)('every stage of a blueprint of a hundred stages is in its %s', (format) => {
  const stages = Array.from({ length: 100 }, (_, at) =>
    stageAt(`stage_${at}`, at === 99 ? 'done' : `stage_${at + 1}`, at % 7 === 6 ? `stage_${at - 6}` : 'fail'),
  );
  const said = blueprintGraph(drawn(stages), format);
  for (const { id } of stages) expect(said).toContain(id);
});

function reaches(edges: readonly GraphEdge[], from: string, to: string): boolean {
  const seen = new Set([from]);
  for (const id of seen) for (const edge of edges) if (edge.from === id) seen.add(edge.to);
  return seen.has(to);
}
function linksOf(ways: readonly Way[]): readonly (readonly [string, string])[] {
  return ways.flatMap(({ nodes }) => nodes.slice(1).map((id, at): readonly [string, string] => [nodes[at] ?? '', id]));
}
function factorial(count: number): number {
  return count <= 1 ? 1 : count * factorial(count - 1);
}
function permutations(row: readonly string[]): readonly (readonly string[])[] {
  if (row.length <= 1) return [row];
  return row.flatMap((id, at) => permutations([...row.slice(0, at), ...row.slice(at + 1)]).map((rest) => [id, ...rest]));
}
function everyOrder(rows: readonly (readonly string[])[]): readonly (readonly (readonly string[])[])[] {
  return rows.reduce<readonly (readonly (readonly string[])[])[]>(
    (orders, row) => orders.flatMap((order) => permutations(row).map((next) => [...order, next])),
    [[]],
  );
}
/** Tags nest, attributes are quoted, and no bare `&` or `<` stands in text. */
function wellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replace(/<(\/?)([a-z]+)((?: [A-Za-z:-]+="[^"<]*")*)(\/?)>/g, (_, closing: string, name: string, __, single: string) => {
    if (closing === '/') return open.pop() === name ? '' : '<';
    if (single !== '/') open.push(name);
    return '';
  });
  return open.length === 0 && !rest.includes('<') && !/&(?!(amp|lt|gt|quot);)/.test(rest);
}
