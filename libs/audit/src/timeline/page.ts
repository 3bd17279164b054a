/**
 * `safety.md`: the safety report and the figures of one run for people, in CommonMark. Made of the same data as `safety.json` and `metrics.json`; nothing
 * that anybody wrote into a ledger is markup in it, nor a character that nobody sees (SECURITY "Trojan Source").
 */
import type { Amount, Reason, RunMetrics, RunSafety } from '@openexec/protocol';
import { beginning, visible } from '../report/escape.ts';

/** Characters of one quoted text; `safety.json` has the whole. */
const MAX_CHARACTERS = 400;
/** Lines of one list; `safety.json` has the rest. */
const MAX_ROWS = 200;
const MARKUP = /[\\`*_[\]<>|&#~!]/g;

/** The page. */
export function safetyPage(safety: RunSafety, metrics: RunMetrics): string {
  const { run, outcome, openedAt, lastAt, entries } = safety;
  return [
    `# Safety report of ${plain(run)}`,
    '',
    `Outcome: ${outcome}. First entry ${openedAt ?? 'none'}, last ${lastAt ?? 'none'}; ${entries} entries.`,
    '',
    'Made from the entries of the ledger, and as true as they are: `openexec verify --deep` and `openexec replay` check them.',
    ...section('At a glance', glance(safety)),
    ...section('Written', writes(safety)),
    ...section('Beyond the workspace', beyond(safety)),
    ...section('Undeclared effects', undeclared(safety)),
    ...section(
      'Violations',
      listed(safety.violations, safety.omitted.violations, ({ seq, why, message }) => `entry ${seq}: ${plain(why)}: ${plain(message)}`),
    ),
    ...section('Refused', refused(safety)),
    ...section('Asked of people', asked(safety)),
    ...section(
      'Entries of which nothing is said',
      listed(safety.unreadable, safety.omitted.unreadable, ({ seq, kind, because }) => `entry ${seq}, ${plain(kind)}: ${because}`),
    ),
    ...section('Figures', figures(metrics)),
    '',
  ].join('\n');
}

/** Text on one line that no reader of CommonMark takes for markup. */
function plain(text: string): string {
  const { text: begun, cut } = beginning(text, MAX_CHARACTERS);
  const escaped = visible(begun)
    .replace(/[\n\t]/g, ' ')
    .replace(MARKUP, (sign) => `\\${sign}`);
  return `${escaped}${cut ? '…' : ''}`;
}

const reasonText = (reason: Reason | null): string =>
  reason === null ? 'no reason is recorded' : `${plain(reason.code)}: ${plain(reason.message)}`;
const amountText = (of: Amount | null): string =>
  of === null ? 'not derivable' : `${of.tokens} tokens, ${of.usdMicros} millionths of a dollar, ${of.calls} calls`;

function section(title: string, lines: readonly string[]): readonly string[] {
  return ['', `## ${title}`, '', ...(lines.length === 0 ? ['None was recorded.'] : lines)];
}

function listed<T>(all: readonly T[], omitted: number, line: (one: T) => string): readonly string[] {
  const rest = omitted + Math.max(0, all.length - MAX_ROWS);
  return [...all.slice(0, MAX_ROWS).map((one) => `- ${line(one)}`), ...(rest === 0 ? [] : [`- and ${rest} more`])];
}

function glance({
  selfTest,
  writes,
  external,
  network,
  undeclared,
  violations,
  refusals,
  approvals,
  omitted,
}: RunSafety): readonly string[] {
  const files = writes.files === null ? 'not known' : `${writes.files.length + omitted.files}`;
  const counted = network.uncounted === 0 ? '' : `; of ${network.uncounted} commands nobody could count them`;
  const rows: readonly (readonly [string, string])[] = [
    ['Self-test cited', selfTest === null ? 'none' : plain(selfTest.trajectory)],
    ['Files that differ from the base', files],
    ['Effects beyond the workspace', `${external.length + omitted.external}`],
    ['Packets refused on the network', `${network.attempts} of ${network.commands} commands${counted}`],
    ['Undeclared effects', `${undeclared.length + omitted.undeclared}`],
    ['Violations', `${violations.length + omitted.violations}`],
    ['Refused intents and questions', `${refusals.length + omitted.refusals}`],
    ['Questions to people', `${approvals.length + omitted.approvals}`],
  ];
  return ['| what | how many |', '| --- | --- |', ...rows.map(([what, many]) => `| ${what} | ${many} |`)];
}

function writes({ writes: { files, lost }, landed, omitted }: RunSafety): readonly string[] {
  if (files === null) return [`Not known: ${plain(lost ?? 'what changed cannot be read')}.`];
  const line = ({ path, change, bytes }: NonNullable<RunSafety['writes']['files']>[number]): string =>
    `${change} ${plain(path)}${bytes === null ? '' : `, ${bytes} bytes`}`;
  const where = landed === null ? [] : [`- landed as ${plain(landed.ref)}, commit ${landed.commit}, tree ${landed.tree}`];
  return [...listed(files, omitted.files, line), ...where];
}

function beyond({ external, providers, omitted }: RunSafety): readonly string[] {
  return [
    ...providers.map(({ provider, asked: times }) => `- the model provider ${plain(provider)} was asked ${times} times`),
    ...listed(
      external,
      omitted.external,
      ({ seq, action, effect, end }) => `entry ${seq}: ${plain(action)}, ${effect}: ${end ?? 'no end is recorded'}`,
    ),
  ];
}

function undeclared({ undeclared: all, omitted }: RunSafety): readonly string[] {
  return listed(all, omitted.undeclared, ({ seq, action, paths, networkAttempts, because }) => {
    const tried = networkAttempts === null ? '' : `; ${networkAttempts} packets`;
    return `entry ${seq}: ${plain(action)}: ${reasonText(because)}; ${paths.map(plain).join(', ') || 'no path'}${tried}`;
  });
}

function refused({ refusals, omitted }: RunSafety): readonly string[] {
  return listed(
    refusals,
    omitted.refusals,
    ({ seq, author, action, stage, by, because }) =>
      `entry ${seq}: ${author} wanted ${plain(action)} in ${plain(stage ?? 'no stage')}; refused by ${plain(by ?? 'nobody')}: ${reasonText(because)}`,
  );
}

function asked({ approvals, omitted }: RunSafety): readonly string[] {
  return listed(approvals, omitted.approvals, ({ seq, subject, action, because, outcome, votes }) => {
    const said = votes.map(({ key, decision, assurance, counted }) => `${key} ${decision}, ${assurance}${counted ? '' : ', not counted'}`);
    return `entry ${seq}: ${subject} ${plain(action)}, ${reasonText(because)}; ${outcome ?? 'open'}; votes: ${said.join('; ') || 'none'}`;
  });
}

function figures({ stages, total, elapsedMs }: RunMetrics): readonly string[] {
  const line = (name: string, { visits, model, actions, spent }: RunMetrics['total']): string =>
    `| ${[
      plain(name),
      `${visits.succeeded} of ${visits.entered}`,
      `${model.inputTokens}, ${model.outputTokens}`,
      `${model.latency.medianMs ?? 'none'}`,
      `${actions.committed} of ${actions.intents}`,
      `${actions.latency.medianMs ?? 'none'}`,
      amountText(spent),
    ].join(' | ')} |`;
  return [
    `From the first entry to the last: ${elapsedMs ?? 'unknown'} ms.`,
    '',
    '| stage | visits succeeded | tokens in, out | model, median ms | intents committed | actions, median ms | cost |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...stages.map((stage) => line(stage.stage, stage)),
    line('in all', total),
  ];
}
