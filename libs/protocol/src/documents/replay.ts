/**
 * Documents about replays and golden runs: what a run came to when it was derived, performed or asked again. Must never hold a member that no command
 * prints. In lists of differences `expected` is what is recorded and `recorded` what came now, save where judgements are derived again.
 */
import * as z from 'zod';
import { amount, code, count, digest, oid } from '../words.ts';
import { divergence, runReport } from './ledger.ts';
import { decimal, exit, outcome, run, text, textOrNull, v } from './shared.ts';

const verdict = z.enum(['agrees', 'diverges', 'notDerivable']);
const difference = z.strictObject({ path: text, expected: textOrNull, recorded: textOrNull });
/** What exact replay of the same run comes to, before anything else is done again. */
const exact = z.strictObject({
  verdict,
  judgements: count,
  divergences: z.array(divergence),
  omitted: count,
  from: z.strictObject({ seq: count, code: text, message: text }).optional(),
});
const ended = z.enum([...outcome.options, 'open']);

/** A run derived again from its facts, and what it came to by that. */
export const replay = z.strictObject({
  v,
  mode: text,
  ...runReport,
  outcome: ended,
  tree: oid.nullable(),
  /** What is recorded of the tree: the one that landed, else the one that the recorded commits make by their deltas alone. */
  recordedTree: oid.nullable(),
  commit: oid.nullable(),
  ref: textOrNull,
  worldRoot: digest.nullable(),
  spend: amount,
});
/** One visit of a stage, derived again; counts are of that part alone. */
export const replayStep = z.strictObject({
  v,
  mode: z.literal('step'),
  ...runReport,
  stage: text,
  visit: count,
  fromSeq: count,
  toSeq: count,
  outcome: z.enum(['succeeded', 'failed', 'skipped', 'rewound', 'open']),
  tree: oid.nullable(),
  recordedTree: oid.nullable(),
});
/** The workspace actions of a run, performed again in a fresh workspace. */
export const replayEffects = z.strictObject({
  v,
  mode: z.literal('effects'),
  run,
  verdict,
  exact,
  actions: z.array(
    z.strictObject({
      seq: count,
      stage: textOrNull,
      visit: count,
      action: text,
      skipped: z.enum(['external', 'unanswered', 'stopped']).nullable(),
      differs: z.array(difference),
      varied: z.array(text),
    }),
  ),
  compared: z.array(text),
  comparedWithoutCommand: z.array(text),
  notCompared: z.array(text),
  expectedTree: oid.nullable(),
  actualTree: oid.nullable(),
});
/** The questions of a run, asked again. */
export const replayModel = z.strictObject({
  v,
  mode: z.literal('model'),
  run,
  verdict,
  exit,
  exact,
  /** Null where the run cannot be derived to its end, so that nobody was asked. */
  asked: z.strictObject({ provider: text, model: text }).nullable(),
  asks: z.array(
    z.strictObject({
      seq: count,
      stage: text,
      visit: count,
      turn: count,
      verdict: z.enum(['same', 'text', 'differs', 'failed', 'unanswered', 'budget']),
      differs: z.array(difference),
      because: z.strictObject({ code, message: text }).nullable(),
    }),
  ),
  spent: amount,
  budget: amount,
  /** Whether dollars are known: the model that was asked has a price. */
  priced: z.boolean(),
  expectedTree: oid.nullable(),
  /** The same where every call came again; else null: what other calls would make is not known, because none is performed. */
  actualTree: oid.nullable(),
});

/** What a golden run must come to under every kernel: the file `golden.json` beside its bundle. */
export const goldenRun = z.strictObject({
  v,
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
  run,
  /** Version of openexec that wrote it, and of the kernel that judged the run, with its flags. */
  madeBy: text,
  kernel: z.strictObject({ version: text, flags: z.array(count) }),
  /** The bundle, by the digest of its manifest, and the head under which it was exported. */
  bundle: z.strictObject({ manifest: digest, ledger: digest, size: decimal, root: digest }),
  expected: z.strictObject({
    verdict,
    facts: count,
    judgements: count,
    closed: z.boolean(),
    outcome: ended,
    tree: oid.nullable(),
    commit: oid.nullable(),
    worldRoot: digest.nullable(),
    spend: amount,
    violations: count,
  }),
});
/** A golden run that was written. */
export const goldenAdd = z.strictObject({ v, folder: text, bytes: count, golden: goldenRun });
/** The golden runs of a folder; nothing was replayed. */
export const goldenList = z.strictObject({ v, folder: text, golden: z.array(goldenRun) });
/** The golden runs of a folder, each replayed by the kernel at hand. */
export const goldenReplay = z.strictObject({
  v,
  exit,
  folder: text,
  kernel: z.strictObject({ version: text, flags: z.array(count) }),
  runs: z.array(
    z.strictObject({
      name: text,
      /** Null where the record cannot be read. */
      run: run.nullable(),
      verdict: z.enum(['agrees', 'diverges', 'broken']),
      judgements: count,
      /** For `broken`: why the record itself does not hold. */
      problem: z.strictObject({ code: text, message: text }).nullable(),
      /** The first judgement that this kernel makes otherwise. */
      first: divergence.nullable(),
      divergences: count,
      /** What the run came to, where it is not what is expected: both values of each member. */
      differs: z.array(z.strictObject({ what: text, expected: textOrNull, actual: textOrNull })),
    }),
  ),
});

/** Parsed form of `goldenRun`. */
export type GoldenRun = z.infer<typeof goldenRun>;
