/**
 * Where one sequence stands in another, in linear time whatever both hold. Must never cost more than it is given: work is counted in comparisons,
 * never in time, so that the same patch has the same end on every machine (Knuth, Morris, Pratt 1977).
 */

/** Comparisons that may still be made; shared by all searches of one change. */
export interface Meter {
  left: number;
}
/** What a search found. */
export interface Found {
  /** The first places, in order, at most `FOUND_MAX`; they may overlap. */
  readonly places: readonly number[];
  /** Where the longest beginning of the needle stood, and how long it was: what a message can show. */
  readonly nearest: { readonly at: number; readonly length: number };
}

/** Two places are a conflict; one more shows that there are others. */
export const FOUND_MAX = 3;

/**
 * Places of `needle` in `haystack` that begin in [from, to]. Null when the meter ran out. A needle is never empty: it would stand everywhere.
 * Costs at most twice the items it looks at.
 */
export function findPlaces(
  haystack: ArrayLike<number>,
  needle: ArrayLike<number>,
  meter: Meter,
  range: { readonly from: number; readonly to: number },
): Found | null {
  const end = Math.min(haystack.length, range.to + needle.length);
  // Both passes make at most two comparisons an item; refusing beforehand keeps the meter out of the loops.
  const cost = 2 * (needle.length + Math.max(0, end - range.from));
  if (meter.left < cost) return null;
  meter.left -= cost;
  const fallback = fallbackOf(needle);
  const places: number[] = [];
  let nearest = { at: range.from, length: 0 };
  let matched = 0;
  for (let at = range.from; at < end && places.length < FOUND_MAX; at += 1) {
    while (matched > 0 && haystack[at] !== needle[matched]) matched = fallback[matched - 1] ?? 0;
    if (haystack[at] === needle[matched]) matched += 1;
    if (matched > nearest.length) nearest = { at: at - matched + 1, length: matched };
    if (matched === needle.length) {
      places.push(at - matched + 1);
      matched = fallback[matched - 1] ?? 0;
    }
  }
  return { places, nearest };
}

/** For each beginning of the needle, the length of its longest proper beginning that is also its end. */
function fallbackOf(needle: ArrayLike<number>): Uint32Array {
  const fallback = new Uint32Array(needle.length);
  let matched = 0;
  for (let at = 1; at < needle.length; at += 1) {
    while (matched > 0 && needle[at] !== needle[matched]) matched = fallback[matched - 1] ?? 0;
    if (needle[at] === needle[matched]) matched += 1;
    fallback[at] = matched;
  }
  return fallback;
}
