/**
 * `openexec verify-change [COMMIT]`: the release gate. Every commit of a change has to be covered by an audit bundle of a trusted ledger that verifies
 * and meets the gate policy of the base. Exit 10 when one is not, 20 when a bundle does not hold, 21 when a judgement differs (CLI.md, PROTOCOL §11).
 */
import { instantToMs, ok } from '@openexec/canon';
import { Option } from 'commander';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT } from '../exit.ts';
import { readChange } from '../gate/change.ts';
import { ruleLines, verdictLines } from '../gate/lines.ts';
import { junitOf, sarifOf } from '../gate/reports.ts';
import { readGate, unpinned } from '../gate/rules.ts';
import { documentOf, exitOf, verdictOf } from '../gate/verdict.ts';

interface GateOptions {
  readonly policy?: string;
  readonly trust?: string;
  readonly bundle?: readonly string[];
  readonly bundles?: string;
  readonly explain?: boolean;
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly junit?: boolean;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('verify-change')
    .description('the release gate: is each commit of a change proved by an audit bundle, as the gate policy of its base asks')
    .argument('[change]', 'a commit, or BASE..COMMIT for everything that COMMIT has beyond BASE', 'HEAD')
    .option(
      '--trust <fingerprint>',
      'the ledger whose bundles count, as you know it from elsewhere: sha256:…; narrows what the policy trusts',
    )
    .option('--policy <file>', 'a gate policy outside of the checkout; left out: .openexec/gate.yaml of the base')
    .option('--bundle <path...>', 'the bundles, by hand: folders or tar files; left out: what git notes point at')
    .option('--bundles <folder>', 'where the files are that git notes name; left out: the top folder of the checkout')
    .option('--explain', 'only say which rules are in force, and where they come from')
    .option('--json', 'one JSON document')
    .addOption(new Option('--sarif', 'print SARIF 2.1.0').conflicts(['json', 'junit', 'explain']))
    .addOption(new Option('--junit', 'print JUnit XML').conflicts(['json', 'sarif', 'explain']))
    .addHelpText(
      'after',
      '\nExamples:\n  openexec verify-change --trust sha256:…\n  openexec verify-change origin/main..HEAD --sarif\n  openexec verify-change HEAD --bundle change.tar --policy /etc/openexec/gate.yaml',
    )
    .action(context.act((change: string, options: GateOptions) => run(context, change, options)));
};

async function run(context: CommandContext, text: string, options: GateOptions): Promise<CommandResult> {
  const { cwd, output } = context;
  const change = await readChange(cwd, text);
  if (!change.ok) return change;
  const gate = await readGate({ cwd, policy: options.policy, trust: options.trust }, change.value);
  if (!gate.ok) return gate;
  if (options.explain === true) {
    const configured = gate.value.trust.length > 0;
    if (options.json === true) output.json('verify-change-rules', { v: 1, exit: EXIT.ok, configured, gate: gate.value });
    else for (const line of ruleLines(gate.value)) output.result(line);
    return ok(EXIT.ok);
  }
  if (gate.value.trust.length === 0) return unpinned(gate.value);
  const nowMs = instantToMs(context.clock.now());
  const looking = { cwd, bundles: options.bundle ?? [], folder: options.bundles, nowMs };
  const verdict = await verdictOf(change.value, gate.value, looking);
  if (!verdict.ok) return verdict;
  if (options.json === true) output.json('verify-change', documentOf(verdict.value));
  else if (options.sarif === true) output.result(JSON.stringify(sarifOf(verdict.value, context.version), null, 2));
  else if (options.junit === true) output.result(junitOf(verdict.value));
  else for (const line of verdictLines(verdict.value, output.style)) output.result(line);
  return ok(exitOf(verdict.value));
}
