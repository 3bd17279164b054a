import { parseDuration } from './duration.js';

/** The moment at which work that starts now has to be done, in milliseconds since 1970. */
export function deadline(nowMs, timeout) {
  return nowMs + parseDuration(timeout) * 1000;
}
