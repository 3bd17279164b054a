/**
 * What the graph says: which stages can be reached, that a route leads out, and that each input exists on every path to its reader. Must never
 * assume that a stage which may be skipped has given anything. OPENEXEC §1.12, MECHANICS part 2.
 */

import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import { type BlueprintProblem, problem } from './problems.ts';
import type { BlueprintContext } from './resolve.ts';

/** One way from a stage to a stage, and the artifacts that surely (or perhaps) exist once it was taken, besides those that existed before. */
interface Edge {
  readonly from: CheckedStage;
  readonly kind: 'success' | 'failure';
  readonly to: string;
  readonly gives: readonly string[];
  readonly mayGive: readonly string[];
}
/** What exists when a stage is reached: on every way there, and on some way there. A stage that no route reaches is in neither. */
export interface ArtifactFlow {
  readonly sure: ReadonlyMap<string, ReadonlySet<string>>;
  readonly possible: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The artifacts at each stage that can be reached, over all ways through the graph. */
export function artifactFlow(checked: CheckedBlueprint, context: BlueprintContext): ArtifactFlow {
  const edges = checked.stages.flatMap((stage) => edgesOf(stage, context));
  const reached = reachable(checked, edges);
  return { sure: sureArtifacts(checked, edges, reached), possible: possibleArtifacts(edges, reached) };
}

/** Problems of the graph; asked only once all names are known to resolve. */
export function flowProblems(checked: CheckedBlueprint, context: BlueprintContext): readonly BlueprintProblem[] {
  const edges = checked.stages.flatMap((stage) => edgesOf(stage, context));
  const reached = reachable(checked, edges);
  const unreached = checked.stages.flatMap((stage, index) => {
    return reached.has(stage.id)
      ? []
      : [problem('blueprint.unreachable', [index], `stage ${stage.id}: no route leads here; remove it, or route to it`)];
  });
  return [
    ...unreached,
    ...exitProblems(checked, edges, { reached, context }),
    ...inputProblems(checked, edges, reached),
    ...conditionProblems(checked, artifactFlow(checked, context)),
  ];
}

/**
 * A condition on what no way here gives can never hold: a mistake, whatever was meant. That an artifact is missing can always be, because a check that
 * was broken off gives no report.
 */
function conditionProblems(checked: CheckedBlueprint, { possible }: ArtifactFlow): readonly BlueprintProblem[] {
  return checked.stages.flatMap((stage, index) => {
    const { when } = stage;
    if (when === null || ('exists' in when && !when.exists) || possible.get(stage.id)?.has(when.artifact) !== false) return [];
    const said = `stage ${stage.id}: no way here gives ${when.artifact}, so its condition can never hold and the stage would always be skipped`;
    return [problem('blueprint.conditionNever', [index, 'when', 'artifact'], said)];
  });
}

/**
 * A check gives its report whether it passes or fails; an agent that failed has given nothing. A stage that may be skipped (a condition, or a
 * command configured as `none`) counts as success without its outputs; one that failed was not skipped.
 */
function edgesOf(stage: CheckedStage, context: BlueprintContext): readonly Edge[] {
  const onFailure = stage.type === 'deterministic' ? stage.outputs : [];
  return [
    {
      from: stage,
      kind: 'success',
      to: stage.onSuccess,
      gives: maySkip(stage, context) ? [] : stage.outputs,
      mayGive: mustSkip(stage, context) ? [] : stage.outputs,
    },
    { from: stage, kind: 'failure', to: stage.onFailure, gives: onFailure, mayGive: onFailure },
  ];
}

function maySkip(stage: CheckedStage, context: BlueprintContext): boolean {
  return stage.when !== null || mustSkip(stage, context);
}

function mustSkip(stage: CheckedStage, context: BlueprintContext): boolean {
  if (stage.type === 'agent') return false;
  const command = context.actions.find(({ name }) => name === stage.action)?.command ?? null;
  return command !== null && context.commands[command] === 'none';
}

function reachable(checked: CheckedBlueprint, edges: readonly Edge[]): ReadonlySet<string> {
  const entry = checked.stages[0];
  const reached = new Set(entry === undefined ? [] : [entry.id]);
  // A set's iteration goes on to what is added meanwhile.
  for (const id of reached) for (const { from, to } of edges) if (from.id === id && isStage(checked, to)) reached.add(to);
  return reached;
}

/**
 * Every cycle has a cap (each stage has a visit limit), but a cycle that only its cap can end is a mistake. A stage whose command is configured as
 * `none` never fails, so what only its failure would end does not end.
 */
function exitProblems(
  checked: CheckedBlueprint,
  edges: readonly Edge[],
  { reached, context }: { readonly reached: ReadonlySet<string>; readonly context: BlueprintContext },
): readonly BlueprintProblem[] {
  const taken = edges.filter(({ from, kind }) => kind === 'success' || !mustSkip(from, context));
  const live = reachable(checked, taken);
  const everLeaving = leavingOf(checked, edges);
  const leaving = leavingOf(checked, taken);
  const stuck = checked.stages.flatMap((stage, index) => {
    if (!reached.has(stage.id) || (leaving.has(stage.id) && everLeaving.has(stage.id))) return [];
    if (everLeaving.has(stage.id) && !live.has(stage.id)) return [];
    const why = everLeaving.has(stage.id) ? ' while a command on the way is configured as none' : '';
    return [problem('blueprint.noWayOut', [index], `stage ${stage.id}: no route from here ends${why}; route to done, fail or paused`)];
  });
  const leadsTo = (some: readonly Edge[], among: ReadonlySet<string>): boolean =>
    some.some(({ from, to }) => to === 'done' && among.has(from.id));
  if (stuck.length > 0 || leadsTo(taken, live)) return stuck;
  const why = leadsTo(edges, reached) ? ' while a command on the way is configured as none' : '';
  return [{ code: 'blueprint.noWayOut', message: `no route leads to done${why}: the run could never succeed`, path: ['stages'] }];
}

/** Stages from which some route ends, over these edges. */
function leavingOf(checked: CheckedBlueprint, edges: readonly Edge[]): ReadonlySet<string> {
  const leaving = new Set(edges.filter(({ to }) => !isStage(checked, to)).map(({ from }) => from.id));
  for (const id of leaving) for (const { from, to } of edges) if (to === id) leaving.add(from.id);
  return leaving;
}

function inputProblems(checked: CheckedBlueprint, edges: readonly Edge[], reached: ReadonlySet<string>): readonly BlueprintProblem[] {
  const sure = sureArtifacts(checked, edges, reached);
  return checked.stages.flatMap((stage, index) => {
    const given = sure.get(stage.id);
    if (given === undefined) return [];
    return stage.inputs.flatMap((name, at) => {
      if (given.has(name)) return [];
      const said = `stage ${stage.id}: it reads ${name}, which does not exist when it is reached ${wayWithout(stage.id, name, checked, edges, sure)}`;
      return [problem('blueprint.inputMissing', [index, 'inputs', at], said)];
    });
  });
}

/** Which artifacts exist on every path to each reached stage: the greatest solution, by narrowing until nothing changes. */
function sureArtifacts(
  checked: CheckedBlueprint,
  edges: readonly Edge[],
  reached: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const all = checked.stages.flatMap(({ outputs }) => outputs);
  const sure = new Map<string, ReadonlySet<string>>();
  for (const id of reached) sure.set(id, new Set(all));
  const entry = checked.stages[0];
  if (entry !== undefined) sure.set(entry.id, new Set());
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to, gives } of edges) {
      const before = sure.get(from.id);
      const after = sure.get(to);
      if (before === undefined || after === undefined) continue;
      const kept = new Set([...after].filter((name) => before.has(name) || gives.includes(name)));
      if (kept.size === after.size) continue;
      sure.set(to, kept);
      changed = true;
    }
  }
  return sure;
}

/** Which artifacts exist on some way to each reached stage: the least solution, by widening until nothing changes. */
function possibleArtifacts(edges: readonly Edge[], reached: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  const possible = new Map([...reached].map((id) => [id, new Set<string>()]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to, mayGive } of edges) {
      const before = possible.get(from.id);
      const after = possible.get(to);
      if (before === undefined || after === undefined) continue;
      for (const name of [...before, ...mayGive]) {
        changed ||= !after.has(name);
        after.add(name);
      }
    }
  }
  return possible;
}

/** `from <stage> on success`, or `first`: one way on which the artifact is missing. */
function wayWithout(
  id: string,
  name: string,
  checked: CheckedBlueprint,
  edges: readonly Edge[],
  sure: ReadonlyMap<string, ReadonlySet<string>>,
): string {
  if (checked.stages[0]?.id === id) return 'first';
  const edge = edges.find(({ from, to, gives }) => to === id && sure.get(from.id)?.has(name) === false && !gives.includes(name));
  if (edge === undefined) return 'on some path';
  return `from ${edge.from.id} on ${edge.kind}`;
}

function isStage(checked: CheckedBlueprint, id: string): boolean {
  return checked.stages.some((stage) => stage.id === id);
}
