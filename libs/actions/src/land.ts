/**
 * commit_changes: lands exactly the commit whose id the ledger already holds. Must never land anything else, and says when it is unknown whether the
 * branch was made (PROTOCOL §§9 and 10).
 */
import { type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import type { ExecutionOrder, LandOrder } from '@openexec/catalogue';
import { gitCommitId } from '@openexec/proof';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import { argumentsOf, type Hands, jsonArtifact, type Outcome, textOutcome } from './execution.ts';

const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** After these it is certain that no branch was made. */
const HARMLESS = ['workspace.refExists', 'workspace.pathRefused', 'workspace.conflict', 'workspace.objectMissing'];

/** Lands the resolved commit as one new branch. `landing.mismatch` when git made another commit than the ledger expects (D-7). */
export async function commitChanges(order: ExecutionOrder, hands: Hands): Promise<Result<Outcome, ActionFailure>> {
  const { commit, ...landing } = argumentsOf(order);
  // The schema that the host checked is exactly the shape of a LandOrder and the expected commit.
  const wanted = landing as unknown as LandOrder;
  const expected = typeof commit === 'string' ? commit : '';
  const ready = await check(wanted, expected, hands);
  if (!ready.ok) return ready;
  const landed = await hands.workspace.land(wanted);
  if (!landed.ok) return failWorkspace(landed.error, { effectUnknown: !HARMLESS.includes(landed.error.code) });
  if (landed.value.commit !== expected)
    return fail(
      'landing.mismatch',
      `branch ${wanted.branch} was made at ${landed.value.commit} instead of ${expected}; delete it and run openexec verify`,
      { effectUnknown: true },
    );
  const result: Json = { version: 1, ref: landed.value.ref, commit: expected, tree: wanted.tree, parent: wanted.parent };
  const summary = `${wanted.branch} is at ${expected}`;
  return ok(
    textOutcome(summary, utf8Encode(`${summary}\n`), {
      artifacts: [jsonArtifact('result', result)],
      landed: { ref: landed.value.ref, commit: expected, tree: wanted.tree },
    }),
  );
}

/** Before anything is written: the tree is the committed one, and the order gives the commit that the ledger computed. */
async function check(order: LandOrder, expected: string, hands: Hands): Promise<Result<void, ActionFailure>> {
  if (![order.tree, order.parent, expected].every((oid) => OID.test(oid) && oid.length === expected.length))
    return fail('arguments.invalid', 'commit_changes: tree, parent and commit must be git object ids of one format');
  const tree = await hands.workspace.tree();
  if (!tree.ok) return failWorkspace(tree.error);
  if (tree.value !== order.tree)
    return fail(
      'landing.mismatch',
      `the workspace holds tree ${tree.value}, the ledger computed ${order.tree}; nothing was landed: run openexec verify`,
    );
  const commit = gitCommitId(
    { tree: order.tree, parents: [order.parent], author: order.author, committer: order.author, message: order.message },
    expected.length === 40 ? 'sha1' : 'sha256',
  );
  if (commit !== expected)
    return fail(
      'landing.mismatch',
      `the order gives commit ${commit}, the ledger computed ${expected}; nothing was landed: run openexec verify`,
    );
  return ok(undefined);
}
