/**
 * Documents about audit bundles: what one holds, and what checking it comes to. Must never hold a member that no command prints.
 */
import * as z from 'zod';
import { count, digest, instant, oid } from '../words.ts';
import { decimal, exit, text, textOrNull, v } from './shared.ts';

const scope = z.discriminatedUnion('is', [
  z.strictObject({ is: z.literal('ledger') }),
  z.strictObject({ is: z.literal('runs'), runs: z.array(text) }),
  z.strictObject({ is: z.literal('range'), from: count, to: count }),
]);
const statedRun = z.strictObject({
  run: text,
  outcome: text,
  commit: oid.nullable(),
  tree: oid.nullable(),
  ref: textOrNull,
  governed: z.boolean(),
});
/** What was exported, after it was checked. */
export const exported = z.strictObject({
  v,
  exit,
  path: text,
  fingerprint: digest,
  size: decimal,
  root: digest,
  manifest: digest,
  scope: scope.nullable(),
  entries: count,
  parts: count,
  blobs: count,
  withheld: z.strictObject({ payloads: count, blobs: count }),
  gone: z.strictObject({ payloads: count, blobs: count }),
  runs: z.array(statedRun),
  /** Commits that got a git note with `--note`. */
  noted: z.array(z.strictObject({ commit: oid, ref: text })),
});
/** What a bundle proves, and what was not checked; `deep` is null unless every judgement was derived again. */
export const verifyBundle = z.strictObject({
  v,
  exit,
  sound: z.boolean(),
  level: z.enum(['signed', 'witnessed']).nullable(),
  trust: z.enum(['pinned', 'selfAsserted']),
  fingerprint: digest.nullable(),
  origin: textOrNull,
  size: count.nullable(),
  root: digest.nullable(),
  scope: scope.nullable(),
  runs: z.array(statedRun.extend({ commit: textOrNull, tree: textOrNull })),
  cosigners: z.array(text),
  times: z.array(z.strictObject({ part: text, checked: z.strictObject({ at: instant, authority: text }).nullable() })),
  counts: z.strictObject({
    parts: count,
    entries: count,
    signatures: count,
    proofs: count,
    tiles: count,
    blobs: count,
    erased: count,
    withheld: count,
  }),
  firstBad: count.nullable(),
  findings: z.array(z.strictObject({ part: text, index: count.nullable(), code: text, message: text })),
  omitted: count,
  checked: z.array(text),
  notChecked: z.array(text),
  deep: z
    .strictObject({
      runs: z.array(
        z.strictObject({ run: text, verdict: z.enum(['agrees', 'diverges', 'notDerivable']), judgements: count, divergences: count }),
      ),
      lawProblems: count,
    })
    .nullable(),
});
