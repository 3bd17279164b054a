/**
 * The words that every drawing of a blueprint uses, so that text, Mermaid and SVG say the same of a stage. Must never say what the check did not fix.
 */
import type { CheckedStage } from '@openexec/protocol';

/** `action run_tests`, or what the agent works with. */
export function workOf(stage: CheckedStage): string {
  return stage.type === 'agent' ? `agent with ${stage.toolset}, at most ${stage.turnLimit} turns` : `action ${stage.action}`;
}

/** A condition as a sentence's second half. */
export function conditionOf(when: NonNullable<CheckedStage['when']>): string {
  if ('exists' in when) return `${when.artifact} ${when.exists ? 'exists' : 'does not exist'}`;
  return `${when.artifact}.${when.field} is ${JSON.stringify(when.eq)}`;
}

/** `1 visit`, `3 visits`. */
export function counted(count: number, one: string, more: string): string {
  return `${count} ${count === 1 ? one : more}`;
}
