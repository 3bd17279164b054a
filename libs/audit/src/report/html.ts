/**
 * `report.html`: the report as a page for people, made of the same data as `report.json` and of nothing else. Bounded: what does not fit is named and
 * stands in `report.json`. It proves nothing by itself, and says so.
 */
import type { AuditReport, ReportedRun } from '@openexec/protocol';
import { beginning } from './escape.ts';
import { MAX_CHANGE_CHARACTERS } from './lists.ts';
import { block, type Cell, code, mark, pageOf, table, terms, text } from './page.ts';
import { runSection } from './runSection.ts';

/** Characters of all runs together; later runs have a line in the list and no section. */
const MAX_SECTIONS_CHARACTERS = 8 * 1024 * 1024;
const MAX_NAMED = 200;

/** What of a patch the page shows: its beginning, or the whole of it. */
export interface ShownChange {
  readonly text: string;
  readonly whole: boolean;
}

/** The page. `changes` has the forward patch of each run that has one. */
export function htmlOf(report: AuditReport, changes: ReadonlyMap<string, ShownChange>): string {
  const { runs } = report;
  const sections: string[] = [];
  const without = new Set<string>();
  let characters = 0;
  for (const [at, run] of runs.entries()) {
    const section = characters < MAX_SECTIONS_CHARACTERS ? runSection(run, changeHtml(run, changes.get(run.run)), at + 1) : null;
    characters += section?.length ?? 0;
    if (section === null) without.add(run.run);
    else sections.push(section);
  }
  return pageOf(`Audit report: ${runs.length} ${runs.length === 1 ? 'run' : 'runs'} of ${report.origin}`, [
    ...headOf(report),
    ...listOf(report, without),
    '<main>',
    ...sections,
    '</main>',
    ...controlsOf(report),
    ...shownOf(report),
  ]);
}

function headOf({ ledger, origin, checkpoint, scope, coverage }: AuditReport): readonly string[] {
  const holds = { ledger: 'the whole ledger', runs: 'runs, by name', range: 'a range of entries' };
  return [
    '<header>',
    '<h1>Audit report</h1>',
    terms([
      ['Ledger', code(ledger)],
      ['Origin', origin],
      ['Checkpoint', code(`${checkpoint.size} entries, root ${checkpoint.root}`)],
      ['Holds', holds[scope]],
      [
        'Coverage',
        coverage === 'full' ? 'full: every effect was the runtime’s own' : 'gateway only: effects outside of the gateway are not seen',
      ],
      ['Proof', { html: 'This page is made from the entries and proves nothing by itself. The bundle around it does:' }],
    ]),
    block(`openexec verify-bundle BUNDLE --trust ${ledger}`),
    '</header>',
  ];
}

function listOf({ runs, notReported }: AuditReport, without: ReadonlySet<string>): readonly string[] {
  const rows = runs.map((run, at): readonly Cell[] => [
    without.has(run.run) ? code(run.run) : { html: `<a href="#run-${at + 1}">${code(run.run).html}</a>` },
    mark(run.outcome, run.outcome === 'done' ? 'good' : 'plain'),
    mark(run.governed ? 'yes' : 'no', run.governed ? 'good' : 'bad'),
    run.counts.denied,
    run.counts.undeclared,
    `${run.counts.checksPassed} of ${run.counts.checks}`,
    code(run.result?.commit ?? null),
  ]);
  const heads = ['Run', 'Outcome', 'Governed', 'Denied', 'Undeclared', 'Checks passed', 'Git commit'];
  const others = notReported.slice(0, MAX_NAMED).map(({ run, because }): readonly Cell[] => [code(run), because]);
  return [
    '<nav aria-label="Runs">',
    table(`Runs${without.size === 0 ? '' : `; ${without.size} have no section here, report.json tells of them`}`, heads, rows, {
      none: 'The bundle holds no run.',
    }),
    '</nav>',
    ...(others.length === 0
      ? []
      : [table('Runs not told of', ['Run', 'Because'], others, { none: '', omitted: notReported.length - others.length })]),
  ];
}

function changeHtml(run: ReportedRun, patch: ShownChange | undefined): string {
  if (patch === undefined || run.patch === null) {
    const rows = run.absent.slice(0, MAX_NAMED).map(({ path, because }): readonly Cell[] => [path, because]);
    return table('No patch: what lacks', ['File', 'Because'], rows, {
      none: 'No file differs from the base.',
      omitted: run.absent.length - rows.length,
    });
  }
  const { text: begun, cut } = beginning(patch.text, MAX_CHANGE_CHARACTERS);
  const whole = `<p>${cut || !patch.whole ? 'The beginning of ' : ''}<code>${text(run.patch.forward)}</code>; the way back is <code>${text(run.patch.reverse)}</code>.</p>`;
  return `${whole}${block(begun)}`;
}

function controlsOf({ controls }: AuditReport): readonly string[] {
  const rows = controls.map(({ framework, control, title, status, evidence, gap }): readonly Cell[] => [
    framework,
    control,
    title,
    status,
    evidence.join(', '),
    gap,
  ]);
  const heads = ['Framework', 'Control', 'Title', 'Status', 'Evidence', 'What it leaves open'];
  return [
    '<section aria-labelledby="controls">',
    '<h2 id="controls">Controls</h2>',
    '<p>Mapped means that evidence for the control is found here. It never means that the control is met.</p>',
    table('Controls that the evidence is mapped to', heads, rows, { none: '' }),
    '</section>',
  ];
}

function shownOf({ withheld, gone }: AuditReport): readonly string[] {
  const rows = [
    ...withheld.payloads.map(({ trajectory, seq }): readonly Cell[] => ['withheld payload', code(`${trajectory} ${seq}`)]),
    ...withheld.blobs.map((digest): readonly Cell[] => ['withheld blob', code(digest)]),
    ...gone.payloads.map(({ trajectory, seq }): readonly Cell[] => ['erased payload', code(`${trajectory} ${seq}`)]),
    ...gone.blobs.map((digest): readonly Cell[] => ['blob that is gone', code(digest)]),
  ];
  const shown = rows.slice(0, MAX_NAMED);
  return [
    '<section aria-labelledby="not-shown">',
    '<h2 id="not-shown">Not shown</h2>',
    table('Withheld by whoever exported, or erased from the ledger; each stays proved by its commitment', ['What', 'Which'], shown, {
      none: 'Nothing is withheld, and nothing was erased.',
      omitted: rows.length - shown.length,
    }),
    '</section>',
  ];
}
