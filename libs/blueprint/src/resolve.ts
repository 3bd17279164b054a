/**
 * Fills in every default and resolves every name: routes, actions, toolsets, artifacts, commands. Must never leave a name for the run to find
 * missing. OPENEXEC §1.3, §1.4; MECHANICS part 2.
 */

import type { ActionContract, Blueprint, CheckedBlueprint, CheckedStage, ConfiguredCommand } from '@openexec/protocol';
import { type BlueprintProblem, type BlueprintProblemCode, hint } from './problems.ts';

/** What a blueprint may name. */
export interface BlueprintContext {
  readonly actions: readonly Pick<ActionContract, 'name' | 'outputs' | 'command'>[];
  /** Names of the toolsets. */
  readonly toolsets: readonly string[];
  /** Commands by name; `none` is the recorded choice to have none, which skips the stages that run it. */
  readonly commands: Readonly<Record<string, ConfiguredCommand>>;
}

/** Where a route may end: finished, halted, waiting for a person. */
export const TERMINALS = ['done', 'fail', 'paused'] as const;
/** What an agent stage can give: the runtime's own diff since the stage began. */
export const AGENT_OUTPUTS: readonly string[] = ['patch'];

/** Executions per visit (`retry_limit: 2` is one try and one more). */
const RETRY_LIMIT = 2;
/** Entries of a stage per run; every cycle has this cap at least. */
const VISIT_LIMIT = 3;
const TURN_LIMIT = 24;

type WrittenStage = Blueprint['stages'][number];

/** The blueprint with every default filled in. Routes are taken as written: see {@link nameProblems}. */
export function fillDefaults(written: Blueprint): CheckedBlueprint {
  return {
    version: 1,
    name: written.name,
    description: written.description ?? '',
    approvalMode: written.defaults?.approval_mode ?? 'on_risky_actions',
    stages: written.stages.map((stage, index) => fillStage(stage, written, written.stages[index + 1]?.id ?? 'done')),
  };
}

function fillStage(stage: WrittenStage, { defaults }: Blueprint, next: string): CheckedStage {
  const common = {
    id: stage.id,
    inputs: [...(stage.inputs ?? [])],
    outputs: [...(stage.outputs ?? [])],
    onSuccess: stage.on_success ?? next,
    onFailure: stage.on_failure ?? 'fail',
    retryLimit: stage.retry_limit ?? defaults?.max_step_retries ?? RETRY_LIMIT,
    visitLimit: stage.visit_limit ?? defaults?.max_stage_visits ?? VISIT_LIMIT,
    approvalRequired: stage.approval_required ?? false,
    // Who says nothing gets the least.
    sandbox: stage.sandbox ?? defaults?.sandbox ?? ('read_only' as const),
    when: stage.when ?? null,
  };
  if (stage.type === 'deterministic') return { ...common, type: stage.type, action: stage.action, arguments: stage.arguments ?? {} };
  // An empty name is no toolset: nameProblems refuses it as missing.
  return {
    ...common,
    type: stage.type,
    goal: stage.goal,
    toolset: stage.toolset ?? defaults?.toolset ?? '',
    turnLimit: stage.turn_limit ?? TURN_LIMIT,
  };
}

/** Every name that stands for nothing, and every id that may not be one. */
export function nameProblems(checked: CheckedBlueprint, context: BlueprintContext): readonly BlueprintProblem[] {
  const produced = new Set(checked.stages.flatMap(({ outputs }) => outputs));
  return checked.stages.flatMap((stage, index) => [
    ...idProblems(stage, index, checked),
    ...routeProblems(stage, index, checked),
    ...(stage.type === 'deterministic' ? actionProblems(stage, index, context) : agentProblems(stage, index, context)),
    ...artifactProblems(stage, index, produced),
  ]);
}

function idProblems(stage: CheckedStage, index: number, { stages }: CheckedBlueprint): readonly BlueprintProblem[] {
  if (TERMINALS.some((terminal) => terminal === stage.id)) {
    return [problem('blueprint.reservedId', [index, 'id'], `stage ${stage.id}: ${TERMINALS.join(', ')} are where routes end, not stages`)];
  }
  const first = stages.findIndex(({ id }) => id === stage.id);
  if (first === index) return [];
  return [
    problem('blueprint.duplicateId', [index, 'id'], `stage ${stage.id} stands twice, at places ${first} and ${index}; give one another id`),
  ];
}

function routeProblems(stage: CheckedStage, index: number, { stages }: CheckedBlueprint): readonly BlueprintProblem[] {
  const known = [...stages.map(({ id }) => id), ...TERMINALS];
  const routes = [
    { key: 'on_success', to: stage.onSuccess },
    { key: 'on_failure', to: stage.onFailure },
  ];
  return routes
    .filter(({ to }) => !known.includes(to))
    .map(({ key, to }) => {
      const said = `stage ${stage.id}: ${key} leads to ${to}, which is no stage${hint(to, known)}; define it, or end at ${TERMINALS.join(', ')}`;
      return problem('blueprint.unknownStage', [index, key], said);
    });
}

function actionProblems(
  stage: CheckedStage & { type: 'deterministic' },
  index: number,
  context: BlueprintContext,
): readonly BlueprintProblem[] {
  const contract = context.actions.find(({ name }) => name === stage.action);
  if (contract === undefined) {
    const names = context.actions.map(({ name }) => name);
    const said = `stage ${stage.id}: unknown action ${stage.action}${hint(stage.action, names)}; there are ${names.join(', ')}`;
    return [problem('blueprint.unknownAction', [index, 'action'], said)];
  }
  const problems = stage.outputs
    .filter((output) => !contract.outputs.includes(output))
    .map((output) => {
      const given = contract.outputs.length === 0 ? 'nothing' : contract.outputs.join(', ');
      const said = `stage ${stage.id}: action ${stage.action} gives ${given}, not ${output}${hint(output, contract.outputs)}`;
      return problem('blueprint.unknownArtifact', [index, 'outputs', stage.outputs.indexOf(output)], said);
    });
  if (contract.command === null || Object.hasOwn(context.commands, contract.command)) return problems;
  const said = `stage ${stage.id}: action ${stage.action} runs the command ${contract.command}, which is not configured; configure it, or write \`none\` to skip such stages`;
  return [...problems, problem('blueprint.commandNotConfigured', [index, 'action'], said)];
}

function agentProblems(stage: CheckedStage & { type: 'agent' }, index: number, context: BlueprintContext): readonly BlueprintProblem[] {
  const problems = stage.outputs
    .filter((output) => !AGENT_OUTPUTS.includes(output))
    .map((output) => {
      const said = `stage ${stage.id}: an agent stage gives ${AGENT_OUTPUTS.join(', ')}, not ${output}${hint(output, AGENT_OUTPUTS)}`;
      return problem('blueprint.unknownArtifact', [index, 'outputs', stage.outputs.indexOf(output)], said);
    });
  if (context.toolsets.includes(stage.toolset)) return problems;
  if (stage.toolset === '') {
    return [
      ...problems,
      problem('blueprint.missingToolset', [index], `stage ${stage.id}: an agent stage names a toolset, here or in defaults`),
    ];
  }
  const said = `stage ${stage.id}: unknown toolset ${stage.toolset}${hint(stage.toolset, context.toolsets)}; there are ${context.toolsets.join(', ')}`;
  return [...problems, problem('blueprint.unknownToolset', [index, 'toolset'], said)];
}

function artifactProblems(stage: CheckedStage, index: number, produced: ReadonlySet<string>): readonly BlueprintProblem[] {
  const named = stage.inputs.map((name, at) => ({ name, path: [index, 'inputs', at] }));
  if (stage.when !== null) named.push({ name: stage.when.artifact, path: [index, 'when', 'artifact'] });
  return named
    .filter(({ name }) => !produced.has(name))
    .map(({ name, path }) =>
      problem('blueprint.unknownArtifact', path, `stage ${stage.id}: no stage gives ${name}${hint(name, [...produced])}`),
    );
}

/** A problem at a place inside `stages`. */
export function problem(code: BlueprintProblemCode, path: readonly (string | number)[], message: string): BlueprintProblem {
  return { code, message, path: ['stages', ...path] };
}
