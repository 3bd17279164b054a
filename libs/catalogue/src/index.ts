/**
 * The catalogue: what actions exist, what they take and touch, how they are shown, the patch format, the sandbox profile, and the ports of the hands.
 * Declarations and pure checks only. ARCHITECTURE §3 floor 3, PROTOCOL §§6 and 9.
 */

export { accountOf, differing, type History, REMEMBERED, type RememberedEvent } from './account.ts';
export { type Call, readAnswer, type ReadAnswer } from './answer.ts';
export { ACTION_LIMITS, builtinActions, builtinToolsets, RESOLVED_COMMIT, TIMEOUT_MS } from './actions.ts';
export { applyChange, type Change, type PatchTouch, readChange, touchesOf } from './change.ts';
export { type ArgumentProblem, argumentProblem, checkActionArguments, checkArguments } from './arguments.ts';
export { RESOLVED_FORMAT } from './checks.ts';
export { AUTO_RUN_PATTERNS, isAutoRun } from './autorun.ts';
export type {
  ArgumentError,
  ArgumentErrorCode,
  PatchConflict,
  PatchConflictCode,
  PatchProblem,
  PatchProblemCode,
  PathError,
  PathErrorCode,
} from './errors.ts';
export { ACTION_PAGES, type ActionPage, EXAMPLE_FILES } from './pages.ts';
export {
  type FileMode,
  type Hunk,
  type ParsedPatch,
  type PatchFile,
  type PatchLine,
  parsePatch,
} from './patch.ts';
export { applyPatch, type PatchEdit, type Shift } from './patchApply.ts';
export { PATCH_LIMITS, REDACTION_MARKER } from './patchReader.ts';
export { checkPath } from './paths.ts';
export { DELEGATE_ACTION } from './delegate.ts';
export { keyOf, kvDelta, kvInput, type KvNote, kvProblem, RESOLVED_KV_GET, RESOLVED_KV_SET } from './kv.ts';
export { RESOLVED_ACCOUNT, RESOLVED_DIFF } from './reports.ts';
export type {
  ActionHost,
  ApprovalQuestion,
  Approver,
  BaseTree,
  CommandOutcome,
  Execution,
  ExecutionFailure,
  ExecutionOrder,
  FileDiff,
  FileEdit,
  LandOrder,
  ModelAdapter,
  ModelAnswer,
  ModelFailure,
  ModelMessage,
  ModelRequest,
  NetworkObservation,
  NeutralAnswer,
  Sandbox,
  SandboxFailure,
  SandboxOrder,
  SandboxReport,
  SignedWrit,
  StopSignal,
  StreamCapture,
  ToolDeclaration,
  TreeChanges,
  Workspace,
  WorkspaceFailure,
} from './ports.ts';
export { compileProfile, DEFAULT_LIMITS, isMasked, narrowProfile, type ProfileOptions, profileUnder, PROTECTED_PATHS } from './profile.ts';
export { isProtected, PROTECTED_NAMES } from './protectedNames.ts';
export { splitClaims, toolDeclaration } from './tools.ts';
export { pathsOf, patchTouches, type TouchedPaths } from './touches.ts';
