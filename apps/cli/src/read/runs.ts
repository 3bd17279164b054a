/**
 * The runs of a ledger in a line each, from the first and the last entry of each: the list costs the same however long the runs are.
 */
import type { TrajectoryId } from '@openexec/canon';
import type { LedgerStore, Stored, TrajectoryHead } from '@openexec/ledger';
import type { Amount } from '@openexec/protocol';
import { blobText, readEvent } from './events.ts';

export interface RunRow {
  readonly run: TrajectoryId;
  readonly openedAt: string;
  readonly lastAt: string;
  /** The outcome of a closed run; else `parked`, or `open` where nobody says whether somebody drives it. */
  readonly status: 'done' | 'failed' | 'cancelled' | 'denied' | 'exhausted' | 'parked' | 'open';
  /** Null when the blob is gone. */
  readonly task: string | null;
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
  readonly spend: Amount | null;
  /** The run that delegated this one; null for any other run. */
  readonly parent: TrajectoryId | null;
  /** Position of its opening in the ledger. */
  readonly index: bigint;
}

/** All runs, the latest first; an entry that cannot be read leaves its members null. */
export async function listRuns(store: LedgerStore): Promise<RunRow[]> {
  const rows: RunRow[] = [];
  for await (const head of store.trajectories('run/')) {
    const row = await rowOf(store, head);
    if (row !== null) rows.push(row);
  }
  return rows.sort((a, b) => (a.index < b.index ? 1 : -1));
}

async function entryAt(store: LedgerStore, run: TrajectoryId, seq: number): Promise<Stored | null> {
  for await (const stored of store.read(run, seq, seq + 1)) return stored;
  return null;
}

async function rowOf(store: LedgerStore, head: TrajectoryHead): Promise<RunRow | null> {
  const first = await entryAt(store, head.trajectory, 0);
  const last = await entryAt(store, head.trajectory, head.seq);
  if (first === null || last === null) return null;
  const opened = readEvent(first).event;
  const ended = readEvent(last).event;
  const closed = ended?.kind === 'run.closed' ? ended.body : null;
  return {
    run: head.trajectory,
    openedAt: first.entry.at,
    lastAt: last.entry.at,
    status: closed?.outcome ?? (last.entry.kind === 'run.parked' ? 'parked' : 'open'),
    task: opened?.kind === 'run.opened' ? await blobText(store, opened.body.task) : null,
    result: closed?.result ?? null,
    spend: closed?.spend ?? null,
    parent: opened?.kind === 'run.opened' ? (opened.body.parent?.trajectory ?? null) : null,
    index: first.index,
  };
}
