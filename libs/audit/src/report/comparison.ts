/**
 * Two runs side by side as a page for people: what `diff RUN RUN` says, made of the same comparison and of nothing else. No script, nothing loaded,
 * light and dark. Bounded: what does not fit is named.
 */
import type { FacetDifference, PlacedDifference, RunComparison, RunFigures } from '../compare.ts';
import { beginning } from './escape.ts';
import { type Cell, code, mark, pageOf, table, terms } from './page.ts';

/** Rows of one table, and characters of one cell; `--json` has the rest. */
const MAX_ROWS = 1000;
const MAX_CHARACTERS = 500;

const HEADS = ['Left', 'Right'] as const;

/** The page. */
export function comparisonPage(compared: RunComparison): string {
  const { left, right, same, first, unreadable } = compared;
  const read = unreadable.left.length + unreadable.right.length === 0;
  return pageOf(`Two runs: ${left} and ${right}`, [
    '<header>',
    '<h1>Two runs side by side</h1>',
    terms([
      ['Left', code(left)],
      ['Right', code(right)],
      ['Verdict', same ? mark('nothing differs', 'good') : mark(read ? 'they differ' : 'they differ, or could not be read whole', 'bad')],
      ['Proof', 'This page is made from the entries and proves nothing by itself: openexec verify does.'],
    ]),
    '</header>',
    '<main>',
    figures(compared.figures),
    first === null ? '' : placed('first', 'First difference', [first]),
    facets('facets', 'Opened with, ended as', compared.facets),
    placed('stages', 'Stages', compared.stages),
    placed('intents', 'Intents of one run only', compared.intents),
    placed('verdicts', 'Other verdict on the same intent', compared.verdicts),
    placed('effects', 'Other end of the same intent', compared.effects),
    facets(
      'files',
      'Files',
      compared.files.map(({ path, left: a, right: b }) => ({ what: path, left: a, right: b })),
    ),
    facets('cost', 'Cost', compared.cost),
    section(
      'unread',
      'Not compared',
      rowsOf(
        'Erased, or not readable',
        ['Side', 'Entry'],
        [
          ...unreadable.left.map((seq): readonly Cell[] => ['left', seq]),
          ...unreadable.right.map((seq): readonly Cell[] => ['right', seq]),
        ],
      ),
    ),
    '</main>',
  ]);
}

const NAMES: readonly (readonly [keyof RunFigures, string])[] = [
  ['outcome', 'Outcome'],
  ['stages', 'Stage visits'],
  ['intents', 'Intents'],
  ['permitted', 'Permitted'],
  ['denied', 'Denied'],
  ['undecided', 'Not decided'],
  ['committed', 'Committed'],
  ['prompts', 'A person was asked'],
  ['files', 'Files changed'],
  ['asks', 'Questions to a model'],
  ['tokens', 'Tokens spent'],
  ['usdMicros', 'Micro-dollars spent'],
  ['calls', 'Calls spent'],
];

/** Both sides whole, also where they are equal: verdicts and cost are what people look for first. */
function figures({ left, right }: RunComparison['figures']): string {
  const rows = NAMES.map(([name, title]): readonly Cell[] => [title, cell(left[name]), cell(right[name])]);
  return section('figures', 'Verdicts and cost', rowsOf('Both runs in figures', ['', ...HEADS], rows));
}

function facets(id: string, title: string, all: readonly FacetDifference[]): string {
  const rows = all.map(({ what, left, right }): readonly Cell[] => [cell(what), cell(left), cell(right)]);
  return section(id, title, rowsOf('Only what differs', ['What', ...HEADS], rows));
}

function placed(id: string, title: string, all: readonly PlacedDifference[]): string {
  const side = (one: PlacedDifference['left']): Cell => (one === null ? null : cell(`${one.seq}: ${one.text}`));
  const rows = all.map(({ left, right }): readonly Cell[] => [side(left), side(right)]);
  return section(id, title, rowsOf('Each with its place in the run; only what differs', HEADS, rows));
}

function cell(value: string | number | null): Cell {
  if (typeof value !== 'string') return value;
  const { text, cut } = beginning(value, MAX_CHARACTERS);
  return cut ? `${text} … (${value.length} characters)` : text;
}

function rowsOf(caption: string, heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const more = rows.length - MAX_ROWS;
  const said = more > 0 ? `${caption}; ${more} more rows stand in openexec diff --json` : caption;
  return table(said, heads, rows.slice(0, MAX_ROWS), { none: 'Nothing differs.' });
}

function section(id: string, title: string, body: string): string {
  return `<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${body}</section>`;
}
