/**
 * `openexec policy check|test|explain|simulate|advise|list|show|sign|adopt`: the rules, before and after they decide. CLI.md.
 */
import { ok } from '@openexec/canon';
import { SHIPPED_POLICIES } from '@openexec/config';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keysFolder } from '../keyring.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock, withPassphrase } from '../passphrase.ts';
import { adviseRuns, type AdviseOptions } from '../policy/advise.ts';
import { type Adoption, adopt, adoptSigned } from '../policy/adopt.ts';
import { explainFile, type ExplainOptions, explainRun } from '../policy/explain.ts';
import { bundleDigest, checkFiles, testFiles } from '../policy/files.ts';
import { policyInForce } from '../policy/inForce.ts';
import { givenBundle, show, sign, type SignOptions } from '../policy/show.ts';
import type { LawLayer } from '../policy/signed.ts';
import { type SimulateOptions, simulateRuns } from '../policy/simulate.ts';
import { withLedger } from '../read/guard.ts';

interface AdoptOptions extends PassphraseOptions {
  readonly layer?: LawLayer;
  readonly key?: string;
  readonly json?: boolean;
}

/** Adds one command with its example. */
type Sub = (name: string, description: string, example: string) => Command;

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const policy = program
    .command('policy')
    .description('check, test, explain, show, sign and adopt policies')
    .addHelpText('after', '\nExamples:\n  openexec policy check .openexec/policy/*.yaml\n  openexec policy explain latest');
  const sub: Sub = (name, description, example) =>
    policy
      .command(name)
      .description(description)
      .option('--json', 'print one JSON document')
      .addHelpText('after', `\nExample:\n  ${example}`);
  registerFiles(sub, context);
  registerPast(sub, context);
  registerLaw(sub, context);
}

/** Bundles in files. */
function registerFiles(sub: Sub, context: CommandContext): void {
  sub('check', 'every problem of bundles in files, with line and column', 'openexec policy check .openexec/policy/*.yaml')
    .argument('<files...>', 'bundles in YAML or JSON')
    .action(context.act((files: readonly string[], options: { readonly json?: boolean }) => checkFiles(files, options, context)));
  sub('test', 'run the examples of bundles, and tell which rules each one sets off', 'openexec policy test ours.yaml --junit > policy.xml')
    .argument('<files...>', 'bundles in YAML or JSON')
    .addOption(new Option('--junit', 'print JUnit XML').conflicts('json'))
    .action(
      context.act((files: readonly string[], options: { readonly json?: boolean; readonly junit?: boolean }) =>
        testFiles(files, options, context),
      ),
    );
}

/** What was decided, and what would have been. */
function registerPast(sub: Sub, context: CommandContext): void {
  sub('explain', 'which rules decided in a run, layer by layer; or what they would say about an action in a file', EXPLAIN_EXAMPLE)
    .argument('[run]', 'id of the run, a prefix of it, or latest')
    .argument('[seq]', 'position of the decision, or of its intent; default: every decision')
    .option('--action <file>', 'fields of an action as JSON or YAML, instead of a run')
    .option(
      '--policy <file>',
      'with --action: a policy that narrows, as of openexec run',
      (file, all: readonly string[]) => [...all, file],
      [],
    )
    .action(
      context.act((run: string | undefined, seq: string | undefined, options: ExplainOptions) =>
        withLedger(context, {}, (ledger) => explainOne({ run, seq }, options, context, ledger)),
      ),
    );
  sub('simulate', 'what a policy would have said of everything that was decided, in one run, in several or in all', SIMULATE_EXAMPLE)
    .argument('<bundle>', `a file, signed or not, or ${SHIPPED_POLICIES.join(' or ')}`)
    .argument('[runs...]', 'ids of runs, prefixes of them, or latest; default: every run')
    .addOption(new Option('--layer <layer>', 'where it would stand; default: operator, or what a signed bundle says').choices(ALL_LAYERS))
    .option('--from <run>', 'only this run and what was opened after it')
    .option('--to <run>', 'only this run and what was opened before it')
    .addOption(new Option('--fail-on <what>', 'end with 1 where a decision would be so').choices(['widened', 'narrowed', 'changed']))
    .addOption(new Option('--sarif', 'print SARIF 2.1.0').conflicts(['json', 'junit']))
    .addOption(new Option('--junit', 'print JUnit XML').conflicts(['json', 'sarif']))
    .action(
      context.act((bundle: string, runs: readonly string[], options: SimulateOptions) =>
        withLedger(context, {}, (ledger) => simulateRuns({ bundle, runs }, options, context, ledger)),
      ),
    );
  sub('advise', 'draft rules from what people approved again and again, and show what else they would allow', ADVISE_EXAMPLE)
    .argument('[runs...]', 'ids of runs, prefixes of them, or latest; default: every run')
    .option('--least <n>', 'how often the same was approved', '2')
    .option('--from <run>', 'only this run and what was opened after it')
    .option('--to <run>', 'only this run and what was opened before it')
    .option('--out <file>', 'write the whole bundle there, as JSON')
    .action(
      context.act((runs: readonly string[], options: AdviseOptions) =>
        withLedger(context, {}, (ledger) => adviseRuns(runs, options, context, ledger)),
      ),
    );
}

/** What is in force, and what puts it there. */
function registerLaw(sub: Sub, context: CommandContext): void {
  sub('list', 'what is in force for a run opened now: layers, names, digests', 'openexec policy list').action(
    context.act((options: { readonly json?: boolean }) => withLedger(context, {}, (ledger) => list(options, context, ledger))),
  );
  sub('show', 'a bundle rule by rule, and whose word stands behind it', 'openexec policy show operator')
    .argument('<bundle>', `a file, signed or not, ${SHIPPED_POLICIES.join(', ')}, or a layer of the law: operator, organisation`)
    .action(
      context.act((bundle: string, options: { readonly json?: boolean }) =>
        withLedger(context, {}, (ledger) => show(bundle, options, context, ledger)),
      ),
    );
  withPassphrase(sub('sign', 'sign a bundle for this ledger, into a file that anybody may hand to adopt', SIGN_EXAMPLE))
    .argument('<bundle>', `a file, or ${SHIPPED_POLICIES.join(' or ')}`)
    .requiredOption('--out <file>', 'where the signed bundle is written')
    .addOption(new Option('--layer <layer>', 'whose rules they are').choices(LAYERS).default('operator'))
    .option('--key <label>', 'the policy or root key that signs, by label or id', KEY_LABELS.root)
    .action(
      context.act((bundle: string, options: SignOptions) => withLedger(context, {}, (ledger) => sign(bundle, options, context, ledger))),
    );
  withPassphrase(sub('adopt', 'put a bundle in force by law, for every run, open ones included', 'openexec policy adopt regulated'))
    .argument('<bundle>', `a file, signed or not, or ${SHIPPED_POLICIES.join(' or ')}`)
    .addOption(new Option('--layer <layer>', 'whose rules they are; default: operator, or what a signed bundle says').choices(LAYERS))
    .option('--key <label>', 'the root or policy key that signs; default: root; none where the bundle is signed')
    .action(
      context.act((bundle: string, options: AdoptOptions) =>
        withLedger(context, { access: 'append' }, (ledger) => adoptOne(bundle, options, context, ledger)),
      ),
    );
}

const LAYERS = ['operator', 'organisation'];
const ALL_LAYERS = ['organisation', 'operator', 'shipped', 'project', 'run'];
const SIMULATE_EXAMPLE =
  'openexec policy simulate ours.yaml\n  openexec policy simulate ours.yaml latest --layer project --fail-on widened --sarif > policy.sarif';
const ADVISE_EXAMPLE = 'openexec policy advise --out draft.json';
const SIGN_EXAMPLE = 'openexec policy sign ours.yaml --key policy --out ours.signed.json';
const EXPLAIN_EXAMPLE = 'openexec policy explain latest\n  openexec policy explain --action wish.json';

function explainOne(
  wanted: { readonly run: string | undefined; readonly seq: string | undefined },
  options: ExplainOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const { run, seq } = wanted;
  if ((run === undefined) === (options.action === undefined))
    return Promise.resolve(refuse('usage.invalid', 'name a run, or an action with --action FILE'));
  if (options.action !== undefined) return explainFile(options.action, options, context, ledger);
  return explainRun({ run: run ?? '', seq }, options, context, ledger);
}

async function list(options: { readonly json?: boolean }, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const policy = await policyInForce(context, ledger, []);
  if (!policy.ok) return policy;
  const rows = policy.value.layers.map(({ layer, source, bundle, signers }) => {
    return { layer, name: bundle.name, version: bundle.version, rules: bundle.rules.length, digest: bundleDigest(bundle), source, signers };
  });
  const { riskThreshold } = policy.value.own;
  if (options.json === true) context.output.json('policy-list', { v: 1, riskThreshold, layers: rows });
  else
    for (const { layer, name, rules, digest, source } of rows)
      context.output.result(`${layer.padEnd(12)}  ${name.padEnd(16)}  ${String(rules).padStart(3)} rules  ${digest}  ${safeLine(source)}`);
  return ok(EXIT.ok);
}

async function adoptOne(wanted: string, options: AdoptOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const given = givenBundle(wanted, context);
  if (!given.ok) return given;
  const { bundle, signed } = given.value;
  if (signed !== null && (options.key !== undefined || options.layer !== undefined))
    return refuse('usage.invalid', 'the bundle is signed: its signature says the key and the layer; leave --key and --layer out');
  const layer = signed?.adoption.body.layer ?? options.layer ?? 'operator';
  const adopted =
    signed === null ? await adoptWithKey({ layer, bundle }, options, context, ledger) : await adoptSigned(context, ledger, signed);
  if (!adopted.ok) return adopted;
  const { position } = adopted.value;
  if (options.json === true)
    context.output.json('policy-adopt', { v: 1, layer, name: bundle.name, digest: bundleDigest(bundle), law: position });
  else
    context.output.result(`adopted  ${bundle.name} for layer ${layer} (law ${position}); it narrows every run from here on, open ones too`);
  return ok(EXIT.ok);
}

async function adoptWithKey(adoption: Adoption, options: AdoptOptions, context: CommandContext, ledger: OpenLedger) {
  const file = findKeyFile(keysFolder(ledger.stateFolder), options.key ?? KEY_LABELS.root);
  if (!file.ok) return file;
  const key = await unlock(file.value, options, context);
  return key.ok ? adopt(context, ledger, { ...adoption, key: key.value }) : key;
}
