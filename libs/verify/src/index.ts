/**
 * Integrity of a ledger, offline: what an auditor installs. No validation library, nothing of the host. PROTOCOL §10.
 */
export { LedgerVerification, verifyLedger } from './verify.ts';
export type { Finding, FindingCode, LedgerSource, VerifyOptions, VerifyReport } from './report.ts';
export { eachBlobRef } from './blobRefs.ts';
export {
  blobPath,
  BUNDLE_VERSION,
  type BundleDescription,
  type BundleFault,
  type BundleScope,
  CHECKPOINT,
  CHECKPOINT_TIME,
  DESCRIPTION,
  EVENTS,
  formatDescription,
  formatEvent,
  LOG_VKEY,
  MANIFEST,
  manifestLine,
  MAX_EVENT_LINE_BYTES,
  mayWithhold,
  parseDescription,
  parseEvent,
  proofPath,
  STATEMENT,
} from './bundle/format.ts';
export { bundleLines, coverageLines, type LineDress, safeText } from './bundle/lines.ts';
export type { BundleFinding, BundleOptions, BundleReport, BundleTime, ReadTime } from './bundle/report.ts';
export { RunEnds } from './bundle/runEnds.ts';
export { type BundlePart, type BundleParts, partsOf, type RandomAccess } from './bundle/source.ts';
export {
  type BundleStatement,
  formatEnvelope,
  formatStatement,
  openStatement,
  type StatedRun,
  statementSigningBytes,
} from './bundle/statement.ts';
export { readTar, TAR_END, tarHeader, tarPadding } from './bundle/tar.ts';
export { verifyBundle } from './bundle/verifyBundle.ts';
export { WORLD_KINDS, type WorldClaim, type WorldProofError, verifyWorldProof } from './worldProof.ts';
