/**
 * Columns of a SQLite row as what they have to be. A damaged page may hold a value of any type in any column, and a declared type binds only who writes:
 * what is read is looked at before it is believed. SECURITY §5.
 */
import { type Bytes, type Digest, isDigest } from '@openexec/canon';
import { LedgerFault } from '@openexec/ledger';

/** A whole number. */
export function integerIn(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw another(what);
}

/** Bytes, in the driver's own memory: a Buffer's `slice` does not copy, which would surprise whoever takes Bytes. */
export function bytesIn(value: unknown, what: string): Bytes {
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw another(what);
}

/** The same where there may be none. */
export function bytesOrNull(value: unknown, what: string): Bytes | null {
  return value === null ? null : bytesIn(value, what);
}

/** A text. */
export function textIn(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw another(what);
}

/** The same where there may be none. */
export function textOrNull(value: unknown, what: string): string | null {
  return value === null ? null : textIn(value, what);
}

/** The name of a blob. */
export function digestIn(value: unknown, what: string): Digest {
  if (isDigest(value)) return value;
  throw another(what);
}

function another(what: string): LedgerFault {
  return new LedgerFault('store.corrupt', `${what} is not what it has to be; run verify`);
}
