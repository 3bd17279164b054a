/**
 * Which action may run in which sandbox mode of a stage: one rule, asked by the check of a blueprint and again by the kernel for every intent.
 * Must never allow in a narrower mode what a wider one refuses. MECHANICS part 2 "sandbox modes".
 */
import type { ActionContract, SandboxMode } from '@openexec/protocol';

/** What an agent stage does by itself; no stage and no toolset names it. */
export const ASK_ACTION = 'model.ask';
/** What opens a child run; only a blueprint that names `delegates` may use it. */
export const DELEGATE_ACTION = 'delegate_run';

/**
 * Whether a stage of that mode may run the action. In `read_only` nothing is written, so only checks may run of what could write: their command sees
 * the workspace mounted read-only. What leaves the workspace needs `repo_write`.
 */
export function modeAllows(mode: SandboxMode, contract: Pick<ActionContract, 'name' | 'effect' | 'writes'>): boolean {
  if (contract.name === ASK_ACTION) return true;
  if (contract.effect === 'write') return mode !== 'read_only' || contract.writes === 'scratch';
  return contract.effect === 'external' || contract.effect === 'irreversible' ? mode === 'repo_write' : true;
}

/** The narrowest mode that allows the action; every action is allowed in the widest. */
export function modeFor(contract: Pick<ActionContract, 'name' | 'effect' | 'writes'>): SandboxMode {
  return (['read_only', 'workspace_write'] as const).find((mode) => modeAllows(mode, contract)) ?? 'repo_write';
}
