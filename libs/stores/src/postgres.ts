/**
 * Ledgers in Postgres: a door of its own, because its driver and query builder cost every start of a command that needs neither. TOOLCHAIN §5.8.
 */
export { acquirePostgresLease } from './postgres/lease.ts';
export { openPostgresLedger, type PostgresLedgerOptions } from './postgres/ledger.ts';
