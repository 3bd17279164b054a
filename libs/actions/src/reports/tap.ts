/**
 * TAP 13 and 14, plain or as node:test prints it, and node:test's spec reporter. Nested tests are indented; a parent that failed because of them is no
 * failure of its own.
 */
import { failureOf, framePlace, placeAtEnd } from './text.ts';
import { type CleanOutput, type ReportCounts, type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

/** `# pass 3` in TAP, `ℹ pass 3` in the spec reporter. */
const SUMMARY = /^(#|\u2139) (tests|pass|fail|cancelled|skipped|todo) (\d{1,9})$/;
const RESULT = /^( *)(not )?ok\b(?: \d{1,9})?(?: -)?(.*)$/;
const DIRECTIVE = /(?:^|[^\\])# *(?:skip|todo)\b/i;
const PLAN = /^1\.\.\d{1,9}\b/;
const BAIL = /^Bail out!(.*)$/;

/** Counts of the last summary of node:test, and whether earlier ones differ. */
function summaryOf(output: CleanOutput, mark: '#' | '\u2139'): { readonly counts: ReportCounts; readonly contested: boolean } | null {
  const seen = new Map<string, number>();
  let contested = false;
  for (const line of output.lines) {
    const match = SUMMARY.exec(line);
    if (match === null || match[1] !== mark) continue;
    const [key, value] = [match[2] ?? '', Number(match[3])];
    contested ||= seen.has(key) && seen.get(key) !== value;
    seen.set(key, value);
  }
  const [passed, failed] = [seen.get('pass'), seen.get('fail')];
  if (!seen.has('tests') || passed === undefined || failed === undefined) return null;
  const skipped = (seen.get('skipped') ?? 0) + (seen.get('todo') ?? 0);
  return { counts: { ...UNKNOWN, passed, failed: failed + (seen.get('cancelled') ?? 0), skipped }, contested };
}

/** node:test's spec reporter: its summary, and the list under "failing tests". */
export const readNodeSpec: ReportReader = (output) => {
  const summary = summaryOf(output, '\u2139');
  if (summary === null) return null;
  const { lines } = output;
  const from = lines.lastIndexOf('\u2716 failing tests:');
  const failures: ReportFailure[] = [];
  let place: ReturnType<typeof placeAtEnd> = null;
  for (let at = from < 0 ? lines.length : from + 1; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (line.startsWith('test at ')) place = placeAtEnd(line.slice('test at '.length));
    const name = /^\u2716 (.*)$/.exec(line)?.[1];
    if (name === undefined) continue;
    const message: string[] = [];
    for (
      let next = at + 1;
      next < lines.length && (lines[next] ?? '').startsWith('  ') && framePlace(lines[next] ?? '') === null;
      next += 1
    )
      message.push(lines[next] ?? '');
    failures.push(failureOf({ name: name.replace(/ \([\d.]{1,20}ms\)$/, ''), ...place, message }));
    place = null;
  }
  return { format: 'node_spec', ...summary, failures };
};

/** TAP: the summary of node:test where there is one, else the results at the left margin, valid only with a plan. */
export const readTap: ReportReader = (output) => {
  const results = resultsOf(output);
  const counted = summaryOf(output, '#') ?? (results === null ? null : { counts: results, contested: false });
  return counted === null ? null : { format: 'tap', ...counted, failures: tapFailures(output.lines) };
};

function resultsOf({ lines }: CleanOutput): ReportCounts | null {
  if (!lines.some((line) => PLAN.test(line))) return null;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const match = RESULT.exec(line);
    if (match === null || match[1] !== '') continue;
    if (DIRECTIVE.test(match[3] ?? '')) counts.skipped += 1;
    else if (match[2] === undefined) counts.passed += 1;
    else counts.failed += 1;
  }
  const bails = lines.filter((line) => BAIL.test(line)).length;
  return { ...UNKNOWN, ...counts, errors: bails === 0 ? null : bails };
}

function tapFailures(lines: readonly string[]): readonly ReportFailure[] {
  const failures: ReportFailure[] = [];
  for (const [at, line] of lines.entries()) {
    const bail = BAIL.exec(line)?.[1];
    if (bail !== undefined) failures.push(failureOf({ name: 'Bail out!', message: [bail] }));
    const match = RESULT.exec(line);
    if (match?.[2] === undefined || DIRECTIVE.test(match[3] ?? '')) continue;
    const facts = diagnosticOf(lines, at + 1, (match[1] ?? '').length + 2);
    if (facts.get('failureType') === 'subtestsFailed') continue;
    const place = placeAtEnd(facts.get('location') ?? '');
    const message = [facts.get('error') ?? facts.get('message') ?? ''];
    failures.push(
      failureOf({
        name: (match[3] ?? '').trim().replaceAll('\\#', '#'),
        file: place?.file ?? facts.get('file') ?? null,
        line: place?.line ?? facts.get('line') ?? null,
        message,
      }),
    );
  }
  return failures;
}

/** The members of the YAML block under a result, as far as they are texts: quoted, bare, or a block of lines. */
function diagnosticOf(lines: readonly string[], from: number, indent: number): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  const margin = ' '.repeat(indent);
  if (lines[from] !== `${margin}---`) return facts;
  for (let at = from + 1; at < lines.length && lines[at] !== `${margin}...`; at += 1) {
    const match = /^ *([A-Za-z]{1,40}): (.*)$/.exec(lines[at] ?? '');
    if (match === null) continue;
    const [, key = '', value = ''] = match;
    if (facts.has(key)) continue;
    if (!/^[|>][-+]?$/.test(value)) {
      facts.set(key, unquoted(value));
      continue;
    }
    const block: string[] = [];
    while ((lines[at + 1] ?? '').startsWith(`${margin}  `)) block.push((lines[(at += 1)] ?? '').trim());
    facts.set(key, block.join('\n'));
  }
  return facts;
}

function unquoted(value: string): string {
  if (value.startsWith("'") && value.endsWith("'")) return value.slice(1, -1).replaceAll("''", "'");
  return value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}
