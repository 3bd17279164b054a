/**
 * What can be wrong with a blueprint, as data with a path into the parsed file, so that a shell can name file and line. OPENEXEC §1.4 rule 1.
 */

import { nearest } from '@openexec/protocol';

/** Why a blueprint is refused. */
export type BlueprintProblemCode =
  | 'blueprint.malformed'
  | 'blueprint.unknownKey'
  | 'blueprint.missingAction'
  | 'blueprint.missingGoal'
  | 'blueprint.missingToolset'
  | 'blueprint.sandboxNotOffered'
  | 'blueprint.reservedId'
  | 'blueprint.duplicateId'
  | 'blueprint.unknownStage'
  | 'blueprint.unknownAction'
  | 'blueprint.unknownToolset'
  | 'blueprint.unknownArtifact'
  | 'blueprint.commandNotConfigured'
  | 'blueprint.unreachable'
  | 'blueprint.noWayOut'
  | 'blueprint.inputMissing';

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
