/**
 * Randomness drawn in larger portions: a salt per entry, asked for one by one, would cost more than hashing the entry. Must never hand out a
 * byte twice.
 */
import type { Bytes, Randomness } from '@openexec/canon';

const PORTION_BYTES = 8192;

/** The same randomness, in portions; each byte goes to one caller. */
export function inPortions(source: Randomness): Randomness {
  let portion: Bytes = new Uint8Array(0);
  let used = 0;
  return {
    bytes: (count) => {
      if (count > PORTION_BYTES) return source.bytes(count);
      if (used + count > portion.length) {
        portion = source.bytes(PORTION_BYTES);
        used = 0;
      }
      used += count;
      return portion.subarray(used - count, used);
    },
  };
}
