/**
 * Typed refusals of this package as values. Must never carry file contents or secrets: messages name what, where and what to do.
 * Codes are those of the ports `Workspace` and `Sandbox` (ARCHITECTURE §4).
 */
import { err, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';

/** Longest text taken over from git or the system into a message, in characters. */
const QUOTE_MAX = 600;

/** A refusal of the port `Workspace`; `path` is repository-relative and escaped where it is shown. */
export function refuse(
  code: WorkspaceFailure['code'],
  message: string,
  path?: string,
): { readonly ok: false; readonly error: WorkspaceFailure } {
  return err(path === undefined ? { code, message } : { code, message, path });
}

/**
 * Text from outside made safe to show: control, bidirectional and zero-width characters become escapes, the length is bounded
 * (SECURITY §4 "display bidi and zero-width characters escaped").
 */
export function shown(text: string): string {
  const cut = text.length > QUOTE_MAX ? `${text.slice(0, QUOTE_MAX)}…` : text;
  return cut.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The system's error code (`ENOENT`) of something caught, or a short text; realm-safe, so never by prototype. */
export function systemCode(caught: unknown): string {
  if (typeof caught === 'object' && caught !== null && 'code' in caught && typeof caught.code === 'string') return caught.code;
  return caught instanceof Object && 'message' in caught ? shown(String(caught.message)) : shown(String(caught));
}

/** Runs `work`; what it throws becomes a `workspace.io` refusal that names `doing`. A Fault passes its own refusal through. */
export async function guarded<T>(doing: string, work: () => Promise<Result<T, WorkspaceFailure>>): Promise<Result<T, WorkspaceFailure>> {
  try {
    return await work();
  } catch (caught) {
    if (isFault(caught)) return err(caught.fault);
    if (isSystemError(caught))
      return refuse(
        'workspace.io',
        `${doing} failed with ${systemCode(caught)}; check the disk and the rights of the run's state folder, then resume the run`,
      );
    throw caught;
  }
}

/** Carries a refusal out of deep synchronous walks; only `guarded` catches it. */
export interface Fault {
  readonly fault: WorkspaceFailure;
}
/** A throwable that holds a refusal, for walks where a value would have to be handed up through many frames. */
export function fault(code: WorkspaceFailure['code'], message: string, path?: string): Error & Fault {
  return Object.assign(new Error(message), { fault: refuse(code, message, path).error });
}
function isFault(caught: unknown): caught is Fault {
  return typeof caught === 'object' && caught !== null && 'fault' in caught;
}
/** True for what the operating system refused (it has errno), false for broken invariants of our own. */
function isSystemError(caught: unknown): boolean {
  return typeof caught === 'object' && caught !== null && 'errno' in caught && 'syscall' in caught;
}
