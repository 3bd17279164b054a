/**
 * The adapter for OpenAI and compatible providers, through the `openai` package's chat completions, with bytes of our own on the wire. Must never
 * retry, stream, log, or let the key into an error; every body is parsed strictly here, never by the library (MECHANICS part 1).
 */
import { type Bytes, err, type Json, ok, parseJson, type Result } from '@openexec/canon';
import type { ModelAdapter, ModelAnswer, ModelFailure, ModelMessage, ModelRequest, NeutralAnswer, StopSignal } from '@openexec/catalogue';
import type OpenAI from 'openai';
import * as z from 'zod';
import { type BaseUrl, parseBaseUrl } from './baseUrl.ts';
import { failure, type OpenModelError } from './errors.ts';
import { failureOfFault, failureOfStatus } from './failures.ts';
import { createWire, type Exchange, type Wire } from './wire.ts';

/** OpenAI’s own address, used where none is configured. */
export const OPENAI_BASE_URL = 'https://api.openai.com/v1';
/** One answer may be this large; more is not an answer. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** The library's own time-out only has to come after ours. */
const LIBRARY_GRACE_MS = 5_000;

/**
 * What the adapter is opened with. The key is sent to `baseUrl` only and stands in no value that the adapter returns; `maxResponseBytes` defaults to
 * 4 MiB.
 */
export interface OpenAiOptions {
  readonly apiKey: string;
  /** Default: OpenAI's own. */
  readonly baseUrl?: string;
  readonly fetch?: typeof fetch;
  /** Sees the exact bytes of each exchange, for tests and diagnosis; never the key. */
  readonly onExchange?: (exchange: Exchange) => void;
  readonly maxResponseBytes?: number;
  /** Bounds every ask, where the ask itself allows more. */
  readonly timeoutMs?: number;
}

const toolCall = z.object({
  id: z.string().min(1).max(256),
  type: z.literal('function').optional(),
  function: z.object({ name: z.string().min(1).max(128), arguments: z.string() }),
});
const choice = z.object({
  message: z.object({ content: z.string().nullish(), refusal: z.string().nullish(), tool_calls: z.array(toolCall).max(128).nullish() }),
  finish_reason: z.string().nullish(),
});
/** What is read of a completion; providers add members, which are kept in the raw bytes and not looked at. */
const completion = z.object({
  choices: z.array(choice).min(1),
  usage: z.object({ prompt_tokens: z.number().int().min(0), completion_tokens: z.number().int().min(0) }).nullish(),
});

/** Opens the adapter. The key stays inside the returned object. */
export function openaiModel(options: OpenAiOptions): Result<ModelAdapter, OpenModelError> {
  const base = parseBaseUrl(options.baseUrl ?? OPENAI_BASE_URL);
  if (!base.ok) return base;
  if (!/^[\x21-\x7e]+$/.test(options.apiKey))
    return err({
      code: 'model.keyMissing',
      message: 'the API key of the model is empty or holds characters that cannot be sent; set it in the environment',
      exit: 30,
    });
  return ok({ provider: 'openai', ask: async (request, stop) => askOnce(options, base.value, request, stop) });
}

async function askOnce(
  options: OpenAiOptions,
  base: BaseUrl,
  request: ModelRequest,
  stop: StopSignal,
): Promise<Result<ModelAnswer, ModelFailure>> {
  if (stop.stopped) return err(failure('model.stopped', 'the run was stopped before the model was asked'));
  const wire = createWire({
    fetch: options.fetch ?? globalThis.fetch,
    origin: base.origin,
    maxResponseBytes: options.maxResponseBytes ?? MAX_RESPONSE_BYTES,
  });
  const timeoutMs = Math.min(request.timeoutMs, options.timeoutMs ?? request.timeoutMs);
  const abort = new AbortController();
  const state = { expired: false, stopped: false };
  const timer = setTimeout(() => {
    state.expired = true;
    abort.abort();
  }, timeoutMs);
  const off = stop.onStop(() => {
    state.stopped = true;
    abort.abort();
  });
  try {
    const client = await createClient(options.apiKey, base.url, wire, timeoutMs + LIBRARY_GRACE_MS);
    await client.chat.completions.create(bodyOf(request, base), { signal: abort.signal });
  } catch (caught) {
    // A refusing status makes the library throw as well; the exchange then says what happened.
    if (wire.exchange === null) {
      if (state.stopped) return err(failure('model.stopped', 'the run was stopped while the model was being asked'));
      if (state.expired) return err(failure('model.timeout', `${base.host} did not answer within ${timeoutMs} ms`, { retryable: true }));
      return err(failureOfFault(wire.fault ?? caught, base.host, options.apiKey));
    }
  } finally {
    clearTimeout(timer);
    off();
  }
  return readExchange(wire, { host: base.host, apiKey: options.apiKey, onExchange: options.onExchange });
}

/** The library is loaded when a model is first asked: a command that asks none should not pay for it. */
async function createClient(apiKey: string, baseURL: string, wire: Wire, timeout: number): Promise<OpenAI> {
  const library = await import('openai');
  return new library.default({
    apiKey,
    adminAPIKey: null,
    baseURL,
    timeout,
    fetch: wire.fetch,
    maxRetries: 0,
    organization: null,
    project: null,
    webhookSecret: null,
    logLevel: 'off',
  });
}

/** The request body; deterministic, so that the same ask has the same bytes. */
function bodyOf(request: ModelRequest, base: BaseUrl): OpenAI.Chat.ChatCompletionCreateParamsNonStreaming {
  const tools = request.tools.map((tool) => ({
    type: 'function' as const,
    // A declaration's parameters are an object of JSON Schema by the contract of `toolDeclaration`.
    function: { name: tool.name, description: tool.description, parameters: tool.parameters as Record<string, unknown> },
  }));
  // OpenAI refuses the old name for its newer models, most compatible servers know only the old one.
  const bound =
    base.host === 'api.openai.com:443' ? { max_completion_tokens: request.maxOutputTokens } : { max_tokens: request.maxOutputTokens };
  return {
    model: request.model,
    messages: request.messages.map(messageOf),
    ...(tools.length === 0 ? {} : { tools }),
    ...bound,
    stream: false,
  };
}

function messageOf(message: ModelMessage): OpenAI.Chat.ChatCompletionMessageParam {
  switch (message.role) {
    case 'system':
      return { role: 'system', content: message.text };
    case 'user':
      return { role: 'user', content: message.text };
    case 'tool':
      return { role: 'tool', tool_call_id: message.call, content: message.text };
    case 'assistant': {
      const { text, calls } = message.answer;
      if (calls.length === 0) return { role: 'assistant', content: text };
      const tool_calls = calls.map((call) => ({
        id: call.id,
        type: 'function' as const,
        function: { name: call.name, arguments: call.arguments },
      }));
      return { role: 'assistant', content: text === '' ? null : text, tool_calls };
    }
  }
}

interface ReadContext {
  readonly host: string;
  readonly apiKey: string;
  readonly onExchange: OpenAiOptions['onExchange'];
}

function readExchange(wire: Wire, context: ReadContext): Result<ModelAnswer, ModelFailure> {
  const { exchange } = wire;
  if (exchange === null) return err(failure('model.unreachable', `the client library did not ask ${context.host}`));
  context.onExchange?.(exchange);
  const { status } = exchange;
  if (wire.tooLarge)
    return err(
      failure('model.malformed', `${context.host} answered with more than an answer may have; the body was cut off and not kept`, {
        status,
      }),
    );
  if (status < 200 || status >= 300) return err(failureOfStatus(exchange, context.host, context.apiKey));
  return readCompletion(exchange, context.host);
}

function readCompletion(exchange: Exchange, host: string): Result<ModelAnswer, ModelFailure> {
  const malformed = (why: string): Result<never, ModelFailure> =>
    err(
      failure(
        'model.malformed',
        `${host} answered ${exchange.status} with a body that is no completion: ${why}; check the base address and the provider`,
        { status: exchange.status, raw: exchange.body },
      ),
    );
  const json: Result<Json, { readonly message: string }> = parseJson(exchange.body, { numbers: 'doubles', maxBytes: MAX_RESPONSE_BYTES });
  if (!json.ok) return malformed(`${json.error.message} (content type ${exchange.mediaType.slice(0, 100) || 'none'})`);
  const parsed = completion.safeParse(json.value);
  if (!parsed.success)
    return malformed(`${parsed.error.issues[0]?.path.join('.') || 'root'}: ${parsed.error.issues[0]?.message ?? 'unknown'}`);
  const first = parsed.data.choices[0];
  if (first === undefined) return malformed('it has no choice');
  const usage = parsed.data.usage ?? null;
  return ok({
    answer: neutral(first),
    usage: usage === null ? null : { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens },
    raw: exchange.body satisfies Bytes,
  });
}

function neutral(first: z.infer<typeof choice>): NeutralAnswer {
  const calls = (first.message.tool_calls ?? []).map((call) => ({
    id: call.id,
    name: call.function.name,
    arguments: call.function.arguments,
  }));
  const refusal = first.message.refusal ?? '';
  const text = refusal === '' ? (first.message.content ?? '') : refusal;
  return { text, calls, finish: finishOf(first.finish_reason ?? '', { refused: refusal !== '', called: calls.length > 0 }) };
}

/** A cut-off answer stays `length` even with calls in it: their arguments may be cut as well. */
function finishOf(reason: string, seen: { readonly refused: boolean; readonly called: boolean }): NeutralAnswer['finish'] {
  if (seen.refused || reason === 'content_filter') return 'refusal';
  if (reason === 'length') return 'length';
  if (seen.called) return 'calls';
  return reason === 'stop' || reason === '' ? 'stop' : 'other';
}
