/**
 * The address of a provider: checked once, named as the writ names hosts. Must never let a key travel in clear text over a network.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { OpenModelError } from './errors.ts';

/** The grammar of a host in a writ: lower case, always with a port (PROTOCOL §5). */
const HOST = /^([a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*:[1-9][0-9]{0,4}$/;
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3})$/;

/** A base address that may be asked: https, or http on this machine. */
export interface BaseUrl {
  /** Without a trailing slash. */
  readonly url: string;
  readonly origin: string;
  /** `host:port`, to be granted by the writ. */
  readonly host: string;
}

function refuse(text: string, why: string): Result<never, OpenModelError> {
  return err({
    code: 'model.badBaseUrl',
    message: `the base address of the model "${text.slice(0, 200)}" ${why}; give one such as https://api.example.org/v1`,
    exit: 2,
  });
}

/** Checks an address: https, or http on this machine only; no credentials, query or fragment. */
export function parseBaseUrl(text: string): Result<BaseUrl, OpenModelError> {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return refuse(text, 'is not an address');
  }
  // What stands before an @ would be a secret, so it is not repeated.
  if (url.username !== '' || url.password !== '') return refuse(`${url.protocol}//…@${url.host}`, 'holds credentials');
  if (url.search !== '' || url.hash !== '') return refuse(text, 'has a query or a fragment');
  const local = LOOPBACK.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) return refuse(text, 'is neither https nor http on this machine');
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const host = `${url.hostname.toLowerCase().replace(/\.$/, '')}:${port}`;
  if (!HOST.test(host)) return refuse(text, 'has a host that a writ cannot name (a name or an IPv4 address is needed)');
  return ok({ url: `${url.origin}${url.pathname.replace(/\/+$/, '')}`, origin: url.origin, host });
}

/** `host:port` of a provider's base address, as a writ must grant it. */
export function hostOf(baseUrl: string): Result<string, OpenModelError> {
  const parsed = parseBaseUrl(baseUrl);
  return parsed.ok ? ok(parsed.value.host) : parsed;
}
