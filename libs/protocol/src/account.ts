/**
 * The account of a run: what the kernel tells about it from recorded facts alone, for summaries and reviewers. Must never hold what a model says about
 * itself, nor anything that is not in the ledger (OPENEXEC "prepare_review_bundle", "summarize_run"; ARCHITECTURE invariant 8).
 */
import * as z from 'zod';
import { assurance, fileValue, reason } from './work.ts';
import { amount, count, keyId, name, oid, sentence } from './words.ts';

const ruleName = z.strictObject({ layer: z.string().max(64), rule: name });
const actionName = z.string().max(128);
const place = { seq: count, stage: name.nullable(), visit: count };

/** One visit of a stage. `outcome` is null while it goes on. */
export const stageLine = z.strictObject({
  ...place,
  type: z.enum(['deterministic', 'agent']),
  outcome: z.enum(['succeeded', 'failed', 'skipped']).nullable(),
  because: reason.nullable(),
});
/** One command that was run for its verdict, one attempt each. */
export const checkLine = z.strictObject({
  ...place,
  action: actionName,
  attempt: count,
  status: z.enum(['ok', 'failed', 'error', 'lost']),
  exitCode: z.number().int().nullable(),
  durationMs: count,
  summary: sentence,
});
/** One intent that was refused, and where on its way. */
export const refusalLine = z.strictObject({
  ...place,
  author: z.enum(['model', 'blueprint', 'gateway', 'canary']),
  action: actionName,
  at: z.enum(['compile', 'approval', 'precondition', 'postcondition', 'stage', 'rewind']),
  because: reason,
  rule: ruleName.nullable(),
});
/** One question to people and what came of it. `outcome` is null while it is open. */
export const approvalLine = z.strictObject({
  ...place,
  subject: z.enum(['action', 'stage']),
  action: actionName,
  because: reason,
  rule: ruleName.nullable(),
  outcome: z.enum(['approved', 'denied', 'expired', 'withdrawn']).nullable(),
  votes: z.array(z.strictObject({ key: keyId, decision: z.enum(['approve', 'deny']), assurance, because: sentence })),
});
/** One effect that nobody had declared. */
export const undeclaredLine = z.strictObject({ ...place, action: actionName, paths: z.array(z.string()).max(200), because: reason });
/** How often one action was wished for, and what became of it. */
export const actionCount = z.strictObject({
  action: actionName,
  intents: count,
  refused: count,
  executed: count,
  committed: count,
  failed: count,
});
/** One file that differs from the base. `autoRun`: some tool runs or obeys it by itself. */
export const changedFile = z.strictObject({
  path: z.string().min(1),
  status: z.enum(['added', 'changed', 'deleted']),
  before: oid.nullable(),
  after: fileValue.nullable(),
  autoRun: z.boolean(),
});
/** The account itself. Lists are bounded; `omitted` says how many older lines of each are left out. */
export const runAccount = z.strictObject({
  version: z.literal(1),
  run: z.string().max(128),
  task: z.string(),
  blueprint: name,
  opener: keyId,
  /** Position up to which the run is accounted for. */
  until: count,
  base: z.strictObject({ commit: oid, tree: oid }),
  tree: oid,
  model: z.strictObject({ provider: name, model: z.string().max(128), asks: count, answers: count, failures: count }).nullable(),
  stages: z.array(stageLine),
  actions: z.array(actionCount),
  checks: z.array(checkLine),
  refusals: z.array(refusalLine),
  approvals: z.array(approvalLine),
  undeclared: z.array(undeclaredLine),
  files: z.array(changedFile),
  notes: z.array(z.strictObject({ key: z.string(), version: count })),
  spend: z.strictObject({ settled: amount, reserved: amount, grant: amount }),
  omitted: z.strictObject({
    stages: count,
    checks: count,
    refusals: count,
    approvals: count,
    undeclared: count,
    files: count,
    notes: count,
  }),
});

/** Parsed form of `runAccount`. */
export type RunAccount = z.infer<typeof runAccount>;
/** Parsed form of `stageLine`. */
export type StageLine = z.infer<typeof stageLine>;
/** Parsed form of `checkLine`. */
export type CheckLine = z.infer<typeof checkLine>;
/** Parsed form of `refusalLine`. */
export type RefusalLine = z.infer<typeof refusalLine>;
/** Parsed form of `approvalLine`. */
export type ApprovalLine = z.infer<typeof approvalLine>;
/** Parsed form of `undeclaredLine`. */
export type UndeclaredLine = z.infer<typeof undeclaredLine>;
/** Parsed form of `actionCount`. */
export type ActionCount = z.infer<typeof actionCount>;
/** Parsed form of `changedFile`. */
export type ChangedFile = z.infer<typeof changedFile>;
