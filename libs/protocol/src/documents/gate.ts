/**
 * Documents about the release gate: what it found of each commit, and the rules in force. Must never hold a member that no command prints.
 */
import * as z from 'zod';
import { CHANGE_RELATIONS, GATE_CODES, gateRules as rules } from '../gate.ts';
import { digest, oid } from '../words.ts';
import { exit, text, textOrNull, v } from './shared.ts';

const relation = z.enum(CHANGE_RELATIONS);
/** One requirement: what the gate asks, what is there. */
const requirement = z.strictObject({ code: z.enum(GATE_CODES), satisfied: z.boolean(), wanted: text, found: text });
/** Where the rules were read: a commit of the repository, or a file outside of the checkout. */
const source = z.discriminatedUnion('is', [
  z.strictObject({ is: z.literal('commit'), commit: oid, path: text, found: z.boolean() }),
  z.strictObject({ is: z.literal('file'), path: text }),
]);
/** The rules in force, and the ledgers that count. */
const gate = z.strictObject({ source, trust: z.array(digest), rules });

/** One commit: the run that covers it, or what stands in the way. `run` and `bundle` are those that came nearest. */
const judgedCommit = z.strictObject({
  commit: oid,
  tree: oid,
  satisfied: z.boolean(),
  relation: relation.nullable(),
  run: textOrNull,
  bundle: textOrNull,
  requirements: z.array(requirement),
});
/** What the gate says. */
export const verifyChange = z.strictObject({
  v,
  exit,
  satisfied: z.boolean(),
  change: text,
  base: oid,
  gate,
  commits: z.array(judgedCommit),
  bundles: z.array(
    z.strictObject({
      bundle: text,
      sound: z.boolean(),
      fingerprint: digest.nullable(),
      size: z.number().int().min(0).nullable(),
      level: z.enum(['signed', 'witnessed']).nullable(),
      findings: z.array(z.strictObject({ part: text, code: text, message: text })),
    }),
  ),
});
/** The rules in force, with `--explain`. */
export const gateRules = z.strictObject({ v, exit, configured: z.boolean(), gate });
