/**
 * A store that misbehaves within its contract: conflicts, a moving law, a busy moment, commits of unknown outcome both ways, answers that come as
 * duplicates, readings that break off. Must never break the contract, or a finding would be the simulation's own. PROTOCOL §3.
 */
import { err, type Result } from '@openexec/canon';
import { type AppendBatch, type Appended, type AppendFailure, LedgerFault, type LedgerStore, type Stored } from '@openexec/ledger';
import { type Chance, yieldTurns } from './chance.ts';
import type { StoreFault } from './faults.ts';
import { portOf, type Watch } from './watch.ts';

/** How faults come about. */
export interface FaultOptions {
  readonly inner: LedgerStore;
  readonly watch: Watch;
  /** Name of this handle. */
  readonly by: string;
  readonly turns: Chance;
  /** The fault around the next append or reading, if any. */
  next(of: 'append' | 'read'): StoreFault | null;
  /** Somebody else appends to the run, so that this append conflicts. */
  interfere(): Promise<void>;
  /** Somebody changes the law. */
  legislate(): Promise<void>;
}

/** One handle on the ledger. After a commit of unknown outcome it appends no more, as the port says. */
export function faultyStore(options: FaultOptions): LedgerStore {
  const { inner, watch, by } = options;
  let stopped = false;
  const refused = async (
    code: 'store.busy' | 'store.full' | 'store.stopped' | 'store.unknownOutcome',
    batch: AppendBatch,
    message: string,
  ) => {
    const drafts = batch.to.reduce((sum, part) => sum + part.drafts.length, 0);
    await watch.tell({ what: 'handed', by, drafts, blobs: [], outcome: 'refused', code, told: true, stored: [] });
    return err({ code, message });
  };
  const append = async (batch: AppendBatch): Promise<Result<Appended, AppendFailure>> => {
    await yieldTurns(options.turns, 5);
    if (stopped) return refused('store.stopped', batch, 'this handle stopped; reopen the ledger');
    const fault = options.next('append');
    switch (fault) {
      case 'store.conflict':
        await options.interfere();
        return watch.append(by, batch, true);
      case 'store.lawMoves':
        await options.legislate();
        return watch.append(by, batch, true);
      case 'store.busy':
        return refused('store.busy', batch, 'another process writes');
      case 'store.duplicate':
        await watch.append(by, batch, false);
        return watch.append(by, batch, true);
      case 'store.lostCommit':
      case 'store.silentCommit':
        if (fault === 'store.silentCommit') await watch.append(by, batch, false);
        stopped = true;
        return refused('store.unknownOutcome', batch, 'the commit did not answer');
      case 'store.full':
        stopped = true;
        return refused('store.full', batch, 'the disk is full');
      default:
        return watch.append(by, batch, true);
    }
  };
  return {
    ...portOf(inner),
    append,
    read: (trajectory, from, to) => broken(options, () => inner.read(trajectory, from, to)),
  };
}

/** A reading that may break off before its first entry or after it. */
async function* broken({ next }: FaultOptions, read: () => AsyncIterable<Stored>): AsyncIterable<Stored> {
  const breaks = next('read') === 'store.unreadable';
  for await (const stored of read()) {
    yield stored;
    if (breaks) throw new LedgerFault('store.unreachable', 'the reading broke off');
  }
}
