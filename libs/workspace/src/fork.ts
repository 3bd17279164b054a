/**
 * Where a child run starts from: one commit in the git directory of its parent's run, whose tree is what the parent had committed. Must never touch the
 * user's repository; the same order makes the same commit, on any machine (PROTOCOL §§4.3, 9).
 */
import { existsSync } from 'node:fs';
import { ok, type Result } from '@openexec/canon';
import type { LandOrder, WorkspaceFailure } from '@openexec/catalogue';
import { guarded, refuse } from './failure.ts';
import { gitLine } from './git.ts';
import { identityOf } from './land.ts';
import type { RepositoryPlace } from './repository.ts';
import { storePlaces } from './store.ts';

/** What is made, and where. */
export interface ForkOptions {
  /** State folder of the parent's run; its tree was written there (port Workspace: `tree`). */
  readonly directory: string;
  readonly objectFormat: 'sha1' | 'sha256';
  /** The commit; its id was computed before it is made. */
  readonly order: Omit<LandOrder, 'branch'> & { readonly commit: string };
}

/** Makes the commit and gives the place from which a workspace of the child is opened. May be repeated. */
export async function forkPoint(options: ForkOptions): Promise<Result<RepositoryPlace, WorkspaceFailure>> {
  const { directory, order, objectFormat } = options;
  return guarded('preparing the tree of a child run', async () => {
    const { git, tree } = storePlaces(directory);
    if (!existsSync(git)) return refuse('workspace.objectMissing', `the run that delegates has no git directory at ${git}; resume it here`);
    const identity = identityOf({ ...order, branch: '' });
    if (identity === null) return refuse('workspace.git', 'the date of the delegation is none that git takes');
    const commit = await gitLine({
      at: { gitDir: git },
      args: ['commit-tree', order.tree, '-p', order.parent],
      stdin: Buffer.from(order.message),
      identity,
    });
    if (!commit.ok) return commit;
    if (commit.value !== order.commit)
      return refuse('workspace.conflict', `the child's base came out as ${commit.value}, the ledger computed ${order.commit}`);
    return ok({ root: tree, gitDir: git, commonDir: git, objectFormat });
  });
}
