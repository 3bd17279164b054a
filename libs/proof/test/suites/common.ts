/**
 * Small helpers of the suites: octets from hex and text, generators, the code of a throw.
 */

import fc from 'fast-check';

/** Octets of hex. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Hex of octets. */
export function toText(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

/** UTF-8 of a text. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** 32 arbitrary octets. */
export const octets32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** A copy with one bit changed. */
export function damaged(bytes: Uint8Array, at = 0): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** The code a throwing call carries, or 'nothing thrown'. */
export function thrownCode(call: () => unknown): unknown {
  try {
    call();
  } catch (thrown) {
    return (thrown as { code?: unknown }).code;
  }
  return 'nothing thrown';
}
