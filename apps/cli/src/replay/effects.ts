/**
 * `replay --mode effects`: the recorded workspace actions performed again in a fresh confined workspace, each held against what is recorded, ending at
 * the git tree. Lands nothing, records nothing, never performs what reaches beyond the workspace. PROTOCOL §10.
 */
import { type ReplayReport, replayRun } from '@openexec/audit';
import { err, ok, type TrajectoryId } from '@openexec/canon';
import { type ActionReplay, COMPARED, COMPARED_WITHOUT_COMMAND, type EffectsReplay, NOT_COMPARED, replayEffects } from '@openexec/runtime';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type ExitCode, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { type Style, safeLine } from '../output.ts';
import { freshHands } from './fresh.ts';
import { exactPart, exitOf, findingLines, type ReplayOptions, treeLines, verdictText } from './tell.ts';

interface Told {
  readonly exact: ReplayReport;
  /** Null where the run cannot be derived to its end, so that nothing was performed. */
  readonly again: EffectsReplay | null;
}

/** Derives the run first: what is gone from it cannot be performed either. */
export async function replayWithEffects(
  context: CommandContext,
  ledger: OpenLedger,
  run: TrajectoryId,
  options: ReplayOptions,
): Promise<CommandResult> {
  const exact = await replayRun(ledger.store, run);
  if (exact === null) return refuse('run.unknown', `the ledger has no ${run}`);
  if (exact.from !== undefined) return tell(context, { exact, again: null }, options);
  const fresh = await freshHands(context, ledger, run);
  if (!fresh.ok) return fresh;
  try {
    const { hands } = fresh.value;
    const onAction = (action: ActionReplay): void =>
      context.output.progress(`${action.seq} ${action.action}: ${action.skipped ?? (action.differs.length > 0 ? 'differs' : 'the same')}`);
    const again = await replayEffects({ run, hands, stop: context.stopOnInterrupt(), onAction });
    if (!again.ok)
      return again.error.code === 'replay.stopped' ? refuse('replay.stopped', again.error.message) : err(storeRefusal(again.error));
    if (!again.value.actions.some(({ skipped }) => skipped === null))
      return refuse('replay.nothing', `${run} recorded no workspace action that could be performed again`);
    return tell(context, { exact, again: again.value }, options);
  } finally {
    fresh.value.remove();
  }
}

function tell(context: CommandContext, told: Told, options: ReplayOptions): CommandResult {
  if (options.json === true) context.output.json('replay-effects', documentOf(told));
  else for (const line of linesOf(told, context.output.style)) context.output.result(line);
  return ok(exitCode(told));
}

function differs({ again }: Told): boolean {
  return again !== null && (again.actualTree !== again.expectedTree || again.actions.some((action) => action.differs.length > 0));
}

function exitCode(told: Told): ExitCode {
  return differs(told) && exitOf(told.exact) === EXIT.ok ? EXIT.diverged : exitOf(told.exact);
}

function documentOf(told: Told) {
  const { exact, again } = told;
  return {
    v: 1 as const,
    mode: 'effects' as const,
    run: exact.run,
    verdict: differs(told) ? ('diverges' as const) : exact.verdict,
    exact: exactPart(exact),
    actions: again?.actions ?? [],
    compared: COMPARED,
    comparedWithoutCommand: COMPARED_WITHOUT_COMMAND,
    notCompared: NOT_COMPARED,
    expectedTree: again?.expectedTree ?? null,
    actualTree: again?.actualTree ?? null,
  };
}

const SKIPPED: { readonly [why in NonNullable<ActionReplay['skipped']>]: string } = {
  external: 'not performed: it reaches beyond the workspace',
  unanswered: 'not performed: nobody recorded how it went',
  stopped: 'not performed: a person ended it',
};

function linesOf(told: Told, style: Style): string[] {
  const { exact, again } = told;
  const head = `${style.bold(exact.run)}  ${verdictText(exact, style)}`;
  if (again === null) return [head, 'nothing was performed: a run that cannot be derived to its end cannot be performed again'];
  const performed = again.actions.filter(({ skipped }) => skipped === null);
  const wrong = performed.filter((action) => action.differs.length > 0).length;
  return [
    head,
    ...findingLines(exact, style),
    `${performed.length} of ${again.actions.length} actions performed again in a fresh workspace: ${wrong === 0 ? style.green('each came out as recorded') : style.red(`${wrong} came out otherwise`)}`,
    ...again.actions.flatMap((action) => actionLines(action, style)),
    ...treeLines({ expected: again.expectedTree, actual: again.actualTree }, style),
    `compared   ${COMPARED.join(', ')}; without a command also ${COMPARED_WITHOUT_COMMAND.join(', ')}`,
    `not        ${NOT_COMPARED.join(', ')}`,
    'nothing was recorded and nothing landed',
  ];
}

function actionLines({ seq, stage, visit, action, skipped, differs: places, varied }: ActionReplay, style: Style): string[] {
  const where = `${String(seq).padStart(5)}  ${safeLine(stage ?? 'no stage', 80)}#${visit} ${safeLine(action, 80)}`;
  if (skipped !== null) return [`${style.yellow('-')} ${where}: ${SKIPPED[skipped]}`];
  if (places.length === 0)
    return [
      `${style.green('✓')} ${where}${varied.length === 0 ? '' : ` (other words: ${varied.map((each) => safeLine(each, 80)).join(', ')})`}`,
    ];
  return [
    `${style.red('✗')} ${where}`,
    ...places.flatMap(({ path, expected, recorded }) => [
      `    ${safeLine(path, 200)}`,
      `      recorded ${expected === null ? 'nothing' : safeLine(expected, 300)}`,
      `      now      ${recorded === null ? 'nothing' : safeLine(recorded, 300)}`,
    ]),
  ];
}
