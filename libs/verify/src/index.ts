/**
 * Integrity of a ledger, offline: what an auditor installs. No validation library, nothing of the host. PROTOCOL §10.
 */
export { verifyLedger } from './verify.ts';
export type { Finding, FindingCode, LedgerSource, VerifyOptions, VerifyReport } from './report.ts';
