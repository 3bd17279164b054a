/**
 * Seeded simulation of whole runs with the real kernel and the real runtime, on a ledger in memory, under faults. Tests only. ARCHITECTURE §3 "aside".
 */
export { simulate, type SimReport } from './simulate.ts';
