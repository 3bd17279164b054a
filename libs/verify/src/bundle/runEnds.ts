/**
 * How the runs of a bundle stand, as their own entries say: the one reading that its builder and its reader share. PROTOCOL §§4, 11.
 */
import type { Json } from '@openexec/canon';
import type { StatedRun } from './statement.ts';

type Members = { readonly [name: string]: Json };

/** How a run stands, as its entries say. */
export interface RunEnd {
  outcome: string;
  /** What it landed in git. */
  result: { readonly commit: string; readonly tree: string; readonly ref: string } | null;
  /** The self-test that it cites, by trajectory. */
  selfTest: string | null;
  /** An effect of it was not declared. */
  undeclared: boolean;
}

/** Gathers the ends of runs; entries must be given in ledger order. */
export class RunEnds {
  readonly #runs = new Map<string, RunEnd>();

  /** Takes one entry; `body` is null where its payload is gone. Entries of other trajectories are passed over. */
  take(trajectory: string, kind: string, body: Json | null): void {
    if (!trajectory.startsWith('run/')) return;
    const known = this.#runs.get(trajectory);
    const run: RunEnd = known ?? { outcome: 'open', result: null, selfTest: null, undeclared: false };
    if (known === undefined) this.#runs.set(trajectory, run);
    const members = membersOf(body ?? undefined);
    if (kind === 'effect.undeclared') run.undeclared = true;
    if (kind === 'run.opened') run.selfTest = textOf(membersOf(members['selfTest'])['trajectory']);
    if (kind !== 'run.closed') return;
    const result = membersOf(members['result']);
    const [commit, tree, ref] = [textOf(result['commit']), textOf(result['tree']), textOf(result['ref'])];
    // A closing whose payload is gone says that the run is over, and no more.
    run.outcome = textOf(members['outcome']) ?? 'unknown';
    run.result = commit === null || tree === null || ref === null ? null : { commit, tree, ref };
  }

  has(run: string): boolean {
    return this.#runs.has(run);
  }

  get size(): number {
    return this.#runs.size;
  }

  /** Trajectories of the self-tests that runs cite. */
  selfTests(): ReadonlySet<string> {
    return new Set([...this.#runs.values()].flatMap(({ selfTest }) => selfTest ?? []));
  }

  /** What there is to state of each run, in the order in which they were opened. `isClosed` says whether a self-test is finished. */
  stated(isClosed: (trajectory: string) => boolean): readonly StatedRun[] {
    return [...this.#runs].map(([run, { outcome, result, selfTest, undeclared }]) => ({
      run,
      outcome,
      commit: result?.commit ?? null,
      tree: result?.tree ?? null,
      ref: result?.ref ?? null,
      governed: !undeclared && selfTest !== null && isClosed(selfTest),
    }));
  }
}

function membersOf(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
