/**
 * A time stamping authority as an anchor: the token is verified before it is handed out. It remembers nothing, so that it can show a time but no
 * contradiction. RFC 3161 §3.4.
 */
import { type Bytes, digestOf, err, ok, type Randomness, type Result, utf8Encode } from '@openexec/canon';
import type { Anchor, AnchorError } from '@openexec/proof';
import { post } from '../http.ts';
import { QUERY_TYPE, REPLY_TYPE, timestampRequest } from './request.ts';
import { verifyTimestamp } from './verify.ts';

const NONCE_BYTES = 8;
const OK = 200;

/** Which authority, and whose word for it the reader takes. */
export interface Rfc3161Options {
  readonly name: string;
  readonly url: string;
  /** PEM of the certificates that are trusted. */
  readonly trusted: string;
  readonly randomness: Randomness;
  readonly timeoutMs?: number;
}

/** Opens the anchor. */
export function rfc3161Anchor(options: Rfc3161Options): Anchor {
  return {
    name: options.name,
    type: 'rfc3161',
    submit: async ({ checkpoint }) => {
      const response = await timestampOver(utf8Encode(checkpoint), options);
      return response.ok ? ok({ mediaType: REPLY_TYPE, bytes: response.value, digest: digestOf(response.value) }) : response;
    },
  };
}

/** A time stamp over these bytes: the whole TimeStampResp, verified against the certificates that are trusted before it is handed out. */
export async function timestampOver(
  data: Bytes,
  { name, url, trusted, timeoutMs, randomness }: Rfc3161Options,
): Promise<Result<Bytes, AnchorError>> {
  const nonce = randomness.bytes(NONCE_BYTES).reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
  const body = timestampRequest(data, nonce);
  const answer = await post({ url, type: QUERY_TYPE, body, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  if (!answer.ok) return answer;
  const { status, body: response } = answer.value;
  if (status !== OK) return err(refusal(status, `${name} answered with status ${status}`));
  const verified = verifyTimestamp({ response, data, nonce, trusted });
  if (!verified.ok) return err({ code: 'anchor.refused', message: `${name}: ${verified.error.code}: ${verified.error.message}` });
  return ok(response);
}

/** A server in trouble may do better later; one that says no will say it again. */
function refusal(status: number, message: string): AnchorError {
  return { code: status >= 500 || status === 429 ? 'anchor.unreachable' : 'anchor.refused', message };
}
