/**
 * Ledgers in EventStoreDB: a door of its own, because its client costs every start of a command that does not need it. TOOLCHAIN §4.
 */
export { openEventStoreLedger, type EventStoreLedgerOptions } from './eventstore/ledger.ts';
