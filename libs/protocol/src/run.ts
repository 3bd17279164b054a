/**
 * Bodies of the events of one run, `run/…`: what each kind says, never what it means (PROTOCOL §§4.2-4.4; meanings stand in schemas/events.md).
 * Ids are digests of [noun, run, seq of the causing fact, ordinal], so that a pure kernel can make them.
 */
import * as z from 'zod';
import { signedWrit } from './law.ts';
import { approvalTerms, assurance, delta, fileChange, modelChoice, reason, treeListing } from './work.ts';
import { amount, base64, blobRef, code, count, digest, driverId, effect, inlineOrBlob, instant, keyId, name, nonce, oid, path, position, reference, sentence, signature, signed } from './words.ts';

const driven = { driver: driverId, epoch: count };

// ---- opening, driving, closing

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
});
export const runResumed = z.strictObject({ ...driven, because: sentence });
export const runPauseRequested = z.strictObject({ by: z.enum(['driver', 'person']), because: reason });
export const runCancelRequested = z.strictObject({ because: sentence });
export const runRewound = z.strictObject({ ...driven, stage: name, visit: count });
export const runParked = z.strictObject({ because: reason, request: digest.nullable() });
export const runClosed = z.strictObject({
  outcome: z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']),
  because: reason,
  worldRoot: digest,
  spend: amount,
  result: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
});

// ---- stages

export const artifactRef = z.strictObject({ name, version: count, blob: blobRef });
export const stageEntered = z.strictObject({ stage: name, visit: count, type: z.enum(['deterministic', 'agent']), inputs: z.array(artifactRef) });
export const stageLeft = z.strictObject({
  stage: name,
  visit: count,
  outcome: z.enum(['succeeded', 'failed', 'skipped']),
  because: reason,
  next: name,
  outputs: z.array(artifactRef),
});
export const routerPlanned = z.strictObject({ ...driven, plan: blobRef });
export const contextPacked = z.strictObject({ ...driven, pack: blobRef });

// ---- models

export const partRef = z.strictObject({ role: z.enum(['system', 'user', 'assistant', 'tool']), call: z.string().max(256).nullable(), body: blobRef });
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
export const modelAnswered = z.strictObject({
  ...driven,
  ask: digest,
  answer: blobRef,
  raw: blobRef,
  usage: z.strictObject({ inputTokens: count, outputTokens: count }).nullable(),
  durationMs: count,
});
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

export const claims = z.strictObject({ rationale: sentence.nullable(), claimedRisk: z.string().max(200).nullable() });
export const intentSubmitted = z.strictObject({ channel: name, action: z.string().max(128), arguments: inlineOrBlob, claims });
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
export const ruleTrace = z.strictObject({ layer: z.string().max(64), rule: name, truth: z.enum(['true', 'unknown']), decide: z.enum(['permit', 'deny', 'approve']), unknown: z.array(z.string().max(256)) });
export const decisionTrace = z.strictObject({
  /** Number of the last compile step that was reached (PROTOCOL §6). */
  reached: count,
  effect: effect.nullable(),
  risk: z.string().max(16).nullable(),
  readPaths: count,
  writePaths: count,
  layers: z.array(z.strictObject({ layer: z.string().max(64), verdict: z.enum(['permit', 'deny', 'approve', 'abstain', 'noMatch']) })),
  rules: z.array(ruleTrace),
  gates: z.array(code),
});
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
export const proposalSuspended = z.strictObject({ proposal: digest, intent: digest, decision: digest, request: digest });
export const proposalRejected = z.strictObject({
  proposal: digest,
  intent: digest,
  at: z.enum(['compile', 'approval', 'precondition', 'postcondition', 'stage', 'rewind']),
  because: reason,
  rule: z.strictObject({ layer: z.string().max(64), rule: name }).nullable(),
});

// ---- approvals

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
export const approvalVoted = z.strictObject({ vote: signed(vote) });
export const approvalExpired = z.strictObject({ ...driven, request: digest });
export const approvalResolved = z.strictObject({ request: digest, outcome: z.enum(['approved', 'denied', 'expired', 'withdrawn']), votes: z.array(z.strictObject({ key: keyId, seq: position })), because: reason });

// ---- execution and commit

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
});
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
  artifacts: z.array(z.strictObject({ name, blob: blobRef })),
  landed: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
});
export const executionFailed = z.strictObject({ ...driven, execution: digest, error: reason, effectUnknown: z.boolean(), output: blobRef.nullable(), durationMs: count });
export const executionLost = z.strictObject({ execution: digest, because: reason });
export const effectUndeclared = z.strictObject({ ...driven, execution: digest, paths: z.array(z.string()).max(200), because: reason });
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
export const commitCompensated = z.strictObject({ commit: digest, compensates: z.array(digest), delta: z.union([z.strictObject({ inline: delta }), z.strictObject({ blob: blobRef })]), worldRoot: digest });

// ---- delegation, skills, notes

export const delegationOpened = z.strictObject({ delegation: digest, key: name, task: blobRef, writ: inlineOrBlob, reservation: amount });
export const delegationClosed = z.strictObject({ ...driven, delegation: digest, child: reference, outcome: z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']), spend: amount });
export const skillBound = z.strictObject({ ...driven, skill: name, version: z.string().max(64), template: blobRef });
/** `violation` marks a recorded fact that answers nothing open; everything else is an ordinary remark. */
export const factNoted = z.strictObject({ why: code, message: sentence, violation: z.boolean() });

// ---- ledger, writ, selftest, memory trajectories

export const anchorRecorded = z.strictObject({ size: count, root: digest, type: name, evidence: blobRef });
export const resultApplied = z.strictObject({ run: z.string().max(128), ref: z.string().max(512), commit: oid, into: z.string().max(512), previous: oid });
export const payloadErased = z.strictObject({ entries: z.array(reference).min(1), by: keyId, because: sentence, rule: name, signatures: z.array(signature) });
export const ledgerPruned = z.strictObject({ before: instant, rule: name, entries: count, list: blobRef, because: sentence });
export const ledgerSealed = z.strictObject({ successor: z.string().regex(/^[0-9a-f]{32}$/), size: count, root: digest });
export const writCarved = z.strictObject({ run: z.string().max(128), writ: signedWrit, grant: amount });
export const writSettled = z.strictObject({ run: z.string().max(128), spend: amount, returned: amount });
export const selfTestOpened = z.strictObject({ policySet: blobRef, catalogue: blobRef, flags: z.array(count), profile: blobRef, host: digest, writs: z.array(signedWrit).min(1) });
export const selfTestRecorded = signed(z.strictObject({ ledger: digest, nonce, passed: z.boolean(), canaries: count, until: instant, report: blobRef }));
export const pointerRecorded = z.strictObject({ pointer: name, type: name, value: inlineOrBlob, source: sentence, signatures: z.array(signature) });
export const pointerRetired = z.strictObject({ pointer: name, because: sentence, signatures: z.array(signature) });

export { base64, path, treeListing };

export type RunOpened = z.infer<typeof runOpened>;
export type RunResumed = z.infer<typeof runResumed>;
export type RunClosed = z.infer<typeof runClosed>;
export type StageEntered = z.infer<typeof stageEntered>;
export type StageLeft = z.infer<typeof stageLeft>;
export type ArtifactRef = z.infer<typeof artifactRef>;
export type PartRef = z.infer<typeof partRef>;
export type ModelAsked = z.infer<typeof modelAsked>;
export type ModelAnswered = z.infer<typeof modelAnswered>;
export type ModelFailed = z.infer<typeof modelFailed>;
export type Claims = z.infer<typeof claims>;
export type IntentDeclared = z.infer<typeof intentDeclared>;
export type RuleTrace = z.infer<typeof ruleTrace>;
export type DecisionTrace = z.infer<typeof decisionTrace>;
export type PolicyDecided = z.infer<typeof policyDecided>;
export type ProposalStaged = z.infer<typeof proposalStaged>;
export type ProposalRejected = z.infer<typeof proposalRejected>;
export type ApprovalRequested = z.infer<typeof approvalRequested>;
export type Vote = z.infer<typeof vote>;
export type ApprovalVoted = z.infer<typeof approvalVoted>;
export type ApprovalResolved = z.infer<typeof approvalResolved>;
export type ExecutionStarted = z.infer<typeof executionStarted>;
export type ExecutionObserved = z.infer<typeof executionObserved>;
export type ExecutionFailed = z.infer<typeof executionFailed>;
export type CommitRecorded = z.infer<typeof commitRecorded>;
export type FactNoted = z.infer<typeof factNoted>;
