/**
 * Branded names: trajectories, keys, events, leaf hashes. Must never admit a second spelling of one name. PROTOCOL §2.
 */

import type { Digest } from './digest.ts';
import type { TextError } from './errors.ts';
import { err, ok, type Result } from './result.ts';

declare const trajectoryBrand: unique symbol;
declare const keyBrand: unique symbol;
declare const eventBrand: unique symbol;

/** A stream's name: `law`, `ledger`, `memory`, or `<noun>/<name>`; at most 128 characters. */
export type TrajectoryId = string & { readonly [trajectoryBrand]: 'TrajectoryId' };

/** The first 32 hex digits of SHA-256 of a raw public key. */
export type KeyId = string & { readonly [keyBrand]: 'KeyId' };

/** An entry's optional `id`: time-ordered, unique per trajectory, for idempotent retry; at most 64 characters. */
export type EventId = string & { readonly [eventBrand]: 'EventId' };

/** An entry's identity: SHA-256(0x00 ‖ entry bytes), written as a digest. */
export type LeafHash = Digest;

const TRAJECTORY = /^(?:law|ledger|memory|[a-z]+\/[a-z0-9][a-z0-9._-]*)$/;
const MAX_TRAJECTORY_CHARACTERS = 128;
const KEY_ID = /^[0-9a-f]{32}$/;
const EVENT_ID = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;

/** Reads a trajectory name. */
export function parseTrajectoryId(text: string): Result<TrajectoryId, TextError> {
  if (text.length > MAX_TRAJECTORY_CHARACTERS || !TRAJECTORY.test(text)) {
    return err({
      code: 'trajectory.malformed',
      message: 'expected law, ledger, memory or noun/name (a-z, 0-9, ., _, -), at most 128 characters',
    });
  }
  return ok(text as TrajectoryId); // The grammar was just checked.
}

/** Reads a key id. */
export function parseKeyId(text: string): Result<KeyId, TextError> {
  if (!KEY_ID.test(text)) return err({ code: 'keyId.malformed', message: 'expected 32 lower-case hex digits' });
  return ok(text as KeyId); // The grammar was just checked.
}

/** Reads an event id. */
export function parseEventId(text: string): Result<EventId, TextError> {
  if (!EVENT_ID.test(text))
    return err({ code: 'eventId.malformed', message: 'expected 1 to 64 of 0-9, A-Z, a-z, ., _, - with a digit or letter first' });
  return ok(text as EventId); // The grammar was just checked.
}
