/**
 * What the functions of the SDK share: the surroundings of a call, failures in the words of the command's table, a place as the ledger of the
 * command line. Must never print, end the process or keep anything between calls.
 */
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { err, ok, type Result } from '@openexec/canon';
import type { Project, Surroundings } from '../context.ts';
import { type Refusal, REFUSALS, refuse } from '../exit.ts';
import { createSurroundings, findProject } from '../surroundings.ts';
import type { AbortLike, LedgerPlace, OpenExecError, OpenExecFailure, Outcome } from './public.ts';

/** The surroundings of a call. `entry` is the address of the entry module: only that one is sure to lie beside the assets. */
export function surroundingsOf(entry: string, cwd: string, env: LedgerPlace['env']): Surroundings {
  return createSurroundings({ env: env ?? process.env, cwd, assets: fileURLToPath(new URL('assets/', entry)) });
}

/** A refusal of the command as a failure of the SDK. */
export function failureOf({ code, message }: Refusal): OpenExecFailure {
  const { exit, where, remedy } = REFUSALS[code];
  return { code, exit, where, message, remedy };
}

/** A result of the command's own code as an outcome. */
export function outcomeOf<T, U>(result: Result<T, Refusal>, map: (value: T) => U): Outcome<U> {
  return result.ok ? ok(map(result.value)) : err(failureOf(result.error));
}

/** Runs `work`; a throw in it is a defect of ours and comes out as `internal.fault`, damage of a ledger under its own name. */
export async function settled<T>(work: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await work();
  } catch (error) {
    return err(failureOf(faultOf(error)));
  }
}

/** What a throw is in the words of the table. */
export function faultOf(error: unknown): Refusal {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  const said = typeof message === 'string' ? message : String(error);
  if (code === 'store.corrupt') return { code: 'ledger.corrupt', message: said };
  if (code === 'store.unreachable') return { code: 'ledger.unreachable', message: said };
  if (code === 'store.closed') return { code: 'ledger.failed', message: said };
  return { code: 'internal.fault', message: said };
}

/** A failure as something to throw. */
export function thrown(failure: OpenExecFailure): OpenExecError {
  return Object.assign(new Error(`${failure.code}: ${failure.message}`), { name: 'OpenExecError', failure });
}

/** The checkout and the ledger that a place names, as the command line names them. */
export function placeOf(
  place: LedgerPlace,
  places: Surroundings['places'],
): { readonly ledger: string | undefined; project(): Promise<Result<Project, Refusal>> } {
  if (!('repository' in place)) {
    const ledger = 'path' in place ? `sqlite:${place.path}` : place.ledger;
    return { ledger, project: async () => refuse('workspace.notARepository', 'the ledger was named itself, not by a checkout') };
  }
  return { ledger: undefined, project: async () => findProject(place.repository, places) };
}

/** Calls back once when the signal is aborted, also where it was before; returns how to stop that. */
export function onAbort(signal: AbortLike | undefined, stop: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    stop();
    return () => undefined;
  }
  signal.addEventListener('abort', stop);
  return () => signal.removeEventListener('abort', stop);
}
