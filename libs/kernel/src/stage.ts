/**
 * The stage machine: entering, leaving, routing, and the end of a run. The blueprint says what comes next; no answer of a model is read here
 * (ARCHITECTURE invariant 8).
 */
import type { Json } from '@openexec/canon';
import { evaluateCondition } from '@openexec/blueprint';
import { addAmount, approvalDigest, writId } from '@openexec/authority';
import type { ArtifactRef, CheckedStage, Reason } from '@openexec/protocol';
import { gateTerms, policyFields, policyInForce } from './compile.ts';
import { judgement, jsonBlob, type KernelBlob, nextId, textBlob } from './emit.ts';
import { type Pen, write } from './pen.ts';
import type { RunState, StageState } from './state.ts';
import { after, bounded, cut } from './text.ts';
import { lookUp, type World, worldRoot } from './world.ts';
import { mapEntries } from '@openexec/proof';

/** Closes the run. What is still reserved belongs to a call whose outcome is unknown, and counts as spent (PROTOCOL §5). */
export function closeRun(pen: Pen, outcome: 'done' | 'failed' | 'cancelled' | 'denied' | 'exhausted', because: Reason): void {
  const { state } = pen;
  write(
    pen,
    judgement('run.closed', {
      outcome,
      because: bounded(because),
      worldRoot: worldRoot(state.world),
      spend: addAmount(state.settled, state.reserved),
      result: outcome === 'done' ? state.landed : null,
    }),
  );
}

/** How a failure ends a run: what the law or the policy refused is `denied`, what ran out is `exhausted`. */
function outcomeOf(because: Reason): 'failed' | 'denied' | 'exhausted' {
  const [head] = because.code.split('.', 1);
  if (because.code === 'budget.exhausted' || because.code === 'wall.exhausted') return 'exhausted';
  return head === 'policy' || head === 'writ' || head === 'approval' ? 'denied' : 'failed';
}

/** Takes the route that the last stage left by: the next stage, or a terminal. */
export function enterNext(pen: Pen): boolean {
  const { state } = pen;
  const next = state.next ?? 'fail';
  if (next === 'done') closeRun(pen, 'done', { code: 'run.done', message: 'every stage on the way succeeded' });
  else if (next === 'paused')
    write(
      pen,
      judgement('run.parked', {
        because: state.failure ?? { code: 'stage.paused', message: 'the blueprint routes to a pause here' },
        request: null,
      }),
    );
  else if (next === 'fail') {
    const because = state.failure ?? {
      code: 'stage.failed',
      message: `the blueprint leads from ${state.lastStage ?? 'its entry'} to fail`,
    };
    closeRun(pen, outcomeOf(because), because);
  } else enterStage(pen, next);
  return true;
}

/** Enters a stage once more, or ends where its visits are used up. */
export function enterStage(pen: Pen, id: string): void {
  const { state } = pen;
  const contract = state.law?.stages.get(id);
  if (contract === undefined) return closeRun(pen, 'failed', { code: 'stage.unknown', message: `the blueprint has no stage ${id}` });
  const visit = (state.visits[id] ?? 0) + 1;
  if (visit > contract.visitLimit) {
    const because = {
      code: 'visits.exhausted',
      message: cut(`stage ${id} was visited ${contract.visitLimit} times; ${state.failure?.message ?? 'its cap is reached'}`, 2000),
    };
    return contract.onFailure === 'paused'
      ? write(pen, judgement('run.parked', { because, request: null }))
      : closeRun(pen, 'failed', because);
  }
  write(pen, judgement('stage.entered', { stage: id, visit, type: contract.type, inputs: refsOf(state, contract.inputs) }));
}

function refsOf(state: RunState, names: readonly string[]): ArtifactRef[] {
  return names.flatMap((name) => {
    const artifact = state.artifacts.get(name);
    return artifact === undefined ? [] : [{ name: artifact.name, version: artifact.version, blob: artifact.blob }];
  });
}

/** Why a stage is skipped: its condition is false, or its command was set to `none`. */
export function skipReason(state: RunState, contract: CheckedStage): Reason | null {
  if (contract.when !== null) {
    const artifacts = new Map([...state.artifacts].map(([name, artifact]) => [name, artifact.json ?? null] as const));
    if (!evaluateCondition(contract.when, artifacts))
      return { code: 'condition.false', message: `its condition on ${contract.when.artifact} is false` };
  }
  if (contract.type !== 'deterministic') return null;
  const command = state.law?.actions.get(contract.action)?.command ?? null;
  return command !== null && state.law?.catalogue.commands[command] === 'none'
    ? { code: 'command.none', message: `the configuration says that there is no ${command} command` }
    : null;
}

/** The runtime's own account of what a stage changed: files by path, before and after. Never the model's. */
export function changesSince(before: World, after: World, baseOid: (path: string) => string | null): Json[] {
  const changes: { readonly path: string; readonly json: Json }[] = [];
  for (const { value: resource } of mapEntries(after)) {
    if (resource.kind !== 'file') continue;
    const old = lookUp(before, 'file', resource.id);
    if (old?.version === resource.version) continue;
    const from = old === undefined ? baseOid(resource.id) : old.retracted ? null : oidOf(old.value);
    changes.push({ path: resource.id, json: { path: resource.id, before: from, after: resource.retracted ? null : resource.value } });
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1)).map((change) => change.json);
}

function oidOf(value: Json): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { oid, base } = value as { readonly [key: string]: Json };
  const known = oid ?? base;
  return typeof known === 'string' ? known : null;
}

/** Artifacts of an agent stage: `patch` is what really changed, any other output is the final text. */
function agentOutputs(
  state: RunState,
  stage: StageState,
  contract: CheckedStage,
): { readonly refs: ArtifactRef[]; readonly blobs: KernelBlob[] } {
  const refs: ArtifactRef[] = [];
  const blobs: KernelBlob[] = [];
  for (const name of contract.outputs) {
    const made =
      name === 'patch'
        ? jsonBlob(changesSince(stage.worldAtEntry, state.world, (path) => state.law?.base.get(path)?.oid ?? null))
        : textBlob(stage.finalText ?? '');
    refs.push({ name, version: (state.versions[name] ?? 0) + 1, blob: made.ref });
    blobs.push(made.blob);
  }
  return { refs, blobs };
}

/** Leaves the stage by the route of its outcome. */
export function leaveStage(
  pen: Pen,
  stage: StageState,
  contract: CheckedStage,
  result: { readonly outcome: 'succeeded' | 'failed' | 'skipped'; readonly because: Reason },
): void {
  const { state } = pen;
  const made =
    contract.type === 'agent' && result.outcome === 'succeeded'
      ? agentOutputs(state, stage, contract)
      : { refs: result.outcome === 'skipped' ? [] : refsOf(state, contract.outputs), blobs: [] };
  write(
    pen,
    judgement(
      'stage.left',
      {
        stage: stage.id,
        visit: stage.visit,
        outcome: result.outcome,
        because: bounded(result.because),
        next: result.outcome === 'failed' ? contract.onFailure : contract.onSuccess,
        outputs: made.refs,
      },
      made.blobs,
    ),
  );
}

/** Asks people whether a stage's result may go on. Who may say so is what policy says about the action `approval.gate`. */
export function requestStageApproval(pen: Pen, stage: StageState, contract: CheckedStage): void {
  const { state, law } = pen;
  const writ = state.law?.writ;
  if (writ === undefined) return closeRun(pen, 'failed', { code: 'run.notOpened', message: 'the run carries no writ' });
  const action = `stage.${contract.id}`;
  const wish = {
    action,
    arguments: null,
    author: 'blueprint' as const,
    malformed: null,
    claims: null,
    hosts: [],
    reservation: { tokens: 0, usdMicros: 0, calls: 0 },
    granted: null,
  };
  const fields = policyFields(
    state,
    wish,
    { name: action, effect: 'pure', risk: 'low', idempotence: 'none' },
    { read: [], write: [], writ, at: pen.at },
  );
  const opened = gateTerms(state, law, fields);
  if (!opened.ok) return leaveStage(pen, stage, contract, { outcome: 'failed', because: opened.error });
  const terms = opened.value;
  const digest = approvalDigest({
    action,
    arguments: stage.visit,
    preImage: worldRoot(state.world),
    policySet: policyInForce(state, law),
    writ: writId(writ),
  });
  write(
    pen,
    judgement('approval.requested', {
      request: nextId(state, 'request'),
      proposal: null,
      subject: 'stage',
      stage: stage.id,
      digest,
      action,
      terms,
      because: { code: 'stage.approvalRequired', message: `the blueprint wants the result of stage ${stage.id} approved` },
      rule: null,
      until: after(pen.at, terms.ttlMs),
    }),
  );
}
