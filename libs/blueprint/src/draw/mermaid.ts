/**
 * A checked blueprint as a Mermaid flowchart. Must never let a name of the blueprint become a word of Mermaid's. CLI `blueprint graph`.
 */
import type { CheckedBlueprint } from '@openexec/protocol';
import { TERMINALS } from '../resolve.ts';

/** The flowchart; lines end with a line feed. Nodes are numbered, so that no id can be a word of Mermaid's. */
export function blueprintMermaid(checked: CheckedBlueprint): string {
  const ids = [...checked.stages.map(({ id }) => id), ...TERMINALS];
  const node = (id: string) => `n${ids.indexOf(id)}`;
  const used = new Set(checked.stages.flatMap(({ onSuccess, onFailure }) => [onSuccess, onFailure]));
  const lines = ['flowchart TD'];
  for (const stage of checked.stages) {
    const asks = stage.approvalRequired ? ' (wants approval)' : '';
    lines.push(`  ${node(stage.id)}${stage.type === 'agent' ? `(["${stage.id}${asks}"])` : `["${stage.id}: ${stage.action}${asks}"]`}`);
  }
  for (const terminal of TERMINALS) if (used.has(terminal)) lines.push(`  ${node(terminal)}(("${terminal}"))`);
  for (const stage of checked.stages) {
    lines.push(`  ${node(stage.id)} -->|success| ${node(stage.onSuccess)}`, `  ${node(stage.id)} -.->|failure| ${node(stage.onFailure)}`);
  }
  return `${lines.join('\n')}\n`;
}
