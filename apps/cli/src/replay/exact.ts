/**
 * `replay --mode exact` and `--mode step`: derived again from recorded facts, without a model and without an effect. PROTOCOL §10.
 */
import { type ReplayReport, replayRun, replayStage, type StageReplayReport, type StageVisit } from '@openexec/audit';
import { ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { type Style, safeLine } from '../output.ts';
import { amountText } from '../read/narrator.ts';
import { exitOf, findingLines, type ReplayOptions, treeLines, verdictText } from './tell.ts';

const STAGE = /^([a-z][A-Za-z0-9_.-]{0,127})(?:#([1-9][0-9]{0,8}))?$/;

/** The whole run. */
export async function replayExact(
  context: CommandContext,
  { store }: OpenLedger,
  run: TrajectoryId,
  options: ReplayOptions,
): Promise<CommandResult> {
  const report = await replayRun(store, run);
  if (report === null) return refuse('run.unknown', `the ledger has no ${run}`);
  if (options.json === true) context.output.json('replay', { v: 1, mode: 'exact', ...report });
  else for (const line of exactLines(report, context.output.style)) context.output.result(line);
  return ok(exitOf(report));
}

function exactLines(report: ReplayReport, style: Style): string[] {
  return [
    `${style.bold(report.run)}  ${verdictText(report, style)}`,
    `${report.facts} facts, ${report.judgements} judgements${report.pending > 0 ? `, ${report.pending} facts not judged yet` : ''}; outcome ${report.outcome}`,
    ...(report.from === undefined ? treeLines({ expected: report.recordedTree, actual: report.tree }, style) : []),
    ...(report.commit === null ? [] : [`commit     ${report.commit}${report.ref === null ? '' : `  ${safeLine(report.ref)}`}`]),
    ...(report.worldRoot === null ? [] : [`world root ${report.worldRoot}`]),
    `spend      ${amountText(report.spend)}`,
    ...findingLines(report, style),
  ];
}

/** One visit of one stage. */
export async function replayStep(
  context: CommandContext,
  { store }: OpenLedger,
  run: TrajectoryId,
  options: ReplayOptions,
): Promise<CommandResult> {
  const wanted = stageOf(options.stage);
  if (!wanted.ok) return wanted;
  const replayed = await replayStage(store, run, wanted.value);
  if (replayed === null) return refuse('run.unknown', `the ledger has no ${run}`);
  if ('visits' in replayed) return refuse('replay.stageUnknown', unknownStage(options.stage ?? '', replayed.visits));
  const { report } = replayed;
  if (options.json === true) context.output.json('replay-step', { v: 1, mode: 'step', ...report });
  else for (const line of stepLines(report, context.output.style)) context.output.result(line);
  return ok(exitOf(report));
}

function stageOf(text: string | undefined): Result<{ readonly stage: string; readonly visit: number | null }, Refusal> {
  const [, stage, visit] = STAGE.exec(text ?? '') ?? [];
  if (stage === undefined) return refuse('usage.invalid', '--mode step replays one visit of a stage: --stage NAME or --stage NAME#VISIT');
  return ok({ stage, visit: visit === undefined ? null : Number(visit) });
}

function unknownStage(wanted: string, visits: readonly StageVisit[]): string {
  const known = visits.map(({ stage, visit }) => `${stage}#${visit}`);
  return `the run never entered ${safeLine(wanted, 80)}; it has ${known.length === 0 ? 'no stage entry that can be read' : known.map((each) => safeLine(each, 80)).join(', ')}`;
}

function stepLines(report: StageReplayReport, style: Style): string[] {
  const { stage, visit, fromSeq, toSeq } = report;
  return [
    `${style.bold(`${report.run} ${safeLine(stage, 80)}#${visit}`)}  ${verdictText(report, style)}`,
    `entries ${fromSeq} to ${toSeq}: ${report.facts} facts, ${report.judgements} judgements; the stage ${report.outcome === 'open' ? 'was not left yet' : report.outcome}`,
    'what stands before was folded as it is recorded and not judged; what comes after was not looked at',
    ...(report.from === undefined ? treeLines({ expected: report.recordedTree, actual: report.tree }, style) : []),
    ...findingLines(report, style),
  ];
}
