/**
 * The evidence of a router that a run is given: a file, held against its schema and against the model that the run really asks. Must never choose a model:
 * that is the configuration's word.
 */
import { resolve } from 'node:path';
import { type Json, ok, type Result } from '@openexec/canon';
import { loadData } from '@openexec/config';
import { type ModelChoice, type RoutingPlan, routingPlan } from '@openexec/protocol';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from '../run/problems.ts';

/** What the caller hands in: a file, or the evidence itself. */
export type RoutingWish = string | { readonly [member: string]: Json };

/** The evidence for this model, or null where none was given. */
export function planRouting(
  wish: RoutingWish | undefined,
  of: { readonly base: string; readonly root: string; readonly model: ModelChoice | null },
): Result<RoutingPlan | null, Refusal> {
  if (wish === undefined) return ok(null);
  const data = typeof wish === 'string' ? loadData(resolve(of.base, wish)) : ok(wish as Json);
  if (!data.ok) return configRefusal(data.error, of.root);
  const read = routingPlan.safeParse(data.value);
  if (!read.success) {
    const issue = read.error.issues[0];
    return refuse(
      'routing.invalid',
      `at ${safeLine(issue?.path.join('.') ?? '', 200)}: ${safeLine(issue?.message ?? 'not of its schema', 500)}`,
    );
  }
  const { selected, candidates } = read.data;
  if (!candidates.some(({ model }) => model === selected))
    return refuse('routing.invalid', `the selected model ${safeLine(selected)} is none of the candidates`);
  const asked = of.model === null ? 'no model' : `${of.model.provider}:${of.model.model}`;
  return asked === selected
    ? ok(read.data)
    : refuse('routing.mismatch', `the evidence is for ${safeLine(selected)}, but the run asks ${safeLine(asked)}`);
}
