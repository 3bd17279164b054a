/**
 * `replay --mode model`: the recorded questions asked again, word for word, and the answers held against the recorded ones. Costs what it costs, within
 * the run's own budget or less; performs nothing and records nothing. PROTOCOL §10.
 */
import { type ReplayReport, replayRun } from '@openexec/audit';
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { ModelAdapter } from '@openexec/catalogue';
import type { RunLaw } from '@openexec/kernel';
import type { Amount, Prices } from '@openexec/protocol';
import { type AskReplay, loadRun, type ModelReplay, replayModel } from '@openexec/runtime';
import { inspectRepository } from '@openexec/workspace';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, type ExitCode, type Refusal, refusalFor, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { type Style, safeLine } from '../output.ts';
import { amountText } from '../read/narrator.ts';
import { loadOperating, readScript } from '../run/drive.ts';
import { sleep } from '../run/hands.ts';
import { chooseModel, reopenModel } from '../run/model.ts';
import { configFor } from '../run/plan.ts';
import { redactorOf } from '../run/redact.ts';
import { exactPart, exitOf, findingLines, type ReplayOptions, treeLines, verdictText } from './tell.ts';

type Price = Prices['models'][string];

const MICROS = 1_000_000;

/** Who is asked, at what price, and for how much at most. */
interface Asked {
  readonly adapter: ModelAdapter;
  readonly provider: string;
  readonly model: string;
  readonly price: Price | null;
  readonly budget: Amount;
}
interface Told {
  readonly exact: ReplayReport;
  /** Null where the run cannot be derived to its end, so that nobody was asked. */
  readonly asked: Asked | null;
  readonly again: ModelReplay;
}

const NOBODY: Pick<Told, 'asked' | 'again'> = {
  asked: null,
  again: { asks: [], spent: { tokens: 0, usdMicros: 0, calls: 0 }, sameCalls: false },
};

/** Derives the run first: of what is gone no question can be made. */
export async function replayWithModel(
  context: CommandContext,
  ledger: OpenLedger,
  run: TrajectoryId,
  options: ReplayOptions,
): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const exact = await replayRun(ledger.store, run);
  if (exact === null) return refuse('run.unknown', `the ledger has no ${run}`);
  if (exact.from !== undefined) return tell(context, { exact, ...NOBODY }, options);
  const state = await loadRun(ledger.store, run);
  if (!state.ok) return err(storeRefusal(state.error));
  const { law } = state.value;
  if (law === null) return refuse('replay.nothing', `${run} was opened under a law that does not hold, and asked nothing`);
  const asked = whoIsAsked(context, project.value, { ledger, run, law, options });
  if (!asked.ok) return asked;
  const redact = await redactorFor(context, project.value, ledger);
  if (!redact.ok) return redact;
  const { adapter, model, price, budget } = asked.value;
  const again = await replayModel({
    run,
    hands: { ledger: ledger.store, clock: context.clock, model: adapter, sleep, redact: redact.value },
    model,
    budget,
    costOf: (input, output) => costOf(price, input, output),
    stop: context.stopOnInterrupt(),
    onAsk: ({ seq, stage, visit, turn, verdict }) =>
      context.output.progress(`${seq} ${safeLine(stage, 80)}#${visit}, turn ${turn}: ${verdict}`),
  });
  if (!again.ok)
    return again.error.code === 'replay.stopped' ? refuse('replay.stopped', again.error.message) : err(storeRefusal(again.error));
  if (again.value.asks.every(({ verdict }) => verdict === 'unanswered'))
    return refuse('replay.nothing', `${run} holds no answer of a model, so there is nothing to hold one against`);
  return tell(context, { exact, asked: asked.value, again: again.value }, options);
}

async function redactorFor(
  context: CommandContext,
  { root }: Project,
  ledger: OpenLedger,
): Promise<Result<(bytes: Uint8Array) => Uint8Array, Refusal>> {
  const repository = await inspectRepository(root);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const { commonDir } = repository.value;
  const redactor = await redactorOf({ env: context.env, keys: [operator, runtime], runtime, root, commonDir });
  return redactor.ok ? ok((bytes) => redactor.value.redactBytes(bytes)) : redactor;
}

/** The model of the run, where it was asked then; another one only where the caller names it. */
function whoIsAsked(
  context: CommandContext,
  project: Project,
  of: { readonly ledger: OpenLedger; readonly run: TrajectoryId; readonly law: RunLaw; readonly options: ReplayOptions },
): Result<Asked, Refusal> {
  const { ledger, run, law, options } = of;
  const choice = law.model;
  if (choice === null) return refuse('replay.nothing', `${run} was opened without a model, so there is no answer to hold one against`);
  const config = configFor(context, project, options.model === undefined ? {} : { model: options.model });
  if (!config.ok) return config;
  const places = { env: context.env, config: config.value, root: project.root };
  const named = options.model === undefined ? null : chooseModel({ ...places, base: context.cwd });
  if (named?.ok === false) return named;
  const script = named === null && choice.provider === 'scripted' ? readScript(ledger, run) : ok(null);
  if (!script.ok) return script;
  const adapter = named === null ? reopenModel(choice, script.value, { ...places, base: project.root }) : ok(named.value.adapter);
  if (!adapter.ok) return adapter;
  const { provider, model } = named?.value.choice ?? choice;
  const name = `${provider}:${model}`;
  const price = config.value.prices.models[name] ?? law.prices.models[name] ?? null;
  if (options.budgetUsd !== undefined && price === null && provider !== 'scripted')
    return refuse('config.priceMissing', `a limit in dollars is set, but ${safeLine(name, 160)} has no price`);
  const { tokens, usdMicros, calls } = law.writ.budget;
  const most = options.budgetUsd === undefined ? usdMicros : Math.min(usdMicros, Math.round(options.budgetUsd * MICROS));
  return ok({ adapter: adapter.value, provider, model, price, budget: { tokens, usdMicros: most, calls } });
}

/** As the kernel counts it: rounded up. */
function costOf(price: Price | null, input: number, output: number): number {
  if (price === null) return 0;
  return Math.ceil((input * price.inputUsdMicrosPerMillion + output * price.outputUsdMicrosPerMillion) / MICROS);
}

function tell(context: CommandContext, told: Told, options: ReplayOptions): CommandResult {
  if (options.json === true) context.output.json('replay-model', documentOf(told));
  else for (const line of linesOf(told, context.output.style)) context.output.result(line);
  return ok(exitCode(told));
}

const has = ({ again }: Told, verdict: AskReplay['verdict']): boolean => again.asks.some((ask) => ask.verdict === verdict);

/** Words alone are no divergence: a model may say the same thing otherwise. */
function exitCode(told: Told): ExitCode {
  const exact = exitOf(told.exact);
  if (exact !== EXIT.ok) return exact;
  if (has(told, 'differs')) return EXIT.diverged;
  if (has(told, 'failed')) return EXIT.provider;
  return has(told, 'budget') ? EXIT.exhausted : EXIT.ok;
}

function documentOf(told: Told) {
  const { exact, asked, again } = told;
  return {
    v: 1 as const,
    mode: 'model' as const,
    run: exact.run,
    verdict: has(told, 'differs') ? ('diverges' as const) : exact.verdict,
    exit: exitCode(told),
    exact: exactPart(exact),
    asked: asked === null ? null : { provider: asked.provider, model: asked.model },
    asks: again.asks,
    spent: again.spent,
    budget: asked?.budget ?? again.spent,
    priced: asked !== null && asked.price !== null,
    expectedTree: exact.recordedTree,
    actualTree: again.sameCalls ? exact.tree : null,
  };
}

const VERDICTS: { readonly [verdict in AskReplay['verdict']]: string } = {
  same: 'the same answer',
  text: 'the same calls in other words',
  differs: 'another answer',
  failed: 'no answer',
  unanswered: 'not asked: no answer is recorded',
  budget: 'not asked: it might cost more than is left of the budget',
};

function linesOf(told: Told, style: Style): string[] {
  const { exact, asked, again } = told;
  const head = [`${style.bold(exact.run)}  ${verdictText(exact, style)}`, ...findingLines(exact, style)];
  if (asked === null) return [...head, 'nobody was asked: of a run that cannot be derived to its end no question can be made again'];
  return [
    ...head,
    `asked      ${safeLine(`${asked.provider}:${asked.model}`, 200)}, the recorded questions word for word`,
    ...again.asks.flatMap((ask) => askLines(ask, style)),
    ...treeLines({ expected: exact.recordedTree, actual: again.sameCalls ? exact.tree : null }, style),
    ...(again.sameCalls ? [] : ['           other calls would make another tree; none was performed']),
    `spent      ${amountText(again.spent)}${asked.price === null ? ' (the model has no price here)' : ''}; at most ${amountText(asked.budget)}`,
    'nothing was performed and nothing was recorded',
  ];
}

function askLines({ seq, stage, visit, turn, verdict, differs, because }: AskReplay, style: Style): string[] {
  const mark =
    verdict === 'same' || verdict === 'text'
      ? style.green('✓')
      : verdict === 'differs' || verdict === 'failed'
        ? style.red('✗')
        : style.yellow('-');
  return [
    `${mark} ${String(seq).padStart(5)}  ${safeLine(stage, 80)}#${visit}, turn ${turn}: ${VERDICTS[verdict]}${because === null ? '' : `: ${because.code}: ${safeLine(because.message)}`}`,
    ...differs.flatMap(({ path, expected, recorded }) => [
      `    ${safeLine(path, 200)}`,
      `      recorded ${expected === null ? 'nothing' : safeLine(expected, 300)}`,
      `      now      ${recorded === null ? 'nothing' : safeLine(recorded, 300)}`,
    ]),
  ];
}
