/**
 * Compile: intent → decision. The eleven steps of PROTOCOL §6, in order; the first failure ends it, and the trace says how far it came. Pure:
 * the same intent on the same state and law gives the same decision, byte for byte.
 */
import { approvalDigest, checkChain, fitsBudget, scopeOf, writId } from '@openexec/authority';
import { type Digest, digestJson, type Instant, type Json, ok, type Result, err } from '@openexec/canon';
import { modeAllows } from '@openexec/blueprint';
import { checkActionArguments, isAutoRun } from '@openexec/catalogue';
import type { LawView } from '@openexec/authority';
import { anyNamed, evaluateSet, joinTerms, type PolicyOutcome, strictest } from '@openexec/policy';
import {
  type ActionContract,
  type Amount,
  type ApprovalTerms,
  type CheckedBlueprint,
  type DecisionTrace,
  type Reason,
  RISKS,
  type RuleTrace,
  type Writ,
} from '@openexec/protocol';
import type { RunState } from './state.ts';
import { policiesInForce } from './policies.ts';
import { preconditions } from './precondition.ts';
import { reachOf } from './resolve.ts';
import { bounded, cut } from './text.ts';
import { changedPaths, worldRoot } from './world.ts';

/** What is asked of the compiler: an intent of a stage, or the wish to ask a model. */
export interface Wish {
  readonly action: string;
  readonly arguments: Json;
  readonly author: 'model' | 'blueprint' | 'gateway' | 'canary';
  readonly malformed: Reason | null;
  readonly claims: Json;
  readonly hosts: readonly string[];
  readonly reservation: Amount;
  /** A consumed, granted request, and what its approvers signed. */
  readonly granted: { readonly request: Digest; readonly digest: Digest } | null;
}
/** What the compiler and policy make of one intent, with everything that `policy.decided` records about it. */
export interface Decision {
  readonly verdict: 'permit' | 'deny' | 'approve';
  readonly by: 'compiler' | 'policy' | 'gate';
  readonly because: Reason;
  readonly rule: { readonly layer: string; readonly rule: string } | null;
  readonly terms: ApprovalTerms | null;
  readonly trace: DecisionTrace;
  readonly contract: ActionContract | null;
  readonly writePaths: readonly string[];
  readonly preImage: Digest | null;
  readonly policySet: Digest;
  /** What an approver signs (PROTOCOL §6). */
  readonly subject: Digest;
  /** What policy was asked about; null where the compiler stopped before it. Some members are worked out when they are read. */
  readonly fields: { readonly [key: string]: Json } | null;
}

/** One call costs one call, whatever it does. */
export const ONE_CALL: Amount = { tokens: 0, usdMicros: 0, calls: 1 };
/** Terms of a gate where no policy layer says who may approve it. */
const GATE_TERMS: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: 86_400_000, minAssurance: 'file', openerMayApprove: false };

interface Draft {
  reached: number;
  effect: ActionContract['effect'] | null;
  risk: ActionContract['risk'] | null;
  readPaths: readonly string[];
  writePaths: readonly string[];
  layers: DecisionTrace['layers'];
  rules: readonly RuleTrace[];
  gates: string[];
  contract: ActionContract | null;
  preImage: Digest | null;
  policySet: Digest;
  writ: Writ | null;
  fields: Decision['fields'];
}
type Stop = Pick<Decision, 'verdict' | 'by' | 'because' | 'rule' | 'terms'>;

const refuse = (code: string, message: string): Stop => ({
  verdict: 'deny',
  by: 'compiler',
  because: bounded({ code, message }),
  rule: null,
  terms: null,
});

/** The digest that a decision names: the run's own set and what the law adopted since. */
export function policyInForce(state: RunState, law: LawView): Digest {
  return digestJson({
    run: state.law?.opened.policySet.digest ?? null,
    adopted: law.adopted.map((each) => ({ layer: each.layer, seq: each.seq })),
  });
}

/** The run's writ as its skills narrow it, if its whole chain counts here and now. */
export function chainInForce(state: RunState, law: LawView, at: Instant): Result<Writ, Reason> {
  const own = state.law;
  if (own === null) return err({ code: 'run.notOpened', message: 'the run has no law' });
  const chain = checkChain({ writs: own.opened.writs, law, at, ledger: law.ledger });
  return chain.ok ? ok(own.writ) : err({ code: chain.error.code, message: chain.error.message });
}

/** Steps 1 to 8: shape, authority, scope, contract, arguments, preconditions, budget. Returns where it stopped, or null. */
function admit(state: RunState, law: LawView, at: Instant, wish: Wish, draft: Draft): Stop | null {
  draft.reached = 1;
  if (wish.malformed !== null) return refuse(wish.malformed.code, wish.malformed.message);
  draft.reached = 2;
  const writ = chainInForce(state, law, at);
  if (!writ.ok) return refuse(writ.error.code, writ.error.message);
  draft.writ = writ.value;
  draft.reached = 3;
  const outside = outOfScope(state, writ.value, wish);
  if (outside !== null) return outside;
  draft.reached = 4;
  const contract = state.law?.actions.get(wish.action);
  if (contract === undefined) return refuse('action.unknown', `the catalogue has no action ${wish.action}`);
  draft.contract = contract;
  draft.effect = contract.effect;
  draft.risk = contract.risk;
  draft.reached = 5;
  const beyond = beyondCeiling(state, writ.value, contract, wish, draft);
  if (beyond !== null) return beyond;
  draft.reached = 6;
  const shaped = checkActionArguments(contract, wish.arguments);
  if (!shaped.ok) return refuse(shaped.error.code, shaped.error.message);
  draft.reached = 7;
  const ready = preconditions(state, contract, wish.arguments, draft.writePaths);
  if (!ready.ok) return refuse(ready.error.code, ready.error.message);
  draft.preImage = ready.value;
  draft.reached = 8;
  const fits = fitsBudget({ grant: writ.value.budget, settled: state.settled, reserved: state.reserved, ask: wish.reservation });
  return fits.ok
    ? null
    : refuse(
        'budget.exhausted',
        `${fits.error.dimension}: the writ grants ${writ.value.budget[fits.error.dimension]}, ${state.settled[fits.error.dimension]} are spent, ${state.reserved[fits.error.dimension]} reserved, ${wish.reservation[fits.error.dimension]} would be needed`,
      );
}

/** Step 3, before any look-up, so that a refusal does not reveal what exists. */
function outOfScope(state: RunState, writ: Writ, wish: Wish): Stop | null {
  const scope = scopeOf(writ, { action: wish.action, effect: 'pure', readPaths: [], writePaths: [], hosts: [] });
  if (!scope.ok) return refuse('writ.scope', `the writ does not grant the action ${wish.action}`);
  if (wish.author !== 'model' || wish.action === 'model.ask') return null;
  const stage = state.stage === null ? undefined : state.law?.stages.get(state.stage.id);
  const toolset = stage?.type === 'agent' ? state.law?.toolsets[stage.toolset] : undefined;
  return toolset?.includes(wish.action) === true
    ? null
    : refuse('toolset.missing', `the action ${wish.action} is not in this stage's toolset`);
}

function beyondCeiling(state: RunState, writ: Writ, contract: ActionContract, wish: Wish, draft: Draft): Stop | null {
  const paths = reachOf(state, writ, contract, wish.arguments);
  if (!paths.ok) return refuse(paths.error.code, paths.error.message);
  draft.readPaths = paths.value.read;
  draft.writePaths = paths.value.write;
  const stage = state.stage === null ? undefined : state.law?.stages.get(state.stage.id);
  if (stage !== undefined && !modeAllows(stage.sandbox, contract))
    return refuse('sandbox.mode', `stage ${stage.id} runs ${stage.sandbox}; ${contract.name} needs more`);
  const kept = stage?.type === 'agent' ? paths.value.write.find((path) => anyNamed([path], stage.protect ?? [])) : undefined;
  if (stage !== undefined && kept !== undefined)
    return refuse('stage.protected', `stage ${stage.id} protects ${kept}: it may be read, not changed; leave it as it is`);
  const scope = scopeOf(writ, {
    action: contract.name,
    effect: contract.effect,
    readPaths: paths.value.read,
    writePaths: paths.value.write,
    hosts: wish.hosts,
  });
  if (scope.ok) return null;
  return refuse(
    `writ.${scope.error.dimension}`,
    `the writ does not grant ${scope.error.dimension} ${scope.error.value} to ${contract.name}`,
  );
}

/** The fields that policy rules may ask for (PROTOCOL §7). */
export function policyFields(
  state: RunState,
  wish: Wish,
  contract: { readonly name: string; readonly effect: string; readonly risk: string; readonly idempotence: string },
  scope: { readonly read: readonly string[]; readonly write: readonly string[]; readonly writ: Writ | null; readonly at: Instant },
): { readonly [key: string]: Json } {
  const law = state.law;
  const stage = state.stage === null ? undefined : law?.stages.get(state.stage.id);
  const grant = scope.writ?.budget ?? { tokens: 0, usdMicros: 0, calls: 0 };
  return {
    intent: { author: wish.author, claims: wish.claims },
    arguments: wish.arguments,
    action: { name: contract.name, effect: contract.effect, risk: contract.risk, idempotence: contract.idempotence },
    paths: { read: scope.read, write: scope.write, autoRun: scope.write.some(isAutoRun) },
    // Worked out only where a rule asks for it: a decision costs the same however much was changed before.
    get change(): Json {
      const changed = changedPaths(state.world);
      return { paths: changed, autoRun: changed.some(isAutoRun) };
    },
    hosts: wish.hosts,
    writ: scope.writ === null ? null : { tenant: scope.writ.tenant, ceiling: scope.writ.ceiling, use: scope.writ.use },
    get world(): Json {
      return { root: worldRoot(state.world), changedFiles: changedPaths(state.world).length };
    },
    spend: { settled: { ...state.settled }, reserved: { ...state.reserved }, grant: { ...grant } },
    run: { id: state.run, blueprint: law?.blueprint.name ?? '', base: law?.opened.base.commit ?? '', opener: law?.opened.opener ?? '' },
    stage:
      state.stage === null || stage === undefined
        ? null
        : { id: state.stage.id, visit: state.stage.visit, type: stage.type, sandbox: stage.sandbox },
    actor: { author: wish.author },
    model:
      law?.model === null || law?.model === undefined
        ? null
        : { provider: law.model.provider, model: law.model.model, host: law.model.host },
    time: { at: scope.at },
  };
}

/** Step 9: the run's own set and, where the law adopted more since, the strictest of both. */
function askPolicy(state: RunState, law: LawView, fields: { readonly [key: string]: Json }): PolicyOutcome | null {
  const sets = policiesInForce(state, law);
  if (sets === null) return null;
  const own = evaluateSet(sets.own, fields);
  return sets.adopted === null ? own : strictest(own, evaluateSet(sets.adopted, fields));
}

/** Step 10: gates that no permit opens. */
function gatesOf(state: RunState, contract: ActionContract): string[] {
  const gates: string[] = [];
  if (contract.effect === 'irreversible' && !contract.compensable) gates.push('gate.irreversible');
  const threshold = state.law?.policySet.riskThreshold ?? 'high';
  if (RISKS.indexOf(contract.risk) >= RISKS.indexOf(threshold)) gates.push('gate.risk');
  if (blueprintAsks(state.law?.blueprint.approvalMode ?? 'never', contract)) gates.push('gate.blueprint');
  return gates;
}

/** The blueprint's own wish. `never` is no wish, not a permission: policy and the risk threshold ask all the same. */
function blueprintAsks(mode: CheckedBlueprint['approvalMode'], contract: ActionContract): boolean {
  if (mode === 'never') return false;
  if (mode === 'always') return contract.effect !== 'pure' && contract.effect !== 'read' && contract.name !== 'model.ask';
  return RISKS.indexOf(contract.risk) >= RISKS.indexOf(mode === 'on_risky_actions' ? 'high' : 'critical');
}

function decide(state: RunState, law: LawView, at: Instant, wish: Wish, draft: Draft): Stop {
  const contract = draft.contract;
  if (contract === null) return refuse('action.unknown', `the catalogue has no action ${wish.action}`);
  draft.reached = 9;
  const fields = policyFields(state, wish, contract, { read: draft.readPaths, write: draft.writePaths, writ: draft.writ, at });
  draft.fields = fields;
  const outcome = askPolicy(state, law, fields);
  if (outcome === null) return refuse('run.notOpened', 'the run has no law');
  draft.layers = [...outcome.layers];
  draft.rules = outcome.rules;
  const because = cut(outcome.because, 1900);
  if (outcome.verdict === 'deny')
    return { verdict: 'deny', by: 'policy', because: { code: 'policy.denied', message: because }, rule: outcome.rule, terms: null };
  draft.reached = 10;
  const gates = gatesOf(state, contract);
  draft.gates = gates;
  const asks = outcome.verdict === 'approve' || gates.length > 0;
  if (!asks) {
    draft.reached = 11;
    return { verdict: 'permit', by: 'policy', because: { code: 'policy.permitted', message: because }, rule: outcome.rule, terms: null };
  }
  // A vote is for this exact action on this exact world under this exact policy; anything else is asked again.
  if (wish.granted !== null && wish.granted.digest === subjectOf(state, wish, draft)) {
    draft.reached = 11;
    return {
      verdict: 'permit',
      by: outcome.verdict === 'approve' ? 'policy' : 'gate',
      because: { code: 'approval.granted', message: because },
      rule: outcome.rule,
      terms: null,
    };
  }
  if (state.law?.opened.approvals === 'never')
    return refuse('approval.notAsked', `${because}; the run was opened with approvals switched off`);
  // A gate that policy closes for everybody is no question any more; where rule and gate both ask, the strictest of both.
  const opened = gates.length === 0 ? null : gateTerms(state, law, fields);
  if (opened !== null && !opened.ok) return { verdict: 'deny', by: 'gate', because: bounded(opened.error), rule: null, terms: null };
  const terms = joinTerms([...(outcome.terms === null ? [] : [outcome.terms]), ...(opened === null ? [] : [opened.value])]);
  if (terms === null)
    return refuse('approval.impossible', `${because}; but rule and gate (${gates.join(', ')}) have no approver role in common`);
  return outcome.verdict === 'approve'
    ? { verdict: 'approve', by: 'policy', because: { code: 'policy.asks', message: because }, rule: outcome.rule, terms }
    : {
        verdict: 'approve',
        by: 'gate',
        because: { code: gates[0] ?? 'gate.risk', message: `${contract.name} needs an approval: ${gates.join(', ')}` },
        rule: null,
        terms,
      };
}

/**
 * Who may open a gate: the strictest of what each layer asks for the action `approval.gate`, else one approver who did not open the run. A rule that
 * denies that action keeps the gate shut; that no rule permits it says nothing, since nobody writes a permit for what only asks.
 */
export function gateTerms(state: RunState, law: LawView, fields: { readonly [key: string]: Json }): Result<ApprovalTerms, Reason> {
  const asked = askPolicy(state, law, { ...fields, action: { name: 'approval.gate', effect: 'pure', risk: 'low', idempotence: 'none' } });
  if (asked?.verdict === 'deny' && asked.rule !== null)
    return err({ code: 'policy.denied', message: `policy opens no gate: ${cut(asked.because, 1900)}` });
  if (asked === null || asked.asked.length === 0) return ok(GATE_TERMS);
  const terms = joinTerms(asked.asked);
  return terms === null ? err({ code: 'approval.impossible', message: 'the rules that ask have no approver role in common' }) : ok(terms);
}

function subjectOf(state: RunState, wish: Wish, draft: Draft): Digest {
  const writ = state.law?.opened.writs.at(-1);
  return approvalDigest({
    action: wish.action,
    arguments: wish.arguments,
    preImage: draft.preImage,
    policySet: draft.policySet,
    writ: writ === undefined ? draft.policySet : writId(writ.body),
  });
}

/** Runs the eleven steps on one wish. Never throws; every outcome has its reason and its trace. */
export function compile(state: RunState, law: LawView, at: Instant, wish: Wish): Decision {
  const draft: Draft = {
    reached: 0,
    effect: null,
    risk: null,
    readPaths: [],
    writePaths: [],
    layers: [],
    rules: [],
    gates: [],
    contract: null,
    preImage: null,
    policySet: policyInForce(state, law),
    writ: null,
    fields: null,
  };
  const stop = admit(state, law, at, wish, draft) ?? decide(state, law, at, wish, draft);
  return {
    ...stop,
    trace: {
      reached: draft.reached,
      effect: draft.effect,
      risk: draft.risk,
      readPaths: draft.readPaths.length,
      writePaths: draft.writePaths.length,
      layers: draft.layers,
      rules: [...draft.rules],
      gates: draft.gates,
    },
    contract: draft.contract,
    writePaths: draft.writePaths,
    preImage: draft.preImage,
    policySet: draft.policySet,
    subject: subjectOf(state, wish, draft),
    fields: draft.fields,
  };
}
