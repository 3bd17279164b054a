/**
 * How a patch that is well formed but does not fit the files is refused: path, hunk, what it has and what the file has, so that it can be repaired.
 */
import { err, type Result } from '@openexec/canon';
import type { PatchConflict, PatchConflictCode } from './errors.ts';
import { shown } from './paths.ts';

/** Where a conflict is: `part` is what the format calls its pieces, `number` 0 for the file as a whole. */
export interface ConflictPlace {
  readonly path: string;
  readonly part: 'hunk' | 'edit';
  readonly number: number;
}

/** The conflict as a value. `expected` and `found` are bounded excerpts, null where there is nothing to show. */
export function conflictAt(
  code: PatchConflictCode,
  place: ConflictPlace,
  why: string,
  lines: { readonly expected?: string | null; readonly found?: string | null } = {},
): Result<never, PatchConflict> {
  const { path, part, number } = place;
  return err({
    code,
    message: `"${shown(path)}"${number > 0 ? `, ${part} ${number}` : ''}: ${why}`,
    path,
    hunk: number,
    expected: lines.expected ?? null,
    found: lines.found ?? null,
  });
}
