/**
 * Blueprints: from parsed data to a checked stage graph, conditions, and drawings. Pure; the model never chooses a route. OPENEXEC §1.
 */
export { checkBlueprint, stageOf } from './check.ts';
export { type Artifacts, evaluateCondition } from './condition.ts';
export { blueprintGraph, GRAPH_FORMATS, type GraphFormat } from './graph.ts';
export { modeAllows } from './mode.ts';
export type { BlueprintProblem, BlueprintProblemCode } from './problems.ts';
export { AGENT_OUTPUTS, type BlueprintContext, TERMINALS } from './resolve.ts';
