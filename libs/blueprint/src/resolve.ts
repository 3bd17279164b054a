/**
 * Fills in every default: routes, limits, toolset, mode. Must never give more than was written; who says nothing gets the least. OPENEXEC §1.3,
 * MECHANICS part 2.
 */

import type { Json } from '@openexec/canon';
import type { ActionContract, Blueprint, CheckedBlueprint, CheckedStage, ConfiguredCommand, Toolsets } from '@openexec/protocol';

/** What a blueprint may name. */
export interface BlueprintContext {
  readonly actions: readonly ActionContract[];
  /** Which actions each toolset offers. */
  readonly toolsets: Toolsets;
  /** Commands by name; `none` is the recorded choice to have none, which skips the stages that run it. */
  readonly commands: Readonly<Record<string, ConfiguredCommand>>;
  /** What is wrong with the arguments of a deterministic stage (the catalogue's rule); `path` is a JSON pointer into them. */
  argumentProblem(action: ActionContract, value: Json): { readonly path: string; readonly message: string } | null;
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

/** The blueprint with every default filled in. Routes are taken as written: see `nameProblems`. */
export function fillDefaults(written: Blueprint): CheckedBlueprint {
  return {
    version: 1,
    name: written.name,
    description: written.description ?? '',
    approvalMode: written.defaults?.approval_mode ?? 'on_risky_actions',
    ...(written.scope === undefined ? {} : { scope: written.scope }),
    ...(written.delegates === undefined ? {} : { delegates: [...written.delegates] }),
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
  // A default protects too: a stage adds names and takes none away.
  const protect = [...new Set([...(defaults?.protect ?? []), ...(stage.protect ?? [])])];
  // An empty name is no toolset: nameProblems refuses it as missing.
  return {
    ...common,
    type: stage.type,
    goal: stage.goal,
    toolset: stage.toolset ?? defaults?.toolset ?? '',
    turnLimit: stage.turn_limit ?? TURN_LIMIT,
    ...(protect.length === 0 ? {} : { protect }),
  };
}
