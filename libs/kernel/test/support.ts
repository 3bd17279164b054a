/**
 * What every test of the kernel watches, whatever it is about: the list is never empty, judging again gives the same bytes, folding the recorded
 * list gives the state that judging had, and no more is spent or held than was granted.
 */
import { canonicalText, type Json } from '@openexec/canon';
import { judge, type Judgement } from '@openexec/kernel';
import { House, RunDriver, type RunPlan, type Watch } from '@openexec/kernel/fixture';
import type {
  ActionContract,
  ApprovalTerms,
  Body,
  CheckedBlueprint,
  JudgementKind,
  PolicyBundle,
  PolicyCondition,
  PolicySet,
} from '@openexec/protocol';

function bytesOf(list: readonly Judgement[]): string {
  return canonicalText(list.map(({ kind, body, blobs }) => [kind, body as unknown as Json, blobs.map(({ digest }) => digest)]));
}

/** Throws where a list breaks what must hold of every list. */
export const watch: Watch = (before, law, list, after) => {
  if (list.length === 0) throw new Error('judge returned nothing');
  if (bytesOf(judge(before, law)) !== bytesOf(list)) throw new Error('judging twice gave different bytes');
  const grant = after.law?.opened.writs.at(-1)?.body.budget;
  if (grant === undefined || after.overspent !== null || after.status === 'closed') return;
  for (const dimension of ['tokens', 'usdMicros', 'calls'] as const) {
    if (after.settled[dimension] + after.reserved[dimension] > grant[dimension])
      throw new Error(`${dimension}: more is settled and reserved than granted`);
  }
};

/** A run in a house of its own. */
export async function openRun(plan: RunPlan = {}): Promise<RunDriver> {
  return RunDriver.open(await House.found(), plan, watch);
}

/** Bodies of one kind, in order. */
export function bodiesOf<K extends JudgementKind>(run: RunDriver, kind: K): Body<K>[] {
  return run.judged.flatMap((made) => (made.kind === kind ? [made.body as Body<K>] : []));
}

/** The last body of a kind; throws when there is none. */
export function lastOf<K extends JudgementKind>(run: RunDriver, kind: K): Body<K> {
  const body = bodiesOf(run, kind).at(-1);
  if (body === undefined) throw new Error(`no ${kind} was judged; there were ${run.kinds.join(', ')}`);
  return body;
}

/** How a run ended. */
export function endOf(run: RunDriver): { readonly outcome: string | undefined; readonly code: string | undefined } {
  return { outcome: run.state.closed?.outcome, code: run.state.closed?.because.code };
}

export const TERMS: ApprovalTerms = { roles: ['approver'], quorum: 2, ttlMs: 600_000, minAssurance: 'passphrase', openerMayApprove: false };

/** A bundle of one permit for everything and some rules beside it. */
export function bundleOf(
  name: string,
  rules: readonly { readonly when: PolicyCondition; readonly decide: 'deny' | { readonly approve: ApprovalTerms } }[],
): PolicyBundle {
  const examples = { match: [{}], noMatch: [{}] };
  const permit = {
    id: 'permit-all',
    when: { field: 'action.name', op: 'exists' as const, value: true },
    decide: 'permit' as const,
    because: 'everything is permitted here',
    examples,
  };
  return {
    version: 1,
    name,
    rules: [
      permit,
      ...rules.map(({ when, decide }, at) => ({
        id: `rule-${at}`,
        when,
        decide: typeof decide === 'string' ? decide : { approve: { ...decide.approve, roles: [...decide.approve.roles] } },
        because: `rule ${at} says so`,
        examples,
      })),
    ],
  };
}

/** The bundle as the outermost layer of a run. */
export function setOf(bundle: PolicyBundle, riskThreshold: PolicySet['riskThreshold'] = 'critical'): PolicySet {
  return { layers: [{ layer: 'operator', bundle, source: 'test' }], riskThreshold };
}

export const isAction = (name: string): PolicyCondition => ({ field: 'action.name', op: 'eq', value: name });
/** Permits everything. */
export const OPEN = setOf(bundleOf('open', []));
/** Asks two approvers about every patch. */
export const ASKS = setOf(bundleOf('asks', [{ when: isAction('apply_patch'), decide: { approve: TERMS } }]));

/** An action that is not in the catalogue of the house. */
export function actionOf(name: string, more: Partial<ActionContract> = {}): ActionContract {
  return {
    name,
    title: name,
    description: 'for tests',
    effect: 'write',
    risk: 'low',
    idempotence: 'none',
    compensable: true,
    timeout: 'fast',
    arguments: { type: 'object', properties: {}, required: [], additionalProperties: false },
    paths: [],
    writes: 'none',
    command: null,
    outputs: [],
    offered: true,
    ...more,
  };
}

/** A stage graph of one deterministic stage. */
export function oneAction(action: string, more: { readonly [name: string]: Json } = {}): Json {
  return {
    version: 1,
    name: 'one_action',
    defaults: { sandbox: 'repo_write' },
    stages: [{ id: 'only', type: 'deterministic', action, on_success: 'done', on_failure: 'fail', ...more }],
  };
}

/** Every stage in another mode than the one that was checked. */
export const inMode =
  (sandbox: CheckedBlueprint['stages'][number]['sandbox']) =>
  (checked: CheckedBlueprint): CheckedBlueprint => ({ ...checked, stages: checked.stages.map((stage) => ({ ...stage, sandbox })) });
