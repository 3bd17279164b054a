/**
 * `policy simulate`: what a candidate policy would have said of every recorded decision, as a table, JSON, SARIF 2.1.0 or JUnit, with an exit code for
 * pipelines. Must never count a run that cannot be derived as unchanged (GOALS first 7, CLI.md).
 */
import { ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type Candidate, type SimulatedDecision, simulate, type Simulation } from '@openexec/audit';
import { SOLO } from '@openexec/policy';
import type { PolicyLayerName } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type ExitCode, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safeLine } from '../output.ts';
import { listRuns } from '../read/runs.ts';
import { bundleDigest } from './files.ts';
import { junitOf, sarifOf } from './reports.ts';
import { givenBundle } from './show.ts';

/** Options of the command. */
export interface SimulateOptions {
  readonly layer?: PolicyLayerName;
  readonly from?: string;
  readonly to?: string;
  readonly failOn?: FailOn;
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly junit?: boolean;
}
/** What ends the command with 1. */
export type FailOn = 'widened' | 'narrowed' | 'changed';

/** Runs by name, between two of them in the order in which they were opened, or all. */
export async function chosenRuns(
  wanted: { readonly runs: readonly string[]; readonly from: string | undefined; readonly to: string | undefined },
  context: CommandContext,
  ledger: OpenLedger,
): Promise<Result<readonly TrajectoryId[], Refusal>> {
  const { runs, from, to } = wanted;
  const named: TrajectoryId[] = [];
  for (const each of [...runs, ...[from, to].filter((end) => end !== undefined)]) {
    const run = await context.findRun(ledger.store, each);
    if (!run.ok) return run;
    named.push(run.value);
  }
  if (runs.length > 0 && (from !== undefined || to !== undefined))
    return refuse('usage.invalid', 'name runs, or a range with --from and --to, not both');
  if (runs.length > 0) return ok([...new Set(named)]);
  const all = (await listRuns(ledger.store)).map(({ run }) => run).reverse();
  const first = from === undefined ? 0 : all.indexOf(named[0] ?? ('' as TrajectoryId));
  const last = to === undefined ? all.length - 1 : all.indexOf(named.at(-1) ?? ('' as TrajectoryId));
  if (last < first && all.length > 0) return refuse('usage.invalid', '--to was opened before --from');
  return ok(all.slice(first, last + 1));
}

/** The bundle that a person names, in the layer that they or its signature say. */
export function candidateOf(wanted: string, layer: PolicyLayerName | undefined, context: CommandContext): Result<Candidate, Refusal> {
  const given = givenBundle(wanted, context);
  if (!given.ok) return given;
  const { bundle, source, signed } = given.value;
  const own = signed?.adoption.body.layer;
  if (own !== undefined && layer !== undefined && own !== layer)
    return refuse('usage.invalid', `the bundle is signed for layer ${own}; leave --layer out`);
  const signers = signed?.adoption.signatures.map(({ key }) => key) ?? [];
  return ok({ layer: own ?? layer ?? 'operator', bundle, source, signers, replaces: SOLO.name });
}

/** Simulates and reports. */
export async function simulateRuns(
  wanted: { readonly bundle: string; readonly runs: readonly string[] },
  options: SimulateOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const candidate = candidateOf(wanted.bundle, options.layer, context);
  if (!candidate.ok) return candidate;
  const runs = await chosenRuns({ runs: wanted.runs, from: options.from, to: options.to }, context, ledger);
  if (!runs.ok) return runs;
  const { output } = context;
  const { failOn = 'changed' } = options;
  const document = options.json === true || options.sarif === true || options.junit === true;
  // A report of cases names each; every other form keeps what would change, and no more than that.
  const kept: SimulatedDecision[] = [];
  const simulation = await simulate(ledger.store, runs.value, candidate.value, (made) => {
    if (options.junit === true || (document && made.change !== 'same')) kept.push(made);
    else if (made.change !== 'same') output.result(lineOf(made));
  });
  if (options.junit === true) output.result(junitOf(simulation, kept, (made) => failsOn(made, failOn)));
  else if (options.sarif === true)
    output.result(JSON.stringify(sarifOf(simulation, kept, { candidate: candidate.value, version: context.version }), null, 2));
  else if (options.json === true) output.json('policy-simulate', jsonOf(simulation, kept, candidate.value));
  else for (const line of summaryOf(simulation, candidate.value)) output.result(line);
  for (const { run, notDerivable } of simulation.runs)
    if (notDerivable !== null)
      output.warn(
        `${run} is not derivable from seq ${notDerivable.seq} (${safeLine(notDerivable.code)}): ${notDerivable.missed} decisions were not looked at`,
      );
  return ok(exitOf(simulation, options.failOn));
}

function exitOf(simulation: Simulation, failOn: FailOn | undefined): ExitCode {
  if (simulation.runs.some(({ notDerivable }) => notDerivable?.code === 'decision.diverges')) return EXIT.diverged;
  if (failOn === undefined) return EXIT.ok;
  const { widened, narrowed, decisions, counts } = simulation;
  const found = { widened, narrowed, changed: decisions - counts.same }[failOn];
  return found > 0 ? EXIT.failed : EXIT.ok;
}

function failsOn({ change, direction }: SimulatedDecision, failOn: FailOn): boolean {
  return failOn === 'changed' ? change !== 'same' : direction === failOn || direction === 'both';
}

/** What would change, in one line. */
export function lineOf({ run, seq, subject, change, direction, recorded, candidate }: SimulatedDecision): string {
  const by = candidate.rule === null ? candidate.by : `${candidate.rule.layer}/${candidate.rule.rule}`;
  const turn = change === 'asksOtherwise' ? `asks on ${direction} terms` : `${recorded.verdict} → ${candidate.verdict}`;
  return `${shortRun(run)} ${String(seq).padStart(5)}  ${safeLine(subject, 60).padEnd(24)}  ${turn}  by ${safeLine(by)}: ${safeLine(candidate.because)}`;
}

/** The sum in words. */
export function summaryOf(simulation: Simulation, { layer, bundle }: Candidate): readonly string[] {
  const { runs, decisions, counts, widened, narrowed, missed } = simulation;
  const parts = [
    `${counts.same} the same`,
    `${counts.newlyDenies} newly denied`,
    `${counts.newlyAsks} newly asked`,
    `${counts.newlyPermits} newly permitted`,
    `${counts.asksOtherwise} asked on other terms`,
  ];
  const lines = [
    `${layer}/${bundle.name} over ${runs.length} runs, ${decisions} decisions: ${parts.join(', ')}`,
    `widened ${widened}, narrowed ${narrowed}`,
  ];
  return missed === 0 ? lines : [...lines, `not derivable: ${missed} decisions`];
}

function jsonOf(simulation: Simulation, changed: readonly SimulatedDecision[], { layer, bundle, source }: Candidate) {
  const { runs, decisions, counts, widened, narrowed, missed } = simulation;
  const candidate = { layer, name: bundle.name, digest: bundleDigest(bundle), source };
  return { v: 1 as const, candidate, decisions, counts, widened, narrowed, missed, runs, changed };
}
