/**
 * Asking the model: recorded parts out, a redacted and recorded answer in. Must never send a byte that is not recorded, nor let an answer be read
 * before it was redacted (PROTOCOL §2 "Redaction first").
 */
import { type Bytes, canonicalBytes, type Json, instantToMs, ok, parseJson, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import type {
  ModelAnswer,
  ModelFailure,
  ModelMessage,
  ModelRequest,
  NeutralAnswer,
  StopSignal,
  ToolDeclaration,
} from '@openexec/catalogue';
import type { PendingEffect } from '@openexec/kernel';
import type { PartRef } from '@openexec/protocol';
import { ledgerRefusal, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands } from './hands.ts';
import { blobOf } from './open.ts';
import type { FactOf, Session } from './session.ts';

/** The order that the kernel gives. */
export type AskEffect = Extract<PendingEffect, { do: 'ask' }>;
type AskFact = FactOf<'model.answered'> | FactOf<'model.failed'>;
type Redactor = Pick<Hands, 'redact'>;
/** What asking needs of a session: a driver's own, or that of a replay, which records nothing. */
export interface Asker {
  readonly hands: Pick<Hands, 'ledger' | 'model' | 'clock' | 'redact' | 'sleep'>;
  readonly driven: Session['driven'];
}
type Members = { readonly [key: string]: Json };

const ANSWER_TYPE = 'application/json';
const RAW_TYPE = 'application/octet-stream';
const MAX_SENTENCE = 2000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** Asks once and gives the fact of how it went; null when the driver was stopped meanwhile and nobody knows how it went. */
export async function ask(session: Asker, effect: AskEffect, stop: StopSignal): Promise<Result<AskFact | null, RuntimeFailure>> {
  const { hands } = session;
  const { model, clock } = hands;
  if (model === null)
    return refuse(
      'model.missing',
      `the run asks ${effect.model.provider}:${effect.model.model}, but no model is configured here; configure it and resume`,
    );
  const messages = await messagesOf(session, effect.parts);
  if (!messages.ok) return messages;
  if (effect.backoffMs > 0) await hands.sleep(effect.backoffMs, stop);
  if (stop.stopped) return ok(null);
  const request: ModelRequest = {
    ask: effect.ask,
    model: effect.model.model,
    messages: messages.value,
    tools: effect.tools.map(toolOf),
    maxOutputTokens: effect.model.maxOutputTokens,
    timeoutMs: effect.timeoutMs,
    stage: effect.stage,
    visit: effect.visit,
    turn: effect.turn,
  };
  const from = instantToMs(clock.now());
  const answered = await model.ask(request, stop);
  const durationMs = Math.max(0, instantToMs(clock.now()) - from);
  if (!answered.ok && stop.stopped) return ok(null);
  return ok(
    answered.ok ? answeredFact(session, effect, answered.value, durationMs) : failedFact(session, effect, answered.error, durationMs),
  );
}

function answeredFact(session: Asker, effect: AskEffect, answer: ModelAnswer, durationMs: number): AskFact {
  const { hands } = session;
  const raw = blobOf(hands.redact(answer.raw), RAW_TYPE);
  const neutral = redactedAnswer(answer.answer, hands);
  if (neutral === null)
    return failedFact(
      session,
      effect,
      {
        code: 'model.malformed',
        message: 'the answer holds text that is not Unicode',
        retryable: false,
        retryAfterMs: null,
        status: null,
        raw: answer.raw,
      },
      durationMs,
    );
  const made = blobOf(neutral, ANSWER_TYPE);
  const body = { ...session.driven, ask: effect.ask, answer: made.ref, raw: raw.ref, usage: answer.usage, durationMs };
  return { kind: 'model.answered', actor: 'model', body, blobs: [made.blob, raw.blob] };
}

function failedFact(session: Asker, effect: AskEffect, failure: ModelFailure, durationMs: number): AskFact {
  const { hands } = session;
  const raw = failure.raw === null ? null : blobOf(hands.redact(failure.raw), RAW_TYPE);
  const error = { code: failure.code, message: sentenceOf(failure.message, hands) };
  const { retryable, retryAfterMs, status } = failure;
  const body = { ...session.driven, ask: effect.ask, error, retryable, retryAfterMs, status, raw: raw?.ref ?? null, durationMs };
  return { kind: 'model.failed', actor: 'runtime', body, blobs: raw === null ? [] : [raw.blob] };
}

/** Text without known secrets; null where it is no text. */
function redactedText(text: string, hands: Redactor): string | null {
  if (!isUnicode(text)) return null;
  const decoded = utf8Decode(hands.redact(utf8Encode(text)));
  return decoded.ok ? decoded.value : null;
}

/** A lone surrogate has no bytes. */
function isUnicode(text: string): boolean {
  return !/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(text);
}

/** A sentence for a payload: redacted, bounded, and never half a character. */
export function sentenceOf(text: string, hands: Redactor): string {
  const clean = redactedText(text, hands) ?? 'the message is not Unicode text';
  const cut = clean.slice(0, MAX_SENTENCE);
  return isUnicode(cut) ? cut : cut.slice(0, -1);
}

/** Canonical bytes of the answer with every string redacted. */
function redactedAnswer(answer: NeutralAnswer, hands: Redactor): Bytes | null {
  const text = redactedText(answer.text, hands);
  const calls: Members[] = [];
  for (const call of answer.calls) {
    const id = redactedText(call.id, hands);
    const name = redactedText(call.name, hands);
    const args = redactedText(call.arguments, hands);
    if (id === null || name === null || args === null) return null;
    calls.push({ id, name, arguments: args });
  }
  return text === null ? null : canonicalBytes({ text, calls, finish: answer.finish });
}

async function messagesOf(session: Asker, parts: readonly PartRef[]): Promise<Result<readonly ModelMessage[], RuntimeFailure>> {
  const messages: ModelMessage[] = [];
  for (const part of parts) {
    const bytes = await session.hands.ledger.blob(part.body.digest);
    if (!bytes.ok) return ledgerRefusal(bytes.error);
    const message = messageOf(part, bytes.value);
    if (!message.ok) return message;
    messages.push(message.value);
  }
  return ok(messages);
}

function messageOf(part: PartRef, bytes: Bytes): Result<ModelMessage, RuntimeFailure> {
  if (part.role === 'assistant') {
    const answer = answerOf(bytes);
    return answer === null
      ? refuse('run.unreadable', `the recorded answer ${part.body.digest} is not an answer`)
      : ok({ role: 'assistant', answer });
  }
  const text = utf8Decode(bytes);
  if (!text.ok) return refuse('run.unreadable', `the recorded message ${part.body.digest} is not UTF-8`);
  return ok(part.role === 'tool' ? { role: 'tool', call: part.call ?? '', text: text.value } : { role: part.role, text: text.value });
}

function membersOf(value: Json | undefined): Members | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : null;
}

const FINISHES = ['stop', 'calls', 'length', 'refusal', 'other'] as const;

function answerOf(bytes: Bytes): NeutralAnswer | null {
  const parsed = parseJson(bytes, { maxBytes: MAX_ANSWER_BYTES, numbers: 'doubles' });
  const body = parsed.ok ? membersOf(parsed.value) : null;
  const finish = FINISHES.find((known) => known === body?.['finish']);
  const text = body?.['text'];
  const list = body?.['calls'];
  if (finish === undefined || typeof text !== 'string' || !Array.isArray(list)) return null;
  const calls: NeutralAnswer['calls'][number][] = [];
  for (const value of list as readonly Json[]) {
    const call = membersOf(value);
    const [id, name, args] = [call?.['id'], call?.['name'], call?.['arguments']];
    if (typeof id !== 'string' || typeof name !== 'string' || typeof args !== 'string') return null;
    calls.push({ id, name, arguments: args });
  }
  return { text, calls, finish };
}

function toolOf(tool: Json): ToolDeclaration {
  const declared = membersOf(tool);
  const [name, description] = [declared?.['name'], declared?.['description']];
  if (typeof name !== 'string' || typeof description !== 'string') throw new Error('runtime: the kernel declared a tool without a name');
  return { name, description, parameters: declared?.['parameters'] ?? {} };
}
