/**
 * Contents that the ledger does not hold because they look like a secret (PROTOCOL §2 `withheld`): they can come from the run's own git directory and
 * from nowhere else, and only when they are the very bytes that were committed (PROTOCOL §4.4).
 */
import { digestOf, ok, type Result } from '@openexec/canon';
import type { WorkspaceFailure } from '@openexec/catalogue';
import type { FileChange } from '@openexec/protocol';
import { refuse, shown } from './failure.ts';
import { type GitPlace, gitObjects } from './git.ts';
import { blobId } from './snapshot.ts';

/**
 * Reads each object again and compares both its git id and its digest with what was committed. `workspace.objectMissing` where one is not there,
 * `workspace.conflict` where it is another.
 */
export async function checkWithheld(
  changes: readonly FileChange[],
  from: { readonly store: GitPlace; readonly format: 'sha1' | 'sha256'; readonly maxBytes: number },
): Promise<Result<void, WorkspaceFailure>> {
  const wanted = changes.flatMap(({ path, after }) => (after === null ? [] : [{ path, after }]));
  let damaged: string | null = null;
  const read = await gitObjects(
    from.store,
    wanted.map(({ after }) => after.oid),
    from.maxBytes,
    (index, content) => {
      const file = wanted[index];
      if (file !== undefined && (blobId(from.format, content) !== file.after.oid || digestOf(content) !== file.after.blob))
        damaged ??= file.path;
    },
  );
  if (!read.ok) return read;
  return damaged === null
    ? ok(undefined)
    : refuse(
        'workspace.conflict',
        `"${shown(damaged)}" was kept out of the ledger, and what the run's git directory holds of it is not what was committed; the run cannot go on from here`,
        damaged,
      );
}
