/**
 * A checked blueprint as one SVG file: self-contained, no script, readable on light and dark. Must never let text of a blueprint become markup.
 * CLI `blueprint graph --format svg`.
 */
import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import { type Box, type Line, placeGraph, type Placed, type Size } from './place.ts';
import { conditionOf, counted } from './words.ts';

/** Width of one character of the monospaced face, by its size: six tenths, as such faces have it. */
const ADVANCE = 0.6;
const TITLE = 14;
const SMALL = 11;
const LEADING = 17;
const PAD = 14;
const PILL = { gap: 30, height: 20 } as const;
const MAX_CHARACTERS = 56;
const HEADING = 58;
const CORNER = 8;

const LIGHT = {
  ground: '#ffffff',
  ink: '#1f2328',
  soft: '#59636e',
  line: '#57606a',
  box: '#f6f8fa',
  agent: '#ddf4ff',
  good: '#1a7f37',
  bad: '#cf222e',
  wait: '#9a6700',
};
const DARK = {
  ground: '#0d1117',
  ink: '#f0f6fc',
  soft: '#9198a1',
  line: '#8b949e',
  box: '#161b22',
  agent: '#0c2d4a',
  good: '#3fb950',
  bad: '#f85149',
  wait: '#d29922',
};
type Colours = { readonly [K in keyof typeof LIGHT]: string };

/** The drawing, as the text of an SVG file. */
export function blueprintSvg(checked: CheckedBlueprint): string {
  const stages = new Map(checked.stages.map((stage) => [stage.id, stage]));
  const placed = placeGraph(checked, (id) => sizeOf(stages.get(id)), HEADING);
  const title = `Blueprint ${checked.name}`;
  const heading = [title, clipped(checked.description, 120)];
  const width = Math.ceil(Math.max(placed.width, ...heading.map((line, at) => widthOf(line, at === 0 ? TITLE + 2 : SMALL) + 48)));
  const height = Math.ceil(placed.height);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(checked.description)}</desc>`,
    `<style>${styleOf()}</style>`,
    `<defs>${['good', 'bad', 'line'].map(marker).join('')}</defs>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text class="name" x="24" y="36">${escaped(title)}</text>`,
    `<text class="small" x="24" y="56">${escaped(heading[1] ?? '')}</text>`,
    ...placed.lines.map(drawLine),
    ...placed.boxes.map((box) => drawBox(box, stages.get(box.id))),
    ...labelsOf(placed),
    '</svg>',
  ].join('\n')}\n`;
}

/** What stands in a stage's box: the first line is its id. */
function linesOf(stage: CheckedStage): readonly string[] {
  const work = stage.type === 'agent' ? `agent · ${stage.toolset}` : `action ${stage.action}`;
  const caps = `${stage.sandbox} · ${counted(stage.visitLimit, 'visit', 'visits')} × ${counted(stage.retryLimit, 'try', 'tries')}`;
  const more = [
    ...(stage.when === null ? [] : [`when ${conditionOf(stage.when)}`]),
    ...(stage.type === 'agent' && stage.protect !== undefined ? [`keeps ${stage.protect.join(', ')}`] : []),
    ...(stage.approvalRequired ? ['result wants approval'] : []),
  ];
  return [stage.id, work, caps, ...more].map((line) => clipped(line, MAX_CHARACTERS));
}

/** Ends that hang at a stage: routes to `fail` and `paused`. */
function pillsOf(stage: CheckedStage): readonly { readonly end: string; readonly route: 'success' | 'failure' | 'both' }[] {
  const local = (end: string): boolean => end === 'fail' || end === 'paused';
  if (stage.onSuccess === stage.onFailure) return local(stage.onSuccess) ? [{ end: stage.onSuccess, route: 'both' }] : [];
  return [
    ...(local(stage.onSuccess) ? [{ end: stage.onSuccess, route: 'success' as const }] : []),
    ...(local(stage.onFailure) ? [{ end: stage.onFailure, route: 'failure' as const }] : []),
  ];
}

function sizeOf(stage: CheckedStage | undefined): Size {
  if (stage === undefined) return { width: 72, height: 30, tail: 0 };
  const lines = linesOf(stage);
  const widest = Math.max(...lines.map((line, at) => widthOf(line, at === 0 ? TITLE : SMALL)));
  const pills = pillsOf(stage).map(({ end }) => PILL.gap + pillWidth(end));
  return { width: Math.ceil(widest + 2 * PAD), height: lines.length * LEADING + PAD, tail: Math.max(0, ...pills) };
}

function pillWidth(end: string): number {
  return Math.ceil(widthOf(end, SMALL) + 16);
}

function widthOf(text: string, size: number): number {
  return [...text].length * size * ADVANCE;
}

function drawBox(box: Box, stage: CheckedStage | undefined): string {
  const left = round(box.x - box.width / 2);
  const top = round(box.y);
  if (stage === undefined) {
    const text = `<text class="end" x="${round(box.x)}" y="${round(box.y + box.height / 2 + 4)}">${escaped(box.id)}</text>`;
    return `<g><rect class="done" x="${left}" y="${top}" width="${box.width}" height="${box.height}" rx="${box.height / 2}"/>${text}</g>`;
  }
  const corner = stage.type === 'agent' ? 16 : 4;
  const rows = linesOf(stage).map((line, at) => {
    const y = round(box.y + PAD / 2 + LEADING * (at + 1) - 4);
    return `<text class="${at === 0 ? 'id' : line === 'result wants approval' ? 'asks' : 'small'}" x="${left + PAD}" y="${y}">${escaped(line)}</text>`;
  });
  const frame = `<rect class="${stage.type}" x="${left}" y="${top}" width="${box.width}" height="${box.height}" rx="${corner}"/>`;
  return `<g>${frame}${rows.join('')}${pillsOf(stage)
    .map((pill, at) => drawPill(box, pill, at))
    .join('')}</g>`;
}

function drawPill(box: Box, pill: { readonly end: string; readonly route: string }, at: number): string {
  const x = round(box.x + box.width / 2);
  const y = round(box.y + 18 + at * (PILL.height + 6));
  const width = pillWidth(pill.end);
  const good = pill.route === 'success';
  return [
    `<path class="${good ? 'good' : 'bad'}" marker-end="url(#${good ? 'good' : 'bad'})" d="M${x} ${y}H${x + PILL.gap - 2}"><title>${pill.route}</title></path>`,
    `<rect class="${pill.end === 'fail' ? 'fail' : 'paused'}" x="${x + PILL.gap}" y="${y - PILL.height / 2}" width="${width}" height="${PILL.height}" rx="${PILL.height / 2}"/>`,
    `<text class="pill" x="${x + PILL.gap + width / 2}" y="${y + 4}">${escaped(pill.end)}</text>`,
  ].join('');
}

function colourOf({ edge }: Line): 'good' | 'bad' | 'line' {
  return edge.route === 'both' ? 'line' : edge.route === 'success' ? 'good' : 'bad';
}

function drawLine(line: Line): string {
  const colour = colourOf(line);
  const path = line.loop ? angular(line.points) : curved(line.points);
  const said = `${line.edge.from} to ${line.edge.to}, ${line.edge.route === 'both' ? 'success or failure' : line.edge.route}${line.loop ? ', a loop' : ''}`;
  return `<path class="${colour}${line.loop ? ' loop' : ''}" marker-end="url(#${colour})" d="${path}"><title>${escaped(said)}</title></path>`;
}

/** Vertical at both ends, so that lines leave and enter boxes straight. */
function curved(points: Line['points']): string {
  const [first] = points;
  if (first === undefined) return '';
  let path = `M${round(first[0])} ${round(first[1])}`;
  for (const [at, [x, y]] of points.entries()) {
    const before = points[at - 1];
    if (before === undefined) continue;
    const middle = round((before[1] + y) / 2);
    path += before[0] === x ? `V${round(y)}` : `C${round(before[0])} ${middle} ${round(x)} ${middle} ${round(x)} ${round(y)}`;
  }
  return path;
}

/** Straight pieces with rounded corners. */
function angular(points: Line['points']): string {
  let path = '';
  for (const [at, point] of points.entries()) {
    const [before, after] = [points[at - 1], points[at + 1]];
    if (before === undefined) path += `M${round(point[0])} ${round(point[1])}`;
    else if (after === undefined) path += `L${round(point[0])} ${round(point[1])}`;
    else {
      const [inX, inY] = towards(point, before);
      const [outX, outY] = towards(point, after);
      path += `L${inX} ${inY}Q${round(point[0])} ${round(point[1])} ${outX} ${outY}`;
    }
  }
  return path;
}

/** A corner's radius away from a point, towards another. */
function towards([x, y]: readonly [number, number], [toX, toY]: readonly [number, number]): readonly [number, number] {
  const length = Math.max(1, Math.abs(toX - x) + Math.abs(toY - y));
  const part = Math.min(CORNER, length / 2) / length;
  return [round(x + (toX - x) * part), round(y + (toY - y) * part)];
}

/** Names of the routes beside where they start: outside of a pair, and of a loop below its turn. */
function labelsOf({ lines }: Placed): readonly string[] {
  return lines.flatMap((line) => {
    const [start, turn] = line.points;
    if (start === undefined || turn === undefined) return [];
    const beside = lines.find((other) => other !== line && !other.loop && other.edge.from === line.edge.from)?.points[0];
    const left = line.loop || (beside !== undefined && start[0] < beside[0]);
    const x = start[0] + (left ? -7 : 7);
    const y = line.loop ? turn[1] + 13 : start[1] + 14;
    const text = line.edge.route === 'both' ? 'either' : line.edge.route;
    return [`<text class="route ${colourOf(line)}-text${left ? ' left' : ''}" x="${round(x)}" y="${round(y)}">${text}</text>`];
  });
}

function marker(colour: string): string {
  return `<marker id="${colour}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="${colour}-fill" d="M0 0L10 5L0 10z"/></marker>`;
}

function styleOf(): string {
  const face = 'font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace';
  const shape = [
    `text{${face}}`,
    `.name{font-size:${TITLE + 2}px;font-weight:700}`,
    `.id{font-size:${TITLE}px;font-weight:700}`,
    `.small,.asks,.route,.pill,.end{font-size:${SMALL}px}`,
    '.pill,.end{text-anchor:middle}.end{font-weight:700}.left{text-anchor:end}',
    '.route{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}',
    'path{stroke-width:1.6px}path.good,path.bad,path.line{fill:none}path.bad{stroke-dasharray:6 4}path.loop{stroke-width:2.2px}',
    'rect{stroke-width:1.4px}.ground{stroke:none}',
  ].join('');
  return `${shape}${coloursOf(LIGHT)}@media (prefers-color-scheme:dark){${coloursOf(DARK)}}`;
}

function coloursOf(c: Colours): string {
  return [
    `.ground{fill:${c.ground}}.name,.id,.end{fill:${c.ink}}.small,.pill{fill:${c.soft}}.asks{fill:${c.wait}}`,
    `.deterministic{fill:${c.box};stroke:${c.line}}.agent{fill:${c.agent};stroke:${c.line}}`,
    `.done{fill:${c.box};stroke:${c.good}}.fail{fill:${c.box};stroke:${c.bad}}.paused{fill:${c.box};stroke:${c.wait}}`,
    `path.good{stroke:${c.good}}path.bad{stroke:${c.bad}}path.line{stroke:${c.line}}`,
    `.good-fill,.good-text{fill:${c.good}}.bad-fill,.bad-text{fill:${c.bad}}.line-fill,.line-text{fill:${c.line}}`,
    `.route{stroke:${c.ground}}`,
  ].join('');
}

function clipped(text: string, max: number): string {
  const characters = [...text.replace(/\s+/g, ' ')];
  return characters.length <= max ? characters.join('') : `${characters.slice(0, max - 1).join('')}…`;
}

/** Text for SVG: markup is escaped, and what XML cannot hold, or what turns the direction of text, is shown as a replacement. */
function escaped(text: string): string {
  return text
    .replace(
      /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\p{Surrogate}/gu,
      '\ufffd',
    )
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
