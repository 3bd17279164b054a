/**
 * A checked blueprint as text, for people. Must show every route and every limit, defaults included. CLI `blueprint graph`.
 */
import type { CheckedBlueprint } from '@openexec/protocol';
import { conditionOf, counted, workOf } from './words.ts';

/** One paragraph per stage; lines end with a line feed. */
export function blueprintText(checked: CheckedBlueprint): string {
  const lines = [
    `${checked.name} (approvals: ${checked.approvalMode}${checked.scope === 'declared' ? '; declared write paths only' : ''})`,
  ];
  for (const stage of checked.stages) {
    const caps = `at most ${counted(stage.visitLimit, 'visit', 'visits')} of ${counted(stage.retryLimit, 'try', 'tries')}`;
    lines.push(`${stage.id}: ${workOf(stage)} [${stage.sandbox}, ${caps}]`);
    if (stage.when !== null) lines.push(`  when ${conditionOf(stage.when)}, else skipped`);
    if (stage.inputs.length > 0 || stage.outputs.length > 0)
      lines.push(`  ${stage.inputs.join(', ') || '-'} -> ${stage.outputs.join(', ') || '-'}`);
    if (stage.type === 'agent' && stage.protect !== undefined) lines.push(`  writes nothing named ${stage.protect.join(', ')}`);
    if (stage.approvalRequired) lines.push('  its result wants approval');
    lines.push(`  success: ${stage.onSuccess}, failure: ${stage.onFailure}`);
  }
  return `${lines.join('\n')}\n`;
}
