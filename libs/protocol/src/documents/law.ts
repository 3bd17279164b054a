/**
 * Documents about authority: keys, writs and policies, looked at and changed. `law` is a position in the trajectory of that name: the change stands
 * there. Must never hold a member that no command prints, nor anything of a private key.
 */
import * as z from 'zod';
import { keyWindow, role, writ } from '../law.ts';
import { decisionTrace, policyDecided, ruleTrace } from '../run.ts';
import { approvalTerms, assurance, risk } from '../work.ts';
import { amount, count, digest, instant, json, keyId, publicKey } from '../words.ts';
import { problem, ruleName, run, text, textOrNull, v, verdict } from './shared.ts';

// ---- keys

/** `trustedFrom` is null and `public` a file where the key waits for somebody else's word. */
export const keyNew = z.strictObject({
  v,
  label: text,
  keyId,
  publicKey,
  roles: z.array(role),
  assurance,
  trustedFrom: instant.nullable(),
  public: textOrNull,
});
/** `label` is null where the private half is elsewhere, `retiredAt` a position in the law. */
export const keyList = z.strictObject({
  v,
  keys: z.array(
    z.strictObject({
      keyId,
      roles: z.array(role),
      name: textOrNull,
      label: textOrNull,
      assurance: assurance.nullable(),
      state: z.enum(['in force', 'retired', 'outside its window', 'not trusted']),
      notBefore: instant.nullable(),
      notAfter: instant.nullable(),
      retiredAt: count.nullable(),
    }),
  ),
});
/** A key that a root key vouched for, within its window. */
export const keyTrust = z.strictObject({ v, keyId, label: text, roles: z.array(role), law: count, window: keyWindow });
/** A key that counts for nothing from that position on. */
export const keyRetire = z.strictObject({ v, keyId, law: count });
/** A key in the place of another; `retired` is null where both count for a while. `aside` is the label of the old file. */
export const keyRotate = z.strictObject({
  v,
  label: text,
  keyId,
  assurance,
  replaces: keyId,
  retired: count.nullable(),
  law: count,
  aside: text,
});
/** How a key is held now. */
export const keyPasswd = z.strictObject({ v, label: text, keyId, assurance });

// ---- writs

/** Every writ of a chain, the outermost first. */
export const writShow = z.strictObject({ v, writs: z.array(z.strictObject({ id: digest, writ })) });
/** A chain that counts; one that does not is a refusal. */
export const writVerify = z.strictObject({
  v,
  counts: z.literal(true),
  id: digest,
  use: writ.shape.use,
  writs: count,
  at: instant,
  law: count,
});
/** `spent` is of a standing writ, `run` of one that opened a run; `revokedUnseen` are ids that the law revokes and that opened nothing here. */
export const writList = z.strictObject({
  v,
  writs: z.array(
    z.strictObject({
      id: digest,
      use: writ.shape.use,
      issuer: keyId,
      run: run.nullable(),
      state: z.enum(['in force', 'revoked', 'expired', 'not yet']),
      spent: amount.nullable(),
      writ,
    }),
  ),
  revokedUnseen: z.array(digest),
});
/** A writ that was revoked or restored, by the key that signed. */
export const writChange = z.strictObject({ v, writ: digest, kind: z.enum(['writ.revoked', 'writ.restored']), by: keyId, law: count });

// ---- policies

/** `digest` and `name` are null for a file that does not check; `command` names a setting that is missing. */
export const policyCheck = z.strictObject({
  v,
  sound: z.boolean(),
  files: z.array(
    z.strictObject({
      file: text,
      name: textOrNull,
      rules: count,
      digest: digest.nullable(),
      problems: z.array(problem.extend({ file: text, command: text.optional() })),
    }),
  ),
});
/** Every example of every rule with the rules that it set off; `problem` is null where it came out as it should. */
export const policyTest = z.strictObject({
  v,
  failed: count,
  files: z.array(
    z.strictObject({
      file: text,
      name: text,
      examples: z.array(
        z.strictObject({
          rule: text,
          list: z.enum(['match', 'noMatch']),
          at: count,
          truth: z.enum(['true', 'false', 'unknown']),
          verdict,
          hits: z.array(ruleTrace),
          line: count,
          column: count,
          passed: z.boolean(),
          problem: textOrNull,
        }),
      ),
    }),
  ),
});
/** What was decided in a run, as recorded; `trace` is null where it was erased. */
export const policyExplain = z.strictObject({
  v,
  run,
  decisions: z.array(
    policyDecided.extend({ seq: count, law: count.nullable(), intentSeq: count.nullable(), trace: decisionTrace.nullable() }),
  ),
});
/** What would be decided about the fields of an action in a file. */
export const policyExplainAction = z.strictObject({
  v,
  fields: json,
  verdict,
  rule: ruleName.nullable(),
  because: text,
  terms: approvalTerms.nullable(),
  layers: decisionTrace.shape.layers,
  rules: z.array(ruleTrace),
  asked: z.array(approvalTerms),
});
/** What is in force for a run opened now, the outermost layer first. */
export const policyList = z.strictObject({
  v,
  riskThreshold: risk,
  layers: z.array(z.strictObject({ layer: text, name: text, version: z.literal(1), rules: count, digest, source: text })),
});
/** A bundle that narrows every run from that position on. */
export const policyAdopt = z.strictObject({ v, layer: z.enum(['operator', 'organisation']), name: text, digest, law: count });
