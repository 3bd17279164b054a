/**
 * Points in time as RFC 3339 UTC text with milliseconds, by civil-calendar arithmetic. Must never ask a clock, a time zone or a locale.
 * Text order equals time order. PROTOCOL §2, `at`.
 */

import { CanonError, type TextError } from './errors.ts';
import { err, ok, type Result } from './result.ts';

declare const instantBrand: unique symbol;

/** `YYYY-MM-DDTHH:MM:SS.mmmZ`, years 0000 to 9999, no leap second. */
export type Instant = string & { readonly [instantBrand]: 'Instant' };

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})\.(\d{3})Z$/;
const DAY_MS = 86_400_000;
const DAYS_PER_ERA = 146_097; // 400 Gregorian years
const DAYS_TO_1970 = 719_468; // from 0000-03-01, where the shifted year of the arithmetic starts
const FIRST_MS = -62_167_219_200_000; // 0000-01-01T00:00:00.000Z
const LAST_MS = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Reads an instant; refuses other precisions, offsets, days that do not exist and second 60. */
export function parseInstant(text: string): Result<Instant, TextError> {
  const match = INSTANT.exec(text);
  if (match === null || !fieldsExist(match)) {
    return err({ code: 'instant.malformed', message: 'expected YYYY-MM-DDTHH:MM:SS.mmmZ, a moment that exists in UTC' });
  }
  return ok(text as Instant); // The grammar and the calendar were just checked.
}

/** The instant `ms` milliseconds after 1970-01-01T00:00:00.000Z. Throws `canon.outOfRange` outside years 0000 to 9999 or for a fraction. */
export function instantFromMs(ms: number): Instant {
  if (!Number.isSafeInteger(ms) || ms < FIRST_MS || ms > LAST_MS) {
    throw new CanonError('canon.outOfRange', `${ms} is not a whole millisecond of the years 0000 to 9999`);
  }
  const days = Math.floor(ms / DAY_MS);
  const { year, month, day } = civilOfDays(days);
  const rest = ms - days * DAY_MS;
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
  const hours = Math.floor(rest / 3_600_000);
  const minutes = Math.floor(rest / 60_000) % 60;
  const seconds = Math.floor(rest / 1000) % 60;
  // Built from checked fields, hence an Instant.
  return `${date}T${pad(hours, 2)}:${pad(minutes, 2)}:${pad(seconds, 2)}.${pad(rest % 1000, 3)}Z` as Instant;
}

/** Milliseconds since 1970-01-01T00:00:00.000Z. */
export function instantToMs(instant: Instant): number {
  const match = INSTANT.exec(instant);
  if (match === null) throw new CanonError('canon.outOfRange', 'a branded instant is not an instant');
  const [, year, month, day, hours, minutes, seconds, ms] = match.map(Number);
  const clock = (hours ?? 0) * 3_600_000 + (minutes ?? 0) * 60_000 + (seconds ?? 0) * 1000 + (ms ?? 0);
  return daysOfCivil(year ?? 0, month ?? 0, day ?? 0) * DAY_MS + clock;
}

/** The later of two instants. */
export function maxInstant(a: Instant, b: Instant): Instant {
  return a >= b ? a : b;
}

function fieldsExist(match: readonly string[]): boolean {
  const [, year, month, day, hours, minutes, seconds] = match.map(Number);
  const leap = month === 2 && isLeapYear(year ?? 0) ? 1 : 0;
  const days = (MONTH_DAYS[(month ?? 0) - 1] ?? 0) + leap;
  return (day ?? 0) >= 1 && (day ?? 0) <= days && (hours ?? 99) < 24 && (minutes ?? 99) < 60 && (seconds ?? 99) < 60;
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Days since 1970-01-01; years are shifted to start in March so that the leap day comes last (Howard Hinnant, days_from_civil). */
function daysOfCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - DAYS_TO_1970;
}

/** The inverse of {@link daysOfCivil} (Howard Hinnant, civil_from_days). */
function civilOfDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + DAYS_TO_1970;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1 };
}

function pad(value: number, width: number): string {
  return `${value}`.padStart(width, '0');
}
