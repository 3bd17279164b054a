/**
 * What a deep report comes to, table by table: lawful erasure, damage, withheld parts of a bundle, divergences. PROTOCOL §10.
 */
import { describe, expect, test } from '@jest/globals';
import { type DeepReport, diverged, type Extent, isLawfullyGone, unlawful } from '@openexec/audit';
import { parseTrajectoryId } from '@openexec/canon';

const LEDGER: Extent = { whole: true, withholds: false };
const RUN_BUNDLE: Extent = { whole: false, withholds: true };

type Reports = Pick<DeepReport, 'runs' | 'selfTests'>;
type Run = DeepReport['runs'][number];

function stopped(code: string): Run {
  const run = parseTrajectoryId('run/00000000000000000000000000');
  if (!run.ok) throw new Error(run.error.message);
  return {
    run: run.value,
    verdict: 'notDerivable',
    judgements: 1,
    facts: 1,
    pending: 0,
    closed: false,
    divergences: [],
    omitted: 0,
    violations: [],
    from: { seq: 3, code, message: 'gone' },
  };
}

const among = (run: Run, where: keyof Reports): Reports => ({ runs: [], selfTests: [], [where]: [{ ...run, passed: null }] });

describe('what stops a derivation', () => {
  test.each([
    ['payload.erased', true, true],
    ['blob.erased', true, true],
    ['blob.withheld', false, true],
    ['blob.missing', false, false],
    ['blob.damaged', false, false],
    ['', false, false],
  ])('%s is lawful in a ledger: %s, in a bundle: %s', (code, inLedger, inBundle) => {
    expect(isLawfullyGone({ code })).toBe(inLedger);
    expect(isLawfullyGone({ code }, RUN_BUNDLE)).toBe(inBundle);
    for (const where of ['runs', 'selfTests'] as const) {
      expect(unlawful(among(stopped(code), where), LEDGER)).toHaveLength(inLedger ? 0 : 1);
      expect(unlawful(among(stopped(code), where), RUN_BUNDLE)).toHaveLength(inBundle ? 0 : 1);
    }
  });

  test('a run that was derived whole is never damage', () => {
    const { from: _, ...whole } = stopped('blob.missing');
    expect(unlawful(among({ ...whole, verdict: 'agrees' }, 'runs'))).toEqual([]);
    expect(unlawful(among({ ...stopped('blob.missing'), verdict: 'diverges' }, 'runs'))).toEqual([]);
  });
});

describe('what differs', () => {
  const calm = { totals: { divergences: 0 }, lawProblems: [], carvingFaults: [] } as unknown as DeepReport;
  test.each([
    ['nothing', {}, false, false],
    ['a judgement', { totals: { divergences: 1 } }, true, true],
    ['a law that is none', { lawProblems: [{}] }, true, true],
    ['a grant, which only a whole ledger can show', { carvingFaults: [{}] }, true, false],
  ])('%s', (_, change, inLedger, inRunBundle) => {
    const deep = { ...calm, ...change } as DeepReport;
    expect(diverged(deep)).toBe(inLedger);
    expect(diverged(deep, RUN_BUNDLE)).toBe(inRunBundle);
  });
});
