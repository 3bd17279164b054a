/**
 * Documents about authority: keys, writs and policies, looked at and changed. `law` is a position in the trajectory of that name: the change stands
 * there. Must never hold a member that no command prints, nor anything of a private key.
 */
import * as z from 'zod';
import { keyWindow, role, writ } from '../law.ts';
import { decisionTrace, policyDecided, ruleTrace } from '../run.ts';
import { approvalTerms, assurance, policyBundle, risk } from '../work.ts';
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
const truth = z.enum(['true', 'false', 'unknown']);
const fieldWhy = { field: text, op: text, value: text, actual: textOrNull, truth };
type ConditionWhy =
  | { readonly field: string; readonly op: string; readonly value: string; readonly actual: string | null; readonly truth: string }
  | { readonly all: readonly ConditionWhy[]; readonly truth: string }
  | { readonly any: readonly ConditionWhy[]; readonly truth: string }
  | { readonly not: ConditionWhy; readonly truth: string };
const conditionWhy: z.ZodType<ConditionWhy> = z.lazy(() =>
  z.union([
    z.strictObject(fieldWhy),
    z.strictObject({ all: z.array(conditionWhy), truth }),
    z.strictObject({ any: z.array(conditionWhy), truth }),
    z.strictObject({ not: conditionWhy, truth }),
  ]),
);
/**
 * Every rule with each of its questions, the value found (its canonical text, cut where it is long; null where the field is missing) and the answer;
 * `toPermit` holds the fewest answers that would have to be otherwise, none where it is permitted, null where only the policy itself could change it.
 */
const why = z.strictObject({
  rules: z.array(
    z.strictObject({
      layer: text,
      bundle: text,
      rule: text,
      decide: verdict,
      because: text,
      truth,
      applies: z.boolean(),
      when: conditionWhy,
    }),
  ),
  toPermit: z
    .array(
      z.strictObject({
        layer: text,
        rule: text,
        mustBe: z.enum(['true', 'false']),
        changes: z.array(z.strictObject({ ...fieldWhy, mustBe: z.enum(['true', 'false']) })),
      }),
    )
    .nullable(),
});
/**
 * What was decided in a run, as recorded; `trace` is null where it was erased. `why` is derived anew for the one decision that was named; null for the
 * others, where the compiler ended before policy was asked, and where nothing can be derived.
 */
export const policyExplain = z.strictObject({
  v,
  run,
  decisions: z.array(
    policyDecided.extend({
      seq: count,
      law: count.nullable(),
      intentSeq: count.nullable(),
      trace: decisionTrace.nullable(),
      why: why.nullable(),
    }),
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
  why,
});
/** What is in force for a run opened now, the outermost layer first. */
export const policyList = z.strictObject({
  v,
  riskThreshold: risk,
  layers: z.array(
    z.strictObject({ layer: text, name: text, version: z.literal(1), rules: count, digest, source: text, signers: z.array(text) }),
  ),
});
/** A bundle that was signed for this ledger, and where it lies. */
export const policySign = z.strictObject({
  v,
  file: text,
  layer: z.enum(['operator', 'organisation']),
  name: text,
  digest,
  ledger: digest,
  nonce: text,
  signers: z.array(keyId),
});
/**
 * One bundle: from a file, shipped, or in force by law. `signed` is null where nobody signed it; `counts` says whether the law as it stands would take
 * it, and `because` why not.
 */
export const policyShow = z.strictObject({
  v,
  digest,
  source: text,
  layer: textOrNull,
  bundle: policyBundle,
  signed: z
    .strictObject({
      ledger: digest,
      nonce: text,
      signers: z.array(keyId),
      counts: z.boolean(),
      because: z.strictObject({ code: text, message: text }).nullable(),
    })
    .nullable(),
});
const said = z.strictObject({
  verdict,
  by: policyDecided.shape.by,
  rule: ruleName.nullable(),
  because: text,
  terms: approvalTerms.nullable(),
});
const change = z.enum(['same', 'newlyDenies', 'newlyAsks', 'newlyPermits', 'asksOtherwise']);
const changeCounts = z.strictObject({ same: count, newlyDenies: count, newlyAsks: count, newlyPermits: count, asksOtherwise: count });
const notDerivable = z.strictObject({ seq: count, code: text, message: text, missed: count }).nullable();
const simulated = {
  decisions: count,
  counts: changeCounts,
  widened: count,
  narrowed: count,
  missed: count,
  runs: z.array(z.strictObject({ run, decisions: count, counts: changeCounts, notDerivable })),
};
const changedDecision = z.strictObject({
  run,
  seq: count,
  intentSeq: count.nullable(),
  subject: text,
  change,
  direction: z.enum(['none', 'narrowed', 'widened', 'both']),
  recorded: said,
  candidate: said,
});
/**
 * What a candidate policy would have said of recorded decisions; `changed` holds those that would have come out otherwise. Where a run cannot be derived,
 * `missed` of its decisions were not looked at.
 */
export const policySimulate = z.strictObject({
  v,
  candidate: z.strictObject({ layer: text, name: text, digest, source: text }),
  ...simulated,
  changed: z.array(changedDecision),
});
const place = { run, seq: count };
/**
 * Drafts from what people approved and what the sandbox stopped. `bundle` is the whole policy with the drafts in it, null where nothing is drafted;
 * `also` is what else it would have let through over these runs. Nothing was adopted.
 */
export const policyAdvise = z.strictObject({
  v,
  runs: count,
  base: z.strictObject({ layer: text, name: text }).nullable(),
  bundle: policyBundle.nullable(),
  advice: z.array(
    z.strictObject({
      id: text,
      kind: z.enum(['permit', 'ask']),
      action: text,
      fields: z.record(z.string(), json),
      evidence: z.array(z.strictObject(place)),
      keys: z.array(text),
    }),
  ),
  notAdvised: z.array(z.strictObject({ action: text, code: text, message: text, evidence: z.array(z.strictObject(place)) })),
  also: z.array(z.strictObject({ ...place, subject: text, recorded: text })),
  notDerivable: z.array(z.strictObject({ ...place, code: text, message: text, missed: count })),
});
/** A bundle that narrows every run from that position on. */
export const policyAdopt = z.strictObject({ v, layer: z.enum(['operator', 'organisation']), name: text, digest, law: count });
