/**
 * What a run of a blueprint needs at most, for its writ: the actions its stages and toolsets name, their effects, and the widest sandbox mode. Must
 * never add what the blueprint does not name (PROTOCOL §5).
 */
import type { ActionContract, CheckedBlueprint, Effect, SandboxMode, Toolsets } from '@openexec/protocol';
import { EFFECTS } from '@openexec/protocol';

/** What a blueprint needs at most. */
export interface Grant {
  /** Exact action names, sorted. */
  readonly actions: readonly string[];
  readonly ceiling: readonly Effect[];
  readonly mode: SandboxMode;
  /** Whether any stage asks a model. */
  readonly asksModel: boolean;
}

/** From the narrowest to the widest. */
const MODES: readonly SandboxMode[] = ['read_only', 'workspace_write', 'repo_write'];
const ASK = 'model.ask';

/** The least grant under which every stage of the blueprint, and of those that it delegates to, can do its work. */
export function grantOf(options: {
  readonly blueprint: CheckedBlueprint;
  /** Blueprints of child runs: nothing can be handed on that the run itself does not hold. */
  readonly delegates?: readonly CheckedBlueprint[];
  readonly toolsets: Toolsets;
  readonly actions: readonly ActionContract[];
}): Grant {
  const { blueprint, delegates = [], toolsets, actions } = options;
  const stages = [blueprint, ...delegates].flatMap((each) => each.stages);
  const asksModel = stages.some((stage) => stage.type === 'agent');
  const named = stages.flatMap((stage) => (stage.type === 'agent' ? [ASK, ...(toolsets[stage.toolset] ?? [])] : [stage.action]));
  const wanted = new Set(named);
  const contracts = actions.filter((action) => wanted.has(action.name));
  const mode = stages.reduce<SandboxMode>(
    (widest, stage) => (MODES.indexOf(stage.sandbox) > MODES.indexOf(widest) ? stage.sandbox : widest),
    'read_only',
  );
  return {
    actions: [...wanted].sort(),
    ceiling: EFFECTS.filter((effect) => contracts.some((contract) => contract.effect === effect)),
    mode,
    asksModel,
  };
}
