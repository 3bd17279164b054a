/**
 * A run with its child runs, and theirs: which trajectories belong together and how deep each lies, from what the parents' own entries say. Must never take
 * a run in that nobody of the family delegated (PROTOCOL §4.3).
 */
import type { TrajectoryId } from '@openexec/canon';
import type { LedgerStore, Stored } from '@openexec/ledger';
import { childOf } from '@openexec/runtime';
import { readEvent } from './events.ts';

/** Grows with every `delegation.opened` that it is shown. */
export class Family {
  readonly #depths: Map<TrajectoryId, number>;

  constructor(root: TrajectoryId) {
    this.#depths = new Map([[root, 0]]);
  }

  /** Generations below the root; undefined for a run of another family. */
  depthOf(run: TrajectoryId): number | undefined {
    return this.#depths.get(run);
  }

  get runs(): readonly TrajectoryId[] {
    return [...this.#depths.keys()];
  }

  /** Takes note of an entry of a member; gives the child that it hands work to, if it does. */
  meet(stored: Stored): TrajectoryId | null {
    const depth = this.#depths.get(stored.entry.trajectory);
    if (depth === undefined || stored.entry.kind !== 'delegation.opened') return null;
    const { event } = readEvent(stored);
    if (event?.kind !== 'delegation.opened') return null;
    const child = childOf(event.body.writ);
    this.#depths.set(child, depth + 1);
    return child;
  }
}

/** The family of a run as the ledger has it. */
export async function familyOf(store: LedgerStore, root: TrajectoryId): Promise<Family> {
  const family = new Family(root);
  const waiting: TrajectoryId[] = [root];
  for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
    for await (const stored of store.read(run)) {
      const child = family.meet(stored);
      if (child !== null) waiting.push(child);
    }
  }
  return family;
}

/** Every entry of a family, in the order of the ledger. */
export async function entriesOf(store: LedgerStore, family: Family): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for (const run of family.runs) for await (const stored of store.read(run)) all.push(stored);
  return all.sort((a, b) => (a.index < b.index ? -1 : 1));
}
