/**
 * Driving a run: the same for a new one, whoever asks for it, and for one that a command takes over. Must never swallow why a drive ended.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { err, instantToMs, type Json, ok, parseJson, type Result, type TrajectoryId } from '@openexec/canon';
import type { Approver, ModelAdapter, StopSignal } from '@openexec/catalogue';
import type { FileKey } from '@openexec/config';
import type { RunState } from '@openexec/kernel';
import {
  type ModelChoice,
  type Prices,
  prices,
  type RoutingPlan,
  type RunOpened,
  type SandboxProfile,
  sandboxProfile,
} from '@openexec/protocol';
import { driveRun, type Hands, loadRun } from '@openexec/runtime';
import { inspectRepository } from '@openexec/workspace';
import { type Along, alongFor } from '../anchors/along.ts';
import { terminalApprover } from '../approval/ask.ts';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { KEY_LABELS, keysFolder, loadKey } from '../keyring.ts';
import { storeRefusal } from '../openLedger.ts';
import { blobJson, readEvent } from '../read/events.ts';
import { Tally } from '../read/tally.ts';
import { createDisplay, type Display } from './display.ts';
import { printSummary, type RunSummary, summaryOf } from './finish.ts';
import { openHands, runFolder, soundSandbox } from './hands.ts';
import { reopenModel } from './model.ts';
import { configFor } from './plan.ts';
import { redactorOf } from './redact.ts';

/** How the outcome is told. */
export interface Telling {
  readonly json?: boolean;
  readonly jsonl?: boolean;
  /** The caller tells the outcome itself. */
  readonly quiet?: boolean;
}
/** The two keys of a run: who opens it, and who signs its commits. */
export interface Operating {
  readonly operator: FileKey;
  readonly runtime: FileKey;
}

/** The keys that `run` works with. */
export function loadOperating(ledger: OpenLedger): Result<Operating, Refusal> {
  const folder = keysFolder(ledger.stateFolder);
  const operator = loadKey(folder, KEY_LABELS.operator);
  if (!operator.ok) return operator;
  const runtime = loadKey(folder, KEY_LABELS.runtime);
  return runtime.ok ? ok({ operator: operator.value, runtime: runtime.value }) : runtime;
}

/** What a drive needs. */
export interface DriveOptions {
  readonly run: TrajectoryId;
  readonly hands: Hands;
  readonly stop: StopSignal;
  /** Counts what is observed; begun with what was there before. */
  readonly tally: Tally;
  /** Tree heads and anchors. */
  readonly along: Along;
  /** The driver that opened the run just now; left out, the run is taken over. */
  readonly driver?: string;
  /** Why its model was chosen, redacted. */
  readonly routing?: RoutingPlan | null;
}

/** Drives until the run is closed, parked or stopped, and says how that came out. */
export async function drive({ run, hands, stop, tally, along, driver, routing }: DriveOptions): Promise<Result<RunSummary, Refusal>> {
  let last = 0n;
  const attended: Hands = {
    ...hands,
    observe: (stored, body) => {
      last = stored.index;
      hands.observe?.(stored, body);
      along.committed();
    },
  };
  const byDriver = { ...(driver === undefined ? {} : { driver }), ...(routing === undefined || routing === null ? {} : { routing }) };
  const driven = await driveRun({ run, hands: attended, stop, onAwait: 'park', resume: driver === undefined, ...byDriver });
  const told = await along.finish(driven.ok && driven.value.status === 'closed' ? last + 1n : null);
  return driven.ok ? ok(summaryOf(driven.value, tally, told)) : err(storeRefusal(driven.error));
}

/** Tells a person or a program how a drive ended, and answers with the exit code. `run` is null where none was opened. */
export function tell(
  context: CommandContext,
  ended: { readonly run: TrajectoryId | null; readonly driven: Result<RunSummary, Refusal> },
  telling: Telling,
): CommandResult {
  const { run, driven } = ended;
  if (!driven.ok) {
    if (run !== null && driven.error.code !== 'run.busy') context.output.progress(`to go on: openexec resume ${shortRun(run)}`);
    return driven;
  }
  const summary = driven.value;
  if (telling.json === true) context.output.json('run', summary);
  else if (telling.jsonl !== true && telling.quiet !== true) printSummary(context.output, summary);
  return ok(summary.exit);
}

/** The person at this terminal, where there is one and the run asks. */
export function approverFor(options: {
  readonly context: CommandContext;
  readonly project: Project;
  readonly ledger: OpenLedger;
  readonly approvals: 'ask' | 'never';
}): Approver | null {
  const { context, project, ledger, approvals } = options;
  if (!context.interactive || approvals === 'never') return null;
  return terminalApprover(context, { ledger, root: project.root });
}

/** A run that was opened before, to be driven from here. */
export interface TakeOver {
  readonly context: CommandContext;
  readonly project: Project;
  readonly ledger: OpenLedger;
  readonly run: TrajectoryId;
  readonly telling: Telling;
  /** For `cancel`: no model is asked any more. */
  readonly withoutModel?: boolean;
}

/** Takes a run over: the model, the tree and the sandbox as `run.opened` recorded them. */
export async function takeOver(options: TakeOver): Promise<CommandResult> {
  const { ledger, run } = options;
  const state = await loadRun(ledger.store, run, ledger.snapshots);
  if (!state.ok) return err(storeRefusal(state.error));
  if (state.value.status === 'closed') return closedAlready(options, state.value);
  const taken = await handsFor(options);
  return taken.ok ? driveTaken(options, taken.value) : taken;
}

/** What a run that was opened before is driven with, and what counts and shows it. */
export interface Taken {
  readonly hands: Hands;
  readonly tally: Tally;
  readonly display: Display;
}

/** Drives on with the hands that were made, and tells how it ended. */
export async function driveTaken(options: TakeOver, { hands, tally, display }: Taken): Promise<CommandResult> {
  const { context, project, ledger, run, telling } = options;
  const along = alongFor(context, project, ledger);
  if (!along.ok) return along;
  const driven = await drive({ run, hands, stop: context.stopOnInterrupt(), tally, along: along.value });
  display.end();
  return tell(context, { run, driven }, telling);
}

/** The hands of a run that was opened before, as `run.opened` recorded them. */
export async function handsFor(options: TakeOver): Promise<Result<Taken, Refusal>> {
  const { context, project, ledger, run, telling } = options;
  // From the entry, not from the state: a run that died right after its opening was judged by nobody yet.
  const recorded = await readOpening(ledger, run);
  if (!recorded.ok) return recorded;
  const { opened, profile } = recorded.value;
  const repository = await inspectRepository(project.root);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const { commonDir } = repository.value;
  const known = await redactorOf({ env: context.env, keys: [operator, runtime], runtime, root: project.root, commonDir });
  if (!known.ok) return known;
  const redactor = known.value;
  const sandbox = await soundSandbox({ redactor, root: project.root, state: context.places.state, provide: profile.provide });
  if (!sandbox.ok) return sandbox;
  const model = options.withoutModel === true ? ok(null) : modelOf(options, opened.model);
  if (!model.ok) return model;
  const tally = new Tally(priceOf(opened.model, await pricesOf(ledger, opened)));
  const display = displayFor(context, telling, tally);
  for await (const stored of ledger.store.read(run)) {
    tally.take(readEvent(stored));
    display.recall(stored);
  }
  const made = await openHands({
    context,
    ledger,
    repository: repository.value,
    run,
    base: opened.base.commit,
    sandbox: sandbox.value,
    redactor,
    runtime,
    model: model.value,
    approver: approverFor({ context, project, ledger, approvals: opened.approvals }),
    observe: (stored) => {
      if (stored.entry.trajectory === run) tally.take(readEvent(stored));
      display.observe(stored);
    },
  });
  return made.ok ? ok({ hands: made.value.hands, tally, display }) : made;
}

/** The display of a drive, over the output of this call. */
export function displayFor(context: CommandContext, telling: Telling, tally: Tally): Display {
  return createDisplay(context.output, { jsonl: telling.jsonl === true, tally, nowMs: () => instantToMs(context.clock.now()) });
}

/** The price of a model as the kernel looks it up; null where it has none. */
export function priceOf(model: ModelChoice | null, table: Prices | null): Prices['models'][string] | null {
  return model === null ? null : (table?.models[`${model.provider}:${model.model}`] ?? null);
}

async function pricesOf(ledger: OpenLedger, opened: RunOpened): Promise<Prices | null> {
  const table = prices.safeParse(await blobJson(ledger.store, opened.prices));
  return table.success ? table.data : null;
}

/** What `run.opened` fixed, and the profile it names. */
export async function readOpening(
  ledger: OpenLedger,
  run: TrajectoryId,
): Promise<Result<{ readonly opened: RunOpened; readonly profile: SandboxProfile }, Refusal>> {
  for await (const stored of ledger.store.read(run, 0, 1)) {
    const { event } = readEvent(stored);
    if (event?.kind !== 'run.opened') break;
    const profile = sandboxProfile.safeParse(await blobJson(ledger.store, event.body.profile));
    if (profile.success) return ok({ opened: event.body, profile: profile.data });
  }
  return refuse('run.failed', `the opening of ${run} cannot be read any more, so it cannot go on`);
}

function modelOf(options: TakeOver, choice: ModelChoice | null): Result<ModelAdapter | null, Refusal> {
  const { context, project, ledger, run } = options;
  if (choice === null) return ok(null);
  const config = configFor(context, project, {});
  if (!config.ok) return config;
  const script = choice.provider === 'scripted' ? readScript(ledger, run) : ok(null);
  if (!script.ok) return script;
  return reopenModel(choice, script.value, { env: context.env, config: config.value, base: project.root, root: project.root });
}

async function closedAlready({ context, project, ledger, telling }: TakeOver, state: RunState): Promise<CommandResult> {
  const along = alongFor(context, project, ledger);
  if (!along.ok) return along;
  const tally = new Tally(priceOf(state.law?.model ?? null, state.law?.prices ?? null));
  let size = 0n;
  for await (const stored of ledger.store.read(state.run)) {
    tally.take(readEvent(stored));
    size = stored.index + 1n;
  }
  // A driver that died after the close has made no tree head and asked no anchor; what is there is only looked up.
  const checkpoint = await ledger.store.checkpoint();
  const summary = summaryOf({ state, status: 'closed', checkpoint }, tally, await along.value.finish(size));
  if (telling.json === true) context.output.json('run', summary);
  else if (telling.quiet !== true) printSummary(context.output, summary);
  return refuse('run.closed', `${state.run} is closed: ${state.closed?.outcome ?? ''}`);
}

/** Keeps the script of a run beside its workspace, so that a resumed run gets the same answers. */
export function keepScript(ledger: OpenLedger, run: TrajectoryId, script: Json): void {
  writeFileSync(scriptFile(ledger, run), JSON.stringify(script), { mode: 0o600 });
}

/** The script that a run was opened with, where it is on this machine. */
export function readScript(ledger: OpenLedger, run: TrajectoryId): Result<Json, Refusal> {
  let text: string;
  try {
    text = readFileSync(scriptFile(ledger, run), 'utf8');
  } catch {
    return refuse('model.invalid', `the script of ${run} is not on this machine (${scriptFile(ledger, run)})`);
  }
  const parsed = parseJson(text, { numbers: 'doubles' });
  return parsed.ok ? parsed : refuse('model.invalid', `the kept script of ${run} is damaged: ${parsed.error.message}`);
}

function scriptFile(ledger: OpenLedger, run: TrajectoryId): string {
  return `${runFolder(ledger, run)}.script.json`;
}
