/**
 * What the graph says: which stages can be reached, that a route leads out, and that each input exists on every path to its reader. Must never
 * assume that a stage which may be skipped has given anything. OPENEXEC §1.12, MECHANICS part 2.
 */

import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import type { BlueprintProblem } from './problems.ts';
import { type BlueprintContext, problem } from './resolve.ts';

/** One way from a stage to a stage, and the artifacts that surely exist once it was taken, besides those that existed before. */
interface Edge {
  readonly from: CheckedStage;
  readonly to: string;
  readonly gives: readonly string[];
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
  return [...unreached, ...exitProblems(checked, edges, reached), ...inputProblems(checked, edges, reached)];
}

/**
 * A check gives its report whether it passes or fails; an agent that failed has given nothing. A stage that may be skipped (a condition, or a
 * command configured as `none`) counts as success without its outputs; one that failed was not skipped.
 */
function edgesOf(stage: CheckedStage, context: BlueprintContext): readonly Edge[] {
  const onFailure = stage.type === 'deterministic' ? stage.outputs : [];
  return [
    { from: stage, to: stage.onSuccess, gives: maySkip(stage, context) ? [] : stage.outputs },
    { from: stage, to: stage.onFailure, gives: onFailure },
  ];
}

function maySkip(stage: CheckedStage, context: BlueprintContext): boolean {
  if (stage.when !== null) return true;
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

/** Every cycle has a cap (each stage has a visit limit), but a cycle that only its cap can end is a mistake. */
function exitProblems(checked: CheckedBlueprint, edges: readonly Edge[], reached: ReadonlySet<string>): readonly BlueprintProblem[] {
  const leaving = new Set(edges.filter(({ to }) => !isStage(checked, to)).map(({ from }) => from.id));
  for (const id of leaving) for (const { from, to } of edges) if (to === id) leaving.add(from.id);
  const stuck = checked.stages.flatMap((stage, index) => {
    if (leaving.has(stage.id) || !reached.has(stage.id)) return [];
    return [problem('blueprint.noWayOut', [index], `stage ${stage.id}: no route from here ends; route to done, fail or paused`)];
  });
  if (stuck.length > 0 || edges.some(({ from, to }) => to === 'done' && reached.has(from.id))) return stuck;
  return [{ code: 'blueprint.noWayOut', message: 'no route leads to done: the run could never succeed', path: ['stages'] }];
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
  const success = edge.from.onSuccess === id && edges.find((other) => other.from === edge.from) === edge;
  return `from ${edge.from.id} on ${success ? 'success' : 'failure'}`;
}

function isStage(checked: CheckedBlueprint, id: string): boolean {
  return checked.stages.some((stage) => stage.id === id);
}
