/**
 * Invariant 10: a secret known to the runtime reaches neither the ledger, nor the model, nor what is run in the sandbox. Looked for as bytes, in every
 * payload, every blob, every question and every order. ARCHITECTURE §7.
 */
import { type Bytes, canonicalText } from '@openexec/canon';
import { type Checker, placeOf } from '../moment.ts';

/** 10: the secret stands nowhere. */
export function secretNowhere(secret: string): Checker {
  // Latin-1 keeps every byte, so that a secret inside bytes that are no text is found, too.
  const holds = (bytes: Bytes): boolean => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(secret, 0, 'latin1');
  return {
    invariant: 10,
    name: 'a known secret stands nowhere',
    see(moment, tell) {
      if (moment.what === 'entry') {
        const { payload, entryBytes } = moment.stored;
        if ((payload !== null && holds(payload)) || holds(entryBytes)) tell(`${placeOf(moment.stored)} holds the secret`);
      }
      if (moment.what === 'handed' && moment.outcome === 'appended')
        for (const { digest, bytes } of moment.blobs) if (holds(bytes)) tell(`blob ${digest} holds the secret`);
      if (moment.what === 'asks' && JSON.stringify(moment.request).includes(secret))
        tell(`the model is shown the secret in ${moment.request.ask}`);
      if (moment.what !== 'performs') return;
      const { order } = moment;
      const told = canonicalText([order.arguments, order.command ?? null, { ...order.profile }, order.task]);
      if (told.includes(secret)) tell(`${order.action} ${order.execution} is told the secret`);
      for (const [name, bytes] of order.artifacts) if (holds(bytes)) tell(`${order.action} is given the secret in ${name}`);
    },
  };
}
