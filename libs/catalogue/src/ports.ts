/**
 * The ports of the hands that a run needs: models, actions, the sandbox, the workspace and the approver. Contracts in prose; each adapter
 * runs the contract suite of its port. Nothing here decides anything (ARCHITECTURE §4).
 */
import type { Bytes, Digest, Instant, Json, Result } from '@openexec/canon';
import type { ApprovalVoted, FileChange, SandboxProfile, SignedWrit, TreeEntry } from '@openexec/protocol';

/** A wish to stop; once stopped it stays so. Listeners are called at most once; the returned function takes a listener off. */
export interface StopSignal {
  readonly stopped: boolean;
  onStop(listener: () => void): () => void;
}

// ---- models

/** One provider-neutral message; the bodies are already redacted and recorded (PROTOCOL §2 "Redaction first"). */
export type ModelMessage =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly answer: NeutralAnswer }
  | { readonly role: 'tool'; readonly call: string; readonly text: string };
/** A tool as shown to a model; `parameters` is JSON Schema. */
export interface ToolDeclaration {
  readonly name: string;
  readonly description: string;
  readonly parameters: Json;
}
/** One question to one model, complete in itself: adapters keep nothing between asks. `timeoutMs` counts from the call to the last byte. */
export interface ModelRequest {
  readonly ask: Digest;
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  readonly tools: readonly ToolDeclaration[];
  readonly maxOutputTokens: number;
  readonly timeoutMs: number;
  /** 1-based turn of the stage and name of the stage, for adapters that script answers; never sent to a provider. */
  readonly stage: string;
  readonly visit: number;
  readonly turn: number;
}
/** What a model said, in the shape the kernel reads. `arguments` is the raw text: the kernel parses it strictly. */
export interface NeutralAnswer {
  readonly text: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly finish: 'stop' | 'calls' | 'length' | 'refusal' | 'other';
}
/** A settled ask: what was said, what it cost in tokens, and what came over the wire. */
export interface ModelAnswer {
  readonly answer: NeutralAnswer;
  /** Null where the provider reported none: the reservation is then settled in full. */
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number } | null;
  /** The exact response body as received. */
  readonly raw: Bytes;
}
/**
 * Why an ask has no answer. `retryable` and `retryAfterMs` are the provider’s word for the kernel, which alone decides; `raw` is the body where one
 * came.
 */
export interface ModelFailure {
  readonly code:
    | 'model.unauthorized'
    | 'model.rateLimited'
    | 'model.timeout'
    | 'model.unreachable'
    | 'model.malformed'
    | 'model.refused'
    | 'model.server'
    | 'model.stopped'
    | 'model.exhausted';
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly status: number | null;
  readonly raw: Bytes | null;
}
/**
 * Asks one model once. Never retries (each retry is a judgement of the kernel), never reads authority, never persists. Concurrency: calls are
 * independent. After `model.timeout`, `model.unreachable` or `model.server` the outcome at the provider is unknown.
 */
export interface ModelAdapter {
  /** Name under which the catalogue, the prices and the ledger know the provider. Constant for the life of the adapter. */
  readonly provider: string;
  /**
   * Asks once and settles with a value; never rejects for anything a provider or the network does. Idempotence: none, every call may cost; who may
   * ask again is the kernel alone. A stop, before or during, is `model.stopped` (before: nothing was sent). The deadline is the adapter’s to keep.
   * No message holds the key; answer and raw body are the provider’s own words, which the caller redacts before it keeps them. Durability: none.
   */
  ask(request: ModelRequest, stop: StopSignal): Promise<Result<ModelAnswer, ModelFailure>>;
}

// ---- sandbox

/** One command and all that it may see. `deadlineMs` counts from the start of the process. */
export interface SandboxOrder {
  readonly profile: SandboxProfile;
  /** Exact argv; `argv[0]` is looked up in the sandbox's fixed PATH. */
  readonly argv: readonly string[];
  /** Directory inside the workspace, '' for its root. */
  readonly directory: string;
  /** Host path of the workspace root. */
  readonly workspace: string;
  /** Host path of the git view shown read-only at `.git`, or null. */
  readonly gitView: string | null;
  readonly deadlineMs: number;
  readonly stdin: Bytes | null;
}
/** Bytes kept per stream are bounded; digest and count cover everything produced. */
export interface StreamCapture {
  readonly head: Bytes;
  readonly tail: Bytes;
  readonly bytes: number;
  readonly digest: Digest;
}
/**
 * Packets that wanted to leave the sandbox, which has no route, and were refused by the kernel; at least one for each attempt. Loopback is none.
 * `attempts` is null where this host does not let them be counted: nothing left then either, but nobody knows what was tried. Hosts, ports and
 * protocols are not observable; refused kinds of sockets (raw, packet, ICMP, Unix, vsock) are not counted.
 */
export interface NetworkObservation {
  readonly attempts: number | null;
  readonly ipv4: number;
  readonly ipv6: number;
}
/**
 * How a command ended. `exitCode` is null where a signal ended it; `stopped` names the bound that the sandbox enforced; `limiter` what bounded
 * memory and processes.
 */
export interface CommandOutcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stopped: 'no' | 'deadline' | 'output' | 'memory' | 'disk' | 'signal';
  readonly stdout: StreamCapture;
  readonly stderr: StreamCapture;
  readonly network: NetworkObservation;
  readonly durationMs: number;
  readonly limiter: string;
}
/** No verdict on the command: `unavailable` and `refused` mean that nothing was started, `broken` that its end could not be observed. */
export interface SandboxFailure {
  readonly code: 'sandbox.unavailable' | 'sandbox.refused' | 'sandbox.broken';
  readonly message: string;
}
/** What stands between a command and the machine; `sound` only after the canary set was run and refused. */
export interface SandboxReport {
  readonly sound: boolean;
  readonly kind: string;
  readonly version: string;
  readonly uid: number;
  readonly limiter: string;
  readonly canaries: readonly { readonly name: string; readonly blocked: boolean; readonly control: boolean }[];
  readonly problem: string | null;
}
/**
 * Runs one command under a profile and answers when it and all its descendants are gone. Never runs anything unconfined: what cannot be
 * confined is `sandbox.unavailable` and no process was started. Concurrency: many at once, in different workspaces.
 */
export interface Sandbox {
  /**
   * Runs the canary set with its control, once for the life of the adapter; later and concurrent callers get the same report. What is missing on
   * this machine stands in `problem`, not in a rejection. Leaves nothing behind.
   */
  check(): Promise<SandboxReport>;
  /**
   * Starts the command once, never again by itself; the caller decides about another attempt. Settles after the last descendant is gone: at the
   * end of the command, at the deadline, at a bound or after a stop. Not idempotent: changes of the command to the workspace stay, whatever the
   * outcome, and the caller observes and restores them. Output is redacted before it is kept.
   */
  run(order: SandboxOrder, stop: StopSignal): Promise<Result<CommandOutcome, SandboxFailure>>;
}

// ---- workspace

/** Why the tree was not read or changed; the message says what to do. `path` is repository-relative, where one file is at fault. */
export interface WorkspaceFailure {
  readonly code:
    | 'workspace.notARepository'
    | 'workspace.dirty'
    | 'workspace.objectMissing'
    | 'workspace.pathRefused'
    | 'workspace.notAFile'
    | 'workspace.tooLarge'
    | 'workspace.quota'
    | 'workspace.conflict'
    | 'workspace.refExists'
    | 'workspace.secret'
    | 'workspace.io'
    | 'workspace.git';
  readonly message: string;
  readonly path?: string;
}
/** The commit a run starts from; git object ids in hex, `listing` sorted by bytes of the path. */
export interface BaseTree {
  readonly commit: string;
  readonly tree: string;
  readonly objectFormat: 'sha1' | 'sha256';
  readonly listing: readonly TreeEntry[];
}
/** A file to be written (content and mode) or removed (content null). */
export interface FileEdit {
  readonly path: string;
  readonly content: Bytes | null;
  readonly mode: '100644' | '100755';
}
/**
 * Changes of the tree against the committed one, and the new bytes by digest. `gitEntries`: what stands under the name `.git` below the root, or in
 * the root's own; never part of a change, since git itself would not see it, and gone after `restore`.
 */
export interface TreeChanges {
  readonly changes: readonly FileChange[];
  readonly contents: ReadonlyMap<Digest, Bytes>;
  readonly gitEntries: readonly string[];
}
/**
 * One file of a difference. `added` and `removed` count lines and are null for a binary file; `text` is the unified diff as git prints it, null for a
 * binary file and where a bound was reached.
 */
export interface FileDiff {
  readonly path: string;
  readonly status: 'added' | 'changed' | 'deleted';
  readonly added: number | null;
  readonly removed: number | null;
  readonly text: Bytes | null;
}
/**
 * One commit on one new branch, complete in itself, so that its id can be computed before it is made (D-7). `seconds` since the epoch, `offset` such
 * as `+0000`.
 */
export interface LandOrder {
  readonly branch: string;
  readonly tree: string;
  readonly parent: string;
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string; readonly seconds: number; readonly offset: string };
}
/**
 * The run's own tree. Only the runtime writes its git directory; the user's repository is only read, until `land` adds one new branch.
 * Concurrency: one holder of the run's lease; edits and commands of one run never overlap. All operations may be repeated after a crash.
 */
export interface Workspace {
  /** Host path of the tree, given to the sandbox. */
  readonly root: string;
  /** Host path of a copy of git’s metadata that commands may read, or null where there is none. Never the user’s own git directory. */
  readonly gitView: string | null;
  /**
   * A copy of the git view that does not hold the content of what is masked (paths and `folder/**`), under any name that git would find it by; null where
   * there is no view. Content that a file outside the mask has too stays. May be repeated; the same mask gives the same place.
   */
  maskedGitView(masked: readonly string[]): Promise<Result<string | null, WorkspaceFailure>>;
  /**
   * Makes the tree equal base plus `files` (last committed state), from nothing or from whatever a crash left. A file without `content` whose change
   * has an `after` was kept out of the ledger: its bytes are taken from the run's own git directory, never from anywhere else, and only if they are
   * those that were committed; `workspace.objectMissing` where they are not there, `workspace.conflict` where they are others.
   */
  rebuild(files: readonly { readonly change: FileChange; readonly content: Bytes | null }[]): Promise<Result<void, WorkspaceFailure>>;
  /** Every regular file and link against the committed state (base plus what was accepted). Writes objects to the run's git directory. */
  changes(): Promise<Result<TreeChanges, WorkspaceFailure>>;
  /** Takes these changes as committed: later `changes()` and `restore()` compare with them. */
  accept(changes: readonly FileChange[]): Promise<Result<void, WorkspaceFailure>>;
  /** Puts the tree back to the committed state. */
  restore(): Promise<Result<void, WorkspaceFailure>>;
  /**
   * Bytes of one regular file as it is in the tree now. Never follows a link (`workspace.notAFile`); larger than `maxBytes` is `workspace.tooLarge`,
   * never a part. Changes nothing and may be repeated.
   */
  read(path: string, limits: { readonly maxBytes: number }): Promise<Result<Bytes, WorkspaceFailure>>;
  /** Paths of the committed state, sorted by bytes, under `directory` ('' for all). */
  list(directory: string): Promise<Result<readonly TreeEntry[], WorkspaceFailure>>;
  /** All edits or none; every path is checked and walked without following a link. */
  edit(edits: readonly FileEdit[]): Promise<Result<void, WorkspaceFailure>>;
  /**
   * The committed state against the base: every file that differs, sorted by bytes of the path, texts up to `maxBytes` in all. No attribute, driver or
   * filter of the repository has a say in what is shown. Changes nothing and may be repeated.
   */
  diff(limits: { readonly maxBytes: number }): Promise<Result<readonly FileDiff[], WorkspaceFailure>>;
  /** Git tree id of the committed state. */
  tree(): Promise<Result<string, WorkspaceFailure>>;
  /** Adds the commit and one new branch to the user's repository; a branch that already points at this very commit is the same success. */
  land(order: LandOrder): Promise<Result<{ readonly commit: string; readonly ref: string }, WorkspaceFailure>>;
}

// ---- actions

/** One started execution, exactly as the ledger has it. */
export interface ExecutionOrder {
  readonly execution: Digest;
  readonly idempotencyKey: Digest;
  readonly action: string;
  readonly arguments: Json;
  readonly command: readonly string[] | null;
  readonly profile: SandboxProfile;
  readonly deadlineMs: number;
  /** Bodies of the artifacts the stage takes in, by name. */
  readonly artifacts: ReadonlyMap<string, Bytes>;
  readonly task: string;
}
/** What an action did, as seen by the runtime; nothing in it is taken from what a command says about itself. */
export interface Execution {
  /** `failed` is a check's own verdict (tests red), not an error of the action. */
  readonly status: 'ok' | 'failed';
  readonly summary: string;
  /** Shown to a model and to people; bounded and redacted by the host. */
  readonly output: Bytes;
  readonly outputMediaType: string;
  readonly exitCode: number | null;
  readonly durationMs: number;
  readonly changes: readonly FileChange[];
  readonly contents: ReadonlyMap<Digest, Bytes>;
  /** Paths a check left behind that were put back. */
  readonly scratch: readonly string[];
  /** Changes outside the declared patterns that would have survived; they fail the stage (PROTOCOL §9). */
  readonly undeclared: readonly string[];
  /** Of all commands of the action together; null where it ran none. */
  readonly network: NetworkObservation | null;
  readonly artifacts: readonly { readonly name: string; readonly bytes: Bytes; readonly mediaType: string }[];
  readonly landed: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
}
/**
 * An action that did not come to an end of its own. `code` belongs to the host’s closed union (its package names it); `output` is bounded and
 * redacted.
 */
export interface ExecutionFailure {
  readonly code: string;
  readonly message: string;
  /** False when it is certain that nothing happened outside the workspace. */
  readonly effectUnknown: boolean;
  readonly output: Bytes | null;
}
/**
 * Performs one execution of one run in its workspace. Called only for an `execution.started` that is durable; the key is the same for every
 * attempt of a proposal. Never judges, never retries. Serialised by the caller per run.
 */
export interface ActionHost {
  /**
   * Performs the order once. Idempotence: within the workspace, another call with the same order on the committed tree gives the same changes; a
   * landing with the same order is the same success. Whoever drives the run decides about another attempt; the host makes none. After a stop or
   * the deadline the tree is as it was committed and the answer is a failure. Durability: only what `landed` names outlives the workspace.
   */
  execute(order: ExecutionOrder, stop: StopSignal): Promise<Result<Execution, ExecutionFailure>>;
}

// ---- approver

/** What a person is shown. `digest` is what a vote signs (PROTOCOL §6); after `until` no vote counts. */
export interface ApprovalQuestion {
  readonly request: Digest;
  readonly run: string;
  readonly digest: Digest;
  readonly action: string;
  readonly because: string;
  readonly rule: string;
  readonly detail: string;
  readonly until: Instant;
}
/** Brings a signed vote from a person, or null where nobody can be asked now; never decides. */
export interface Approver {
  /**
   * Shows the question and waits for the person's decision; settles with null at a stop, or where none is given. The vote is signed, for exactly this
   * request, digest and run, and expires no later than the question. Asked again it may be decided otherwise: nothing is remembered, nothing retried.
   */
  ask(question: ApprovalQuestion, stop: StopSignal): Promise<ApprovalVoted['vote'] | null>;
}

/** Named again here because hosts check a writ's host grants before they dial. */
export type { SignedWrit };
