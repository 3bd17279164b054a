/**
 * How the runs of a bundle stand, as their own entries say: the one reading that its builder and its reader share. Must never count a self-test that
 * failed, or that is of another ground than the run. PROTOCOL §§4, 11.
 */
import { canonicalText, type Json } from '@openexec/canon';
import type { Entry } from '@openexec/ledger/codec';
import type { StatedRun } from './statement.ts';

type Members = { readonly [name: string]: Json };

/** How a run stands, as its entries say. */
interface RunEnd {
  outcome: string;
  /** What it landed in git. */
  result: { readonly commit: string; readonly tree: string; readonly ref: string } | null;
  /** The self-test that it cites, by trajectory. */
  readonly selfTest: string | null;
  /** That self-test stands before it, passed, is of the same ground and was not too old. */
  readonly tested: boolean;
  /** An effect of it was not declared. */
  undeclared: boolean;
}

/** A self-test, as far as it was seen: what it was made under, and what it came to. */
interface Tested {
  readonly ground: string;
  recorded: { readonly seq: number; readonly passed: boolean; readonly until: string } | null;
}

/** Gathers the ends of runs; entries must be given in ledger order. */
export class RunEnds {
  readonly #runs = new Map<string, RunEnd>();
  readonly #tests = new Map<string, Tested>();
  #gateway = false;

  /** Takes one entry; `body` is null where its payload is gone. Entries of other trajectories are passed over. */
  take(entry: Pick<Entry, 'trajectory' | 'kind' | 'seq' | 'at'>, body: Json | null): void {
    const { trajectory, kind } = entry;
    const members = membersOf(body ?? undefined);
    if (trajectory.startsWith('selftest/')) return this.#test(entry, members);
    if (!trajectory.startsWith('run/')) return;
    let run = this.#runs.get(trajectory);
    if (run === undefined) {
      const cited = kind === 'run.opened' ? membersOf(members['selfTest']) : {};
      const tested = kind === 'run.opened' && this.#stands(cited, { at: entry.at, ground: groundOf(members) });
      run = { outcome: 'open', result: null, selfTest: textOf(cited['trajectory']), tested, undeclared: false };
      this.#runs.set(trajectory, run);
    }
    if (kind === 'intent.submitted') this.#gateway = true;
    if (kind === 'effect.undeclared') run.undeclared = true;
    if (kind !== 'run.closed') return;
    const result = membersOf(members['result']);
    const [commit, tree, ref] = [textOf(result['commit']), textOf(result['tree']), textOf(result['ref'])];
    // A closing whose payload is gone says that the run is over, and no more.
    run.outcome = textOf(members['outcome']) ?? 'unknown';
    run.result = commit === null || tree === null || ref === null ? null : { commit, tree, ref };
  }

  #test({ trajectory, kind, seq }: Pick<Entry, 'trajectory' | 'kind' | 'seq'>, members: Members): void {
    if (kind === 'selfTest.opened') this.#tests.set(trajectory, { ground: groundOf(members), recorded: null });
    const test = this.#tests.get(trajectory);
    if (kind !== 'selfTest.recorded' || test === undefined) return;
    const { passed, until } = membersOf(members['body']) as { readonly passed?: Json; readonly until?: Json };
    test.recorded = { seq, passed: passed === true, until: textOf(until) ?? '' };
  }

  /** Whether what a run cites may stand for it. That a runtime key signed it is for the verification of every entry to say. */
  #stands(cited: Members, run: { readonly at: string; readonly ground: string }): boolean {
    const test = this.#tests.get(textOf(cited['trajectory']) ?? '');
    if (test === undefined || test.recorded === null) return false;
    const { seq, passed, until } = test.recorded;
    return passed && seq === cited['seq'] && run.at <= until && test.ground === run.ground;
  }

  /** What the runs went through: where a gateway submitted an intent, what its agent did beside the gateway is not here. */
  coverage(): 'full' | 'gatewayOnly' {
    return this.#gateway ? 'gatewayOnly' : 'full';
  }

  has(run: string): boolean {
    return this.#runs.has(run);
  }

  /** Trajectories of the self-tests that runs cite. */
  selfTests(): ReadonlySet<string> {
    return new Set([...this.#runs.values()].flatMap(({ selfTest }) => selfTest ?? []));
  }

  /** What there is to state of each run, in the order in which they were opened. An open run may still do what it does not declare. */
  stated(): readonly StatedRun[] {
    return [...this.#runs].map(([run, { outcome, result, tested, undeclared }]) => ({
      run,
      outcome,
      commit: result?.commit ?? null,
      tree: result?.tree ?? null,
      ref: result?.ref ?? null,
      governed: tested && !undeclared && outcome !== 'open',
    }));
  }
}

/** What a self-test and a run must have in common: rules, actions, sandbox and kernel (PROTOCOL §4.2). */
function groundOf(opened: Members): string {
  const digest = (name: string): Json => membersOf(opened[name])['digest'] ?? null;
  return canonicalText([digest('policySet'), digest('catalogue'), digest('profile'), opened['kernel'] ?? null]);
}

function membersOf(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
