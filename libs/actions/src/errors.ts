/**
 * The closed union of this package's failure codes, and how a failure of a port becomes one. A failure is an action that could not be done; a check
 * that says no is an outcome (`failed`), never one of these (ports: ActionHost).
 */
import { err, type Result } from '@openexec/canon';
import type {
  ExecutionFailure,
  PatchConflictCode,
  PatchProblemCode,
  PathErrorCode,
  SandboxFailure,
  WorkspaceFailure,
} from '@openexec/catalogue';

/** Every code that this host answers with: its own, and those of the refusals it passes on. */
export type ActionFailureCode =
  | 'action.unknown'
  | 'arguments.invalid'
  | 'run.stopped'
  | 'file.notFound'
  | 'file.tooLarge'
  | 'file.binary'
  | 'file.range'
  | 'search.badPattern'
  | 'secret.known'
  | 'command.notConfigured'
  | 'command.timeout'
  | 'command.limit'
  | 'landing.mismatch'
  | 'format.notKept'
  | 'report.otherTree'
  | PathErrorCode
  | PatchProblemCode
  | PatchConflictCode
  | SandboxFailure['code']
  | WorkspaceFailure['code'];

/** A failure of the port with its code out of the closed union. */
export interface ActionFailure extends ExecutionFailure {
  readonly code: ActionFailureCode;
}
/** What happens outside the workspace is unknown only where a landing was under way. */
export function fail(
  code: ActionFailureCode,
  message: string,
  more: { readonly effectUnknown?: boolean; readonly output?: Uint8Array | null } = {},
): Result<never, ActionFailure> {
  return err({ code, message, effectUnknown: more.effectUnknown ?? false, output: more.output ?? null });
}

/** A workspace failure in the words of whoever asked for a file. */
export function failWorkspace(failure: WorkspaceFailure, more: { readonly effectUnknown?: boolean } = {}): Result<never, ActionFailure> {
  switch (failure.code) {
    case 'workspace.notAFile':
      return fail('file.notFound', failure.message, more);
    case 'workspace.tooLarge':
      return fail('file.tooLarge', failure.message, more);
    case 'workspace.secret':
      return fail('secret.known', failure.message, more);
    default:
      return fail(failure.code, failure.message, more);
  }
}
