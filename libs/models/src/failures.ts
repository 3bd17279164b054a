/**
 * From statuses and network faults to the port's failures. Must never repeat the key, nor guess that nothing happened at the provider: who may retry
 * is said, what it costs is for the kernel (ports: ModelAdapter).
 */
import { parseJson } from '@openexec/canon';
import type { ModelFailure } from '@openexec/catalogue';
import * as z from 'zod';
import { failure } from './errors.ts';
import type { Exchange } from './wire.ts';

const MAX_WAIT_MS = 3_600_000;
const TIMEOUTS = ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'];
const REFUSED_CODES = ['content_policy_violation', 'content_filter'];

const errorBody = z.object({
  error: z.object({ message: z.string().nullish(), code: z.union([z.string(), z.number()]).nullish(), type: z.string().nullish() }),
});

/** What the provider says about itself, bounded, without the key. Nothing where the body is not its error form. */
function said(exchange: Exchange, apiKey: string): { readonly text: string; readonly code: string } {
  const json = parseJson(exchange.body, { numbers: 'doubles' });
  const parsed = json.ok ? errorBody.safeParse(json.value) : null;
  if (parsed?.success !== true) return { text: '', code: '' };
  const { message, code, type } = parsed.data.error;
  const clean = (message ?? '')
    .replaceAll(apiKey, '[key]')
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .slice(0, 500);
  return { text: clean === '' ? '' : `: ${clean}`, code: String(code ?? type ?? '') };
}

/** A status other than 2xx. The raw body is kept for the record; its text is only a hint for people. */
export function failureOfStatus(exchange: Exchange, host: string, apiKey: string): ModelFailure {
  const { status, body: raw } = exchange;
  const { text, code } = said(exchange, apiKey);
  const base = { status, raw };
  // A key that was refused is often quoted in part, so the provider's words are left out.
  if (status === 401 || status === 403)
    return failure(
      'model.unauthorized',
      `${host} refused the API key (${status}); check that it is set, current and allowed to use this model`,
      base,
    );
  if (status === 402 || (status === 429 && code === 'insufficient_quota'))
    return failure('model.exhausted', `${host} says that the account has no credit left (${status})${text}`, base);
  if (status === 429)
    return failure('model.rateLimited', `${host} limits the rate of requests (429)${text}`, {
      ...base,
      retryable: true,
      retryAfterMs: waitOf(exchange),
    });
  if (status === 408)
    return failure('model.timeout', `${host} gave up waiting (408)${text}`, { ...base, retryable: true, retryAfterMs: waitOf(exchange) });
  if (status >= 500)
    return failure('model.server', `${host} failed (${status})${text}`, { ...base, retryable: true, retryAfterMs: waitOf(exchange) });
  if (status >= 300 && status < 400)
    return failure('model.malformed', `${host} redirects (${status}); redirects are not followed: give the final base address`, base);
  const why = REFUSED_CODES.includes(code) ? 'refused the content' : 'refused the request';
  return failure('model.refused', `${host} ${why} (${status})${text}; check the model's name and what the provider supports`, base);
}

/** `retry-after-ms`, `retry-after` in seconds or as a date; at most an hour. */
function waitOf(exchange: Exchange): number | null {
  const milliseconds = exchange.retryAfterMs ?? '';
  if (/^\d{1,12}(\.\d+)?$/.test(milliseconds)) return Math.min(MAX_WAIT_MS, Math.ceil(Number(milliseconds)));
  const text = exchange.retryAfter ?? '';
  if (/^\d{1,9}(\.\d+)?$/.test(text)) return Math.min(MAX_WAIT_MS, Math.ceil(Number(text) * 1000));
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.min(MAX_WAIT_MS, Math.max(0, date - Date.now()));
}

/** What the network threw. Its message may hold addresses, never the key; only its code is used. */
export function failureOfFault(fault: unknown, host: string, apiKey: string): ModelFailure {
  const code = codeOf(fault, 0);
  if (TIMEOUTS.includes(code)) return failure('model.timeout', `${host} did not answer in time (${code})`, { retryable: true });
  const detail = code === '' ? messageOf(fault).replaceAll(apiKey, '[key]').slice(0, 200) : code;
  return failure('model.unreachable', `${host} could not be reached or broke the connection (${detail})`, { retryable: true });
}

/** The system's code, wherever fetch hid it in its chain of causes. */
function codeOf(fault: unknown, depth: number): string {
  if (typeof fault !== 'object' || fault === null || depth > 4) return '';
  if ('code' in fault && typeof fault.code === 'string') return fault.code;
  return 'cause' in fault ? codeOf(fault.cause, depth + 1) : '';
}

function messageOf(fault: unknown): string {
  return typeof fault === 'object' && fault !== null && 'message' in fault && typeof fault.message === 'string'
    ? fault.message
    : 'no reason given';
}
