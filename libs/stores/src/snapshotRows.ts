/** Rows of snapshots, in whatever database. A row of no bytes at {@link FORGOTTEN} says that payloads of its run are gone. PROTOCOL §3 "Snapshots". */
import { type Digest, isDigest, type TrajectoryId } from '@openexec/canon';
import { type KeptSnapshot, LedgerFault, type SnapshotPlace } from '@openexec/ledger';
import { bytesIn, digestIn, integerIn, textIn } from './columns.ts';

/** No entry stands there. */
export const FORGOTTEN = -1;

/** One row as a driver hands it out. */
export interface SnapshotRow {
  readonly run: unknown;
  readonly seq: unknown;
  readonly leaf: unknown;
  readonly digest: unknown;
  readonly tag: unknown;
  readonly bytes: unknown;
}

/** The row looked at; throws `store.corrupt` where a column holds something else. */
export function snapshotIn(row: SnapshotRow): KeptSnapshot {
  const what = 'a snapshot';
  const { run, seq } = placeIn(row);
  const leaf = row.leaf;
  if (!isDigest(leaf)) throw new LedgerFault('store.corrupt', `${what} of ${run} names no leaf; run ledger fsck`);
  const digest: Digest = digestIn(row.digest, what);
  return {
    run,
    seq,
    leaf,
    digest,
    tag: bytesIn(row.tag, what).slice(),
    bytes: bytesIn(row.bytes, what).slice(),
  };
}

/** Its place alone. */
export function placeIn({ run, seq }: Pick<SnapshotRow, 'run' | 'seq'>): SnapshotPlace {
  // Postgres hands large integers out as text.
  const at = typeof seq === 'string' ? Number(seq) : seq;
  return { run: textIn(run, 'the run of a snapshot') as TrajectoryId, seq: integerIn(at, 'the place of a snapshot') };
}
