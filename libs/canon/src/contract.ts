/**
 * `@openexec/canon/contract`: what every clock and every source of chance must do, as tests. A test runner is handed in, so that none is imported here.
 */

import { toHex } from './bytes.ts';
import { instantFromMs, instantToMs, parseInstant } from './instant.ts';
import type { Clock, Randomness } from './ports.ts';

/** The matchers that the suites use. */
export interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
}
/** A test runner, such as Jest's globals. */
export interface TestGlobals {
  describe(name: string, define: () => void): void;
  test(name: string, run: () => Promise<void> | void): void;
  expect(actual: unknown): Expectation;
}

const READINGS = 2000;
const COUNTS = [0, 1, 16, 32, 4096, 65_536];
const DRAWS = 500;
const NONCE_BYTES = 16;
/** 256 are expected of each value in 64 KiB, 16 is one standard deviation; a constant or a counter in disguise misses by far more. */
const LEAST = 128;
const MOST = 400;

/** Declares the suite for one clock. What the port does not promise, order, is nobody's to rely on. */
export function clockContract({ describe, test, expect }: TestGlobals, name: string, open: () => Clock): void {
  describe(`${name} keeps the contract of Clock`, () => {
    test('says moments of the one form, which are the same after they were read back', () => {
      const clock = open();
      for (let reading = 0; reading < READINGS; reading++) {
        const now = clock.now();
        expect(parseInstant(now)).toEqual({ ok: true, value: now });
        expect(instantFromMs(instantToMs(now))).toBe(now);
      }
    });
    test('answers at once: no promise', () => expect(typeof open().now()).toBe('string'));
    test('does not stand at the beginning of time: keys and writs have windows', () =>
      expect(open().now() > '2020-01-01T00:00:00.000Z').toBe(true));
  });
}

/**
 * Declares the suite for one source of chance. That nobody can foretell its bytes no test can show; an adapter over the host's own source has that from
 * there.
 */
export function randomnessContract({ describe, test, expect }: TestGlobals, name: string, open: () => Randomness): void {
  describe(`${name} keeps the contract of Randomness`, () => {
    for (const count of COUNTS) test(`gives exactly ${count} bytes`, () => expect(open().bytes(count).length).toBe(count));
    test('draws anew each time: no nonce comes twice', () => {
      const randomness = open();
      const drawn = new Set(Array.from({ length: DRAWS }, () => toHex(randomness.bytes(NONCE_BYTES))));
      expect(drawn.size).toBe(DRAWS);
    });
    test('uses every value of a byte, none of them a few times too often', () => {
      const counts = Array.from({ length: 256 }, () => 0);
      for (const byte of open().bytes(65_536)) counts[byte] = (counts[byte] ?? 0) + 1;
      expect(counts.filter((count) => count < LEAST || count > MOST)).toEqual([]);
    });
    test('hands out memory that nobody else holds', () => {
      const randomness = open();
      const first = randomness.bytes(64);
      const kept = toHex(first);
      randomness.bytes(64).fill(0);
      expect(toHex(first)).toBe(kept);
      first.fill(0);
      expect(toHex(randomness.bytes(64)) === '00'.repeat(64)).toBe(false);
    });
  });
}
