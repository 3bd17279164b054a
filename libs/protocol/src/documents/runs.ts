/**
 * Documents about runs: what one came to, what happened in it, how two differ, what waits for people, where one can go back to.
 * Must never hold a member that no command prints.
 */
import * as z from 'zod';
import { approvalTerms, assurance, reason } from '../work.ts';
import { runMetrics, runSafety } from '../runFigures.ts';
import { amount, count, digest, instant, json, keyId, oid } from '../words.ts';
import { changedFile, decimal, exit, outcome, result, ruleName, run, shown, text, textOrNull, v, verdict } from './shared.ts';

/** One line of `run --jsonl`, `resume --jsonl` and `timeline --jsonl`; `timeline RUN --after CURSOR` goes on behind it. */
export const event = z.strictObject({
  v,
  run: text,
  seq: count,
  at: instant,
  kind: text,
  cursor: decimal,
  class: z.enum(['fact', 'judgement']),
  actor: text,
  cause: count.nullable(),
  law: count.nullable(),
  body: json.nullable(),
});

/** What a drive came to; `request` waits for a vote, `commands` go on from here. */
export const runSummary = z.strictObject({
  v,
  run,
  status: z.enum([...outcome.options, 'parked', 'stopped']),
  exit,
  because: reason.nullable(),
  request: digest.nullable(),
  spend: amount,
  priced: z.boolean(),
  asks: count,
  prompts: count,
  elapsedMs: count,
  files: z.array(changedFile),
  checks: z.array(z.strictObject({ action: text, status: z.enum(['ok', 'failed']), summary: text, times: count })),
  result: result.nullable(),
  checkpoint: decimal.nullable(),
  checkpointProblem: textOrNull,
  anchors: z.array(shown),
  anchorProblem: textOrNull,
  commands: z.record(z.string(), text),
});

/** What went into the checkout, or would; `undo` is the exact command, null where nothing moved. */
export const apply = z.strictObject({
  v,
  run,
  ref: text,
  into: text,
  dryRun: z.boolean(),
  outcome: z.enum(['forwarded', 'merged', 'already']),
  commit: oid,
  head: oid,
  previous: oid,
  files: z.array(changedFile),
  autoRun: z.array(text),
  undo: textOrNull,
});

/** The newest runs; `total` counts those left out too. */
export const runs = z.strictObject({
  v,
  total: count,
  runs: z.array(
    z.strictObject({
      run,
      openedAt: instant,
      lastAt: instant,
      status: z.enum([...outcome.options, 'parked', 'open']),
      task: textOrNull,
      result: result.nullable(),
      spend: amount.nullable(),
      parent: run.nullable(),
      index: decimal,
    }),
  ),
});

const law = z.strictObject({
  blueprint: textOrNull,
  policies: z.array(z.strictObject({ layer: text, name: text, source: text })).nullable(),
  policySet: digest,
  writ: z
    .strictObject({
      issuer: keyId,
      actions: z.array(text),
      ceiling: z.array(text),
      readPaths: z.array(text),
      writePaths: z.array(text),
      hosts: z.array(text),
      budget: amount,
      wallMs: count,
      notAfter: instant,
    })
    .nullable(),
  model: textOrNull,
  base: z.strictObject({ commit: oid, tree: oid }),
  kernel: z.strictObject({ version: text, flags: z.array(count) }),
  approvals: text,
  skills: z.array(z.strictObject({ name: textOrNull, version: count.nullable(), id: digest, params: z.record(text, text) })).optional(),
});
/** The account of one run; null is what was erased or is not there yet. */
export const show = z.strictObject({
  v,
  run,
  status: text,
  because: reason.nullable(),
  openedAt: instant.nullable(),
  lastAt: instant.nullable(),
  entries: count,
  cursor: decimal.nullable(),
  task: textOrNull,
  law: law.nullable(),
  stages: z.array(z.strictObject({ stage: text, visit: count, outcome: textOrNull, because: reason.nullable() })),
  intents: z.array(
    z.strictObject({
      seq: count,
      intent: digest,
      stage: textOrNull,
      author: text,
      wish: text,
      claims: z.strictObject({ rationale: textOrNull, claimedRisk: textOrNull }),
      verdict: verdict.nullable(),
      by: textOrNull,
      because: reason.nullable(),
      end: z.enum(['committed', 'delegated', 'rejected', 'failed', 'lost']).nullable(),
      endBecause: reason.nullable(),
      summary: textOrNull,
    }),
  ),
  /** The run that delegated this one. */
  parent: run.nullable(),
  /** Child runs, as this run's own entries tell of them. */
  children: z.array(
    z.strictObject({
      seq: count,
      key: text,
      blueprint: text,
      run,
      budget: amount,
      outcome: textOrNull,
      because: reason.nullable(),
      spend: amount.nullable(),
    }),
  ),
  commits: count,
  asks: count,
  notes: z.array(z.strictObject({ seq: count, why: text, message: text, violation: z.boolean() })),
  spend: amount.nullable(),
  result: result.nullable(),
  worldRoot: digest.nullable(),
  metrics: runMetrics,
  safety: runSafety,
});
/** A run written as a folder; its `index.json` lists the files (schemas/timeline.md). */
export const timelineFolder = z.strictObject({
  v,
  exit,
  path: text,
  run,
  entries: count,
  head: z.strictObject({ seq: count, leaf: digest }),
  files: count,
  bytes: count,
  unreadable: count,
  erasedBlobs: count,
  withheldBlobs: count,
});

const placed = z.strictObject({ seq: count, text }).nullable();
const placedDifference = z.strictObject({ left: placed, right: placed });
const facet = z.strictObject({ what: text, left: textOrNull, right: textOrNull });
/** The change of a run, as files and as a patch of git. */
export const diffRun = z.strictObject({ v, run, base: oid, commit: oid, files: z.array(changedFile), patch: text });
const figures = z.strictObject({
  outcome: text,
  stages: count,
  intents: count,
  permitted: count,
  denied: count,
  undecided: count,
  committed: count,
  prompts: count,
  files: count,
  asks: count,
  tokens: count.nullable(),
  usdMicros: count.nullable(),
  calls: count.nullable(),
});
/** In what two runs differ; `first` is the first step in which they part. */
export const diffRuns = z.strictObject({
  v,
  left: run,
  right: run,
  same: z.boolean(),
  first: placedDifference.nullable(),
  facets: z.array(facet),
  stages: z.array(placedDifference),
  intents: z.array(placedDifference),
  verdicts: z.array(placedDifference),
  effects: z.array(placedDifference),
  files: z.array(z.strictObject({ path: text, left: textOrNull, right: textOrNull })),
  cost: z.array(facet),
  /** Both runs whole, also where they are equal. */
  figures: z.strictObject({ left: figures, right: figures }),
  unreadable: z.strictObject({ left: z.array(count), right: z.array(count) }),
});

/** What waits for people, with the exact content that they decide on; `opener` may be barred from voting by `terms`. */
export const approvals = z.strictObject({
  v,
  approvals: z.array(
    z.strictObject({
      id: digest,
      run,
      subject: z.enum(['action', 'stage']),
      action: text,
      stage: textOrNull,
      because: reason,
      rule: ruleName.nullable(),
      digest,
      terms: approvalTerms,
      until: instant,
      expired: z.boolean(),
      opener: keyId.nullable(),
      votes: z.array(z.strictObject({ key: keyId, seq: count, decision: z.enum(['approve', 'deny']) })),
      content: text,
    }),
  ),
});
/** A vote that was recorded; `assurance` says how its key is held. */
export const vote = z.strictObject({
  v,
  request: digest,
  run,
  decision: z.enum(['approve', 'deny']),
  key: keyId,
  assurance,
  seq: count,
  resume: text,
});

/** `closed` is null where a driver still has to close the run. */
export const cancel = z.strictObject({ v, run, closed: outcome.nullable(), asked: count });
const status = z.enum(['unopened', 'running', 'parked', 'closed']);
/** Every entry of a stage, oldest first; `problem` says why one cannot go back there. */
export const rewindList = z.strictObject({
  v,
  run,
  status,
  targets: z.array(z.strictObject({ stage: text, visit: count, seq: count, undoes: count, problem: reason.nullable() })),
});
/** `to` is the entry gone back to, `visit` the number of the entry that it made. */
export const rewind = z.strictObject({
  v,
  run,
  status,
  to: z.strictObject({ stage: text, visit: count }),
  visit: count,
  undone: count,
  files: z.array(z.strictObject({ path: text, how: z.enum(['removed', 'restored', 'changed back']) })),
  tree: oid,
  commands: z.record(z.string(), text),
});

/**
 * One line of `model routes --jsonl`: what became of one question to a model, told at the entry that settled it; `--after CURSOR` goes on behind it. `model`
 * was asked; `evidence` is of the router that chose it, null where none was recorded or where it was erased.
 */
export const routingOutcome = z.strictObject({
  v,
  cursor: decimal,
  run: text,
  seq: count,
  at: instant,
  model: text,
  status: z.enum(['answered', 'failed', 'interrupted', 'denied']),
  failure: textOrNull,
  latencyMs: count.nullable(),
  tokens: z.strictObject({ input: count, output: count }).nullable(),
  stage: textOrNull,
  visit: count.nullable(),
  turn: count.nullable(),
  attempt: count.nullable(),
  evidence: z.strictObject({ router: text, decision: digest, selected: text, candidates: z.array(text), plan: digest }).nullable(),
});
