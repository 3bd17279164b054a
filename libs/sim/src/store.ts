/**
 * A store that misbehaves within its contract: conflicts, a moving law, a busy moment, commits of unknown outcome both ways, answers that come as
 * duplicates. Must never break the contract, or a finding would be the simulation's own. PROTOCOL §3.
 */
import { err, type Result } from '@openexec/canon';
import type { AppendBatch, Appended, AppendFailure, LedgerStore } from '@openexec/ledger';
import { type Chance, yieldTurns } from './chance.ts';

/** What may go wrong around one append. */
export type StoreFault = 'conflict' | 'lawMoves' | 'busy' | 'lostCommit' | 'silentCommit' | 'duplicate' | 'full';
export const STORE_FAULTS: readonly [StoreFault, ...StoreFault[]] = [
  'conflict',
  'lawMoves',
  'busy',
  'lostCommit',
  'silentCommit',
  'duplicate',
  'full',
];

/** How faults come about. */
export interface FaultOptions {
  readonly inner: LedgerStore;
  readonly turns: Chance;
  /** The fault around the next append, if any. */
  next(): StoreFault | null;
  /** Somebody else appends to the run, so that this append conflicts. */
  interfere(): Promise<void>;
  /** Somebody changes the law. */
  legislate(): Promise<void>;
}

/** One handle on the ledger. After a commit of unknown outcome it appends no more, as the port says. */
export function faultyStore(options: FaultOptions): LedgerStore {
  const { inner } = options;
  let stopped = false;
  const append = async (batch: AppendBatch): Promise<Result<Appended, AppendFailure>> => {
    await yieldTurns(options.turns, 5);
    if (stopped) return err({ code: 'store.stopped', message: 'this handle stopped; reopen the ledger' });
    const fault = options.next();
    switch (fault) {
      case 'conflict':
        await options.interfere();
        return inner.append(batch);
      case 'lawMoves':
        await options.legislate();
        return inner.append(batch);
      case 'busy':
        return err({ code: 'store.busy', message: 'another process writes' });
      case 'duplicate':
        await inner.append(batch);
        return inner.append(batch);
      case 'lostCommit':
      case 'silentCommit':
        if (fault === 'silentCommit') await inner.append(batch);
        stopped = true;
        return err({ code: 'store.unknownOutcome', message: 'the commit did not answer' });
      case 'full':
        stopped = true;
        return err({ code: 'store.full', message: 'the disk is full' });
      case null:
        return inner.append(batch);
    }
  };
  return {
    append,
    read: (trajectory, from, to) => inner.read(trajectory, from, to),
    all: (from, to) => inner.all(from, to),
    rows: (from, to) => inner.rows(from, to),
    blob: (digest) => inner.blob(digest),
    follow: (from) => inner.follow(from),
    head: () => inner.head(),
    trajectory: (trajectory) => inner.trajectory(trajectory),
    trajectories: (prefix) => inner.trajectories(prefix),
    checkpoint: () => inner.checkpoint(),
    checkpoints: () => inner.checkpoints(),
    inclusion: (index, size) => inner.inclusion(index, size),
    consistency: (oldSize, newSize) => inner.consistency(oldSize, newSize),
    close: () => inner.close(),
  };
}
