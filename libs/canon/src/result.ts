/**
 * Result: an expected outcome as a value. Must never be used to carry a broken invariant (those throw). STYLE §10 habit 19.
 */

/** Raw octets. Treated as immutable by everyone who receives them. */
export type Bytes = Uint8Array;

/** Either a value or a typed refusal; `error` carries a `code` of a closed union. */
export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

/** The successful outcome that holds `value`. */
export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** The refused outcome that holds `error`. */
export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}

/** A hash over bytes that come in pieces; `digest` ends it. */
export interface HashStream {
  update(bytes: Bytes): void;
  digest(): Bytes;
}
