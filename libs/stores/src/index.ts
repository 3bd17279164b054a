/**
 * Ledgers that outlive the process: SQLite, addresses of those in Postgres, and the lease by which one process drives a run. PROTOCOL §3, §4.4.
 */
export { type BackedUp, backUpSqliteLedger } from './backup.ts';
export type { OpenFailure } from './errors.ts';
export { acquireLease, type Lease, type LeaseFailure } from './lease.ts';
export { type EventStoreAddress, parseEventStoreAddress } from './eventstore/address.ts';
export { type Address, parseAddress } from './postgres/address.ts';
export { inflated, packed, unpacked } from './packed.ts';
export { FORMAT_VERSION } from './schema.ts';
export { openSqliteLedger, type SqliteLedgerOptions } from './sqlite.ts';
