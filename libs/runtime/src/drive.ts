/**
 * The loop, and the only one: judge what is queued, perform what is pending, append one fact. There is no other way in which a run moves, and no
 * recovery code beside it (SEAM, ARCHITECTURE §2).
 */
import { canonicalBytes, ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { StopSignal } from '@openexec/catalogue';
import { pending, type PendingEffect, type RunState } from '@openexec/kernel';
import type { RoutingPlan } from '@openexec/protocol';
import { awaitApproval } from './approval.ts';
import { ask, type AskEffect } from './ask.ts';
import { delegate, type DelegateEffect } from './delegate.ts';
import { execute, type ExecuteEffect, rebuildTree, settleTree } from './execute.ts';
import { reading, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands, RunReport } from './hands.ts';
import { blobOf, newDriver } from './open.ts';
import { loadLaw } from './read.ts';
import { Session } from './session.ts';
import { foldRun } from './snapshots.ts';

/** How to drive. */
export interface Drive {
  readonly run: TrajectoryId;
  readonly hands: Hands;
  /** Once stopped, nothing more is started; what runs is asked to end. */
  readonly stop: StopSignal;
  /** Nobody at hand for an approval: park the run, or follow the ledger for votes. */
  readonly onAwait: 'wait' | 'park';
  /** Take the run over, whoever drove it. */
  readonly resume: boolean;
  /** The driver of `openRun` in this very process, which needs no resuming. */
  readonly driver?: string;
  /** Why the model was chosen, redacted: recorded once, by the driver that opened the run, and read by nothing here. */
  readonly routing?: RoutingPlan;
}
type Step = 'on' | 'stopped';

/** Drives a run until it is closed, parked or stopped. On a failure everything appended stands, and a resume goes on from there. */
export async function driveRun(drive: Drive): Promise<Result<RunReport, RuntimeFailure>> {
  const { hands, run } = drive;
  const there = await reading(async () => ok(await hands.ledger.trajectory(run)));
  if (!there.ok) return there;
  if (there.value === null) return refuse('run.unknown', `the ledger has no ${run}; open it, or list the runs it has`);
  const lease = await hands.lease?.acquire(run);
  if (lease === null) return refuse('run.busy', `${run} is driven by another process; wait for it, or stop it`);
  try {
    const session = await takeOver(drive);
    const planned = session.ok ? await recordRouting(session.value, drive) : session;
    if (!planned.ok) return planned;
    return session.ok ? await loop(session.value, { ...drive, held: async () => (await lease?.held()) ?? true }) : session;
  } finally {
    await lease?.release();
  }
}

/** A session whose driver is in force: the one that opened the run, or a new one by `run.resumed`. */
async function takeOver(drive: Drive): Promise<Result<Session, RuntimeFailure>> {
  const { hands, run, resume, driver } = drive;
  const law = await loadLaw(hands.ledger);
  if (!law.ok) return law;
  const folded = await foldRun(hands.ledger, run, hands.snapshots ?? null);
  if (!folded.ok) return folded;
  const goesOn = !resume && driver !== undefined && driver === folded.value.driver;
  const session = new Session({ hands, driver: goesOn ? driver : newDriver(hands.randomness), folded: folded.value, law: law.value });
  if (goesOn) return ok(session);
  const resumed = await session.resume(resume ? 'the run was resumed' : 'its driver is gone');
  return resumed.ok ? ok(session) : resumed;
}

/** Records the evidence of a run that was just opened. One that was closed at once needs none. */
async function recordRouting(session: Session, { routing, driver }: Drive): Promise<Result<void, RuntimeFailure>> {
  if (routing === undefined || session.driver !== driver) return ok(undefined);
  const { ref, blob } = blobOf(canonicalBytes(routing), 'application/json');
  const added = await session.add({ kind: 'router.planned', actor: 'runtime', body: { ...session.driven, plan: ref }, blobs: [blob] });
  return added.ok ? ok(undefined) : added;
}

async function loop(session: Session, drive: Holding): Promise<Result<RunReport, RuntimeFailure>> {
  const asked = new Set<string>();
  let rebuiltUnder = -1;
  for (;;) {
    const settled = await session.settle();
    if (!settled.ok) return settled;
    const state = session.state;
    if (state.status === 'closed') return ok(await closedReport(session.hands, state));
    if (state.status === 'parked') return ok({ state, status: drive.stop.stopped ? 'stopped' : 'parked', checkpoint: null });
    const todo = pending(state)[0];
    if (todo === undefined)
      return refuse('run.stuck', `${state.run} neither rests nor asks for anything at ${state.nextSeq}; report this with the run`);
    const needsTree = todo.do === 'delegate' || (todo.do === 'execute' && session.mayPerform(todo.startedSeq));
    if (needsTree && rebuiltUnder !== session.driven.epoch) {
      const tree = await rebuildTree(session);
      if (!tree.ok) return tree;
      rebuiltUnder = session.driven.epoch;
    }
    const step = await perform(session, todo, { ...drive, asked });
    if (!step.ok) return step;
    if (step.value === 'stopped') return ok({ state: session.state, status: 'stopped', checkpoint: null });
  }
}

/** A drive whose lease can be asked after. */
type Holding = Drive & { held(): Promise<boolean> };
type Performing = Holding & { readonly asked: Set<string> };

async function perform(session: Session, todo: PendingEffect, drive: Performing): Promise<Result<Step, RuntimeFailure>> {
  if (todo.do === 'awaitApproval') {
    if (drive.stop.stopped) return pause(session);
    const done = await awaitApproval(session, todo, drive);
    return done.ok ? ok('on') : done;
  }
  if (todo.do === 'delegate') return performDelegation(session, todo, drive);
  // A start that this process did not append, or whose append was a duplicate: nobody knows whether it was performed (PROTOCOL §3).
  if (!session.mayPerform(todo.startedSeq)) {
    const resumed = await session.resume('it is not known whether what was started was performed');
    return resumed.ok ? ok('on') : resumed;
  }
  if (drive.stop.stopped) return ok('stopped');
  if (!(await drive.held()))
    return refuse('run.busy', `the lease on ${session.state.run} was lost; what was started last was not performed: resume goes on`);
  session.hands.crashPoint?.('W4.started');
  return todo.do === 'ask' ? performAsk(session, todo, drive) : performExecution(session, todo, drive);
}

async function performAsk(session: Session, effect: AskEffect, drive: Performing): Promise<Result<Step, RuntimeFailure>> {
  const fact = await ask(session, effect, drive.stop);
  if (!fact.ok) return fact;
  if (fact.value === null) return ok('stopped');
  session.hands.crashPoint?.('W5.performed');
  const paused = await pauseIfStopped(session, drive.stop);
  if (!paused.ok) return paused;
  const added = await session.add(fact.value);
  return added.ok ? ok('on') : added;
}

async function performExecution(session: Session, effect: ExecuteEffect, drive: Performing): Promise<Result<Step, RuntimeFailure>> {
  const performed = await execute(session, effect, drive.stop);
  if (!performed.ok) return performed;
  if (performed.value === null) return ok('stopped');
  const { fact } = performed.value;
  session.hands.crashPoint?.('W5.performed');
  const paused = await pauseIfStopped(session, drive.stop);
  if (!paused.ok) return paused;
  const added = await session.add(fact);
  if (!added.ok) return added;
  session.hands.crashPoint?.('W6.observed');
  const tree = await settleTree(session, performed.value, session.folded.committed === effect.execution);
  if (!tree.ok) return tree;
  session.hands.crashPoint?.('W7.settled');
  return ok('on');
}

/** Opening and driving a child may be repeated by any driver in force: its trajectory is named by its writ, and a lease of its own guards it. */
async function performDelegation(session: Session, effect: DelegateEffect, drive: Performing): Promise<Result<Step, RuntimeFailure>> {
  if (drive.stop.stopped) return ok('stopped');
  const { stop, onAwait } = drive;
  const done = await delegate(session, effect, {
    stop,
    drive: (child) => driveRun({ ...child, onAwait, resume: child.driver === undefined }),
  });
  if (!done.ok) return done;
  if ('fact' in done.value) {
    const paused = await pauseIfStopped(session, stop);
    if (!paused.ok) return paused;
    const added = await session.add(done.value.fact);
    if (!added.ok) return added;
    session.hands.crashPoint?.('W13.joined');
    return ok('on');
  }
  if (done.value.rests === 'stopped' || stop.stopped) return ok('stopped');
  const because = { code: 'delegation.parked', message: `the child run ${effect.key} rests; look at ${done.value.run}` };
  const parked = await session.add({ kind: 'run.pauseRequested', actor: 'runtime', body: { by: 'driver', because }, blobs: [] });
  return parked.ok ? ok('on') : parked;
}

/** With nothing in flight a stop parks the run, so that the ledger says why it rests. */
async function pause(session: Session): Promise<Result<Step, RuntimeFailure>> {
  const added = await session.add({
    kind: 'run.pauseRequested',
    actor: 'runtime',
    body: { by: 'driver', because: { code: 'driver.stopped', message: 'the driver was asked to stop' } },
    blobs: [],
  });
  return added.ok ? ok('on') : added;
}

/** The wish to stop goes before the outcome of what was running, so that nothing new is started after it. */
async function pauseIfStopped(session: Session, stop: StopSignal): Promise<Result<void, RuntimeFailure>> {
  if (!stop.stopped) return ok(undefined);
  const paused = await pause(session);
  return paused.ok ? ok(undefined) : paused;
}

async function closedReport(hands: Hands, state: RunState): Promise<RunReport> {
  hands.crashPoint?.('W8.closed');
  return { state, status: 'closed', checkpoint: await hands.ledger.checkpoint() };
}
