/**
 * What the output of a check says, in one shape. Must never decide a verdict: the exit code does. An output in no known form gives no counts, and one
 * that contradicts the exit code is said to (SECURITY §6.8 "evidence is produced by the runtime").
 */
import type { Json } from '@openexec/canon';
import { readCargo } from './cargo.ts';
import { readEslintJson, readEslintStylish, readEslintUnix } from './eslint.ts';
import { readGo, readGoJson } from './go.ts';
import { readJest, readJestJson } from './jest.ts';
import { readJunit } from './junit.ts';
import { readPytest } from './pytest.ts';
import { readNodeSpec, readTap } from './tap.ts';
import { cleanOutput } from './text.ts';
import { readTsc } from './tsc.ts';
import { type CheckKind, type Report, type ReportCounts, type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

/** What a model can read and repair in one stage. */
const FAILURES_MAX = 20;
/** Forms with a frame of their own before those that are recognised by single lines. */
const TESTS: readonly ReportReader[] = [
  readJestJson,
  readGoJson,
  readJunit,
  readPytest,
  readJest,
  readGo,
  readNodeSpec,
  readTap,
  readCargo,
];
const LINTERS: readonly ReportReader[] = [readEslintJson, readEslintStylish, readEslintUnix];
const COMPILERS: readonly ReportReader[] = [readTsc, readCargo];
const ORDER: { readonly [K in CheckKind]: readonly ReportReader[] } = {
  test: [...TESTS, ...COMPILERS, ...LINTERS],
  lint: [...LINTERS, ...COMPILERS, ...TESTS],
  typecheck: [...COMPILERS, ...LINTERS, ...TESTS],
  build: [...COMPILERS, ...LINTERS, ...TESTS],
  format: [...LINTERS, ...COMPILERS, ...TESTS],
};

/** The report of one command. `exitCode` null where a signal ended it; `kind` says which forms are tried first. */
export function readReport(output: string, exitCode: number | null, kind: CheckKind = 'test'): Report {
  const clean = cleanOutput(output);
  for (const read of ORDER[kind]) {
    const reading = read(clean);
    if (reading === null) continue;
    const { format, counts, failures, contested } = reading;
    return {
      format,
      counts,
      failures: failures.slice(0, FAILURES_MAX),
      failuresLeftOut: Math.max(0, failures.length - FAILURES_MAX),
      disagreement: disagreementOf(counts, exitCode, contested),
    };
  }
  return { format: 'generic', counts: UNKNOWN, failures: [], failuresLeftOut: 0, disagreement: null };
}

function disagreementOf(counts: ReportCounts, exitCode: number | null, contested: boolean): string | null {
  const bad = (counts.failed ?? 0) + (counts.errors ?? 0);
  const said = exitCode === null ? 'the command was ended by a signal' : `the exit code is ${exitCode}`;
  if (exitCode === 0 && bad > 0) return `${said}, but the output counts ${bad} failure${bad === 1 ? '' : 's'}`;
  const claimsNone = bad === 0 && (counts.failed !== null || counts.errors !== null);
  if (exitCode !== 0 && claimsNone) return `${said}, but the output counts no failure`;
  return contested ? 'the output holds summaries that differ; the last one was read' : null;
}

/** `3 passed, 1 failed, 2 errors`: what is known, nothing else; '' where nothing is. */
export function countsText(counts: ReportCounts): string {
  const names = ['passed', 'failed', 'skipped', 'errors', 'warnings'] as const;
  return names.flatMap((name) => (counts[name] === null ? [] : [`${counts[name]} ${name}`])).join(', ');
}

/** `name (file:line)`, as far as it is known. */
export function failureText({ name, file, line, message }: ReportFailure): string {
  const place = file === null ? '' : `${file}${line === null ? '' : `:${line}`}`;
  const what = name ?? message.split('\n')[0] ?? '';
  return place === '' ? what : what === '' ? place : `${what} (${place})`;
}

/** Counts, first failure and disagreement, for the summary of an action: `: 1 passed, 1 failed; first: adds (a.test.js:6)`. */
export function reportText(report: Report): string {
  const counts = countsText(report.counts);
  const first = report.failures[0];
  return [
    counts === '' ? '' : `: ${counts}`,
    first === undefined ? '' : `; first: ${failureText(first)}`,
    report.disagreement === null ? '' : `; ${report.disagreement}`,
  ].join('');
}

/** The members that a report adds to the artifact of a check. */
export function reportMembers(report: Report): { readonly [name: string]: Json } {
  const { format, counts, failures, failuresLeftOut, disagreement } = report;
  return {
    format,
    counts: format === 'generic' ? null : { ...counts },
    failures: failures.map((failure) => ({ ...failure })),
    failuresLeftOut,
    disagreement,
  };
}
