/**
 * The closed union of refusals to open a store, and the translation of SQLite's codes. A code never changes its meaning. STYLE §11.1.
 */
import type { StoreRefusalCode } from '@openexec/ledger';

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
    | 'store.busy'
    | 'store.full'
    | 'store.corrupt'
    | 'store.unreadable'
    /** The server does not answer. */
    | 'store.unreachable'
    /** The server refuses the user, the password or the way of connecting, or is not believed. */
    | 'store.refused'
    | 'headFile.malformed'
    | 'headFile.unwritable'
    /** The remembered head is longer than the ledger, or of another history (exit 20, PROTOCOL §3). */
    | 'ledger.rolledBack';
  readonly message: string;
}

/** The `code` of an error of node or better-sqlite3; '' for anything else. Errors cross realms, so only the field is looked at. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** Code of the fault that reading damaged bytes throws (`LedgerFault`). */
const CORRUPT = 'store.corrupt';

/** Whether the error is one of SQLite's, the system's or the ledger's own, and so an outcome rather than a bug. */
export function isOutcome(error: unknown): boolean {
  return /^(SQLITE_|E[A-Z0-9]+$)/.test(codeOf(error)) || codeOf(error) === CORRUPT;
}

/** The message of what was thrown. */
export function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { readonly message?: unknown };
  return typeof message === 'string' ? message : String(error);
}

/** What a failed write means for the caller. `begun` says whether a transaction was under way. */
export function writeRefusal(error: unknown, begun: boolean): { readonly code: StoreRefusalCode; readonly message: string } {
  const code = codeOf(error);
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT')
    return { code: 'store.full', message: 'the disk is full; make room and open the ledger again' };
  if (code.startsWith('SQLITE_READONLY') || code === 'EROFS' || code === 'EACCES' || code === 'EPERM')
    return { code: 'store.readOnly', message: `the ledger cannot be written (${code})` };
  if (code === CORRUPT) return { code: CORRUPT, message: `the ledger's file is damaged: ${messageOf(error)}; run verify` };
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return { code: 'store.corrupt', message: `the ledger's file is damaged (${code}); run verify` };
  if (!begun && code.startsWith('SQLITE_BUSY'))
    return { code: 'store.busy', message: 'another process held the write lock too long; nothing was stored, try again' };
  return {
    code: 'store.unknownOutcome',
    message: `writing failed (${code}); it is unknown whether the append is stored: open the ledger again and look`,
  };
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
  if (code === CORRUPT) return { code: CORRUPT, message: `${path} is damaged: ${messageOf(error)}; run verify` };
  if (code === 'SQLITE_NOTADB') return { code: 'store.notALedger', message: `${path} is no SQLite database` };
  if (code.startsWith('SQLITE_CORRUPT')) return { code: 'store.corrupt', message: `${path} is damaged (${code})` };
  if (code.startsWith('SQLITE_BUSY')) return { code: 'store.busy', message: `${path} is locked by another process; try again` };
  if (code === 'SQLITE_FULL' || code === 'ENOSPC') return { code: 'store.full', message: `there is no room for ${path}` };
  if (code.startsWith('SQLITE_READONLY') || code === 'EROFS')
    return { code: 'store.readOnly', message: `${path} cannot be written (${code}); open it for reading, or repair its permissions` };
  return { code: 'store.unreadable', message: `${path} cannot be opened (${code})` };
}
