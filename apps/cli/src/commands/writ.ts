/**
 * `openexec writ issue|narrow|show|verify|revoke|restore|list`: capabilities. CLI.md, PROTOCOL §5.
 */
import type { Command } from 'commander';
import type { CommandContext } from '../context.ts';
import { withPassphrase } from '../passphrase.ts';
import { withLedger } from '../read/guard.ts';
import { issue, type IssueOptions, narrow } from '../writ/issue.ts';
import { list, show, verify } from '../writ/look.ts';
import { withMembers } from '../writ/members.ts';
import { changeStanding, type RevokeOptions } from '../writ/revoke.ts';

interface LookOptions {
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const writ = program
    .command('writ')
    .description('issue, narrow, look at, verify and revoke writs')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec writ issue --host api.openai.com:443 --out run.writ\n  openexec run "Fix it" --writ run.writ',
    );
  const sub = (name: string, description: string, example: string): Command =>
    writ.command(name).description(description).addHelpText('after', `\nExample:\n  ${example}`);
  signing(context, sub);
  const looks = [
    { name: 'show', what: 'what every writ of a chain grants', work: show },
    { name: 'verify', what: 'whether a chain counts here and now: signatures, windows, revocation, containment', work: verify },
  ] as const;
  for (const { name, what, work } of looks)
    sub(name, what, `openexec writ ${name} run.writ`)
      .argument('<writ>', 'a file, or a run')
      .option('--json', 'print one JSON document')
      .action(
        context.act((wanted: string, options: LookOptions) => withLedger(context, {}, (ledger) => work(wanted, options, context, ledger))),
      );
  sub('list', 'the standing writs of the law and the writs of runs', 'openexec writ list')
    .option('--json', 'print one JSON document')
    .action(context.act((options: LookOptions) => withLedger(context, {}, (ledger) => list(options, context, ledger))));
  const changes = [
    { name: 'revoke', kind: 'writ.revoked', what: 'let a writ, and all that descends from it, start nothing more' },
    { name: 'restore', kind: 'writ.restored', what: 'let a revoked writ count again' },
  ] as const;
  for (const { name, kind, what } of changes)
    withPassphrase(sub(name, what, `openexec writ ${name} 3f9c2a71 --because "the laptop is found"`))
      .argument('<writ>', 'id of the writ or a prefix of it, a run, or a file')
      .requiredOption('--because <text>', 'why, for the record')
      .option('--key <label>', 'the key that signs (default: the issuer of the writ where it is here, else root)')
      .option('--json', 'print one JSON document')
      .action(
        context.act((wanted: string, options: RevokeOptions) =>
          withLedger(context, { access: 'append' }, (ledger) => changeStanding(kind, wanted, options, context, ledger)),
        ),
      );
}

function signing(context: CommandContext, sub: (name: string, description: string, example: string) => Command): void {
  const common = (command: Command): Command =>
    withPassphrase(withMembers(command))
      .option('--standing', 'a writ that is only narrowed; recorded in the law when issued')
      .option('--key <label>', 'the key that signs')
      .option('--out <file>', 'write the chain there (default: stdout)');
  common(
    sub(
      'issue',
      'sign a writ; what is left out is what the configured blueprint needs',
      'openexec writ issue --host api.openai.com:443 --tokens 200000 --out run.writ',
    ),
  )
    .option('--blueprint <name>', 'grant what this blueprint needs')
    .action(context.act((options: IssueOptions) => withLedger(context, { access: 'append' }, (ledger) => issue(options, context, ledger))));
  common(
    sub(
      'narrow',
      'sign a child of the last writ of a chain, nowhere wider',
      'openexec writ narrow team.writ --write "src/**" --calls 20 --out run.writ',
    ),
  )
    .argument('<file>', 'the chain')
    .action(
      context.act((file: string, options: IssueOptions) => withLedger(context, {}, (ledger) => narrow(file, options, context, ledger))),
    );
}
