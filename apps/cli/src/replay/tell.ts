/**
 * What every replay tells alike: its verdict, its divergences, the two trees, and how it ends. CLI.md "Exit codes".
 */
import { isLawfullyGone, type ReplayReport, type RunReport } from '@openexec/audit';
import { EXIT, type ExitCode } from '../exit.ts';
import { type Style, safeLine } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';

/** Options of the command. */
export interface ReplayOptions {
  readonly mode: string;
  readonly stage?: string;
  readonly model?: string;
  readonly budgetUsd?: number;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** The verdict in a sentence. */
export function verdictText(report: RunReport, style: Style): string {
  return {
    agrees: style.green('agrees: every recorded judgement is the one that the kernel makes again'),
    diverges: style.red(`diverges in ${report.divergences.length + report.omitted} places`),
    notDerivable: style.yellow(`not derivable from seq ${report.from?.seq ?? 0}: ${safeLine(report.from?.message ?? '')}`),
  }[report.verdict];
}

/** Every violation and every divergence. */
export function findingLines(report: RunReport, style: Style): string[] {
  return [
    ...report.violations.map(({ seq, why, message }) => `violation  seq ${seq}: ${why}: ${safeLine(message)}`),
    ...report.divergences.flatMap((divergence) => divergenceLines(divergence, style)),
    ...(report.omitted === 0 ? [] : [`  and ${report.omitted} more`]),
  ];
}

/** Both trees: the expected one is what is recorded. */
export function treeLines(trees: { readonly expected: string | null; readonly actual: string | null }, style: Style): string[] {
  const { expected, actual } = trees;
  const same = expected === actual;
  const mark = same ? style.green('the same') : style.red('another one');
  return [`tree       expected ${expected ?? 'none'}`, `           actual   ${actual ?? 'not known'}  ${mark}`];
}

/** 20 where something is missing that nobody erased under a rule, 21 where something differs. */
export function exitOf(report: RunReport): ExitCode {
  if (report.from !== undefined && !isLawfullyGone(report.from)) return EXIT.integrity;
  return report.verdict === 'diverges' ? EXIT.diverged : EXIT.ok;
}

/** Exact replay as a part of another document. */
export function exactPart({ verdict, judgements, divergences, omitted, from }: ReplayReport) {
  return { verdict, judgements, divergences, omitted, ...(from === undefined ? {} : { from }) };
}
