/**
 * The words of the page `report.html`: its head, its tables. No script, no reference to anything outside, light and dark, printable. Every value goes
 * through `escaped`; must never take markup from anywhere but this folder.
 */
import { beginning, escaped, escapedLine } from './escape.ts';

/** Markup that was made here; everything else is text. */
export interface Html {
  readonly html: string;
}
/** What stands in a cell: text, or markup that was made here. */
export type Cell = string | number | null | Html;

/** Characters of one cell; `report.json` has the rest. */
const CELL_CHARACTERS = 600;

/** The whole page. The policy lets nothing be loaded, run, framed or sent. */
export function pageOf(title: string, body: readonly string[]): string {
  return [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapedLine(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    ...body,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** A value as text, one line; long ones are cut, and say so. */
export function text(value: Cell): string {
  if (value === null) return '<span class="none">none</span>';
  if (typeof value === 'object') return value.html;
  const { text: begun, cut } = beginning(`${value}`, CELL_CHARACTERS);
  return `${escapedLine(begun)}${cut ? '<span class="none"> … cut; report.json has it</span>' : ''}`;
}

/** Ids and code. */
export function code(value: string | null): Html {
  return { html: value === null ? text(null) : `<code>${text(value)}</code>` };
}

/** A word with the colour of what it says. */
export function mark(value: string, tone: 'good' | 'bad' | 'plain'): Html {
  return { html: tone === 'plain' ? text(value) : `<strong class="${tone}">${text(value)}</strong>` };
}

/** Longer text with its lines. */
export function block(value: string): string {
  return `<pre>${escaped(value)}</pre>`;
}

/** A table of terms. */
export function terms(rows: readonly (readonly [string, Cell])[]): string {
  return `<dl>${rows.map(([term, value]) => `<div><dt>${text(term)}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>`;
}

/** A table with a caption; a sentence where it has no row. `omitted` rows stand elsewhere. */
export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly Cell[])[],
  { none, omitted = 0 }: { readonly none: string; readonly omitted?: number },
): string {
  if (rows.length === 0) return `<p class="none">${text(none)}</p>`;
  const more = omitted === 0 ? '' : `<p class="none">${omitted} more: report.json and events.jsonl have them.</p>`;
  const head = heads.map((each) => `<th scope="col">${text(each)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${text(cell)}</td>`).join('')}</tr>`).join('\n');
  return `<div class="wide"><table><caption>${text(caption)}</caption><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>${more}`;
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--back:#fff;--fill:#f6f8fa;--good:#116329;--bad:#a40e26}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#3a424b;--back:#0d1117;--fill:#161b22;--good:#56d364;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:75rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
h1{font-size:1.6rem;margin:0 0 .5rem}h2{font-size:1.25rem;margin:2.5rem 0 .5rem;border-top:2px solid var(--line);padding-top:1rem;overflow-wrap:anywhere}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
dl{margin:.5rem 0;display:grid;gap:.15rem}dl div{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.75rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.5rem 0}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);overflow-wrap:break-word}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--fill);border:1px solid var(--line);padding:.75rem;white-space:pre-wrap;overflow-wrap:anywhere}
.none{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
a{color:inherit}
@media print{:root{--ink:#000;--soft:#444;--line:#999;--back:#fff;--fill:#fff;--good:#000;--bad:#000}body{max-width:none;padding:0;font-size:10pt}
h2{break-before:page}td{overflow-wrap:anywhere}tr,dl div{break-inside:avoid}.wide{overflow:visible}}
`;
