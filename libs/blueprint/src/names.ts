/**
 * Every name of a blueprint that stands for nothing, and every use that its action, toolset or mode does not allow. Must never leave a name for the
 * run to find missing. OPENEXEC §1.4, §1.12; MECHANICS part 2.
 */
import type { ActionContract, CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import { ASK_ACTION, DELEGATE_ACTION, modeAllows, modeFor } from './mode.ts';
import { type BlueprintProblem, hint, problem } from './problems.ts';
import { AGENT_OUTPUTS, type BlueprintContext, TERMINALS } from './resolve.ts';

type Problems = readonly BlueprintProblem[];
type Deterministic = Extract<CheckedStage, { type: 'deterministic' }>;
type Agent = Extract<CheckedStage, { type: 'agent' }>;

/** Problems of names; asked once the shape is right. */
export function nameProblems(checked: CheckedBlueprint, context: BlueprintContext): Problems {
  const produced = new Set(checked.stages.flatMap(({ outputs }) => outputs));
  return checked.stages.flatMap((stage, index) => [
    ...idProblems(stage, index, checked),
    ...routeProblems(stage, index, checked),
    ...(stage.type === 'deterministic' ? actionProblems(stage, index, context) : agentProblems(stage, index, context)),
    ...delegateProblems(stage, index, { checked, context }),
    ...artifactProblems(stage, index, produced),
    ...conditionProblems(stage, index),
  ]);
}

function idProblems(stage: CheckedStage, index: number, { stages }: CheckedBlueprint): Problems {
  if (TERMINALS.some((terminal) => terminal === stage.id)) {
    return [problem('blueprint.reservedId', [index, 'id'], `stage ${stage.id}: ${TERMINALS.join(', ')} are where routes end, not stages`)];
  }
  const first = stages.findIndex(({ id }) => id === stage.id);
  if (first === index) return [];
  return [
    problem('blueprint.duplicateId', [index, 'id'], `stage ${stage.id} stands twice, at places ${first} and ${index}; give one another id`),
  ];
}

function routeProblems(stage: CheckedStage, index: number, { stages }: CheckedBlueprint): Problems {
  const known = [...stages.map(({ id }) => id), ...TERMINALS];
  const routes = [
    { key: 'on_success', to: stage.onSuccess },
    { key: 'on_failure', to: stage.onFailure },
  ];
  return routes.flatMap(({ key, to }) => {
    if (!known.includes(to)) {
      const said = `stage ${stage.id}: ${key} leads to ${to}, which is no stage${hint(to, known)}; define it, or end at ${TERMINALS.join(', ')}`;
      return [problem('blueprint.unknownStage', [index, key], said)];
    }
    // Nothing changed since: only another conversation of a model can make the same stage end otherwise.
    if (to !== stage.id || (stage.type === 'agent' && key === 'on_failure')) return [];
    const said = `stage ${stage.id}: ${key} leads to the stage itself, where nothing would be different; use retry_limit for tries of the same stage`;
    return [problem('blueprint.selfRoute', [index, key], said)];
  });
}

function actionProblems(stage: Deterministic, index: number, context: BlueprintContext): Problems {
  const offered = context.actions.filter(({ name }) => name !== ASK_ACTION);
  const contract = offered.find(({ name }) => name === stage.action);
  if (stage.action === ASK_ACTION) {
    const said = `stage ${stage.id}: ${ASK_ACTION} is what an agent stage does by itself; write a stage of type agent`;
    return [problem('blueprint.actionNotAllowed', [index, 'action'], said)];
  }
  if (contract === undefined) {
    const names = offered.map(({ name }) => name);
    const said = `stage ${stage.id}: unknown action ${stage.action}${hint(stage.action, names)}; there are ${names.join(', ')}`;
    return [problem('blueprint.unknownAction', [index, 'action'], said)];
  }
  return [
    ...outputProblems(stage, index, { outputs: contract.outputs, who: `action ${stage.action}` }),
    ...modeProblems(stage, index, contract),
    ...argumentProblems(stage, index, { context, contract }),
    ...commandProblems(stage, index, { context, contract }),
  ];
}

/** Whoever may delegate says to which blueprints. */
function delegateProblems(
  stage: CheckedStage,
  index: number,
  { checked, context }: { readonly checked: CheckedBlueprint; readonly context: BlueprintContext },
): Problems {
  if (checked.delegates !== undefined) return [];
  const agent = stage.type === 'agent';
  const offered = agent ? (Object.hasOwn(context.toolsets, stage.toolset) ? (context.toolsets[stage.toolset] ?? []) : []) : [stage.action];
  if (!offered.includes(DELEGATE_ACTION)) return [];
  const said = `stage ${stage.id}: ${DELEGATE_ACTION} needs blueprints to delegate to; name them in delegates, beside stages`;
  return [problem('blueprint.actionNotAllowed', [index, agent ? 'toolset' : 'action'], said)];
}

function outputProblems(stage: CheckedStage, index: number, made: { readonly outputs: readonly string[]; readonly who: string }): Problems {
  const given = made.outputs.length === 0 ? 'nothing' : made.outputs.join(', ');
  return stage.outputs.flatMap((output, at) => {
    if (made.outputs.includes(output)) return [];
    const said = `stage ${stage.id}: ${made.who} gives ${given}, not ${output}${hint(output, made.outputs)}`;
    return [problem('blueprint.unknownArtifact', [index, 'outputs', at], said)];
  });
}

function modeProblems(stage: Deterministic, index: number, contract: ActionContract): Problems {
  if (modeAllows(stage.sandbox, contract)) return [];
  const said = `stage ${stage.id}: ${contract.name} is not allowed in ${stage.sandbox}; it needs sandbox: ${modeFor(contract)}`;
  return [problem('blueprint.actionNotAllowed', [index, 'sandbox'], said)];
}

interface Contracted {
  readonly context: BlueprintContext;
  readonly contract: ActionContract;
}

function argumentProblems(stage: Deterministic, index: number, { context, contract }: Contracted): Problems {
  const found = context.argumentProblem(contract, stage.arguments);
  if (found === null) return [];
  // A JSON pointer, into the parsed file: its members under `arguments`.
  const steps = found.path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
  const named = steps.length === 0 ? '' : `${steps.join('.')} `;
  return [
    problem(
      'blueprint.arguments',
      [index, 'arguments', ...steps],
      `stage ${stage.id}: arguments of ${contract.name}: ${named}${found.message}`,
    ),
  ];
}

function commandProblems(stage: Deterministic, index: number, { context, contract }: Contracted): Problems {
  if (contract.command === null || Object.hasOwn(context.commands, contract.command)) return [];
  const said = `stage ${stage.id}: action ${stage.action} runs the command ${contract.command}, which is not configured; configure it, or write \`none\` to skip such stages`;
  return [problem('blueprint.commandNotConfigured', [index, 'action'], said)];
}

function agentProblems(stage: Agent, index: number, context: BlueprintContext): Problems {
  const problems = outputProblems(stage, index, { outputs: AGENT_OUTPUTS, who: 'an agent stage' });
  if (stage.toolset === '') {
    const said = `stage ${stage.id}: an agent stage names a toolset, here or in defaults`;
    return [...problems, problem('blueprint.missingToolset', [index], said)];
  }
  const known = Object.keys(context.toolsets);
  const offered = Object.hasOwn(context.toolsets, stage.toolset) ? context.toolsets[stage.toolset] : undefined;
  if (offered === undefined) {
    const said = `stage ${stage.id}: unknown toolset ${stage.toolset}${hint(stage.toolset, known)}; there are ${known.join(', ')}`;
    return [...problems, problem('blueprint.unknownToolset', [index, 'toolset'], said)];
  }
  return [...problems, ...toolsetProblems(stage, index, { context, offered })];
}

/** A model would be shown what the mode of its stage then refuses every time. */
function toolsetProblems(
  stage: Agent,
  index: number,
  { context, offered }: { readonly context: BlueprintContext; readonly offered: readonly string[] },
): Problems {
  const names = context.actions.map(({ name }) => name);
  return offered.flatMap((name) => {
    const contract = context.actions.find((action) => action.name === name);
    if (contract === undefined) {
      const said = `stage ${stage.id}: toolset ${stage.toolset} offers ${name}, which is no action${hint(name, names)}`;
      return [problem('blueprint.unknownAction', [index, 'toolset'], said)];
    }
    if (modeAllows(stage.sandbox, contract)) return [];
    const said = `stage ${stage.id}: toolset ${stage.toolset} offers ${name}, which is not allowed in ${stage.sandbox}; use another toolset, or sandbox: ${modeFor(contract)}`;
    return [problem('blueprint.actionNotAllowed', [index, 'sandbox'], said)];
  });
}

function artifactProblems(stage: CheckedStage, index: number, produced: ReadonlySet<string>): Problems {
  const named: { readonly name: string; readonly path: readonly (string | number)[] }[] = stage.inputs.map((name, at) => ({
    name,
    path: [index, 'inputs', at],
  }));
  if (stage.when !== null) named.push({ name: stage.when.artifact, path: [index, 'when', 'artifact'] });
  const unknown = named.flatMap(({ name, path }) => {
    const said = `stage ${stage.id}: no stage gives ${name}${hint(name, [...produced])}`;
    return produced.has(name) ? [] : [problem('blueprint.unknownArtifact', path, said)];
  });
  return [...unknown, ...twice(stage, index, 'inputs'), ...twice(stage, index, 'outputs')];
}

function twice(stage: CheckedStage, index: number, key: 'inputs' | 'outputs'): Problems {
  return stage[key].flatMap((name, at) => {
    if (stage[key].indexOf(name) === at) return [];
    return [problem('blueprint.duplicateArtifact', [index, key, at], `stage ${stage.id}: ${name} stands twice in ${key}; keep one`)];
  });
}

/** Dotted names, as {@link evaluateCondition} walks them; anything else would quietly never hold. */
const FIELD = /^[^.\s\0]+(\.[^.\s\0]+)*$/;

function conditionProblems(stage: CheckedStage, index: number): Problems {
  const { when } = stage;
  if (when === null || 'exists' in when) return [];
  const problems: BlueprintProblem[] = [];
  if (!FIELD.test(when.field)) {
    const said = `stage ${stage.id}: ${JSON.stringify(when.field)} is no field; write names joined by dots, such as counts.failed`;
    problems.push(problem('blueprint.condition', [index, 'when', 'field'], said));
  }
  if (typeof when.eq === 'object' && when.eq !== null) {
    const said = `stage ${stage.id}: a condition compares with a text, a number, true, false or null, not with ${Array.isArray(when.eq) ? 'a list' : 'an object'}`;
    problems.push(problem('blueprint.condition', [index, 'when', 'eq'], said));
  }
  return problems;
}
