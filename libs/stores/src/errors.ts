/**
 * The closed union of refusals to open a store, and the translation of SQLite's codes. A code never changes its meaning. STYLE §11.1.
 */
import { LedgerFault, type StoreRefusalCode } from '@openexec/ledger';

/** Why a store was not opened. Nothing was changed. */
export interface OpenFailure {
  readonly code:
    | 'store.missing'
    /** Not an address of a ledger in Postgres or EventStoreDB. */
    | 'store.address'
    | 'store.missingDirectory'
    | 'store.notALedger'
    | 'store.newerFormat'
    | 'store.notDurable'
    | 'store.readOnly'
    /** The system, or the server, does not let this user look. */
    | 'store.denied'
    | 'store.busy'
    | 'store.full'
    | 'store.corrupt'
    | 'store.unreadable'
    /** The server does not answer. */
    | 'store.unreachable'
    /** The server refuses the user, the password or the way of connecting, or is not believed. */
    | 'store.refused'
    | 'headFile.malformed'
    /** The remembered head is longer than the ledger, or of another history (exit 20, PROTOCOL §3). */
    | 'ledger.rolledBack';
  readonly message: string;
}

/** A refusal of the store as a whole. */
export interface Refusal {
  readonly code: StoreRefusalCode;
  readonly message: string;
}

/** What a handle answers once it was closed, and one that was opened for reading where it is to write. */
export const CLOSED = { code: 'store.closed', message: 'this handle was closed' } as const;
export const READ_ONLY = { code: 'store.readOnly', message: 'this ledger was opened for reading only' } as const;

/** What a handle answers after a failure that ended its writing. */
export function stoppedBy({ message }: Refusal): Refusal {
  return { code: 'store.stopped', message: `this handle stopped writing: ${message}` };
}

/** The `code` of an error of node or better-sqlite3; '' for anything else. Errors cross realms, so only the field is looked at. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** Codes of the faults that reading throws (`LedgerFault`): damaged bytes, and what does not answer. */
const CORRUPT = 'store.corrupt';
const UNREACHABLE = 'store.unreachable';

/** Whether the error is one of SQLite's, the system's or the ledger's own, and so an outcome rather than a bug. */
export function isOutcome(error: unknown): boolean {
  const code = codeOf(error);
  return /^(SQLITE_|E[A-Z0-9]+$)/.test(code) || code === CORRUPT || code === UNREACHABLE;
}

/** The message of what was thrown. */
export function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { readonly message?: unknown };
  return typeof message === 'string' ? message : String(error);
}

/** What a failed write to `path` means for the caller. `begun` says whether a transaction was under way. */
export function writeRefusal(error: unknown, path: string, begun: boolean): Refusal {
  const code = codeOf(error);
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT')
    return { code: 'store.full', message: `the disk of ${path} is full; make room and open the ledger again` };
  if (code.startsWith('SQLITE_READONLY') || code === 'EROFS' || code === 'EACCES' || code === 'EPERM')
    return {
      code: 'store.readOnly',
      message: `${path} cannot be written (${code}) and nothing was stored; make the file and its folder writable, then try again`,
    };
  if (code === CORRUPT) return { code: CORRUPT, message: `${path} is damaged: ${messageOf(error)}` };
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return { code: 'store.corrupt', message: `${path} is damaged (${code}); run verify` };
  if (code === UNREACHABLE) return { code: 'store.busy', message: messageOf(error) };
  if (!begun && code.startsWith('SQLITE_BUSY'))
    return { code: 'store.busy', message: 'another process held the write lock too long; nothing was stored, try again' };
  return {
    code: 'store.unknownOutcome',
    message: `writing failed (${code}); it is unknown whether the append is stored: open the ledger again and look`,
  };
}

/** What a failed reading is thrown as, with the place and what was read there; a bug stays what it is. */
export function readFault(error: unknown, { path, what }: { readonly path: string; readonly what: string }): unknown {
  const code = codeOf(error);
  if (code.startsWith('store.') || !isOutcome(error)) return error;
  if (code.startsWith('SQLITE_BUSY') || code === 'SQLITE_NOMEM')
    return new LedgerFault(UNREACHABLE, `${path}: ${what} could not be read (${code}); nothing is lost, try again`);
  return new LedgerFault(CORRUPT, `${path} is damaged: ${what} cannot be read (${code}); run verify, and restore a backup`);
}

/** What a failure to open means. `isWritable` says whether the file and its folder can be written. */
export function openRefusal(error: unknown, path: string, isWritable: boolean): OpenFailure {
  const code = codeOf(error);
  if (code.startsWith('SQLITE_CANTOPEN') && !isWritable) {
    return {
      code: 'store.readOnly',
      message: `${path} or its folder cannot be written, which SQLite's log needs even for reading; copy the ledger to where it can`,
    };
  }
  if (code === CORRUPT) return { code: CORRUPT, message: `${path} is damaged: ${messageOf(error)}` };
  if (code === UNREACHABLE) return { code: 'store.busy', message: messageOf(error) };
  if (code === 'SQLITE_NOTADB') return { code: 'store.notALedger', message: `${path} is no SQLite database` };
  if (code.startsWith('SQLITE_CORRUPT')) return { code: 'store.corrupt', message: `${path} is damaged (${code})` };
  if (code.startsWith('SQLITE_BUSY')) return { code: 'store.busy', message: `${path} is locked by another process; try again` };
  if (code === 'SQLITE_FULL' || code === 'ENOSPC') return { code: 'store.full', message: `there is no room for ${path}` };
  if (code.startsWith('SQLITE_READONLY') || code === 'EROFS')
    return { code: 'store.readOnly', message: `${path} cannot be written (${code}); open it for reading, or repair its permissions` };
  return { code: 'store.unreadable', message: `${path} cannot be opened (${code})` };
}
