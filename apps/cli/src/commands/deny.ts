/**
 * `openexec deny ID --because TEXT`: one signed no to exactly one request. CLI.md.
 */
import type { Command } from 'commander';
import { decide, type DecideOptions } from '../approval/decide.ts';
import type { CommandContext } from '../context.ts';
import { withPassphrase } from '../passphrase.ts';

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const command = program
    .command('deny')
    .description('deny one request with your key')
    .argument('<id>', 'id of the request, or a prefix of it')
    .requiredOption('--because <text>', 'why, for the record and for the model')
    .option('--key <label>', 'the approver key to sign with (default: the first key here whose vote can count)')
    .option('--json', 'print one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec deny 3f9c2a71 --because "CI must not change in this task"');
  withPassphrase(command).action(context.act((id: string, options: DecideOptions) => decide(id, 'deny', options, context)));
}
