/**
 * Step 7 of compile: preconditions on the world, and the pre-image that an approver signs. Knows the base tree and the committed changes, never
 * the disk (PROTOCOL §6).
 */
import { type Digest, digestJson, err, type Json, ok, type Result } from '@openexec/canon';
import { DELEGATE_ACTION, patchTouches } from '@openexec/catalogue';
import type { ActionContract, Reason } from '@openexec/protocol';
import { delegationReady } from './delegation.ts';
import { kvReady } from './resolve.ts';
import type { RunState } from './state.ts';
import { changedFiles, lookUp } from './world.ts';

/** Git id of a path's committed content: from the world where a commit changed it, else from the base tree; null where there is none. */
export function committedOid(state: RunState, path: string): string | null {
  const resource = lookUp(state.world, 'file', path);
  if (resource !== undefined) {
    const value = resource.value;
    if (resource.retracted || typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    const { oid, base } = value as { readonly [key: string]: Json };
    // A file that was put back to the base says so and nothing else (rewind.ts).
    const known = oid ?? base;
    return typeof known === 'string' ? known : null;
  }
  return state.law?.base.get(path)?.oid ?? null;
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function commandReady(state: RunState, contract: ActionContract): Reason | null {
  if (contract.command === null) return null;
  const command = state.law?.catalogue.commands[contract.command];
  if (command === undefined || command === 'none')
    return {
      code: 'command.notConfigured',
      message: `${contract.name} needs the command "${contract.command}", which the configuration does not give; set commands.${contract.command} in .openexec/config.yaml`,
    };
  return null;
}

function patchReady(state: RunState, args: Json): Reason | null {
  const touches = patchTouches(args);
  if (!touches.ok) return { code: touches.error.code, message: touches.error.message };
  for (const touch of touches.value) {
    const exists = committedOid(state, touch.path) !== null;
    if (touch.needs === 'present' && !exists)
      return { code: 'precondition.absent', message: `${touch.path} does not exist; the patch changes it` };
    if (touch.needs === 'absent' && exists)
      return { code: 'precondition.present', message: `${touch.path} exists already; the patch creates it` };
    if (state.law?.base.get(touch.path)?.mode === '160000')
      return { code: 'precondition.submodule', message: `${touch.path} is a submodule` };
  }
  return null;
}

/** Whether the world is as the action needs it; on success the digest of what the action would replace, or null where it replaces nothing. */
export function preconditions(
  state: RunState,
  contract: ActionContract,
  args: Json,
  writePaths: readonly string[],
): Result<Digest | null, Reason> {
  const command = commandReady(state, contract);
  if (command !== null) return err(command);
  if (contract.name === 'apply_patch') {
    const patch = patchReady(state, args);
    if (patch !== null) return err(patch);
    return ok(digestJson([...writePaths].sort().map((path) => [path, committedOid(state, path)])));
  }
  if (contract.name === DELEGATE_ACTION) return delegationReady(state, args);
  if (contract.name === 'commit_changes') {
    if (state.law?.opened.parent !== undefined)
      return err({
        code: 'delegation.lands',
        message: 'a child run lands nothing: its changes reach the run that delegated to it, as a diff',
      });
    const changed = [...changedFiles(state.world)].map(([path, file]): Json => [path, file?.oid ?? null]);
    if (!isObject(args)) return err({ code: 'arguments.invalid', message: 'commit_changes takes an object' });
    if (changed.length === 0) return err({ code: 'change.empty', message: 'nothing was changed, so there is nothing to commit' });
    return ok(digestJson([state.law?.baseTree ?? null, ...changed]));
  }
  return contract.name === 'kv_set' ? kvReady(state, args) : ok(null);
}
