/**
 * kv_set and kv_get: tell what the kernel resolved. The resource lives in the world, not here: the commit of the execution makes the change, and what
 * is found was found by the fold. Must never keep anything of its own (PROTOCOL §8).
 */
import { canonicalBytes, type Json, ok, type Result } from '@openexec/canon';
import type { ExecutionOrder } from '@openexec/catalogue';
import type { ActionFailure } from './errors.ts';
import { argumentsOf, jsonArtifact, numberArgument, type Outcome, shownPath, textArgument, textOutcome } from './execution.ts';

function answer(summary: string, value: Json): Outcome {
  return textOutcome(summary, canonicalBytes(value), { outputMediaType: 'application/json' });
}

const SAID: { readonly [op: string]: string } = { create: 'created', replace: 'replaced', retract: 'took away' };

/** Says which version of the key the commit of this execution makes. */
export async function kvSet(order: ExecutionOrder): Promise<Result<Outcome, ActionFailure>> {
  const key = textArgument(order, 'key') ?? '';
  const version = numberArgument(order, 'version', 0);
  const said = SAID[textArgument(order, 'op') ?? ''] ?? 'changed';
  return ok(answer(`${said} ${shownPath(key)}, version ${version}`, { key, version }));
}

/** Says what stands under the key, also as the artifact `kv_value`. */
export async function kvGet(order: ExecutionOrder): Promise<Result<Outcome, ActionFailure>> {
  const key = textArgument(order, 'key') ?? '';
  const version = numberArgument(order, 'version', 0);
  const { found, value } = argumentsOf(order);
  const told: Json = { key, found: found === true, version, value: value ?? null };
  const summary = found === true ? `${shownPath(key)} is at version ${version}` : `there is nothing under ${shownPath(key)}`;
  return ok({ ...answer(summary, told), artifacts: [jsonArtifact('kv_value', told)] });
}
