/**
 * What deep verification and replay say: verdicts, divergences with both values, figures. Shapes only; must never hold behaviour (PROTOCOL §10).
 */
import type { Bytes, Digest, Result, TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Amount } from '@openexec/protocol';
import type { Difference } from './drift.ts';

/** Where entries and blobs are read from: any store, or a bundle. A blob that is not handed out makes its run not derivable. */
export interface AuditSource {
  /** Every entry from this leaf index on, in tree order. */
  all(from?: bigint): AsyncIterable<Stored>;
  blob(digest: Digest): Promise<Result<Bytes, { readonly code: string; readonly message: string }>>;
}

/**
 * `agrees`: every recorded judgement is the one that the kernel makes again. `diverges`: at least one is not. `notDerivable`: what is needed to
 * judge is gone from `from` on, and everything before it agreed.
 */
export type RunVerdict = 'agrees' | 'diverges' | 'notDerivable';

/**
 * What differs. `kind`, `payload`, `cause`, `law`, `at`: that member of a recorded judgement. `missing`: the kernel makes one that is not
 * recorded. `extra`: one is recorded that the kernel does not make. `order`: a list that is not in one piece. `blob`: a blob that the kernel
 * makes is not there. `body`: bytes that are no body of their kind. `kernel`: the recorded past is one that the kernel cannot have made.
 * `result`: what a run landed is not what its own commits make. `selfTest`: a self-test, or the citation of one, does not hold. `delegation`: parent and child do
 * not say the same of each other.
 */
export type DivergenceKind =
  | 'kind'
  | 'payload'
  | 'cause'
  | 'law'
  | 'at'
  | 'missing'
  | 'extra'
  | 'order'
  | 'blob'
  | 'body'
  | 'kernel'
  | 'result'
  | 'selfTest'
  | 'delegation';

/**
 * What a difference is about. `compiler`: how an intent is judged. `policy`: which rule says what. `catalogue`: what actions are. `writ`: authority and
 * budget. `vote`: who approved. `signature`: who signed. `world`: what was committed. `selfTest`: canaries and their citation. `order`: which fact, under
 * which law, when. `judgement`: anything else that was judged.
 */
export const DRIFT_KINDS = [
  'compiler',
  'policy',
  'catalogue',
  'writ',
  'vote',
  'signature',
  'world',
  'selfTest',
  'order',
  'judgement',
] as const;
/** One of {@link DRIFT_KINDS}. */
export type DriftKind = (typeof DRIFT_KINDS)[number];

/** One difference between what is recorded and what follows from it. */
export interface Divergence {
  /** Leaf index of the entry at which it shows. */
  readonly index: bigint;
  /** Position of that entry in the run's trajectory. */
  readonly seq: number;
  readonly kind: { readonly expected: string | null; readonly recorded: string | null };
  readonly what: DivergenceKind;
  readonly about: DriftKind;
  /** Both values as text; null where there is none. */
  readonly expected: string | null;
  readonly recorded: string | null;
  /** For `payload`: every place in which the two bodies differ. */
  readonly drift: readonly Difference[];
}

/** A recorded fact that answered nothing open, as the ledger itself notes it. */
export interface Violation {
  readonly seq: number;
  readonly why: string;
  readonly message: string;
}

/** Why a run cannot be judged any further. */
export interface NotDerivable {
  readonly seq: number;
  readonly code: string;
  readonly message: string;
}

/** One run's verdict. */
export interface RunReport {
  readonly run: TrajectoryId;
  readonly verdict: RunVerdict;
  /** Judgements that were compared. */
  readonly judgements: number;
  readonly facts: number;
  /** Facts that nobody has judged yet; no divergence (PROTOCOL §4.1). */
  readonly pending: number;
  readonly closed: boolean;
  /** In order, at most a thousand; the others are counted. */
  readonly divergences: readonly Divergence[];
  readonly omitted: number;
  readonly violations: readonly Violation[];
  /** From where on the run cannot be judged, whatever its verdict. */
  readonly from?: NotDerivable;
}

/** The verdict on one self-test; `run` is its trajectory, `passed` what it says of itself, null where that is not there. */
export interface SelfTestReportOf extends RunReport {
  readonly passed: boolean | null;
}

/** An entry of `law` that is no law: it changes nothing, and the ledger should not hold it. */
export interface LawFault {
  readonly index: bigint;
  readonly seq: number;
  readonly kind: string;
  readonly code: string;
  readonly message: string;
}

/** A grant or a settlement of `writ/…` that is not what the writs and runs of this ledger make it. */
export interface CarvingFault {
  /** Leaf index of the entry at which it shows. */
  readonly index: bigint;
  readonly trajectory: TrajectoryId;
  readonly seq: number;
  readonly kind: string;
  readonly code: CarvingCode;
  readonly message: string;
  /** Both values as text; null where there is none. */
  readonly expected: string | null;
  readonly recorded: string | null;
}
/**
 * `missing`: a run under a writ that is spent by carving took nothing from it. `apart`: not in one piece with the `run.opened` or `run.closed` it belongs
 * to. `again`: the run holds a grant of that writ already. `writ`, `grant`: not the run's own writ, or not its whole budget. `chain`: the run's
 * chain did not count there and then, as the message says. `overdrawn`: more than the writ had left. `spend`, `returned`: not what the run recorded.
 * `unknown`: settled without a grant that is open. `body`: no body of its kind.
 */
export type CarvingCode =
  | `carving.${'missing' | 'apart' | 'again' | 'writ' | 'grant' | 'chain' | 'overdrawn' | 'body'}`
  | `settlement.${'missing' | 'apart' | 'unknown' | 'spend' | 'returned' | 'body'}`;

/** The whole ledger's verdict. */
export interface DeepReport {
  readonly runs: readonly RunReport[];
  readonly selfTests: readonly SelfTestReportOf[];
  readonly lawProblems: readonly LawFault[];
  readonly carvingFaults: readonly CarvingFault[];
  readonly totals: {
    readonly entries: number;
    readonly runs: number;
    readonly facts: number;
    readonly judgements: number;
    readonly pending: number;
    readonly divergences: number;
    /** The same by what they are about, the listed and the omitted. */
    readonly drift: { readonly [K in DriftKind]: number };
    readonly violations: number;
    readonly notDerivable: number;
    /** Most runs that were held at once. */
    readonly mostOpen: number;
    /** Commits and closes without the signature of a runtime key; whose signature counts is a matter of integrity. */
    readonly unsigned: number;
    /** Grants carved from writs, each checked. */
    readonly carved: number;
    /** Settlements whose run's close was erased: held against the grant only. */
    readonly carvedUnchecked: number;
    readonly selfTests: number;
    /** Runs that cite no self-test. */
    readonly ungoverned: number;
    /** Judgements of `selftest/…`, derived again like those of runs. */
    readonly selfTestJudgements: number;
  };
}

/** Exact replay of one run: what its recorded facts come to, without a model and without an effect. */
export interface ReplayReport extends RunReport {
  readonly outcome: 'done' | 'failed' | 'cancelled' | 'denied' | 'exhausted' | 'open';
  /** Git tree id of the committed files; null when the run cannot be judged. */
  readonly tree: string | null;
  /** What is recorded of it: the tree that the run landed, else the one that its recorded commits make by their deltas alone. */
  readonly recordedTree: string | null;
  /** Git commit id and branch that the run landed, if it did. */
  readonly commit: string | null;
  readonly ref: string | null;
  readonly worldRoot: Digest | null;
  readonly spend: Amount;
}

/** One visit of a stage. */
export interface StageVisit {
  readonly stage: string;
  readonly visit: number;
}

/** Exact replay of one visit; the figures are of that part alone. */
export interface StageReplayReport extends RunReport, StageVisit {
  /** The entries that were judged, both included. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly outcome: 'succeeded' | 'failed' | 'skipped' | 'rewound' | 'open';
  /** Git tree id of the committed files at its end, and what the recorded commits make by their deltas alone. */
  readonly tree: string | null;
  readonly recordedTree: string | null;
}

/** How far a verification has come. */
export interface Progress {
  readonly entries: number;
  readonly openRuns: number;
  readonly divergences: number;
}
