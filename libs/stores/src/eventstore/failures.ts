/**
 * What errors of the client mean: whether an append is certainly not stored, and which refusal says so. An error that leaves it open is never
 * taken for a no. PROTOCOL §3.
 */
import { LedgerFault } from '@openexec/ledger';
import { codeOf, isOutcome as isSystemOutcome, messageOf, type OpenFailure, type Refusal } from '../errors.ts';
import { isOutcome as isPostgresOutcome } from '../postgres/connect.ts';

/** A copy that has been checked is not in the stream whole yet. */
export class CopyUnderWay extends Error {
  readonly code = 'EBUSY';
  constructor() {
    super(
      'a copy of a ledger is on its way into this stream; open it for writing once that has ended, which finishes one that was cut off',
    );
  }
}

/** gRPC's numbers under the client's names, for errors that reach us before the client has translated them. */
const BY_NUMBER: { readonly [code: number]: string } = {
  1: 'cancelled',
  4: 'deadline-exceeded',
  5: 'not-found',
  7: 'access-denied',
  10: 'timeout',
  14: 'unavailable',
  16: 'access-denied',
};

/** The client's name for an error of the server or of the connection; '' for anything else. Errors cross realms, so only fields are looked at. */
export function kindOf(error: unknown): string {
  const { type, code } = (error ?? {}) as { readonly type?: unknown; readonly code?: unknown };
  if (typeof type === 'string' && /^[a-z]+(-[a-z]+)*$/.test(type)) return type;
  if (typeof code === 'number') return BY_NUMBER[code] ?? 'unknown';
  return messageOf(error).startsWith('Failed to discover') ? 'unavailable' : '';
}

/** Whether the error is one of the servers', the network's or the companion's, and so an outcome rather than a bug. */
export function isOutcome(error: unknown): boolean {
  return kindOf(error) !== '' || isSystemOutcome(error) || isPostgresOutcome(error);
}

/** Whether reading again may help: the node went away, or is no longer the leader. */
export function isPassing(error: unknown): boolean {
  return ['unavailable', 'cancelled', 'not-leader'].includes(kindOf(error));
}

/** Whether an append that ended so was certainly never sent to a node that could take it. */
export function wasNotSent(error: unknown): boolean {
  const kind = kindOf(error);
  return (
    kind === 'not-leader' ||
    (kind === 'unavailable' && /No connection established|Name resolution failed|Failed to discover/.test(messageOf(error)))
  );
}

/** What a failed append to the stream means. */
export function appendRefusal(error: unknown): Refusal {
  const kind = kindOf(error);
  if (wasNotSent(error)) return { code: 'store.busy', message: `no node took the append (${kind}); nothing was stored, try again` };
  if (kind === 'access-denied') return { code: 'store.readOnly', message: 'the user may not append to the stream' };
  if (kind === 'stream-deleted')
    return { code: 'store.corrupt', message: 'the stream was deleted for good (tombstone); restore the cluster from a backup' };
  if (kind === 'maximum-append-size-exceeded' || kind === 'invalid-argument')
    return { code: 'store.full', message: `the server takes no append of this size (${kind}); raise its MaxAppendSize` };
  return {
    code: 'store.unknownOutcome',
    message: `the append was sent and not answered (${kind}); it is unknown whether it is stored: open the ledger again and look`,
  };
}

/** What a failure of the companion, or of reading the stream, means for an append of which nothing has been sent. */
export function companionRefusal(error: unknown): Refusal {
  const code = codeOf(error);
  if (code === 'store.corrupt') return { code, message: messageOf(error) };
  if (['SQLITE_FULL', 'ENOSPC', 'EDQUOT', '53100'].includes(code))
    return { code: 'store.full', message: 'the disk of the companion store is full; make room and open the ledger again' };
  if (code.startsWith('SQLITE_READONLY') || ['EROFS', 'EACCES', '25006', '42501'].includes(code))
    return { code: 'store.readOnly', message: `the companion store cannot be written (${code})` };
  if (code === 'EBUSY') return { code: 'store.busy', message: messageOf(error) };
  if (isCompanionDamage(code)) return { code: 'store.corrupt', message: `the companion store is damaged (${code}); run verify` };
  const why = code === '' ? kindOf(error) : code;
  return { code: 'store.busy', message: `the append was not made (${why}); nothing was stored, try again` };
}

/** What a failed reading is thrown as, with the place and what was read there; a bug stays what it is. */
export function readFault(error: unknown, { where, what }: { readonly where: string; readonly what: string }): unknown {
  const code = codeOf(error);
  if (code.startsWith('store.') || !isOutcome(error)) return error;
  const kind = kindOf(error);
  if (kind === 'stream-deleted')
    return new LedgerFault('store.corrupt', `${where} was deleted for good (tombstone); restore the cluster from a backup`);
  if (kind === 'access-denied')
    return new LedgerFault('store.unreachable', `${where}: the user or the password was refused, or may not read`);
  if (kind === '' && isCompanionDamage(code))
    return new LedgerFault(
      'store.corrupt',
      `the companion store of ${where} is damaged: ${what} cannot be read (${code}); restore it from a backup`,
    );
  return new LedgerFault(
    'store.unreachable',
    `${where} did not answer for ${what} (${kind === '' ? code : kind}); nothing is lost, try again`,
  );
}

function isCompanionDamage(code: string): boolean {
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_IOERR') || code.startsWith('XX');
}

/** What a failure to open means. */
export function openRefusal(error: unknown, where: string): OpenFailure {
  const kind = kindOf(error);
  if (codeOf(error) === 'store.corrupt') return { code: 'store.corrupt', message: `${where}: ${messageOf(error)}` };
  if (codeOf(error) === 'store.unreachable') return { code: 'store.unreachable', message: messageOf(error) };
  if (kind === 'access-denied')
    return { code: 'store.refused', message: `${where}: the user or the password was refused, or may not read` };
  if (kind === 'stream-deleted')
    return { code: 'store.corrupt', message: `${where} was deleted for good (tombstone); restore the cluster from a backup` };
  if (kind !== '') return { code: 'store.unreachable', message: `${where} cannot be reached (${kind})` };
  const refusal = companionRefusal(error);
  if (refusal.code === 'store.full' || refusal.code === 'store.readOnly' || refusal.code === 'store.corrupt')
    return { code: refusal.code, message: `${where}: ${refusal.message}` };
  const code = codeOf(error);
  if (code === 'EBUSY') return { code: 'store.busy', message: `${where}: ${messageOf(error)}` };
  return { code: 'store.unreachable', message: `${where}: the companion store cannot be reached (${code})` };
}
