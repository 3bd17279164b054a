/**
 * Reading the little that a store needs from its own first payload. Must never decide whether the founding holds; that is authority's and
 * the verifier's. PROTOCOL §5.
 */
import { type Bytes, parseCanonical } from '@openexec/canon';

/** The origin that a founding payload names, or null when it names none. */
export function originIn(founding: Bytes): string | null {
  const body = parseCanonical(founding);
  return body.ok ? stringAt(body.value, ['body', 'origin']) : null;
}

/** The successor that the payload of a seal names, or null when it names none. */
export function successorIn(seal: Bytes): string | null {
  const body = parseCanonical(seal);
  return body.ok ? stringAt(body.value, ['successor']) : null;
}

function stringAt(value: unknown, path: readonly string[]): string | null {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null) return null;
    found = Object.getOwnPropertyDescriptor(found, name)?.value;
  }
  return typeof found === 'string' ? found : null;
}
