/**
 * The one way from parsed data to a blueprint that may run. Must never let a run begin that could meet an unknown name, a missing input or an
 * endless loop. OPENEXEC §1.4 rule 1, §1.12.
 */

import { err, type Json, ok, type Result } from '@openexec/canon';
import type { CheckedBlueprint, CheckedStage } from '@openexec/protocol';
import { flowProblems } from './flow.ts';
import { nameProblems } from './names.ts';
import type { BlueprintProblem } from './problems.ts';
import { type BlueprintContext, fillDefaults } from './resolve.ts';
import { readShape } from './shape.ts';

/** The blueprint with defaults filled in and routes resolved, or every problem found: shape first, then names, then the graph. */
export function checkBlueprint(json: Json, context: BlueprintContext): Result<CheckedBlueprint, readonly BlueprintProblem[]> {
  const written = readShape(json);
  if (!written.ok) return written;
  const checked = fillDefaults(written.value);
  const unnamed = nameProblems(checked, context);
  if (unnamed.length > 0) return err(unnamed);
  const problems = flowProblems(checked, context);
  return problems.length === 0 ? ok(checked) : err(problems);
}

/** The stage of that id, or undefined (a terminal has none). */
export function stageOf(checked: CheckedBlueprint, id: string): CheckedStage | undefined {
  return checked.stages.find((stage) => stage.id === id);
}
