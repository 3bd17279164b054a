/**
 * What a deep report comes to: what may lawfully be underivable, what is damage, what is a divergence. The one home of these rules, for every command and
 * program that asks (PROTOCOL §10).
 */
import type { DeepReport, NotDerivable, RunReport } from './report.ts';

/** What was erased under a rule. Anything else that is missing, or is not what it should be, is damage. */
const ERASED: readonly string[] = ['payload.erased', 'blob.erased'];
/** What a bundle says that it holds back. */
const WITHHELD = 'blob.withheld';

/** Where a report was taken from. */
export interface Extent {
  /** Every run is there, so that what others left of a standing writ can be counted. */
  readonly whole: boolean;
  /** What is held back is named as such, and is no fault of the run: true of a bundle, never of a ledger. */
  readonly withholds: boolean;
}

/** A ledger itself. */
export const WHOLE_LEDGER: Extent = { whole: true, withholds: false };

/** Whether what stops a derivation is gone under a rule. */
export function isLawfullyGone({ code }: Pick<NotDerivable, 'code'>, { withholds }: Extent = WHOLE_LEDGER): boolean {
  return ERASED.includes(code) || (withholds && code === WITHHELD);
}

/** Runs and self-tests that cannot be derived for another reason: bytes are missing or are not what they should be. */
export function unlawful({ runs, selfTests }: Pick<DeepReport, 'runs' | 'selfTests'>, extent: Extent = WHOLE_LEDGER): readonly RunReport[] {
  return [...runs, ...selfTests].filter(
    ({ from, verdict }) => verdict === 'notDerivable' && from !== undefined && !isLawfullyGone(from, extent),
  );
}

/** Whether something recorded is not what follows from the rest: a judgement, a law, a grant. */
export function diverged(
  { totals, lawProblems, carvingFaults }: Pick<DeepReport, 'totals' | 'lawProblems' | 'carvingFaults'>,
  { whole }: Extent = WHOLE_LEDGER,
): boolean {
  return totals.divergences > 0 || lawProblems.length > 0 || (whole && carvingFaults.length > 0);
}
