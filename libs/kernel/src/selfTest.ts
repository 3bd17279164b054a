/**
 * Canaries: intents of a self-test, compiled by the very code that compiles a run's, under writs that must not suffice. Must never start anything:
 * what would be permitted stays staged (PROTOCOL §4.2 `selftest/…`).
 */

import type { LawView } from '@openexec/authority';
import { err, ok, type Result } from '@openexec/canon';
import {
  type BlobRef,
  type CanaryKit,
  type CheckedBlueprint,
  canaryKit,
  catalogue as catalogueSchema,
  policySet as policySetSchema,
  type Reason,
  type RunOpened,
  type SelfTestOpened,
  sandboxProfile,
} from '@openexec/protocol';
import { KERNEL_FLAGS, KERNEL_VERSION } from './flags.ts';
import { freshStage } from './freshStage.ts';
import { parsed } from './open.ts';
import type { EventOf, RunLaw, RunState } from './state.ts';
import { emptyWorld } from './world.ts';

/** The one stage that canaries stand in; no blueprint has it, so nothing of a stage narrows or widens what is said of them. */
const STAGE = 'selftest';
const NO_BLUEPRINT: CheckedBlueprint = { version: 1, name: STAGE, description: '', approvalMode: 'never', stages: [] };
const NO_TREE = '0'.repeat(40);
/** Tenant of the writs of canaries: signed like any other, they open no run. */
export const CANARY_TENANT = 'openexec.selftest';

/** Whether a trajectory holds canaries. */
export function isSelfTest(state: Pick<RunState, 'run'>): boolean {
  return state.run.startsWith('selftest/');
}

/** What a self-test is judged under, in the form in which a run has it; the writ comes with each canary. */
function readLaw(opened: SelfTestOpened, event: EventOf<'selfTest.opened'>): Result<{ law: RunLaw; kit: CanaryKit }, Reason> {
  const { blobs } = event;
  const policySet = parsed(blobs, opened.policySet, 'the policy set', policySetSchema);
  if (!policySet.ok) return policySet;
  const catalogue = parsed(blobs, opened.catalogue, 'the catalogue', catalogueSchema);
  if (!catalogue.ok) return catalogue;
  const profile = parsed(blobs, opened.profile, 'the sandbox profile', sandboxProfile);
  if (!profile.ok) return profile;
  const kit = parsed(blobs, opened.kit, 'the kit of the canaries', canaryKit);
  if (!kit.ok) return kit;
  const actions = new Map([...kit.value.actions, ...catalogue.value.actions].map((action) => [action.name, action]));
  const writ = opened.grants[0]?.writs.at(-1)?.body;
  if (writ === undefined) return err({ code: 'selfTest.noGrant', message: 'the self-test has no writ' });
  const law: RunLaw = {
    opened: asRun(opened),
    writ,
    instructions: [],
    skills: [],
    task: '',
    blueprint: NO_BLUEPRINT,
    stages: new Map(),
    policySet: policySet.value,
    catalogue: catalogue.value,
    actions,
    toolsets: {},
    prices: { version: '', models: {} },
    profile: profile.value,
    model: null,
    base: new Map(),
    baseTree: NO_TREE,
    delegates: new Map(),
  };
  return ok({ law, kit: kit.value });
}

/** The members of `run.opened` that compiling reads are the self-test's own; the others are empty, and nothing reads them here. */
function asRun(opened: SelfTestOpened): RunOpened {
  const none: BlobRef = opened.kit;
  return {
    driver: '',
    epoch: 0,
    task: none,
    session: null,
    opener: opened.opener,
    writs: [],
    blueprint: none,
    policySet: opened.policySet,
    catalogue: opened.catalogue,
    toolsets: none,
    prices: none,
    profile: opened.profile,
    model: null,
    base: { commit: NO_TREE, tree: NO_TREE, objectFormat: 'sha1', listing: none },
    kernel: opened.kernel,
    selfTest: null,
    approvals: 'ask',
  };
}

/** Takes in what the canaries are judged under. */
export function foldSelfTestOpened(state: RunState, event: EventOf<'selfTest.opened'>): RunState {
  const { kernel } = event.body;
  const running: RunState = { ...state, status: 'running' };
  if (kernel.version !== KERNEL_VERSION || kernel.flags.some((flag) => !KERNEL_FLAGS.includes(flag)))
    return { ...running, lawProblem: { code: 'kernel.unknown', message: `the self-test was opened for kernel ${kernel.version}` } };
  const read = readLaw(event.body, event);
  if (!read.ok) return { ...running, lawProblem: read.error };
  return { ...running, law: read.value.law, selfTest: { opened: event.body, ...read.value, canary: null } };
}

/** The canary that the intent is, each on ground of its own: no spend and no wait of the one before it counts. */
export function foldCanary(state: RunState, event: EventOf<'intent.submitted'>): Result<RunState, Reason> {
  const known = state.selfTest;
  if (known === null) return err({ code: 'selfTest.notOpened', message: 'the self-test has no law' });
  const canary = known.opened.canaries.find(({ name }) => name === event.body.channel);
  const grant = known.opened.grants.find(({ name }) => name === canary?.grant);
  if (canary === undefined || grant === undefined)
    return err({ code: 'canary.unknown', message: `the self-test names no canary ${event.body.channel} with a grant` });
  const { law, kit } = known;
  const writ = grant.writs.at(-1)?.body;
  if (writ === undefined) return err({ code: 'canary.unknown', message: `the grant ${grant.name} has no writ` });
  const opened = { ...law.opened, writs: grant.writs };
  return ok({
    ...state,
    law: { ...law, opened, writ, policySet: canary.rules === 'canary' ? kit.policySet : law.policySet },
    selfTest: { ...known, canary },
    stage: STANDING,
    request: null,
    reserved: NOTHING,
    settled: NOTHING,
  });
}

const NOTHING = { tokens: 0, usdMicros: 0, calls: 0 };
/** Canaries stand in a stage that is no blueprint's. */
const STANDING = freshStage({ id: STAGE, visit: 0, enteredSeq: 0, worldAtEntry: emptyWorld, inputs: [] });

/** The law for the canary in hand: rules of its own are not joined with what the ledger adopted, so that they say the same everywhere. */
export function lawForCanary(state: RunState, law: LawView): LawView {
  return state.selfTest?.canary?.rules === 'canary' ? { ...law, adopted: [] } : law;
}
