/**
 * ESLint's formatters stylish, json and unix. Findings of severity error come first; warnings follow, because they too can fail a command.
 */
import { countField, failureOf, fieldOf, jsonLine, listField, textField } from './text.ts';
import { type Reading, type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

/** One finding. */
interface Finding {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: string | number | null;
  readonly rule: string | null;
  readonly message: string;
}

const SUMMARY = /^\u2716 (\d{1,9}) problems? \((\d{1,9}) errors?, (\d{1,9}) warnings?\)$/;
const ROW = /^ +(\d{1,9}):\d{1,9} +(error|warning) +(\S.*)$/;
const UNIX = /^(.+?):(\d{1,9}):\d{1,9}: (.*)$/;
const UNIX_RULE = /^ \[(Error|Warning)(?:\/([^\]]{1,200}))?\]$/;
const UNIX_TOTAL = /^(\d{1,9}) problems?$/;

function failures(findings: readonly Finding[]): readonly ReportFailure[] {
  const of = (severity: Finding['severity']): readonly ReportFailure[] =>
    findings
      .filter((finding) => finding.severity === severity)
      .map(({ rule, file, line, message }) =>
        failureOf({ name: rule, file, line, message: [severity === 'warning' ? `warning: ${message}` : message] }),
      );
  return [...of('error'), ...of('warning')];
}

function reading(format: Reading['format'], findings: readonly Finding[], errors: number, warnings: number, contested = false): Reading {
  return { format, counts: { ...UNKNOWN, errors, warnings }, failures: failures(findings), contested };
}

/** The default formatter: file names at the margin, findings under them, a closing line. Nothing at all where there is no finding. */
export const readEslintStylish: ReportReader = ({ lines }) => {
  const summaries = lines.filter((line) => SUMMARY.test(line));
  const last = summaries.at(-1);
  if (last === undefined) return null;
  const findings: Finding[] = [];
  let file = '';
  for (const line of lines) {
    const row = ROW.exec(line);
    if (row === null) {
      if (line !== '' && !line.startsWith(' ')) file = line;
      continue;
    }
    // Columns are set apart by two spaces at least; the last one is the rule, which fatal findings lack.
    const columns = /^(.*\S) {2,}(\S+)$/.exec(row[3] ?? '');
    findings.push({
      severity: row[2] as Finding['severity'],
      file,
      line: row[1] ?? null,
      rule: columns?.[2] ?? null,
      message: columns?.[1] ?? row[3] ?? '',
    });
  }
  const counts = SUMMARY.exec(last);
  return reading(
    'eslint_stylish',
    findings,
    Number(counts?.[2]),
    Number(counts?.[3]),
    summaries.some((line) => line !== last),
  );
};

/** One line with a list of files. */
export const readEslintJson: ReportReader = ({ text }) => {
  let found: readonly unknown[] | null = null;
  for (const line of text.split('\n')) {
    if (!line.startsWith('[')) continue;
    const value = jsonLine(line);
    if (!Array.isArray(value) || value.some((file) => textField(file, 'filePath') === '' || countField(file, 'errorCount') === null))
      continue;
    found = value as readonly unknown[];
  }
  // An empty list says as little as any other: no file was looked at.
  if (found === null || found.length === 0) return null;
  const sum = (name: string): number => (found ?? []).reduce((all: number, file) => all + (countField(file, name) ?? 0), 0);
  const findings = found.flatMap((file) =>
    listField(file, 'messages').map((message): Finding => {
      const rule = textField(message, 'ruleId');
      return {
        severity: fieldOf(message, 'severity') === 2 ? 'error' : 'warning',
        file: textField(file, 'filePath'),
        line: countField(message, 'line'),
        rule: rule === '' ? null : rule,
        message: textField(message, 'message'),
      };
    }),
  );
  return reading('eslint_json', findings, sum('errorCount'), sum('warningCount'));
};

/** `FILE:LINE:COLUMN: MESSAGE [SEVERITY/RULE]`, and a closing line with their number. */
export const readEslintUnix: ReportReader = ({ lines }) => {
  const findings = lines.flatMap((line): readonly Finding[] => {
    // In two steps: one expression for both ends would try every pair of them.
    const end = Math.max(0, line.lastIndexOf(' ['));
    const rule = UNIX_RULE.exec(line.slice(end));
    const match = rule === null ? null : UNIX.exec(line.slice(0, end));
    if (rule === null || match === null) return [];
    const severity = rule[1] === 'Error' ? 'error' : 'warning';
    return [{ severity, file: match[1] ?? '', line: match[2] ?? null, rule: rule[2] ?? null, message: match[3] ?? '' }];
  });
  const totals = lines.flatMap((line) => UNIX_TOTAL.exec(line)?.[1] ?? []);
  if (findings.length === 0 || totals.length === 0) return null;
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const total = Number(totals.at(-1));
  return reading('eslint_unix', findings, errors, findings.length - errors, total !== findings.length);
};
