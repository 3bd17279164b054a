/**
 * Audit: judging a recorded ledger again. Deep verification of every run, exact replay of one, drift as a list. Reads, never writes; asks no
 * model and performs no effect (PROTOCOL §10).
 */
export { brokenGolden, expectedOf, type GoldenDifference, type GoldenVerdict, replayGolden } from './golden.ts';
export { type Advice, type AdviceReport, advise, type Also, type NotAdvised } from './advise.ts';
export {
  buildBundle,
  type BuildProblem,
  type BuiltBundle,
  type BundleLedger,
  type BundleOrder,
  type Withholding,
} from './bundle/build.ts';
export { type BundleSink, folderSink, writeTar } from './bundle/sink.ts';
export { bundleSource } from './bundle/source.ts';
export {
  compareOutlines,
  compareRuns,
  type FacetDifference,
  type FileDifference,
  type PlacedDifference,
  type RunComparison,
  type RunFigures,
} from './compare.ts';
export { comparisonPage } from './report/comparison.ts';
export {
  type AnsweredPoint,
  type DecisionPoint,
  decisionsOf,
  type GonePoint,
  LawHistory,
  type RunPoint,
  type TrajectorySource,
  type UndeclaredPoint,
} from './decisions.ts';
export { DeepPass, deepVerify, type DeepOptions } from './deep.ts';
export { driftOf, type Difference } from './drift.ts';
export { BlobReader } from './event.ts';
export { type ChangedPath, landedRuns, type RunFacts } from './gate/facts.ts';
export { GATE_DEFAULTS, gateRules, type GitChange, type HeadFacts, judgeChange, relationOf, type Requirement } from './gate/judge.ts';
export { nextLaw, type LawStep } from './law.ts';
export {
  type Candidate,
  type DecisionChange,
  type Direction,
  type SimulatedDecision,
  type SimulatedRun,
  simulate,
  type Simulation,
} from './simulate.ts';
export { outlineRun, type RunOutline } from './outline.ts';
export { treeOfListing } from './recordedTree.ts';
export { replayRun } from './replay.ts';
export { replayStage, type StageReplay, type StageWanted } from './replayStage.ts';
export type {
  AuditSource,
  CarvingCode,
  CarvingFault,
  DeepReport,
  Divergence,
  DivergenceKind,
  LawFault,
  NotDerivable,
  Progress,
  ReplayReport,
  StageReplayReport,
  StageVisit,
  RunReport,
  RunVerdict,
  Violation,
} from './report.ts';
export { CANARIES, CANARY_KIT, CANARY_SET, SELF_VOTES, canaryGrants, canaryRows, type Canary } from './canaries.ts';
export { SELF_TEST_VALID_MS, canaryOutcomes, failures, keyOfOpening, passedOf, selfTestKey, type SelfTestEvent } from './outcome.ts';
export type { JudgingKernel } from './runAudit.ts';
export { DRIFT_KINDS, type DriftKind } from './report.ts';
export { diverged, type Extent, isLawfullyGone, unlawful } from './standing.ts';
export { figuresOfRun } from './timeline/documents.ts';
export { writeTimeline } from './timeline/folder.ts';
export { proveResource, type RunSource, type WorldAt, type WorldError, type WorldProof, worldAt } from './worldAt.ts';
