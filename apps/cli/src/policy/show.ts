/**
 * `policy sign` and `policy show`: a bundle made into a word that the law takes, and a bundle with all that is known of it, whoever gave it. Must never
 * say that a signature counts where the law would not take it.
 */
import { resolve } from 'node:path';
import { ok, type Result } from '@openexec/canon';
import { loadPolicies, SHIPPED_POLICIES } from '@openexec/config';
import type { PolicyBundle, PolicyCondition, PolicyRule, SignedPolicy } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, keysFolder } from '../keyring.ts';
import { lawOf, lawProblemOf } from '../law.ts';
import { safe, safeLine } from '../output.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { SHIPPED } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';
import { bundleDigest } from './files.ts';
import { bundleRefusal, changeOf, type LawLayer, readSignedPolicy, signPolicy, writeSignedPolicy } from './signed.ts';

/** Options of `policy sign`. */
export interface SignOptions extends PassphraseOptions {
  readonly layer: LawLayer;
  readonly key: string;
  readonly out: string;
  readonly json?: boolean;
}
/** A bundle by its name among those that ship, or from a file; `signed` where the file holds the word that adopts it. */
export interface GivenBundle {
  readonly bundle: PolicyBundle;
  readonly source: string;
  readonly signed: SignedPolicy | null;
}

/** Reads what a person names: a shipped policy, a bundle, or a signed bundle. */
export function givenBundle(wanted: string, context: CommandContext): Result<GivenBundle, Refusal> {
  const shipped = SHIPPED_POLICIES.find((name) => name === wanted);
  if (shipped !== undefined) return ok({ bundle: SHIPPED[shipped], source: shipped, signed: null });
  const file = resolve(context.cwd, wanted);
  const signed = readSignedPolicy(file);
  if (!signed.ok) return signed;
  if (signed.value !== null) return ok({ bundle: signed.value.bundle, source: wanted, signed: signed.value });
  const loaded = loadPolicies([file]);
  if (!loaded.ok) return configRefusal(loaded.error, context.cwd);
  const bundle = loaded.value[0]?.bundle;
  return bundle === undefined ? refuse('policy.invalid', 'there is no bundle') : ok({ bundle, source: wanted, signed: null });
}

/** Signs a bundle for this ledger, into a file that anybody may hand to `policy adopt`. */
export async function sign(wanted: string, options: SignOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const given = givenBundle(wanted, context);
  if (!given.ok) return given;
  const { bundle } = given.value;
  const file = findKeyFile(keysFolder(ledger.stateFolder), options.key);
  if (!file.ok) return file;
  const key = await unlock(file.value, options, context);
  if (!key.ok) return key;
  const signed = signPolicy(context, ledger, { layer: options.layer, bundle, key: key.value });
  const written = writeSignedPolicy(resolve(context.cwd, options.out), signed);
  if (!written.ok) return written;
  const { nonce, ledger: fingerprint, layer } = signed.adoption.body;
  const digest = bundleDigest(bundle);
  const signers = signed.adoption.signatures.map((each) => each.key);
  const { output } = context;
  if (options.json === true)
    output.json('policy-sign', { v: 1, file: options.out, layer, name: bundle.name, digest, ledger: fingerprint, nonce, signers });
  else output.result(`signed  ${bundle.name} (${digest}) for layer ${layer} by key ${signers.join(', ')}: ${safeLine(options.out)}`);
  const law = await lawOf(ledger);
  const problem = law.ok ? lawProblemOf(law.value, context.clock.now(), changeOf(signed)) : null;
  if (problem !== null) output.warn(`the law as it stands would not take it: ${safeLine(problem.message)}`);
  return ok(EXIT.ok);
}

/** Shows a bundle: rule by rule, and whose word stands behind it. */
export async function show(
  wanted: string,
  options: { readonly json?: boolean },
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const adopted = law.value.adopted.find(({ layer }) => layer === wanted);
  if (adopted === undefined && (wanted === 'operator' || wanted === 'organisation'))
    return refuse('usage.invalid', `the law has adopted nothing for layer ${wanted}`);
  const given = adopted === undefined ? givenBundle(wanted, context) : ok({ ...adopted, source: `law/${adopted.seq}`, signed: null });
  if (!given.ok) return given;
  const { bundle, source, signed } = given.value;
  const problem = signed === null ? null : lawProblemOf(law.value, context.clock.now(), changeOf(signed));
  const { code = '' } =
    problem === null ? {} : bundleRefusal({ code: 'law.refused', message: problem.message, details: { code: problem.code } });
  const because = problem === null ? null : { code, message: problem.message };
  const digest = bundleDigest(bundle);
  const layer = adopted?.layer ?? signed?.adoption.body.layer ?? null;
  const word = signed === null ? null : { ...wordOf(signed), counts: because === null, because };
  if (options.json === true) {
    context.output.json('policy-show', { v: 1, digest, source, layer, bundle, signed: word });
    return ok(EXIT.ok);
  }
  const { output } = context;
  output.result(`${output.style.bold(bundle.name)}  ${digest}  ${safeLine(source)}`);
  if (adopted !== undefined)
    output.result(`in force for layer ${adopted.layer} since law ${adopted.seq}, signed by ${adopted.signers.join(', ')}`);
  if (word !== null) {
    output.result(`signed for layer ${layer ?? ''} of ledger ${word.ledger} by ${word.signers.join(', ')}`);
    output.result(
      because === null ? 'the law as it stands would take it' : safe(`the law would not take it: ${because.code}: ${because.message}`),
    );
  }
  for (const rule of bundle.rules) for (const line of ruleLines(rule)) output.result(safeLine(line, 1000));
  return ok(EXIT.ok);
}

function wordOf({ adoption }: SignedPolicy) {
  return { ledger: adoption.body.ledger, nonce: adoption.body.nonce, signers: adoption.signatures.map(({ key }) => key) };
}

function ruleLines(rule: PolicyRule): readonly string[] {
  const { decide, id, because, when } = rule;
  const said =
    typeof decide === 'string'
      ? decide
      : `approve by ${decide.approve.quorum} of ${decide.approve.roles.join(' or ')}, key ${decide.approve.minAssurance} or better`;
  return [`rule ${id}: ${said}`, `  when ${conditionText(when)}`, `  because ${because}`];
}

/** A condition in one line, as people say it. */
export function conditionText(condition: PolicyCondition): string {
  if ('all' in condition) return `(${condition.all.map(conditionText).join(' and ')})`;
  if ('any' in condition) return `(${condition.any.map(conditionText).join(' or ')})`;
  if ('not' in condition) return `not ${conditionText(condition.not)}`;
  return `${condition.field} ${condition.op} ${JSON.stringify(condition.value)}`;
}
