/**
 * A checked blueprint as text and as a Mermaid flowchart, for people. Must show every route, defaults included. CLI `blueprint show`.
 */

import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';

/** Both drawings of a blueprint; lines end with a line feed. */
export function blueprintGraph(checked: CheckedBlueprint): { readonly text: string; readonly mermaid: string } {
  return { text: textOf(checked), mermaid: mermaidOf(checked) };
}

function textOf(checked: CheckedBlueprint): string {
  const lines = [`${checked.name} (approvals: ${checked.approvalMode})`];
  for (const stage of checked.stages) {
    lines.push(`${stage.id}: ${workOf(stage)} [${stage.sandbox}, at most ${stage.visitLimit} visits of ${stage.retryLimit} tries]`);
    if (stage.when !== null) lines.push(`  when ${conditionOf(stage.when)}, else skipped`);
    if (stage.inputs.length > 0 || stage.outputs.length > 0)
      lines.push(`  ${stage.inputs.join(', ') || '-'} -> ${stage.outputs.join(', ') || '-'}`);
    if (stage.approvalRequired) lines.push('  its result wants approval');
    lines.push(`  success: ${stage.onSuccess}, failure: ${stage.onFailure}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Nodes are numbered, so that no id can be a word of Mermaid's. */
function mermaidOf(checked: CheckedBlueprint): string {
  const ids = [...checked.stages.map(({ id }) => id), 'done', 'fail', 'paused'];
  const node = (id: string) => `n${ids.indexOf(id)}`;
  const used = new Set(checked.stages.flatMap(({ onSuccess, onFailure }) => [onSuccess, onFailure]));
  const lines = ['flowchart TD'];
  for (const stage of checked.stages) {
    lines.push(`  ${node(stage.id)}${stage.type === 'agent' ? `(["${stage.id}"])` : `["${stage.id}: ${stage.action}"]`}`);
  }
  for (const terminal of ['done', 'fail', 'paused']) if (used.has(terminal)) lines.push(`  ${node(terminal)}(("${terminal}"))`);
  for (const stage of checked.stages) {
    lines.push(`  ${node(stage.id)} -->|success| ${node(stage.onSuccess)}`, `  ${node(stage.id)} -.->|failure| ${node(stage.onFailure)}`);
  }
  return `${lines.join('\n')}\n`;
}

function workOf(stage: CheckedStage): string {
  return stage.type === 'agent' ? `agent with ${stage.toolset}, at most ${stage.turnLimit} turns` : `action ${stage.action}`;
}

function conditionOf(when: NonNullable<CheckedStage['when']>): string {
  if ('exists' in when) return `${when.artifact} ${when.exists ? 'exists' : 'does not exist'}`;
  return `${when.artifact}.${when.field} is ${JSON.stringify(when.eq)}`;
}
