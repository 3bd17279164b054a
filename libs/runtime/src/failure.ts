/**
 * The closed union of what stops a runtime call. A refusal by the law is no failure: it is a judgement in the ledger. STYLE §11.1.
 */
import type { Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import type { AppendFailure, BlobFailure, LedgerFault } from '@openexec/ledger';

type StoreCode = AppendFailure['code'] | BlobFailure['code'] | LedgerFault['code'];
/** A store's code, under `ledger.`; a few bear that prefix already. */
export type LedgerCode = StoreCode extends infer C ? (C extends `ledger.${string}` ? C : C extends string ? `ledger.${C}` : never) : never;

/** Codes of the runtime itself. */
export type OwnCode =
  /** No such trajectory. */
  | 'run.unknown'
  /** Another process drives the run. */
  | 'run.busy'
  /** The writ opened its run before. */
  | 'run.exists'
  /** The chain does not count here and now, so nothing is carved from it. */
  | 'writ.notCarved'
  /** A writ of the chain has less left than the run wants. */
  | 'writ.overdrawn'
  /** Nothing can be added to a closed run. */
  | 'run.closed'
  /** A payload or blob that the run is folded from was erased. */
  | 'run.erased'
  /** A recorded event cannot be read. */
  | 'run.unreadable'
  /** The run as it stands has no such stage entry. */
  | 'rewind.unknown'
  /** The rewind would go back across an effect outside the workspace. */
  | 'rewind.external'
  /** The visits of the stage are used up. */
  | 'rewind.visits'
  /** Too many commits to undo in one step. */
  | 'rewind.tooMany'
  /** The run is about to end. */
  | 'rewind.ending'
  /** A child run is open. */
  | 'rewind.delegated'
  /** The run delegates, and nothing here can open a child run. */
  | 'delegation.missing'
  /** The kernel is neither at rest nor asks for anything: a defect. */
  | 'run.stuck'
  /** A self-test of another runtime, policy, profile or machine. */
  | 'selfTest.otherGround'
  /** A canary was let through, or a control did not work. */
  | 'selfTest.failed'
  /** Older than a day. */
  | 'selfTest.expired'
  /** The clock is before the last change of the law. */
  | 'clock.behind'
  /** Trajectory `law` does not fold. */
  | 'law.invalid'
  /** The run asks a model and none was given. */
  | 'model.missing'
  /** A person ended the replay. */
  | 'replay.stopped'
  /** The vote's assurance is not the one that was stated. */
  | 'vote.assurance';

/** Why a call of the runtime ended early. What was appended before stays; a later `driveRun` with `resume` goes on from there. */
export interface RuntimeFailure {
  readonly code: OwnCode | LedgerCode | WorkspaceFailure['code'];
  readonly message: string;
}
/** The failed half of a Result. */
export type Refused = { readonly ok: false; readonly error: RuntimeFailure };

/** A failure as a Result. */
export function refuse(code: RuntimeFailure['code'], message: string): Refused {
  return { ok: false, error: { code, message } };
}

/** A store's refusal in the words of this package. */
export function ledgerRefusal(error: { readonly code: StoreCode; readonly message: string }): Refused {
  // Exactly the rule of LedgerCode.
  return refuse((error.code.startsWith('ledger.') ? error.code : `ledger.${error.code}`) as LedgerCode, error.message);
}

/** Runs a reading of the ledger; a fault that an iterator could only throw becomes a value again. */
export async function reading<T>(read: () => Promise<Result<T, RuntimeFailure>>): Promise<Result<T, RuntimeFailure>> {
  try {
    return await read();
  } catch (error) {
    const fault = error as Partial<LedgerFault>; // Its codes are the ledger's; anything else is a defect and goes on up.
    if (fault.code === 'store.corrupt' || fault.code === 'store.closed' || fault.code === 'store.unreachable')
      return ledgerRefusal({ code: fault.code, message: fault.message ?? '' });
    throw error;
  }
}
