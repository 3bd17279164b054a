/**
 * The closed unions of this package's refusal codes. A code, once published, never changes its meaning; it stands in recorded reasons (STYLE §11.1).
 */

/** Why a text is not a path of the workspace. */
export type PathErrorCode = 'path.empty' | 'path.absolute' | 'path.segment' | 'path.character' | 'path.git' | 'path.tooLong';

/** Why a patch, in any format, is refused before anything is read. */
export type PatchProblemCode =
  | 'patch.empty'
  | 'patch.tooLarge'
  | 'patch.malformed'
  | 'patch.counts'
  | 'patch.binary'
  | 'patch.rename'
  | 'patch.mode'
  | 'patch.path'
  | 'patch.duplicate'
  | 'patch.redactionMarker';

/** Why a well-formed patch does not fit the files as they are. */
export type PatchConflictCode =
  | 'patch.absent'
  | 'patch.exists'
  | 'patch.context'
  | 'patch.ambiguous'
  | 'patch.overlap'
  | 'patch.remainder'
  | 'patch.newline'
  | 'patch.tooCostly'
  | 'preImage.changed';

/** Why arguments do not say what an action needs. */
export type ArgumentErrorCode = 'arguments.invalid' | PathErrorCode | PatchProblemCode;

/** A refusal as a value: what, where, what to do. */
export interface Refusal<C extends string> {
  readonly code: C;
  readonly message: string;
}
/** A path refused before it touches anything. */
export type PathError = Refusal<PathErrorCode>;
/** Arguments refused before anything is read or done. */
export type ArgumentError = Refusal<ArgumentErrorCode>;
/** `line` is the 1-based line of the patch text, in a list of edits the number of the edit; 0 for the whole. */
export interface PatchProblem extends Refusal<PatchProblemCode> {
  readonly line: number;
}
/** `hunk` is the 1-based number of the hunk or edit, 0 for the file as a whole; the texts are bounded excerpts of one line. */
export interface PatchConflict extends Refusal<PatchConflictCode> {
  readonly path: string;
  readonly hunk: number;
  readonly expected: string | null;
  readonly found: string | null;
}
