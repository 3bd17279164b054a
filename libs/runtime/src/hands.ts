/**
 * What the shell works with and what it says: the hands of a driver, the opening of a run, the report. Shapes only. ARCHITECTURE §4, SEAM.
 */
import type { Bytes, Clock, KeyId, Randomness, Result, TrajectoryId } from '@openexec/canon';
import type { ActionHost, Approver, ModelAdapter, StopSignal, Workspace } from '@openexec/catalogue';
import type { DelegationBase, RunState } from '@openexec/kernel';
import type { CheckpointFailure, LedgerStore, Stored, StoredCheckpoint } from '@openexec/ledger';
import type {
  Catalogue,
  CheckedBlueprint,
  ModelChoice,
  PolicySet,
  Prices,
  Reference,
  SandboxProfile,
  SignedWrit,
  Skill,
  Toolsets,
  TreeEntry,
  Writ,
} from '@openexec/protocol';
import type { CrashPoint } from './crash.ts';
import type { Snapshots } from './snapshots.ts';
import type { RuntimeFailure } from './failure.ts';

/** Exclusive right to drive one run, held while `driveRun` works. A holder that died holds nothing (PROTOCOL §4.4). */
export interface Lease {
  /** Null when somebody else drives the run. Never waits. */
  acquire(run: TrajectoryId): Promise<HeldLease | null>;
}

/** A lease that was taken. */
export interface HeldLease {
  /** Whether it is still ours; asked before each effect, and what is not ours any more starts none. */
  held(): Promise<boolean>;
  release(): Promise<void>;
}

/** What opens and drives child runs; only the installation can give it. */
export interface Delegating {
  /** Signs the writ of a child with the install's key. */
  sign(writ: Writ): SignedWrit;
  /** Hands of a child, whose tree starts from what its parent had committed. */
  hands(child: {
    readonly run: TrajectoryId;
    readonly parent: TrajectoryId;
    readonly base: DelegationBase;
  }): Promise<Result<Hands, RuntimeFailure>>;
}

/** Everything that a driver touches the world with. One run at a time uses one `workspace`, `host` and `approver`. */
export interface Hands {
  readonly ledger: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Null where no model is configured; a run that asks one then ends with `model.missing`. */
  readonly model: ModelAdapter | null;
  readonly workspace: Workspace;
  readonly host: ActionHost;
  readonly approver: Approver | null;
  /** Known secrets and patterns out of bytes, before they are recorded, judged or sent (PROTOCOL §2). Idempotent. */
  redact(bytes: Bytes): Bytes;
  /** Told of each entry of the run, after it is durable; of those that were there before the drive, not at all. */
  observe?(stored: Stored, body: unknown): void;
  /** Resolves after the time or when stopped, whichever is first. */
  sleep(ms: number, stop: StopSignal): Promise<void>;
  /** Without it, two drivers are told apart by their epochs only: the later one wins and the earlier stops. */
  readonly lease?: Lease;
  /** Where folds of long runs are kept and begin; without it every drive folds its run from the opening. */
  readonly snapshots?: Snapshots;
  /** Without it a run that delegates ends with `delegation.missing`, and goes on by a resume where there is one. */
  readonly delegating?: Delegating;
  /** For tests that end the process here; see crash.ts. */
  crashPoint?(point: CrashPoint): void;
}

/** Everything that later steers the run (PROTOCOL §4.2 `run.opened`). `task` is redacted already. */
export interface Opening {
  readonly task: string;
  readonly session: string | null;
  readonly opener: KeyId;
  /** Root writ first, the run's own writ last. */
  readonly writs: readonly SignedWrit[];
  readonly blueprint: CheckedBlueprint;
  readonly policySet: PolicySet;
  readonly catalogue: Catalogue;
  readonly toolsets: Toolsets;
  readonly prices: Prices;
  readonly profile: SandboxProfile;
  readonly model: ModelChoice | null;
  readonly base: {
    readonly commit: string;
    readonly tree: string;
    readonly objectFormat: 'sha1' | 'sha256';
    readonly listing: readonly TreeEntry[];
  };
  readonly approvals: 'ask' | 'never';
  /** The self-test that stands for this run; null where none was made, and then it is not governed (PROTOCOL §4.2). */
  readonly selfTest: Reference | null;
  /** Templates with the values of their parameters; each narrows what the ones before it left. Left out where there are none. */
  readonly skills?: readonly { readonly template: Skill; readonly params: Readonly<Record<string, string>> }[];
  /** Blueprints that child runs may take, those of their children among them. Left out where there are none. */
  readonly delegates?: readonly { readonly name: string; readonly blueprint: CheckedBlueprint }[];
  /** The `delegation.opened` that a child run answers; left out for any other run. */
  readonly parent?: Reference;
}

/** How a drive ended. */
export interface RunReport {
  readonly state: RunState;
  /** `parked` waits for `resume` or a vote; `stopped` was asked to stop and goes on by `resume`. */
  readonly status: 'closed' | 'parked' | 'stopped';
  /** The tree head made for the closed run, or why there is none; null where the run is not closed. */
  readonly checkpoint: Result<StoredCheckpoint, CheckpointFailure> | null;
}
