/**
 * From an observation to a commit: postconditions first, then the delta to the world, its root, the artifacts and the settlement. What was not
 * declared is rejected, not recorded as if it had been meant (PROTOCOL §§4.3, 8, 9).
 */

import { matchPath } from '@openexec/authority';
import type { Json } from '@openexec/canon';
import { isMasked, pathsOf } from '@openexec/catalogue';
import type { ActionContract, ArtifactRef, DeltaStep, ExecutionObserved, FileChange, Reason } from '@openexec/protocol';
import { fileChange } from '@openexec/protocol';
import { inlineOrParsed } from './blobs.ts';
import { ONE_CALL, policyInForce } from './compile.ts';
import { inlineOrBlob, judgement, nextId } from './emit.ts';
import { type Pen, write } from './pen.ts';
import { committedOid } from './precondition.ts';
import { keepsChanges, kvStep } from './resolve.ts';
import type { IntentState, RunState } from './state.ts';
import { bounded } from './text.ts';
import { committedListing } from './tree.ts';
import { applyDelta, lookUp, worldRoot } from './world.ts';

/** The changes of an observation, read from its inline list or its hydrated blob; null where they cannot be read. */
export function changesOf(pen: Pen, observed: ExecutionObserved): readonly FileChange[] | null {
  const json = inlineOrParsed(observed.changes, pen.state.fact?.event.blobs ?? new Map());
  const list = fileChange.array().safeParse(json);
  return list.success ? list.data : null;
}

/** What an action may change: the paths of its arguments; of a command whose changes stay, the patterns that it was started with. */
function declaredBy(contract: ActionContract, intent: IntentState): (path: string) => boolean {
  if (contract.writes !== 'declared') return () => false;
  if (keepsChanges(contract)) {
    const patterns = startedWith(intent, 'writePaths');
    const list = Array.isArray(patterns) ? patterns.filter((each) => typeof each === 'string') : [];
    return (path) => list.some((pattern) => matchPath(pattern, path));
  }
  const paths = pathsOf(contract, intent.arguments);
  const declared = new Set(paths.ok ? paths.value.write : []);
  return (path) => declared.has(path);
}

function undeclared(contract: ActionContract, intent: IntentState, changes: readonly FileChange[]): Reason | null {
  if (changes.length === 0) return null;
  const declared = declaredBy(contract, intent);
  const beyond = changes.filter((change) => !declared(change.path));
  return beyond.length === 0
    ? null
    : {
        code: 'effect.undeclared',
        message: `${contract.name} changed what it did not declare: ${beyond
          .slice(0, 5)
          .map((change) => change.path)
          .join(', ')}`,
      };
}

function preImage(state: RunState, changes: readonly FileChange[]): Reason | null {
  for (const change of changes) {
    const known = committedOid(state, change.path);
    if (known !== change.before)
      return {
        code: 'postcondition.preImage',
        message: `${change.path} was ${change.before ?? 'absent'} when it was changed, but the committed state has ${known ?? 'nothing'}`,
      };
  }
  return null;
}

/** A created file may not stand below a file: no tree holds both. */
function treeConflict(state: RunState, changes: readonly FileChange[]): Reason | null {
  const after = new Map(changes.map((change) => [change.path, change.after !== null]));
  const created = changes.filter((change) => change.before === null && change.after !== null);
  if (created.length === 0) return null;
  const stands = (path: string): boolean => after.get(path) ?? committedOid(state, path) !== null;
  for (const { path } of created) {
    const names = path.split('/');
    const above = names.map((_, depth) => names.slice(0, depth).join('/')).find((folder) => folder !== '' && stands(folder));
    if (above !== undefined) return { code: 'postcondition.treeConflict', message: `${path} cannot stand below the file ${above}` };
  }
  return null;
}

/** A member of the input that the execution was started with. */
function startedWith(intent: IntentState, name: string): Json | undefined {
  const input = intent.execution?.input;
  return typeof input === 'object' && input !== null && !Array.isArray(input)
    ? (input as { readonly [key: string]: Json })[name]
    : undefined;
}

/** What could not be seen cannot be copied: its very content under another name was moved there by a command that keeps its changes. */
function unmasked(state: RunState, intent: IntentState, changes: readonly FileChange[]): Reason | null {
  const masked = intent.execution?.masked ?? [];
  if (masked.length === 0 || changes.length === 0) return null;
  const hidden = (path: string): boolean => isMasked(masked, path);
  const listing = committedListing(state);
  const secret = new Set(listing.flatMap(({ path, oid }) => (hidden(path) ? [oid] : [])));
  for (const { path, oid } of listing) if (!hidden(path)) secret.delete(oid);
  const moved = changes.find(({ path, after }) => after !== null && after.bytes > 0 && secret.has(after.oid) && !hidden(path));
  return moved === undefined
    ? null
    : {
        code: 'postcondition.masked',
        message: `${moved.path} holds what a file holds that may not be read; nothing that is masked may be moved to where it can be seen`,
      };
}

/** A landing must have produced the very commit that the ledger had computed beforehand. */
function landedElsewhere(intent: IntentState, observed: ExecutionObserved): Reason | null {
  const expected = startedWith(intent, 'commit');
  if (intent.action !== 'commit_changes' || observed.landed?.commit === expected) return null;
  return {
    code: 'postcondition.commit',
    message: `the branch holds ${observed.landed?.commit ?? 'nothing'}; the ledger computed ${typeof expected === 'string' ? expected : 'none'}`,
  };
}

/** Steps that bring the world's files to what was observed. A file of the base tree enters the world with its first change. */
function fileSteps(state: RunState, changes: readonly FileChange[]): DeltaStep[] {
  const steps: DeltaStep[] = [];
  for (const change of changes) {
    const known = lookUp(state.world, 'file', change.path);
    const live = known !== undefined && !known.retracted;
    const version = known?.version ?? 0;
    const named = { kind: 'file', id: change.path };
    if (change.after !== null) steps.push({ op: live ? 'replace' : 'create', ...named, version, value: { ...change.after } });
    else if (live) steps.push({ op: 'retract', ...named, version });
    else if (change.before !== null)
      steps.push({ op: 'create', ...named, version, value: { base: change.before } }, { op: 'retract', ...named, version: version + 1 });
  }
  return steps;
}

function landingSteps(state: RunState, observed: ExecutionObserved): DeltaStep[] {
  const landed = observed.landed;
  if (landed === null) return [];
  const known = lookUp(state.world, 'branch', landed.ref);
  return [
    {
      op: known === undefined || known.retracted ? 'create' : 'replace',
      kind: 'branch',
      id: landed.ref,
      version: known?.version ?? 0,
      value: { commit: landed.commit, tree: landed.tree },
    },
  ];
}

function artifactsOf(state: RunState, contract: ActionContract, observed: ExecutionObserved): ArtifactRef[] {
  return observed.artifacts
    .filter((artifact) => contract.outputs.includes(artifact.name))
    .map((artifact) => ({ name: artifact.name, version: (state.versions[artifact.name] ?? 0) + 1, blob: artifact.blob }));
}

/** Records the commit of an observed execution, or rejects it where a postcondition fails. */
export function recordCommit(pen: Pen, intent: IntentState, contract: ActionContract, observed: ExecutionObserved): void {
  const { state } = pen;
  const proposal = intent.proposal;
  const execution = intent.execution;
  if (proposal === null || execution === null || intent.decision === null) throw new Error('kernel: an observed intent has no proposal');
  const changes = changesOf(pen, observed);
  const problem =
    changes === null
      ? { code: 'observation.invalid', message: 'the list of changes cannot be read' }
      : (undeclared(contract, intent, changes) ??
        unmasked(state, intent, changes) ??
        preImage(state, changes) ??
        treeConflict(state, changes) ??
        landedElsewhere(intent, observed));
  const kept = contract.name === 'kv_set' && observed.status === 'ok' ? [kvStep(state, intent.arguments)] : [];
  const steps = [...fileSteps(state, changes ?? []), ...landingSteps(state, observed), ...kept];
  const applied = applyDelta(state.world, steps, state.nextSeq);
  if (problem !== null || !('world' in applied)) {
    const because = problem ?? { code: 'postcondition.version', message: 'the delta does not fit the world' };
    return write(
      pen,
      judgement('proposal.rejected', { proposal, intent: intent.intent, at: 'postcondition', because: bounded(because), rule: null }),
    );
  }
  const held = inlineOrBlob(steps);
  write(
    pen,
    judgement(
      'commit.recorded',
      {
        commit: nextId(state, 'commit'),
        proposal,
        execution: execution.id,
        decision: intent.decision.id,
        delta: 'inline' in held.value ? { inline: steps } : held.value,
        worldRoot: worldRoot(applied.world),
        policySet: policyInForce(state, pen.law),
        settled: ONE_CALL,
        artifacts: artifactsOf(state, contract, observed),
        landed: observed.landed,
      },
      held.blobs,
    ),
  );
}
