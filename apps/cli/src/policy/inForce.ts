/**
 * The policy that a run opened here and now would be judged by: the run's own layers and what the law has adopted (PROTOCOL §§6, 7).
 */
import type { Json } from '@openexec/canon';
import { ok, type Result } from '@openexec/canon';
import { evaluateSet, type PolicyOutcome, strictest } from '@openexec/policy';
import type { PolicyBundle, PolicySet } from '@openexec/protocol';
import type { CommandContext, OpenLedger } from '../context.ts';
import type { Refusal } from '../exit.ts';
import { lawOf } from '../law.ts';
import { configFor, policySetOf } from '../run/plan.ts';

/** One layer, outermost last adopted. */
export interface LayerInForce {
  readonly layer: string;
  readonly source: string;
  readonly bundle: PolicyBundle;
}
/** All of it. */
export interface PolicyInForce {
  readonly own: PolicySet;
  /** Null where the law has adopted nothing. */
  readonly adopted: PolicySet | null;
  readonly layers: readonly LayerInForce[];
}

/** What is in force for a new run of this checkout, with `--policy` files beside it. */
export async function policyInForce(
  context: CommandContext,
  ledger: OpenLedger,
  files: readonly string[],
): Promise<Result<PolicyInForce, Refusal>> {
  const project = await context.project();
  if (!project.ok) return project;
  const config = configFor(context, project.value, {});
  if (!config.ok) return config;
  const own = policySetOf(context, project.value, { base: config.value.policy, files });
  if (!own.ok) return own;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const layers = law.value.adopted.map(({ layer, bundle, seq }) => ({ layer, bundle, source: `law/${seq}` }));
  const adopted = layers.length === 0 ? null : { layers, riskThreshold: own.value.riskThreshold };
  return ok({ own: own.value, adopted, layers: [...layers, ...own.value.layers] });
}

/** What the policy says about these fields: the very evaluation of the kernel (PROTOCOL §6 step 9). */
export function evaluateInForce({ own, adopted }: PolicyInForce, fields: Json): PolicyOutcome {
  const said = evaluateSet(own, fields);
  return adopted === null ? said : strictest(said, evaluateSet(adopted, fields));
}
