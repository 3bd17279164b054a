/**
 * The policy that a run opened here and now would be judged by: the run's own layers and what the law has adopted (PROTOCOL §§6, 7).
 */
import type { Json } from '@openexec/canon';
import { ok, type Result } from '@openexec/canon';
import { evaluateSet, type LayeredPolicy, type PolicyOutcome } from '@openexec/policy';
import type { PolicyBundle, PolicyLayerName, PolicySet } from '@openexec/protocol';
import type { CommandContext, OpenLedger } from '../context.ts';
import type { Refusal } from '../exit.ts';
import { lawOf } from '../law.ts';
import { configFor, policySetOf, underLaw } from '../run/plan.ts';

/** One layer, outermost last adopted. */
export interface LayerInForce {
  readonly layer: PolicyLayerName;
  readonly source: string;
  readonly bundle: PolicyBundle;
  /** Whose keys signed it into the law; nobody's for a layer of the run's own. */
  readonly signers: readonly string[];
}
/** All of it. */
export interface PolicyInForce {
  readonly own: PolicySet;
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
  const carried = policySetOf(context, project.value, { base: config.value.policy, files });
  if (!carried.ok) return carried;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const own = underLaw(carried.value, law.value.adopted);
  if (!own.ok) return own;
  const signersOf = new Map<string, readonly string[]>(law.value.adopted.map(({ seq, signers }) => [`law/${seq}`, signers]));
  const layers = own.value.layers.map((each) => ({ ...each, signers: signersOf.get(each.source) ?? [] }));
  return ok({ own: own.value, layers });
}

/** What the policy says about these fields: the very evaluation of the kernel (PROTOCOL §6 step 9). */
export function evaluateInForce(policy: PolicyInForce, fields: Json): PolicyOutcome {
  return evaluateSet(layeredInForce(policy), fields);
}

/** The set with those who signed its layers. */
export function layeredInForce({ layers, own }: PolicyInForce): LayeredPolicy {
  return { ...own, layers } as LayeredPolicy; // Signers are ids of keys: they come from the law.
}
