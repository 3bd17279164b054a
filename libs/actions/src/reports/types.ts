/**
 * What a report says. Counts and failures are what the command claims in its output; must never be read as a verdict (SECURITY §6.8 "evidence is produced
 * by the runtime").
 */

/** Forms of output that are recognised; `generic` is none of them: only the exit code speaks. */
export type ReportFormat =
  | 'node_spec'
  | 'tap'
  | 'jest'
  | 'jest_json'
  | 'junit'
  | 'pytest'
  | 'go'
  | 'go_json'
  | 'cargo'
  | 'eslint_stylish'
  | 'eslint_json'
  | 'eslint_unix'
  | 'tsc'
  | 'generic';
/** What the command was run for: which forms are tried first. */
export type CheckKind = 'test' | 'lint' | 'typecheck' | 'build' | 'format';
/** Null where the output does not say: never 0 for "not known". Tests are passed, failed or skipped; `errors` are what kept tests from running, or findings. */
export interface ReportCounts {
  readonly passed: number | null;
  readonly failed: number | null;
  readonly skipped: number | null;
  readonly errors: number | null;
  readonly warnings: number | null;
}
/** One failure. `file` is a path of the workspace as the tool names it, `line` counts from 1. */
export interface ReportFailure {
  readonly name: string | null;
  readonly file: string | null;
  readonly line: number | null;
  readonly message: string;
}
/** What one reader found. `contested`: the output holds several summaries that differ; the last one was taken. */
export interface Reading {
  readonly format: Exclude<ReportFormat, 'generic'>;
  readonly counts: ReportCounts;
  readonly failures: readonly ReportFailure[];
  readonly contested: boolean;
}
/** A whole report. `failures` are the first ones; `failuresLeftOut` says how many more were found. */
export interface Report {
  readonly format: ReportFormat;
  readonly counts: ReportCounts;
  readonly failures: readonly ReportFailure[];
  readonly failuresLeftOut: number;
  /** Where the output contradicts the exit code or itself; the exit code holds. */
  readonly disagreement: string | null;
}
/** A reader of one form: null where the output is not of it. Never throws for what an output holds. */
export type ReportReader = (output: CleanOutput) => Reading | null;
/** Output without colours and control characters; `lines` are cut, `text` is not. */
export interface CleanOutput {
  readonly text: string;
  readonly lines: readonly string[];
}

/** Counts of which nothing is known. */
export const UNKNOWN: ReportCounts = { passed: null, failed: null, skipped: null, errors: null, warnings: null };
