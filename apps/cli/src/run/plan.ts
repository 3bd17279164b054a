/**
 * Everything that a new run is opened with, from configuration, files and flags; any flaw refuses before the ledger, the model or the tree is
 * touched (GOALS E02). Must never decide what policy or writ allow: they are only carried together here.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkChain, issueWrit, type LawView } from '@openexec/authority';
import type { BlueprintContext } from '@openexec/blueprint';
import { type Instant, instantFromMs, instantToMs, type KeyId, ok, type Result } from '@openexec/canon';
import { argumentProblem, builtinActions, builtinToolsets } from '@openexec/catalogue';
import {
  type Config,
  type Delegates,
  environmentConfig,
  type FileKey,
  type Grant,
  grantOf,
  loadBlueprint,
  loadConfig,
  loadDelegates,
  loadPolicies,
  loadProjectPolicies,
  type Overrides,
  type ShippedPolicy,
} from '@openexec/config';
import { REGULATED, SOLO } from '@openexec/policy';
import {
  type Catalogue,
  type CheckedBlueprint,
  type PolicyBundle,
  type PolicySet,
  type Prices,
  type RoutingPlan,
  type SignedWrit,
  type Writ,
} from '@openexec/protocol';
import type { OpenLedger, Project, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { nonceOf } from '../setup/found.ts';
import { readChain } from '../writ/file.ts';
import { planRouting, type RoutingWish } from '../routing/plan.ts';
import { type PlannedSkill, planSkills } from '../skill/plan.ts';
import { type ChosenModel, chooseModel, type OwnModel, ownModel } from './model.ts';
import { configRefusal } from './problems.ts';

/** What the caller of one run says, beside the configuration. */
export interface RunFlags extends Overrides {
  readonly policies: readonly string[];
  /** Names or files of skills, in the order in which they are bound. */
  readonly skills?: readonly string[];
  readonly skillParams?: Readonly<Record<string, string>>;
  /** Why this model: a file, relative to where the call is made, or the evidence itself. */
  readonly routing?: RoutingWish | undefined;
  /** A program's own adapter, in the place of a configured model. */
  readonly own?: OwnModel | undefined;
}
/** A checked plan of a run. */
export interface RunPlan {
  readonly config: Config;
  readonly blueprint: CheckedBlueprint;
  readonly policySet: PolicySet;
  readonly catalogue: Catalogue;
  readonly grant: Grant;
  readonly model: ChosenModel | null;
  readonly prices: Prices;
  readonly skills: readonly PlannedSkill[];
  readonly routing: RoutingPlan | null;
  readonly delegates: Delegates;
}

/** The policies that ship, by the names that the configuration knows. */
export const SHIPPED: { readonly [name in ShippedPolicy]: PolicyBundle } = { solo: SOLO, regulated: REGULATED };
const MAX_LAYERS = 8;
const SOURCE_MAX = 256;
/** A run may wait for people; this long its writ holds at most. */
/** A clock that is set back a little between two readings must not make a writ of this moment one of the future. */
const CLOCK_SLACK_MS = 5 * 60_000;
const WRIT_DAYS = 7;
const DAY_MS = 86_400_000;
const TENANT = 'default';

/** What flags and environment say in this call. */
export function overridesOf(context: Surroundings, project: Project, flags: Overrides): Result<Overrides, Refusal> {
  const environment = environmentConfig(context.env);
  if (!environment.ok) return configRefusal(environment.error, project.root);
  const openaiBaseUrl = flags.openaiBaseUrl ?? context.env['OPENAI_BASE_URL'];
  const address = openaiBaseUrl === undefined || openaiBaseUrl === '' ? {} : { openaiBaseUrl };
  return ok({ ...flags, environment: environment.value, ...address });
}

/** The configuration in force for this call. */
export function configFor(context: Surroundings, project: Project, flags: Overrides): Result<Config, Refusal> {
  const overrides = overridesOf(context, project, flags);
  if (!overrides.ok) return overrides;
  const config = loadConfig({ folder: project.folder, places: project.places, overrides: overrides.value });
  return config.ok ? config : configRefusal(config.error, project.root);
}

/** What a blueprint may name in this program under this configuration. */
export function blueprintContext(commands: Config['commands']): BlueprintContext {
  return { actions: builtinActions, toolsets: builtinToolsets, commands, argumentProblem };
}

/** The part of a plan that no model has a say in: what a self-test stands for. */
export type GroundPlan = Omit<RunPlan, 'model' | 'prices' | 'routing'>;

/** Reads and checks everything but the model. */
export function groundPlan(context: Surroundings, project: Project, flags: RunFlags): Result<GroundPlan, Refusal> {
  const config = configFor(context, project, flags);
  if (!config.ok) return config;
  if (!existsSync(join(project.folder, 'config.yaml'))) return refuse('config.missing', 'this checkout has no .openexec/config.yaml');
  const { commands } = config.value;
  const blueprint = loadBlueprint({
    name: config.value.blueprint,
    folder: project.folder,
    shipped: resolve(context.assets, 'blueprints'),
    context: blueprintContext(commands),
  });
  if (!blueprint.ok) return configRefusal(blueprint.error, project.root);
  const policySet = policySetOf(context, project, { base: config.value.policy, files: flags.policies });
  if (!policySet.ok) return policySet;
  const delegates = loadDelegates(blueprint.value, {
    folder: project.folder,
    shipped: resolve(context.assets, 'blueprints'),
    context: blueprintContext(commands),
  });
  if (!delegates.ok) return configRefusal(delegates.error, project.root);
  const grant = grantOf({
    blueprint: blueprint.value,
    delegates: delegates.value.blueprints.map((each) => each.blueprint),
    toolsets: builtinToolsets,
    actions: builtinActions,
  });
  const skills = planSkills(context, project, { wanted: flags.skills ?? [], params: flags.skillParams ?? {} });
  if (!skills.ok) return skills;
  const catalogue: Catalogue = { version: 1, actions: [...builtinActions], commands: { ...commands } };
  return ok({
    config: config.value,
    blueprint: blueprint.value,
    policySet: policySet.value,
    catalogue,
    grant,
    skills: skills.value,
    delegates: delegates.value,
  });
}

/** Reads and checks everything; opens the model's adapter but asks nothing. */
export function planRun(context: Surroundings, project: Project, flags: RunFlags): Result<RunPlan, Refusal> {
  const ground = groundPlan(context, project, flags);
  if (!ground.ok) return ground;
  const { config, grant } = ground.value;
  const { modelFrom } = config;
  const base = modelFrom === 'flag' || modelFrom === 'environment' ? context.cwd : project.root;
  const places = { env: context.env, config, base, root: project.root };
  const model = !grant.asksModel ? ok(null) : flags.own === undefined ? chooseModel(places) : ownModel(flags.own, config);
  if (!model.ok) return model;
  const prices = pricesFor(config, model.value);
  if (!prices.ok) return prices;
  const routing = planRouting(flags.routing, { base: context.cwd, root: project.root, model: model.value?.choice ?? null });
  if (!routing.ok) return routing;
  return ok({ ...ground.value, model: model.value, prices: prices.value, routing: routing.value });
}

/** The shipped policy decides; project and run may only narrow it (PROTOCOL §7, GOALS E20). */
export function policySetOf(
  context: Surroundings,
  project: Project,
  of: { readonly base: ShippedPolicy; readonly files: readonly string[] },
): Result<PolicySet, Refusal> {
  const { base, files } = of;
  const own = loadProjectPolicies(project.folder);
  if (!own.ok) return configRefusal(own.error, project.root);
  const given = loadPolicies(files.map((file) => resolve(context.cwd, file)));
  if (!given.ok) return configRefusal(given.error, project.root);
  const named = (file: string) => file.replace(`${project.root}/`, '').slice(-SOURCE_MAX);
  const layers: PolicySet['layers'] = [
    { layer: 'shipped', bundle: SHIPPED[base], source: base },
    ...own.value.map(({ file, bundle }) => ({ layer: 'project' as const, bundle, source: named(file) })),
    ...given.value.map(({ file, bundle }) => ({ layer: 'run' as const, bundle, source: named(file) })),
  ];
  return layers.length > MAX_LAYERS ? tooManyLayers(layers.length) : ok({ layers, riskThreshold: 'high' });
}

/**
 * The set of a run that is opened under this law: what the law has adopted decides in the place of the shipped policy for one who has adopted nothing; a
 * stricter shipped one that the configuration names stays, and may only narrow (PROTOCOL §7: organisation, else operator, else shipped).
 */
export function underLaw(set: PolicySet, adopted: LawView['adopted']): Result<PolicySet, Refusal> {
  if (adopted.length === 0) return ok(set);
  const own = set.layers.filter(({ layer, bundle }) => layer !== 'shipped' || bundle.name !== SOLO.name);
  const layers = [...adopted.map(({ layer, bundle, seq }) => ({ layer, bundle, source: `law/${seq}` })), ...own];
  return layers.length > MAX_LAYERS ? tooManyLayers(layers.length) : ok({ ...set, layers });
}

function tooManyLayers(count: number) {
  return refuse('policy.invalid', `there are ${count} policy bundles, more than the ${MAX_LAYERS} a run may have; join some`);
}

/** A limit in dollars means nothing without a price; a script costs nothing. */
function pricesFor(config: Config, model: ChosenModel | null): Result<Prices, Refusal> {
  if (model === null || model.script !== null) return ok(config.prices);
  const name = `${model.choice.provider}:${model.choice.model}`;
  if (!config.budgetInUsd || config.prices.models[name] !== undefined) return ok(config.prices);
  return refuse('config.priceMissing', `a limit in dollars is set, but ${safeLine(name, 160)} has no price`);
}

/** A writ for one run of this plan, by the operator for the runtime (PROTOCOL §5). */
export function writFor(options: {
  readonly context: Surroundings;
  readonly ledger: OpenLedger;
  readonly operator: FileKey;
  readonly runtime: FileKey;
  readonly plan: RunPlan;
}): SignedWrit {
  const { context, ledger, operator, runtime, plan } = options;
  const { config, grant, model } = plan;
  const now = context.clock.now();
  const host = model?.choice.host ?? null;
  const writ: Writ = {
    v: 1,
    ledger: ledger.fingerprint,
    use: 'run',
    // Key files hold checked ids.
    issuer: operator.keyId as KeyId,
    subject: runtime.keyId as KeyId,
    parent: null,
    nonce: nonceOf(context.randomness),
    tenant: TENANT,
    actions: [...grant.actions],
    ceiling: [...grant.ceiling],
    readPaths: [...config.readPaths],
    writePaths: [...config.writePaths],
    hosts: host === null ? [] : [host],
    budget: { ...config.budget },
    wallMs: config.wallMs,
    notBefore: instantFromMs(instantToMs(now) - CLOCK_SLACK_MS),
    notAfter: instantFromMs(instantToMs(now) + WRIT_DAYS * DAY_MS),
    delegation: { depth: plan.delegates.depth, maySubdivide: plan.delegates.depth > 0 },
  };
  return issueWrit({ writ, seed: operator.seed });
}

/**
 * A chain of writs from a file: of this ledger, for this runtime, and counting by the law as it stands. The kernel judges it again at the opening and
 * at every use.
 */
export function writsFromFile(
  file: string,
  options: { readonly ledger: OpenLedger; readonly runtime: FileKey; readonly law: LawView; readonly at: Instant },
): Result<readonly SignedWrit[], Refusal> {
  const { ledger, runtime, law, at } = options;
  const chain = readChain(file);
  if (!chain.ok) return chain;
  const leaf = chain.value.at(-1)?.body;
  if (leaf === undefined) return refuse('writ.invalid', 'the chain is empty');
  if (leaf.ledger !== ledger.fingerprint)
    return refuse('writ.invalid', `the writ is for ledger ${leaf.ledger}, this one is ${ledger.fingerprint}`);
  if (leaf.subject !== runtime.keyId)
    return refuse('writ.invalid', `the writ is for key ${leaf.subject}, the runtime here is ${runtime.keyId}`);
  const checked = checkChain({ writs: chain.value, law, at, ledger: ledger.fingerprint });
  return checked.ok ? chain : refuse('writ.notInForce', `${checked.error.code}: ${checked.error.message}`);
}
