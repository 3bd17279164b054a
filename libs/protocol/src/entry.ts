/**
 * The entry as a schema, for readers of the published JSON Schema. Stores and verifiers read entries by their own grammar of bytes, never
 * through this; a test holds the two together (PROTOCOL §2).
 */
import * as z from 'zod';
import { base64, count, digest, eventId, instant, keyId, position, trajectory } from './words.ts';

/** Who caused an entry; no personal data. */
const actor = z.string().regex(/^(key:[0-9a-f]{32}|model|runtime|tool|peer:[a-z0-9][a-z0-9._-]{0,63})$/);
/** `noun.pastVerb`; which of them exist is the registry's to say. */
const kindName = z.string().regex(/^[A-Za-z]{1,32}\.[A-Za-z]{1,32}$/);

/** The permanent part of an event: its canonical bytes are the Merkle leaf's content. */
export const entry = z.strictObject({
  v: z.literal(1),
  trajectory,
  seq: position,
  prev: digest.nullable(),
  kind: kindName,
  at: instant,
  actor,
  cause: position.nullable(),
  law: position.nullable(),
  id: eventId.optional(),
  commitment: digest,
  bytes: count,
  sig: z.strictObject({ key: keyId, value: base64 }).optional(),
});
