/**
 * `junit.xml`: one suite a run; one case a stage and one a command, each with the verdict of its last visit or attempt, the earlier ones in its output. The
 * dialect that CI servers read (Jenkins' junit-10.xsd: suites, suite, case, failure, error, skipped, system-out).
 */
import type { AuditReport, ReportedRun } from '@openexec/protocol';
import { escapedLine } from './escape.ts';

type Verdict = 'passed' | 'failure' | 'error' | 'skipped';
interface Case {
  readonly className: string;
  readonly name: string;
  readonly verdict: Verdict;
  readonly message: string;
  readonly durationMs: number;
  readonly earlier: readonly string[];
}

/** The whole file. */
export function junitOf({ runs }: AuditReport): string {
  const suites = runs.map(suiteOf);
  const sum = totals(suites.flatMap(({ cases }) => cases));
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="openexec" ${sum}>`,
    ...suites.flatMap(({ lines }) => lines),
    '</testsuites>',
    '',
  ].join('\n');
}

function suiteOf(run: ReportedRun): { readonly cases: readonly Case[]; readonly lines: readonly string[] } {
  const cases = [...stageCases(run), ...checkCases(run)];
  const began = run.openedAt === null ? '' : ` timestamp="${run.openedAt.slice(0, 19)}"`;
  return {
    cases,
    lines: [
      `  <testsuite name="${escapedLine(run.run)}" ${totals(cases)}${began}>`,
      '    <properties>',
      ...properties(run).map(([name, value]) => `      <property name="${name}" value="${escapedLine(value)}"/>`),
      '    </properties>',
      ...cases.flatMap(caseLines),
      '  </testsuite>',
    ],
  };
}

function properties(run: ReportedRun): readonly (readonly [string, string])[] {
  const { result, counts } = run;
  return [
    ['outcome', run.outcome],
    ['governed', `${run.governed}`],
    ['commit', result?.commit ?? 'none'],
    ['tree', result?.tree ?? 'none'],
    ['denied', `${counts.denied}`],
    ['undeclared', `${counts.undeclared}`],
  ];
}

function totals(cases: readonly Case[]): string {
  const count = (wanted: Verdict): number => cases.filter(({ verdict }) => verdict === wanted).length;
  const time = seconds(cases.reduce((sum, { durationMs }) => sum + durationMs, 0));
  return `tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}" time="${time}"`;
}

function stageCases({ run, stages }: ReportedRun): readonly Case[] {
  const verdicts = { succeeded: 'passed', failed: 'failure', skipped: 'skipped' } as const;
  return grouped(stages, ({ stage }) => stage).map(([stage, visits, last]) => ({
    className: `${run}.stage`,
    name: stage,
    verdict: last.outcome === null ? 'error' : verdicts[last.outcome],
    message: last.outcome === null ? 'the stage was never left' : `${last.because?.code ?? ''}: ${last.because?.message ?? ''}`,
    durationMs: 0,
    earlier: visits.map(({ visit, outcome, because }) => `visit ${visit}: ${outcome ?? 'not left'} ${because?.code ?? ''}`),
  }));
}

function checkCases({ run, checks }: ReportedRun): readonly Case[] {
  return grouped(checks, ({ stage, action }) => `${stage ?? ''} ${action}`).map(([, attempts, last]) => ({
    className: `${run}.${last.stage ?? 'run'}`,
    name: last.action,
    verdict: last.status === 'ok' ? 'passed' : last.status === 'failed' ? 'failure' : 'error',
    message: `${last.exitCode === null ? '' : `exit code ${last.exitCode}: `}${last.status === null ? 'nothing came back' : last.summary}`,
    durationMs: last.durationMs ?? 0,
    earlier: attempts.map(
      ({ seq, visit, status, exitCode }) =>
        `entry ${seq}, visit ${visit}: ${status ?? 'open'}${exitCode === null ? '' : `, exit code ${exitCode}`}`,
    ),
  }));
}

/** Each key once, in order of first sight: the earlier ones, and the last. */
function grouped<T>(all: readonly T[], keyOf: (one: T) => string): readonly (readonly [string, readonly T[], T])[] {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return [...groups].flatMap(([key, group]) => {
    const last = group.at(-1);
    return last === undefined ? [] : [[key, group.slice(0, -1), last] as const];
  });
}

function caseLines({ className, name, verdict, message, durationMs, earlier }: Case): readonly string[] {
  const open = `    <testcase classname="${escapedLine(className)}" name="${escapedLine(name)}" time="${seconds(durationMs)}"`;
  const said = verdict === 'passed' ? [] : [`      <${verdict} message="${escapedLine(message)}"/>`];
  const before = earlier.length === 0 ? [] : [`      <system-out>${earlier.map(escapedLine).join('\n')}</system-out>`];
  return said.length + before.length === 0 ? [`${open}/>`] : [`${open}>`, ...said, ...before, '    </testcase>'];
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)}.${`${ms % 1000}`.padStart(3, '0')}`;
}
