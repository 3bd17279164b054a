/**
 * What can be wrong with a blueprint, as data with a path into the parsed file, so that a shell can name file and line. OPENEXEC §1.4 rule 1.
 */

import { nearest } from '@openexec/protocol';

/** Every reason for which a blueprint is refused; docs/reference/blueprints.md says what each means. */
export const BLUEPRINT_PROBLEMS = [
  'blueprint.malformed',
  'blueprint.unknownKey',
  'blueprint.missingAction',
  'blueprint.missingGoal',
  'blueprint.missingToolset',
  'blueprint.sandboxNotOffered',
  'blueprint.reservedId',
  'blueprint.duplicateId',
  'blueprint.unknownStage',
  'blueprint.unknownAction',
  'blueprint.unknownToolset',
  'blueprint.unknownArtifact',
  'blueprint.commandNotConfigured',
  'blueprint.unreachable',
  'blueprint.noWayOut',
  'blueprint.inputMissing',
  'blueprint.selfRoute',
  'blueprint.actionNotAllowed',
  'blueprint.arguments',
  'blueprint.duplicateArtifact',
  'blueprint.condition',
  'blueprint.conditionNever',
] as const;
/** Why a blueprint is refused. */
export type BlueprintProblemCode = (typeof BLUEPRINT_PROBLEMS)[number];

/** One problem. `path` leads through the parsed data: member names and list indexes. */
export interface BlueprintProblem {
  readonly code: BlueprintProblemCode;
  readonly message: string;
  readonly path: readonly (string | number)[];
}

/** ` (did you mean x?)`, or nothing when no known word is near. */
export function hint(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  return close === null ? '' : ` (did you mean ${close}?)`;
}

/** A problem at a place inside `stages`. */
export function problem(code: BlueprintProblemCode, path: readonly (string | number)[], message: string): BlueprintProblem {
  return { code, message, path: ['stages', ...path] };
}
