/**
 * Golden runs: a recorded run in a bundle of its own, and what every kernel must make of it. Replays one with the kernel at hand, or with a candidate
 * for the next. Must never judge what does not hold as a record (ARCHITECTURE §2 "golden runs", GOALS E14).
 */
import type { GoldenRun } from '@openexec/protocol';
import { type BundleParts, verifyBundle } from '@openexec/verify';
import { bundleSource } from './bundle/source.ts';
import { replayRun } from './replay.ts';
import type { Divergence, ReplayReport } from './report.ts';
import type { JudgingKernel } from './runAudit.ts';

/** One member of what a run came to that is not what is expected. */
export interface GoldenDifference {
  readonly what: string;
  readonly expected: string | null;
  readonly actual: string | null;
}
/** What became of one golden run. `broken`: the record itself does not hold, so that nothing was judged. */
export interface GoldenVerdict {
  readonly name: string;
  /** Null where the record cannot be read. */
  readonly run: string | null;
  readonly verdict: 'agrees' | 'diverges' | 'broken';
  readonly judgements: number;
  readonly problem: { readonly code: string; readonly message: string } | null;
  /** The first judgement that this kernel makes otherwise, and how many there are. */
  readonly first: Divergence | null;
  readonly divergences: number;
  readonly differs: readonly GoldenDifference[];
}

/** What a replay comes to, as a golden run keeps it. */
export function expectedOf(report: ReplayReport): GoldenRun['expected'] {
  const { verdict, facts, judgements, closed, outcome, tree, commit, worldRoot, spend, violations } = report;
  return { verdict, facts, judgements, closed, outcome, tree, commit, worldRoot, spend, violations: violations.length };
}

/** Checks the record, then replays it. */
export async function replayGolden(parts: BundleParts, golden: GoldenRun, kernel?: JudgingKernel): Promise<GoldenVerdict> {
  const { name, run, bundle } = golden;
  const report = await verifyBundle(parts, { trust: bundle.ledger, policy: null, since: null });
  const [finding] = report.findings;
  if (!report.sound)
    return brokenGolden(name, run, {
      code: finding?.code ?? 'checkpoint.missing',
      message:
        finding === undefined
          ? 'it has no signed checkpoint'
          : `${finding.part}${finding.index === null ? '' : ` at index ${finding.index}`}: ${finding.message}`,
    });
  if (`${report.size}` !== `${bundle.size}` || report.root !== bundle.root)
    return brokenGolden(name, run, {
      code: 'golden.otherHead',
      message: `the bundle is signed at size ${report.size}, root ${report.root}; golden.json names size ${bundle.size}, root ${bundle.root}`,
    });
  const replayed = await replayRun(bundleSource(parts), run, kernel);
  if (replayed === null) return brokenGolden(name, run, { code: 'golden.noRun', message: `the bundle does not hold ${run}` });
  const differs = differencesOf(golden.expected, expectedOf(replayed));
  return {
    name,
    run,
    verdict: differs.length > 0 || replayed.divergences.length > 0 ? 'diverges' : 'agrees',
    judgements: replayed.judgements,
    problem: null,
    first: replayed.divergences[0] ?? null,
    divergences: replayed.divergences.length + replayed.omitted,
    differs,
  };
}

/** The verdict on a record that does not hold. */
export function brokenGolden(name: string, run: string | null, problem: NonNullable<GoldenVerdict['problem']>): GoldenVerdict {
  return { name, run, verdict: 'broken', judgements: 0, problem, first: null, divergences: 0, differs: [] };
}

function differencesOf(expected: GoldenRun['expected'], actual: GoldenRun['expected']): readonly GoldenDifference[] {
  const flat = ({ spend, ...rest }: GoldenRun['expected']): Readonly<Record<string, string | number | boolean | null>> => ({
    ...rest,
    tokens: spend.tokens,
    usdMicros: spend.usdMicros,
    calls: spend.calls,
  });
  const [wanted, came] = [flat(expected), flat(actual)];
  const text = (value: string | number | boolean | null | undefined): string | null =>
    value === null || value === undefined ? null : `${value}`;
  return Object.keys(wanted)
    .filter((what) => wanted[what] !== came[what])
    .map((what) => ({ what, expected: text(wanted[what]), actual: text(came[what]) }));
}
