/**
 * Bounded texts and times of what the kernel writes. Must never cut a character in two nor leave the calendar: a judgement always has bytes.
 * PROTOCOL §§1, 4.2.
 */
import { type Instant, instantFromMs, instantToMs } from '@openexec/canon';
import type { Reason } from '@openexec/protocol';

/** Longest message of a reason (schemas/events.md). */
const MAX_MESSAGE = 2000;
/** 9999-12-31T23:59:59.999Z, the last moment there is. */
const LAST_MS = 253_402_300_799_999;

/** At most `max` UTF-16 units, never ending in half a surrogate pair. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max);
}

/** A reason whose message is short enough for its schema. */
export function bounded(reason: Reason): Reason {
  return reason.message.length <= MAX_MESSAGE ? reason : { code: reason.code, message: cut(reason.message, MAX_MESSAGE) };
}

/** `ms` milliseconds after `at`, at most the last moment of the calendar. */
export function after(at: Instant, ms: number): Instant {
  return instantFromMs(Math.min(instantToMs(at) + ms, LAST_MS));
}
