/**
 * Names, results and time: one spelling each; calendar arithmetic against the platform's own.
 */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  err,
  type Instant,
  instantFromMs,
  instantToMs,
  maxInstant,
  ok,
  parseEventId,
  parseInstant,
  parseKeyId,
  parseTrajectoryId,
} from '../../src/index.ts';
import { thrownCode } from './bytes.ts';

const FIRST_MS = Date.parse('0000-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

function spellings(): void {
  describe('names', () => {
    test.each(['law', 'ledger', 'memory', `run/${'0af'.repeat(10)}00`, 'writ/a.b_c-d', 'selftest/1', 'peer/x', `run/${'a'.repeat(124)}`])(
      '%s is a trajectory',
      (text) => {
        expect(parseTrajectoryId(text)).toEqual({ ok: true, value: text });
      },
    );

    test.each([
      '',
      'run',
      'laws',
      'run/',
      '/a',
      'run/-a',
      'run/.a',
      'run/..',
      'run/A',
      'Run/a',
      'run/a/b',
      'run/a b',
      'run/a\n',
      'law\n',
      'run/é',
      `run/${'a'.repeat(125)}`,
    ])('%j is no trajectory', (text) => {
      expect(parseTrajectoryId(text)).toMatchObject({ ok: false, error: { code: 'trajectory.malformed' } });
    });

    test('key ids have 32 lower-case hex digits', () => {
      const id = '0123456789abcdef'.repeat(2);
      expect(parseKeyId(id)).toEqual(ok(id));
      for (const text of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id}\n`]) {
        expect(parseKeyId(text)).toMatchObject({ ok: false, error: { code: 'keyId.malformed' } });
      }
    });

    test('event ids are short words', () => {
      for (const text of ['0', '0190f5d2-7b3c-7def', 'A_b.c', 'a'.repeat(64)]) expect(parseEventId(text)).toEqual(ok(text));
      for (const text of ['', '-a', 'a b', 'a/b', 'a\n', 'é', 'a'.repeat(65)]) {
        expect(parseEventId(text)).toMatchObject({ ok: false, error: { code: 'eventId.malformed' } });
      }
    });

    test('a result is either a value or an error', () => {
      expect([ok(1), err('no')]).toEqual([
        { ok: true, value: 1 },
        { ok: false, error: 'no' },
      ]);
    });
  });
}

function instants(): void {
  describe('instants', () => {
    test('they agree with the platform calendar, both ways, over all years', () => {
      fc.assert(
        fc.property(fc.integer({ min: FIRST_MS, max: LAST_MS }), (ms) => {
          const instant = instantFromMs(ms);
          expect(instant).toBe(new Date(ms).toISOString());
          expect(instantToMs(instant)).toBe(ms);
          expect(parseInstant(instant)).toEqual({ ok: true, value: instant });
        }),
        { numRuns: 1000 },
      );
    });

    test('every day of two eras agrees with the platform calendar', () => {
      const wrong: number[] = [];
      for (let day = -800 * 366; day < 800 * 366; day++) {
        const ms = day * 86_400_000;
        if (ms >= FIRST_MS && instantFromMs(ms) !== new Date(ms).toISOString()) wrong.push(day);
      }
      expect(wrong).toEqual([]);
    });

    test('text order is time order', () => {
      const moment = fc.integer({ min: FIRST_MS, max: LAST_MS });
      fc.assert(
        fc.property(moment, moment, (a, b) => {
          expect(maxInstant(instantFromMs(a), instantFromMs(b))).toBe(instantFromMs(Math.max(a, b)));
        }),
      );
    });

    test.each([
      '2026-02-29T00:00:00.000Z',
      '1900-02-29T00:00:00.000Z',
      '2026-04-31T00:00:00.000Z',
      '2026-00-10T00:00:00.000Z',
      '2026-13-01T00:00:00.000Z',
      '2026-01-00T00:00:00.000Z',
      '2026-01-01T24:00:00.000Z',
      '2026-01-01T00:60:00.000Z',
      '2016-12-31T23:59:60.000Z',
      '2026-01-01T00:00:00Z',
      '2026-01-01T00:00:00.00Z',
      '2026-01-01T00:00:00.0000Z',
      '2026-01-01T00:00:00.000+00:00',
      '2026-01-01 00:00:00.000Z',
      '2026-01-01t00:00:00.000z',
      '+02026-01-01T00:00:00.000Z',
      '2026-01-01T00:00:00.000Z\n',
      '',
    ])('%j is no instant', (text) => {
      expect(parseInstant(text)).toMatchObject({ ok: false, error: { code: 'instant.malformed' } });
    });

    test('leap days exist where the calendar has them', () => {
      for (const text of ['2024-02-29T00:00:00.000Z', '2000-02-29T23:59:59.999Z', '0000-02-29T00:00:00.000Z'])
        expect(parseInstant(text).ok).toBe(true);
    });

    test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, FIRST_MS - 1, LAST_MS + 1])('%d milliseconds are no instant', (ms) => {
      expect(thrownCode(() => instantFromMs(ms))).toBe('canon.outOfRange');
    });

    test('a text that only claims to be an instant is a caller mistake', () => {
      expect(thrownCode(() => instantToMs('yesterday' as Instant))).toBe('canon.outOfRange');
    });
  });
}

export function describeNames(): void {
  spellings();
  instants();
}
