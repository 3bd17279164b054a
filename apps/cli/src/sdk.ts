/**
 * The SDK: `import { startRun, openLedger, verifyLedger } from 'openexec'`. An entry of the bundle beside the command; both go the same way. Loading it
 * does nothing.
 */
import type * as Public from './sdk/public.ts';
import { openLedgerFrom, verifyLedgerFrom } from './sdk/read.ts';
import { startRunFrom } from './sdk/start.ts';

/** Starts one governed run in this process. */
export const startRun: typeof Public.startRun = (options) => startRunFrom(import.meta.url, options);
/** Opens a ledger for reading. */
export const openLedger: typeof Public.openLedger = (place) => openLedgerFrom(import.meta.url, place);
/** Verifies a ledger. */
export const verifyLedger: typeof Public.verifyLedger = (place) => verifyLedgerFrom(import.meta.url, place);
