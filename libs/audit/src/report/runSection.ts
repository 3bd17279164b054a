/** The section of one run in `report.html`: who, what, decided how, done with what result. Tables of bounded length. */
import type { Amount, Reason, ReportedRun } from '@openexec/protocol';
import { block, type Cell, code, mark, table, terms, text } from './page.ts';

const MAX_ROWS = 200;
type Rows = readonly (readonly Cell[])[];

/** The section; `change` is the markup of its patch. Sections are numbered by their place on the page. */
export function runSection(run: ReportedRun, change: string, number: number): string {
  return [
    `<section aria-labelledby="run-${number}">`,
    `<h2 id="run-${number}">${text(run.run)}</h2>`,
    facts(run),
    '<h3>Task</h3>',
    taskHtml(run),
    '<h3>Change record (SOC 2 CC8.1, mapped)</h3>',
    changeRecord(run),
    '<h3>Stages</h3>',
    stages(run),
    '<h3>Intents and verdicts</h3>',
    intents(run),
    '<h3>Approvals</h3>',
    approvals(run),
    '<h3>Checks</h3>',
    checks(run),
    '<h3>Figures</h3>',
    figures(run),
    '<h3>Undeclared effects and violations</h3>',
    strange(run),
    '<h3>Files</h3>',
    files(run),
    '<h3>Change</h3>',
    change,
    '<h3>Judged again</h3>',
    judged(run),
    '<h3>Entries of which nothing is said</h3>',
    unreadable(run),
    '</section>',
  ].join('\n');
}

const reasonText = (reason: Reason | null): string | null => (reason === null ? null : `${reason.code}: ${reason.message}`);
const amountText = (of: Amount | null): string | null =>
  of === null ? null : `${of.tokens} tokens, ${of.usdMicros} millionths of a dollar, ${of.calls} calls`;
const bounded = (rows: Rows, omitted: number): { readonly rows: Rows; readonly omitted: number } => ({
  rows: rows.slice(0, MAX_ROWS),
  omitted: omitted + Math.max(0, rows.length - MAX_ROWS),
});

function facts(run: ReportedRun): string {
  const { selfTest, result, base, counts } = run;
  const tested =
    selfTest === null
      ? 'none cited'
      : `${selfTest.cited.trajectory}, passed: ${selfTest.passed ?? 'unknown'}, valid until ${selfTest.until ?? 'unknown'}`;
  return terms([
    [
      'Outcome',
      mark(`${run.outcome}${run.because === null ? '' : `, ${reasonText(run.because) ?? ''}`}`, run.outcome === 'done' ? 'good' : 'plain'),
    ],
    ['Governed', mark(run.governed ? 'yes' : 'no', run.governed ? 'good' : 'bad')],
    ['Self-test', tested],
    ['Opened, last entry', `${run.openedAt ?? 'unknown'}, ${run.lastAt ?? 'unknown'}; ${run.entries} entries`],
    ['Opener', code(run.opener)],
    ['Writ chain', { html: run.writs.map(({ id, issuer }) => `${code(id).html} by ${code(issuer).html}`).join('<br>') || text(null) }],
    ['Blueprint', run.blueprint === null ? null : `${run.blueprint.name ?? 'name withheld'} ${run.blueprint.digest}`],
    ['Policy set', code(run.policySet?.digest ?? null)],
    ['Policy layers', run.policySet?.layers?.map(({ layer, name, source }) => `${layer}: ${name} (${source})`).join('; ') ?? null],
    ['Model', run.model],
    ['Kernel', run.kernel === null ? null : `${run.kernel.version}, flags ${run.kernel.flags.join(', ') || 'none'}`],
    ['Files before', base === null ? null : code(`commit ${base.commit}, tree ${base.tree}`)],
    ['Files after', result === null ? null : code(`commit ${result.commit}, tree ${result.tree}, ${result.ref}`)],
    ['World root after', code(run.worldRoot)],
    ['Cost as settled', amountText(run.spend)],
    ['Model use', `${counts.asks} asks, ${counts.inputTokens} tokens in, ${counts.outputTokens} tokens out`],
  ]);
}

function taskHtml({ task }: ReportedRun): string {
  if (task === null) return `<p>${text(null)}</p>`;
  if (task.text === null) return `<p class="none">Withheld, gone, or no text: <code>${text(task.digest)}</code></p>`;
  return `${block(task.text)}${task.cut ? `<p class="none">Cut; the whole is <code>${text(task.digest)}</code></p>` : ''}`;
}

function changeRecord({ change }: ReportedRun): string {
  const { authorisedBy, plan, implementer, tests, approvals: votes, backOut, gaps } = change;
  const notPassed = tests.lastNotPassed.length === 0 ? '' : `; last not passed: ${tests.lastNotPassed.join(', ')}`;
  return terms([
    ['Authorised by', `opener ${authorisedBy.opener ?? 'unknown'}; writs issued by ${authorisedBy.issuers.join(', ') || 'nobody'}`],
    ['Plan', `blueprint ${plan.blueprint ?? 'unknown'} ${plan.digest ?? ''}; policy set ${plan.policySet ?? 'unknown'}`],
    ['Implementer', implementer],
    ['Tests', `${tests.run} commands run, ${tests.passed} passed${notPassed}`],
    ['Approvals', `${votes.asked} asked for, ${votes.approved} approved; keys ${votes.keys.join(', ') || 'none'}`],
    ['Back-out', backOut],
    ['Gaps', gaps.join('; ') || 'none found here'],
  ]);
}

function stages({ stages: all, omitted }: ReportedRun): string {
  const list = all.map(({ seq, stage, visit, type, outcome, because }): readonly Cell[] => [
    seq,
    stage,
    visit,
    type,
    outcome,
    reasonText(because),
  ]);
  const { rows, ...more } = bounded(list, omitted.stages);
  return table('Visits in order', ['Entry', 'Stage', 'Visit', 'Type', 'Outcome', 'Because'], rows, {
    none: 'No stage was entered.',
    ...more,
  });
}

function intents({ intents: all, omitted }: ReportedRun): string {
  const list = all.map((one): readonly Cell[] => {
    const who = one.rule === null ? one.by : `${one.rule.layer}/${one.rule.rule}`;
    const verdict = one.verdict === null ? null : mark(one.verdict, one.verdict === 'deny' ? 'bad' : 'plain');
    const end = one.end === null ? null : `${one.end}${one.endBecause === null ? '' : `: ${reasonText(one.endBecause) ?? ''}`}`;
    return [one.seq, one.at, one.stage, one.author, code(one.action), verdict, who, reasonText(one.because), end];
  });
  const { rows, ...more } = bounded(list, omitted.intents);
  const heads = ['Entry', 'At', 'Stage', 'Author', 'Action', 'Verdict', 'By', 'Because', 'End'];
  return table('In order of declaration', heads, rows, { none: 'Nothing was wished for.', ...more });
}

function approvals({ approvals: all, omitted }: ReportedRun): string {
  const list = all.map(({ seq, at, subject, stage, action, because, terms: asked, outcome, resolvedAt, votes }): readonly Cell[] => [
    seq,
    at,
    `${subject} ${stage ?? ''} ${action}`,
    reasonText(because),
    `${asked.quorum} of ${asked.roles.join(', ')}, at least ${asked.minAssurance}`,
    outcome === null ? null : `${outcome} at ${resolvedAt ?? 'unknown'}`,
    { html: votes.map((vote) => `${code(vote.key).html} ${text(voteText(vote))}`).join('<br>') || text(null) },
  ]);
  const { rows, ...more } = bounded(list, omitted.approvals);
  const heads = ['Entry', 'Asked at', 'For', 'Because', 'Terms', 'Outcome', 'Votes: key, decision, assurance, time'];
  return table('Questions to people', heads, rows, { none: 'Nobody was asked.', ...more });
}

function voteText({ decision, assurance, at, counted, because }: ReportedRun['approvals'][number]['votes'][number]): string {
  return `${decision}, ${assurance}, ${at}${counted ? '' : ', not counted'}${because === '' ? '' : `: ${because}`}`;
}

function checks({ checks: all, omitted }: ReportedRun): string {
  const list = all.map(({ seq, stage, action, attempt, status, exitCode, durationMs, summary }): readonly Cell[] => [
    seq,
    stage,
    code(action),
    attempt,
    status === null ? null : mark(status, status === 'ok' ? 'good' : 'bad'),
    exitCode,
    durationMs === null ? null : `${durationMs} ms`,
    summary,
  ]);
  const { rows, ...more } = bounded(list, omitted.checks);
  const heads = ['Entry', 'Stage', 'Action', 'Attempt', 'Status', 'Exit code', 'Time', 'Summary'];
  return table('Commands that were run', heads, rows, { none: 'No command was run.', ...more });
}

function figures({ figures: { stages: all, total }, network }: ReportedRun): string {
  const line = (name: Cell, work: ReportedRun['figures']['total']): readonly Cell[] => [
    name,
    `${work.visits.succeeded} of ${work.visits.entered}`,
    work.elapsed.totalMs,
    `${work.model.inputTokens}, ${work.model.outputTokens}`,
    latencyText(work.model.latency),
    `${work.actions.committed} of ${work.actions.intents}`,
    latencyText(work.actions.latency),
    amountText(work.spent),
  ];
  const { commands, attempts, uncounted } = network;
  const heads = [
    'Stage',
    'Visits succeeded',
    'In all (ms)',
    'Tokens in, out',
    'Model (ms): median, 95th',
    'Intents committed',
    'Actions (ms): median, 95th',
    'Cost',
  ];
  const rows = [...all.map((stage) => line(stage.stage, stage)), line('in all', total)];
  const tried = `${attempts} packets of ${commands} commands were refused on the network; of ${uncounted} commands nobody could count them.`;
  return `${table('By stage, as the runtime measured', heads, rows, { none: '' })}<p>${text(tried)}</p>`;
}

function latencyText({ medianMs, p95Ms }: ReportedRun['figures']['total']['elapsed']): string | null {
  return medianMs === null ? null : `${medianMs}, ${p95Ms ?? medianMs}`;
}

function strange({ undeclared, violations, omitted }: ReportedRun): string {
  const list: Rows = [
    ...undeclared.map(({ seq, action, paths, networkAttempts, because }): readonly Cell[] => {
      const network = networkAttempts === null ? '' : `; ${networkAttempts} attempts at the network`;
      return [seq, mark('undeclared effect', 'bad'), `${action}: ${reasonText(because) ?? ''}; ${paths.join(', ')}${network}`];
    }),
    ...violations.map(({ seq, why, message }): readonly Cell[] => [seq, mark('violation', 'bad'), `${why}: ${message}`]),
  ];
  const { rows, ...more } = bounded(list, omitted.undeclared);
  return table('As recorded', ['Entry', 'What', 'Which'], rows, { none: 'None was recorded.', ...more });
}

function files({ files: all, omitted }: ReportedRun): string {
  if (all === null) return '<p class="none">Which files changed cannot be read here.</p>';
  const list = all.map(({ path, change, before, after }): readonly Cell[] => [
    code(path),
    change,
    before === null ? null : code(`${before.mode} ${before.oid}`),
    after === null ? null : code(`${after.mode} ${after.oid}`),
    after?.bytes ?? null,
  ]);
  const { rows, ...more } = bounded(list, omitted.files);
  const heads = ['Path', 'Change', 'Before: mode, git id', 'After: mode, git id', 'Bytes'];
  return table('Against the base', heads, rows, { none: 'No file differs from the base.', ...more });
}

function judged({ judgedAgain }: ReportedRun): string {
  if (judgedAgain === null) return '<p class="none">Not here: openexec verify-bundle --deep does.</p>';
  const { verdict, judgements, divergences, omitted } = judgedAgain;
  const said = `<p>${mark(verdict, verdict === 'agrees' ? 'good' : 'bad').html}: ${judgements} judgements were derived again from what the bundle shows.</p>`;
  const list = divergences.map(({ seq, what, expected, recorded }): readonly Cell[] => [seq, what, expected, recorded]);
  const { rows, ...more } = bounded(list, omitted);
  return said + table('Differences', ['Entry', 'What', 'Expected', 'Recorded'], rows, { none: 'None.', ...more });
}

function unreadable({ unreadable: all, omitted }: ReportedRun): string {
  const list = all.map(({ seq, kind, because }): readonly Cell[] => [seq, code(kind), because]);
  const { rows, ...more } = bounded(list, omitted.other);
  return table('Withheld, erased or malformed', ['Entry', 'Kind', 'Because'], rows, { none: 'Every entry was read.', ...more });
}
