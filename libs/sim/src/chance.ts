/**
 * Seeded chance and a seeded clock: the only sources of difference between two simulations. Must never ask the host for either, so that a seed is
 * the whole story of a run. ARCHITECTURE §2 "simulation".
 */
import { type Clock, type Instant, instantFromMs, type Randomness, sha256, utf8Encode } from '@openexec/canon';

/** 2026-05-05T12:00:00Z: inside every window that the simulation writes. */
const START_MS = 1_777_982_400_000;

/** A stream of chance. Forks with different labels are independent of each other and of how much was drawn before. */
export interface Chance extends Randomness {
  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number;
  /** True about once in `times`. */
  once(times: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
  fork(label: string): Chance;
}

/** The stream of a seed. */
export function chanceOf(seed: string): Chance {
  // Mulberry32 over a state hashed from the seed: short, well spread, the same everywhere.
  const view = new DataView(sha256(utf8Encode(seed)).slice().buffer);
  let state = view.getUint32(0);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound: number): number => next() % bound;
  return {
    below,
    once: (times) => below(times) === 0,
    pick: (list) => list[below(list.length)] ?? list[0],
    fork: (label) => chanceOf(`${seed}/${label}`),
    bytes: (count) => Uint8Array.from({ length: count }, () => below(256)),
  };
}

/** A clock that passes by being read or slept on, and now and then goes back, as clocks of machines do. */
export interface SimClock extends Clock {
  /** Sets it forward, or back where `ms` is negative. */
  pass(ms: number): void;
}

/** The clock of a stream. */
export function clockOf(chance: Chance): SimClock {
  let ms = START_MS;
  return {
    now(): Instant {
      ms += chance.below(4);
      return instantFromMs(chance.once(40) ? ms - 1500 : ms);
    },
    pass(passed) {
      ms += passed;
    },
  };
}

/** Lets others go first, a few turns of the queue, drawn. The interleaving of two drivers is made of these. */
export async function yieldTurns(chance: Chance, most: number): Promise<void> {
  for (let turns = chance.below(most + 1); turns > 0; turns--) await Promise.resolve();
}
