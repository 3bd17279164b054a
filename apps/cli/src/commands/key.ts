/**
 * `openexec key new|list`: key files of this ledger. A new key counts once a root key vouches for it in the ledger, which `new` does with the root
 * key on this machine. Secrets are never printed (SECURITY §7).
 */
import { bodyType, signBody } from '@openexec/authority';
import { err, ok, toHex } from '@openexec/canon';
import { listKeys, readKey, writeKey } from '@openexec/config';
import type { Role } from '@openexec/protocol';
import { loadLaw } from '@openexec/runtime';
import { type Command, Option } from 'commander';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { KEY_LABELS, keyRefusal, keysFolder, loadKey } from '../keyring.ts';
import { storeRefusal } from '../openLedger.ts';
import { appendLaw, nonceOf, trustBody } from '../setup/found.ts';

interface KeyOptions {
  readonly role: Role;
  readonly label?: string;
  readonly json?: boolean;
}

/** A runtime or log key belongs to one installation and is made by init; a new root would be another trust root. */
const OFFERED: readonly Role[] = ['issuer', 'approver', 'policy'];
const SEED_BYTES = 32;

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const key = program
    .command('key')
    .description('make and list keys')
    .addHelpText('after', '\nExamples:\n  openexec key new --role approver --label alice\n  openexec key list');
  key
    .command('new')
    .description('make a key and let the root key of this ledger vouch for it')
    .addOption(new Option('--role <role>', 'what the key may do').choices(OFFERED).makeOptionMandatory())
    .option('--label <name>', 'its name; default: the role')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec key new --role approver --label alice')
    .action(context.act((options: KeyOptions) => withWriter(context, (ledger) => newKey(options, context, ledger))));
  key
    .command('list')
    .description('the keys of this ledger, and which of them are on this machine')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec key list')
    .action(context.act((options: { readonly json?: boolean }) => withWriter(context, (ledger) => listAll(options, context, ledger))));
}

async function withWriter(context: CommandContext, work: (ledger: OpenLedger) => Promise<CommandResult>): Promise<CommandResult> {
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    return await work(ledger.value);
  } finally {
    await ledger.value.close();
  }
}

async function newKey(options: KeyOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const folder = keysFolder(ledger.stateFolder);
  const root = loadKey(folder, KEY_LABELS.root);
  if (!root.ok) return root;
  const label = options.label ?? options.role;
  if (listKeys(folder).includes(label)) return refuse('key.exists', `there is a key "${label}" already; give another --label`);
  const made = writeKey(folder, { label, roles: [options.role], seed: context.randomness.bytes(SEED_BYTES) });
  if (!made.ok) return err(keyRefusal(made.error));
  const at = context.clock.now();
  const body = trustBody({ fingerprint: ledger.fingerprint, nonce: nonceOf(context.randomness), key: made.value, at });
  const signed = signBody({ type: bodyType('key.trusted'), body, seeds: [root.value.seed] });
  const written = await appendLaw(ledger.store, at, 'key.trusted', root.value, signed);
  if (!written.ok) return written;
  const { keyId, publicKey } = made.value;
  if (options.json === true) context.output.json({ v: 1, label, keyId, publicKey: toHex(publicKey), roles: [options.role] });
  else context.output.result(`${label}  ${keyId}  ${options.role}\n  file ${folder}/${label}.key (mode 0600); trusted from ${at}`);
  return ok(EXIT.ok);
}

async function listAll(options: { readonly json?: boolean }, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const folder = keysFolder(ledger.stateFolder);
  const law = await loadLaw(ledger.store);
  if (!law.ok) return err(storeRefusal(law.error));
  const here = new Map(
    listKeys(folder).flatMap((label) => {
      const key = readKey(folder, label);
      return key.ok ? [[key.value.keyId, label]] : [];
    }),
  );
  const rows = [...law.value.keys].map(([keyId, record]) => ({ keyId, roles: record.roles, label: here.get(keyId) ?? null }));
  if (options.json === true) {
    context.output.json({ v: 1, keys: rows });
    return ok(EXIT.ok);
  }
  for (const { keyId, roles, label } of rows)
    context.output.result(`${keyId}  ${roles.join(', ').padEnd(18)}  ${label === null ? 'not on this machine' : `${label} (here)`}`);
  return ok(EXIT.ok);
}
