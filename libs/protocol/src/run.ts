/**
 * Bodies of the events of one run, `run/…`: what each kind says, never what it means (PROTOCOL §§4.2-4.4; meanings stand in schemas/events.md).
 * Ids are digests of [noun, run, seq of the causing fact, ordinal], so that a pure kernel can make them.
 */
import * as z from 'zod';
import { signedWrit, writ } from './law.ts';
import { boundSkill } from './skill.ts';
import {
  amount,
  blobRef,
  code,
  count,
  digest,
  driverId,
  effect,
  inlineOrBlob,
  instant,
  keyId,
  name,
  nonce,
  oid,
  position,
  reference,
  sentence,
  signature,
  signed,
} from './words.ts';
import { approvalTerms, assurance, delta, fileChange, modelChoice, reason, sandboxMode } from './work.ts';

const driven = { driver: driverId, epoch: count };

// ---- opening, driving, closing

/** Body of `run.opened`: fixes everything that later steers the run; the first stage is entered, or the run is closed when its law does not hold. */
export const runOpened = z.strictObject({
  ...driven,
  task: blobRef,
  session: z.string().max(128).nullable(),
  opener: keyId,
  writs: z.array(signedWrit).min(1).max(16),
  blueprint: blobRef,
  policySet: blobRef,
  catalogue: blobRef,
  toolsets: blobRef,
  prices: blobRef,
  profile: blobRef,
  model: modelChoice.nullable(),
  base: z.strictObject({ commit: oid, tree: oid, objectFormat: z.enum(['sha1', 'sha256']), listing: blobRef }),
  kernel: z.strictObject({ version: z.string().max(32), flags: z.array(count).max(256) }),
  selfTest: reference.nullable(),
  approvals: z.enum(['ask', 'never']),
  /** Left out where there are none. */
  skills: z.array(boundSkill).min(1).max(8).optional(),
  /** Blueprints that child runs may take, by name; left out where the run's own names none. */
  delegates: z
    .array(z.strictObject({ name, blueprint: blobRef }))
    .min(1)
    .max(16)
    .optional(),
  /** Of a child run: the `delegation.opened` that it answers; left out for any other. */
  parent: reference.optional(),
});
/** Body of `run.resumed`: what was started before it is retried or lost; a parked run goes on. */
export const runResumed = z.strictObject({ ...driven, because: sentence });
/** Body of `run.pauseRequested`: the run is parked once nothing is in flight. */
export const runPauseRequested = z.strictObject({ by: z.enum(['driver', 'person']), because: reason });
/** Body of `run.cancelRequested`: the run is closed {cancelled} once nothing is in flight. */
export const runCancelRequested = z.strictObject({ because: sentence });
/**
 * Body of `run.rewound`: the state goes back to that stage entry; spend and visits stay. With an epoch higher than the one in force the driver takes
 * the run over by it.
 */
export const runRewound = z.strictObject({ ...driven, stage: name, visit: count });
/** Body of `run.parked`: nothing is pending until run.resumed or approval.resolved. */
export const runParked = z.strictObject({ because: reason, request: digest.nullable() });
/** Body of `run.closed`: the last entry; every later append is refused. */
export const runClosed = z.strictObject({
  outcome: z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']),
  because: reason,
  worldRoot: digest,
  spend: amount,
  result: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
});

// ---- stages

/** One version of a named value that flows between stages. */
export const artifactRef = z.strictObject({ name, version: count, blob: blobRef });
/** Body of `stage.entered`: visit count + 1; the stage is current. */
export const stageEntered = z.strictObject({
  stage: name,
  visit: count,
  type: z.enum(['deterministic', 'agent']),
  inputs: z.array(artifactRef),
});
/** Body of `stage.left`: its artifacts flow; the route is taken. */
export const stageLeft = z.strictObject({
  stage: name,
  visit: count,
  outcome: z.enum(['succeeded', 'failed', 'skipped']),
  because: reason,
  next: name,
  outputs: z.array(artifactRef),
});
/** Body of `router.planned`: recorded, never read for authority. */
export const routerPlanned = z.strictObject({ ...driven, plan: blobRef });
/** Body of `context.packed`: recorded, never read for authority. */
export const contextPacked = z.strictObject({ ...driven, pack: blobRef });

// ---- models

/** One part of a conversation, by content: who said it, to which call it answers. */
export const partRef = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  call: z.string().max(256).nullable(),
  body: blobRef,
});
/** Body of `model.asked`: the reservation is held; an ask is open. */
export const modelAsked = z.strictObject({
  ask: digest,
  decision: digest,
  stage: name,
  visit: count,
  turn: count,
  attempt: count,
  replaces: digest.nullable(),
  previous: digest.nullable(),
  provider: name,
  model: z.string().max(128),
  tools: blobRef,
  added: z.array(partRef),
  maxOutputTokens: count,
  reservation: amount,
  backoffMs: count,
  timeoutMs: count,
});
/** Body of `model.answered`: the ask is settled; its calls become intents. */
export const modelAnswered = z.strictObject({
  ...driven,
  ask: digest,
  answer: blobRef,
  raw: blobRef,
  usage: z.strictObject({ inputTokens: count, outputTokens: count }).nullable(),
  durationMs: count,
});
/** Body of `model.failed`: asked again within the bound, else the stage fails. */
export const modelFailed = z.strictObject({
  ...driven,
  ask: digest,
  error: reason,
  retryable: z.boolean(),
  retryAfterMs: count.nullable(),
  status: count.nullable(),
  raw: blobRef.nullable(),
  durationMs: count,
});

// ---- intent, decision, proposal

/** What the model says about its own call; recorded, read by nothing (ARCHITECTURE invariant 8). */
export const claims = z.strictObject({ rationale: sentence.nullable(), claimedRisk: z.string().max(200).nullable() });
/** Body of `intent.submitted`: `channel` names the gateway, or in a self-test the canary. */
export const intentSubmitted = z.strictObject({ channel: name, action: z.string().max(128), arguments: inlineOrBlob, claims });
/** Body of `intent.declared`: the intent waits its turn. */
export const intentDeclared = z.strictObject({
  intent: digest,
  author: z.enum(['model', 'blueprint', 'gateway', 'canary']),
  stage: name.nullable(),
  visit: count,
  action: z.string().max(128),
  arguments: inlineOrBlob,
  malformed: reason.nullable(),
  claims,
  call: z.string().max(256).nullable(),
});
/** One matched or unknown rule, as the trace keeps it. */
export const ruleTrace = z.strictObject({
  layer: z.string().max(64),
  rule: name,
  truth: z.enum(['true', 'unknown']),
  decide: z.enum(['permit', 'deny', 'approve']),
  unknown: z.array(z.string().max(256)),
});
/**
 * Which bundle spoke for a layer: its name and language version, the digest of its full content, where it came from (`law/N` for one that the law
 * adopted at that position), and whose keys signed it there; nobody's where it was carried by the opening of the run (PROTOCOL §7).
 */
export const bundleOrigin = z.strictObject({
  name,
  version: z.literal(1),
  digest,
  source: z.string().max(256),
  signers: z.array(keyId).max(16),
});
/** How far the compiler came and what policy matched; the reasons behind a verdict (PROTOCOL §6). */
export const decisionTrace = z.strictObject({
  /** Number of the last compile step that was reached (PROTOCOL §6). */
  reached: count,
  effect: effect.nullable(),
  risk: z.string().max(16).nullable(),
  readPaths: count,
  writePaths: count,
  layers: z.array(
    z.strictObject({
      layer: z.string().max(64),
      verdict: z.enum(['permit', 'deny', 'approve', 'abstain', 'noMatch']),
      bundle: bundleOrigin,
    }),
  ),
  rules: z.array(ruleTrace),
  gates: z.array(code),
});
/** Body of `policy.decided`: the verdict with its trace stands before anything happens. */
export const policyDecided = z.strictObject({
  decision: digest,
  intent: digest.nullable(),
  subject: z.string().max(200),
  verdict: z.enum(['permit', 'deny', 'approve']),
  by: z.enum(['compiler', 'policy', 'gate']),
  because: reason,
  rule: z.strictObject({ layer: z.string().max(64), rule: name }).nullable(),
  policySet: digest,
  approval: digest.nullable(),
  trace: z.union([z.strictObject({ inline: decisionTrace }), z.strictObject({ blob: blobRef })]),
});
/** Body of `proposal.staged`: the reservation is held. */
export const proposalStaged = z.strictObject({
  proposal: digest,
  intent: digest,
  decision: digest,
  action: name,
  effect,
  reservation: amount,
  idempotencyKey: digest,
  preImage: digest.nullable(),
  approval: digest.nullable(),
});
/** Body of `proposal.suspended`: what is behind it waits. */
export const proposalSuspended = z.strictObject({ proposal: digest, intent: digest, decision: digest, request: digest });
/** Body of `proposal.rejected`: the whole intent is kept; its author is told. */
export const proposalRejected = z.strictObject({
  proposal: digest,
  intent: digest,
  at: z.enum(['compile', 'approval', 'precondition', 'postcondition', 'stage', 'rewind']),
  because: reason,
  rule: z.strictObject({ layer: z.string().max(64), rule: name }).nullable(),
});

// ---- approvals

/** Body of `approval.requested`: votes are counted until `until`. */
export const approvalRequested = z.strictObject({
  request: digest,
  proposal: digest.nullable(),
  subject: z.enum(['action', 'stage']),
  stage: name.nullable(),
  digest,
  action: z.string().max(128),
  terms: approvalTerms,
  because: reason,
  rule: z.strictObject({ layer: z.string().max(64), rule: name }).nullable(),
  until: instant,
});
/** What an approver signs: this exact request, over this exact content, once (PROTOCOL §6). */
export const vote = z.strictObject({
  ledger: digest,
  run: z.string().max(128),
  request: digest,
  decision: z.enum(['approve', 'deny']),
  digest,
  expiry: instant,
  nonce,
  /** How the key was held when it signed; under the signature, so that nobody can raise it afterwards. */
  assurance,
  because: sentence,
});
/** Body of `approval.voted`: counts once per key. */
export const approvalVoted = z.strictObject({ vote: signed(vote) });
/** Body of `approval.expired`: the request is resolved {expired}. */
export const approvalExpired = z.strictObject({ ...driven, request: digest });
/** Body of `approval.resolved`: the request is consumed; the compile runs again. */
export const approvalResolved = z.strictObject({
  request: digest,
  outcome: z.enum(['approved', 'denied', 'expired', 'withdrawn']),
  votes: z.array(z.strictObject({ key: keyId, seq: position })),
  because: reason,
});

// ---- execution and commit

/** Body of `execution.started`: the effect may be performed, by the driver that appended it. */
export const executionStarted = z.strictObject({
  execution: digest,
  proposal: digest,
  attempt: count,
  replaces: digest.nullable(),
  action: name,
  input: inlineOrBlob,
  command: z.array(z.string()).nullable(),
  idempotencyKey: digest,
  deadlineMs: count,
  /** What it runs in: the run's profile narrowed to the stage's mode and by what may not be read, and that profile's digest. */
  sandbox: z.strictObject({
    mode: sandboxMode,
    profile: digest,
    /** Paths and `folder/**` whose contents it cannot see, sorted: a list in the payload or in a blob. Left out where there are none. */
    masked: inlineOrBlob.exactOptional(),
  }),
});
/**
 * Packets that commands wanted to send out of their sandbox and that were refused; loopback is none. `attempts` null: this host does not let them be
 * counted. Host, port and protocol are not observable.
 */
export const networkObservation = z.strictObject({ attempts: count.nullable(), ipv4: count, ipv6: count });
/** Body of `execution.observed`: what the effect did, seen from outside; `network` where it ran a command. */
export const executionObserved = z.strictObject({
  ...driven,
  execution: digest,
  status: z.enum(['ok', 'failed']),
  summary: sentence,
  output: blobRef,
  exitCode: z.number().int().nullable(),
  durationMs: count,
  changes: z.union([z.strictObject({ inline: z.array(fileChange) }), z.strictObject({ blob: blobRef })]),
  scratch: z.array(z.string()).max(200),
  network: networkObservation.optional(),
  artifacts: z.array(z.strictObject({ name, blob: blobRef })),
  landed: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
});
/** Body of `execution.failed`: the effect did not come about. */
export const executionFailed = z.strictObject({
  ...driven,
  execution: digest,
  error: reason,
  effectUnknown: z.boolean(),
  output: blobRef.nullable(),
  durationMs: count,
});
/** Body of `execution.lost`: settled at its full reservation; the stage fails. */
export const executionLost = z.strictObject({ execution: digest, because: reason });
/** Body of `effect.undeclared`: fails the stage. `paths` were touched beyond the declaration, `network` says what was tried on it. */
export const effectUndeclared = z.strictObject({
  ...driven,
  execution: digest,
  paths: z.array(z.string()).max(200),
  network: networkObservation.optional(),
  because: reason,
});
/** Body of `commit.recorded`: the delta enters the world; the reservation is settled. */
export const commitRecorded = z.strictObject({
  commit: digest,
  proposal: digest,
  execution: digest,
  decision: digest,
  delta: z.union([z.strictObject({ inline: delta }), z.strictObject({ blob: blobRef })]),
  worldRoot: digest,
  policySet: digest,
  settled: amount,
  artifacts: z.array(artifactRef),
  landed: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
});
/** Body of `commit.compensated`: the resources named have their former values again. */
export const commitCompensated = z.strictObject({
  commit: digest,
  compensates: z.array(digest),
  delta: z.union([z.strictObject({ inline: delta }), z.strictObject({ blob: blobRef })]),
  worldRoot: digest,
});

// ---- delegation, skills, notes

/**
 * Body of `delegation.opened`: a child may open under the narrower writ, which is unsigned here. `base` is a commit on the parent's own base whose tree is
 * what the parent had committed; `seconds` is its date.
 */
export const delegationOpened = z.strictObject({
  delegation: digest,
  proposal: digest,
  key: name,
  blueprint: name,
  task: blobRef,
  writ,
  base: z.strictObject({ commit: oid, tree: oid, seconds: count }),
  reservation: amount,
});
/**
 * Body of `delegation.closed`: how the child ended, and its diff against its base as far as it can be shown. `child` is the position of its `run.closed`,
 * null where it never opened: then `because` says why, and nothing was spent.
 */
export const delegationClosed = z.strictObject({
  ...driven,
  delegation: digest,
  child: reference.nullable(),
  outcome: z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']),
  because: reason,
  spend: amount,
  tree: oid.nullable(),
  patch: blobRef.nullable(),
});
/** Body of `skill.bound`: narrows the run from its judgement on. It carries no epoch: whoever may append may take away, as with a wish to cancel. */
export const skillBound = z.strictObject({ ...boundSkill.shape, because: sentence });
/** `violation` marks a recorded fact that answers nothing open; everything else is an ordinary remark. */
export const factNoted = z.strictObject({ why: code, message: sentence, violation: z.boolean() });

// ---- ledger, writ, memory trajectories

/** Body of `anchor.recorded`: evidence that the head was seen elsewhere. */
export const anchorRecorded = z.strictObject({ size: count, root: digest, type: name, evidence: blobRef });
/** Body of `result.applied`: records which checkout took the result. */
export const resultApplied = z.strictObject({
  run: z.string().max(128),
  ref: z.string().max(512),
  commit: oid,
  into: z.string().max(512),
  previous: oid,
});
/** Body of `payload.erased`: the payloads and salts named are gone lawfully. */
export const payloadErased = z.strictObject({
  entries: z.array(reference).min(1),
  by: keyId,
  because: sentence,
  rule: name,
  signatures: z.array(signature),
});
/** Body of `ledger.pruned`: the payloads in the list are gone by rule. */
export const ledgerPruned = z.strictObject({ before: instant, rule: name, entries: count, list: blobRef, because: sentence });
/** Body of `ledger.sealed`: this store refuses appends unless its instance id is the successor. */
export const ledgerSealed = z.strictObject({ successor: z.string().regex(/^[0-9a-f]{32}$/), size: count, root: digest });
/** Body of `writ.carved`: the grant leaves the standing writ. */
export const writCarved = z.strictObject({ run: z.string().max(128), writ: signedWrit, grant: amount });
/** Body of `writ.settled`: what was not spent returns. */
export const writSettled = z.strictObject({ run: z.string().max(128), spend: amount, returned: amount });
/** Body of `pointer.recorded`: the pointer stands. */
export const pointerRecorded = z.strictObject({
  pointer: name,
  type: name,
  value: inlineOrBlob,
  source: sentence,
  signatures: z.array(signature),
});
/** Body of `pointer.retired`: the pointer is gone. */
export const pointerRetired = z.strictObject({ pointer: name, because: sentence, signatures: z.array(signature) });

/** Parsed form of `runOpened`. */
export type RunOpened = z.infer<typeof runOpened>;
/** Parsed form of `runResumed`. */
export type RunResumed = z.infer<typeof runResumed>;
/** Parsed form of `runRewound`. */
export type RunRewound = z.infer<typeof runRewound>;
/** Parsed form of `runClosed`. */
export type RunClosed = z.infer<typeof runClosed>;
/** Parsed form of `stageEntered`. */
export type StageEntered = z.infer<typeof stageEntered>;
/** Parsed form of `stageLeft`. */
export type StageLeft = z.infer<typeof stageLeft>;
/** Parsed form of `artifactRef`. */
export type ArtifactRef = z.infer<typeof artifactRef>;
/** Parsed form of `partRef`. */
export type PartRef = z.infer<typeof partRef>;
/** Parsed form of `modelAsked`. */
export type ModelAsked = z.infer<typeof modelAsked>;
/** Parsed form of `modelAnswered`. */
export type ModelAnswered = z.infer<typeof modelAnswered>;
/** Parsed form of `modelFailed`. */
export type ModelFailed = z.infer<typeof modelFailed>;
/** Parsed form of `claims`. */
export type Claims = z.infer<typeof claims>;
/** Parsed form of `intentDeclared`. */
export type IntentDeclared = z.infer<typeof intentDeclared>;
/** Parsed form of `ruleTrace`. */
export type RuleTrace = z.infer<typeof ruleTrace>;
/** Parsed form of `bundleOrigin`. */
export type BundleOrigin = z.infer<typeof bundleOrigin>;
/** Parsed form of `decisionTrace`. */
export type DecisionTrace = z.infer<typeof decisionTrace>;
/** Parsed form of `policyDecided`. */
export type PolicyDecided = z.infer<typeof policyDecided>;
/** Parsed form of `proposalStaged`. */
export type ProposalStaged = z.infer<typeof proposalStaged>;
/** Parsed form of `proposalRejected`. */
export type ProposalRejected = z.infer<typeof proposalRejected>;
/** Parsed form of `approvalRequested`. */
export type ApprovalRequested = z.infer<typeof approvalRequested>;
/** Parsed form of `vote`. */
export type Vote = z.infer<typeof vote>;
/** Parsed form of `approvalVoted`. */
export type ApprovalVoted = z.infer<typeof approvalVoted>;
/** Parsed form of `approvalResolved`. */
export type ApprovalResolved = z.infer<typeof approvalResolved>;
/** Parsed form of `executionStarted`. */
export type ExecutionStarted = z.infer<typeof executionStarted>;
/** Parsed form of `executionObserved`. */
export type ExecutionObserved = z.infer<typeof executionObserved>;
/** Parsed form of `executionFailed`. */
export type ExecutionFailed = z.infer<typeof executionFailed>;
/** Parsed form of `commitRecorded`. */
export type CommitRecorded = z.infer<typeof commitRecorded>;
/** Parsed form of `factNoted`. */
export type FactNoted = z.infer<typeof factNoted>;
