/**
 * What one run cost and what it touched, as data: figures by stage and in all, the safety report, and the list of a run's folder. Each says what its
 * entries say and nothing beside; a value that they do not give is null, never 0 (schemas/timeline.md; PROTOCOL §11).
 */
import * as z from 'zod';
import { approvalTerms, assurance, reason } from './work.ts';
import { amount, count, digest, effect, instant, keyId, name, oid, reference, sentence, trajectory } from './words.ts';

const actionName = z.string().max(128);
const outcome = z.enum(['open', 'unknown', 'done', 'failed', 'cancelled', 'denied', 'exhausted']);

/** Durations as the runtime measured them, in milliseconds; quantiles by nearest rank, null where nothing was measured. */
export const latency = z.strictObject({
  count,
  totalMs: count,
  minMs: count.nullable(),
  medianMs: count.nullable(),
  p95Ms: count.nullable(),
  maxMs: count.nullable(),
});
/** Figures of one stage over all of its visits, or of the whole run. */
const work = {
  /** Visits that were entered, and how they were left; one that is entered and not left is going on, or was cut off. */
  visits: z.strictObject({ entered: count, succeeded: count, failed: count, skipped: count }),
  /** From entering to leaving, waiting included; a visit that was not left counts nothing. */
  elapsed: latency,
  /** `unmetered`: answers of which the provider did not say what they took. */
  model: z.strictObject({
    asked: count,
    answered: count,
    failed: count,
    unmetered: count,
    inputTokens: count,
    outputTokens: count,
    latency,
  }),
  /** Intents by verdict, and executions by what came of them; one that is started and has neither end is open. */
  actions: z.strictObject({
    intents: count,
    permitted: count,
    asked: count,
    denied: count,
    started: count,
    ok: count,
    failed: count,
    errors: count,
    lost: count,
    committed: count,
    latency,
  }),
  /** As the kernel settles it; null where it cannot be derived because something that it rests on is gone. */
  spent: amount.nullable(),
};
/** One stage. */
const stageFigures = z.strictObject({ stage: name, type: z.enum(['deterministic', 'agent']), ...work });
/** One action. */
const actionFigures = z.strictObject({ action: actionName, started: count, ok: count, failed: count, errors: count, lost: count, latency });
/** The figures of a run as `report.json` carries them. */
export const runFigures = z.strictObject({
  /** From the first entry to the last, waiting included. */
  elapsedMs: count.nullable(),
  total: z.strictObject(work),
  stages: z.array(stageFigures),
  actions: z.array(actionFigures),
});

const head = { run: trajectory, outcome, openedAt: instant.nullable(), lastAt: instant.nullable(), entries: count };
/** `metrics.json`. */
export const runMetrics = z.strictObject({
  v: z.literal(1),
  type: z.literal('openexec.metrics'),
  ...head,
  ...runFigures.shape,
  /** Entries of which nothing is counted, because they are erased, withheld or not of their kind. */
  unreadable: count,
});

/** Packets that commands wanted to send and that were refused. `uncounted` commands ran where nobody could count. */
export const networkFigures = z.strictObject({ commands: count, uncounted: count, attempts: count, ipv4: count, ipv6: count });

/** One vote; `counted` when the resolution names it. */
export const voteLine = z.strictObject({
  seq: count,
  at: instant,
  key: keyId,
  decision: z.enum(['approve', 'deny']),
  assurance,
  because: sentence,
  counted: z.boolean(),
});
/** One question to people and what came of it. */
export const approvalLine = z.strictObject({
  seq: count,
  at: instant,
  subject: z.enum(['action', 'stage']),
  stage: name.nullable(),
  action: actionName,
  because: reason,
  terms: approvalTerms,
  outcome: z.enum(['approved', 'denied', 'expired', 'withdrawn']).nullable(),
  resolvedAt: instant.nullable(),
  votes: z.array(voteLine),
});
/** One effect that nobody had declared. */
export const undeclaredLine = z.strictObject({
  seq: count,
  action: actionName,
  paths: z.array(z.string()).max(200),
  networkAttempts: count.nullable(),
  because: reason,
});
/** One recorded fact that answered nothing open. */
export const violationLine = z.strictObject({ seq: count, why: z.string(), message: sentence });
/** One entry of which nothing is said. */
export const unreadableLine = z.strictObject({ seq: count, kind: z.string(), because: z.enum(['withheld', 'erased', 'malformed']) });
/** One intent that was refused, before or after it was tried. */
const refusalLine = z.strictObject({
  seq: count,
  at: instant,
  stage: name.nullable(),
  author: z.enum(['model', 'blueprint', 'gateway', 'canary']),
  action: actionName,
  verdict: z.enum(['permit', 'deny', 'approve']).nullable(),
  by: z.string().nullable(),
  because: reason.nullable(),
});
/** One effect beyond the workspace that was started. */
const externalLine = z.strictObject({ seq: count, action: actionName, effect, end: z.string().nullable() });
/** One file that differs from the base. */
const writeLine = z.strictObject({ path: z.string().min(1), change: z.enum(['added', 'modified', 'deleted']), bytes: count.nullable() });

/** `safety.json`: what a run wrote, tried, was refused and was allowed by people. A list that is cut says in `omitted` by how much. */
export const runSafety = z.strictObject({
  v: z.literal(1),
  type: z.literal('openexec.safety'),
  ...head,
  /** The self-test that the run cites; whether it counts is for `verify` to say. */
  selfTest: reference.nullable(),
  /** Committed files against the base; `files` null with the reason in `lost` where that is not known. */
  writes: z.strictObject({ commits: count, files: z.array(writeLine).nullable(), lost: z.string().nullable() }),
  landed: z.strictObject({ ref: z.string().max(512), commit: oid, tree: oid }).nullable(),
  /** Effects on something outside of the workspace, and the providers that were asked. */
  external: z.array(externalLine),
  providers: z.array(z.strictObject({ provider: name, asked: count })),
  network: networkFigures,
  undeclared: z.array(undeclaredLine),
  violations: z.array(violationLine),
  refusals: z.array(refusalLine),
  approvals: z.array(approvalLine),
  unreadable: z.array(unreadableLine),
  omitted: z.strictObject({
    files: count,
    external: count,
    undeclared: count,
    violations: count,
    refusals: count,
    approvals: count,
    unreadable: count,
  }),
});

/** `index.json`: every file of a run's folder but itself, and what the ledger does not hold any more, or never held. */
export const timelineIndex = z.strictObject({
  v: z.literal(1),
  type: z.literal('openexec.timeline'),
  run: trajectory,
  entries: count,
  /** The last entry, by its leaf hash: who holds the ledger finds it there. */
  head: z.strictObject({ seq: count, leaf: digest }),
  files: z.array(
    z.strictObject({
      path: z.string().min(1),
      is: z.enum(['timeline', 'artifact', 'contextPack', 'policySnapshot', 'metrics', 'safety', 'blob']),
      bytes: count,
      digest,
      mediaType: z.string().max(127),
    }),
  ),
  /** Entries without a payload, or with one that is not of its kind. */
  unreadable: z.array(unreadableLine),
  /** Blobs that entries name: erased from the ledger, or withheld from it because they look like a secret. */
  blobs: z.array(z.strictObject({ digest, because: z.enum(['erased', 'withheld']) })),
});

/** Parsed form of `runFigures`. */
export type RunFigures = z.infer<typeof runFigures>;
/** Parsed form of `runMetrics`. */
export type RunMetrics = z.infer<typeof runMetrics>;
/** Parsed form of `networkFigures`. */
export type NetworkFigures = z.infer<typeof networkFigures>;
/** Parsed form of `runSafety`. */
export type RunSafety = z.infer<typeof runSafety>;
/** Parsed form of `timelineIndex`. */
export type TimelineIndex = z.infer<typeof timelineIndex>;
