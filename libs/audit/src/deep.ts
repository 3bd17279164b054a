/**
 * Deep verification: the whole ledger once, in tree order; the law folded as it goes, every run judged again at the very points at which it was
 * judged, and freed when it closes. Holds no more than the runs that are open at once (PROTOCOL §10).
 */
import { emptyLaw, type LawView } from '@openexec/authority';
import type { TrajectoryId } from '@openexec/canon';
import { committedTree, type RunState } from '@openexec/kernel';
import { factsOf, familyOfTrajectory, type Stored } from '@openexec/ledger';
import type { RunOpened } from '@openexec/protocol';
import { CarvingAudit } from './carving.ts';
import { DelegationAudit } from './delegations.ts';
import { BlobReader, bodyOf } from './event.ts';
import { nextLaw } from './law.ts';
import { type AuditSource, type DeepReport, DRIFT_KINDS, type DriftKind, type LawFault, type Progress, type RunReport } from './report.ts';
import { RunAudit } from './runAudit.ts';
import { citationFaults, SelfTestAudit } from './selfTestAudit.ts';

/** Entries between two calls of `onProgress`. */
const PROGRESS_ENTRIES = 1024;

export interface DeepOptions {
  /** Only these runs; all of them when left out. */
  readonly runs?: readonly TrajectoryId[];
  readonly onProgress?: (progress: Progress) => void;
  /** The source holds some runs of the ledger only: a run that another one names may lawfully be missing. */
  readonly partial?: boolean;
}

/** One deep verification, taken entry by entry: {@link deepVerify} is the whole of it, a simulation takes each entry as it becomes durable. */
export class DeepPass {
  readonly #reader: BlobReader;
  readonly #only: ReadonlySet<TrajectoryId> | null;
  readonly #open = new Map<TrajectoryId, RunAudit>();
  readonly #reports: RunReport[] = [];
  readonly #selfTests = new Map<TrajectoryId, SelfTestAudit>();
  /** Nonces of self-tests; each counts once. */
  readonly #nonces = new Set<string>();
  #ungoverned = 0;
  readonly #drift = noDrift();
  readonly #faults: LawFault[] = [];
  readonly #carving = new CarvingAudit();
  readonly #delegations: DelegationAudit;
  #law: LawView = emptyLaw();
  #entries = 0;
  #mostOpen = 0;
  #unsigned = 0;

  constructor(source: AuditSource, only?: readonly TrajectoryId[], partial = false) {
    this.#reader = new BlobReader(source);
    this.#delegations = new DelegationAudit(!partial);
    this.#only = only === undefined ? null : new Set(only);
  }

  get progress(): Progress {
    const open = [...this.#open.values()].reduce((sum, audit) => sum + audit.divergences, 0);
    return {
      entries: this.#entries,
      openRuns: this.#open.size,
      divergences: open + this.#reports.reduce((sum, report) => sum + countOf(report), 0),
    };
  }

  /** Entries of `law` that are no law, so far. */
  get lawProblems(): readonly LawFault[] {
    return this.#faults;
  }

  /** The law as far as it was taken. */
  get law(): LawView {
    return this.#law;
  }

  /** The fold of an open run as far as it was taken; null where the run is not open. Not meaningful once the run is not derivable. */
  stateOf(run: TrajectoryId): RunState | null {
    return this.#open.get(run)?.state ?? null;
  }

  /** Takes the next entry, in tree order. */
  async take(stored: Stored): Promise<void> {
    this.#entries += 1;
    this.#carving.take(stored, this.#law);
    const { trajectory, kind } = stored.entry;
    if (factsOf(kind)?.signed === true && stored.entry.sig === undefined) this.#unsigned += 1;
    const family = familyOfTrajectory(trajectory);
    if (family === 'law') return this.#takeLaw(stored);
    if (family === 'selftest') return this.#takeSelfTest(stored);
    if (family !== 'run') return;
    if (this.#only?.has(trajectory) === false) return void this.#delegations.take(stored, null);
    const audit = this.#open.get(trajectory) ?? this.#begin(trajectory);
    await audit.take(stored, this.#law);
    if (kind === 'run.opened') this.#cite(stored, audit);
    for (const fault of this.#delegations.take(stored, audit.closed ? treeOf(audit.state) : null)) audit.fault(stored, 'delegation', fault);
    if (!audit.closed) return;
    this.#end(audit);
    this.#open.delete(trajectory);
  }

  async #takeLaw(stored: Stored): Promise<void> {
    const step = await nextLaw(this.#law, stored, this.#reader);
    this.#law = step.law;
    if (step.problem !== null) this.#faults.push(step.problem);
  }

  async #takeSelfTest(stored: Stored): Promise<void> {
    const { trajectory } = stored.entry;
    const audit = this.#selfTests.get(trajectory) ?? new SelfTestAudit(trajectory, this.#reader, this.#nonces);
    this.#selfTests.set(trajectory, audit);
    await audit.take(stored, this.#law);
  }

  /** What a run says stands for it is held against what that came to, as far as the ledger had it before the run. */
  #cite(stored: Stored, audit: RunAudit): void {
    const body = bodyOf(stored);
    if (!body.ok) return; // Said by its audit.
    const opened = body.value as unknown as RunOpened; // Held against its schema by `bodyOf`.
    if (opened.selfTest === null) {
      this.#ungoverned += 1;
      return;
    }
    const known = this.#selfTests.get(opened.selfTest.trajectory)?.judged ?? null;
    for (const fault of citationFaults(opened.selfTest, { opened, at: stored.entry.at }, known)) audit.fault(stored, 'selfTest', fault);
  }

  #end(audit: RunAudit): void {
    this.#reports.push(audit.finish());
    for (const [about, count] of audit.counts) this.#drift[about] += count;
  }

  #begin(run: TrajectoryId): RunAudit {
    const audit = new RunAudit(run, this.#reader);
    this.#open.set(run, audit);
    this.#mostOpen = Math.max(this.#mostOpen, this.#open.size);
    return audit;
  }

  /** The report on what was taken. To be called once. */
  finish(): DeepReport {
    for (const audit of this.#open.values()) this.#end(audit);
    const runs = this.#reports;
    const carving = this.#carving.finish();
    const selfTests = [...this.#selfTests.values()].map((audit) => audit.finish());
    for (const audit of this.#selfTests.values()) for (const [about, count] of audit.counts) this.#drift[about] += count;
    const sum = (of: (report: RunReport) => number, reports: readonly RunReport[] = runs): number =>
      reports.reduce((total, report) => total + of(report), 0);
    const all = [...runs, ...selfTests];
    return {
      runs,
      selfTests,
      lawProblems: this.#faults,
      carvingFaults: carving.faults,
      totals: {
        entries: this.#entries,
        runs: runs.length,
        facts: sum(({ facts }) => facts),
        judgements: sum(({ judgements }) => judgements),
        pending: sum(({ pending }) => pending),
        divergences: sum(countOf, all),
        drift: this.#drift,
        violations: sum(({ violations }) => violations.length, all),
        notDerivable: sum(({ verdict }) => (verdict === 'notDerivable' ? 1 : 0)),
        mostOpen: this.#mostOpen,
        unsigned: this.#unsigned,
        carved: carving.carved,
        carvedUnchecked: carving.unchecked,
        selfTests: selfTests.length,
        ungoverned: this.#ungoverned,
        selfTestJudgements: sum(({ judgements }) => judgements, selfTests),
      },
    };
  }
}

/** The tree that a run came to; null where it cannot be told. */
function treeOf(state: RunState): string | null {
  return state.law === null ? null : committedTree(state);
}

/** Every difference of a report, the omitted ones too. */
function countOf({ divergences, omitted }: RunReport): number {
  return divergences.length + omitted;
}

function noDrift(): { [K in DriftKind]: number } {
  // Every kind is set by the list that its type is made of.
  return Object.fromEntries(DRIFT_KINDS.map((kind) => [kind, 0])) as { [K in DriftKind]: number };
}

/** Judges every run of the ledger again. Reading errors of the source are thrown as the source throws them; everything else is in the report. */
export async function deepVerify(source: AuditSource, options: DeepOptions = {}): Promise<DeepReport> {
  const pass = new DeepPass(source, options.runs, options.partial);
  let since = 0;
  for await (const stored of source.all(0n)) {
    await pass.take(stored);
    since += 1;
    if (since < PROGRESS_ENTRIES) continue;
    since = 0;
    options.onProgress?.(pass.progress);
  }
  options.onProgress?.(pass.progress);
  return pass.finish();
}
