/**
 * Opening a run from a plan, and driving it. Must never open before the sandbox was checked and the workspace stands.
 */
import { resolve } from 'node:path';
import { runTrajectory } from '@openexec/authority';
import { err, type KeyId, ok, type Result } from '@openexec/canon';
import { type BaseTree, builtinToolsets, compileProfile } from '@openexec/catalogue';
import type { SignedWrit } from '@openexec/protocol';
import { type Opening, openRun } from '@openexec/runtime';
import { describeToolchain, type Redactor, type RepositoryFacts, seccompArch, seccompDigest } from '@openexec/workspace';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { lawOf } from '../law.ts';
import { storeRefusal } from '../openLedger.ts';
import { createDisplay } from './display.ts';
import { approverFor, drive, keepScript, loadOperating, type Operating, type Telling } from './drive.ts';
import { openHands, provideOf, soundSandbox } from './hands.ts';
import { type RunPlan, writFor, writsFromFile } from './plan.ts';
import { redactorOf } from './redact.ts';

/** The repository and the commit that the run starts from. */
export type Base = RepositoryFacts & { readonly commit: string };
/** Everything that was checked before. */
export interface NewRun {
  readonly task: string;
  readonly context: CommandContext;
  readonly project: Project;
  readonly repository: Base;
  readonly plan: RunPlan;
  readonly ledger: OpenLedger;
  /** A signed writ instead of one by the operator key. */
  readonly writFile: string | undefined;
  readonly telling: Telling;
}

/** Opens the run and drives it to its end, to an approval, or until it is stopped. */
export async function openAndDrive(fresh: NewRun): Promise<CommandResult> {
  const { context, project, repository, plan, ledger, telling } = fresh;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const redactor = redactorOf(context.env, [operator, runtime], runtime);
  const sandbox = await soundSandbox({ redactor, root: project.root, provide: plan.config.provide.map(provideOf) });
  if (!sandbox.ok) return sandbox;
  const writs = await writsOf(fresh, operating.value);
  if (!writs.ok) return writs;
  const writ = writs.value.at(-1);
  if (writ === undefined) return refuse('writ.invalid', 'the chain is empty');
  const run = runTrajectory({ issuer: writ.body.issuer, nonce: writ.body.nonce });
  const display = createDisplay(context.output, { jsonl: telling.jsonl === true });
  const stop = context.stopOnInterrupt();
  const opened = await openHands({
    context,
    ledger,
    repository,
    run,
    base: repository.commit,
    sandbox: sandbox.value,
    redactor,
    model: plan.model?.adapter ?? null,
    approver: approverFor({ context, project, ledger, approvals: plan.config.approvals }),
    observe: (stored) => display.observe(stored),
  });
  if (!opened.ok) return opened;
  const { hands, base } = opened.value;
  if (plan.model !== null && plan.model.script !== null) keepScript(ledger, run, plan.model.script);
  const opening = openingOf(fresh, { operating: operating.value, redactor, writs: writs.value, writ, base });
  if (!opening.ok) return opening;
  const started = await openRun(opening.value, hands);
  if (!started.ok) return err(storeRefusal(started.error));
  if (telling.jsonl !== true) context.output.progress(`run ${shortRun(run)} follows blueprint ${plan.blueprint.name}`);
  for await (const stored of ledger.store.read(run, 0, 1)) display.observe(stored);
  return drive({ context, run, hands, stop, telling, driver: started.value.driver });
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
}

function openingOf(fresh: NewRun, parts: OpeningParts): Result<Opening, Refusal> {
  const { plan, task } = fresh;
  const arch = seccompArch();
  if (arch === null) return refuse('sandbox.unavailable', 'there is no system-call filter for this CPU');
  const profile = compileProfile({
    writ: parts.writ.body,
    mode: plan.grant.mode,
    provide: plan.config.provide.map(provideOf),
    toolchain: [describeToolchain().symbol],
    seccompDigest: seccompDigest(arch),
  });
  return ok({
    task: parts.redactor.redactText(task),
    session: null,
    // Key files hold checked ids.
    opener: parts.operating.operator.keyId as KeyId,
    writs: parts.writs,
    blueprint: plan.blueprint,
    policySet: plan.policySet,
    catalogue: plan.catalogue,
    toolsets: builtinToolsets,
    prices: plan.prices,
    profile,
    model: plan.model?.choice ?? null,
    base: parts.base,
    approvals: plan.config.approvals,
    selfTest: null,
  });
}
