/**
 * Ports for what a pure floor may not reach for itself: time and chance. Adapters live above; nothing here may have a default. STYLE §10 habit 10.
 */

import type { Instant } from './instant.ts';
import type { Bytes } from './result.ts';

/** A source of wall-clock time. */
export interface Clock {
  /**
   * The current moment, UTC, in milliseconds. Synchronous, without side effects, never throws. May stand still or go back (machines do):
   * whoever needs order takes the maximum with what was recorded last. Safe to call at any rate.
   */
  now(): Instant;
}

/** A source of randomness fit for salts, nonces and keys. */
export interface Randomness {
  /**
   * `count` fresh unpredictable bytes (0 to 65,536) in memory that nobody else holds. Synchronous; throws only when the host has no
   * randomness, which is a broken machine, not an outcome to handle. Every call is independent; nothing is retried.
   */
  bytes(count: number): Bytes;
}
