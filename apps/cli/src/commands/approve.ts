/**
 * `openexec approve ID`: one signed yes to exactly one request. CLI.md, GOALS E04.
 */
import type { Command } from 'commander';
import { decide, type DecideOptions } from '../approval/decide.ts';
import type { CommandContext } from '../context.ts';
import { withPassphrase } from '../passphrase.ts';

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const command = program
    .command('approve')
    .description('approve one request with your key; look at it first with openexec approvals')
    .argument('<id>', 'id of the request, or a prefix of it')
    .option('--because <text>', 'why, for the record')
    .option('--key <label>', 'the approver key to sign with (default: the first key here whose vote can count)')
    .option('--json', 'print one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec approve 3f9c2a71');
  withPassphrase(command).action(context.act((id: string, options: DecideOptions) => decide(id, 'approve', options, context)));
}
