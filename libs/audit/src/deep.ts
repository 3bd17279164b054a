/**
 * Deep verification: the whole ledger once, in tree order; the law folded as it goes, every run judged again at the very points at which it was
 * judged, and freed when it closes. Holds no more than the runs that are open at once (PROTOCOL §10).
 */
import { emptyLaw, type LawView } from '@openexec/authority';
import type { TrajectoryId } from '@openexec/canon';
import type { RunState } from '@openexec/kernel';
import { familyOfTrajectory, factsOf, type Stored } from '@openexec/ledger';
import { CarvingAudit } from './carving.ts';
import { BlobReader } from './event.ts';
import { nextLaw } from './law.ts';
import type { AuditSource, DeepReport, LawFault, Progress, RunReport } from './report.ts';
import { RunAudit } from './runAudit.ts';

/** Entries between two calls of `onProgress`. */
const PROGRESS_ENTRIES = 1024;

export interface DeepOptions {
  /** Only these runs; all of them when left out. */
  readonly runs?: readonly TrajectoryId[];
  readonly onProgress?: (progress: Progress) => void;
}

/** One deep verification, taken entry by entry: {@link deepVerify} is the whole of it, a simulation takes each entry as it becomes durable. */
export class DeepPass {
  readonly #reader: BlobReader;
  readonly #only: ReadonlySet<TrajectoryId> | null;
  readonly #open = new Map<TrajectoryId, RunAudit>();
  readonly #reports: RunReport[] = [];
  readonly #faults: LawFault[] = [];
  readonly #carving = new CarvingAudit();
  #law: LawView = emptyLaw();
  #entries = 0;
  #mostOpen = 0;
  #selfTestJudgements = 0;
  #unsigned = 0;

  constructor(source: AuditSource, only?: readonly TrajectoryId[]) {
    this.#reader = new BlobReader(source);
    this.#only = only === undefined ? null : new Set(only);
  }

  get progress(): Progress {
    const open = [...this.#open.values()].reduce((sum, audit) => sum + audit.divergences, 0);
    return {
      entries: this.#entries,
      openRuns: this.#open.size,
      divergences: open + this.#reports.reduce((sum, report) => sum + report.divergences.length, 0),
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
    if (family === 'selftest' && factsOf(kind)?.judged === true) this.#selfTestJudgements += 1;
    if (family !== 'run' || this.#only?.has(trajectory) === false) return;
    const audit = this.#open.get(trajectory) ?? this.#begin(trajectory);
    await audit.take(stored, this.#law);
    if (!audit.closed) return;
    this.#reports.push(audit.finish());
    this.#open.delete(trajectory);
  }

  async #takeLaw(stored: Stored): Promise<void> {
    const step = await nextLaw(this.#law, stored, this.#reader);
    this.#law = step.law;
    if (step.problem !== null) this.#faults.push(step.problem);
  }

  #begin(run: TrajectoryId): RunAudit {
    const audit = new RunAudit(run, this.#reader);
    this.#open.set(run, audit);
    this.#mostOpen = Math.max(this.#mostOpen, this.#open.size);
    return audit;
  }

  /** The report on what was taken. To be called once. */
  finish(): DeepReport {
    const runs = [...this.#reports, ...[...this.#open.values()].map((audit) => audit.finish())];
    const carving = this.#carving.finish();
    const sum = (of: (report: RunReport) => number): number => runs.reduce((total, report) => total + of(report), 0);
    return {
      runs,
      lawProblems: this.#faults,
      carvingFaults: carving.faults,
      totals: {
        entries: this.#entries,
        runs: runs.length,
        facts: sum(({ facts }) => facts),
        judgements: sum(({ judgements }) => judgements),
        pending: sum(({ pending }) => pending),
        divergences: sum(({ divergences }) => divergences.length),
        violations: sum(({ violations }) => violations.length),
        notDerivable: sum(({ verdict }) => (verdict === 'notDerivable' ? 1 : 0)),
        mostOpen: this.#mostOpen,
        unsigned: this.#unsigned,
        carved: carving.carved,
        carvedUnchecked: carving.unchecked,
        selfTestJudgements: this.#selfTestJudgements,
      },
    };
  }
}

/** Judges every run of the ledger again. Reading errors of the source are thrown as the source throws them; everything else is in the report. */
export async function deepVerify(source: AuditSource, options: DeepOptions = {}): Promise<DeepReport> {
  const pass = new DeepPass(source, options.runs);
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
