/**
 * `openexec policy check|test|explain|list|adopt`: the rules, before and after they decide. CLI.md.
 */
import { resolve } from 'node:path';
import { ok } from '@openexec/canon';
import { loadPolicies, SHIPPED_POLICIES } from '@openexec/config';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keysFolder } from '../keyring.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock, withPassphrase } from '../passphrase.ts';
import { type Adoption, adopt } from '../policy/adopt.ts';
import { explainFile, type ExplainOptions, explainRun } from '../policy/explain.ts';
import { bundleDigest, checkFiles, testFiles } from '../policy/files.ts';
import { policyInForce } from '../policy/inForce.ts';
import { withLedger } from '../read/guard.ts';
import { SHIPPED } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';

interface AdoptOptions extends PassphraseOptions {
  readonly layer: Adoption['layer'];
  readonly key: string;
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const policy = program
    .command('policy')
    .description('check, test, explain, list and adopt policies')
    .addHelpText('after', '\nExamples:\n  openexec policy check .openexec/policy/*.yaml\n  openexec policy explain latest');
  const sub = (name: string, description: string, example: string): Command =>
    policy
      .command(name)
      .description(description)
      .option('--json', 'print one JSON document')
      .addHelpText('after', `\nExample:\n  ${example}`);
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
  sub('list', 'what is in force for a run opened now: layers, names, digests', 'openexec policy list').action(
    context.act((options: { readonly json?: boolean }) => withLedger(context, {}, (ledger) => list(options, context, ledger))),
  );
  withPassphrase(sub('adopt', 'put a bundle in force by law, for every run, open ones included', 'openexec policy adopt regulated'))
    .argument('<bundle>', `a file, or ${SHIPPED_POLICIES.join(' or ')}`)
    .addOption(new Option('--layer <layer>', 'whose rules they are').choices(['operator', 'organisation']).default('operator'))
    .option('--key <label>', 'the root or policy key that signs', KEY_LABELS.root)
    .action(
      context.act((bundle: string, options: AdoptOptions) =>
        withLedger(context, { access: 'append' }, (ledger) => adoptOne(bundle, options, context, ledger)),
      ),
    );
}

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
  const rows = policy.value.layers.map(({ layer, source, bundle }) => {
    return { layer, name: bundle.name, version: bundle.version, rules: bundle.rules.length, digest: bundleDigest(bundle), source };
  });
  const { riskThreshold } = policy.value.own;
  if (options.json === true) context.output.json('policy-list', { v: 1, riskThreshold, layers: rows });
  else
    for (const { layer, name, rules, digest, source } of rows)
      context.output.result(`${layer.padEnd(12)}  ${name.padEnd(16)}  ${String(rules).padStart(3)} rules  ${digest}  ${safeLine(source)}`);
  return ok(EXIT.ok);
}

async function adoptOne(wanted: string, options: AdoptOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const shipped = SHIPPED_POLICIES.find((name) => name === wanted);
  const loaded = shipped === undefined ? loadPolicies([resolve(context.cwd, wanted)]) : ok([{ bundle: SHIPPED[shipped] }]);
  if (!loaded.ok) return configRefusal(loaded.error, context.cwd);
  const bundle = loaded.value[0]?.bundle;
  if (bundle === undefined) return refuse('policy.invalid', 'there is no bundle to adopt');
  const file = findKeyFile(keysFolder(ledger.stateFolder), options.key);
  if (!file.ok) return file;
  const key = await unlock(file.value, options, context);
  if (!key.ok) return key;
  const adopted = await adopt(context, ledger, { layer: options.layer, bundle, key: key.value });
  if (!adopted.ok) return adopted;
  const { position } = adopted.value;
  if (options.json === true)
    context.output.json('policy-adopt', { v: 1, layer: options.layer, name: bundle.name, digest: bundleDigest(bundle), law: position });
  else
    context.output.result(
      `adopted  ${bundle.name} for layer ${options.layer} (law ${position}); it narrows every run from here on, open ones too`,
    );
  return ok(EXIT.ok);
}
