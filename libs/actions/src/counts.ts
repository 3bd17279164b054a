/**
 * Counts of tests alone, for callers that want nothing else of a report. Must never decide a verdict: the exit code of the command does (SECURITY §6.8
 * "evidence is produced by the runtime").
 */
import { readReport } from './reports/report.ts';
import type { CheckKind } from './reports/types.ts';

/** What the output claims of tests. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Counts where the output is of a known form that names all three, else null: what is not said is not 0. */
export function countsOf(output: string, kind?: CheckKind): TestCounts | null {
  const { passed, failed, skipped } = readReport(output, null, kind).counts;
  return passed === null || failed === null || skipped === null ? null : { passed, failed, skipped };
}
