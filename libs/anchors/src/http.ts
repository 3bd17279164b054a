/**
 * One bounded POST: no redirect, a deadline, a limit on what is read. Must never tell a request that may have arrived from one that did not
 * otherwise than by `unknown`. PROTOCOL §3 (anchors).
 */
import { type Bytes, err, ok, type Result } from '@openexec/canon';
import type { AnchorError } from '@openexec/proof';
import { MAX_BODY_BYTES, readBody } from './body.ts';

/** Default bound of one exchange. */
export const TIMEOUT_MS = 30_000;
/** Faults of a connection that was never made: nothing arrived. */
const NEVER_ARRIVED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ERR_INVALID_URL',
]);

/** An answer, whole. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Bytes;
}

/** Sends `body` and reads the answer. */
export async function post(options: {
  readonly url: string;
  readonly type: string;
  readonly body: Bytes;
  readonly timeoutMs?: number;
}): Promise<Result<Answer, AnchorError>> {
  const { url, type, timeoutMs = TIMEOUT_MS } = options;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': type },
      // A copy: the standard types ask for a buffer that nobody shares.
      body: new Uint8Array(options.body),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = await readBody(response.body ?? []);
    if (body === null) return err({ code: 'anchor.unknown', message: `${url} answered with more than ${MAX_BODY_BYTES} bytes` });
    return ok({ status: response.status, type: response.headers.get('content-type') ?? '', body });
  } catch (error) {
    return err(faultOf(url, error));
  }
}

function faultOf(url: string, error: unknown): AnchorError {
  const { cause, message } = (error ?? {}) as { readonly cause?: unknown; readonly message?: unknown };
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  const never = typeof code === 'string' && NEVER_ARRIVED.has(code);
  return {
    code: never ? 'anchor.unreachable' : 'anchor.unknown',
    message: `${url} ${never ? 'cannot be reached' : 'gave no answer'} (${typeof code === 'string' ? code : String(message)})`,
  };
}
