/**
 * The wire of a provider: one exchange with exact bytes on both sides, bounded in size and time. Must never follow a redirect, leave the origin it was
 * made for, or send a header that the client library or the environment thought of (MECHANICS part 1 "openai 6.49 as an exact wire").
 */
import { type Bytes, concatBytes } from '@openexec/canon';

/** What was really sent and received; headers are left out because one of them is the key. */
export interface Exchange {
  readonly request: Bytes;
  readonly status: number;
  readonly retryAfter: string | null;
  readonly retryAfterMs: string | null;
  readonly mediaType: string;
  readonly body: Bytes;
}
/** Where the wire may lead and how much may come back over it. */
export interface WireOptions {
  readonly fetch: typeof fetch;
  readonly origin: string;
  readonly maxResponseBytes: number;
}
/** Owner: the one ask that made it. Filled by `fetch`, read after the client library returned or threw. */
export interface Wire {
  exchange: Exchange | null;
  /** Set when the answer was cut off because it was larger than the bound. */
  tooLarge: boolean;
  /** What the network threw, for telling a time-out from a reset. */
  fault: unknown;
  readonly fetch: typeof fetch;
}

const SENT_HEADERS = ['authorization', 'content-type', 'accept'];
const USER_AGENT = 'openexec';

/** A `fetch` for one ask of the client library that keeps the exact bytes. */
export function createWire(options: WireOptions): Wire {
  const wire: Wire = {
    exchange: null,
    tooLarge: false,
    fault: null,
    fetch: async (input, init) => {
      const url = new URL(typeof input === 'string' ? input : 'url' in input ? input.url : input.href);
      if (url.origin !== options.origin) throw new Error(`the client library wanted to leave ${options.origin}`);
      if (typeof init?.body !== 'string') throw new Error('the client library sends something other than text');
      const given = new Headers(init.headers);
      const headers = new Headers({ 'user-agent': USER_AGENT });
      for (const name of SENT_HEADERS) {
        const value = given.get(name);
        if (value !== null) headers.set(name, value);
      }
      const sent = new TextEncoder().encode(init.body);
      try {
        const response = await options.fetch(url, { method: 'POST', headers, body: sent, redirect: 'manual', signal: init.signal ?? null });
        const body = await readBounded(response, options.maxResponseBytes, wire);
        wire.exchange = {
          request: sent,
          status: response.status,
          retryAfter: response.headers.get('retry-after'),
          retryAfterMs: response.headers.get('retry-after-ms'),
          mediaType: response.headers.get('content-type') ?? '',
          body,
        };
        // The library only has to be content: what counts is parsed from the bytes above.
        return new Response('{}', {
          status: response.status >= 200 && response.status < 300 ? 200 : response.status,
          headers: { 'content-type': 'application/json', 'x-should-retry': 'false' },
        });
      } catch (caught) {
        wire.fault = caught;
        throw caught;
      }
    },
  };
  return wire;
}

async function readBounded(response: Response, maxBytes: number, wire: Wire): Promise<Bytes> {
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const chunks: Bytes[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concatBytes(...chunks);
    total += value.length;
    if (total > maxBytes) {
      wire.tooLarge = true;
      await reader.cancel();
      return new Uint8Array();
    }
    chunks.push(value);
  }
}
