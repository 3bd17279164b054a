/** Seconds per unit. */
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads a duration such as "90s", "1h30m" or "1.5h" and gives seconds. */
export function parseDuration(text) {
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([smhd])/g)) {
    seconds += Number(amount) * SECONDS[unit];
  }
  return seconds;
}
