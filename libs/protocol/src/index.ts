/**
 * Every event and object of the protocol as a zod schema and a type; the sources from which `schemas/` is generated (PROTOCOL §4).
 */
export { cliDocuments } from './documents.ts';
export type { CliDocument, DocumentName } from './documents.ts';
export { entry } from './entry.ts';
export { changePointer, gatePolicy } from './gate.ts';
export type { ChangePointer, ChangeRelation, GateCode, GatePolicy, GateRules } from './gate.ts';
export { AGENT_FOLDERS, AGENT_INSTRUCTIONS, AGENTS_OBEY, EDITORS_OBEY, GIT_OBEYS, HOOK_MANAGERS, SHELLS_OBEY } from './obeyed.ts';
export * as words from './words.ts';
export { EFFECTS } from './words.ts';
export type { Amount, BlobRef, Effect, InlineOrBlob, Reference, Signature } from './words.ts';
export { routingPlan, type RoutingPlan } from './routing.ts';
export { ROLES, actionPattern, hostPattern, pathPattern, role, signedWrit, writ } from './law.ts';
export type { KeyRetired, KeyTrusted, LedgerFounded, PolicyAdopted, Role, SignedWrit, Writ, WritRestored, WritRevoked } from './law.ts';
export {
  POLICY_OPERATORS,
  RISKS,
  approvalMode,
  blueprint,
  blueprintScope,
  catalogue,
  checkedBlueprint,
  policyBundle,
  policySet,
  prices,
  sandboxMode,
  sandboxProfile,
  signedPolicy,
  toolsets,
  treeListing,
} from './work.ts';
export type {
  ActionContract,
  ApprovalTerms,
  ArgumentSchema,
  Assurance,
  Blueprint,
  Catalogue,
  CheckedBlueprint,
  CheckedStage,
  ConfiguredCommand,
  Delta,
  DeltaStep,
  FileChange,
  FileValue,
  ModelChoice,
  PolicyBundle,
  PolicyCondition,
  PolicyLayerName,
  PolicyRule,
  PolicySet,
  Prices,
  Reason,
  Risk,
  SandboxMode,
  SandboxProfile,
  SignedPolicy,
  StageCondition,
  TimeoutClass,
  Toolsets,
  TreeEntry,
} from './work.ts';
export { delta, fileChange, fileValue, treeEntry } from './work.ts';
export { skill } from './skill.ts';
export type { BoundSkill, Skill } from './skill.ts';
export { goldenRun, type GoldenRun } from './documents/replay.ts';
export { auditReport, type AuditReport, type ReportedRun } from './auditReport.ts';
export {
  type NetworkFigures,
  type RunFigures,
  runMetrics,
  type RunMetrics,
  runSafety,
  type RunSafety,
  timelineIndex,
  type TimelineIndex,
} from './runFigures.ts';
export { runAccount } from './account.ts';
export type {
  ActionCount,
  ApprovalLine,
  ChangedFile,
  CheckLine,
  RefusalLine,
  RunAccount,
  StageLine,
  UndeclaredLine,
} from './account.ts';
export { vote } from './run.ts';
export type {
  ApprovalRequested,
  ApprovalResolved,
  ApprovalVoted,
  ArtifactRef,
  Claims,
  CommitRecorded,
  BundleOrigin,
  DecisionTrace,
  ExecutionFailed,
  ExecutionObserved,
  ExecutionStarted,
  FactNoted,
  IntentDeclared,
  ModelAnswered,
  ModelAsked,
  ModelFailed,
  PartRef,
  PolicyDecided,
  ProposalRejected,
  ProposalStaged,
  RuleTrace,
  RunClosed,
  RunOpened,
  RunResumed,
  RunRewound,
  StageEntered,
  StageLeft,
  Vote,
} from './run.ts';
export { KINDS, REGISTRY, familyOf, isKind, kindRow } from './registry.ts';
export type { Body, FactKind, Family, JudgementKind, Kind, KindRow } from './registry.ts';
export { nearest } from './nearest.ts';
export {
  canaryKit,
  selfTestOpened,
  selfTestRecorded,
  selfTestReport,
  type CanaryKit,
  type SelfTestOpened,
  type SelfTestRecorded,
  type SelfTestReport,
} from './selfTest.ts';
