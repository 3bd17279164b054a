/**
 * The part `report.json` of an audit bundle: what its entries say of each run, for reviewers and other programs. Must never hold what a bundle withholds,
 * nor anything that no entry says (PROTOCOL §11).
 */
import * as z from 'zod';
import { approvalLine, networkFigures, runFigures, undeclaredLine, unreadableLine, violationLine } from './runFigures.ts';
import { reason } from './work.ts';
import { amount, count, digest, effect, instant, keyId, name, oid, reference, sentence, trajectory } from './words.ts';

/** Text by content: null where it is withheld or gone; `cut` where only its beginning stands here. */
const quoted = z.strictObject({ text: z.string().nullable(), digest, cut: z.boolean() });
const ruleName = z.strictObject({ layer: z.string().max(64), rule: name });
const actionName = z.string().max(128);
const result = z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid });
const mode = z.string().regex(/^[0-7]{6}$/);
/** One writ of the chain under which a run was opened. */
const writLine = z.strictObject({ id: digest, issuer: keyId, subject: keyId, notBefore: instant, notAfter: instant, budget: amount });
/** One visit of a stage. */
const stageLine = z.strictObject({
  seq: count,
  stage: name,
  visit: count,
  type: z.enum(['deterministic', 'agent']),
  outcome: z.enum(['succeeded', 'failed', 'skipped']).nullable(),
  because: reason.nullable(),
});
/** One intent with its verdict and its end; `verdict` null where nobody decided, or where the decision cannot be read. */
const intentLine = z.strictObject({
  seq: count,
  at: instant,
  stage: name.nullable(),
  visit: count,
  author: z.enum(['model', 'blueprint', 'gateway', 'canary']),
  action: actionName,
  arguments: digest,
  effect: effect.nullable(),
  verdict: z.enum(['permit', 'deny', 'approve']).nullable(),
  by: z.enum(['compiler', 'policy', 'gate']).nullable(),
  rule: ruleName.nullable(),
  because: reason.nullable(),
  end: z.enum(['committed', 'rejected', 'failed', 'lost']).nullable(),
  endBecause: reason.nullable(),
});
/** One command that was run, one attempt each. `status` null while nothing came back. */
const checkLine = z.strictObject({
  seq: count,
  stage: name.nullable(),
  visit: count,
  action: actionName,
  attempt: count,
  status: z.enum(['ok', 'failed', 'error', 'lost']).nullable(),
  exitCode: z.number().int().nullable(),
  durationMs: count.nullable(),
  summary: sentence,
});
/** One file that differs from the base. */
const fileLine = z.strictObject({
  path: z.string().min(1),
  change: z.enum(['added', 'modified', 'deleted']),
  before: z.strictObject({ oid, mode }).nullable(),
  after: z.strictObject({ oid, mode, blob: digest, bytes: count }).nullable(),
});
/** One difference between what is recorded and what the kernel makes of the same facts. */
const divergenceLine = z.strictObject({ seq: count, what: z.string(), expected: z.string().nullable(), recorded: z.string().nullable() });
/** What a change-management review of SOC 2 CC8.1 asks of one change, each answer with the entries that give it. */
const changeRecord = z.strictObject({
  authorisedBy: z.strictObject({ opener: keyId.nullable(), issuers: z.array(keyId) }),
  plan: z.strictObject({ blueprint: name.nullable(), digest: digest.nullable(), policySet: digest.nullable() }),
  implementer: z.string(),
  tests: z.strictObject({ run: count, passed: count, lastNotPassed: z.array(actionName) }),
  approvals: z.strictObject({ asked: count, approved: count, keys: z.array(keyId) }),
  backOut: z.string().nullable(),
  gaps: z.array(z.string()),
});
/** One run. Everything of the opening is null where its payload cannot be read. */
const runLine = z.strictObject({
  run: trajectory,
  outcome: z.enum(['open', 'unknown', 'done', 'failed', 'cancelled', 'denied', 'exhausted']),
  because: reason.nullable(),
  openedAt: instant.nullable(),
  lastAt: instant.nullable(),
  entries: count,
  governed: z.boolean(),
  selfTest: z.strictObject({ cited: reference, passed: z.boolean().nullable(), until: instant.nullable() }).nullable(),
  task: quoted.nullable(),
  opener: keyId.nullable(),
  writs: z.array(writLine),
  blueprint: z.strictObject({ name: name.nullable(), digest }).nullable(),
  policySet: z
    .strictObject({
      digest,
      layers: z.array(z.strictObject({ layer: z.string(), name: z.string(), source: z.string() })).nullable(),
    })
    .nullable(),
  model: z.string().nullable(),
  kernel: z.strictObject({ version: z.string(), flags: z.array(count) }).nullable(),
  approvalsMode: z.enum(['ask', 'never']).nullable(),
  base: z.strictObject({ commit: oid, tree: oid }).nullable(),
  result: result.nullable(),
  worldRoot: digest.nullable(),
  stages: z.array(stageLine),
  intents: z.array(intentLine),
  approvals: z.array(approvalLine),
  checks: z.array(checkLine),
  undeclared: z.array(undeclaredLine),
  violations: z.array(violationLine),
  files: z.array(fileLine).nullable(),
  counts: z.strictObject({
    intents: count,
    denied: count,
    committed: count,
    checks: count,
    checksPassed: count,
    approvals: count,
    undeclared: count,
    commits: count,
    asks: count,
    inputTokens: count,
    outputTokens: count,
  }),
  spend: amount.nullable(),
  figures: runFigures,
  network: networkFigures,
  /** The patches beside this report; null with the reason in `absent` where one file could not be shown. */
  patch: z.strictObject({ forward: z.string(), reverse: z.string() }).nullable(),
  absent: z.array(z.strictObject({ path: z.string().nullable(), because: z.string() })),
  /** What the kernel makes of the same facts; null where it was not asked. */
  judgedAgain: z
    .strictObject({
      verdict: z.enum(['agrees', 'diverges', 'notDerivable']),
      judgements: count,
      divergences: z.array(divergenceLine),
      omitted: count,
    })
    .nullable(),
  change: changeRecord,
  /** Entries of which nothing is said here, because they are withheld, erased or not of their kind. */
  unreadable: z.array(unreadableLine),
  /** Lines beyond the bound of each list. */
  omitted: z.strictObject({
    intents: count,
    approvals: count,
    checks: count,
    stages: count,
    undeclared: count,
    files: count,
    other: count,
  }),
});
/** A control that the evidence here is mapped to, and what it leaves open. Never a claim that the control is met. */
const controlLine = z.strictObject({
  framework: z.string(),
  control: z.string(),
  title: z.string(),
  status: z.literal('mapped'),
  evidence: z.array(z.string()),
  gap: z.string(),
});
/** The report itself. */
export const auditReport = z.strictObject({
  v: z.literal(1),
  type: z.literal('openexec.report'),
  ledger: digest,
  origin: z.string(),
  checkpoint: z.strictObject({ size: count, root: digest }),
  scope: z.enum(['ledger', 'runs', 'range']),
  coverage: z.enum(['full', 'gatewayOnly']),
  runs: z.array(runLine),
  /** Runs that the bundle holds and this report does not tell of. */
  notReported: z.array(z.strictObject({ run: trajectory, because: z.string() })),
  withheld: z.strictObject({ payloads: z.array(reference), blobs: z.array(digest) }),
  gone: z.strictObject({ payloads: z.array(reference), blobs: z.array(digest) }),
  controls: z.array(controlLine),
});

/** Parsed form of `auditReport`. */
export type AuditReport = z.infer<typeof auditReport>;
/** One run of an `auditReport`. */
export type ReportedRun = z.infer<typeof runLine>;
