/**
 * The closed unions of this package's refusals. Failures of one ask are the port's `ModelFailure`; these are about opening an adapter (STYLE §11.1).
 */
import type { Bytes } from '@openexec/canon';
import type { ModelFailure } from '@openexec/catalogue';

/** Why an adapter could not be opened. */
export type OpenModelErrorCode =
  | 'model.unknownProvider'
  | 'model.keyMissing'
  | 'model.badBaseUrl'
  | 'model.scriptMissing'
  | 'script.malformed'
  | 'script.duplicate';
/** `exit` is the process exit code of this refusal (MECHANICS part 2 "exit codes not listed"): 2 for configuration, 30 for a provider. */
export interface OpenModelError {
  readonly code: OpenModelErrorCode;
  readonly message: string;
  readonly exit: 2 | 30;
}

/** A failure of one ask with the fields that are mostly absent filled in. */
export function failure(
  code: ModelFailure['code'],
  message: string,
  more: Partial<Omit<ModelFailure, 'code' | 'message'>> & { readonly raw?: Bytes | null } = {},
): ModelFailure {
  return { code, message, retryable: false, retryAfterMs: null, status: null, raw: null, ...more };
}
