/**
 * The one row that says how far the stream has been read and what is to be finished: the lock of everything that is written to a companion. PROTOCOL §3.
 */
import type { Digest } from '@openexec/canon';
import { LedgerFault } from '@openexec/ledger';
import type { HeadRow } from '../view.ts';
import type { Companion, CompanionTx } from './companion.ts';

/** The index's head. */
export interface IndexHead extends HeadRow {
  /** The identity of the last entry read, by which the stream is known again. */
  readonly leaf: string | null;
  /** Whether a `ledger.pruned` has been read whose list is not here: which payloads went nobody can say then. */
  readonly pruned: boolean;
  /** See companion.ts. */
  readonly unfinished: number;
}

/** The head as the index has it. */
export async function indexHead(db: Companion | CompanionTx): Promise<IndexHead> {
  const row = await db.selectFrom('head').selectAll().where('id', '=', 0).executeTakeFirst();
  if (row === undefined)
    throw new LedgerFault('store.corrupt', 'the row of the head in the companion store is gone; restore it from a backup');
  return {
    size: Number(row.size),
    frontier: Uint8Array.from(row.frontier),
    fingerprint: row.fingerprint as Digest | null, // Written by us alone, from a leaf.
    successor: row.successor,
    leaf: row.leaf,
    pruned: Number(row.pruned) === 1,
    unfinished: Number(row.unfinished),
  };
}

/** The same under the lock of everything that is written to a companion. */
export async function lockedHead(tx: CompanionTx): Promise<IndexHead> {
  await tx.updateTable('head').set({ id: 0 }).where('id', '=', 0).execute();
  return indexHead(tx);
}
