/**
 * A bundle's report as lines for people: the same words in the command, in the small verifier and on its page. Must never print what a bundle says of
 * itself unescaped. PROTOCOL §11.
 */
import type { BundleReport } from './report.ts';

/** How lines are dressed: `safe` makes any text harmless on one line; the others colour it. */
export interface LineDress {
  safe(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

/** The report in lines: the verdict first, then what it is about, then findings, then what was checked and what was not. */
export function bundleLines(report: BundleReport, dress: LineDress): readonly string[] {
  return [...verdictLines(report, dress), ...runLines(report, dress), ...findingLines(report, dress)];
}

/** What was checked and what was not, each under its heading. `judged` leaves out what deep verification has answered. */
export function coverageLines(report: BundleReport, judged = false): readonly string[] {
  const open = report.notChecked.filter((line) => !judged || !line.endsWith('--deep)'));
  return [...headed('checked      ', report.checked), ...headed('not checked  ', open)];
}

function headed(heading: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, at) => `${at === 0 ? heading : ' '.repeat(heading.length)}${line}`);
}

function verdictLines(report: BundleReport, { safe, good, bad }: LineDress): readonly string[] {
  const { counts, cosigners, firstBad, fingerprint, level, origin, root, size, sound, trust } = report;
  const what = `${counts.parts} parts, ${counts.entries} entries, ${counts.signatures} signatures, ${counts.proofs} proofs, ${counts.blobs} blobs`;
  const words = { selfAsserted: 'self-asserted: no fingerprint was given', pinned: 'pinned' };
  const by = cosigners.length === 0 ? '' : `; cosigned by ${cosigners.map(safe).join(', ')}`;
  return [
    sound ? `${good('✓ sound')}: ${what}` : `${bad('✗ not sound')}${firstBad === null ? '' : `: first bad index ${firstBad}`}`,
    `level        ${level ?? 'none'}; trust ${words[trust]}${by}`,
    `ledger       ${safe(origin ?? 'unknown origin')}  ${fingerprint ?? 'no fingerprint'}`,
    `tree         ${size ?? 'unknown'} entries, root ${root ?? 'none'}`,
    `holds        ${scopeText(report)}`,
  ];
}

function scopeText({ scope }: BundleReport): string {
  if (scope === null) return 'unknown';
  if (scope.is === 'ledger') return 'the whole ledger';
  return scope.is === 'runs'
    ? `${scope.runs.length} ${scope.runs.length === 1 ? 'run' : 'runs'}`
    : `entries ${scope.from} to ${scope.to - 1}`;
}

function runLines({ runs, counts, times }: BundleReport, { safe }: LineDress): readonly string[] {
  const gone = counts.erased + counts.withheld;
  const timed = times.flatMap(({ part, checked }) =>
    checked === null ? [] : [`time         ${safe(part)}: ${checked.at} by ${safe(checked.authority)}`],
  );
  return [
    ...runs.map(({ run, outcome, commit, tree, governed }) => {
      const result = commit === null ? '' : `, git commit ${safe(commit)}, tree ${safe(tree ?? '')}`;
      return `run          ${safe(run)} ${safe(outcome)}${result}, ${governed ? 'governed' : 'not stated as governed'}`;
    }),
    ...timed,
    ...(gone === 0 ? [] : [`gone         ${counts.erased} payloads erased lawfully, ${counts.withheld} payloads and blobs withheld`]),
  ];
}

function findingLines({ findings, omitted }: BundleReport, { safe, bad }: LineDress): readonly string[] {
  return [
    ...findings.map(
      ({ part, index, code, message }) => `${bad('✗')} ${safe(part)}${index === null ? '' : ` index ${index}`}: ${code}: ${safe(message)}`,
    ),
    ...(omitted === 0 ? [] : [`  and ${omitted} more`]),
  ];
}

/** Text as one harmless line: control, format and bidirectional characters as their code points, cut at `max` characters. */
export function safeText(text: string, max = 400): string {
  const cut = [...text].slice(0, max);
  const shown = cut.map((each) => (/[\p{C}\p{Zl}\p{Zp}]/u.test(each) ? `\\u{${Number(each.codePointAt(0)).toString(16)}}` : each)).join('');
  return [...text].length > max ? `${shown}…` : shown;
}
