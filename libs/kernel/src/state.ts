/**
 * The state of one run: plain immutable data, a fold of its events and of nothing else. Cheap to extend by one event; never stored as truth
 * (SEAM). Whatever is needed of blueprint, policy, catalogue and writ was parsed once from `run.opened`.
 */
import type { Bytes, Digest, Instant, Json, KeyId, TrajectoryId } from '@openexec/canon';
import type { Call, History } from '@openexec/catalogue';
import type {
  ActionContract,
  Amount,
  ApprovalTerms,
  ArtifactRef,
  BlobRef,
  Body,
  BoundSkill,
  CanaryKit,
  Catalogue,
  CheckedBlueprint,
  CheckedStage,
  Claims,
  CommitRecorded,
  ExecutionObserved,
  FactKind,
  Kind,
  ModelChoice,
  PartRef,
  PolicySet,
  Prices,
  Reason,
  RunOpened,
  SandboxProfile,
  SelfTestOpened,
  Toolsets,
  TreeEntry,
  Writ,
} from '@openexec/protocol';
import type { World } from './world.ts';

/** An event as the kernel sees it: its body, and the blobs it needs (see `neededBlobs`), already read. */
export interface EventOf<K extends Kind> {
  readonly kind: K;
  readonly at: Instant;
  /** For a judgement, the seq of its fact; null for a fact. */
  readonly cause: number | null;
  /** For a judgement, the law position it was made under. */
  readonly law: number | null;
  readonly body: Body<K>;
  readonly blobs: ReadonlyMap<Digest, Bytes>;
}
/** Any event, told apart by its kind. */
export type RunEvent = { [K in Kind]: EventOf<K> }[Kind];
/** An event that came from outside and is judged. */
export type FactEvent = { [K in FactKind]: EventOf<K> }[FactKind];
/** A fact waiting to be judged. */
export interface QueuedFact {
  readonly seq: number;
  readonly event: FactEvent;
}

/** Everything that `run.opened` fixed, parsed. */
export interface RunLaw {
  readonly opened: RunOpened;
  readonly task: string;
  /** The run's own writ, as its skills narrow it; it counts only while its chain does. */
  readonly writ: Writ;
  /** What its skills say to models, in the order in which they were bound. */
  readonly instructions: readonly string[];
  /** Every skill that it is bound to, those of its opening first. */
  readonly skills: readonly BoundSkill[];
  readonly blueprint: CheckedBlueprint;
  readonly stages: ReadonlyMap<string, CheckedStage>;
  readonly policySet: PolicySet;
  readonly catalogue: Catalogue;
  readonly actions: ReadonlyMap<string, ActionContract>;
  readonly toolsets: Toolsets;
  readonly prices: Prices;
  readonly profile: SandboxProfile;
  readonly model: ModelChoice | null;
  readonly base: ReadonlyMap<string, TreeEntry>;
  readonly baseTree: string;
  /** Blueprints that child runs may take, by name. */
  readonly delegates: ReadonlyMap<string, CheckedBlueprint>;
}

/** An intent on its way through the state machine of PROTOCOL §4.3. */
export interface IntentState {
  readonly intent: Digest;
  readonly author: 'model' | 'blueprint' | 'gateway' | 'canary';
  readonly action: string;
  readonly arguments: Json;
  readonly malformed: Reason | null;
  readonly claims: Claims;
  readonly call: string | null;
  readonly phase: 'declared' | 'decided' | 'suspended' | 'requested' | 'resolved' | 'staged' | 'started' | 'delegated' | 'ended';
  readonly decision: { readonly id: Digest; readonly verdict: 'permit' | 'deny' | 'approve'; readonly because: Reason } | null;
  readonly proposal: Digest | null;
  readonly request: Digest | null;
  /** A consumed, granted request: the next compile reads it. */
  readonly granted: { readonly request: Digest; readonly digest: Digest } | null;
  /** Why the request was not granted. */
  readonly withheld: Reason | null;
  readonly reservation: Amount | null;
  readonly execution: OpenExecution | null;
  readonly delegation: OpenDelegation | null;
}
/** A child run that may open, or has opened, and whose end is not recorded yet. */
export interface OpenDelegation {
  readonly id: Digest;
  /** Position of its `delegation.opened`. */
  readonly seq: number;
  readonly key: string;
  readonly blueprint: string;
  readonly task: BlobRef;
  readonly writ: Writ;
  readonly base: Body<'delegation.opened'>['base'];
  readonly reservation: Amount;
}
/** An execution that was started and whose end is not judged yet. `deadlineMs` from its start. */
export interface OpenExecution {
  readonly id: Digest;
  readonly attempt: number;
  readonly startedSeq: number;
  readonly input: Json;
  readonly command: readonly string[] | null;
  readonly idempotencyKey: Digest;
  readonly deadlineMs: number;
  /** What it may not see; null where the list could not be read. */
  readonly masked: readonly string[] | null;
  /** Set by the fact that ended it, until its judgement is folded. */
  readonly ended:
    | { readonly observed: ExecutionObserved }
    | { readonly failed: Body<'execution.failed'> }
    | { readonly undeclared: Body<'effect.undeclared'> }
    | { readonly interrupted: true }
    | null;
}
/** A question to a model that was asked and is not settled yet. */
export interface OpenAsk {
  readonly id: Digest;
  readonly attempt: number;
  readonly startedSeq: number;
  readonly reservation: Amount;
  readonly turn: number;
  readonly backoffMs: number;
  readonly timeoutMs: number;
  readonly ended: { readonly failed: Body<'model.failed'> } | { readonly interrupted: true } | null;
}
/** An approval that was requested and is neither granted, denied nor expired. */
export interface OpenRequest {
  readonly id: Digest;
  readonly subject: 'action' | 'stage';
  readonly digest: Digest;
  readonly terms: ApprovalTerms;
  readonly until: Instant;
  readonly votes: readonly { readonly key: KeyId; readonly seq: number; readonly decision: 'approve' | 'deny' }[];
}
/** A message part not yet asked; `text` is given where the kernel made it and its blob is not recorded yet. */
export interface Part extends PartRef {
  readonly text: string | null;
}
/** The visit of a stage that is going on. */
export interface StageState {
  readonly id: string;
  readonly visit: number;
  readonly enteredSeq: number;
  readonly worldAtEntry: World;
  readonly inputs: readonly ArtifactRef[];
  /** Completed executions that ended in an error, this visit. */
  readonly failures: number;
  readonly turn: number;
  readonly malformedInRow: number;
  /** The verdict on model.ask, kept per stage and law position. */
  readonly permission: {
    readonly decision: Digest;
    readonly law: number;
    readonly verdict: 'permit' | 'deny' | 'approve';
    readonly because: Reason;
  } | null;
  readonly asked: readonly PartRef[];
  readonly unasked: readonly Part[];
  readonly lastAsk: Digest | null;
  readonly ask: OpenAsk | null;
  readonly calls: readonly Call[];
  readonly intents: readonly IntentState[];
  readonly declared: boolean;
  readonly finalText: string | null;
  readonly result: { readonly outcome: 'succeeded' | 'failed' | 'skipped'; readonly because: Reason } | null;
  readonly resultApproved: boolean;
}
/** A commit that changed the world. A list from the newest on, so that one more costs the same in a long run. */
export interface CommitMark {
  readonly commit: Digest;
  readonly seq: number;
  readonly earlier: CommitMark | null;
}
/** An external or irreversible action that was started and may have taken effect; the newest first. */
export interface OutsideMark {
  readonly action: string;
  /** Position of its `execution.started`. */
  readonly seq: number;
  readonly earlier: OutsideMark | null;
}
/** What a rewind to one stage entry brings back; the newest first. */
export interface StageMark {
  readonly stage: string;
  readonly visit: number;
  /** Position of its `stage.entered`. */
  readonly seq: number;
  readonly world: World;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  readonly failure: Reason | null;
  readonly lastStage: string | null;
  readonly commits: CommitMark | null;
  readonly earlier: StageMark | null;
}
/** A named value between stages, with its parsed form where a condition may ask for a field. */
export interface Artifact extends ArtifactRef {
  readonly json: Json | undefined;
}
/** What a self-test is judged under, and the canary in hand. */
export interface SelfTestState {
  readonly opened: SelfTestOpened;
  readonly law: RunLaw;
  readonly kit: CanaryKit;
  readonly canary: SelfTestOpened['canaries'][number] | null;
}
/** All that the kernel knows of one run, a function of its entries alone. Immutable: every fold makes a new one. */
export interface RunState {
  readonly run: TrajectoryId;
  readonly nextSeq: number;
  readonly queue: readonly QueuedFact[];
  /** The fact whose judgements are being folded. */
  readonly fact: QueuedFact | null;
  readonly ordinals: Readonly<Record<string, number>>;
  readonly status: 'unopened' | 'running' | 'parked' | 'closed';
  readonly law: RunLaw | null;
  readonly lawProblem: Reason | null;
  readonly driver: string;
  readonly epoch: number;
  readonly lastAt: Instant | null;
  readonly activeMs: number;
  readonly stage: StageState | null;
  /** Where the last stage.left routed. */
  readonly next: string | null;
  /** The stage that was left last. */
  readonly lastStage: string | null;
  readonly visits: Readonly<Record<string, number>>;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** The highest version of each artifact so far; a rewind does not bring a number back. */
  readonly versions: Readonly<Record<string, number>>;
  readonly world: World;
  /** Stage entries that the run can go back to. */
  readonly marks: StageMark | null;
  readonly commits: CommitMark | null;
  readonly outside: OutsideMark | null;
  readonly settled: Amount;
  readonly reserved: Amount;
  readonly request: OpenRequest | null;
  readonly pause: Reason | null;
  readonly cancel: string | null;
  readonly failure: Reason | null;
  /** A call cost more than was reserved for it: the run ends at the truth (PROTOCOL §5). */
  readonly overspent: Reason | null;
  readonly landed: CommitRecorded['landed'];
  /** Why the fact in hand changes nothing, if so. */
  readonly refusal: { readonly why: string; readonly message: string; readonly violation: boolean } | null;
  /** The events that an account of the run is made of, newest first. */
  readonly history: History | null;
  readonly closed: Body<'run.closed'> | null;
  readonly parked: Body<'run.parked'> | null;
  /** Only in trajectories of canaries. */
  readonly selfTest: SelfTestState | null;
}
