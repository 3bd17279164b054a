/**
 * Passwords in addresses of ledgers. Must never let one through to a file or to the eye, also where one address stands inside another.
 */

/** User and password before the host; Postgres takes a user alone, EventStoreDB always asks for both. */
const POSTGRES = /^(postgres(?:ql)?:\/\/[^/?#@]*?):[^/?#]*@/;
const EVENTSTORE = /^((?:esdb|kurrentdb)(?:\+discover)?:\/\/)[^/?#]*@/;
/** The companion store inside an address of EventStoreDB. */
const COMPANION = /([?&]companion=)([^&#]*)/i;

/** The address with a password taken out of it: for what is written or shown. */
export function withoutPassword(url: string): string {
  return url
    .replace(POSTGRES, '$1@')
    .replace(EVENTSTORE, '$1')
    .replace(COMPANION, (_, name: string, value: string) => {
      const inside = decoded(value);
      return `${name}${inside === null ? '' : encodeURIComponent(inside.replace(POSTGRES, '$1@'))}`;
    });
}

/** Whether nothing of the address has to be kept from others. */
export function holdsNoPassword(url: string): boolean {
  const inside = decoded(COMPANION.exec(url)?.[2] ?? '');
  return !POSTGRES.test(url) && !EVENTSTORE.test(url) && inside !== null && !POSTGRES.test(inside);
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // Its one way to say that an escape is wrong.
    return null;
  }
}
