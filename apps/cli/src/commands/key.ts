/**
 * `openexec key new|list|trust|retire|rotate|passwd`: keys of this ledger. A key counts once a root key vouches for it in the ledger. Secrets are never
 * printed (SECURITY §7). CLI.md.
 */
import type { Role } from '@openexec/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext, LedgerChoice } from '../context.ts';
import { listAll } from '../keys/list.ts';
import { changePassphrase, newKey, type NewKeyOptions, type PasswdOptions } from '../keys/make.ts';
import { rotate, type RotateOptions } from '../keys/rotate.ts';
import { retire, type RetireOptions, ROOT_LABEL, trust, type TrustOptions } from '../keys/trust.ts';
import { withPassphrase } from '../passphrase.ts';
import { withLedger } from '../read/guard.ts';

interface LedgerOption {
  readonly ledger?: string;
}

/** A runtime or log key belongs to one installation and is made by init; a new root would be another trust root. */
const OFFERED: readonly Role[] = ['issuer', 'approver', 'policy'];
/** A second root key makes the first replaceable; a second runtime key lets another machine drive runs. */
const TRUSTABLE: readonly Role[] = ['root', 'issuer', 'policy', 'approver', 'runtime'];
const APPEND = { access: 'append' } as const;

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const key = program
    .command('key')
    .description('make, list, trust, rotate and retire keys')
    .addHelpText('after', '\nExamples:\n  openexec key new --role approver --label alice\n  openexec key list');
  const sub = (name: string, description: string, example: string): Command =>
    key
      .command(name)
      .description(description)
      .option('--json', 'print one JSON document')
      .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
      .addHelpText('after', `\nExample:\n  ${example}`);
  const choice = (options: LedgerOption, access: LedgerChoice): LedgerChoice => ({ ...access, ledger: options.ledger });

  withPassphrase(sub('new', 'make a key; the root key here vouches for it, or its public half is written for others', NEW_EXAMPLE))
    .addOption(new Option('--role <role>', 'what the key may do').choices(OFFERED).makeOptionMandatory())
    .option('--label <name>', 'its name; default: the role')
    .option('--no-passphrase', 'leave the key open to whoever can read its file (assurance: file)')
    .option('--export-public <file>', 'do not trust it here: write its public half for somebody who holds a root key')
    .option('--root-passphrase-file <file>', 'passphrase of the root key, where it has one')
    .action(
      context.act((options: NewKeyOptions & LedgerOption) =>
        withLedger(context, choice(options, APPEND), (ledger) => newKey(options, context, ledger)),
      ),
    );
  sub('list', 'the keys of this ledger: roles, windows, and which of them are on this machine', 'openexec key list').action(
    context.act((options: { readonly json?: boolean } & LedgerOption) =>
      withLedger(context, choice(options, {}), (ledger) => listAll(options, context, ledger)),
    ),
  );
  withPassphrase(sub('trust', 'let a root key vouch for a key', 'openexec key trust bob.pub --role approver --name "Bob, security"'))
    .argument('<key>', 'a public half that openexec key new exported, or the id of a known key')
    .addOption(new Option('--role <role>', 'what it may do from now on; may be given several times').argParser(roles).makeOptionMandatory())
    .option('--name <text>', 'whose key it is, for the record')
    .option('--until <moment>', 'it counts no longer than this, such as 2027-01-31T00:00:00.000Z')
    .option('--root <label>', 'the root key that signs', ROOT_LABEL)
    .action(
      context.act((wanted: string, options: TrustOptions & LedgerOption) =>
        withLedger(context, choice(options, APPEND), (ledger) => trust(wanted, options, context, ledger)),
      ),
    );
  withPassphrase(sub('retire', 'let a key count for nothing from here on, for good', 'openexec key retire 3f… --because "Bob has left"'))
    .argument('<key>', 'the id of the key, or the label of a file here')
    .requiredOption('--because <text>', 'why, for the record')
    .option('--root <label>', 'the root key that signs', ROOT_LABEL)
    .action(
      context.act((wanted: string, options: RetireOptions & LedgerOption) =>
        withLedger(context, choice(options, APPEND), (ledger) => retire(wanted, options, context, ledger)),
      ),
    );
  replacing(context, { sub, choice });
}

interface Makers {
  sub(name: string, description: string, example: string): Command;
  choice(options: LedgerOption, access: LedgerChoice): LedgerChoice;
}

/** What puts something in the place of something: a key, a passphrase. */
function replacing(context: CommandContext, { sub, choice }: Makers): void {
  withPassphrase(sub('rotate', 'put a new key in the place of one here, and retire the old one in the same change', ROTATE_EXAMPLE))
    .argument('<key>', 'the label of the file')
    .requiredOption('--because <text>', 'why, for the record')
    .option('--root <label>', 'the root key that signs', ROOT_LABEL)
    .option('--overlap', 'leave the old key in force until it is retired')
    .option('--new-passphrase-fd <n>', 'read the passphrase of the new key from this open descriptor')
    .option('--new-passphrase-file <file>', 'read the passphrase of the new key from this file, which only you may read')
    .action(
      context.act((wanted: string, options: RotateOptions & LedgerOption) =>
        withLedger(context, choice(options, APPEND), (ledger) => rotate(wanted, options, context, ledger)),
      ),
    );
  withPassphrase(sub('passwd', 'put a key under another passphrase', 'openexec key passwd alice'))
    .argument('<key>', 'the label of the file, or the id of the key')
    .option('--new-passphrase-fd <n>', 'read the new passphrase from this open descriptor')
    .option('--new-passphrase-file <file>', 'read the new passphrase from this file, which only you may read')
    .option('--no-passphrase', 'take the passphrase off')
    .action(
      context.act((wanted: string, options: PasswdOptions & LedgerOption) =>
        withLedger(context, choice(options, {}), (ledger) => changePassphrase(wanted, options, context, ledger)),
      ),
    );
}

const ROTATE_EXAMPLE = 'openexec key rotate runtime --because "once a year"';
const NEW_EXAMPLE =
  'openexec key new --role approver --label alice\n  openexec key new --role approver --label bob --export-public bob.pub';

function roles(text: string, before: readonly Role[] | undefined): readonly Role[] {
  const role = TRUSTABLE.find((each) => each === text);
  if (role === undefined) throw new InvalidArgumentError(`one of ${TRUSTABLE.join(', ')}`);
  return [...(before ?? []), role];
}
