/**
 * `pending`: what the shell has to do next. Nothing while a fact is queued, while the run is parked or once it is closed; otherwise exactly one
 * thing, because version 1 has no parallel stages (PROTOCOL §4.3).
 */
import type { Digest, Instant, Json } from '@openexec/canon';
import type { BlobRef, ModelChoice, PartRef, SandboxProfile } from '@openexec/protocol';
import { toolsOf } from './ask.ts';
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
  return state.request === null ? [] : [{ do: 'awaitApproval', request: state.request.id, until: state.request.until }];
}
