/**
 * `pending`: what the shell has to do next. Nothing while a fact is queued, while the run is parked or once it is closed; otherwise exactly one
 * thing, because version 1 has no parallel stages (PROTOCOL §4.3).
 */
import type { Digest, Instant, Json } from '@openexec/canon';
import type { BlobRef, CheckedBlueprint, ModelChoice, PartRef, SandboxProfile, Writ } from '@openexec/protocol';
import { toolsOf } from './ask.ts';
import { type DelegationBase, delegationBase, delegationInHand } from './delegation.ts';
import { maskedProfile, profileOf } from './execution.ts';
import { currentIntent } from './foldFact.ts';
import type { OpenAsk, RunState, StageState } from './state.ts';

/** What the hands still owe a run: one ask, one execution or one approval, with all they need to do it (PROTOCOL §4). Times in milliseconds. */
export type PendingEffect =
  | {
      readonly do: 'ask';
      readonly ask: Digest;
      readonly startedSeq: number;
      readonly model: ModelChoice;
      readonly parts: readonly PartRef[];
      readonly tools: readonly Json[];
      readonly stage: string;
      readonly visit: number;
      readonly turn: number;
      readonly backoffMs: number;
      readonly timeoutMs: number;
    }
  | {
      readonly do: 'execute';
      readonly execution: Digest;
      readonly startedSeq: number;
      readonly action: string;
      readonly arguments: Json;
      readonly command: readonly string[] | null;
      readonly idempotencyKey: Digest;
      readonly deadlineMs: number;
      /** What the action may run in: the run's profile narrowed to its stage, without the sight of what may not be read. */
      readonly profile: SandboxProfile;
      readonly artifacts: readonly { readonly name: string; readonly blob: BlobRef }[];
    }
  | {
      readonly do: 'delegate';
      readonly delegation: Digest;
      /** Position of its `delegation.opened`. */
      readonly seq: number;
      readonly key: string;
      readonly blueprint: CheckedBlueprint;
      readonly task: BlobRef;
      readonly writ: Writ;
      readonly base: DelegationBase;
      /** Why the child is to be cancelled, if so. */
      readonly cancel: string | null;
    }
  | { readonly do: 'awaitApproval'; readonly request: Digest; readonly until: Instant };

function askEffect(state: RunState, stage: StageState, ask: OpenAsk): PendingEffect[] {
  const model = state.law?.model ?? null;
  const contract = state.law?.stages.get(stage.id);
  if (model === null || contract?.type !== 'agent') return [];
  return [
    {
      do: 'ask',
      ask: ask.id,
      startedSeq: ask.startedSeq,
      model,
      parts: stage.asked,
      tools: toolsOf(state, contract),
      stage: stage.id,
      visit: stage.visit,
      turn: ask.turn,
      backoffMs: ask.backoffMs,
      timeoutMs: ask.timeoutMs,
    },
  ];
}

function delegateEffect(state: RunState): PendingEffect | null {
  const open = delegationInHand(state)?.open;
  const blueprint = open === undefined ? undefined : state.law?.delegates.get(open.blueprint);
  if (open === undefined || blueprint === undefined) return null;
  const { id, seq, key, task, writ, base } = open;
  return {
    do: 'delegate',
    delegation: id,
    seq,
    key,
    blueprint,
    task,
    writ,
    base: delegationBase(state, { key, ...base }),
    cancel: state.cancel,
  };
}

/** The effects that are due now. */
export function pending(state: RunState): readonly PendingEffect[] {
  if (state.status !== 'running' || state.queue.length > 0) return [];
  const stage = state.stage;
  if (stage !== null && stage.ask !== null && stage.ask.ended === null) return askEffect(state, stage, stage.ask);
  const intent = stage === null ? undefined : currentIntent(stage);
  const execution = intent?.execution ?? null;
  const profile = profileOf(state);
  const masked = execution?.masked ?? null;
  if (intent !== undefined && execution !== null && execution.ended === null && profile !== null && masked !== null) {
    return [
      {
        do: 'execute',
        execution: execution.id,
        startedSeq: execution.startedSeq,
        action: intent.action,
        arguments: execution.input,
        command: execution.command,
        idempotencyKey: execution.idempotencyKey,
        deadlineMs: execution.deadlineMs,
        profile: maskedProfile(profile, masked),
        artifacts: (stage?.inputs ?? []).map(({ name, blob }) => ({ name, blob })),
      },
    ];
  }
  const delegated = delegateEffect(state);
  if (delegated !== null) return [delegated];
  return state.request === null ? [] : [{ do: 'awaitApproval', request: state.request.id, until: state.request.until }];
}
