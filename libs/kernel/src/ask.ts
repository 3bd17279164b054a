/**
 * Asking a model is an action too: it is compiled like any other, its verdict kept per stage and law position, and its reservation is an upper
 * bound (PROTOCOL §6). The words shown to the model are fixed here; the model's own text never steers anything.
 */
import { type Instant, type Json, utf8Encode } from '@openexec/canon';
import { toolDeclaration } from '@openexec/catalogue';
import type { LawView } from '@openexec/authority';
import type { Amount, CheckedStage, ModelChoice, Reason } from '@openexec/protocol';
import { compile, type Decision } from './compile.ts';
import { inlineOrBlob, type Judgement, jsonBlob, judgement, nextId } from './emit.ts';
import { priceOf } from './foldFact.ts';
import { instructionPart, textPart } from './parts.ts';
import type { OpenAsk, Part, RunState, StageState } from './state.ts';
import { bounded, cut } from './text.ts';

/** One try and two retries. */
const MAX_ATTEMPTS = 3;
const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;
const ASK_TIMEOUT_MS = 300_000;
/** MECHANICS part 2: a token is never shorter than this many bytes on average. */
const BYTES_PER_TOKEN = 3;
/** Bytes that a message costs beside its text. */
const PART_OVERHEAD_BYTES = 64;

type AgentStage = Extract<CheckedStage, { type: 'agent' }>;

/** The standing instruction. Part of the kernel: changing it changes behaviour and takes a flag. */
const RULES = [
  'You work on a git repository through the tools you are given, and through nothing else.',
  'You propose; a runtime decides. Each call is judged against a signed writ and a written policy before anything happens. A refused call comes back with the rule that refused it: do not repeat it.',
  'Paths are relative to the root of the repository. Nothing outside it can be read or written, and there is no network.',
  'Change files only with apply_patch. Keep changes as small as the task allows.',
  'When the goal is reached, answer in one short paragraph without calling a tool.',
].join('\n');

function opening(state: RunState, stage: AgentStage): readonly Part[] {
  const inputs = state.stage?.inputs ?? [];
  const parts: Part[] = [
    textPart('system', null, RULES),
    ...(state.law?.instructions ?? []).map(instructionPart),
    textPart('user', null, `Task:\n${state.law?.task ?? ''}\n\nGoal of this stage (${stage.id}):\n${stage.goal}`),
  ];
  const failure = state.failure;
  // A check's own verdict is told by its report; for anything else this is the only word of it.
  if (failure !== null && failure.code !== 'check.failed')
    parts.push(textPart('user', null, `The stage before this one failed: ${failure.code}: ${failure.message}`));
  for (const input of inputs) {
    parts.push(textPart('user', null, `The artifact ${input.name} follows.`));
    parts.push({ role: 'user', call: null, body: input.blob, text: null });
  }
  return parts;
}

/** Parts that the next ask adds: at the first turn the opening, later the results of the calls. */
export function partsToAdd(state: RunState, stage: StageState, contract: AgentStage): readonly Part[] {
  if (stage.lastAsk === null && stage.asked.length === 0) return opening(state, contract);
  // Providers want the results of calls right behind the answer that made them; what else came meanwhile follows.
  const { unasked } = stage;
  return [...unasked.filter(({ role }) => role === 'tool'), ...unasked.filter(({ role }) => role !== 'tool')];
}

/** The tools of the stage's toolset, as shown to the model. */
export function toolsOf(state: RunState, contract: AgentStage): readonly Json[] {
  const names = state.law?.toolsets[contract.toolset] ?? [];
  const tools: Json[] = [];
  for (const name of names) {
    const action = state.law?.actions.get(name);
    if (action !== undefined) tools.push({ ...toolDeclaration(action) });
  }
  return tools;
}

/** Blobs of toolsets, by the catalogue they are of. */
const toolBlobs = new WeakMap<object, Map<string, ReturnType<typeof jsonBlob>>>();

function toolsBlob(state: RunState, contract: AgentStage): ReturnType<typeof jsonBlob> {
  const law = state.law;
  if (law === null) return jsonBlob([]);
  const names = law.toolsets[contract.toolset]?.join(' ') ?? '';
  const made = toolBlobs.get(law.catalogue) ?? new Map<string, ReturnType<typeof jsonBlob>>();
  toolBlobs.set(law.catalogue, made);
  const tools = made.get(names) ?? jsonBlob([...toolsOf(state, contract)]);
  made.set(names, tools);
  return tools;
}

/** An upper bound of what the ask may cost (MECHANICS part 2). */
function reservationOf(state: RunState, model: ModelChoice, stage: StageState, added: readonly Part[], toolBytes: number): Amount {
  const bytes = [...stage.asked, ...added].reduce((sum, part) => sum + part.body.bytes + PART_OVERHEAD_BYTES, toolBytes);
  const input = Math.ceil(bytes / BYTES_PER_TOKEN);
  return { tokens: input + model.maxOutputTokens, usdMicros: priceOf(state, input, model.maxOutputTokens), calls: 1 };
}

function wishToAsk(model: ModelChoice, reservation: Amount) {
  return {
    action: 'model.ask',
    arguments: { provider: model.provider, model: model.model, maxOutputTokens: model.maxOutputTokens },
    author: 'blueprint' as const,
    malformed: null,
    claims: { rationale: null, claimedRisk: null },
    hosts: model.host === null ? [] : [model.host],
    reservation,
    granted: null,
  };
}

/** The wish to ask the model at this point, and what the ask would carry. */
export function askWish(state: RunState, model: ModelChoice, stage: StageState, contract: AgentStage) {
  const added = partsToAdd(state, stage, contract);
  const tools = toolsBlob(state, contract);
  return { wish: wishToAsk(model, reservationOf(state, model, stage, added, tools.ref.bytes)), added, tools };
}

/** What a failed stage says when it cannot ask. */
const stageFails = (because: Reason) => ({ fail: because });

/** The next judgement of an agent stage that has nothing else to do: a verdict on asking, the ask itself, or the reason why the stage fails. */
export function askNext(
  state: RunState,
  law: LawView,
  at: Instant,
  stage: StageState,
  contract: AgentStage,
): Judgement | { readonly fail: Reason } {
  const model = state.law?.model ?? null;
  if (model === null)
    return stageFails({
      code: 'model.notConfigured',
      message: 'this blueprint has an agent stage, but the run was opened without a model',
    });
  if (stage.turn >= contract.turnLimit && stage.ask === null)
    return stageFails({ code: 'turns.exhausted', message: `stage ${stage.id} took ${stage.turn} turns without an end` });
  const { wish, added, tools } = askWish(state, model, stage, contract);
  const { reservation } = wish;
  const decision = compile(state, law, at, wish);
  const permission = stage.permission;
  const stale = permission === null || permission.law !== law.position;
  // A kept permit does not outlive the budget: an ask that no longer fits is decided anew, and that decision denies it.
  if (stale || (permission.verdict === 'permit' && decision.verdict !== 'permit')) return decided(state, model, decision);
  if (permission.verdict !== 'permit') return stageFails(permission.because);
  return asked(state, model, stage, { added, tools, reservation, decision: permission.decision, failed: stage.ask });
}

function decided(state: RunState, model: ModelChoice, decision: Decision): Judgement {
  // Nobody can be asked before a model is: an approval here would come before the first proposal, so it counts as a denial.
  const asks = decision.verdict === 'approve';
  const trace = inlineOrBlob({ ...decision.trace });
  return judgement(
    'policy.decided',
    {
      decision: nextId(state, 'decision'),
      intent: null,
      subject: cut(`model.ask ${model.provider}:${model.model}`, 200),
      verdict: asks ? 'deny' : decision.verdict,
      by: decision.by,
      because: asks
        ? bounded({
            code: 'policy.asksForModel',
            message: `policy wants an approval before the model is asked: ${decision.because.message}`,
          })
        : decision.because,
      rule: decision.rule,
      policySet: decision.policySet,
      approval: null,
      trace: 'inline' in trace.value ? { inline: decision.trace } : trace.value,
    },
    trace.blobs,
  );
}

interface AskParts {
  readonly added: readonly Part[];
  readonly tools: ReturnType<typeof jsonBlob>;
  readonly reservation: Amount;
  readonly decision: Decision['policySet'];
  readonly failed: OpenAsk | null;
}

function asked(state: RunState, model: ModelChoice, stage: StageState, parts: AskParts): Judgement {
  const { added, tools, reservation, decision, failed } = parts;
  const made = added
    .filter((part) => part.text !== null)
    .map((part) => ({ digest: part.body.digest, bytes: utf8Encode(part.text ?? ''), mediaType: part.body.mediaType }));
  return judgement(
    'model.asked',
    {
      ask: nextId(state, 'ask'),
      decision,
      stage: stage.id,
      visit: stage.visit,
      turn: failed === null ? stage.turn + 1 : failed.turn,
      attempt: failed === null ? 1 : failed.attempt + 1,
      replaces: failed === null ? null : failed.id,
      previous: failed === null ? stage.lastAsk : failed.id,
      provider: model.provider,
      model: model.model,
      tools: tools.ref,
      added: added.map(({ role, call, body }) => ({ role, call, body })),
      maxOutputTokens: model.maxOutputTokens,
      reservation,
      backoffMs: failed === null ? 0 : backoffOf(failed),
      timeoutMs: ASK_TIMEOUT_MS,
    },
    [tools.blob, ...made],
  );
}

/** Doubling, or what the provider asked for, bounded; nothing after an interruption. */
function backoffOf(failed: OpenAsk): number {
  const ended = failed.ended;
  if (ended === null || !('failed' in ended)) return 0;
  return Math.min(MAX_BACKOFF_MS, ended.failed.retryAfterMs ?? FIRST_BACKOFF_MS * 2 ** (failed.attempt - 1));
}

/** Whether an ask that ended without an answer is asked again. */
export function asksAgain(ask: OpenAsk): boolean {
  if (ask.ended === null || ask.attempt >= MAX_ATTEMPTS) return false;
  return 'interrupted' in ask.ended || ask.ended.failed.retryable;
}
