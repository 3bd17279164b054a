/**
 * Conditions of stages: an artifact exists, or one of its fields equals a value. Must never evaluate anything else. MECHANICS part 2.
 */

import { canonicalText, type Json } from '@openexec/canon';
import type { StageCondition } from '@openexec/protocol';

/** The latest version of each artifact by name; a map will do. */
export interface Artifacts {
  has(name: string): boolean;
  /** The artifact as JSON, or undefined when it is missing or no JSON. */
  get(name: string): Json | undefined;
}

/** Whether the stage is entered. A missing artifact or field equals nothing, not even null. */
export function evaluateCondition(condition: StageCondition, artifacts: Artifacts): boolean {
  if ('exists' in condition) return artifacts.has(condition.artifact) === condition.exists;
  const actual = fieldOf(artifacts.get(condition.artifact), condition.field);
  return actual !== undefined && canonicalText(actual) === canonicalText(condition.eq);
}

/** A dotted path over own members of plain data; arrays by decimal index. */
function fieldOf(artifact: Json | undefined, field: string): Json | undefined {
  let value = artifact;
  for (const step of field.split('.')) {
    if (value === undefined || value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    if (Array.isArray(value) && !/^(0|[1-9][0-9]*)$/.test(step)) return undefined;
    // An own member of plain data, as was just asked.
    value = (value as Readonly<Record<string, Json>>)[step];
  }
  return value;
}
