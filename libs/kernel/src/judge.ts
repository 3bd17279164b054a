/**
 * `judge`: the only writer of judgements. Takes the oldest queued fact and returns its complete, never empty, list of judgements. Pure and total:
 * no clock, no chance, no input but the state and the fold of `law` at one position (PROTOCOL §4.1, ARCHITECTURE §2).
 */
import { checkChain, keyWithRole, type LawView, runTrajectory } from '@openexec/authority';
import { canonicalText } from '@openexec/canon';
import { compileProfile } from '@openexec/catalogue';
import type { Reason, RunOpened, Writ } from '@openexec/protocol';
import { resolveExpired, resolveVote, withdrawRequest } from './approve.ts';
import { askNext, asksAgain } from './ask.ts';
import { advanceCanary, reactToCanary } from './canary.ts';
import { delegationInHand } from './delegation.ts';
import { factTime, type Judgement, judgement } from './emit.ts';
import { KERNEL_FLAGS, KERNEL_VERSION } from './flags.ts';
import { takeFact } from './fold.ts';
import { currentIntent } from './foldFact.ts';
import { declareBlueprintIntent, declareCall, loseInterrupted, recordObserved, rejectWaiting, stepIntent } from './intent.ts';
import { type Pen, RESTLESS_JUDGEMENTS, write } from './pen.ts';
import { reactToRewound } from './rewound.ts';
import { CANARY_TENANT, isSelfTest, lawForCanary } from './selfTest.ts';
import { closeRun, enterNext, leaveStage, requestStageApproval, skipReason } from './stage.ts';
import type { RunState } from './state.ts';
import { baseProblem } from './tree.ts';

/** A result that wants an approval in a run that asks nobody counts as rejected, not as approved. */
const NOT_ASKED: Reason = {
  code: 'approval.notAsked',
  message: 'the result of this stage wants an approval; the run was opened with approvals switched off',
};
/** Members that are taken off every call (catalogue, `splitClaims`). */
const CLAIM_NAMES: readonly string[] = ['rationale', 'claimedRisk'];

/** Judges the oldest queued fact. Throws only when nothing is queued, which is the caller's error. */
export function judge(state: RunState, law: LawView): readonly Judgement[] {
  const fact = state.queue[0];
  if (fact === undefined) throw new Error('judge: no fact is queued');
  const taken = takeFact(state, fact.seq);
  const pen: Pen = { law: lawForCanary(taken, law), at: factTime(taken), cause: fact.seq, state: taken, written: [] };
  react(pen);
  while (pen.written.length < RESTLESS_JUDGEMENTS && advance(pen)) {
    // Each step wrote at least one judgement.
  }
  if (pen.written.length >= RESTLESS_JUDGEMENTS) endRestless(pen);
  if (pen.written.length === 0)
    write(
      pen,
      judgement('fact.noted', {
        why: 'fact.taken',
        message: `${fact.event.kind} was taken; nothing follows from it yet`,
        violation: false,
      }),
    );
  return pen.written;
}

/** A blueprint that runs in circles without asking or doing anything would never come to rest. */
function endRestless(pen: Pen): void {
  if (pen.state.status !== 'running' || inFlight(pen.state) || delegationInHand(pen.state) !== null) return;
  withdrawRequest(pen, 'the run does not come to rest');
  closeRun(pen, 'failed', { code: 'run.restless', message: `more than ${RESTLESS_JUDGEMENTS} judgements followed from one fact` });
}

/** What follows from the fact itself, before the run goes on. */
function react(pen: Pen): void {
  const { refusal, fact } = pen.state;
  if (refusal !== null)
    return write(pen, judgement('fact.noted', { why: refusal.why, message: refusal.message, violation: refusal.violation }));
  if (fact === null) return;
  if (isSelfTest(pen.state)) reactToCanary(pen);
  if (fact.event.kind === 'run.opened') return reactToOpening(pen);
  if (fact.event.kind === 'approval.voted') return resolveVote(pen, fact.event.body);
  if (fact.event.kind === 'approval.expired') return resolveExpired(pen);
  if (fact.event.kind === 'skill.bound')
    return write(
      pen,
      judgement('fact.noted', { why: 'skill.bound', message: 'the skill narrows what this run may do from here on', violation: false }),
    );
  if (fact.event.kind === 'run.rewound') return reactToRewound(pen, fact.event);
}

/** A run whose law does not hold is closed at once; nothing was asked, nothing was done. */
function reactToOpening(pen: Pen): void {
  const problem = pen.state.lawProblem ?? openingProblem(pen);
  if (problem !== null) closeRun(pen, 'denied', problem);
}

function openingProblem(pen: Pen): Reason | null {
  const { law, state } = pen;
  const opened = state.law?.opened;
  const writ = state.law?.writ;
  if (opened === undefined || writ === undefined) return { code: 'run.notOpened', message: 'the run carries no writ' };
  if (opened.kernel.version !== KERNEL_VERSION || opened.kernel.flags.some((flag) => !KERNEL_FLAGS.includes(flag)))
    return {
      code: 'kernel.unknown',
      message: `the run was opened for kernel ${opened.kernel.version} with flags [${opened.kernel.flags.join(', ')}]; this kernel is ${KERNEL_VERSION}`,
    };
  const chain = checkChain({ writs: opened.writs, law, at: pen.at, ledger: law.ledger });
  if (!chain.ok) return { code: chain.error.code, message: chain.error.message };
  if (writ.use !== 'run') return { code: 'writ.standing', message: 'a standing writ does not open a run; carve one from it' };
  if (writ.tenant === CANARY_TENANT) return { code: 'writ.canary', message: 'the writ of a canary opens no run' };
  const named = runTrajectory({ issuer: writ.issuer, nonce: writ.nonce });
  if (named !== state.run) return { code: 'writ.otherRun', message: `the writ opens ${named}, not ${state.run}` };
  const parent = parentProblem(opened);
  if (parent !== null) return parent;
  const base = baseProblem(state) ?? catalogueProblem(state) ?? profileProblem(state, writ) ?? scopeProblem(state, writ);
  if (base !== null) return base;
  const runtime = keyWithRole(law, { key: writ.subject, roles: ['runtime'], at: pen.at });
  return runtime.ok
    ? null
    : { code: 'writ.subject', message: `the writ's subject ${writ.subject} is not a runtime key of this ledger: ${runtime.error.message}` };
}

/** A child run names the run of the writ above its own; whether that run handed it out is seen where both are read. */
function parentProblem(opened: RunOpened): Reason | null {
  if (opened.parent === undefined) return null;
  const above = opened.writs.at(-2)?.body;
  const named = above === undefined ? null : runTrajectory({ issuer: above.issuer, nonce: above.nonce });
  return named === opened.parent.trajectory
    ? null
    : {
        code: 'delegation.otherParent',
        message: `the run says that ${opened.parent.trajectory} delegated to it; its writ comes from ${named ?? 'nobody'}`,
      };
}

/** The sandbox profile is what the writ compiles to: whoever opens a run chooses mounts, toolchain and limits, never how far commands may reach. */
function profileProblem(state: RunState, writ: Writ): Reason | null {
  const profile = state.law?.profile;
  if (profile === undefined) return null;
  const { mode, provide, toolchain, environment, limits, seccomp } = profile;
  const compiled = compileProfile({ writ, mode, provide, toolchain, environment, limits, seccompDigest: seccomp });
  if (canonicalText({ ...compiled }) === canonicalText({ ...profile })) return null;
  return {
    code: 'profile.wider',
    message: 'the sandbox profile is not the one that the writ compiles to; open the run with compileProfile of its writ',
  };
}

/** A blueprint of declared scope runs only under a writ that says which paths may be written. */
function scopeProblem(state: RunState, writ: Writ): Reason | null {
  if (state.law?.blueprint.scope !== 'declared' || !writ.writePaths.includes('**')) return null;
  return {
    code: 'scope.undeclared',
    message: `blueprint ${state.law.blueprint.name} wants declared write paths; its writ grants **, which is everything`,
  };
}

/** An action that cannot be shown to a model would stop the kernel at the first ask. */
function catalogueProblem(state: RunState): Reason | null {
  for (const action of state.law?.catalogue.actions ?? []) {
    const shown = action.arguments.type === 'object' ? Object.keys(action.arguments.properties) : null;
    const taken = shown?.find((name) => CLAIM_NAMES.includes(name));
    if (shown === null || taken !== undefined)
      return {
        code: 'catalogue.invalid',
        message: `the action ${action.name} ${taken === undefined ? 'takes no object' : `has an argument named ${taken}, which is the name of a claim`}`,
      };
  }
  return null;
}

/** One step of the run, if one is due. Order: stop wishes, limits, then the stage machine. */
function advance(pen: Pen): boolean {
  const state = pen.state;
  // A parked run moves for one thing only: to be cancelled.
  if (state.status !== 'running' && !(state.status === 'parked' && state.cancel !== null)) return false;
  if (isSelfTest(state)) return advanceCanary(pen);
  if (inFlight(state)) return false;
  // What was seen to happen is recorded before anything stops the run.
  if (recordObserved(pen)) return true;
  // A run ends only after its delegations: until then it may rest, and nothing else.
  if (delegationInHand(state) !== null) return restDelegated(pen);
  if (state.overspent !== null) {
    withdrawRequest(pen, 'the budget of the run is exceeded');
    endWork(pen, state.overspent);
    closeRun(pen, 'exhausted', state.overspent);
    return true;
  }
  if (state.cancel !== null) {
    withdrawRequest(pen, 'the run is cancelled');
    const because = { code: 'run.cancelled', message: state.cancel };
    endWork(pen, because);
    closeRun(pen, 'cancelled', because);
    return true;
  }
  const wallMs = state.law?.writ.wallMs ?? 0;
  if (state.activeMs > wallMs) {
    withdrawRequest(pen, 'the time of the run is used up');
    const because = { code: 'wall.exhausted', message: `the run was active for ${state.activeMs} ms; its writ grants ${wallMs} ms` };
    endWork(pen, because);
    closeRun(pen, 'exhausted', because);
    return true;
  }
  if (state.pause !== null) {
    write(pen, judgement('run.parked', { because: state.pause, request: state.request?.id ?? null }));
    return true;
  }
  if (state.request !== null) return false;
  if (state.stage === null) return enterNext(pen);
  return advanceStage(pen);
}

function restDelegated(pen: Pen): boolean {
  const { pause, status } = pen.state;
  if (pause === null || status !== 'running') return false;
  write(pen, judgement('run.parked', { because: pause, request: null }));
  return true;
}

/** Every intent has an end before its run has one: lost where nobody knows, else rejected. */
function endWork(pen: Pen, because: Reason): void {
  loseInterrupted(pen);
  rejectWaiting(pen, because);
}

/** Whether the shell owes an answer: an ask or an execution is open. */
function inFlight(state: RunState): boolean {
  const stage = state.stage;
  if (stage === null) return false;
  if (stage.ask !== null && stage.ask.ended === null) return true;
  const execution = currentIntent(stage)?.execution ?? null;
  return execution !== null && execution.ended === null;
}

function advanceStage(pen: Pen): boolean {
  const { stage, law } = pen.state;
  const contract = stage === null ? undefined : law?.stages.get(stage.id);
  if (stage === null || contract === undefined) {
    closeRun(pen, 'failed', { code: 'stage.unknown', message: `the blueprint has no stage ${stage?.id ?? ''}` });
    return true;
  }
  if (stage.result !== null) {
    rejectWaiting(pen, stage.result.because);
    const wantsApproval = contract.approvalRequired && stage.result.outcome === 'succeeded' && !stage.resultApproved;
    if (wantsApproval && law?.opened.approvals === 'never') leaveStage(pen, stage, contract, { outcome: 'failed', because: NOT_ASKED });
    else if (wantsApproval) requestStageApproval(pen, stage, contract);
    else leaveStage(pen, stage, contract, stage.result);
    return true;
  }
  if (stage.calls[0] !== undefined) {
    declareCall(pen, stage, stage.calls[0]);
    return true;
  }
  const intent = currentIntent(stage);
  if (intent !== undefined) return stepIntent(pen, intent);
  const skip = stage.declared || stage.lastAsk !== null ? null : skipReason(pen.state, contract);
  if (skip !== null) {
    leaveStage(pen, stage, contract, { outcome: 'skipped', because: skip });
    return true;
  }
  if (contract.type === 'deterministic') {
    declareBlueprintIntent(pen, stage, contract);
    return true;
  }
  if (stage.ask !== null && !asksAgain(stage.ask)) {
    leaveStage(pen, stage, contract, { outcome: 'failed', because: askFailure(stage.ask) });
    return true;
  }
  const next = askNext(pen.state, pen.law, pen.at, stage, contract);
  if ('fail' in next) leaveStage(pen, stage, contract, { outcome: 'failed', because: next.fail });
  else write(pen, next);
  return true;
}

function askFailure(ask: NonNullable<NonNullable<RunState['stage']>['ask']>): Reason {
  if (ask.ended !== null && 'failed' in ask.ended) return ask.ended.failed.error;
  return { code: 'model.interrupted', message: `the model was asked ${ask.attempt} times and the runtime was interrupted each time` };
}
