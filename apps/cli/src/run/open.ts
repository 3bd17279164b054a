/**
 * Opening a run from a plan, and driving it. Must never open before the sandbox was checked and the workspace stands.
 */
import { resolve } from 'node:path';
import { narrowWrit, runTrajectory } from '@openexec/authority';
import { err, type KeyId, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type Approver, type BaseTree, builtinToolsets, type StopSignal } from '@openexec/catalogue';
import type { FileKey } from '@openexec/config';
import type { Stored } from '@openexec/ledger';
import { type PolicySet, type RoutingPlan, routingPlan, type SignedWrit } from '@openexec/protocol';
import { type Opening, openRun } from '@openexec/runtime';
import type { Redactor, RepositoryFacts } from '@openexec/workspace';
import { alongFor } from '../anchors/along.ts';
import type { OpenLedger, Project, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { lawOf } from '../law.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { Tally } from '../read/tally.ts';
import { drive, keepScript, loadOperating, type Operating, priceOf } from './drive.ts';
import type { RunSummary } from './finish.ts';
import { openHands, provideOf, soundSandbox } from './hands.ts';
import { type RunPlan, underLaw, writFor, writsFromFile } from './plan.ts';
import { redactJson, redactorOf, refuseSecrets } from './redact.ts';
import { groundFor, profileFor, type StandingSelfTest, standingSelfTest } from './selfTest.ts';

/** The repository and the commit that the run starts from. */
export type Base = RepositoryFacts & { readonly commit: string };
/** Who is there while a run is driven: a person at a terminal, or a program. */
export interface Company {
  /** Once stopped, the run comes to rest as soon as it may; it can be taken up again. */
  readonly stop: StopSignal;
  /** Who decides requests while the run waits; null parks the run. `key` signs the votes. */
  approver(asked: { readonly ledger: OpenLedger; readonly key: FileKey; readonly approvals: 'ask' | 'never' }): Approver | null;
  /** The run is open: everything that follows has its name. */
  opened(opened: { readonly run: TrajectoryId; readonly blueprint: string; readonly ledger: OpenLedger; readonly operator: KeyId }): void;
  /** Handed the run's own count before anything is opened; it is kept up with what `observe` is told. */
  counted(tally: Tally): void;
  /** The self-test that stands for the run, before it opens. */
  proven(selfTest: StandingSelfTest): void;
  /** Told of each entry of the run once it is durable. */
  observe(stored: Stored): void;
  /** Something that does not stop the run, but that its caller should know. */
  warn(text: string): void;
}
/** Everything that was checked before. */
export interface NewRun {
  readonly task: string;
  readonly context: Surroundings;
  readonly project: Project;
  readonly repository: Base;
  readonly plan: RunPlan;
  readonly ledger: OpenLedger;
  /** A signed writ instead of one by the operator key. */
  readonly writFile: string | undefined;
  readonly company: Company;
}

/** Opens the run and drives it to its end, to an approval, or until it is stopped. */
export async function openAndDrive(fresh: NewRun): Promise<Result<RunSummary, Refusal>> {
  const { context, project, repository, plan, ledger, company } = fresh;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const { root } = project;
  const along = alongFor(context, project, ledger);
  if (!along.ok) return along;
  const known = await redactorOf({ env: context.env, keys: [operator, runtime], runtime, root, commonDir: repository.commonDir });
  if (!known.ok) return known;
  const redactor = known.value;
  const sandbox = await soundSandbox({ redactor, root, state: context.places.state, provide: plan.config.provide.map(provideOf) });
  if (!sandbox.ok) return sandbox;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const policySet = underLaw(plan.policySet, law.value.adopted);
  if (!policySet.ok) return policySet;
  const writs = await writsOf(fresh, operating.value);
  if (!writs.ok) return writs;
  const writ = writs.value.at(-1);
  if (writ === undefined) return refuse('writ.invalid', 'the chain is empty');
  const run = runTrajectory({ issuer: writ.body.issuer, nonce: writ.body.nonce });
  const tally = new Tally(priceOf(plan.model?.choice ?? null, plan.prices));
  company.counted(tally);
  const observe = (stored: Stored): void => {
    // What a child run costs is counted when it ends.
    if (stored.entry.trajectory === run) tally.take(readEvent(stored));
    company.observe(stored);
  };
  // From here on an interruption is answered by a run that rests.
  const { stop } = company;
  const opened = await openHands({
    context,
    ledger,
    repository,
    run,
    base: repository.commit,
    sandbox: sandbox.value,
    redactor,
    runtime,
    model: plan.model?.adapter ?? null,
    approver: company.approver({ ledger, key: operator, approvals: plan.config.approvals }),
    observe,
  });
  if (!opened.ok) return opened;
  const { hands, base } = opened.value;
  if (plan.model !== null && plan.model.script !== null) keepScript(ledger, run, redactJson(plan.model.script, redactor));
  const opening = openingOf(fresh, { operating: operating.value, redactor, writs: writs.value, writ, base, policySet: policySet.value });
  if (!opening.ok) return opening;
  const clean = refuseRecorded(opening.value, redactor);
  if (!clean.ok) return clean;
  const routing = recordedRouting(plan.routing, redactor);
  if (!routing.ok) return routing;
  const confined = await sandbox.value.check();
  // Of the set that the run opens with, which the law has a say in, not the one that the files alone make.
  const ground = groundFor(ledger, opening.value, { profile: opening.value.profile, sandbox: confined, assets: context.assets });
  const standing = await standingSelfTest({ context, ledger, operating: operating.value, ground, sandbox: confined });
  if (!standing.ok) return standing;
  company.proven(standing.value);
  const started = await openRun({ ...opening.value, selfTest: standing.value.recorded.reference }, hands);
  if (!started.ok) return err(storeRefusal(started.error));
  // Key files hold checked ids.
  company.opened({ run, blueprint: plan.blueprint.name, ledger, operator: operator.keyId as KeyId });
  for await (const stored of ledger.store.read(run, 0, 1)) observe(stored);
  return drive({ run, hands, stop, tally, along: along.value, driver: started.value.driver, routing: routing.value });
}

/** The evidence as it may be recorded; what is no evidence any more without its secrets is refused. */
function recordedRouting(plan: RoutingPlan | null, redactor: Redactor): Result<RoutingPlan | null, Refusal> {
  if (plan === null) return ok(null);
  const redacted = routingPlan.safeParse(redactJson(plan, redactor));
  return redacted.success
    ? ok(redacted.data)
    : refuse('secret.recorded', 'the evidence of the router holds what looks like a secret where it names something');
}

/** What is recorded as it is holds no known secret. */
function refuseRecorded(opening: Opening, redactor: Redactor): Result<void, Refusal> {
  return refuseSecrets(
    {
      'the list of files of the base commit': opening.base.listing,
      'the configured commands': opening.catalogue,
      'the blueprint': opening.blueprint,
      'the blueprints of child runs': opening.delegates,
      'the policy': opening.policySet,
      'the writ': opening.writs,
      'the choice of the model': opening.model,
      'the sandbox profile': opening.profile,
      'a skill': opening.skills ?? [],
    },
    redactor,
  );
}

async function writsOf(fresh: NewRun, { operator, runtime }: Operating): Promise<Result<readonly SignedWrit[], Refusal>> {
  const { context, ledger, plan, writFile } = fresh;
  if (writFile === undefined) return ok([writFor({ context, ledger, operator, runtime, plan })]);
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  return writsFromFile(resolve(context.cwd, writFile), { ledger, runtime, law: law.value, at: context.clock.now() });
}

interface OpeningParts {
  readonly operating: Operating;
  readonly redactor: Redactor;
  /** Root first. */
  readonly writs: readonly SignedWrit[];
  /** The run's own, the last of them. */
  readonly writ: SignedWrit;
  readonly base: BaseTree;
  readonly policySet: PolicySet;
}

function openingOf(fresh: NewRun, parts: OpeningParts): Result<Opening, Refusal> {
  const { plan, task } = fresh;
  const profile = profileFor(
    plan,
    plan.skills.reduce((writ, { template }) => narrowWrit(writ, template), parts.writ.body),
  );
  if (!profile.ok) return profile;
  return ok({
    task: parts.redactor.redactText(task),
    session: null,
    // Key files hold checked ids.
    opener: parts.operating.operator.keyId as KeyId,
    writs: parts.writs,
    blueprint: plan.blueprint,
    policySet: parts.policySet,
    catalogue: plan.catalogue,
    toolsets: builtinToolsets,
    prices: plan.prices,
    profile: profile.value,
    model: plan.model?.choice ?? null,
    base: parts.base,
    approvals: plan.config.approvals,
    selfTest: null,
    skills: plan.skills,
    delegates: plan.delegates.blueprints,
  });
}
