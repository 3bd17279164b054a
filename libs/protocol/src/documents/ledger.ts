/**
 * Documents about the ledger: its facts, its entries, what verifying comes to. Must never hold a member that no command prints.
 */
import * as z from 'zod';
import { count, digest, json } from '../words.ts';
import { decimal, exit, run, shown, text, textOrNull, v } from './shared.ts';

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
/** One difference between what is recorded and what follows from it. */
export const divergence = z.strictObject({
  index: decimal,
  seq: count,
  kind: z.strictObject({ expected: textOrNull, recorded: textOrNull }),
  what: text,
  about: text,
  expected: textOrNull,
  recorded: textOrNull,
  drift: z.array(z.strictObject({ path: text, expected: textOrNull, recorded: textOrNull })),
});
/** Members that every verdict on one run has. */
export const runReport = {
  run,
  verdict: z.enum(['agrees', 'diverges', 'notDerivable']),
  judgements: count,
  facts: count,
  pending: count,
  closed: z.boolean(),
  divergences: z.array(divergence),
  /** Divergences beyond those listed. */
  omitted: count,
  violations: z.array(z.strictObject({ seq: count, why: text, message: text })),
  from: z.strictObject({ seq: count, code: text, message: text }).optional(),
};
const deep = z.strictObject({
  runs: z.array(z.strictObject(runReport)),
  /** Judged like runs; `passed` is what each says of itself. */
  selfTests: z.array(z.strictObject({ ...runReport, passed: z.boolean().nullable() })),
  lawProblems: z.array(z.strictObject({ index: decimal, seq: count, kind: text, code: text, message: text })),
  carvingFaults: z
    .array(
      z.strictObject({
        index: decimal,
        trajectory: text,
        seq: count,
        kind: text,
        code: text,
        message: text,
        expected: textOrNull,
        recorded: textOrNull,
      }),
    )
    .optional(),
  totals: z.strictObject({
    entries: count,
    runs: count,
    facts: count,
    judgements: count,
    pending: count,
    divergences: count,
    drift: z.record(z.string(), count),
    violations: count,
    notDerivable: count,
    mostOpen: count,
    unsigned: count.optional(),
    carved: count.optional(),
    carvedUnchecked: count.optional(),
    selfTests: count,
    ungoverned: count,
    selfTestJudgements: count,
  }),
});
/** Snapshots folded again; `foreign` were made by another program, `wrong` hold what the entries do not fold to. */
const snapshots = z.strictObject({
  checked: count,
  foreign: count,
  wrong: z.array(z.strictObject({ run, seq: count, message: text })),
});
/** What was found of anchors; `age` in seconds, by the older of our clock at recording and the time stated in the receipt. */
const anchors = z.strictObject({
  configured: z.array(text),
  required: z.boolean(),
  maxAge: count,
  recorded: count,
  covered: decimal.nullable(),
  age: count.nullable(),
  cosigners: z.array(text),
  problems: z.array(z.strictObject({ anchor: text, code: text, message: text })),
});
/** What a ledger proves, and what was not checked; `deep` is null unless every judgement was derived again. */
export const verify = z.strictObject({
  v,
  exit,
  sound: z.boolean(),
  level: z.enum(['chained', 'signed', 'anchored', 'witnessed']).nullable(),
  trust: z.enum(['pinned', 'selfAsserted']),
  anchor: z.enum(['fresh', 'stale', 'notConfigured']),
  entries: count,
  origin: textOrNull,
  fingerprint: digest.nullable(),
  root: digest,
  signatures: count,
  checkpoints: count,
  erased: count,
  pruned: count,
  blobs: z.strictObject({ named: count, sound: count, erased: count }),
  firstBad: count.nullable(),
  findings: z.array(z.strictObject({ index: count.nullable(), code: text, message: text })),
  omitted: count,
  checked: z.array(text),
  notChecked: z.array(text),
  deep: deep.nullable(),
  snapshots: snapshots.nullable().optional(),
  anchors: anchors.nullable().optional(),
});
const record = z.strictObject({ version: count, value: digest.nullable(), retracted: z.boolean(), lastCommit: count });
const inline = z.strictObject({ inline: json });
/** A resource as the last commit at or before a position left it; `value` is null once it is retracted. */
export const worldGet = z.strictObject({ v, run, seq: count, kind: text, id: text, record, value: inline.nullable(), worldRoot: digest });
/**
 * What shows one resource to a stranger: the path of its record under the world root, the payload that states that root with the salt of its commitment,
 * the entry that committed to it, and the tlog-proof of the entry. `record` is null where it shows that there is none.
 */
export const worldProof = z.strictObject({
  v,
  run,
  seq: count,
  kind: text,
  id: text,
  record: record.nullable(),
  value: inline.nullable(),
  proof: z.strictObject({
    siblings: z.array(hex32).max(256),
    end: z.strictObject({ key: hex32, valueHash: hex32 }).nullable(),
  }),
  worldRoot: digest,
  entry: text,
  payload: text,
  salt: hex32,
  tlogProof: text,
});
/** What a proof shows, once it holds. */
export const worldVerify = z.strictObject({
  v,
  sound: z.literal(true),
  run: text,
  seq: count,
  at: text,
  kind: text,
  id: text,
  record: record.nullable(),
  worldRoot: digest,
  size: decimal,
  origin: text,
});
/** Which places took the present tree head. */
export const ledgerAnchor = z.strictObject({
  v,
  exit,
  size: decimal,
  root: digest,
  anchors: z.array(shown),
});
/** Facts of a ledger without a check of it. */
export const ledgerInfo = z.strictObject({
  v,
  path: text,
  origin: textOrNull,
  fingerprint: digest.nullable(),
  pinned: digest.nullable(),
  size: decimal,
  root: digest,
  logKeys: z.array(text),
  trajectories: z.record(z.string(), count),
  checkpoints: z.strictObject({ kept: count, newest: decimal.nullable() }),
  instance: text,
  successor: textOrNull,
  growth: z
    .record(z.string(), z.strictObject({ entries: count, entryBytes: count, payloadBytes: count, blobs: count, blobBytes: count }))
    .optional(),
});
/** One entry with the exact texts that its leaf hash is over; null is what was erased. */
export const ledgerEntry = z.strictObject({ v, index: decimal, leaf: digest, entry: textOrNull, payload: textOrNull, salt: textOrNull });
