/**
 * Drift as a list: every place in which two JSON values differ, never only the first (PROTOCOL §10).
 */
import { canonicalText, type Json } from '@openexec/canon';

/** Longest text of one value in a report. */
const MAX_TEXT = 2000;

/** One place in which two values differ. `path` is a JSON pointer; an absent value is null. */
export interface Difference {
  readonly path: string;
  readonly expected: string | null;
  readonly recorded: string | null;
}

/** The value as bounded canonical text. */
export function textOf(value: Json | undefined): string | null {
  if (value === undefined) return null;
  const text = canonicalText(value);
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}… (${text.length} characters)`;
}

type JsonObject = { readonly [name: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function member(value: Json | undefined, name: string): Json | undefined {
  if (Array.isArray(value)) return (value as readonly Json[])[Number(name)];
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function namesOf(expected: Json, recorded: Json): readonly string[] | null {
  if (Array.isArray(expected) && Array.isArray(recorded))
    return Array.from({ length: Math.max(expected.length, recorded.length) }, (_, at) => `${at}`);
  return isObject(expected) && isObject(recorded) ? [...new Set([...Object.keys(expected), ...Object.keys(recorded)])].sort() : null;
}

/** Places that are listed of one pair of values; a last one counts the others. */
const MAX_PLACES = 200;

/** Every place in which two values differ, bounded: where there are more, the last one says how many. */
export function boundedDrift(expected: Json | undefined, recorded: Json | undefined): readonly Difference[] {
  const all = driftOf(expected, recorded);
  if (all.length <= MAX_PLACES) return all;
  const rest = all.length - MAX_PLACES;
  return [...all.slice(0, MAX_PLACES), { path: '/…', expected: `${rest} more places`, recorded: `${rest} more places` }];
}

/** Every place in which `recorded` differs from `expected`, in the order of their names. */
export function driftOf(expected: Json | undefined, recorded: Json | undefined, path = ''): readonly Difference[] {
  if (expected === recorded) return [];
  const names = expected === undefined || recorded === undefined ? null : namesOf(expected, recorded);
  if (names !== null)
    return names.flatMap((name) =>
      driftOf(member(expected, name), member(recorded, name), `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    );
  return [{ path, expected: textOf(expected), recorded: textOf(recorded) }];
}
