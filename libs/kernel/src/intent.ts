/**
 * One intent's way: declared → decided → rejected | suspended | staged → started → observed → committed. Each arrow is one judgement and stands in
 * the ledger before the next thing happens (PROTOCOL §4.3).
 */
import { type Digest, digestJson, type Json } from '@openexec/canon';
import { type Call, DELEGATE_ACTION } from '@openexec/catalogue';
import type { ActionContract, Body, CheckedStage, PolicyDecided, Reason } from '@openexec/protocol';
import { recordCommit } from './commit.ts';
import { chainInForce, compile, type Decision, ONE_CALL, type Wish } from './compile.ts';
import { openDelegation } from './delegated.ts';
import { wishedReservation } from './delegation.ts';
import { inlineOrBlob, judgement, nextId } from './emit.ts';
import { inputOf, maskedProfile, profileOf, timeoutOf } from './execution.ts';
import { maskedPaths } from './masked.ts';
import { type Pen, write } from './pen.ts';
import { isSelfTest } from './selfTest.ts';
import type { IntentState, RunState, StageState } from './state.ts';
import { after, bounded, cut } from './text.ts';

const NO_CLAIMS = { rationale: null, claimedRisk: null };

function declare(pen: Pen, body: Omit<Body<'intent.declared'>, 'intent' | 'arguments'>, args: Json): void {
  const held = inlineOrBlob(args);
  write(pen, judgement('intent.declared', { ...body, intent: nextId(pen.state, 'intent'), arguments: held.value }, held.blobs));
}

/** A call of a model's answer becomes an intent, whatever it asks for. */
export function declareCall(pen: Pen, stage: StageState, call: Call): void {
  declare(
    pen,
    {
      author: 'model',
      stage: stage.id,
      visit: stage.visit,
      action: call.name,
      malformed: call.malformed,
      claims: call.claims,
      call: call.id,
    },
    call.arguments,
  );
}

/** A deterministic stage's action is an intent of the blueprint. */
export function declareBlueprintIntent(pen: Pen, stage: StageState, contract: Extract<CheckedStage, { type: 'deterministic' }>): void {
  declare(
    pen,
    { author: 'blueprint', stage: stage.id, visit: stage.visit, action: contract.action, malformed: null, claims: NO_CLAIMS, call: null },
    contract.arguments,
  );
}

/** An execution that ended without an observation when its run ends: what it did is unknown, and the ledger says so. */
export function loseInterrupted(pen: Pen): void {
  const intent = pen.state.stage?.intents.find((each) => each.execution !== null);
  const ended = intent?.execution?.ended ?? null;
  if (intent?.execution === undefined || intent.execution === null || ended === null || 'observed' in ended) return;
  write(
    pen,
    judgement('execution.lost', {
      execution: intent.execution.id,
      because: { code: 'execution.lost', message: `${intent.action} ended without an observation and the run ends here` },
    }),
  );
}

/** What is still waiting when its stage ends is rejected, so that every intent has an end. */
export function rejectWaiting(pen: Pen, because: Reason): void {
  for (const intent of pen.state.stage?.intents ?? []) {
    if (intent.phase !== 'ended')
      reject(pen, intent, 'stage', { code: 'stage.ended', message: `its stage ended first: ${because.message}` }, null);
  }
}

/** The same where a rewind goes back to before it. */
export function rejectRewound(pen: Pen, because: Reason): void {
  for (const intent of pen.state.stage?.intents ?? []) if (intent.phase !== 'ended') reject(pen, intent, 'rewind', because, null);
}

function reject(pen: Pen, intent: IntentState, at: Body<'proposal.rejected'>['at'], because: Reason, rule: PolicyDecided['rule']): void {
  write(
    pen,
    judgement('proposal.rejected', {
      proposal: intent.proposal ?? nextId(pen.state, 'proposal'),
      intent: intent.intent,
      at,
      because: bounded(because),
      rule,
    }),
  );
}

/** The next step of the intent in hand; true when something was written. */
export function stepIntent(pen: Pen, intent: IntentState): boolean {
  if (intent.phase === 'started') return stepExecution(pen, intent);
  if (intent.phase === 'resolved' && intent.granted === null) {
    reject(pen, intent, 'approval', intent.withheld ?? { code: 'approval.denied', message: 'the approval was not given' }, null);
    return true;
  }
  decide(pen, intent);
  return true;
}

/** What an intent asks of the compiler. */
export function wishOf(state: RunState, intent: IntentState): Wish {
  return {
    action: intent.action,
    arguments: intent.arguments,
    author: intent.author,
    malformed: intent.malformed,
    claims: { rationale: intent.claims.rationale, claimedRisk: intent.claims.claimedRisk },
    hosts: state.selfTest?.canary?.hosts ?? [],
    reservation: wishedReservation(state, intent.action, intent.arguments, ONE_CALL),
    granted: intent.granted,
  };
}

function decide(pen: Pen, intent: IntentState): void {
  const decision = compile(pen.state, pen.law, pen.at, wishOf(pen.state, intent));
  const id = nextId(pen.state, 'decision');
  const trace = inlineOrBlob({ ...decision.trace });
  write(
    pen,
    judgement(
      'policy.decided',
      {
        decision: id,
        intent: intent.intent,
        subject: cut(intent.action, 200),
        verdict: decision.verdict,
        by: decision.by,
        because: decision.because,
        rule: decision.rule,
        policySet: decision.policySet,
        approval: intent.granted?.request ?? null,
        trace: 'inline' in trace.value ? { inline: decision.trace } : trace.value,
      },
      trace.blobs,
    ),
  );
  if (decision.verdict === 'deny') return reject(pen, intent, 'compile', decision.because, decision.rule);
  if (decision.verdict === 'approve') return suspend(pen, intent, id, decision);
  stage(pen, intent, id, decision);
}

function suspend(pen: Pen, intent: IntentState, decisionId: Digest, decision: Decision): void {
  const terms = decision.terms;
  if (terms === null)
    return reject(
      pen,
      intent,
      'compile',
      { code: 'approval.noTerms', message: 'policy asks for an approval but nobody may give it' },
      decision.rule,
    );
  const proposal = intent.proposal ?? nextId(pen.state, 'proposal');
  const request = nextId(pen.state, 'request');
  write(pen, judgement('proposal.suspended', { proposal, intent: intent.intent, decision: decisionId, request }));
  write(
    pen,
    judgement('approval.requested', {
      request,
      proposal,
      subject: 'action',
      stage: pen.state.stage?.id ?? null,
      digest: decision.subject,
      action: intent.action,
      terms,
      because: decision.because,
      rule: decision.rule,
      until: after(pen.at, terms.ttlMs),
    }),
  );
}

function stage(pen: Pen, intent: IntentState, decisionId: Digest, decision: Decision): void {
  const contract = decision.contract;
  if (contract === null)
    return reject(pen, intent, 'compile', { code: 'action.unknown', message: `the catalogue has no action ${intent.action}` }, null);
  const input = inputOf(pen, contract, intent.arguments);
  if (!input.ok) return reject(pen, intent, 'precondition', input.error, null);
  const proposal = intent.proposal ?? nextId(pen.state, 'proposal');
  const idempotencyKey = digestJson([pen.state.run, proposal]);
  write(
    pen,
    judgement('proposal.staged', {
      proposal,
      intent: intent.intent,
      decision: decisionId,
      action: contract.name,
      effect: contract.effect,
      reservation: ONE_CALL,
      idempotencyKey,
      preImage: decision.preImage,
      approval: intent.granted?.request ?? null,
    }),
  );
  if (isSelfTest(pen.state)) return;
  if (contract.name === DELEGATE_ACTION) return openDelegation(pen, intent, proposal);
  start(pen, { intent, contract, proposal, idempotencyKey, attempt: 1, replaces: null, input: input.value });
}

interface Start {
  readonly intent: IntentState;
  readonly contract: ActionContract;
  readonly proposal: Digest;
  readonly idempotencyKey: Digest;
  readonly attempt: number;
  readonly replaces: Digest | null;
  readonly input: Json;
}

function start(pen: Pen, order: Start): void {
  const { contract, input } = order;
  const held = inlineOrBlob(input);
  const command = contract.command === null ? undefined : pen.state.law?.catalogue.commands[contract.command];
  const bound = profileOf(pen.state);
  if (bound === null) return;
  const masked = maskedPaths(pen.state, pen.law, pen.at, { contract, author: order.intent.author, arguments: order.intent.arguments });
  const profile = maskedProfile(bound, masked);
  const hidden = masked.length === 0 ? null : inlineOrBlob([...masked]);
  write(
    pen,
    judgement(
      'execution.started',
      {
        execution: nextId(pen.state, 'execution'),
        proposal: order.proposal,
        attempt: order.attempt,
        replaces: order.replaces,
        action: contract.name,
        input: held.value,
        command: command === undefined || command === 'none' ? null : command.argv,
        idempotencyKey: order.idempotencyKey,
        deadlineMs: timeoutOf(pen.state, contract),
        sandbox: {
          mode: profile.mode,
          profile: digestJson({ ...profile }),
          ...(hidden === null ? {} : { masked: hidden.value }),
        },
      },
      [...held.blobs, ...(hidden?.blobs ?? [])],
    ),
  );
}

/** Why an execution that ended without an observation is not tried again: it may have taken effect, or its writ counts no longer. */
function notRepeated(pen: Pen, contract: ActionContract, interrupted: boolean): Reason | null {
  if (contract.idempotence === 'none') {
    const message = interrupted ? 'the runtime was interrupted while it ran' : 'it failed without saying whether it took effect';
    return { code: 'execution.lost', message: `${contract.name}: ${message}; it is not repeated` };
  }
  const writ = chainInForce(pen.state, pen.law, pen.at);
  return writ.ok ? null : writ.error;
}

/** Commits what the execution in hand was seen to do; false when there is nothing of the kind. */
export function recordObserved(pen: Pen): boolean {
  const intent = pen.state.stage?.intents.find((each) => each.phase !== 'ended');
  const ended = intent?.execution?.ended ?? null;
  return intent !== undefined && ended !== null && 'observed' in ended && stepExecution(pen, intent);
}

/** After the fact that ended an execution: commit, try again, or give it up as lost. */
function stepExecution(pen: Pen, intent: IntentState): boolean {
  const execution = intent.execution;
  const ended = execution?.ended ?? null;
  const contract = pen.state.law?.actions.get(intent.action);
  if (execution === null || ended === null || contract === undefined || intent.proposal === null) return false;
  if ('observed' in ended) {
    recordCommit(pen, intent, contract, ended.observed);
    return true;
  }
  const loss = notRepeated(pen, contract, 'interrupted' in ended);
  if (loss !== null) {
    write(pen, judgement('execution.lost', { execution: execution.id, because: bounded(loss) }));
    return true;
  }
  // A retry repeats the recorded input, never a newly computed one.
  start(pen, {
    intent,
    contract,
    proposal: intent.proposal,
    idempotencyKey: execution.idempotencyKey,
    attempt: execution.attempt + 1,
    replaces: execution.id,
    input: execution.input,
  });
  return true;
}
